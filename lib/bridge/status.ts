// SPDX-License-Identifier: MIT
// What a bridge reports, in groups.

import { NfkitError } from '../errors.js'
import type { LinkInfo } from '../net/link.js'
import type { NetnsLike } from '../netns.js'
import type { BridgeAttributes, BridgeId, BridgeSwitches, QuerierState, StpMode } from '../wire/link-kinds/bridge.js'
import type { RawAttribute } from '../wire/netlink.js'
import { readOwnTimes } from './own-times.js'
import { present } from './present.js'
import { type BridgeNetfilterSettings, type MulticastSettings, PATHS, SWITCHES, type VlanSettings } from './settings.js'

/** The times of 802.1D, in seconds. */
export interface StpTimes {
  maxAge: number
  helloTime: number
  forwardDelay: number
}

/** Spanning tree settings and state. */
export interface StpStatus extends StpTimes {
  enabled: boolean
  mode: StpMode
  priority: number
  bridgeId: BridgeId
  designatedRoot: BridgeId
  /** This bridge is the root. */
  isRoot: boolean
  rootPathCost: number
  /** Number of the port towards the root ({@link BridgePort.number}); 0 when this bridge is the root. */
  rootPort: number
  /** The times in force: the root bridge's. The fields maxAge, helloTime and forwardDelay above are this bridge's own. */
  root: StpTimes
  /** A topology change is being announced. */
  topologyChange: boolean
  topologyChangeDetected: boolean
  /** Seconds until each fires; 0 for one that does not run. */
  timers: {
    hello: number
    /** Topology change notification. */
    tcn: number
    topologyChange: number
    /** The next search for aged addresses. */
    gc: number
  }
}

/** A bridge as the kernel reports it. Groups that the kernel was built without are absent. */
export interface BridgeStatus {
  name: string
  index: number
  mac: string
  /** Bytes of a packet without the Ethernet header. */
  mtu: number
  /** Administratively up. */
  up: boolean
  /** Up and with at least one port that has carrier. */
  running: boolean
  /** In force: during a topology change twice the forward delay (__br_set_topology_change, net/bridge/br_stp.c). */
  ageingTime: number
  stp: StpStatus
  vlan?: VlanSettings
  multicast?: MulticastSettings & {
    hashElasticity?: number
    /** Who sends queries now; absent fields: nobody known. */
    querierState?: QuerierState
  }
  netfilter?: BridgeNetfilterSettings
  groupForwardMask: number
  groupAddress: string
  /** Addresses learned now, of all ports. Linux 6.7. */
  fdbLearned?: number
  fdbMaxLearned?: number
  linkLocalLearning?: boolean
  /** Switches of kernels newer than this version of nfkit knows. */
  switches?: BridgeSwitches
  /** Attributes that nfkit has no name for. */
  unknown?: RawAttribute[]
}

/** The bridge of a link, with the times in force as its own. */
export function statusOf(link: LinkInfo): BridgeStatus {
  if (link.kind !== 'bridge') {
    const what = link.kind === undefined ? 'a device of its own' : `of kind ${link.kind}`
    throw new NfkitError('NFKIT_NOT_A_BRIDGE', `${link.name} is not a bridge but ${what}`)
  }
  const at = (link.kindData ?? {}) as Partial<BridgeAttributes> & { unknown?: RawAttribute[] }
  const none: BridgeId = { priority: 0, mac: '00:00:00:00:00:00' }
  const inForce: StpTimes = { maxAge: at.maxAge ?? 0, helloTime: at.helloTime ?? 0, forwardDelay: at.forwardDelay ?? 0 }
  const bridgeId = at.bridgeId ?? none
  const designatedRoot = at.rootId ?? none
  const { switches, querierState } = at
  const group = (name: string): Record<string, unknown> | undefined => {
    const values: Record<string, unknown> = {}
    for (const [path, key] of Object.entries(PATHS)) {
      if (path.startsWith(`${name}.`) && at[key] !== undefined) values[path.slice(name.length + 1)] = at[key]
    }
    // With none of the group's own attributes the kernel was built without it.
    if (Object.keys(values).length === 0 || (name === 'vlan' && at.vlanDefaultPvid === undefined)) return undefined
    for (const [path, bit] of Object.entries(SWITCHES)) {
      if (path.startsWith(`${name}.`) && switches?.[bit.name] !== undefined) values[path.slice(name.length + 1)] = switches[bit.name]
    }
    return values
  }
  const multicast = group('multicast')
  const extra = otherSwitches(switches)
  return {
    name: link.name,
    index: link.index,
    mac: link.mac ?? '',
    mtu: link.mtu,
    up: link.up,
    running: link.running,
    ageingTime: at.ageingTime ?? 0,
    stp: {
      enabled: (at.stpState ?? 'off') !== 'off',
      mode: at.stpState ?? 'off',
      priority: at.priority ?? 0,
      bridgeId,
      designatedRoot,
      isRoot: bridgeId.priority === designatedRoot.priority && bridgeId.mac === designatedRoot.mac,
      rootPathCost: at.rootPathCost ?? 0,
      rootPort: at.rootPort ?? 0,
      ...inForce,
      root: inForce,
      topologyChange: at.topologyChange ?? false,
      topologyChangeDetected: at.topologyChangeDetected ?? false,
      timers: { hello: at.helloTimer ?? 0, tcn: at.tcnTimer ?? 0, topologyChange: at.topologyChangeTimer ?? 0, gc: at.gcTimer ?? 0 },
    },
    ...present({
      vlan: group('vlan'),
      multicast: multicast === undefined ? undefined : { ...multicast, ...present({ hashElasticity: at.multicastHashElasticity, querierState }) },
      netfilter: group('netfilter'),
    }),
    groupForwardMask: at.groupForwardMask ?? 0,
    groupAddress: at.groupAddress ?? '',
    ...present({
      fdbLearned: at.fdbLearned,
      fdbMaxLearned: at.fdbMaxLearned,
      linkLocalLearning: switches?.noLinkLocalLearn === undefined ? undefined : !switches.noLinkLocalLearn,
      switches: extra,
      unknown: at.unknown,
    }),
  }
}

/** The bridge of a link, with its own times while another bridge is root; while it is root they are those in force. */
export function readStatus(link: LinkInfo, netns: NetnsLike | undefined): BridgeStatus {
  const status = statusOf(link)
  const own = status.stp.isRoot ? undefined : readOwnTimes(link.name, status.stp.forwardDelay, netns)
  return own === undefined ? status : { ...status, stp: { ...status.stp, ...own } }
}

function otherSwitches(switches: BridgeSwitches | undefined): BridgeSwitches | undefined {
  if (switches === undefined) return undefined
  const named = new Set<string>(Object.values(SWITCHES).map(({ name }) => name))
  const rest = Object.entries(switches).filter(([name]) => !named.has(name))
  return rest.length === 0 ? undefined : Object.fromEntries(rest)
}
