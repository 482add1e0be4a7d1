// SPDX-License-Identifier: MIT
// Objects that a wrong call could change, and what can be seen of them.

#define _GNU_SOURCE
#include <fcntl.h>
#include "hostile.h"

struct world make_world(void) {
  struct world world = { .own = open_device(O_NONBLOCK), .other = open_device(O_NONBLOCK), .capturing = -1 };
  if (has(TARGET_SET)) {
    expect(0, set_target(world.own, "own", NFKIT_TARGET_REROUTE, "d0"), "a target");
    expect(0, set_target(world.other, "other", 0, "d1"), "a target of another descriptor");
    expect(0, set_target(world.other, "persistent", NFKIT_TARGET_PERSISTENT, "d0"), "a persistent target");
  }
  if (has(HOOK_SET)) {
    expect(0, set_hook(world.own, "own", 0, "own"), "a hook");
    expect(0, set_hook(world.other, "other", 0, ""), "a hook of another descriptor");
    expect(0, set_hook(world.other, "persistent", NFKIT_HOOK_PERSISTENT, "undefined"), "a persistent hook");
  }
  if (has(CAPTURE)) {
    union argument argument;
    world.capturing = open_device(O_NONBLOCK);
    right(CAPTURE, &argument);
    expect(0, call(world.capturing, CAPTURE, &argument), "a capture");
    right(EVENTS, &argument);
    expect(0, call(world.capturing, EVENTS, &argument), "events");
  }
  return world;
}

static void add(struct state *state, const void *bytes, size_t size) {
  if (state->length + size > sizeof state->bytes) die("there are more objects than expected");
  memcpy(state->bytes + state->length, bytes, size);
  state->length += size;
}

static int by_name(const void *one, const void *two) { return memcmp(one, two, NFKIT_NAME_SIZE); }

static void look_at_target(int fd, const char *name, struct state *state) {
  struct nfkit_output_state outputs[NFKIT_MAX_OUTPUTS] = { 0 };
  struct nfkit_target_get get = { .size = sizeof get, .output_count = NFKIT_MAX_OUTPUTS, .output_size = sizeof outputs[0], .outputs = (uintptr_t)outputs };
  memcpy(get.name, name, NFKIT_NAME_SIZE);
  expect(0, call(fd, TARGET_GET, &get), "TARGET_GET of %s", name);
  memset(&get.stats, 0, sizeof get.stats);
  get.outputs = 0;
  for (size_t i = 0; i < NFKIT_MAX_OUTPUTS; i++) memset(&outputs[i].stats, 0, sizeof outputs[i].stats);
  add(state, &get, sizeof get);
  add(state, outputs, sizeof outputs);
}

static void look_at_hook(int fd, const char *name, struct state *state) {
  static _Thread_local unsigned char instructions[NFKIT_MAX_INSTRUCTIONS * 8];
  struct nfkit_hook_get get = { .hook = { .size = sizeof get, .instruction_count = NFKIT_MAX_INSTRUCTIONS, .instructions = (uintptr_t)instructions } };
  memcpy(get.hook.name, name, NFKIT_NAME_SIZE);
  if (!expect(0, call(fd, HOOK_GET, &get), "HOOK_GET of %s", name)) return;
  memset(&get.stats, 0, sizeof get.stats);
  get.hook.instructions = 0;
  add(state, &get, sizeof get);
  add(state, instructions, get.hook.instruction_count * 8UL);
}

static void look_at_all(int fd, enum command which, void (*look_at)(int, const char *, struct state *), struct state *state) {
  if (!has(which)) return;
  char names[32][NFKIT_NAME_SIZE];
  struct nfkit_list list = { .size = sizeof list, .count = 32, .names = (uintptr_t)names };
  expect(0, call(fd, which, &list), "%s", FORMS[which].name);
  if (!check(list.count <= 32, "there are %u objects", list.count)) list.count = 32;
  qsort(names, list.count, NFKIT_NAME_SIZE, by_name);
  for (__u32 i = 0; i < list.count; i++) look_at(fd, names[i], state);
}

void look(int fd, struct state *state) {
  struct nfkit_info info = { .size = sizeof info };
  state->length = 0;
  expect(0, call(fd, INFO, &info), "INFO");
  add(state, &info, sizeof info);
  look_at_all(fd, TARGET_LIST, look_at_target, state);
  look_at_all(fd, HOOK_LIST, look_at_hook, state);
}

const char *difference(const struct state *before, const struct state *after) {
  static char text[128];
  if (before->length != after->length) {
    snprintf(text, sizeof text, "%zu bytes instead of %zu", after->length, before->length);
    return text;
  }
  for (size_t i = 0; i < before->length; i++) {
    if (before->bytes[i] == after->bytes[i]) continue;
    snprintf(text, sizeof text, "byte %zu is 0x%02x instead of 0x%02x", i, after->bytes[i], before->bytes[i]);
    return text;
  }
  return NULL;
}

bool refused(const struct world *world, int fd, enum command which, void *argument, int wanted, const char *what) {
  static struct state before, after;
  look(world->own, &before);
  bool answered = expect(wanted, call(fd, which, argument), "%s: %s", FORMS[which].name, what);
  look(world->own, &after);
  const char *changed = difference(&before, &after);
  bool same = check(changed == NULL, "%s: %s: it changed something: %s", FORMS[which].name, what, changed);
  return answered && same;
}
