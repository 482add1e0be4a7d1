// SPDX-License-Identifier: MIT
// Arguments by chance, for fuzz.c.

#ifndef ARGUMENTS_H
#define ARGUMENTS_H

#include "hostile.h"

// A thread's memory for them. Each ends where memory does.
struct memory {
  unsigned char *of_struct, *of_array;
};

#define STRUCT_PAGES 5
#define ARRAY_PAGES 9

struct memory arguments_memory(void);
// The address to call with. Most are nearly right, some are just bytes, some are nowhere.
void *random_argument(struct random *random, const struct memory *memory, enum command which, int netns);
const char *random_device(struct random *random);

#endif
