// SPDX-License-Identifier: MIT
// Which network namespace a descriptor belongs to, and what it is when that is gone.

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
#include "hostile.h"

// The kernel takes namespaces apart in the background.
#define PATIENCE_MS 60000

static int home;

static int give(int fd, int netns) {
  union argument argument;
  right(NETNS, &argument);
  argument.netns.fd = netns;
  return call(fd, NETNS, &argument);
}

static void go_home(void) {
  if (setns(home, CLONE_NEWNET) != 0) die("setns");
}

static unsigned targets(int fd) {
  struct nfkit_info info = { .size = sizeof info };
  expect(0, call(fd, INFO, &info), "INFO");
  return info.targets;
}

// It may be changed until there has been an object, also one that is gone, but not for calls that failed.
static void when(void) {
  union argument argument;
  new_network();
  int there = own_netns();
  go_home();
  int fd = open_device(O_NONBLOCK);
  expect(0, give(fd, there), "before anything");
  expect(0, give(fd, home), "and back");
  expect(0, give(fd, home), "to where it is");
  right(TARGET_SET, &argument);
  argument.target_set.snaplen = 1;
  expect(EINVAL, call(fd, TARGET_SET, &argument), "a wrong target");
  expect(ENOENT, delete_object(fd, TARGET_DELETE, "none"), "a target that is not there");
  if (has(HOOK_SET)) expect(EINVAL, set_hook(fd, "a b", 0, ""), "a wrong hook");
  expect(0, give(fd, there), "after calls that failed");
  expect(0, set_target(fd, "t", NFKIT_TARGET_REROUTE, NULL), "a target there");
  expect(EBUSY, give(fd, home), "with a target");
  expect(EBUSY, give(fd, there), "with a target, to where it is");
  expect(EBADF, give(open_device(0), -1), "no descriptor");
  expect(0, delete_object(fd, TARGET_DELETE, "t"), "the target is deleted");
  expect(EBUSY, give(fd, home), "with a target that is gone");
  int here = open_device(0);
  check(targets(here) == 0, "the target was there, not here");
  expect(0, set_target(here, "t", NFKIT_TARGET_REROUTE | NFKIT_TARGET_CREATE, NULL), "one of its name, here");
  close(fd);
  fd = open_device(0);
  if (has(HOOK_SET)) {
    expect(0, set_hook(fd, "h", 0, ""), "a hook");
    expect(EBUSY, give(fd, there), "with a hook");
  }
  close(fd);
  close(here);
  close(there);
}

// From the moment on that commands answer ENETDOWN.
static void told(int fd, const char *who) {
  struct pollfd poll_of = { .fd = fd, .events = POLLIN };
  int ready = poll(&poll_of, 1, 0);
  check(ready == 1 && (poll_of.revents & (POLLERR | POLLHUP)) == (POLLERR | POLLHUP), "%s: poll answers %d and tells 0x%x", who, ready, poll_of.revents);
}

static void every_call(int fd, const char *who) {
  char bytes[256];
  for (enum command which = 0; which < COMMANDS; which++) {
    union argument argument;
    if (!has(which)) continue;
    right(which, &argument);
    if (which == NETNS) argument.netns.fd = home;
    expect(ENETDOWN, call(fd, which, &argument), "%s: %s", who, FORMS[which].name);
  }
  told(fd, who);
  if (has(CAPTURE)) expect(ENETDOWN, errno_of(read(fd, bytes, sizeof bytes)), "%s: read", who);
}

static bool is_gone(int fd) {
  struct nfkit_info info = { .size = sizeof info };
  return call(fd, INFO, &info) == ENETDOWN;
}

struct waiting { int fd, error; short revents; };

static void *wait_in_read(void *with) {
  struct waiting *waiting = with;
  char bytes[256];
  waiting->error = errno_of(read(waiting->fd, bytes, sizeof bytes));
  return NULL;
}

static void *wait_in_poll(void *with) {
  struct waiting *waiting = with;
  struct pollfd poll_of = { .fd = waiting->fd, .events = POLLIN };
  poll(&poll_of, 1, PATIENCE_MS);
  waiting->revents = poll_of.revents;
  return NULL;
}

// With objects, a capture and events on descriptors; some wait in read and poll meanwhile.
static void gone(void) {
  new_network();
  struct world world = make_world();
  int plain = open_device(O_NONBLOCK), given;
  struct waiting reader = { .fd = -1 }, poller = { .fd = plain };
  union argument argument;
  pthread_t threads[2];
  int netns = own_netns();
  if (has(CAPTURE)) {
    reader.fd = open_device(0);
    right(EVENTS, &argument);
    expect(0, call(reader.fd, EVENTS, &argument), "events");
  }
  go_home();
  given = open_device(O_NONBLOCK);
  expect(0, give(given, netns), "a descriptor that was given");
  // Threads of this process are in the namespace at home by now.
  if (has(CAPTURE) && pthread_create(&threads[0], NULL, wait_in_read, &reader) != 0) die("a thread");
  if (pthread_create(&threads[1], NULL, wait_in_poll, &poller) != 0) die("a thread");
  pause_ms(20);
  check(!is_gone(plain), "the namespace is there");
  close(netns);
  uint64_t began = now();
  while (!is_gone(plain) && now() - began < PATIENCE_MS) pause_ms(1);
  told(world.own, "one with objects, at once");
  every_call(plain, "an unused descriptor");
  every_call(given, "a descriptor that was given");
  every_call(world.own, "one with objects");
  if (has(CAPTURE)) every_call(world.capturing, "one that captures");
  if (has(CAPTURE)) {
    pthread_join(threads[0], NULL);
    expect(ENETDOWN, reader.error, "who waits in read");
    close(reader.fd);
    close(world.capturing);
  }
  pthread_join(threads[1], NULL);
  check(!has(CAPTURE) || (poller.revents & (POLLERR | POLLHUP)) == (POLLERR | POLLHUP), "who waits in poll is told 0x%x", poller.revents);
  int here = open_device(0);
  check(targets(here) == 0, "nothing of it is here");
  close(here);
  close(plain);
  close(given);
  close(world.own);
  close(world.other);
}

void namespaces(void) {
  home = own_netns();
  when();
  gone();
}
