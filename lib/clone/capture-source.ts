// SPDX-License-Identifier: MIT
// What a capture captures: a clone target that rules and hooks hand packets to, or a hook of its own.

import { randomBytes } from 'node:crypto'
import { NfkitError, invalidArgument } from '../errors.js'
import { checkKeys } from '../net/check.js'
import type { HookConfig } from '../wire/module/hook.js'
import { checkObjectName } from './check.js'
import { cloneConfigOf } from './clone-config.js'
import type { ModuleDevice } from './device.js'
import { HOOK_PLACE_KEYS, hookConfigOf, type HookPlace } from './hook-config.js'

/** Packets that come to a built-in chain, as its first rule would see them, but without a rule. */
export interface CaptureChain extends Omit<HookPlace, 'at' | 'priority'> {
  /** The built-in chain. */
  chain: 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'
  /** Whose chain; `filter` unless told, `mangle` for PREROUTING and POSTROUTING. The table itself need not be there. */
  table?: 'raw' | 'mangle' | 'filter' | 'security' | undefined
}

/** The name of a clone target, which gives packets while it is defined and has the sink capture; packets at a hook point; or those that come to a chain. */
export type CaptureSource = string | HookPlace | CaptureChain

const POINTS = { PREROUTING: 'prerouting', INPUT: 'local-in', FORWARD: 'forward', OUTPUT: 'local-out', POSTROUTING: 'postrouting' } as const

/** NF_IP_PRI_* (include/uapi/linux/netfilter_ipv4.h), and the chains of each table. */
const TABLES = {
  raw: { priority: -300, chains: ['PREROUTING', 'OUTPUT'] },
  mangle: { priority: -150, chains: Object.keys(POINTS) },
  filter: { priority: 0, chains: ['INPUT', 'FORWARD', 'OUTPUT'] },
  security: { priority: 50, chains: ['INPUT', 'FORWARD', 'OUTPUT'] },
} as const

/** A source that was checked: a name, or the hook that hands its packets to the clone target of the capture. */
export type CheckedSource = { readonly target: string } | { readonly hook: HookConfig }

/** @throws TypeError, RangeError that name the field */
export function checkSource(from: unknown): CheckedSource {
  if (typeof from === 'string') {
    checkObjectName(from, 'from')
    return { target: from }
  }
  if (typeof from !== 'object' || from === null) throw invalidArgument('from', 'the name of a clone target, { at } or { chain }', from)
  const point = 'chain' in from ? pointOf(from as CaptureChain) : from as HookPlace
  checkKeys(point, HOOK_PLACE_KEYS, 'from')
  return { hook: hookConfigOf({ ...point, verdict: 'accept' }) }
}

function pointOf(from: CaptureChain): HookPlace {
  checkKeys(from, ['chain', 'table', ...HOOK_PLACE_KEYS.filter((key) => key !== 'at' && key !== 'priority')], 'from')
  const { chain, table = chain === 'PREROUTING' || chain === 'POSTROUTING' ? 'mangle' : 'filter', ...rest } = from
  if (typeof chain !== 'string' || !Object.hasOwn(POINTS, chain)) throw invalidArgument('from.chain', `one of ${Object.keys(POINTS).join(', ')}`, chain)
  if (typeof table !== 'string' || !Object.hasOwn(TABLES, table)) throw invalidArgument('from.table', `one of ${Object.keys(TABLES).join(', ')}`, table)
  const { priority, chains } = TABLES[table]
  if (!(chains as readonly string[]).includes(chain)) throw invalidArgument('from.table', `a table that has ${chain}`, table)
  // Hooks of the same priority are met in the order in which they were made: before the table's.
  return { at: POINTS[chain], priority: priority - 1, ...rest }
}

/**
 * Begins to capture: with a hook, by a clone target of the descriptor's own, which goes with it like the hook. Answers what stops it.
 * @returns the name of the clone target, and a function after which no packet comes any more, if it is the descriptor's own
 */
export function startSource(device: ModuleDevice, source: CheckedSource, snaplen: number, buffer: number): { target: string; stop: () => void } {
  if ('target' in source) {
    device.startCapture(source.target, snaplen, buffer)
    return { target: source.target, stop: () => {} }
  }
  const target = makeUp((name) => { device.setTarget(name, cloneConfigOf({ capture: true }), { persistent: false, create: true }) })
  device.startCapture(target, snaplen, buffer)
  const hook = makeUp((name) => { device.setHook(name, { ...source.hook, clone: target }, { persistent: false, create: true }) })
  return { target, stop: () => { device.deleteHook(hook) } }
}

/** A name that nobody has. */
function makeUp(make: (name: string) => void): string {
  for (;;) {
    const name = `capture-${randomBytes(6).toString('hex')}`
    try {
      make(name)
      return name
    } catch (error) {
      if (!(error instanceof NfkitError && error.code === 'EEXIST')) throw error
    }
  }
}
