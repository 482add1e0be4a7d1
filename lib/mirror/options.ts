// SPDX-License-Identifier: MIT
// What a mirror is asked to be.

import { cloneConfigOf, type CloneTargetConfig } from '../clone/clone-config.js'
import { invalidArgument, outOfRange } from '../errors.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import { checkLinkRef } from '../net/link.js'
import type { IpFamily } from '../wire/ip.js'
import { isHookSource, type MirrorHookSource, planHook } from './hook-source.js'
import { checkMirrorName, objectNameOf } from './name.js'
import { LIMIT_KEYS, listPorts, type MirrorLimits, type MirrorPorts, pickLimits } from './outputs.js'
import { CHANGE_KEYS, type MirrorChangeOptions } from './place.js'
import { planSource, type RuleSourceLike } from './source.js'

/** Which packets: those that a rule selects, or those of a hook point. */
export type MirrorSourceLike = RuleSourceLike | MirrorHookSource

/** What {@link Mirror.create} takes. */
export interface MirrorOptions extends MirrorChangeOptions, MirrorLimits {
  /**
   * 1 to 63 letters, digits, `_`, `.` and `-`; `mirror1` and so on unless told. The rule's comment is `nfkit:NAME`. Via `devices` up to 24: its
   * clone target is `mirror.NAME`.
   */
  name?: string | undefined
  /** Which packets. */
  from: MirrorSourceLike
  /** The mirror port, by name, or several; via `reroute` there is one. */
  to: MirrorPorts
  /**
   * How copies get to the ports. `devices`, unless told: as whole frames with the MAC header that the packet came with. `reroute`: by a mark and
   * policy routing, with the MAC header of the route.
   */
  via?: 'devices' | 'reroute' | undefined
  /** Unless told: both, as far as the rule can be written for them and the box has IPv6. */
  family?: IpFamily | 'both' | undefined
  /** Stays when this handle is closed or its process ends, until `Mirror.remove(name)`. False unless told. */
  persistent?: boolean | undefined
  /** Via `reroute`: the mark of the copies, 1 to 4294967295; a free one unless told. */
  mark?: number | undefined
  /** Via `reroute`: the routing table, 1 to 4294967295; a free one unless told. */
  table?: number | undefined
}

interface CommonRequest {
  /** Undefined: any that is free. */
  readonly name: string | undefined
  readonly families: readonly IpFamily[] | undefined
  readonly persistent: boolean
}

export interface RerouteRequest extends CommonRequest {
  readonly via: 'reroute'
  readonly from: RuleSourceLike
  readonly port: string
  readonly mark: number | undefined
  readonly table: number | undefined
}

export interface DevicesRequest extends CommonRequest {
  readonly via: 'devices'
  readonly from: MirrorSourceLike
  readonly clone: CloneTargetConfig
}

export type MirrorRequest = RerouteRequest | DevicesRequest

const OPTIONS = ['name', 'from', 'to', 'via', 'family', 'persistent', 'mark', 'table', ...LIMIT_KEYS, ...CHANGE_KEYS]

/** Checks all that can be checked without looking at the box. @throws TypeError, RangeError, RuleError */
export function readOptions(options: MirrorOptions): MirrorRequest {
  checkKeys(options, OPTIONS, 'options')
  const { name, from, to, via = 'devices', family, persistent = false } = options
  if (name !== undefined) checkMirrorName(name)
  if (via !== 'reroute' && via !== 'devices') throw invalidArgument('via', "'devices' or 'reroute'", via)
  if (family !== undefined && family !== 'both' && family !== 'ipv4' && family !== 'ipv6') throw invalidArgument('family', "'ipv4', 'ipv6' or 'both'", family)
  const families: IpFamily[] | undefined = family === undefined ? undefined : family === 'both' ? ['ipv4', 'ipv6'] : [family]
  checkBoolean(persistent, 'persistent')
  const common = { name, families, persistent }
  return via === 'reroute' ? readReroute(options, common) : readDevices({ ...options, from, to }, common)
}

/** The comment of a rule needs a name; another of the same length is checked as well as the one that is free. */
const someName = (name: string | undefined): string => name ?? 'mirror1'

function readReroute({ from, to, mark, table, ...rest }: MirrorOptions, common: CommonRequest): RerouteRequest {
  for (const [key, value] of [['mark', mark], ['table', table]] as const) {
    if (value === undefined) continue
    if (typeof value !== 'number') throw invalidArgument(key, 'a number', value)
    if (!Number.isInteger(value) || value < 1 || value > 0xffffffff) throw outOfRange(key, 'a whole number from 1 to 4294967295', value)
  }
  for (const key of LIMIT_KEYS) if (rest[key] !== undefined) throw new TypeError(`${key}: expected via: 'devices' with it, since rerouted copies are whole and all of them`)
  if (isHookSource(from)) throw new TypeError("from.at: expected via: 'devices' with a hook point, since copies are routed from rules alone")
  const [port, ...others] = listPorts(to)
  if (port === undefined || others.length > 0) throw outOfRange('to', 'one port with via: \'reroute\', since policy routing leads to one', to)
  if (typeof port !== 'string') throw invalidArgument('to', 'the name of the mirror port', port)
  checkLinkRef(port, 'to')
  planSource(from, someName(common.name), common.families, 'reroute')
  return { ...common, via: 'reroute', from, port, mark, table }
}

function readDevices({ from, to, mark, table, ...rest }: MirrorOptions, common: CommonRequest): DevicesRequest {
  for (const [key, value] of [['mark', mark], ['table', table]] as const) {
    if (value !== undefined) throw new TypeError(`${key}: expected via: 'reroute' with it, since copies via 'devices' have no ${key}`)
  }
  const clone = { ...pickLimits(rest), devices: listPorts(to) }
  if (clone.devices.length === 0) throw outOfRange('to', 'at least one port', to)
  cloneConfigOf(clone, 'to')
  const name = someName(common.name)
  objectNameOf(name)
  if (isHookSource(from)) planHook(from, common.families, objectNameOf(name))
  else planSource(from, name, common.families, 'devices')
  return { ...common, via: 'devices', from, clone }
}
