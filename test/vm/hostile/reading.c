// SPDX-License-Identifier: MIT
// read(2) and poll(2), with buffers that are too small, not there, or not to be written.

#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>
#include "hostile.h"

static short polled(int fd) {
  struct pollfd poll_of = { .fd = fd, .events = POLLIN };
  poll(&poll_of, 1, 0);
  return poll_of.revents;
}

static int read_errno(int fd, void *to, size_t size) { return errno_of(read(fd, to, size)); }

void reading(void) {
  if (!check(has(CAPTURE), "the module has no captures")) return;
  unsigned char *memory = guarded(4);
  union argument argument;
  int fd = open_device(O_NONBLOCK), writer = open_device(0);
  expect(EINVAL, read_errno(fd, memory, PAGE), "read without capture or events");
  check(polled(fd) == 0, "poll without capture or events: 0x%x", polled(fd));
  right(EVENTS, &argument);
  expect(0, call(fd, EVENTS, &argument), "events");
  expect(EAGAIN, read_errno(fd, memory, PAGE), "read of nothing");
  check(polled(fd) == 0, "poll of nothing: 0x%x", polled(fd));
  expect(0, set_target(writer, "t", NFKIT_TARGET_REROUTE, NULL), "a target");
  check(polled(fd) == POLLIN, "poll of an event: 0x%x", polled(fd));

  // What cannot be given stays.
  for (size_t size = 0; size < sizeof(struct nfkit_event_record); size++) {
    expect(EMSGSIZE, read_errno(fd, memory + 4 * PAGE - size, size), "read of %zu bytes", size);
  }
  static const uintptr_t NOWHERE[] = { 0, 8, 0x7ffffffff000UL, 0xffff888000000000UL, 0xffffffff81000000UL, 0xfffffffffffff000UL };
  for (size_t i = 0; i < sizeof NOWHERE / sizeof NOWHERE[0]; i++) expect(EFAULT, read_errno(fd, (void *)NOWHERE[i], PAGE), "read to 0x%lx", NOWHERE[i]);
  expect(EFAULT, read_errno(fd, unmapped(), PAGE), "read to nowhere");
  for (size_t there = 0; there < sizeof(struct nfkit_event_record); there += 8) {
    expect(EFAULT, read_errno(fd, memory + 4 * PAGE - there, PAGE), "read to where only %zu bytes are", there);
  }
  mprotect(memory, PAGE, PROT_READ);
  expect(EFAULT, read_errno(fd, memory, PAGE), "read to memory that cannot be written");
  mprotect(memory, PAGE, PROT_READ | PROT_WRITE);
  check(polled(fd) == POLLIN, "the event waits still: 0x%x", polled(fd));

  memset(memory, 0xee, PAGE);
  ssize_t size = read(fd, memory, sizeof(struct nfkit_event_record));
  const struct nfkit_event_record *record = (void *)memory;
  check(size == sizeof *record && record->event == NFKIT_EVENT_TARGET_NEW && strcmp(record->target, "t") == 0, "the event came: %zd bytes", size);
  check(record->record.lost == 0, "nothing was lost");
  check(memory[sizeof *record] == 0xee, "nothing was written behind it");
  expect(EAGAIN, read_errno(fd, memory, PAGE), "no more");

  // More than can wait: what is lost is told, and all of it. Targets that are new, and that go with their descriptor, take no grace period each.
  uint64_t made = 0, came = 0, lost = 0;
  for (int round = 0; round < 2; round++) {
    int many = open_device(0);
    for (unsigned i = 0; i < 400; i++, made += 2) {
      char name[NFKIT_NAME_SIZE];
      sprintf(name, "n%u", i);
      expect(0, set_target(many, name, NFKIT_TARGET_REROUTE, NULL), "target %u", i);
    }
    close(many);
  }
  for (ssize_t got; (got = read(fd, memory, 4 * PAGE)) > 0;) {
    for (ssize_t at = 0; at < got;) {
      const struct nfkit_record *next = (void *)(memory + at);
      if (!check(next->length >= sizeof *next && (ssize_t)next->length <= got - at, "a record of %u bytes in %zd", next->length, got - at)) return;
      came += next->type == NFKIT_RECORD_EVENT;
      lost += next->lost;
      at += (next->length + 7) & ~7U;
    }
  }
  check(came >= 1024 && came + lost == made, "%lu events, of which %lu came and %lu were lost", (unsigned long)made, (unsigned long)came, (unsigned long)lost);
  expect(EINVAL, errno_of(write(fd, memory, 1)), "write");
  close(fd);
  close(writer);
}
