// SPDX-License-Identifier: MIT

import type { PortMulticastRouterMode } from '../wire/link-kinds/bridge-port.js'
import { type FilterMode, MDB_FLAGS, type MdbFamily, type MdbSource, type MdbWireEntry, type RouterPort } from '../wire/mdb.js'
import type { RawAttribute } from '../wire/netlink.js'
import { present } from './present.js'

/** `offloaded`: the switch hardware has it too. `blocked`: frames of this source are kept from the port. */
export type MdbFlag = 'offloaded' | 'fast-leave' | 'star-exclude' | 'blocked' | 'offload-failed'

const FLAG_NAMES: Readonly<Record<MdbFlag, number>> = {
  offloaded: MDB_FLAGS.offloaded, 'fast-leave': MDB_FLAGS.fastLeave, 'star-exclude': MDB_FLAGS.starExclude, blocked: MDB_FLAGS.blocked,
  'offload-failed': MDB_FLAGS.offloadFailed,
}

/** One entry: a port that wants a group. */
export interface MdbEntry {
  /** The port's name, or the bridge's own for what the box itself joined. */
  port: string
  portIndex: number
  /** IPv4 or IPv6 group, or a multicast MAC address. */
  group: string
  family: MdbFamily
  /** Only from this source: (S, G). */
  source?: string
  /** 802.1Q VLAN 1 to 4094; null for an entry without one. */
  vlan: number | null
  state: 'temporary' | 'permanent'
  flags: MdbFlag[]
  /** Seconds until it expires without a report; 0 if it does not. */
  timer: number
  /** With IGMPv3 and MLDv2 (`multicast.igmpVersion`, `multicast.mldVersion`). */
  filterMode?: FilterMode
  /** The sources that filterMode is about. */
  sources?: MdbSource[]
  /** Who made it (RTPROT_*): 2 the kernel by snooping, 4 set by hand. Linux 5.10. */
  protocol?: number
  /** Attributes that nfkit has no name for. */
  unknown?: RawAttribute[]
}

/** A port where a multicast router is. */
export interface MdbRouter {
  port: string
  portIndex: number
  /** Only with snooping for each VLAN on its own. */
  vlan: number | null
  type?: PortMulticastRouterMode
  /** Seconds until it is no longer taken for one; 0 if it stays. */
  timer?: number
  ipv4Timer?: number
  ipv6Timer?: number
  unknown?: RawAttribute[]
}

export function mdbEntry(entry: MdbWireEntry, names: ReadonlyMap<number, string>): MdbEntry {
  const { index, group, family, source, vid, permanent, flags, timer = 0, filterMode, sources, protocol, unknown } = entry
  return {
    port: names.get(index) ?? `#${index}`,
    portIndex: index,
    group,
    family,
    ...present({ source }),
    vlan: vid === 0 ? null : vid,
    state: permanent ? 'permanent' : 'temporary',
    flags: (Object.keys(FLAG_NAMES) as MdbFlag[]).filter((name) => (flags & FLAG_NAMES[name]) !== 0),
    timer,
    ...present({ filterMode, sources, protocol, unknown }),
  }
}

export function mdbRouter({ index, vid, ...rest }: RouterPort, names: ReadonlyMap<number, string>): MdbRouter {
  return { port: names.get(index) ?? `#${index}`, portIndex: index, vlan: vid ?? null, ...rest }
}
