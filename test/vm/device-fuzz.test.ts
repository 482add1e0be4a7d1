// SPDX-License-Identifier: MIT
// /dev/nfkit called wrongly: each field, size and address by itself, and all of it by chance.

import t from 'tap'
import { hostile, noHostile } from '../support/hostile.js'
import { kernelMemory, type KernelMemory } from '../support/kernel-memory.js'
import { loadModule, unloadModuleWhenFree, withModule } from '../support/module.js'

withModule(t)
t.setTimeout(4 * 3_600_000)

const SANITIZE = process.env['NFKIT_SANITIZE'] !== undefined

/** How many calls by chance; NFKIT_FUZZ=1000000 for the long form. Those of NFKIT_FUZZ_SEED can be had again. Each grace period is long under emulation. */
const CALLS = Number(process.env['NFKIT_FUZZ'] ?? (SANITIZE ? 20_000 : 8_000))
const SEED = Number(process.env['NFKIT_FUZZ_SEED'] ?? Date.now() % 1_000_000_007)
const THREADS = 4

/** How many one at a time, all objects looked at after each: some ten thousand in the long form. */
const LOOKED_AT = Math.min(CALLS, 400 + Math.ceil(CALLS / 100))

/**
 * KiB that memory may have grown by: what the kernel keeps for later. KASAN keeps what was freed for long; there kmemleak tells what
 * is lost.
 */
const KEPT: KernelMemory = { slab: SANITIZE ? Infinity : 4096, vmalloc: 512, percpu: 512 }

t.test('each field wrong by itself: its errno, and nothing changes', { skip: noHostile }, (t) => hostile(t, 'fields'))
t.test('one object more than there may be', { skip: noHostile }, (t) => hostile(t, 'limits'))
t.test('structs and elements of each size up to four pages', { skip: noHostile }, (t) => hostile(t, 'sizes'))
t.test('addresses where nothing is', { skip: noHostile }, (t) => hostile(t, 'pointers'))
t.test('read and poll with wrong buffers', { skip: noHostile }, (t) => hostile(t, 'reading'))
t.test('read and poll that wait, are woken and interrupted, and other calls of the descriptor', { skip: noHostile }, (t) => hostile(t, 'waiting'))
t.test(`${LOOKED_AT} calls by chance, seed ${SEED}: what is refused changes nothing`, { skip: noHostile }, (t) => hostile(t, 'unchanged', LOOKED_AT, SEED))

t.test(`${CALLS} calls by chance from ${THREADS} threads, seed ${SEED}; then the module goes, and all of its memory`, { skip: noHostile }, async (t) => {
  await unloadModuleWhenFree()
  const before = kernelMemory()
  loadModule()
  await hostile(t, 'fuzz', CALLS, SEED, THREADS)
  await unloadModuleWhenFree()
  let after = kernelMemory()
  const grown = () => (Object.keys(KEPT) as (keyof KernelMemory)[]).filter((kind) => after[kind] > before[kind] + KEPT[kind])
  // Programs of hooks are freed in the background: in user-mode Linux 70 in a second.
  for (let tries = 0; grown().length > 0 && tries < 600; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 200))
    after = kernelMemory()
  }
  t.comment(`KiB before: ${JSON.stringify(before)}, after: ${JSON.stringify(after)}`)
  t.same(grown(), [], 'the kernel has the memory back')
  loadModule()
})
