// SPDX-License-Identifier: MIT
// Several threads call rightly at once, on one descriptor that they share and on one each, while packets pass and network namespaces
// with all kinds of objects go. Each thread has names of its own, so that it knows how every call ends and what is there.

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#include "hostile.h"

#define THREADS 4
#define NAMES 4
// The kernel takes namespaces apart in the background.
#define PATIENCE_MS 60000

// An object as it should be; `value` is its mark or priority.
struct object { bool there, persistent; int value; };

// Of a descriptor: what a thread has made by it. `used`: it has had an object and is bound.
struct holder { int fd; char letter; bool used, capturing, events; struct object targets[NAMES], hooks[NAMES]; };

static struct worker {
  pthread_t thread;
  unsigned number;
  struct random random;
  struct holder shared, own;
  uint64_t calls;
} workers[THREADS];

static int network;
static volatile bool over;
static uint64_t gone;

static void enter(int netns) {
  if (setns(netns, CLONE_NEWNET) != 0) die("setns");
}

static const char *name_of(const struct worker *worker, const struct holder *holder, unsigned which) {
  static _Thread_local char name[NFKIT_NAME_SIZE];
  sprintf(name, "%c%u-%u", holder->letter, worker->number, which);
  return name;
}

static int set(struct worker *worker, struct holder *holder, bool hook, unsigned which, __u32 flags, int value) {
  union argument argument;
  right(hook ? HOOK_SET : TARGET_SET, &argument);
  if (hook) {
    argument.hook_set.flags = flags;
    argument.hook_set.priority = value;
    put_name(argument.hook_set.name, name_of(worker, holder, which));
    put_name(argument.hook_set.target, name_of(worker, holder, which));
    return call(holder->fd, HOOK_SET, &argument);
  }
  argument.target_set.flags = flags | NFKIT_TARGET_REROUTE | NFKIT_TARGET_CAPTURE;
  argument.target_set.mark = (__u32)value;
  put_name(argument.target_set.name, name_of(worker, holder, which));
  return call(holder->fd, TARGET_SET, &argument);
}

static void make(struct worker *worker, struct holder *holder, bool hook, unsigned which) {
  struct object *object = &(hook ? holder->hooks : holder->targets)[which];
  bool create = one_in(&worker->random, 4), persistent = one_in(&worker->random, 8);
  int value = (int)below(&worker->random, 1000);
  __u32 flags = hook ? (create ? NFKIT_HOOK_CREATE : 0) | (persistent ? NFKIT_HOOK_PERSISTENT : 0) :
    (create ? NFKIT_TARGET_CREATE : 0) | (persistent ? NFKIT_TARGET_PERSISTENT : 0);
  bool exists = create && object->there;
  if (!expect(exists ? EEXIST : 0, set(worker, holder, hook, which, flags, value), "%s, made", name_of(worker, holder, which)) || exists) return;
  *object = (struct object){ true, persistent, value };
  holder->used = true;
}

// By a descriptor that may be another's.
static void delete(struct worker *worker, struct holder *holder, int fd, bool hook, unsigned which) {
  struct object *object = &(hook ? holder->hooks : holder->targets)[which];
  int wanted = !object->there ? ENOENT : fd == holder->fd || object->persistent ? 0 : EPERM;
  expect(wanted, delete_object(fd, hook ? HOOK_DELETE : TARGET_DELETE, name_of(worker, holder, which)), "%s, deleted", name_of(worker, holder, which));
  if (wanted == 0) object->there = false;
}

static void look_at(struct worker *worker, struct holder *holder, int fd, bool hook, unsigned which) {
  const struct object *object = &(hook ? holder->hooks : holder->targets)[which];
  const char *name = name_of(worker, holder, which);
  bool own = fd == holder->fd && !object->persistent;
  union argument argument;
  memset(&argument, 0, sizeof argument);
  argument.size = (__u32)FORMS[hook ? HOOK_GET : TARGET_GET].size;
  put_name(hook ? argument.hook_get.hook.name : argument.target_get.name, name);
  if (!expect(object->there ? 0 : ENOENT, call(fd, hook ? HOOK_GET : TARGET_GET, &argument), "%s, read", name) || !object->there) return;
  int value = hook ? argument.hook_get.hook.priority : (int)argument.target_get.mark;
  __u32 flags = hook ? argument.hook_get.hook.flags : argument.target_get.flags;
  check(value == object->value && ((flags & NFKIT_OWN) != 0) == own, "%s is %d, flags 0x%x, instead of %d, %s", name, value, flags, object->value, own ? "own" : "not own");
}

static bool is_listed(const char (*names)[NFKIT_NAME_SIZE], __u32 count, const char *name) {
  for (__u32 i = 0; i < count; i++) if (strncmp(names[i], name, NFKIT_NAME_SIZE) == 0) return true;
  return false;
}

static void list(struct worker *worker, int fd, bool hook) {
  char names[128][NFKIT_NAME_SIZE];
  struct nfkit_list list = { .size = sizeof list, .count = 128, .names = (uintptr_t)names };
  if (!expect(0, call(fd, hook ? HOOK_LIST : TARGET_LIST, &list), "a list") || !check(list.count <= 128, "%u are listed", list.count)) return;
  struct holder *const HOLDERS[] = { &worker->shared, &worker->own };
  for (unsigned i = 0; i < 2 * NAMES; i++) {
    struct holder *holder = HOLDERS[i / NAMES];
    const char *name = name_of(worker, holder, i % NAMES);
    bool there = (hook ? holder->hooks : holder->targets)[i % NAMES].there;
    check(is_listed(names, list.count, name) == there, "%s is listed: %d", name, !there);
  }
}

static void capture(struct worker *worker) {
  struct holder *own = &worker->own;
  union argument argument;
  right(CAPTURE, &argument);
  put_name(argument.capture.target, name_of(worker, own, below(&worker->random, NAMES)));
  expect(own->capturing ? EBUSY : 0, call(own->fd, CAPTURE, &argument), "a capture");
  own->used = own->capturing = true;
  right(CAPTURE_STATS, &argument);
  expect(0, call(own->fd, CAPTURE_STATS, &argument), "what it counted");
}

static void events(struct holder *own) {
  union argument argument;
  right(EVENTS, &argument);
  expect(own->events ? EBUSY : 0, call(own->fd, EVENTS, &argument), "events");
  own->used = own->events = true;
}

static void consume(const struct holder *holder) {
  unsigned char bytes[2 * PAGE];
  struct pollfd poll_of = { .fd = holder->fd, .events = POLLIN };
  expect(0, errno_of(poll(&poll_of, 1, 0)), "poll");
  check((poll_of.revents & ~POLLIN) == 0, "poll tells 0x%x", poll_of.revents);
  int error = errno_of(read(holder->fd, bytes, sizeof bytes));
  if (holder->capturing || holder->events) check(error == 0 || error == EAGAIN, "read: %s", errno_name(error));
  else expect(EINVAL, error, "read of what has no records");
}

static void bind_again(const struct holder *holder) {
  union argument argument;
  right(NETNS, &argument);
  argument.netns.fd = network;
  expect(holder->used ? EBUSY : 0, call(holder->fd, NETNS, &argument), "its namespace again");
}

// What is not persistent goes with the descriptor.
static void reopen(struct worker *worker) {
  struct holder *own = &worker->own;
  close(own->fd);
  own->fd = open_device(O_NONBLOCK);
  own->used = own->capturing = own->events = false;
  for (unsigned i = 0; i < NAMES; i++) {
    if (!own->targets[i].persistent) own->targets[i].there = false;
    if (!own->hooks[i].persistent) own->hooks[i].there = false;
  }
}

static void *work(void *of) {
  struct worker *worker = of;
  struct random *random = &worker->random;
  enter(network);
  worker->own = (struct holder){ .fd = open_device(O_NONBLOCK), .letter = 'o' };
  for (; !over; worker->calls++) {
    struct holder *holder = one_in(random, 2) ? &worker->shared : &worker->own;
    int other = holder == &worker->own ? worker->shared.fd : worker->own.fd;
    int fd = one_in(random, 4) ? other : holder->fd;
    unsigned what = below(random, 20), which = below(random, NAMES);
    bool hook = one_in(random, 2);
    if (what < 6) make(worker, holder, hook, which);
    else if (what < 9) delete(worker, holder, fd, hook, which);
    else if (what < 13) look_at(worker, holder, fd, hook, which);
    else if (what < 14) list(worker, fd, hook);
    else if (what < 15) capture(worker);
    else if (what < 16) events(&worker->own);
    else if (what < 18) consume(holder);
    else if (what < 19) bind_again(holder);
    else reopen(worker);
  }
  close(worker->own.fd);
  return NULL;
}

static void *traffic(void *with) {
  (void)with;
  enter(network);
  int packet = packet_socket();
  while (!over) {
    send_traffic(packet, 8);
    pause_ms(1);
  }
  close(packet);
  return NULL;
}

// Namespaces with objects, of which some go while they are open and some with their descriptors.
static void *go(void *with) {
  (void)with;
  while (!over) {
    new_network();
    struct world world = make_world();
    int packet = packet_socket();
    send_traffic(packet, 4);
    close(packet);
    enter(network);
    if (gone % 4 != 0) {
      struct nfkit_info info = { .size = sizeof info };
      int error = 0;
      for (uint64_t began = now(); (error = call(world.own, INFO, &info)) == 0 && now() - began < PATIENCE_MS; pause_ms(2)) info = (struct nfkit_info){ .size = sizeof info };
      expect(ENETDOWN, error, "a namespace that nothing is in");
      expect(ENETDOWN, set_target(world.other, "late", NFKIT_TARGET_REROUTE, NULL), "a target of a namespace that is gone");
    }
    close(world.own);
    close(world.other);
    close(world.capturing);
    __atomic_add_fetch(&gone, 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

void together(unsigned seconds, uint64_t seed) {
  pthread_t other[2];
  uint64_t calls = 0;
  new_network();
  add_device("v0", "veth", "v1");
  set_up("v0");
  set_up("v1");
  network = own_netns();
  int shared = open_device(O_NONBLOCK);
  expect(0, set_target(shared, "first", NFKIT_TARGET_REROUTE, NULL), "a target");
  printf("# seed %lu\n", (unsigned long)seed);
  for (unsigned i = 0; i < THREADS; i++) {
    workers[i] = (struct worker){ .number = i, .random = { seed * THREADS + i }, .shared = { .fd = shared, .letter = 's', .used = true } };
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) die("a thread");
  }
  if (pthread_create(&other[0], NULL, traffic, NULL) != 0 || pthread_create(&other[1], NULL, go, NULL) != 0) die("a thread");
  pause_ms(seconds * 1000);
  over = true;
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(workers[i].thread, NULL);
    calls += workers[i].calls;
  }
  for (int i = 0; i < 2; i++) pthread_join(other[i], NULL);
  printf("# %lu steps, %lu namespaces went\n", (unsigned long)calls, (unsigned long)gone);
  check(calls > 20 && gone > 0, "there was something to do");
  delete_all(shared);
  struct nfkit_info info = { .size = sizeof info };
  expect(0, call(shared, INFO, &info), "INFO");
  check(info.targets == 0 && info.hooks == 0 && info.captures == 0, "%u targets, %u hooks and %u captures are left", info.targets, info.hooks, info.captures);
  close(shared);
  close(network);
}
