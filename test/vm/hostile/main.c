// SPDX-License-Identifier: MIT
// hostile PART [ARGUMENT...]: what is wrong on standard output, then `N checks`; the exit status is 0 if nothing was.

#define _GNU_SOURCE
#include <unistd.h>
#include "hostile.h"

static uint64_t number(char **argv, int argc, int index, uint64_t otherwise) { return index < argc ? strtoull(argv[index], NULL, 0) : otherwise; }

int main(int argc, char **argv) {
  const char *part = argc > 1 ? argv[1] : "";
  static const struct { const char *name; void (*run)(void); } PARTS[] = {
    { "fields", fields }, { "limits", limits }, { "sizes", sizes }, { "pointers", pointers }, { "reading", reading }, { "waiting", waiting }, { "callers", callers }, { "namespaces", namespaces },
  };
  new_network();
  struct nfkit_info info = { .size = sizeof info };
  int fd = open_device(0), error = call(fd, INFO, &info);
  if (error != 0) die("INFO: %s", errno_name(error));
  features = info.features;
  close(fd);
  printf("# features 0x%llx\n", features);
  bool known = true;
  if (strcmp(part, "fuzz") == 0) fuzz(number(argv, argc, 2, 20000), number(argv, argc, 3, 1), (unsigned)number(argv, argc, 4, 4));
  else if (strcmp(part, "unchanged") == 0) unchanged(number(argv, argc, 2, 2000), number(argv, argc, 3, 1));
  else if (strcmp(part, "together") == 0) together((unsigned)number(argv, argc, 2, 5), number(argv, argc, 3, 1));
  else if (strcmp(part, "stress") == 0) stress((unsigned)number(argv, argc, 2, 5));
  else if (strcmp(part, "moving") == 0) moving((unsigned)number(argv, argc, 2, 5), number(argv, argc, 3, 1));
  else known = false;
  for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++) {
    if (strcmp(part, PARTS[i].name) != 0) continue;
    PARTS[i].run();
    known = true;
  }
  if (!known) die("unknown part %s", part);
  printf("%lu checks, %lu failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
