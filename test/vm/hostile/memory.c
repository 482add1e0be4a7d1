// SPDX-License-Identifier: MIT
// Memory that ends where it should, and addresses where there is none.

#include <sys/mman.h>
#include "hostile.h"

unsigned char *guarded(size_t pages) {
  unsigned char *memory = mmap(NULL, (pages + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory + pages * PAGE, PAGE, PROT_NONE) != 0) die("%zu pages of memory", pages);
  return memory;
}

void *unmapped(void) {
  void *memory = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) die("no memory");
  // Kept, but for nobody: were it given back, something else could come there.
  return (char *)memory + PAGE;
}
