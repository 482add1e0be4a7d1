// SPDX-License-Identifier: MIT
// The five tables and what each is before anybody changed it.

import { Writer } from '../bytes.js'
import type { IpFamily } from '../ip.js'
import { entryLayouts, VERDICT } from './entry.js'
import { appendStandardTarget, closeEntry } from './rule.js'
import { appendError, type HookName, HOOKS, type TableInfo } from './table.js'

/** The built-in chains of each table (FILTER_VALID_HOOKS and its like in net/ipv4/netfilter/iptable_*.c; IPv6 has the same). */
export const TABLE_HOOKS = {
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  mangle: HOOKS,
  raw: ['PREROUTING', 'OUTPUT'],
  security: ['INPUT', 'FORWARD', 'OUTPUT'],
} as const satisfies Record<string, readonly HookName[]>

/** A table of the kernel's. */
export type TableName = keyof typeof TABLE_HOOKS

export const TABLE_NAMES = Object.keys(TABLE_HOOKS) as readonly TableName[]

/** What the kernel makes of a table at its first use: built-in chains that accept (ipt_alloc_initial_table). */
export function initialTable(family: IpFamily, name: TableName): { info: TableInfo; blob: Uint8Array } {
  const layout = entryLayouts[family]
  const w = new Writer(1024)
  const places = HOOKS.map(() => 0)
  const hooks = TABLE_HOOKS[name] as readonly HookName[]
  let validHooks = 0
  for (const [number, hook] of HOOKS.entries()) {
    if (!hooks.includes(hook)) continue
    validHooks |= 1 << number
    const start = w.reserve(layout.size)
    places[number] = start
    appendStandardTarget(w, VERDICT.ACCEPT)
    closeEntry(w, layout, start, start + layout.size)
  }
  appendError(w, layout, 'ERROR')
  const blob = w.finish().slice()
  return { info: { name, validHooks, hookEntries: places, underflows: places, entries: hooks.length + 1, size: blob.length }, blob }
}
