// SPDX-License-Identifier: MIT
// A table as the kernel describes it: struct ipt_getinfo and struct ipt_entry as data.

import { LITTLE_ENDIAN } from '../wire/bytes.js'
import { entryAt, extensionAt, matchesOf } from '../wire/xtables/entry.js'
import { type HookName, HOOKS, type TableImage } from '../wire/xtables/table.js'
import { type Counters, readCounters } from './counters.js'

/** struct ipt_getinfo (ip6t_getinfo): what the kernel says of a table. Offsets and sizes are bytes of its entries. */
export interface TableInspection {
  name: string
  /** `valid_hooks`: the hooks that have a chain here. */
  validHooks: HookName[]
  /** `hook_entry`: where the chain of each hook begins. */
  hookEntries: Partial<Record<HookName, number>>
  /** `underflow`: where the policy of each hook is. */
  underflows: Partial<Record<HookName, number>>
  /** `num_entries`: rules, policies, the heads and ends of users' chains, and the end of the table. */
  number: number
  size: number
  entries: EntryInspection[]
}

/** A match or target within an entry (struct xt_entry_match, xt_entry_target). */
export interface PartInspection {
  /** As the kernel calls it; '' is the standard target. */
  name: string
  revision: number
  /** Bytes with its header of 32. */
  size: number
}

/** struct ipt_entry (ip6t_entry). */
export interface EntryInspection {
  /** Its number in the table, from 0 on. */
  number: number
  offset: number
  /** `target_offset`: from the entry's begin to its target. */
  targetOffset: number
  /** `next_offset`: from the entry's begin to the next one, its size. */
  nextOffset: number
  /** The chain that it is in; undefined for the end of the table. */
  chain: string | undefined
  /** What it is there: the name of a user's chain, a rule, what a chain ends with, the end of the table. */
  role: 'chain' | 'rule' | 'policy' | 'end'
  /** `comefrom`: the hooks that lead here, a bit each, as the kernel found when the table was replaced. */
  comefrom: number
  /** `nfcache`: a bit for each field of the packet that it looks at; nobody sets it any more. */
  nfcache: number
  counters: Counters
  matches: PartInspection[]
  target: PartInspection & {
    /** Of a standard target: -1 drop, -2 accept, -4 queue, -5 return; else the offset that it goes to. */
    verdict?: number
    /** Of an ERROR entry: its text. */
    errorName?: string
  }
}

export function inspectTable(image: TableImage): TableInspection {
  const { info, layout, input, offsets } = image
  const hooks = HOOKS.filter((_, number) => (info.validHooks & (1 << number)) !== 0)
  const places = (list: readonly number[]) => Object.fromEntries(hooks.map((hook) => [hook, list[HOOKS.indexOf(hook)]!]))
  const owners = new Map<number, { chain: string; role: EntryInspection['role'] }>()
  for (const { name, hook, policyEntry, pieces } of image.chains) {
    let first = policyEntry
    for (const piece of pieces) {
      if (!('from' in piece)) continue
      first = Math.min(first, piece.from)
      for (let entry = piece.from; entry < piece.to; entry++) owners.set(entry, { chain: name, role: 'rule' })
    }
    owners.set(policyEntry, { chain: name, role: 'policy' })
    if (hook === undefined) owners.set(first - 1, { chain: name, role: 'chain' })
  }
  const entries = Array.from({ length: info.entries }, (_, number): EntryInspection => {
    const offset = offsets[number]!
    const span = entryAt(layout, input, offset, input.bytes.length)
    const target = extensionAt(input, span.target, span.end)
    const owner = owners.get(number)
    const part = ({ name, revision, size }: typeof target): PartInspection => ({ name, revision, size: size + 32 })
    const error = image.errorName(number)
    return {
      number, offset, targetOffset: span.target - offset, nextOffset: span.end - offset, chain: owner?.chain, role: owner?.role ?? 'end',
      comefrom: input.view.getUint32(offset + layout.comefrom, LITTLE_ENDIAN), nfcache: input.view.getUint32(offset + layout.nfcache, LITTLE_ENDIAN),
      counters: readCounters(image.countersOf(number), 'number'),
      matches: matchesOf(layout, input, span).map(part),
      target: {
        ...part(target), ...(target.name === '' && target.size >= 4 ? { verdict: input.view.getInt32(target.start, LITTLE_ENDIAN) } : {}),
        ...(error === undefined ? {} : { errorName: error }),
      },
    }
  })
  return { name: info.name, validHooks: hooks, hookEntries: places(info.hookEntries), underflows: places(info.underflows), number: info.entries, size: info.size, entries }
}
