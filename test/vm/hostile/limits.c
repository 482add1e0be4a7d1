// SPDX-License-Identifier: MIT
// As many objects as there may be, and one more.

#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>
#include "hostile.h"

static int fd;
static union argument a;

static struct nfkit_info info(void) {
  struct nfkit_info all = { .size = sizeof all };
  expect(0, call(fd, INFO, &all), "INFO");
  return all;
}

static void many(enum command set, enum command delete, unsigned most, unsigned (*there)(void)) {
  char *name = set == TARGET_SET ? a.target_set.name : a.hook_set.name;
  right(set, &a);
  for (unsigned i = 0; i < most; i++) {
    memset(name, 0, NFKIT_NAME_SIZE);
    sprintf(name, "n%u", i);
    expect(0, call(fd, set, &a), "%s %u", FORMS[set].name, i);
  }
  check(there() == most, "there are %u of %u", there(), most);
  put_name(name, "one-more");
  expect(ENOSPC, call(fd, set, &a), "%s: one more than %u", FORMS[set].name, most);
  put_name(name, "n0");
  expect(0, call(fd, set, &a), "%s: one of %u anew", FORMS[set].name, most);
  check(there() == most, "there are %u of %u, as before", there(), most);
  expect(0, delete_object(fd, delete, "n0"), "%s", FORMS[delete].name);
  put_name(name, "one-more");
  expect(0, call(fd, set, &a), "%s: in the place of another", FORMS[set].name);
  // The others go with their descriptor.
  close(fd);
  fd = open_device(O_NONBLOCK);
  check(there() == 0, "%u are left of a descriptor that was closed", there());
}

static unsigned targets(void) { return info().targets; }
static unsigned hooks(void) { return info().hooks; }

// Answers how many were made until one was refused.
static unsigned captures(unsigned most, __u32 buffer, int *fds) {
  right(CAPTURE, &a);
  a.capture.buffer = buffer;
  for (unsigned i = 0; i < most; i++) {
    fds[i] = open_device(O_NONBLOCK);
    int error = call(fds[i], CAPTURE, &a);
    if (error == 0) continue;
    expect(ENOSPC, error, "one more capture");
    close(fds[i]);
    return i;
  }
  return most;
}

static void close_all(const int *fds, unsigned count) {
  for (unsigned i = 0; i < count; i++) close(fds[i]);
  check(info().captures == 0, "%u captures are left of descriptors that were closed", info().captures);
}

void limits(void) {
  int fds[NFKIT_MAX_CAPTURES + 1];
  fd = open_device(O_NONBLOCK);
  if (has(TARGET_SET)) many(TARGET_SET, TARGET_DELETE, info().max_targets, targets);
  if (has(HOOK_SET)) many(HOOK_SET, HOOK_DELETE, info().max_hooks, hooks);
  if (has(CAPTURE)) {
    unsigned made = captures(NFKIT_MAX_CAPTURES + 1, NFKIT_MIN_BUFFER, fds);
    check(made == NFKIT_MAX_CAPTURES, "%u captures", made);
    check(info().captures == made, "%u captures are told of %u", info().captures, made);
    right(EVENTS, &a);
    expect(0, call(fd, EVENTS, &a), "events beside them");
    close_all(fds, made);
    made = captures(NFKIT_MAX_CAPTURES, NFKIT_MAX_BUFFER, fds);
    // Events take some of it.
    check(made == NFKIT_MAX_BUFFERS / NFKIT_MAX_BUFFER - 1, "%u captures with the largest buffer", made);
    close(fd);
    fd = open_device(O_NONBLOCK);
    right(CAPTURE, &a);
    a.capture.buffer = NFKIT_MAX_BUFFER;
    expect(0, call(fd, CAPTURE, &a), "the last buffer of all that there may be");
    int one_more = open_device(O_NONBLOCK);
    right(EVENTS, &a);
    expect(ENOSPC, call(one_more, EVENTS, &a), "events beyond all the memory that there may be");
    right(CAPTURE, &a);
    expect(ENOSPC, call(one_more, CAPTURE, &a), "a capture beyond it");
    close(fd);
    expect(0, call(one_more, CAPTURE, &a), "a capture when there is room again");
    close(one_more);
    fd = open_device(O_NONBLOCK);
    close_all(fds, made);
  }
  close(fd);
}
