// SPDX-License-Identifier: MIT
// Structs and elements of arrays of each size up to four pages, with zeros and with something behind what is known. Each ends where
// memory does: what is read or written behind it is found.

#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>
#include "hostile.h"

#define PAGES 4
#define MOST (PAGES * PAGE)

static struct world world;
static unsigned char *memory;
static const unsigned char zeros[PAGE];

static unsigned char *ending(size_t size) { return memory + MOST - size; }

// A call that shows by its error that the struct was taken, and changes nothing.
static int taken(enum command which, union argument *argument, int *fd) {
  *fd = world.own;
  right(which, argument);
  switch (which) {
  case NETNS:
    return EBUSY;
  case TARGET_SET:
    argument->target_set.flags = NFKIT_TARGET_CREATE;
    put_name(argument->target_set.name, "own");
    return EEXIST;
  case HOOK_SET:
    argument->hook_set.flags = NFKIT_HOOK_CREATE;
    put_name(argument->hook_set.name, "own");
    return EEXIST;
  case TARGET_DELETE:
  case HOOK_DELETE:
    put_name(argument->delete.name, "undefined");
    return ENOENT;
  case CAPTURE:
  case EVENTS:
    *fd = world.capturing;
    return EBUSY;
  case CAPTURE_STATS:
    *fd = world.capturing;
    return 0;
  default:
    return 0;
  }
}

static int wanted_of(size_t size, size_t first, bool zeros, int accepted) {
  return size < first ? EINVAL : size > PAGE ? E2BIG : !zeros && size > first ? E2BIG : accepted;
}

static void structs(enum command which) {
  union argument argument;
  int fd, accepted = taken(which, &argument, &fd);
  size_t first = FORMS[which].size;
  // NETNS is known by its error only when it has a namespace to go to.
  if (which == NETNS) argument.netns.fd = own_netns();
  static struct state before, after;
  look(world.own, &before);
  memset(memory, 0, MOST);
  for (size_t size = 0; size <= MOST; size++) {
    size_t room = size < 4 ? 4 : size;
    unsigned char *at = ending(room);
    // The last byte, or the first that is unknown. Behind the struct all else is zero.
    unsigned char *odd = size > first ? at + (size % 2 == 0 ? size - 1 : first) : NULL;
    // Over a page it is the size alone that is wrong.
    for (int tail = 0; tail < (size > PAGE ? 1 : 2); tail++) {
      argument.size = (__u32)size;
      memcpy(at, &argument, room < first ? room : first);
      if (odd != NULL) *odd = (unsigned char)tail;
      int wanted = wanted_of(size, first, tail == 0, accepted);
      if (!expect(wanted, call(fd, which, at), "%s of %zu bytes, %s", FORMS[which].name, size, tail == 0 ? "zeros behind" : "something behind")) return;
      if (tail != 0 || size <= first || size > PAGE) continue;
      if (!check(memcmp(at + first, zeros, size - first) == 0, "%s of %zu bytes: what is unknown was written", FORMS[which].name, size)) return;
    }
    if (odd != NULL) *odd = 0;
    memset(at, 0, room < first ? room : first);
  }
  look(world.own, &after);
  const char *changed = difference(&before, &after);
  check(changed == NULL, "%s of wrong sizes changed something: %s", FORMS[which].name, changed);
  if (which == NETNS) close(argument.netns.fd);
}

static void outputs_to_set(void) {
  static struct state before, after;
  look(world.own, &before);
  for (size_t size = 0; size <= MOST; size++) {
    for (__u32 count = 1; count <= 2; count++) {
      if (size * count > MOST) continue;
      for (int tail = 0; tail < (size > PAGE ? 1 : 2); tail++) {
        union argument argument;
        size_t known = sizeof(struct nfkit_output_config);
        int fd, accepted = taken(TARGET_SET, &argument, &fd);
        unsigned char *at = ending(size * count);
        memset(at, 0, size * count);
        for (__u32 i = 0; i < count; i++) {
          const struct nfkit_output_config config = { .device = { 'd', (char)('0' + i) } };
          memcpy(at + i * size, &config, size < known ? size : known);
        }
        // In the last element.
        if (tail != 0 && size > known) at[(count - 1) * size + (size % 2 == 0 ? size - 1 : known)] = 1;
        argument.target_set.output_count = count;
        argument.target_set.output_size = (__u32)size;
        argument.target_set.outputs = (uintptr_t)at;
        int wanted = wanted_of(size, known, tail == 0, accepted);
        if (!expect(wanted, call(fd, TARGET_SET, &argument), "%u outputs of %zu bytes, %s", count, size, tail == 0 ? "zeros behind" : "something behind")) return;
      }
    }
  }
  look(world.own, &after);
  check(difference(&before, &after) == NULL, "outputs of wrong sizes changed something");
}

// Those of "own", which has one.
static void outputs_to_get(void) {
  for (size_t size = 0; size <= MOST; size++) {
    size_t known = sizeof(struct nfkit_output_state);
    union argument argument;
    unsigned char *at = ending(size);
    memset(at, 0xff, size < PAGE ? size : PAGE);
    right(TARGET_GET, &argument);
    argument.target_get.output_count = 1;
    argument.target_get.output_size = (__u32)size;
    argument.target_get.outputs = (uintptr_t)at;
    int wanted = wanted_of(size, known, true, 0);
    if (!expect(wanted, call(world.own, TARGET_GET, &argument), "an output of %zu bytes to be read", size)) return;
    if (wanted != 0) continue;
    check(strcmp((char *)at, "d0") == 0, "an output of %zu bytes is of d0", size);
    if (!check(memcmp(at + known, zeros, size - known) == 0, "an output of %zu bytes: not zeros behind what is known", size)) return;
  }
}

// Room for less than there is, and for far more: what is behind the room stays, and so does what is not filled.
static void rooms(enum command which, unsigned there) {
  static const __u32 MORE[] = { NFKIT_MAX_HOOKS, NFKIT_MAX_TARGETS, NFKIT_MAX_TARGETS + 1, 1 << 20, INT32_MAX, UINT32_MAX };
  for (size_t i = 0; i < 16 + sizeof MORE / sizeof MORE[0]; i++) {
    union argument argument;
    __u32 room = i < 16 ? (__u32)i : MORE[i - 16];
    __u32 filled = room < there ? room : there;
    unsigned char *at = ending(filled * NFKIT_NAME_SIZE);
    memset(memory, 0xff, MOST);
    right(which, &argument);
    argument.list.count = room;
    argument.list.names = room == 0 ? 0 : (uintptr_t)at;
    expect(0, call(world.own, which, &argument), "%s with room for %u", FORMS[which].name, room);
    check(argument.list.count == there, "%s with room for %u: %u instead of %u", FORMS[which].name, room, argument.list.count, there);
    check(filled == 0 || (at[-1] == 0xff && memchr(at, 0, filled * NFKIT_NAME_SIZE) != NULL), "%s with room for %u: the names", FORMS[which].name, room);
  }
}

void sizes(void) {
  world = make_world();
  memory = guarded(PAGES);
  for (enum command which = 0; which < COMMANDS; which++) if (has(which)) structs(which);
  if (has(TARGET_SET)) {
    outputs_to_set();
    outputs_to_get();
    rooms(TARGET_LIST, 3);
  }
  if (has(HOOK_SET)) rooms(HOOK_LIST, 3);
  delete_all(world.own);
}
