// SPDX-License-Identifier: MIT
// Devices are made, renamed, moved to another network namespace and deleted, while targets and hooks that name them are defined, made
// anew and deleted, and packets pass. What stood all the time then has the devices that are there.

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#include "hostile.h"

static const char *const NAMES[] = { "v0", "v1", "w" };

static int here, there, fd;
static volatile bool over;
static uint64_t shuffled, defined;

static const char *any(struct random *random) { return NAMES[below(random, 3)]; }

static void enter(int netns) {
  if (setns(netns, CLONE_NEWNET) != 0) die("setns");
}

static void make_pair(void) {
  add_device("v0", "veth", "v1");
  set_up("v0");
  set_up("v1");
}

static void *shuffle(void *with) {
  struct random random = { (uintptr_t)with };
  for (enter(here); !over; shuffled++) {
    const char *name = any(&random);
    switch (below(&random, 6)) {
    case 0:
      delete_device(name);
      break;
    case 1:
      make_pair();
      break;
    case 2:
    case 3:
      rename_device(name, any(&random));
      set_up(name);
      break;
    default:
      move_device(name, there);
      enter(there);
      move_device(name, here);
      enter(here);
    }
  }
  return NULL;
}

static int hook_at_device(const char *name, enum nfkit_point point, const char *device, int priority) {
  union argument argument;
  right(HOOK_SET, &argument);
  put_name(argument.hook_set.name, name);
  argument.hook_set.point = (__u8)point;
  argument.hook_set.family = 0;
  argument.hook_set.priority = priority;
  strcpy(point == NFKIT_POINT_INGRESS ? argument.hook_set.in : argument.hook_set.out, device);
  return call(fd, HOOK_SET, &argument);
}

static void *define(void *with) {
  struct random random = { (uintptr_t)with };
  for (; !over; defined++) {
    const char *name = any(&random);
    switch (below(&random, 4)) {
    case 0:
      expect(0, set_target(fd, "changing", below(&random, 2) == 0 ? 0 : NFKIT_TARGET_DEFER, name), "a target anew");
      break;
    case 1:
      if ((features & NFKIT_FEATURE_HOOKS_INGRESS) != 0) expect(0, hook_at_device("ingress", NFKIT_POINT_INGRESS, name, (int)below(&random, 2)), "at ingress");
      break;
    case 2:
      if ((features & NFKIT_FEATURE_HOOKS_EGRESS) != 0) expect(0, hook_at_device("egress", NFKIT_POINT_EGRESS, name, (int)below(&random, 2)), "at egress");
      break;
    default:
      delete_object(fd, HOOK_DELETE, below(&random, 2) == 0 ? "ingress" : "egress");
      delete_object(fd, TARGET_DELETE, "changing");
    }
  }
  return NULL;
}

static void *traffic(void *with) {
  (void)with;
  enter(here);
  int packet = packet_socket();
  while (!over) send_traffic(packet, 8);
  close(packet);
  return NULL;
}

static __u64 seen_by(const char *name) {
  struct nfkit_hook_get get = { .hook.size = sizeof get };
  put_name(get.hook.name, name);
  expect(0, call(fd, HOOK_GET, &get), "the counters of %s", name);
  return get.stats.seen;
}

static void see(const char *name) {
  int packet = packet_socket();
  __u64 before = seen_by(name), after = before;
  for (uint64_t began = now(); after == before && now() - began < 30000; after = seen_by(name)) send_traffic(packet, 8);
  check(after > before, "%s sees nothing", name);
  close(packet);
}

void moving(unsigned seconds, uint64_t seed) {
  static void *(*const WORK[])(void *) = { shuffle, define, define, traffic };
  pthread_t threads[4];
  bool ingress = (features & NFKIT_FEATURE_HOOKS_INGRESS) != 0, egress = (features & NFKIT_FEATURE_HOOKS_EGRESS) != 0;
  new_network();
  there = own_netns();
  new_network();
  here = own_netns();
  fd = open_device(0);
  expect(0, set_target(fd, "kept", 0, "v1"), "a target that stays");
  if (ingress) expect(0, hook_at_device("in", NFKIT_POINT_INGRESS, "v0", 0), "a hook that stays");
  if (egress) expect(0, hook_at_device("out", NFKIT_POINT_EGRESS, "v1", 0), "a hook that stays");
  for (size_t i = 0; i < 4; i++) if (pthread_create(&threads[i], NULL, WORK[i], (void *)(uintptr_t)(seed + i)) != 0) die("a thread");
  pause_ms(seconds * 1000);
  over = true;
  for (size_t i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  printf("# devices changed %lu times, objects %lu times, seed %lu\n", (unsigned long)shuffled, (unsigned long)defined, (unsigned long)seed);
  check(shuffled > 10 && defined > 10, "there was something to do");
  for (size_t i = 0; i < 3; i++) delete_device(NAMES[i]);
  make_pair();
  struct nfkit_output_state output = { .ifindex = 0 };
  struct nfkit_target_get get = { .size = sizeof get, .name = "kept", .output_count = 1, .output_size = sizeof output, .outputs = (uintptr_t)&output };
  expect(0, call(fd, TARGET_GET, &get), "the target that stayed");
  check(output.ifindex != 0 && output.ifindex == device_index("v1"), "its device is %u, not %u", output.ifindex, device_index("v1"));
  if (ingress) see("in");
  if (egress) see("out");
  close(fd);
  close(here);
  close(there);
}
