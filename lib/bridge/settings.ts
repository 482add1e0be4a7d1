// SPDX-License-Identifier: MIT
// What a bridge can be set to, in groups, and the way from there to the kernel's attributes.

import { invalidArgument, NfkitError, outOfRange } from '../errors.js'
import {
  type BridgeAttributes, bridgeAttributes, type BridgeSwitches, type MulticastRouterMode, type StpMode, type VlanProtocol,
} from '../wire/link-kinds/bridge.js'
import { checkValue } from './check.js'
import { bridgeNetfilterMissing, noVlanFiltering } from './missing.js'

/**
 * Spanning tree settings, IEEE 802.1D-1998. Times are seconds in steps of 0.01. The standard also asks for
 * `2 * (forwardDelay - 1) >= maxAge >= 2 * (helloTime + 1)`; the kernel does not, and neither does nfkit.
 */
export interface StpSettings {
  /** Default false. In the machine's own namespace the kernel asks /sbin/bridge-stp first and leaves the work to it if that agrees. */
  enabled?: boolean | undefined
  /** First half of the bridge id: 0 to 65535, 802.1D-2004 wants multiples of 4096. The lowest becomes root. Default 32768. */
  priority?: number | undefined
  /** Seconds until a root that is not heard from is given up: 6 to 40, default 20. */
  maxAge?: number | undefined
  /** Seconds between BPDUs: 1 to 10, default 2. */
  helloTime?: number | undefined
  /**
   * Seconds in each of listening and learning: 2 to 30 with STP, from 0 without, default 15. A value out of that range which
   * is there when STP is switched on is brought into it by the kernel (br_stp_start, net/bridge/br_stp_if.c).
   */
  forwardDelay?: number | undefined
}

/** VLAN filtering settings; the kernel needs CONFIG_BRIDGE_VLAN_FILTERING. */
export interface VlanSettings {
  /** Default false: VLAN tags are ignored. */
  filtering?: boolean | undefined
  /** Which tag is filtered. Default 802.1Q. */
  protocol?: VlanProtocol | undefined
  /** VLAN of untagged frames on ports added later: 1 to 4094, or 0 for none. Default 1. */
  defaultPvid?: number | undefined
  /** Count packets and bytes of each VLAN. Default false. */
  statistics?: boolean | undefined
  /** Count them for each port on its own; settable while no port has VLANs. Default false. */
  statisticsPerPort?: boolean | undefined
  /** Multiple spanning trees; settable while the bridge has no VLANs. Linux 5.18. */
  mst?: boolean | undefined
}

/** IGMP and MLD snooping; the kernel needs CONFIG_BRIDGE_IGMP_SNOOPING. Times are seconds in steps of 0.01. */
export interface MulticastSettings {
  /** Default true. */
  snooping?: boolean | undefined
  /** Snooping for each VLAN on its own, in place of the whole bridge. Linux 5.15. */
  vlanSnooping?: boolean | undefined
  /** Whether multicast goes to the bridge itself as to a router. Default auto. */
  router?: MulticastRouterMode | undefined
  /** Send queries. Default false. */
  querier?: boolean | undefined
  /** Send them from the bridge's IPv4 address instead of 0.0.0.0. Default false. */
  queryUseIfaddr?: boolean | undefined
  /** Most groups. Default 4096. */
  hashMax?: number | undefined
  /** Queries before a group is given up. Default 2. */
  lastMemberCount?: number | undefined
  /** Queries at start. Default 2. */
  startupQueryCount?: number | undefined
  /** Between the queries after a leave. Default 1. */
  lastMemberInterval?: number | undefined
  /** How long a membership lasts without a report. Default 260. */
  membershipInterval?: number | undefined
  /** After which another querier counts as gone. Default 255. */
  querierInterval?: number | undefined
  /** Between queries: 1 to 86400, default 125. */
  queryInterval?: number | undefined
  /** What members have for answering. Default 10. */
  queryResponseInterval?: number | undefined
  /** Between the queries at start: 1 to 86400, default 31.25. */
  startupQueryInterval?: number | undefined
  /** Count IGMP and MLD messages. Default false. */
  statistics?: boolean | undefined
  /** 2 (default) or 3. */
  igmpVersion?: number | undefined
  /** 1 (default) or 2. */
  mldVersion?: number | undefined
}

/**
 * Whether frames that this bridge forwards pass the tables of iptables, ip6tables and arptables although the namespace's own
 * switch is off ({@link Bridge.netfilter}). The kernel needs CONFIG_BRIDGE_NETFILTER.
 */
export interface BridgeNetfilterSettings {
  callIptables?: boolean | undefined
  callIp6tables?: boolean | undefined
  callArptables?: boolean | undefined
}

/**
 * What can be set on a bridge. What is left out stays as it is (or is the kernel's default on a new bridge). The kernel keeps
 * times in ticks of its own (CONFIG_HZ, 1/250 s often), so one can be read back as up to a tick less than was set.
 */
export interface BridgeSettings {
  /** Seconds that an address stays in the CAM table without being seen. Default 300; 0 makes addresses age at once. */
  ageingTime?: number | undefined
  stp?: StpSettings | undefined
  vlan?: VlanSettings | undefined
  multicast?: MulticastSettings | undefined
  netfilter?: BridgeNetfilterSettings | undefined
  /**
   * Bit N lets frames to the reserved address 01:80:c2:00:00:0N pass, which a bridge must not forward otherwise; bits 0 to 2
   * (STP, pause, LACP) are refused. Default 0.
   */
  groupForwardMask?: number | undefined
  /** Where BPDUs go: 01:80:c2:00:00:0X, X not 1, 2 or 3. Default 01:80:c2:00:00:00. */
  groupAddress?: string | undefined
  /** Most addresses to be learned; 0 (default) for no limit. Linux 6.7. */
  fdbMaxLearned?: number | undefined
  /** Learn from frames to link-local addresses too. Default true. Linux 5.0. */
  linkLocalLearning?: boolean | undefined
}

type Key = keyof BridgeAttributes & string

/** Settings by their path to the kernel's attribute; the groups that a kernel can lack, with what brings them. */
export const PATHS: Readonly<Record<string, Key>> = {
  ageingTime: 'ageingTime',
  groupForwardMask: 'groupForwardMask',
  groupAddress: 'groupAddress',
  fdbMaxLearned: 'fdbMaxLearned',
  'stp.priority': 'priority',
  'stp.maxAge': 'maxAge',
  'stp.helloTime': 'helloTime',
  'stp.forwardDelay': 'forwardDelay',
  'vlan.filtering': 'vlanFiltering',
  'vlan.protocol': 'vlanProtocol',
  'vlan.defaultPvid': 'vlanDefaultPvid',
  'vlan.statistics': 'vlanStatsEnabled',
  'vlan.statisticsPerPort': 'vlanStatsPerPort',
  'multicast.snooping': 'multicastSnooping',
  'multicast.router': 'multicastRouter',
  'multicast.querier': 'multicastQuerier',
  'multicast.queryUseIfaddr': 'multicastQueryUseIfaddr',
  'multicast.hashMax': 'multicastHashMax',
  'multicast.lastMemberCount': 'multicastLastMemberCount',
  'multicast.startupQueryCount': 'multicastStartupQueryCount',
  'multicast.lastMemberInterval': 'multicastLastMemberInterval',
  'multicast.membershipInterval': 'multicastMembershipInterval',
  'multicast.querierInterval': 'multicastQuerierInterval',
  'multicast.queryInterval': 'multicastQueryInterval',
  'multicast.queryResponseInterval': 'multicastQueryResponseInterval',
  'multicast.startupQueryInterval': 'multicastStartupQueryInterval',
  'multicast.statistics': 'multicastStatsEnabled',
  'multicast.igmpVersion': 'multicastIgmpVersion',
  'multicast.mldVersion': 'multicastMldVersion',
  'netfilter.callIptables': 'nfCallIptables',
  'netfilter.callIp6tables': 'nfCallIp6tables',
  'netfilter.callArptables': 'nfCallArptables',
}

/** Settings that are bits of one attribute. */
export const SWITCHES: Readonly<Record<string, { name: Exclude<keyof BridgeSwitches, 'unknown'>; inverted?: boolean }>> = {
  linkLocalLearning: { name: 'noLinkLocalLearn', inverted: true },
  'vlan.mst': { name: 'mst' },
  'multicast.vlanSnooping': { name: 'multicastVlanSnooping' },
}

const GROUPS = ['stp', 'vlan', 'multicast', 'netfilter']
const KNOWN = new Set([...Object.keys(PATHS), ...Object.keys(SWITCHES), 'stp.enabled'])

/** The kernel's attributes for settings. @throws TypeError or RangeError, with the setting's path. */
export function attributesOf(settings: BridgeSettings): Partial<BridgeAttributes> {
  const attributes: Record<string, unknown> = {}
  const switches: Record<string, boolean> = {}
  for (const [path, value] of flatten(settings)) {
    const key = PATHS[path]
    const bit = SWITCHES[path]
    if (key !== undefined) {
      checkValue(bridgeAttributes.fields[key], value, path)
      attributes[key] = value
    } else {
      if (typeof value !== 'boolean') throw invalidArgument(path, 'true or false', value)
      if (bit === undefined) attributes['stpState'] = value ? 'kernel' : 'off'
      else switches[bit.name] = value !== (bit.inverted ?? false)
    }
  }
  if (Object.keys(switches).length > 0) attributes['switches'] = switches
  return attributes as Partial<BridgeAttributes>
}

/** The settings that are given, as paths. @throws TypeError for one that does not exist. */
function* flatten(settings: BridgeSettings): Generator<[path: string, value: unknown]> {
  for (const [name, value] of Object.entries(settings) as [string, unknown][]) {
    if (value === undefined) continue
    if (!GROUPS.includes(name)) {
      yield [knownPath(name), value]
      continue
    }
    if (typeof value !== 'object' || value === null) throw invalidArgument(name, 'an object', value)
    for (const [inner, setting] of Object.entries(value)) if (setting !== undefined) yield [knownPath(`${name}.${inner}`), setting]
  }
}

function knownPath(path: string): string {
  if (!KNOWN.has(path)) throw invalidArgument('bridge settings', `one of ${[...KNOWN].join(', ')}`, path)
  return path
}

/** Linux refuses the delay only while STP runs; so does this, also where STP is switched on by the same change. */
export function checkForwardDelay(changes: Partial<BridgeAttributes>, stpNow: StpMode): void {
  const stp = changes.stpState ?? stpNow
  const delay = changes.forwardDelay
  if (stp === 'off' || delay === undefined || (delay >= 2 && delay <= 30)) return
  throw outOfRange('stp.forwardDelay', 'seconds from 2 to 30 while STP is on', delay)
}

/** Kernels take attributes that they do not know without a word. What they do not report, they have not taken. */
export function checkSupported(changes: Partial<BridgeAttributes>, reported: Partial<BridgeAttributes>): void {
  for (const key of Object.keys(changes) as Key[]) {
    if (key === 'fdbFlush') continue
    if (reported[key] === undefined) throw unsupported(key)
    if (key !== 'switches') continue
    for (const name of Object.keys(changes.switches!) as (keyof BridgeSwitches)[]) {
      if (reported.switches![name] === undefined) throw unsupported(name)
    }
  }
  // Without VLAN filtering the kernel still reports the switch, as off, and the default PVID not at all.
  if (changes.vlanFiltering === true && reported.vlanFiltering === false) throw unsupported('vlanFiltering')
}

function unsupported(name: string): NfkitError {
  if (name.startsWith('vlan')) return noVlanFiltering()
  if (name.startsWith('multicast') && name !== 'multicastVlanSnooping') {
    return new NfkitError('NFKIT_NO_IGMP_SNOOPING', 'this kernel cannot snoop multicast', { hint: 'it needs CONFIG_BRIDGE_IGMP_SNOOPING' })
  }
  if (name.startsWith('nfCall')) return bridgeNetfilterMissing()
  const since = SINCE[name]
  const hint = since === undefined ? {} : { hint: `it needs Linux ${since}` }
  return new NfkitError('NFKIT_KERNEL_TOO_OLD', `this kernel does not know the bridge setting ${name}`, hint)
}

const SINCE: Readonly<Record<string, string>> = {
  fdbMaxLearned: '6.7', noLinkLocalLearn: '5.0', multicastVlanSnooping: '5.15', mst: '5.18', mdbOffloadFailNotification: '6.16',
  fdbLocalVlan0: '6.18',
}
