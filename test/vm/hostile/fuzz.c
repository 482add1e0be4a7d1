// SPDX-License-Identifier: MIT
// Calls by chance from several threads, on descriptors that they share and on their own, while descriptors, devices, targets and
// network namespaces come and go and packets pass.

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "arguments.h"

#define MOST_THREADS 16
#define SHARED 12
#define OWN 4
#define NETWORKS 3
// Descriptors of the device are from here on and others below, so that a call on one that was closed meets the device or nothing.
#define FIRST_FD 200
#define ERRNOS 134

// No call takes so long, but on a machine that is very busy.
#define STUCK_MS 120000

// Between two looks at memory.
#define LOOK_MS 100

static struct slot { int fd; } shared[SHARED];
// Descriptors of the namespaces and packet sockets in them, by which they stay.
static int networks[NETWORKS], packets[NETWORKS];
static int devices;
// Too much memory waits to be freed: descriptors are closed and nothing else, until most of it is.
static volatile bool tight;
static uint64_t waited;

// What ended how: a command or read, by its errno.
enum { READ = COMMANDS, POLL, KINDS };
static uint64_t ended[KINDS][ERRNOS];

static struct worker {
  pthread_t thread;
  struct random random;
  uint64_t calls;
  volatile uint64_t done, turns;
  volatile bool over;
  volatile int at;
  struct memory memory;
  int own[OWN];
  unsigned char *read_to;
} workers[MOST_THREADS];

static void count(int kind, int error) {
  static const int MAY[] = { 0, EINVAL, E2BIG, ENOENT, EEXIST, EPERM, ENOTTY, EFAULT, EBUSY, EBADF, ENOSPC, ENOMEM, EOPNOTSUPP, ENETDOWN, EMSGSIZE, EAGAIN, EINTR };
  bool known = false;
  for (size_t i = 0; i < sizeof MAY / sizeof MAY[0]; i++) known = known || error == MAY[i];
  check(known, "%s: %s", kind == READ ? "read" : kind == POLL ? "poll" : FORMS[kind].name, errno_name(error));
  if (error < ERRNOS) __atomic_add_fetch(&ended[kind][error], 1, __ATOMIC_RELAXED);
}

static uint32_t into(struct random *random) {
  uint32_t network = below(random, NETWORKS);
  // It may be gone by now: then this thread stays where it is.
  setns(__atomic_load_n(&networks[network], __ATOMIC_RELAXED), CLONE_NEWNET);
  return network;
}

static int fresh(struct random *random) {
  into(random);
  // Three of four never wait; the others are woken by signals.
  int low = open(DEVICE, O_RDWR | O_CLOEXEC | (one_in(random, 4) ? 0 : O_NONBLOCK));
  int fd = fcntl(low, F_DUPFD_CLOEXEC, FIRST_FD);
  close(low);
  return fd;
}

static int *slot_of(struct worker *worker) {
  return one_in(&worker->random, 3) ? &worker->own[below(&worker->random, OWN)] : &shared[below(&worker->random, SHARED)].fd;
}

static void reopen(struct worker *worker) {
  int *slot = slot_of(worker);
  int old = __atomic_exchange_n(slot, fresh(&worker->random), __ATOMIC_RELAXED);
  // Others may be in a call on it.
  if (old >= 0) close(old);
}

static void change_devices(struct worker *worker) {
  struct random *random = &worker->random;
  into(random);
  switch (below(random, 6)) {
  case 0:
    delete_device("d0");
    break;
  case 1:
    delete_device("v0");
    break;
  case 2:
    add_device("br0", "bridge", NULL);
    set_up("br0");
    attach("br0", "v1");
    break;
  case 3:
    add_device("v0", "veth", "v1");
    set_up("v0");
    set_up("v1");
    break;
  default:
    add_device("d0", "dummy", NULL);
    set_up("d0");
  }
  __atomic_add_fetch(&devices, 1, __ATOMIC_RELAXED);
}

static void replace_network(struct worker *worker) {
  new_network();
  uint32_t network = below(&worker->random, NETWORKS);
  close(__atomic_exchange_n(&packets[network], packet_socket(), __ATOMIC_RELAXED));
  close(__atomic_exchange_n(&networks[network], own_netns(), __ATOMIC_RELAXED));
  // Now it is kept by threads that are in it, and not by descriptors.
}

static void make_call(struct worker *worker) {
  struct random *random = &worker->random;
  int fd = __atomic_load_n(slot_of(worker), __ATOMIC_RELAXED);
  uint32_t what = below(random, 100);
  if (what < 6) {
    size_t size = one_in(random, 4) ? below(random, 200) : below(random, 8 * PAGE);
    worker->at = READ;
    count(READ, errno_of(read(fd, one_in(random, 20) ? (void *)8 : worker->read_to + 8 * PAGE - size, size)));
  } else if (what < 11) {
    struct pollfd poll_of = { .fd = fd, .events = POLLIN };
    worker->at = POLL;
    count(POLL, errno_of(poll(&poll_of, 1, 0)));
  } else {
    // Targets and hooks are made more often than the rest, as there is more that can be wrong.
    static const enum command OFTEN[] = { TARGET_SET, TARGET_SET, HOOK_SET, HOOK_SET, TARGET_DELETE, HOOK_DELETE, CAPTURE };
    enum command which = one_in(random, 2) ? OFTEN[below(random, sizeof OFTEN / sizeof OFTEN[0])] : (enum command)below(random, COMMANDS);
    int netns = __atomic_load_n(&networks[below(random, NETWORKS)], __ATOMIC_RELAXED);
    void *argument = random_argument(random, &worker->memory, which, netns);
    unsigned long number = one_in(random, 200) ? next(random) : FORMS[which].command;
    worker->at = (int)which;
    count((int)which, errno_of(ioctl(fd, number, argument)));
  }
  worker->at = -1;
}

static void *work(void *of) {
  struct worker *worker = of;
  struct random *random = &worker->random;
  for (int i = 0; i < OWN; i++) worker->own[i] = fresh(random);
  while (worker->done < worker->calls) {
    if (tight) {
      reopen(worker);
      pause_ms(10);
      worker->turns++;
      continue;
    }
    uint32_t what = below(random, 10000);
    if (what < 300) reopen(worker);
    else if (what < 330) change_devices(worker);
    else if (what < 340) replace_network(worker);
    else if (what < 500) {
      uint32_t network = into(random);
      send_traffic(__atomic_load_n(&packets[network], __ATOMIC_RELAXED), 4);
    } else {
      make_call(worker);
      worker->done++;
    }
  }
  for (int i = 0; i < OWN; i++) if (worker->own[i] >= 0) close(worker->own[i]);
  worker->over = true;
  return NULL;
}

static void nothing(int signal) { (void)signal; }

static uint64_t progress(const struct worker *worker) { return worker->done + worker->turns; }

// Wakes those that wait in read, and sees that all go on, and that memory lasts.
static void watch(unsigned threads) {
  uint64_t done[MOST_THREADS] = { 0 }, since[MOST_THREADS], looked = now();
  for (unsigned i = 0; i < threads; i++) since[i] = now();
  for (bool running = true; running;) {
    running = false;
    for (unsigned i = 0; i < threads; i++) {
      if (workers[i].over) continue;
      running = true;
      pthread_kill(workers[i].thread, SIGUSR1);
      if (progress(&workers[i]) != done[i]) {
        done[i] = progress(&workers[i]);
        since[i] = now();
      } else if (now() - since[i] > STUCK_MS) {
        errno = 0;
        die("thread %u is stuck after %lu calls, in %d", i, (unsigned long)workers[i].done, workers[i].at);
      }
    }
    pause_ms(2);
    uint64_t passed = now() - looked;
    if (passed < LOOK_MS) continue;
    looked += passed;
    if (tight) waited += passed;
    tight = backlog_grows(tight);
  }
}

static void say(void) {
  for (int kind = 0; kind < KINDS; kind++) {
    uint64_t sum = 0;
    char text[1024];
    int at = 0;
    for (int error = 0; error < ERRNOS; error++) {
      if (ended[kind][error] == 0) continue;
      sum += ended[kind][error];
      at += snprintf(text + at, sizeof text - (size_t)at, ", %s %lu", error == 0 ? "success" : errno_name(error), (unsigned long)ended[kind][error]);
    }
    printf("# %s %lu%s\n", kind == READ ? "read" : kind == POLL ? "poll" : FORMS[kind].name, (unsigned long)sum, sum == 0 ? "" : text);
    // Calls that never succeed try nothing but the first check.
    if (kind >= COMMANDS ? has(CAPTURE) : has((enum command)kind)) check(sum < 200 || ended[kind][0] > 0, "%lu calls of kind %d never succeeded", (unsigned long)sum, kind);
  }
  printf("# %d changes of devices; %lu ms until memory was free\n", devices, (unsigned long)waited);
}

// What is left in a namespace must be persistent, and go.
static void clean(int network) {
  if (setns(network, CLONE_NEWNET) != 0) die("setns");
  int fd = open_device(0);
  delete_all(fd);
  struct nfkit_info info = { .size = sizeof info };
  expect(0, call(fd, INFO, &info), "INFO");
  check(info.targets == 0 && info.hooks == 0 && info.captures == 0, "%u targets, %u hooks and %u captures are left", info.targets, info.hooks, info.captures);
  close(fd);
}

void fuzz(uint64_t calls, uint64_t seed, unsigned threads) {
  struct sigaction action = { .sa_handler = nothing };
  sigaction(SIGUSR1, &action, NULL);
  if (threads == 0 || threads > MOST_THREADS) threads = 4;
  printf("# seed %lu: the same calls come of `hostile fuzz %lu %lu %u`\n", (unsigned long)seed, (unsigned long)calls, (unsigned long)seed, threads);
  fflush(stdout);
  for (int i = 0; i < NETWORKS; i++) {
    new_network();
    networks[i] = own_netns();
    packets[i] = packet_socket();
  }
  struct random random = { seed };
  for (int i = 0; i < SHARED; i++) shared[i].fd = fresh(&random);
  backlog_begin();
  uint64_t began = now();
  for (unsigned i = 0; i < threads; i++) {
    workers[i] = (struct worker){ .random = { seed * MOST_THREADS + i + 1 }, .calls = calls / threads, .memory = arguments_memory(), .read_to = guarded(8) };
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) die("a thread");
  }
  watch(threads);
  for (unsigned i = 0; i < threads; i++) pthread_join(workers[i].thread, NULL);
  for (int i = 0; i < SHARED; i++) if (shared[i].fd >= 0) close(shared[i].fd);
  for (int i = 0; i < NETWORKS; i++) clean(networks[i]);
  printf("# %lu calls in %lu ms\n", (unsigned long)calls, (unsigned long)(now() - began));
  say();
}
