// SPDX-License-Identifier: MIT
// read(2) and poll(2) that wait, are woken and interrupted; what of many records a buffer of each size gets; and what a descriptor
// cannot do.

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>
#include "hostile.h"

#define RECORD sizeof(struct nfkit_event_record)
#define PAGES 4

// No call waits so long, but on a machine that is very busy.
#define PATIENCE_MS 60000

static int writer;
static unsigned made;

static int event_reader(int flags) {
  union argument argument;
  int fd = open_device(flags);
  right(EVENTS, &argument);
  expect(0, call(fd, EVENTS, &argument), "events");
  return fd;
}

static void event(void) {
  char name[NFKIT_NAME_SIZE];
  sprintf(name, "e%u", made++);
  expect(0, set_target(writer, name, NFKIT_TARGET_REROUTE, NULL), "a target");
}

static void forget_all(void) {
  close(writer);
  writer = open_device(0);
  made = 0;
}

static size_t whole(size_t size) { return size / RECORD * RECORD; }

// Of what waits, as many whole records as fit; the others stay. What cannot be written stays too.
static void buffers(void) {
  static const unsigned MANY[] = { 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144 };
  const unsigned many = PAGES * PAGE / RECORD + 2;
  unsigned char *memory = guarded(PAGES);
  int fd = event_reader(O_NONBLOCK);
  unsigned waiting = 0;
  for (unsigned i = 0; i < 3 * sizeof MANY / sizeof MANY[0]; i++) {
    // One byte too few, none, and one too many.
    size_t size = MANY[i / 3] * RECORD + i % 3 - 1;
    if (size < RECORD || size > PAGES * PAGE) size = (i % PAGES + 1) * PAGE;
    if (waiting * RECORD < size + RECORD) {
      forget_all();
      for (ssize_t got; (got = read(fd, memory, PAGES * PAGE)) > 0;);
      for (waiting = 0; waiting < many; waiting++) event();
    }
    unsigned char *at = memory + PAGES * PAGE - size;
    memset(at, 0xee, size);
    ssize_t got = read(fd, at, size);
    if (!check(got == (ssize_t)whole(size), "read of %zu bytes gives %zd", size, got)) break;
    for (size_t i = (size_t)got; i < size; i++) if (!check(at[i] == 0xee, "read of %zu bytes writes behind its records", size)) break;
    waiting -= (unsigned)(got / (ssize_t)RECORD);
  }
  // Half of it can be written: nothing is given, and nothing lost.
  forget_all();
  while (read(fd, memory, PAGES * PAGE) > 0);
  for (unsigned i = 0; i < many; i++) event();
  for (size_t there = 0; there < PAGES * PAGE; there += 1021) expect(EFAULT, errno_of(read(fd, memory + PAGES * PAGE - there, 8 * PAGE)), "read to where only %zu bytes are", there);
  struct iovec parts[3] = { { memory, 10 * RECORD }, { unmapped(), PAGE }, { memory, PAGE } };
  ssize_t got = readv(fd, parts, 3);
  check(got == (ssize_t)(10 * RECORD), "readv, whose second part is nowhere, gives %zd", got);
  for (unsigned i = 10; i < many; i++) {
    got = read(fd, memory, RECORD);
    const struct nfkit_event_record *record = (const void *)memory;
    char name[NFKIT_NAME_SIZE];
    sprintf(name, "e%u", i);
    if (!check(got == (ssize_t)RECORD && strcmp(record->target, name) == 0 && record->record.lost == 0, "after reads that failed record %u comes: %zd bytes", i, got)) break;
  }
  expect(EAGAIN, errno_of(read(fd, memory, PAGE)), "no more");
  close(fd);
  forget_all();
}

static volatile sig_atomic_t signals;
static void count_signal(int signal) { (void)signal; signals++; }

struct waiter { pthread_t thread; int fd; bool polls; volatile bool begun, over; int result, error; short revents; };

static void *wait_for(void *with) {
  struct waiter *waiter = with;
  unsigned char bytes[PAGE];
  struct pollfd poll_of = { .fd = waiter->fd, .events = POLLIN };
  waiter->begun = true;
  waiter->result = waiter->polls ? poll(&poll_of, 1, PATIENCE_MS) : (int)read(waiter->fd, bytes, sizeof bytes);
  waiter->error = errno_of(waiter->result);
  waiter->revents = poll_of.revents;
  waiter->over = true;
  return NULL;
}

static void begin(struct waiter *waiter, int fd, bool polls) {
  *waiter = (struct waiter){ .fd = fd, .polls = polls };
  if (pthread_create(&waiter->thread, NULL, wait_for, waiter) != 0) die("a thread");
  while (!waiter->begun) pause_ms(1);
  pause_ms(20);
}

static void handle(int flags) {
  struct sigaction action = { .sa_handler = count_signal, .sa_flags = flags };
  sigaction(SIGUSR1, &action, NULL);
}

// Signals until the call has ended, or so many that one that begins anew would have.
static void interrupt(struct waiter *waiter, unsigned most) {
  for (unsigned i = 0; i < most && !waiter->over; i++) {
    pthread_kill(waiter->thread, SIGUSR1);
    pause_ms(5);
  }
}

static void interrupted(void) {
  struct waiter waiter;
  int fd = event_reader(0);
  handle(0);
  begin(&waiter, fd, false);
  interrupt(&waiter, PATIENCE_MS / 5);
  pthread_join(waiter.thread, NULL);
  expect(EINTR, waiter.error, "a read that a signal interrupts");
  begin(&waiter, fd, true);
  interrupt(&waiter, PATIENCE_MS / 5);
  pthread_join(waiter.thread, NULL);
  expect(EINTR, waiter.error, "a poll that a signal interrupts");
  // One that begins anew waits on, and gets what comes.
  handle(SA_RESTART);
  begin(&waiter, fd, false);
  interrupt(&waiter, 20);
  check(!waiter.over, "a read that begins anew after a signal is over: %d", waiter.result);
  event();
  pthread_join(waiter.thread, NULL);
  check(waiter.result == (int)RECORD, "a read that began anew gives %d", waiter.result);
  check(signals >= 20, "%d signals came", (int)signals);
  close(fd);
  forget_all();
}

// Several wait at one descriptor: each record goes to one of them.
static void woken(void) {
  struct waiter waiters[4];
  int fd = event_reader(0), epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event edge = { .events = EPOLLIN | EPOLLET };
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &edge) != 0) die("epoll_ctl");
  check(epoll_wait(epoll, &edge, 1, 0) == 0, "epoll of nothing");
  begin(&waiters[3], fd, true);
  event();
  pthread_join(waiters[3].thread, NULL);
  check(waiters[3].result == 1 && waiters[3].revents == POLLIN, "who polls is told 0x%x", waiters[3].revents);
  check(epoll_wait(epoll, &edge, 1, PATIENCE_MS) == 1 && edge.events == EPOLLIN, "epoll tells 0x%x", edge.events);
  begin(&waiters[3], fd, false);
  pthread_join(waiters[3].thread, NULL);
  check(waiters[3].result == (int)RECORD, "the event is read: %d", waiters[3].result);
  for (int i = 0; i < 3; i++) begin(&waiters[i], fd, false);
  int over = 0;
  for (uint64_t start = now(); over < 3 && now() - start < PATIENCE_MS; pause_ms(10)) {
    event();
    over = waiters[0].over + waiters[1].over + waiters[2].over;
  }
  if (!check(over == 3, "%d of 3 that wait in read are woken", over)) _Exit(1);
  unsigned bytes = 0;
  for (int i = 0; i < 3; i++) {
    pthread_join(waiters[i].thread, NULL);
    check(waiters[i].result > 0 && waiters[i].result % (int)RECORD == 0, "one of those that wait in read gets %d", waiters[i].result);
    bytes += (unsigned)waiters[i].result;
  }
  // What none of them got is there still; the first event was read before.
  static unsigned char rest[64 * PAGE];
  expect(0, fcntl(fd, F_SETFL, O_NONBLOCK), "not to wait from now on");
  for (ssize_t got; (got = read(fd, rest, sizeof rest)) > 0;) bytes += (unsigned)got;
  check(bytes == (made - 1) * RECORD, "%zu of %u events came", bytes / RECORD, made - 1);
  close(epoll);
  close(fd);
  forget_all();
}

static void not_possible(void) {
  unsigned char byte = 0;
  int fd = event_reader(O_NONBLOCK), null = open("/dev/null", O_WRONLY | O_CLOEXEC), pipes[2], number;
  event();
  expect(ESPIPE, errno_of(pread(fd, &byte, 1, 0)), "pread");
  expect(ESPIPE, errno_of(pwrite(fd, &byte, 1, 0)), "pwrite");
  expect(ESPIPE, errno_of(lseek(fd, 0, SEEK_SET)), "lseek");
  expect(EINVAL, errno_of(write(fd, &byte, 1)), "write");
  expect(EINVAL, errno_of(ftruncate(fd, 0)), "ftruncate");
  expect(ENODEV, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? errno : 0, "mmap");
  expect(EINVAL, errno_of(sendfile(null, fd, NULL, PAGE)), "sendfile");
  expect(ENOTTY, errno_of(ioctl(fd, FIONREAD, &number)), "FIONREAD");
  if (pipe(pipes) != 0) die("pipe");
  expect(EINVAL, errno_of(splice(fd, NULL, pipes[1], NULL, PAGE, SPLICE_F_NONBLOCK)), "splice");
  struct pollfd poll_of = { .fd = fd, .events = POLLOUT | POLLPRI };
  check(poll(&poll_of, 1, 0) == 0, "poll for anything but input tells 0x%x", poll_of.revents);
  int path = open(DEVICE, O_PATH | O_CLOEXEC), written = open(DEVICE, O_WRONLY | O_CLOEXEC);
  union argument argument;
  right(INFO, &argument);
  expect(EBADF, call(path, INFO, &argument), "a command by a descriptor of the path alone");
  expect(EBADF, errno_of(read(written, &byte, 1)), "read of a descriptor that is open to be written");
  static unsigned char rest[PAGE];
  check(read(fd, rest, sizeof rest) == (ssize_t)RECORD, "the event is there still");
  close(written);
  close(path);
  close(pipes[0]);
  close(pipes[1]);
  close(null);
  close(fd);
  forget_all();
}

void waiting(void) {
  if (!check(has(CAPTURE), "the module has no captures")) return;
  writer = open_device(0);
  buffers();
  interrupted();
  woken();
  not_possible();
  close(writer);
}
