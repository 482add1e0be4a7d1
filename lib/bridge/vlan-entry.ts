// SPDX-License-Identifier: MIT

import { VLAN_INFO, type VlanAttributes } from '../wire/bridge-vlan.js'
import type { PortMulticastRouterMode, PortState } from '../wire/link-kinds/bridge-port.js'
import type { RawAttribute } from '../wire/netlink.js'
import { present } from './present.js'

/** One VLAN of a port, or a range of VLANs that are all alike. Optional fields are unknown to older kernels. */
export interface VlanEntry {
  /** The port's name, or the bridge's own. */
  port: string
  portIndex: number
  vid: number
  /** Last VLAN of the range; equal to `vid` for a single one. */
  vidEnd: number
  pvid: boolean
  untagged: boolean
  state: PortState
  multicastRouter?: PortMulticastRouterMode
  multicastGroups?: number
  multicastMaxGroups?: number
  neighbourSuppress?: boolean
  /** Of the first VLAN; the others count up. */
  tunnelId?: number
  /** Attributes that nfkit has no name for. */
  unknown?: RawAttribute[]
}

/** The plain object of an entry. */
export function vlanEntry(port: string, portIndex: number, entry: Partial<VlanAttributes> & { unknown?: RawAttribute[] }): VlanEntry {
  const { flags = 0, vid = 0 } = entry.info ?? {}
  return {
    port,
    portIndex,
    vid,
    vidEnd: entry.rangeEnd ?? vid,
    pvid: (flags & VLAN_INFO.pvid) !== 0,
    untagged: (flags & VLAN_INFO.untagged) !== 0,
    state: entry.state ?? 'disabled',
    ...present({
      multicastRouter: entry.multicastRouter, multicastGroups: entry.multicastGroups, multicastMaxGroups: entry.multicastMaxGroups,
      neighbourSuppress: entry.neighbourSuppress, tunnelId: entry.tunnel?.id, unknown: entry.unknown,
    }),
  }
}

export function keyOf(portIndex: number, vid: number): string {
  return `${portIndex}/${vid}`
}

/** Each VLAN of the ranges on its own. */
export function expand(entries: readonly VlanEntry[]): Map<string, VlanEntry> {
  const single = new Map<string, VlanEntry>()
  for (const entry of entries) {
    for (let vid = entry.vid; vid <= entry.vidEnd; vid++) {
      single.set(keyOf(entry.portIndex, vid), {
        ...entry, vid, vidEnd: vid, ...(entry.tunnelId === undefined ? {} : { tunnelId: entry.tunnelId + vid - entry.vid }),
      })
    }
  }
  return single
}

/** Whether two single VLANs are set alike. */
export function alike(a: VlanEntry, b: VlanEntry | undefined): boolean {
  return b !== undefined && a.pvid === b.pvid && a.untagged === b.untagged && a.state === b.state && a.multicastRouter === b.multicastRouter &&
    a.multicastMaxGroups === b.multicastMaxGroups && a.neighbourSuppress === b.neighbourSuppress && a.tunnelId === b.tunnelId
}
