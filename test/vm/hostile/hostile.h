// SPDX-License-Identifier: MIT
// What the parts of this program know of one another. It calls /dev/nfkit as programs do that are wrong, or mean it ill.

#ifndef HOSTILE_H
#define HOSTILE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../kmod/uapi/nfkit.h"

#define DEVICE "/dev/nfkit"
#define PAGE 4096UL

// ---- check.c: what is counted and said

extern unsigned long checks, failures;

// An errno, 0 for success, for tests of a result.
int errno_of(long result);
const char *errno_name(int error);
__attribute__((format(printf, 2, 3))) bool check(bool holds, const char *what, ...);
// Whether a call ended as it should. `error` is of errno_of().
__attribute__((format(printf, 3, 4))) bool expect(int wanted, int error, const char *what, ...);
__attribute__((format(printf, 1, 2), noreturn)) void die(const char *what, ...);
// Milliseconds of a clock that only goes on.
uint64_t now(void);
void pause_ms(unsigned milliseconds);

// ---- forms.c: the commands, and a right call of each

enum command {
  INFO, NETNS, TARGET_SET, TARGET_DELETE, TARGET_GET, TARGET_LIST, HOOK_SET, HOOK_DELETE, HOOK_GET, HOOK_LIST, CAPTURE, CAPTURE_STATS, EVENTS, COMMANDS
};

union argument {
  __u32 size;
  struct nfkit_info info;
  struct nfkit_netns netns;
  struct nfkit_target_set target_set;
  struct nfkit_delete delete;
  struct nfkit_target_get target_get;
  struct nfkit_list list;
  struct nfkit_hook_set hook_set;
  struct nfkit_hook_get hook_get;
  struct nfkit_capture capture;
  struct nfkit_capture_stats capture_stats;
  struct nfkit_events events;
};

struct form {
  const char *name;
  unsigned long command;
  size_t size;      // of the struct
  bool answers;     // it is written back
  __u64 feature;    // what the module must have
};

extern const struct form FORMS[COMMANDS];

// NFKIT_FEATURE_* of the module.
extern __u64 features;
bool has(enum command which);

int open_device(int flags);
int own_netns(void);
// The result as of errno_of().
int call(int fd, enum command which, void *argument);
// A call that is right where world() was. Arrays that it points to are static.
void right(enum command which, union argument *argument);
// A name, with zeros behind.
void put_name(char field[NFKIT_NAME_SIZE], const char *name);
int set_target(int fd, const char *name, __u32 flags, const char *device);
int set_hook(int fd, const char *name, __u32 flags, const char *target);
int delete_object(int fd, enum command which, const char *name);
// Deletes all that the descriptor may delete.
void delete_all(int fd);

// ---- world.c: objects that a wrong call could change, and what can be seen of them

// Two descriptors of one namespace, with a target and a hook each, and persistent ones.
struct world {
  int own, other, capturing;
};

struct world make_world(void);
// What the commands tell of all objects, but for what packets change.
struct state {
  size_t length;
  unsigned char bytes[64 * 1024];
};
void look(int fd, struct state *state);
// What has changed, or NULL.
const char *difference(const struct state *before, const struct state *after);
// Calls and wants that error, and all objects as they were.
bool refused(const struct world *world, int fd, enum command which, void *argument, int wanted, const char *what);

// ---- memory.c

// `pages` of memory with none behind: the end of what can be used.
unsigned char *guarded(size_t pages);
void *unmapped(void);

// ---- backlog.c

void backlog_begin(void);
// Whether so much memory waits to be freed that one should too; `before`: that is done already.
bool backlog_grows(bool before);

// ---- network.c: devices and packets in this thread's network namespace

void new_network(void);
void add_device(const char *name, const char *kind, const char *peer);
void delete_device(const char *name);
void set_up(const char *name);
void attach(const char *bridge, const char *name);
// Takes it down for that.
void rename_device(const char *name, const char *to);
void move_device(const char *name, int netns);
// 0: there is none.
__u32 device_index(const char *name);
// A socket for send_traffic(). To close one takes the kernel a tenth of a second.
int packet_socket(void);
// UDP packets to itself, and a frame by each of the devices that are there.
void send_traffic(int packet, unsigned count);

// ---- random.c

struct random { uint64_t state; };
uint32_t next(struct random *random);
uint32_t below(struct random *random, uint32_t limit);
bool one_in(struct random *random, uint32_t of);

// ---- the parts, each of which runs in a network namespace of its own

void fields(void);
void hook_fields(const struct world *world);
void limits(void);
void sizes(void);
void pointers(void);
void reading(void);
void waiting(void);
void fuzz(uint64_t calls, uint64_t seed, unsigned threads);
void unchanged(uint64_t calls, uint64_t seed);
void callers(void);
void namespaces(void);
void together(unsigned seconds, uint64_t seed);
void stress(unsigned seconds);
void moving(unsigned seconds, uint64_t seed);

#endif
