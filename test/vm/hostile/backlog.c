// SPDX-License-Identifier: MIT
// Memory of the kernel that is freed later than it is used up. A hook's program goes by a queue of the kernel's (bpf_prog_free() in
// kernel/bpf/core.c), and each takes it a search of all memory in user-mode Linux: there they come faster than they go.

#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>
#include "hostile.h"

// What may be in use beyond what was at first. Each page of it may take user-mode Linux a mapping, of which there are 65530.
#define MOST_KIB (24 * 1024)

static unsigned long at_first;

// KiB in use of those that are mapped page by page.
static unsigned long vmalloc_used(void) {
  char text[8192];
  int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size < 0) die("/proc/meminfo");
  text[size] = 0;
  const char *line = strstr(text, "VmallocUsed:");
  if (line == NULL) die("/proc/meminfo has no VmallocUsed");
  return strtoul(line + sizeof "VmallocUsed:" - 1, NULL, 10);
}

void backlog_begin(void) { at_first = vmalloc_used(); }

bool backlog_grows(bool before) { return vmalloc_used() > at_first + MOST_KIB / (before ? 2 : 1); }
