// SPDX-License-Identifier: MIT
// Addresses where nothing can be read or written: EFAULT, and nothing changes.

#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "hostile.h"

static struct world world;

static const uintptr_t NOWHERE[] = {
  0, 1, 8, 0xfff, 0x7fffffffffffUL, 0x7ffffffff000UL, 0x800000000000UL, 0x8000000000000000UL, 0xffff800000000000UL, 0xffff888000000000UL,
  0xffffffff81000000UL, 0xffffffff81a00008UL, 0xfffffffffffff000UL, 0xfffffffffffffff8UL, UINTPTR_MAX,
};

static void everywhere(enum command which, __u64 *field, void *argument, const char *what) {
  for (size_t i = 0; i <= sizeof NOWHERE / sizeof NOWHERE[0]; i++) {
    char text[128];
    uintptr_t address = i < sizeof NOWHERE / sizeof NOWHERE[0] ? NOWHERE[i] : (uintptr_t)unmapped();
    snprintf(text, sizeof text, "%s at 0x%lx", what, (unsigned long)address);
    if (field != NULL) *field = address;
    refused(&world, world.own, which, field != NULL ? argument : (void *)address, EFAULT, text);
  }
}

// A struct of which only the first bytes are there.
static void torn(enum command which, unsigned char *memory) {
  for (size_t there = 0; there < FORMS[which].size; there++) {
    union argument argument;
    char text[64];
    right(which, &argument);
    memcpy(memory + PAGE - there, &argument, there);
    snprintf(text, sizeof text, "only %zu bytes are there", there);
    if (!refused(&world, world.own, which, memory + PAGE - there, EFAULT, text)) return;
  }
}

// What is to be written back where nothing can be written.
static void read_only(enum command which, unsigned char *memory) {
  int fd = which == CAPTURE_STATS ? world.capturing : world.own;
  right(which, (union argument *)memory);
  if (mprotect(memory, PAGE, PROT_READ) != 0) die("mprotect");
  if (FORMS[which].answers) refused(&world, fd, which, memory, EFAULT, "memory that cannot be written");
  if (mprotect(memory, PAGE, PROT_READ | PROT_WRITE) != 0) die("mprotect");
}

static void arrays(unsigned char *memory) {
  union argument argument;
  right(TARGET_SET, &argument);
  everywhere(TARGET_SET, (__u64 *)&argument.target_set.outputs, &argument, "outputs");
  right(TARGET_GET, &argument);
  everywhere(TARGET_GET, (__u64 *)&argument.target_get.outputs, &argument, "outputs");
  right(TARGET_LIST, &argument);
  everywhere(TARGET_LIST, (__u64 *)&argument.list.names, &argument, "names");
  // The second of two outputs is not there.
  struct nfkit_output_config config = { .device = "d0" };
  right(TARGET_SET, &argument);
  memcpy(memory + PAGE - sizeof config, &config, sizeof config);
  argument.target_set.output_count = 2;
  argument.target_set.outputs = (uintptr_t)memory + PAGE - sizeof config;
  refused(&world, world.own, TARGET_SET, &argument, EFAULT, "the second output is not there");
  // Room for all names is said to be there, but is not.
  right(TARGET_LIST, &argument);
  argument.list.names = (uintptr_t)memory + PAGE - NFKIT_NAME_SIZE;
  refused(&world, world.own, TARGET_LIST, &argument, EFAULT, "room for one of the names");
  if (!has(HOOK_SET)) return;
  right(HOOK_SET, &argument);
  everywhere(HOOK_SET, (__u64 *)&argument.hook_set.instructions, &argument, "instructions");
  argument.hook_set.instruction_count = NFKIT_MAX_INSTRUCTIONS;
  argument.hook_set.instructions = (uintptr_t)memory;
  refused(&world, world.own, HOOK_SET, &argument, EFAULT, "not all instructions are there");
  right(HOOK_GET, &argument);
  everywhere(HOOK_GET, (__u64 *)&argument.hook_get.hook.instructions, &argument, "instructions");
  right(HOOK_LIST, &argument);
  everywhere(HOOK_LIST, (__u64 *)&argument.list.names, &argument, "names");
}

#ifdef __x86_64__
// ioctl as a 32-bit program calls it (asm/unistd_32.h).
static int call_of_32_bits(int fd, enum command which, void *argument) {
  long result = 54;
  __asm__ volatile("int $0x80" : "+a"(result) : "b"((long)fd), "c"(FORMS[which].command), "d"(argument) : "memory", "r8", "r9", "r10", "r11");
  return result < 0 ? (int)-result : 0;
}

// In a child, since a kernel without it ends who tries.
static void of_32_bits(void) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    union argument *argument = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (argument == MAP_FAILED) die("memory below 2 GiB");
    right(INFO, argument);
    int error = call_of_32_bits(world.own, INFO, argument);
    // User-mode Linux takes the number for that of another call.
    if (error != ENOTTY && argument->info.features == 0) _exit(3);
    bool good = check(error == 0 && argument->info.targets == 3 && argument->info.features == features, "INFO of a 32-bit program");
    for (enum command which = 0; which < COMMANDS; which++) {
      if (!has(which)) continue;
      int fd = which == CAPTURE_STATS ? world.capturing : world.own;
      right(which, argument);
      int wanted = call(fd, which, argument);
      if (which == TARGET_SET) delete_object(fd, TARGET_DELETE, "new");
      if (which == HOOK_SET) delete_object(fd, HOOK_DELETE, "new");
      // What persists, and what begins once, has gone or begun by now.
      if (which == TARGET_DELETE || which == HOOK_DELETE) wanted = ENOENT;
      if (which == CAPTURE || which == EVENTS) wanted = EBUSY;
      right(which, argument);
      good = expect(wanted, call_of_32_bits(fd, which, argument), "%s of a 32-bit program", FORMS[which].name) && good;
      // A page lies at 4 GiB at most: the address in the upper half is none.
      good = expect(EFAULT, call_of_32_bits(fd, which, (void *)0xfffff000UL), "%s of a 32-bit program, at no address", FORMS[which].name) && good;
    }
    fflush(stdout);
    _exit(good ? 0 : 1);
  }
  int status;
  if (waitpid(child, &status, 0) != child) die("waitpid");
  bool none = (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) || (WIFEXITED(status) && WEXITSTATUS(status) == 3);
  printf("# 32-bit programs: %s\n", none ? "this kernel has none" : "as others");
  check(none || (WIFEXITED(status) && WEXITSTATUS(status) == 0), "a 32-bit program ended with status 0x%x", status);
}
#else
static void of_32_bits(void) {}
#endif

void pointers(void) {
  world = make_world();
  unsigned char *memory = guarded(1);
  for (enum command which = 0; which < COMMANDS; which++) {
    if (!has(which)) continue;
    everywhere(which, NULL, NULL, "the struct");
    torn(which, memory);
    read_only(which, memory);
  }
  if (has(TARGET_SET)) arrays(memory);
  of_32_bits();
  delete_all(world.own);
}
