// SPDX-License-Identifier: MIT
// The commands, and a right call of each.

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "hostile.h"

const struct form FORMS[COMMANDS] = {
  [INFO] = { "INFO", NFKIT_INFO, sizeof(struct nfkit_info), true, 0 },
  [NETNS] = { "NETNS", NFKIT_NETNS, sizeof(struct nfkit_netns), false, 0 },
  [TARGET_SET] = { "TARGET_SET", NFKIT_TARGET_SET, sizeof(struct nfkit_target_set), false, NFKIT_FEATURE_TARGETS },
  [TARGET_DELETE] = { "TARGET_DELETE", NFKIT_TARGET_DELETE, sizeof(struct nfkit_delete), false, NFKIT_FEATURE_TARGETS },
  [TARGET_GET] = { "TARGET_GET", NFKIT_TARGET_GET, sizeof(struct nfkit_target_get), true, NFKIT_FEATURE_TARGETS },
  [TARGET_LIST] = { "TARGET_LIST", NFKIT_TARGET_LIST, sizeof(struct nfkit_list), true, NFKIT_FEATURE_TARGETS },
  [HOOK_SET] = { "HOOK_SET", NFKIT_HOOK_SET, sizeof(struct nfkit_hook_set), false, NFKIT_FEATURE_HOOKS },
  [HOOK_DELETE] = { "HOOK_DELETE", NFKIT_HOOK_DELETE, sizeof(struct nfkit_delete), false, NFKIT_FEATURE_HOOKS },
  [HOOK_GET] = { "HOOK_GET", NFKIT_HOOK_GET, sizeof(struct nfkit_hook_get), true, NFKIT_FEATURE_HOOKS },
  [HOOK_LIST] = { "HOOK_LIST", NFKIT_HOOK_LIST, sizeof(struct nfkit_list), true, NFKIT_FEATURE_HOOKS },
  [CAPTURE] = { "CAPTURE", NFKIT_CAPTURE, sizeof(struct nfkit_capture), false, NFKIT_FEATURE_CAPTURE },
  [CAPTURE_STATS] = { "CAPTURE_STATS", NFKIT_CAPTURE_STATS, sizeof(struct nfkit_capture_stats), true, NFKIT_FEATURE_CAPTURE },
  [EVENTS] = { "EVENTS", NFKIT_EVENTS, sizeof(struct nfkit_events), false, NFKIT_FEATURE_CAPTURE },
};

__u64 features;

bool has(enum command which) { return (features & FORMS[which].feature) == FORMS[which].feature; }

int open_device(int flags) {
  int fd = open(DEVICE, O_RDWR | O_CLOEXEC | flags);
  if (fd < 0) die("%s", DEVICE);
  return fd;
}

int own_netns(void) {
  int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fd < 0) die("the namespace");
  return fd;
}

int call(int fd, enum command which, void *argument) { return errno_of(ioctl(fd, FORMS[which].command, argument)); }

static struct nfkit_output_config output;
static struct nfkit_output_state output_states[NFKIT_MAX_OUTPUTS];
static char names[NFKIT_MAX_TARGETS][NFKIT_NAME_SIZE];
// ret #0xffff
static struct sock_filter program[] = { BPF_STMT(BPF_RET | BPF_K, 0xffff) };

void right(enum command which, union argument *argument) {
  memset(argument, 0, sizeof *argument);
  argument->size = FORMS[which].size;
  switch (which) {
  case NETNS:
    argument->netns.fd = -1;
    break;
  case TARGET_SET:
    strcpy(output.device, "d0");
    strcpy(argument->target_set.name, "new");
    if ((features & NFKIT_FEATURE_DEVICES) == 0) break;
    argument->target_set.output_count = 1;
    argument->target_set.output_size = sizeof output;
    argument->target_set.outputs = (uintptr_t)&output;
    break;
  case TARGET_DELETE:
  case HOOK_DELETE:
    strcpy(argument->delete.name, "persistent");
    break;
  case TARGET_GET:
    strcpy(argument->target_get.name, "own");
    argument->target_get.output_count = NFKIT_MAX_OUTPUTS;
    argument->target_get.output_size = sizeof output_states[0];
    argument->target_get.outputs = (uintptr_t)output_states;
    break;
  case TARGET_LIST:
  case HOOK_LIST:
    argument->list.count = NFKIT_MAX_TARGETS;
    argument->list.names = (uintptr_t)names;
    break;
  case HOOK_SET:
    strcpy(argument->hook_set.name, "new");
    argument->hook_set.point = NFKIT_POINT_LOCAL_IN;
    argument->hook_set.family = NFKIT_FAMILY_IPV4;
    argument->hook_set.link = NFKIT_LINK_RAW;
    argument->hook_set.instruction_count = 1;
    argument->hook_set.instructions = (uintptr_t)program;
    break;
  case HOOK_GET:
    strcpy(argument->hook_get.hook.name, "own");
    argument->hook_get.hook.instruction_count = 1;
    argument->hook_get.hook.instructions = (uintptr_t)names;
    break;
  case CAPTURE:
    strcpy(argument->capture.target, "own");
    argument->capture.buffer = NFKIT_MIN_BUFFER;
    break;
  default:
    break;
  }
}

void put_name(char field[NFKIT_NAME_SIZE], const char *name) {
  memset(field, 0, NFKIT_NAME_SIZE);
  memcpy(field, name, strlen(name));
}

int set_target(int fd, const char *name, __u32 flags, const char *device) {
  struct nfkit_output_config config = { .flags = 0 };
  struct nfkit_target_set set = { .size = sizeof set, .flags = flags };
  put_name(set.name, name);
  if (device != NULL) {
    strcpy(config.device, device);
    set.output_count = 1;
    set.output_size = sizeof config;
    set.outputs = (uintptr_t)&config;
  }
  return call(fd, TARGET_SET, &set);
}

int set_hook(int fd, const char *name, __u32 flags, const char *target) {
  union argument argument;
  right(HOOK_SET, &argument);
  argument.hook_set.flags = flags;
  put_name(argument.hook_set.name, name);
  put_name(argument.hook_set.target, target);
  return call(fd, HOOK_SET, &argument);
}

int delete_object(int fd, enum command which, const char *name) {
  struct nfkit_delete delete = { .size = sizeof delete };
  put_name(delete.name, name);
  return call(fd, which, &delete);
}

void delete_all(int fd) {
  static const struct { enum command list, delete; } KINDS[] = { { HOOK_LIST, HOOK_DELETE }, { TARGET_LIST, TARGET_DELETE } };
  for (size_t kind = 0; kind < 2; kind++) {
    if (!has(KINDS[kind].list)) continue;
    char (*all)[NFKIT_NAME_SIZE] = calloc(NFKIT_MAX_TARGETS, NFKIT_NAME_SIZE);
    struct nfkit_list list = { .size = sizeof list, .count = NFKIT_MAX_TARGETS, .names = (uintptr_t)all };
    expect(0, call(fd, KINDS[kind].list, &list), "%s", FORMS[KINDS[kind].list].name);
    for (__u32 i = 0; i < list.count && i < NFKIT_MAX_TARGETS; i++) delete_object(fd, KINDS[kind].delete, all[i]);
    free(all);
  }
}
