// SPDX-License-Identifier: MIT
// The five tables and what each is before anybody changed it.

import { Writer } from '../bytes.js'
import type { IpFamily } from '../ip.js'
import { appendError } from './assemble.js'
import { entryLayouts, VERDICT } from './entry.js'
import { appendStandardTarget, closeEntry } from './rule.js'
import { type HookName, HOOKS, TableImage, type TableInfo } from './table.js'

/** The built-in chains of each table (FILTER_VALID_HOOKS and its like in net/ipv4/netfilter/iptable_*.c; IPv6 has the same). */
export const TABLE_HOOKS = {
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  mangle: HOOKS,
  raw: ['PREROUTING', 'OUTPUT'],
  security: ['INPUT', 'FORWARD', 'OUTPUT'],
} as const satisfies Record<string, readonly HookName[]>

/** A table of the kernel's. */
export type TableName = 'filter' | 'nat' | 'mangle' | 'raw' | 'security'

export const TABLE_NAMES = Object.keys(TABLE_HOOKS) as readonly TableName[]

/** What the kernel makes of a table at its first use: built-in chains that accept (ipt_alloc_initial_table). */
export function initialTable(family: IpFamily, name: TableName): { info: TableInfo; blob: Uint8Array } {
  const hooks = TABLE_HOOKS[name] as readonly HookName[]
  return emptyTable(family, name, HOOKS.reduce((bits, hook, number) => (hooks.includes(hook) ? bits | (1 << number) : bits), 0))
}

/** A table of which nothing is kept: the built-in chains that `info` tells, empty, and no counters to take over. */
export function blankTable(family: IpFamily, { name, validHooks }: TableInfo): TableImage {
  const { info, blob } = emptyTable(family, name, validHooks)
  const image = new TableImage(family, info, blob)
  image.chains.splice(0, image.chains.length, ...image.chains.map((chain) => ({ ...chain, policyEntry: -1 })))
  return image
}

function emptyTable(family: IpFamily, name: string, validHooks: number): { info: TableInfo; blob: Uint8Array } {
  const layout = entryLayouts[family]
  const w = new Writer(1024)
  const places = HOOKS.map(() => 0)
  let entries = 1
  for (const number of HOOKS.keys()) {
    if ((validHooks & (1 << number)) === 0) continue
    const start = w.reserve(layout.size)
    places[number] = start
    appendStandardTarget(w, VERDICT.ACCEPT)
    closeEntry(w, layout, start, start + layout.size)
    entries++
  }
  appendError(w, layout, 'ERROR')
  const blob = w.finish().slice()
  return { info: { name, validHooks, hookEntries: places, underflows: places, entries, size: blob.length }, blob }
}
