// SPDX-License-Identifier: MIT
// Packets of a hook point.

import { HOOK_PLACE_KEYS, hookConfigOf, type HookPlace } from '../clone/hook-config.js'
import { outOfRange } from '../errors.js'
import { checkKeys } from '../net/check.js'
import type { IpFamily } from '../wire/ip.js'
import type { HookConfig } from '../wire/module/hook.js'
import { HOOK_POINTS } from '../wire/module/hook-points.js'
import { PacketMatch } from '../wire/packet-match/packet-match.js'
import { bad, type Fields } from './fields.js'

/** A hook point, and which packets of it. They go on as without. */
export type MirrorHookSource = HookPlace

export function isHookSource(from: unknown): from is MirrorHookSource {
  return typeof from === 'object' && from !== null && 'at' in from
}

/** The hook that gives those packets to a clone target. @throws TypeError, RangeError for what `Hook.create` refuses */
export function cloneHookOf(source: MirrorHookSource, target: string): HookConfig {
  checkKeys(source, HOOK_PLACE_KEYS, 'from')
  return hookConfigOf({ ...source, verdict: 'accept', clone: target })
}

/** A checked hook point. */
export interface PlannedHook {
  /** As a journal can hold it. */
  readonly source: MirrorHookSource
  /** Of the packets; empty where they are frames. */
  readonly families: IpFamily[]
}

/** @throws TypeError, RangeError */
export function planHook(from: MirrorHookSource, asked: readonly IpFamily[] | undefined, target: string): PlannedHook {
  cloneHookOf(from, target)
  const { families } = HOOK_POINTS[from.at]
  if (asked === undefined) return { source: plain(from), families: !families ? [] : from.family === undefined ? ['ipv4', 'ipv6'] : [from.family] }
  if (!families) throw new TypeError(`family: expected none at ${from.at}, where packets of every family are seen, got ${asked.join(' and ')}`)
  const only = asked.length === 1 ? asked[0]! : undefined
  if (from.family !== undefined && from.family !== only) throw outOfRange('from.family', `${only ?? 'none'}, as family says`, from.family)
  return { source: plain({ ...from, family: only }), families: [...asked] }
}

/** Without what is undefined, and with bytes as hexadecimal text, which matches take too. */
function plain(source: MirrorHookSource): MirrorHookSource {
  const { match } = source
  const text = JSON.stringify({ ...source, match: match instanceof PacketMatch ? match.spec : match }, function (this: Record<string, unknown>, key, item: unknown) {
    // A Buffer has a toJSON of its own, whose result is what comes as the item.
    const own = this[key]
    return own instanceof Uint8Array ? Buffer.from(own).toString('hex') : item
  })
  return JSON.parse(text) as MirrorHookSource
}

/** From a journal. @throws NfkitError NFKIT_BAD_JOURNAL */
export function readHookSource({ raw }: Fields): MirrorHookSource {
  const source = raw as object as MirrorHookSource
  try {
    cloneHookOf(source, 'any')
  } catch (error) {
    throw bad(`a hook: ${(error as Error).message}`)
  }
  return source
}
