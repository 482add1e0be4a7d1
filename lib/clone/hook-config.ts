// SPDX-License-Identifier: MIT
// What a hook is, as a user says it. What goes together at which point is the table in wire/module/hook-points.ts.

import { invalidArgument, outOfRange } from '../errors.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import { checkInteger } from '../wire/check.js'
import type { IpFamily } from '../wire/ip.js'
import { LIMIT } from '../wire/module/constants.js'
import type { HookConfig, HookVerdict } from '../wire/module/hook.js'
import { HOOK_POINTS, type HookPoint, isHookPoint } from '../wire/module/hook-points.js'
import type { MaskedNumber } from '../wire/packet-match/values.js'
import { checkDeviceName, checkObjectName } from './check.js'
import { type HookMatch, hookProgramOf } from './hook-match.js'

/** A hook point, and which packets of it. */
export interface HookPlace {
  /** The hook point. Those of the bridge and `ingress` need a kernel that has them; `egress` needs Linux 5.16. */
  at: HookPoint
  /** At the points of IPv4 and IPv6; both unless told. With IPv4 alone a match has a tenth of the instructions: no walk over IPv6 headers. */
  family?: IpFamily | undefined
  /**
   * Hooks of a point are met in the order of this, -2147483648 to 2147483647; unless told that of the table filter: 0 (NF_IP_PRI_*,
   * include/uapi/linux/netfilter_ipv4.h), or -200 at the points of the bridge (NF_BR_PRI_*, netfilter_bridge.h), where br_netfilter takes IP packets
   * at -1 and 0 and leaves out the hooks beside it. Fragments of IPv4 are put together at -400 where connections are tracked.
   */
  priority?: number | undefined
  /** Name of the device that packets came by; any unless told. `ingress` needs it. A device is found by its name when packets come. */
  in?: string | undefined
  /** Name of the device that they leave by; any unless told. `egress` needs it. */
  out?: string | undefined
  /** Name of the port of a bridge that they came by, as br_netfilter remembers it at `prerouting`, `local-in` and `forward`. */
  physIn?: string | undefined
  /** Name of the port of a bridge that they leave by, at `forward` and `postrouting`. */
  physOut?: string | undefined
  /** Which packets; every one unless told. */
  match?: HookMatch | undefined
}

/** Where a hook is, which packets it is about, and what becomes of them. */
export interface HookSpec extends HookPlace {
  /** What becomes of packets that match. */
  verdict: HookVerdict
  /** Name of a clone target, which need not be defined, that gets packets that match, before their mark changes. Not with redirect and repeat. */
  clone?: string | undefined
  /**
   * Packets that match get the mark (mark & ~mask) ^ value; a number is the new mark. `repeat` needs it. A mark that changes at `local-out` has
   * the route looked up again.
   */
  mark?: number | MaskedNumber | undefined
}

export const HOOK_PLACE_KEYS = ['at', 'family', 'priority', 'in', 'out', 'physIn', 'physOut', 'match'] as const satisfies readonly (keyof HookPlace)[]
export const HOOK_SPEC_KEYS = [...HOOK_PLACE_KEYS, 'verdict', 'clone', 'mark'] as const satisfies readonly (keyof HookSpec)[]

const MOST = 0xffffffff
const NF_BR_PRI_FILTER_BRIDGED = -200
const PLACES = ['in', 'out', 'physIn', 'physOut'] as const

/** @throws TypeError, RangeError; one that names the field and the point for what does not go together there */
export function hookConfigOf(spec: HookSpec): HookConfig {
  const { at, family = null, match, clone = null } = spec
  if (!isHookPoint(at)) throw invalidArgument('at', Object.keys(HOOK_POINTS).join(', '), at)
  const { priority = at.startsWith('bridge-') ? NF_BR_PRI_FILTER_BRIDGED : 0 } = spec
  const rules = HOOK_POINTS[at]
  if (family !== null) {
    if (family !== 'ipv4' && family !== 'ipv6') throw invalidArgument('family', 'ipv4 or ipv6', family)
    if (!rules.families) throw invalidArgument('family', `nothing at ${at}, where packets of every family are seen`, family)
  }
  checkInteger(priority, -(2 ** 31), 2 ** 31 - 1, 'priority')
  const devices = Object.fromEntries(PLACES.map((key) => [key, deviceOf(spec, key)])) as Pick<HookConfig, typeof PLACES[number]>
  const mark = markOf(spec.mark)
  if (mark !== null && !rules.mark) throw invalidArgument('mark', `nothing at ${at}`, spec.mark)
  const verdict = verdictOf(spec.verdict)
  if (clone !== null) checkObjectName(clone, 'clone')
  if (typeof verdict === 'object') {
    if ('queue' in verdict && !rules.queue) throw invalidArgument('verdict', `accept, drop, redirect or repeat at ${at}`, 'queue')
    if ('repeat' in verdict && mark === null) throw invalidArgument('mark', 'a mark beside the verdict repeat', undefined)
    if (clone !== null && !('queue' in verdict)) {
      throw invalidArgument('clone', `nothing beside the verdict ${'repeat' in verdict ? 'repeat' : 'redirect, which names a clone target itself'}`, clone)
    }
  }
  return { at, family, priority, ...devices, verdict, mark, clone, program: hookProgramOf(match, at, family) }
}

function deviceOf(spec: HookSpec, key: typeof PLACES[number]): string | null {
  const { at, [key]: name } = spec
  const presence = HOOK_POINTS[at][key]
  if (name === undefined) {
    if (presence === 'must') throw invalidArgument(key, `the name of a device, which ${at} needs`, name)
    return null
  }
  if (presence === 'never') throw invalidArgument(key, `nothing at ${at}, where packets have none`, name)
  checkDeviceName(name, key)
  return name
}

function markOf(given: HookSpec['mark']): MaskedNumber | null {
  if (given === undefined) return null
  if (typeof given === 'object') checkKeys(given, ['value', 'mask'], 'mark')
  const { value, mask } = typeof given === 'object' ? given : { value: given, mask: MOST }
  checkInteger(value, 0, MOST, typeof given === 'object' ? 'mark.value' : 'mark')
  checkInteger(mask, 0, MOST, 'mark.mask')
  return { value, mask }
}

function verdictOf(given: HookVerdict): HookVerdict {
  if (given === 'accept' || given === 'drop') return given
  const expected = 'accept, drop, { redirect }, { queue } or { repeat }'
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw invalidArgument('verdict', expected, given)
  if ('redirect' in given) {
    checkKeys(given, ['redirect', 'onFail'], 'verdict')
    const { redirect, onFail = 'accept' } = given
    checkObjectName(redirect, 'verdict.redirect')
    if (onFail !== 'accept' && onFail !== 'drop') throw invalidArgument('verdict.onFail', 'accept or drop', onFail)
    return { redirect, onFail }
  }
  if ('queue' in given) {
    checkKeys(given, ['queue', 'bypass'], 'verdict')
    const { queue, bypass = false } = given
    checkInteger(queue, 0, 0xffff, 'verdict.queue')
    checkBoolean(bypass, 'verdict.bypass')
    return { queue, bypass }
  }
  if ('repeat' in given) {
    checkKeys(given, ['repeat'], 'verdict')
    checkInteger(given.repeat, 1, LIMIT.maxRepeat, 'verdict.repeat')
    return { repeat: given.repeat }
  }
  throw outOfRange('verdict', expected, given)
}
