// SPDX-License-Identifier: MIT
// What memory the kernel itself uses.

import { readFileSync, writeFileSync } from 'node:fs'

/** KiB: of slabs, of what is mapped page by page (the buffers of captures, programs of hooks, modules), and of counters by CPU. */
export interface KernelMemory { slab: number; vmalloc: number; percpu: number }

/** It, after everything has been freed that is only there to be found sooner. In a guest alone: it is the whole machine's. */
export function kernelMemory(): KernelMemory {
  writeFileSync('/proc/sys/vm/drop_caches', '3')
  const text = readFileSync('/proc/meminfo', 'utf8')
  const of = (name: string) => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1] ?? Number.NaN)
  return { slab: of('Slab'), vmalloc: of('VmallocUsed'), percpu: of('Percpu') }
}

/** Bytes of all of it. Under KASAN what was freed counts for a while (its quarantine): there kmemleak tells what was lost. */
export function kernelBytes(): number {
  const { slab, vmalloc, percpu } = kernelMemory()
  return 1024 * (slab + vmalloc + percpu)
}
