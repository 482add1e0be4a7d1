// SPDX-License-Identifier: MIT
// Arguments by chance: most are nearly right, since what is wrong in the first field tells nothing of the others.

#define _GNU_SOURCE
#include <linux/filter.h>
#include "arguments.h"

#define PICK(random, array) ((array)[below(random, sizeof(array) / sizeof(array)[0])])

static const __u32 NUMBERS[] = { 0, 1, 2, 3, 59, 60, 64, 255, 256, 1500, 4095, 4096, 4097, 65535, 65536, 1000000, 1000001, INT32_MAX, 0x80000000, UINT32_MAX };
static const uintptr_t ADDRESSES[] = { 0, 1, 0xfff, 0x7ffffffff000UL, 0x8000000000000000UL, 0xffff888000000000UL, 0xffffffff81000000UL, UINTPTR_MAX };

struct memory arguments_memory(void) { return (struct memory){ guarded(STRUCT_PAGES), guarded(ARRAY_PAGES) }; }

const char *random_device(struct random *random) {
  static const char *const NAMES[] = { "lo", "d0", "d1", "v0", "v1", "br0", "none" };
  return PICK(random, NAMES);
}

static void name(struct random *random, char *field) { sprintf(field, "n%u", below(random, one_in(random, 20) ? 2000 : 8)); }

static void maybe_device(struct random *random, char *field, uint32_t of) {
  if (one_in(random, of)) strcpy(field, random_device(random));
}

static void fill(struct random *random, void *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) ((unsigned char *)bytes)[i] = (unsigned char)next(random);
}

// An array that ends where memory does, most of the time.
static __u64 array(struct random *random, const struct memory *memory, size_t size) {
  if (one_in(random, 30)) return PICK(random, ADDRESSES);
  if (size > ARRAY_PAGES * PAGE) size = ARRAY_PAGES * PAGE;
  return (uintptr_t)memory->of_array + ARRAY_PAGES * PAGE - size - (one_in(random, 30) ? below(random, 64) : 0) + (one_in(random, 30) ? below(random, 64) : 0);
}

static void target_set(struct random *random, const struct memory *memory, struct nfkit_target_set *set) {
  static const __u32 FLAGS[] = { NFKIT_TARGET_CAPTURE, NFKIT_TARGET_REROUTE, 0, NFKIT_TARGET_CAPTURE | NFKIT_TARGET_REROUTE, NFKIT_TARGET_CAPTURE | NFKIT_TARGET_DEFER };
  name(random, set->name);
  set->flags = PICK(random, FLAGS) | (one_in(random, 8) ? NFKIT_TARGET_CREATE : 0) | (one_in(random, 8) ? NFKIT_TARGET_PERSISTENT : 0) |
    (one_in(random, 4) ? NFKIT_TARGET_DROP_OLDEST : 0) | (one_in(random, 4) ? NFKIT_TARGET_DEFER : 0);
  if ((set->flags & NFKIT_TARGET_REROUTE) != 0) set->mark = next(random);
  if (one_in(random, 4)) set->sample = below(random, 4);
  if (set->sample > 1 && one_in(random, 2)) set->flags |= NFKIT_TARGET_RANDOM;
  if (one_in(random, 4)) set->snaplen = 60 + below(random, 1500);
  if (one_in(random, 4)) {
    set->rate = 1 + below(random, 100000);
    set->burst = 1 + below(random, 1000);
  }
  if (one_in(random, 4)) set->queue_limit = below(random, 100);
  set->output_count = below(random, one_in(random, 8) ? 10 : 4);
  if (set->output_count == 0) return;
  set->output_size = sizeof(struct nfkit_output_config) + (one_in(random, 4) ? below(random, 8) * 8 : 0);
  set->outputs = array(random, memory, set->output_count * (size_t)set->output_size);
  unsigned char *at = memory->of_array + ARRAY_PAGES * PAGE - set->output_count * (size_t)set->output_size;
  memset(at, 0, set->output_count * (size_t)set->output_size);
  for (__u32 i = 0; i < set->output_count; i++) {
    struct nfkit_output_config output = { .flags = below(random, 4) };
    strcpy(output.device, random_device(random));
    if ((output.flags & NFKIT_OUTPUT_VLAN) != 0) {
      output.vlan_protocol = one_in(random, 2) ? 0x8100 : 0x88a8;
      output.vlan_tci = (__u16)below(random, 4095);
    }
    if ((output.flags & NFKIT_OUTPUT_DESTINATION) != 0) memset(output.destination, 2, sizeof output.destination);
    if (one_in(random, 40)) ((unsigned char *)&output)[below(random, sizeof output)] ^= (unsigned char)(1U << below(random, 8));
    memcpy(at + i * (size_t)set->output_size, &output, sizeof output);
  }
}

static __u32 instructions(struct random *random, const struct memory *memory, __u64 *address) {
  static const struct sock_filter LENGTH[] = { BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 40, 0, 1), BPF_STMT(BPF_RET | BPF_K, 1), BPF_STMT(BPF_RET | BPF_K, 0) };
  __u32 count = one_in(random, 16) ? below(random, NFKIT_MAX_INSTRUCTIONS + 2) : 4;
  size_t size = count * sizeof(struct sock_filter);
  *address = array(random, memory, size);
  unsigned char *at = memory->of_array + ARRAY_PAGES * PAGE - size;
  if (one_in(random, 16)) fill(random, at, size < 256 ? size : 256);
  else for (__u32 i = 0; i < count; i++) memcpy(at + i * sizeof LENGTH[0], &LENGTH[i < 4 && count == 4 ? i : 3], sizeof LENGTH[0]);
  return count;
}

static void hook_set(struct random *random, const struct memory *memory, struct nfkit_hook_set *set) {
  name(random, set->name);
  set->point = (__u8)below(random, NFKIT_POINT_EGRESS + 1);
  set->family = set->point <= NFKIT_POINT_POSTROUTING ? (__u8)(1 + below(random, 3)) : 0;
  set->verdict = (__u8)below(random, NFKIT_VERDICT_REPEAT + 1);
  set->flags = (one_in(random, 8) ? NFKIT_HOOK_CREATE : 0) | (one_in(random, 8) ? NFKIT_HOOK_PERSISTENT : 0) | (one_in(random, 4) ? NFKIT_HOOK_UNDECIDED : 0);
  set->priority = (__s32)below(random, 5) - 2;
  if (one_in(random, 8)) set->priority = (__s32)PICK(random, NUMBERS);
  bool in = set->point <= NFKIT_POINT_FORWARD || set->point == NFKIT_POINT_INGRESS || (set->point >= NFKIT_POINT_BRIDGE_PREROUTING && set->point <= NFKIT_POINT_BRIDGE_FORWARD);
  maybe_device(random, in ? set->in : set->out, set->point >= NFKIT_POINT_INGRESS ? 1 : 6);
  if (set->verdict == NFKIT_VERDICT_REPEAT || one_in(random, 4)) {
    set->flags |= NFKIT_HOOK_MARK;
    set->mark = next(random);
    set->mark_mask = next(random);
  }
  if (set->verdict == NFKIT_VERDICT_QUEUE) {
    set->flags |= one_in(random, 2) ? NFKIT_HOOK_BYPASS : 0;
    set->queue = below(random, 4);
  }
  if (set->verdict == NFKIT_VERDICT_REPEAT) set->repeat = 1 + below(random, NFKIT_MAX_REPEAT);
  else if (set->verdict == NFKIT_VERDICT_REDIRECT || one_in(random, 3)) name(random, set->target);
  if (set->verdict == NFKIT_VERDICT_REDIRECT && one_in(random, 2)) set->flags |= NFKIT_HOOK_FAIL_DROP;
  // Each program takes long to go: see backlog.c.
  if (!one_in(random, 6)) return;
  bool frames = set->point != NFKIT_POINT_LOCAL_OUT && set->point != NFKIT_POINT_POSTROUTING && one_in(random, 2);
  set->link = frames ? NFKIT_LINK_EN10MB : NFKIT_LINK_RAW;
  set->instruction_count = instructions(random, memory, &set->instructions);
}

static void nearly_right(struct random *random, const struct memory *memory, enum command which, int netns, union argument *argument) {
  right(which, argument);
  switch (which) {
  case NETNS:
    argument->netns.fd = one_in(random, 8) ? (__s32)PICK(random, NUMBERS) : netns;
    break;
  case TARGET_SET:
    memset(argument, 0, sizeof *argument);
    argument->size = sizeof argument->target_set;
    target_set(random, memory, &argument->target_set);
    break;
  case TARGET_DELETE:
  case HOOK_DELETE:
    memset(argument->delete.name, 0, NFKIT_NAME_SIZE);
    name(random, argument->delete.name);
    break;
  case TARGET_GET:
    memset(argument->target_get.name, 0, NFKIT_NAME_SIZE);
    name(random, argument->target_get.name);
    argument->target_get.output_count = below(random, 10);
    argument->target_get.output_size = argument->target_get.output_count == 0 ? 0 : sizeof(struct nfkit_output_state) + below(random, 4) * 8;
    argument->target_get.outputs = argument->target_get.output_count == 0 ? 0 : array(random, memory, argument->target_get.output_count * (size_t)argument->target_get.output_size);
    break;
  case TARGET_LIST:
  case HOOK_LIST:
    argument->list.count = one_in(random, 8) ? PICK(random, NUMBERS) : below(random, 64);
    argument->list.names = argument->list.count == 0 ? 0 : array(random, memory, argument->list.count * (size_t)NFKIT_NAME_SIZE);
    break;
  case HOOK_SET:
    memset(argument, 0, sizeof *argument);
    argument->size = sizeof argument->hook_set;
    hook_set(random, memory, &argument->hook_set);
    break;
  case HOOK_GET:
    memset(argument->hook_get.hook.name, 0, NFKIT_NAME_SIZE);
    name(random, argument->hook_get.hook.name);
    argument->hook_get.hook.instruction_count = below(random, 6);
    argument->hook_get.hook.instructions = argument->hook_get.hook.instruction_count == 0 ? 0 : array(random, memory, argument->hook_get.hook.instruction_count * 8UL);
    break;
  case CAPTURE:
    memset(argument->capture.target, 0, NFKIT_NAME_SIZE);
    name(random, argument->capture.target);
    argument->capture.snaplen = one_in(random, 8) ? PICK(random, NUMBERS) : below(random, 200);
    argument->capture.buffer = one_in(random, 16) ? PICK(random, NUMBERS) : NFKIT_MIN_BUFFER + below(random, 100000);
    break;
  default:
    break;
  }
}

void *random_argument(struct random *random, const struct memory *memory, enum command which, int netns) {
  union argument argument;
  size_t size = FORMS[which].size;
  if (one_in(random, 100)) return (void *)PICK(random, ADDRESSES);
  if (one_in(random, 16)) {
    // Bytes, most of them of a size that is taken.
    size_t length = one_in(random, 2) ? size : below(random, STRUCT_PAGES * PAGE);
    unsigned char *at = memory->of_struct + STRUCT_PAGES * PAGE - length;
    fill(random, at, length < 1024 ? length : 1024);
    if (length >= 4 && !one_in(random, 4)) memcpy(at, &(__u32){ (__u32)length }, 4);
    return at;
  }
  nearly_right(random, memory, which, netns, &argument);
  if (one_in(random, 4)) {
    // One thing is changed.
    size_t at = below(random, (uint32_t)size);
    __u32 number = PICK(random, NUMBERS);
    if (one_in(random, 2)) ((unsigned char *)&argument)[at] ^= (unsigned char)(1U << below(random, 8));
    else memcpy((char *)&argument + (at & ~3UL), &number, 4);
  }
  size_t longer = one_in(random, 8) ? below(random, 4 * PAGE) : 0;
  unsigned char *at = memory->of_struct + STRUCT_PAGES * PAGE - size - longer;
  memset(at + size, 0, longer);
  memcpy(at, &argument, size);
  if (longer > 0) {
    // As an argument of a newer program.
    if (argument.size == size) memcpy(at, &(__u32){ (__u32)(size + longer) }, 4);
    if (one_in(random, 2)) at[size + below(random, (uint32_t)longer)] = 1;
  }
  return at;
}
