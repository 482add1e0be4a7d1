// SPDX-License-Identifier: MIT
// Numbers by chance that a seed gives again: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).

#include "hostile.h"

uint32_t next(struct random *random) {
  uint64_t x = random->state += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return (uint32_t)(x >> 32);
}

uint32_t below(struct random *random, uint32_t limit) { return (uint32_t)(((uint64_t)next(random) * limit) >> 32); }

bool one_in(struct random *random, uint32_t of) { return below(random, of) == 0; }
