// SPDX-License-Identifier: MIT
// Each field wrong by itself: the errno that the header gives for it, and nothing changes.

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "hostile.h"

static struct world world;
static union argument a;
static struct nfkit_output_config outputs[NFKIT_MAX_OUTPUTS + 1];

// A right call of it with this change is refused with that error.
#define WRONG(which, wanted, change) do { right(which, &a); change; refused(&world, world.own, which, &a, wanted, #change); } while (0)

static void set_name(char *field, size_t size, const char *text, size_t length) {
  memset(field, 0, size);
  memcpy(field, text, length);
}

// Those of objects: a field, and what it may not be.
#define WRONG_NAME(which, field, text) WRONG(which, EINVAL, set_name(field, NFKIT_NAME_SIZE, text, sizeof text - 1))
#define WRONG_NAMES(which, field) do { \
  WRONG_NAME(which, field, "a b"); \
  WRONG_NAME(which, field, "a/b"); \
  WRONG_NAME(which, field, "a:b"); \
  WRONG_NAME(which, field, "a\n"); \
  WRONG_NAME(which, field, "\xc3\xa4"); \
  WRONG_NAME(which, field, "a\0b"); \
  WRONG_NAME(which, field, "\0b"); \
  WRONG_NAME(which, field, "name-of-31-characters-and-one-mo"); \
  WRONG(which, EINVAL, field[NFKIT_NAME_SIZE - 1] = 1); \
} while (0)

static void device_names(void) {
  static const struct { const char *text; size_t length; } NAMES[] = {
    { "", 0 }, { "a/b", 3 }, { "a b", 3 }, { "a:b", 3 }, { ".", 1 }, { "..", 2 }, { "a\tb", 3 }, { "d0\0x", 4 }, { "sixteen-letters-", 16 },
  };
  for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
    right(TARGET_SET, &a);
    a.target_set.outputs = (uintptr_t)outputs;
    memset(outputs, 0, sizeof outputs);
    memcpy(outputs[0].device, NAMES[i].text, NAMES[i].length);
    refused(&world, world.own, TARGET_SET, &a, EINVAL, "an output that is no device's name");
  }
}

#define WRONG_OUTPUT(change) do { \
  struct nfkit_output_config *o = &outputs[0]; \
  memset(outputs, 0, sizeof outputs); \
  strcpy(o->device, "d0"); \
  WRONG(TARGET_SET, EINVAL, (a.target_set.outputs = (uintptr_t)outputs, change)); \
} while (0)

static void output_fields(void) {
  for (int bit = 2; bit < 32; bit++) WRONG_OUTPUT(o->flags = 1U << bit);
  WRONG_OUTPUT(o->vlan_protocol = 0x8100);
  WRONG_OUTPUT(o->vlan_tci = 1);
  WRONG_OUTPUT(o->flags = NFKIT_OUTPUT_VLAN);
  WRONG_OUTPUT((o->flags = NFKIT_OUTPUT_VLAN, o->vlan_protocol = 0x0081));
  WRONG_OUTPUT((o->flags = NFKIT_OUTPUT_VLAN, o->vlan_protocol = 0x0800));
  WRONG_OUTPUT((o->flags = NFKIT_OUTPUT_VLAN, o->vlan_protocol = 0x8100, o->vlan_tci = 4095));
  WRONG_OUTPUT((o->flags = NFKIT_OUTPUT_VLAN, o->vlan_protocol = 0x88a8, o->vlan_tci = 0x1001));
  WRONG_OUTPUT(o->destination[5] = 1);
  WRONG_OUTPUT(o->flags = NFKIT_OUTPUT_DESTINATION);
  WRONG_OUTPUT(o->reserved[0] = 1);
  WRONG_OUTPUT(o->reserved[1] = 1);
  WRONG_OUTPUT((a.target_set.output_count = 2, o[1] = o[0]));
  WRONG_OUTPUT((a.target_set.output_count = 2, o[1].flags = 0));
  for (int i = 0; i <= NFKIT_MAX_OUTPUTS; i++) sprintf(outputs[i].device, "d%d", i);
  WRONG(TARGET_SET, EINVAL, (a.target_set.outputs = (uintptr_t)outputs, a.target_set.output_count = NFKIT_MAX_OUTPUTS + 1));
  device_names();
}

static void target_set_fields(void) {
  for (int bit = 7; bit < 32; bit++) WRONG(TARGET_SET, EINVAL, a.target_set.flags = 1U << bit);
  WRONG_NAMES(TARGET_SET, a.target_set.name);
  WRONG_NAME(TARGET_SET, a.target_set.name, "");
  WRONG(TARGET_SET, EINVAL, a.target_set.mark = 1);
  WRONG(TARGET_SET, EINVAL, a.target_set.snaplen = 1);
  WRONG(TARGET_SET, EINVAL, a.target_set.snaplen = 59);
  WRONG(TARGET_SET, EINVAL, a.target_set.snaplen = 65536);
  WRONG(TARGET_SET, EINVAL, a.target_set.snaplen = UINT32_MAX);
  WRONG(TARGET_SET, EINVAL, a.target_set.burst = 1);
  WRONG(TARGET_SET, EINVAL, a.target_set.rate = 1);
  WRONG(TARGET_SET, EINVAL, (a.target_set.rate = 1000, a.target_set.burst = 1000001));
  WRONG(TARGET_SET, EINVAL, (a.target_set.rate = 2000000, a.target_set.burst = 2000001));
  WRONG(TARGET_SET, EINVAL, (a.target_set.rate = UINT32_MAX, a.target_set.burst = 0));
  WRONG(TARGET_SET, EINVAL, a.target_set.output_count = UINT32_MAX);
  WRONG(TARGET_SET, EINVAL, a.target_set.output_count = 0);
  WRONG(TARGET_SET, EINVAL, (a.target_set.output_count = 0, a.target_set.output_size = 0));
  WRONG(TARGET_SET, EINVAL, (a.target_set.output_count = 0, a.target_set.outputs = 0));
  // No sink.
  WRONG(TARGET_SET, EINVAL, (a.target_set.output_count = 0, a.target_set.output_size = 0, a.target_set.outputs = 0));
  WRONG(TARGET_SET, EFAULT, a.target_set.outputs = 0);
  WRONG(TARGET_SET, EEXIST, (a.target_set.flags = NFKIT_TARGET_CREATE, put_name(a.target_set.name, "own")));
  WRONG(TARGET_SET, EEXIST, (a.target_set.flags = NFKIT_TARGET_CREATE, put_name(a.target_set.name, "persistent")));
  WRONG(TARGET_SET, EPERM, put_name(a.target_set.name, "other"));
  output_fields();
}

static void delete_fields(enum command which) {
  WRONG(which, EINVAL, a.delete.reserved = 1);
  WRONG(which, EINVAL, a.delete.reserved = UINT32_MAX);
  WRONG_NAMES(which, a.delete.name);
  WRONG_NAME(which, a.delete.name, "");
  WRONG(which, ENOENT, put_name(a.delete.name, "undefined"));
  WRONG(which, EPERM, put_name(a.delete.name, "other"));
}

static void get_fields(void) {
  WRONG(TARGET_GET, EINVAL, a.target_get.flags = 1);
  WRONG(TARGET_GET, EINVAL, a.target_get.flags = NFKIT_OWN);
  WRONG(TARGET_GET, EINVAL, a.target_get.reserved = 1);
  WRONG(TARGET_GET, EINVAL, a.target_get.output_size = 0);
  WRONG_NAMES(TARGET_GET, a.target_get.name);
  WRONG_NAME(TARGET_GET, a.target_get.name, "");
  WRONG(TARGET_GET, ENOENT, put_name(a.target_get.name, "undefined"));
  WRONG(TARGET_GET, ENOENT, put_name(a.target_get.name, "nobody-named-it"));
  WRONG(TARGET_GET, EFAULT, a.target_get.outputs = 0);
  WRONG(TARGET_LIST, EFAULT, a.list.names = 0);
}

static void capture_fields(void) {
  int fd = open_device(O_NONBLOCK);
  // A descriptor that does not capture yet.
#define WRONG_CAPTURE(which, wanted, change) do { right(which, &a); change; refused(&world, fd, which, &a, wanted, #change); } while (0)
  for (int bit = 0; bit < 32; bit++) WRONG_CAPTURE(CAPTURE, EINVAL, a.capture.flags = 1U << bit);
  WRONG_CAPTURE(CAPTURE, EINVAL, a.capture.snaplen = NFKIT_MAX_SNAPLEN + 1);
  WRONG_CAPTURE(CAPTURE, EINVAL, a.capture.snaplen = UINT32_MAX);
  WRONG_CAPTURE(CAPTURE, EINVAL, a.capture.buffer = 1);
  WRONG_CAPTURE(CAPTURE, EINVAL, a.capture.buffer = NFKIT_MIN_BUFFER - 1);
  WRONG_CAPTURE(CAPTURE, EINVAL, a.capture.buffer = NFKIT_MAX_BUFFER + 1);
  WRONG_CAPTURE(CAPTURE, EINVAL, a.capture.buffer = UINT32_MAX);
  WRONG_CAPTURE(CAPTURE, EINVAL, a.capture.target[0] = 0);
  WRONG_CAPTURE(CAPTURE, EINVAL, put_name(a.capture.target, "a b"));
  WRONG_CAPTURE(CAPTURE, EINVAL, a.capture.target[4] = 1);
  WRONG_CAPTURE(CAPTURE, EINVAL, memset(a.capture.target, 'a', NFKIT_NAME_SIZE));
  WRONG_CAPTURE(CAPTURE_STATS, EINVAL, a.capture_stats.reserved = 1);
  WRONG_CAPTURE(CAPTURE_STATS, ENOENT, a.capture_stats.reserved = 0);
  WRONG_CAPTURE(EVENTS, EINVAL, a.events.reserved = 1);
  // Nothing of it has made the descriptor one that had something.
  int netns = own_netns();
  right(NETNS, &a);
  a.netns.fd = netns;
  expect(0, call(fd, NETNS, &a), "a descriptor that had nothing may change its namespace");
  right(EVENTS, &a);
  expect(0, call(fd, EVENTS, &a), "events");
  WRONG_CAPTURE(EVENTS, EBUSY, a.size = sizeof a.events);
  WRONG_CAPTURE(CAPTURE_STATS, ENOENT, a.size = sizeof a.capture_stats);
  right(CAPTURE, &a);
  expect(0, call(fd, CAPTURE, &a), "a capture");
  WRONG_CAPTURE(CAPTURE, EBUSY, put_name(a.capture.target, "other"));
  WRONG_CAPTURE(NETNS, EBUSY, a.netns.fd = netns);
  close(netns);
  close(fd);
}

static void netns_fields(void) {
  static const struct { const char *path; int wanted; } FILES[] = {
    { "/dev/null", EINVAL }, { "/proc/self/ns/uts", EINVAL }, { "/proc/self/ns/user", EINVAL }, { "/proc/self/ns/mnt", EINVAL }, { "/", EINVAL }, { DEVICE, EINVAL },
  };
  int fd = open_device(O_NONBLOCK);
  for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
    int file = open(FILES[i].path, O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    right(NETNS, &a);
    a.netns.fd = file;
    refused(&world, fd, NETNS, &a, FILES[i].wanted, FILES[i].path);
    close(file);
  }
  static const int NONE[] = { -1, -2, -100, 1 << 20, INT32_MAX, INT32_MIN };
  for (size_t i = 0; i < sizeof NONE / sizeof NONE[0]; i++) {
    right(NETNS, &a);
    a.netns.fd = NONE[i];
    refused(&world, fd, NETNS, &a, EBADF, "no descriptor");
  }
  int netns = own_netns();
  WRONG(NETNS, EBUSY, a.netns.fd = netns);
  close(netns);
  close(fd);
}

static void unknown_commands(void) {
  static const unsigned long OTHERS[] = {
    NFKIT_EVENTS + 1, NFKIT_TARGET_LIST + 1, NFKIT_HOOK_LIST + 1, NFKIT_NETNS + 1, _IO(NFKIT_IOCTL_TYPE, 0xff), _IO(0xbe, 0), 0xffffffffUL,
    _IOR(NFKIT_IOCTL_TYPE, 0, struct nfkit_info), _IOWR(NFKIT_IOCTL_TYPE, 0x10, struct nfkit_target_set), _IOW(NFKIT_IOCTL_TYPE, 0x10, __u32), 0x5401, 0x8912,
  };
  static struct state before, after;
  look(world.own, &before);
  for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++) {
    right(TARGET_SET, &a);
    expect(ENOTTY, errno_of(ioctl(world.own, OTHERS[i], &a)), "command 0x%lx", OTHERS[i]);
  }
  for (enum command which = 0; which < COMMANDS; which++) {
    right(which, &a);
    if (!has(which)) expect(ENOTTY, call(world.own, which, &a), "%s, which is not among the features", FORMS[which].name);
  }
  look(world.own, &after);
  check(difference(&before, &after) == NULL, "an unknown command changed something");
}

void fields(void) {
  world = make_world();
  netns_fields();
  unknown_commands();
  if (has(TARGET_SET)) {
    target_set_fields();
    delete_fields(TARGET_DELETE);
    get_fields();
  }
  if (has(HOOK_SET)) {
    delete_fields(HOOK_DELETE);
    WRONG(HOOK_LIST, EFAULT, a.list.names = 0);
    hook_fields(&world);
  }
  if (has(CAPTURE)) capture_fields();
  delete_all(world.own);
}
