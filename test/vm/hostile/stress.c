// SPDX-License-Identifier: MIT
// Targets and hooks are defined anew, deleted and closed on every CPU, while packets pass through them and their records are read.
// Afterwards each packet has been counted once.

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#include "hostile.h"

static int network;
static volatile bool over;
static uint64_t redefined, reopened, sent, records;

static void enter(void) {
  if (setns(network, CLONE_NEWNET) != 0) die("setns");
}

static void *traffic(void *with) {
  (void)with;
  enter();
  int packet = packet_socket();
  for (; !over; __atomic_add_fetch(&sent, 8, __ATOMIC_RELAXED)) send_traffic(packet, 8);
  close(packet);
  return NULL;
}

// One sink at a time: then every packet makes one copy, or is counted by one reason.
static void *redefine(void *with) {
  int fd = *(int *)with;
  for (; !over; redefined++) {
    switch (redefined % 5) {
    case 0:
      expect(0, set_target(fd, "kept", NFKIT_TARGET_CAPTURE, NULL), "the sink capture");
      break;
    case 1:
      expect(0, set_target(fd, "kept", 0, "d1"), "a device");
      break;
    case 2:
      expect(0, set_target(fd, "kept", NFKIT_TARGET_DEFER, "d1"), "a device, deferred");
      break;
    case 3:
      expect(0, set_target(fd, "kept", NFKIT_TARGET_REROUTE, NULL), "a route");
      break;
    default:
      expect(0, delete_object(fd, TARGET_DELETE, "kept"), "deletion");
    }
    if (has(HOOK_SET)) {
      expect(0, set_hook(fd, "changing", NFKIT_HOOK_PERSISTENT, redefined % 2 == 0 ? "kept" : ""), "a hook anew");
      if (redefined % 7 == 0) expect(0, delete_object(fd, HOOK_DELETE, "changing"), "a hook deleted");
    }
  }
  return NULL;
}

// Descriptors with all kinds of objects, that are closed while packets meet them.
static void *reopen(void *with) {
  (void)with;
  enter();
  for (; !over; reopened++) {
    int fd = open_device(O_NONBLOCK);
    expect(0, set_target(fd, "passing", NFKIT_TARGET_CAPTURE, reopened % 2 == 0 ? "d1" : NULL), "a target");
    if (has(HOOK_SET)) expect(0, set_hook(fd, "passing", 0, "passing"), "a hook");
    if (has(CAPTURE)) {
      union argument argument;
      right(CAPTURE, &argument);
      put_name(argument.capture.target, reopened % 2 == 0 ? "kept" : "passing");
      expect(0, call(fd, CAPTURE, &argument), "a capture");
    }
    if (reopened % 4 == 0) pause_ms(1);
    close(fd);
  }
  return NULL;
}

static void *reader(void *with) {
  enter();
  int fd = open_device(O_NONBLOCK);
  unsigned char *bytes = guarded(64);
  union argument argument;
  (void)with;
  right(CAPTURE, &argument);
  put_name(argument.capture.target, "kept");
  expect(0, call(fd, CAPTURE, &argument), "a capture");
  right(EVENTS, &argument);
  expect(0, call(fd, EVENTS, &argument), "events");
  while (!over) {
    struct pollfd poll_of = { .fd = fd, .events = POLLIN };
    poll(&poll_of, 1, 10);
    for (ssize_t got; (got = read(fd, bytes, 64 * PAGE)) > 0;) {
      for (ssize_t at = 0; at < got; records++) {
        const struct nfkit_record *record = (const void *)(bytes + at);
        bool whole = got - at >= (ssize_t)sizeof *record && record->length >= sizeof *record && record->length <= got - at && record->header <= record->length;
        if (!check(whole && record->type >= NFKIT_RECORD_PACKET && record->type <= NFKIT_RECORD_EVENTS_LOST, "a record of %u bytes, type %u, in %zd", record->length, record->type, got - at)) return NULL;
        at += (record->length + 7) & ~7U;
      }
    }
  }
  close(fd);
  return NULL;
}

static void balance(int fd) {
  struct nfkit_target_get get = { .size = sizeof get, .name = "kept" };
  // Copies that wait are sent, or counted as flushed.
  for (uint64_t began = now(); now() - began < 30000; pause_ms(10)) {
    memset(&get, 0, sizeof get);
    get.size = sizeof get;
    strcpy(get.name, "kept");
    if (!expect(0, call(fd, TARGET_GET, &get), "the counters")) return;
    if (get.stats.queued == 0) break;
  }
  const struct nfkit_stats *s = &get.stats;
  __u64 not_cloned = s->no_target + s->sampled_out + s->limited + s->no_route + s->loop + s->no_device + s->unroutable + s->local + s->same_device + s->too_big +
    s->queue_full + s->no_memory + s->no_reader + s->buffer_full;
  __u64 not_sent = s->unresolved + s->device_down + s->refused + s->flushed + s->dropped_oldest;
  printf("# %llu packets seen, %llu cloned, %llu sent; %llu of no target, %llu without a reader\n", s->seen, s->cloned, s->sent, s->no_target, s->no_reader);
  check(!has(HOOK_SET) || s->seen > 0, "packets were seen");
  check(s->seen == s->cloned + not_cloned, "%llu seen, %llu cloned, %llu not", s->seen, s->cloned, not_cloned);
  check(s->cloned == s->sent + s->queued + not_sent, "%llu cloned, %llu sent, %llu not", s->cloned, s->sent, not_sent);
}

void stress(unsigned seconds) {
  static void *(*const WORK[])(void *) = { traffic, traffic, redefine, reopen, reader };
  pthread_t threads[5];
  new_network();
  add_device("v0", "veth", "v1");
  set_up("v0");
  set_up("v1");
  add_device("d1", "dummy", NULL);
  set_up("d1");
  network = own_netns();
  int fd = open_device(O_NONBLOCK);
  // It keeps the target known, and so its counters.
  if (has(HOOK_SET)) expect(0, set_hook(fd, "keeps", 0, "kept"), "a hook that stays");
  expect(0, set_target(fd, "kept", NFKIT_TARGET_REROUTE, NULL), "the target");
  for (int i = 0; i < 5; i++) {
    if (WORK[i] == reader && !has(CAPTURE)) continue;
    if (pthread_create(&threads[i], NULL, WORK[i], &fd) != 0) die("a thread");
  }
  pause_ms(seconds * 1000);
  over = true;
  for (int i = 0; i < 5; i++) if (WORK[i] != reader || has(CAPTURE)) pthread_join(threads[i], NULL);
  printf("# %lu times sent, %lu times redefined, %lu descriptors, %lu records\n", (unsigned long)sent, (unsigned long)redefined, (unsigned long)reopened, (unsigned long)records);
  check(redefined > 10 && reopened > 10 && sent > 100, "there was something to do");
  expect(0, set_target(fd, "kept", NFKIT_TARGET_REROUTE, NULL), "the target at the end");
  balance(fd);
  delete_all(fd);
  close(fd);
  close(network);
}
