// SPDX-License-Identifier: MIT
// Each field of a hook wrong by itself, and every cell of the matrix at enum nfkit_point.

#define _GNU_SOURCE
#include <linux/filter.h>
#include "hostile.h"

// What may be where: the matrix, read from the header's comment.
static const struct point {
  const char *name;
  const char *in, *out, *physin, *physout; // "x" may, "X" must, "-" not
  bool ethernet, queue, reroute, family;
  __u64 feature;
} POINTS[] = {
  { "PREROUTING", "x", "-", "x", "-", true, true, false, true, NFKIT_FEATURE_HOOKS },
  { "LOCAL_IN", "x", "-", "x", "-", true, true, true, true, NFKIT_FEATURE_HOOKS },
  { "FORWARD", "x", "x", "x", "x", true, true, true, true, NFKIT_FEATURE_HOOKS },
  { "LOCAL_OUT", "-", "x", "-", "-", false, true, true, true, NFKIT_FEATURE_HOOKS },
  { "POSTROUTING", "-", "x", "-", "x", false, true, true, true, NFKIT_FEATURE_HOOKS },
  { "BRIDGE_PREROUTING", "x", "-", "-", "-", true, true, false, false, NFKIT_FEATURE_HOOKS_BRIDGE },
  { "BRIDGE_LOCAL_IN", "x", "-", "-", "-", true, true, false, false, NFKIT_FEATURE_HOOKS_BRIDGE },
  { "BRIDGE_FORWARD", "x", "x", "-", "-", true, true, false, false, NFKIT_FEATURE_HOOKS_BRIDGE },
  { "BRIDGE_LOCAL_OUT", "-", "x", "-", "-", true, true, false, false, NFKIT_FEATURE_HOOKS_BRIDGE },
  { "BRIDGE_POSTROUTING", "-", "x", "-", "-", true, true, false, false, NFKIT_FEATURE_HOOKS_BRIDGE },
  { "INGRESS", "X", "-", "-", "-", true, false, false, false, NFKIT_FEATURE_HOOKS_INGRESS },
  { "EGRESS", "-", "X", "-", "-", true, false, false, false, NFKIT_FEATURE_HOOKS_EGRESS },
};
#define POINT_COUNT (sizeof POINTS / sizeof POINTS[0])

static const struct world *world;
static union argument a;
static struct nfkit_hook_set *const h = &a.hook_set;

#define WRONG(wanted, change) do { right(HOOK_SET, &a); change; refused(world, world->own, HOOK_SET, &a, wanted, #change); } while (0)

static void right_at(__u8 point) {
  right(HOOK_SET, &a);
  h->point = point;
  h->family = POINTS[point].family ? NFKIT_FAMILY_IPV4 | NFKIT_FAMILY_IPV6 : 0;
  if (*POINTS[point].in == 'X') strcpy(h->in, "d0");
  if (*POINTS[point].out == 'X') strcpy(h->out, "d0");
}

// What is right is made and deleted; what is not is refused. Where the kernel lacks the point both are refused.
static void cell(__u8 point, bool may, const char *what) {
  char text[128];
  snprintf(text, sizeof text, "%s: %s", POINTS[point].name, what);
  if (!may) {
    refused(world, world->own, HOOK_SET, &a, EINVAL, text);
  } else if ((features & POINTS[point].feature) == 0) {
    refused(world, world->own, HOOK_SET, &a, EOPNOTSUPP, text);
  } else {
    expect(0, call(world->own, HOOK_SET, &a), "%s", text);
    expect(0, delete_object(world->own, HOOK_DELETE, "new"), "%s: deleted", text);
  }
}

static void devices(__u8 point) {
  char *const fields[] = { h->in, h->out, h->physin, h->physout };
  const char *const may[] = { POINTS[point].in, POINTS[point].out, POINTS[point].physin, POINTS[point].physout };
  static const char *const NAMES[] = { "in", "out", "physin", "physout" };
  for (int i = 0; i < 4; i++) {
    right_at(point);
    strcpy(fields[i], "d1");
    cell(point, *may[i] != '-', NAMES[i]);
    right_at(point);
    if (*may[i] == 'X') {
      memset(fields[i], 0, NFKIT_DEVICE_SIZE);
      cell(point, false, "without the device");
    }
    right_at(point);
    strcpy(fields[i], "a/b");
    cell(point, false, "no device's name");
    right_at(point);
    memset(fields[i], 'a', NFKIT_DEVICE_SIZE);
    cell(point, false, "a device's name without an end");
    right_at(point);
    memcpy(fields[i], "d0\0x", 4);
    cell(point, false, "something behind a device's name");
    right_at(point);
    fields[i][NFKIT_DEVICE_SIZE - 1] = 1;
    cell(point, false, "something behind an empty or short name");
  }
}

static void verdicts(__u8 point) {
  right_at(point);
  cell(point, true, "ACCEPT");
  right_at(point);
  h->verdict = NFKIT_VERDICT_DROP;
  cell(point, true, "DROP");
  right_at(point);
  h->verdict = NFKIT_VERDICT_QUEUE;
  cell(point, POINTS[point].queue, "QUEUE");
  right_at(point);
  h->verdict = NFKIT_VERDICT_REDIRECT;
  put_name(h->target, "undefined");
  cell(point, true, "REDIRECT");
  right_at(point);
  h->verdict = NFKIT_VERDICT_REPEAT;
  h->flags = NFKIT_HOOK_MARK;
  h->repeat = NFKIT_MAX_REPEAT;
  cell(point, true, "REPEAT");
  right_at(point);
  h->flags = NFKIT_HOOK_MARK;
  h->mark = h->mark_mask = UINT32_MAX;
  cell(point, true, "a mark");
  right_at(point);
  put_name(h->target, "own");
  cell(point, POINTS[point].reroute, "a target that reroutes");
  right_at(point);
  h->link = NFKIT_LINK_EN10MB;
  cell(point, POINTS[point].ethernet, "EN10MB");
  for (__u8 family = 0; family < 4; family++) {
    right_at(point);
    h->family = family;
    cell(point, POINTS[point].family == (family != 0), "the family");
  }
}

static void programs(void) {
  static struct sock_filter wrong[][2] = {
    { { 0x00ff, 0, 0, 0 }, BPF_STMT(BPF_RET | BPF_K, 0) },
    { BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_LD | BPF_IMM, 0) },
    { BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), BPF_STMT(BPF_RET | BPF_K, 0) },
    { BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0) },
    { BPF_JUMP(BPF_JMP | BPF_JA, UINT32_MAX, 0, 0), BPF_STMT(BPF_RET | BPF_K, 0) },
    { BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, 0) },
    { BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), BPF_STMT(BPF_RET | BPF_K, 0) },
    { BPF_STMT(BPF_ST, 16), BPF_STMT(BPF_RET | BPF_K, 0) },
    { BPF_STMT(BPF_LD | BPF_MEM, 16), BPF_STMT(BPF_RET | BPF_K, 0) },
    { BPF_STMT(BPF_LD | BPF_MEM, 1), BPF_STMT(BPF_RET | BPF_K, 0) },
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    char what[64];
    snprintf(what, sizeof what, "program %zu, which is none", i);
    right(HOOK_SET, &a);
    h->instruction_count = 2;
    h->instructions = (uintptr_t)wrong[i];
    refused(world, world->own, HOOK_SET, &a, EINVAL, what);
  }
  WRONG(EINVAL, h->instruction_count = NFKIT_MAX_INSTRUCTIONS + 1);
  WRONG(EINVAL, h->instruction_count = UINT32_MAX);
  WRONG(EINVAL, h->instruction_count = 0x20000001);
  WRONG(EINVAL, (h->instruction_count = 0, h->instructions = 0));
  WRONG(EFAULT, h->instructions = 0);
  WRONG(EINVAL, h->link = 0);
  WRONG(EINVAL, h->link = 2);
  WRONG(EINVAL, h->link = UINT32_MAX);
}

// What has a value only with a verdict or flag.
static void options(void) {
  for (int bit = 6; bit < 32; bit++) WRONG(EINVAL, h->flags = 1U << bit);
  WRONG(EINVAL, h->flags = NFKIT_HOOK_BYPASS);
  WRONG(EINVAL, h->flags = NFKIT_HOOK_FAIL_DROP);
  WRONG(EINVAL, h->mark = 1);
  WRONG(EINVAL, h->mark_mask = 1);
  WRONG(EINVAL, h->queue = 1);
  WRONG(EINVAL, (h->verdict = NFKIT_VERDICT_QUEUE, h->queue = 65536));
  WRONG(EINVAL, (h->verdict = NFKIT_VERDICT_QUEUE, h->queue = UINT32_MAX));
  WRONG(EINVAL, h->repeat = 1);
  WRONG(EINVAL, (h->verdict = NFKIT_VERDICT_REPEAT, h->repeat = 1));
  WRONG(EINVAL, (h->verdict = NFKIT_VERDICT_REPEAT, h->flags = NFKIT_HOOK_MARK));
  WRONG(EINVAL, (h->verdict = NFKIT_VERDICT_REPEAT, h->flags = NFKIT_HOOK_MARK, h->repeat = NFKIT_MAX_REPEAT + 1));
  WRONG(EINVAL, (h->verdict = NFKIT_VERDICT_REPEAT, h->flags = NFKIT_HOOK_MARK, h->repeat = 1, put_name(h->target, "own")));
  WRONG(EINVAL, h->verdict = NFKIT_VERDICT_REDIRECT);
  for (int verdict = NFKIT_VERDICT_REPEAT + 1; verdict < 256; verdict += 25) WRONG(EINVAL, h->verdict = (__u8)verdict);
  WRONG(EINVAL, put_name(h->target, "a b"));
  WRONG(EINVAL, h->target[1] = 1);
  WRONG(EINVAL, memset(h->target, 'a', NFKIT_NAME_SIZE));
  WRONG(EINVAL, h->family = 4);
  WRONG(EINVAL, h->family = 0xff);
  WRONG(EINVAL, h->reserved = 1);
  WRONG(EINVAL, h->point = POINT_COUNT);
  WRONG(EINVAL, h->point = 0xff);
  WRONG(EINVAL, h->name[0] = 0);
  WRONG(EINVAL, put_name(h->name, "a b"));
  WRONG(EINVAL, h->name[4] = 1);
  WRONG(EINVAL, memset(h->name, 'a', NFKIT_NAME_SIZE));
  WRONG(EEXIST, (h->flags = NFKIT_HOOK_CREATE, put_name(h->name, "own")));
  WRONG(EEXIST, (h->flags = NFKIT_HOOK_CREATE, put_name(h->name, "persistent")));
  WRONG(EPERM, put_name(h->name, "other"));
}

static void get(void) {
  // But for size, name, count and address everything is zero in the call.
  for (size_t at = offsetof(struct nfkit_hook_set, flags); at < sizeof(struct nfkit_hook_get); at++) {
    char what[64];
    if (at >= offsetof(struct nfkit_hook_set, name) && at < offsetof(struct nfkit_hook_set, point)) continue;
    if (at >= offsetof(struct nfkit_hook_set, instruction_count) && at < sizeof(struct nfkit_hook_set)) continue;
    snprintf(what, sizeof what, "byte %zu is not zero", at);
    right(HOOK_GET, &a);
    ((unsigned char *)&a)[at] = 0x80;
    refused(world, world->own, HOOK_GET, &a, EINVAL, what);
  }
#define WRONG_GET(wanted, change) do { right(HOOK_GET, &a); change; refused(world, world->own, HOOK_GET, &a, wanted, #change); } while (0)
  WRONG_GET(EINVAL, h->name[0] = 0);
  WRONG_GET(EINVAL, put_name(h->name, "a b"));
  WRONG_GET(EINVAL, h->name[NFKIT_NAME_SIZE - 1] = 1);
  WRONG_GET(ENOENT, put_name(h->name, "undefined"));
  WRONG_GET(EFAULT, h->instructions = 0);
}

// A target that reroutes is not for hooks where no packet has a route, whichever comes first.
static void no_route(void) {
  right(HOOK_SET, &a);
  h->point = NFKIT_POINT_PREROUTING;
  put_name(h->target, "later");
  expect(0, call(world->own, HOOK_SET, &a), "a hook without routes");
  right(TARGET_SET, &a);
  a.target_set.flags = NFKIT_TARGET_REROUTE;
  strcpy(a.target_set.name, "later");
  refused(world, world->own, TARGET_SET, &a, EINVAL, "a target that reroutes, named where no packet has a route");
  expect(0, delete_object(world->own, HOOK_DELETE, "new"), "the hook is deleted");
  expect(0, call(world->own, TARGET_SET, &a), "now it may reroute");
  expect(0, delete_object(world->own, TARGET_DELETE, "later"), "the target is deleted");
}

void hook_fields(const struct world *of) {
  world = of;
  options();
  programs();
  get();
  for (__u8 point = 0; point < POINT_COUNT; point++) {
    devices(point);
    verdicts(point);
  }
  no_route();
}
