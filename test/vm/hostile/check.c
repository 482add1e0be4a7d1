// SPDX-License-Identifier: MIT
// What is checked: counted when it holds, said when not.

#define _GNU_SOURCE
#include <stdarg.h>
#include <time.h>
#include "hostile.h"

unsigned long checks, failures;

// Enough to see what is wrong.
#define MOST_SAID 40

int errno_of(long result) { return result < 0 ? errno : 0; }

const char *errno_name(int error) { return error == 0 ? "success" : strerrorname_np(error) ?: "an unknown error"; }

static void failed(const char *what, va_list arguments, const char *instead) {
  if (__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED) > MOST_SAID) return;
  char text[512];
  vsnprintf(text, sizeof text, what, arguments);
  printf("not ok: %s%s\n", text, instead);
  fflush(stdout);
}

bool check(bool holds, const char *what, ...) {
  __atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);
  if (holds) return true;
  va_list arguments;
  va_start(arguments, what);
  failed(what, arguments, "");
  va_end(arguments);
  return false;
}

bool expect(int wanted, int error, const char *what, ...) {
  __atomic_add_fetch(&checks, 1, __ATOMIC_RELAXED);
  if (error == wanted) return true;
  char instead[128];
  snprintf(instead, sizeof instead, ": %s instead of %s", errno_name(error), errno_name(wanted));
  va_list arguments;
  va_start(arguments, what);
  failed(what, arguments, instead);
  va_end(arguments);
  return false;
}

void die(const char *what, ...) {
  const char *error = strerror(errno);
  va_list arguments;
  va_start(arguments, what);
  printf("not ok: ");
  vprintf(what, arguments);
  va_end(arguments);
  printf(": %s\n", error);
  fflush(stdout);
  _Exit(2);
}

uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

void pause_ms(unsigned milliseconds) {
  struct timespec time = { .tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000 };
  nanosleep(&time, NULL);
}
