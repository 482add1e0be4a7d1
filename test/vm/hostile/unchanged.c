// SPDX-License-Identifier: MIT
// Calls by chance one after another: one that is refused, for whatever reason, has changed nothing that can be seen.

#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>
#include "arguments.h"

// After so many calls all begins anew, before there are too many objects to look at.
#define ROUND 200

static struct world begin(void) {
  struct world world = make_world();
  // The names that are used by chance: half of them are another's.
  for (int i = 0; i < 4; i++) {
    char name[NFKIT_NAME_SIZE];
    sprintf(name, "n%d", i);
    expect(0, set_target(i % 2 == 0 ? world.own : world.other, name, NFKIT_TARGET_CAPTURE, NULL), "a target");
    if (has(HOOK_SET)) expect(0, set_hook(i % 2 == 0 ? world.own : world.other, name, 0, name), "a hook");
  }
  return world;
}

static void end(const struct world *world) {
  delete_all(world->own);
  close(world->own);
  close(world->other);
  if (world->capturing >= 0) close(world->capturing);
}

void unchanged(uint64_t calls, uint64_t seed) {
  static struct state before, after;
  struct random random = { seed };
  struct memory memory = arguments_memory();
  int home = own_netns(), refusals = 0;
  printf("# seed %lu\n", (unsigned long)seed);
  while (calls > 0) {
    struct world world = begin();
    int fresh = open_device(O_NONBLOCK);
    const int FDS[] = { world.own, world.own, world.capturing, fresh };
    look(world.own, &before);
    for (int i = 0; i < ROUND && calls > 0; i++, calls--) {
      enum command which = (enum command)below(&random, COMMANDS);
      void *argument = random_argument(&random, &memory, which, home);
      int error = call(FDS[below(&random, sizeof FDS / sizeof FDS[0])], which, argument);
      look(world.own, &after);
      if (error != 0) {
        const char *changed = difference(&before, &after);
        check(changed == NULL, "%s, %s: it changed something: %s", FORMS[which].name, errno_name(error), changed);
        refusals++;
      }
      before = after;
    }
    close(fresh);
    end(&world);
  }
  printf("# %d were refused\n", refusals);
}
