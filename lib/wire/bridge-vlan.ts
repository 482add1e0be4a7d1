// SPDX-License-Identifier: MIT
// VLANs of bridges and their ports: struct br_vlan_msg, BRIDGE_VLANDB_* (include/uapi/linux/if_bridge.h,
// net/bridge/br_vlan.c, net/bridge/br_vlan_options.c). Linux 5.6.

import {
  attributeTable, bool, choice, type Codec, field, reported, seconds, struct, table, u16, u32, u64, u8, type WithUnknown,
} from './attributes.js'
import { type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { attributeU32, forEachAttribute, malformed, nested, type NetlinkMessage, type RawAttribute } from './netlink.js'
import { AF_BRIDGE } from './rtnetlink.js'
import { type QuerierState, querierState } from './link-kinds/bridge.js'
import { type PortMulticastRouterMode, portMulticastRouterModes, type PortState, portStates } from './link-kinds/bridge-port.js'
import { decodeRouterPorts, type RouterPort } from './mdb.js'

export const VLAN_HEADER = 8

/** BRIDGE_VLAN_INFO_* that requests carry. */
export const VLAN_INFO = { pvid: 0x2, untagged: 0x4, onlyOptions: 0x40 } as const

/** BRIDGE_VLANDB_DUMPF_*. */
export const VLAN_DUMP = { statistics: 1, global: 2 } as const

/** struct bridge_vlan_info. */
interface VlanInfo { flags: number; vid: number }

const vlanInfo: Codec<VlanInfo> = {
  ...struct<VlanInfo>(4, (view, at) => ({ flags: view.getUint16(at, LITTLE_ENDIAN), vid: view.getUint16(at + 2, LITTLE_ENDIAN) })),
  encode(w, { flags, vid }) {
    w.u16(flags)
    w.u16(vid)
  },
}

/** Counters of one VLAN. */
export interface VlanCounters {
  rxBytes: number
  rxPackets: number
  txBytes: number
  txPackets: number
}

const counters = attributeTable<VlanCounters>({
  rxBytes: reported(1, u64()),
  rxPackets: reported(2, u64()),
  txBytes: reported(3, u64()),
  txPackets: reported(4, u64()),
}, { padding: 5 })

/** BRIDGE_VLANDB_TINFO_*: `command` is RTM_SETLINK or RTM_DELLINK. */
interface TunnelInfo { id: number; command: number }

const tunnelInfo = attributeTable<TunnelInfo>({ id: field(1, u32(0, 0xffffff)), command: field(2, u32()) })

/** BRIDGE_VLANDB_ENTRY_*. */
export interface VlanAttributes {
  info: VlanInfo
  /** Last VLAN of the range that begins with `info.vid`. */
  rangeEnd: number
  state: PortState
  tunnel: Partial<TunnelInfo>
  statistics: Partial<VlanCounters>
  multicastRouter: PortMulticastRouterMode
  /** Linux 6.3. */
  multicastGroups: number
  multicastMaxGroups: number
  /** Linux 6.4. */
  neighbourSuppress: boolean
}

export const vlanAttributes = attributeTable<VlanAttributes>({
  info: field(1, vlanInfo),
  rangeEnd: field(2, u16(1, 4094)),
  state: field(3, choice(1, portStates)),
  tunnel: field(4, table(tunnelInfo)),
  statistics: reported(5, table(counters)),
  multicastRouter: field(6, choice(1, portMulticastRouterModes)),
  multicastGroups: reported(7, u32()),
  multicastMaxGroups: field(8, u32()),
  neighbourSuppress: field(9, bool()),
})

/** BRIDGE_VLANDB_GOPTS_*: what a VLAN is set to on the whole bridge. */
export interface VlanGlobalAttributes {
  vid: number
  rangeEnd: number
  multicastSnooping: boolean
  multicastIgmpVersion: number
  multicastMldVersion: number
  multicastLastMemberCount: number
  multicastStartupQueryCount: number
  multicastLastMemberInterval: number
  multicastMembershipInterval: number
  multicastQuerierInterval: number
  multicastQueryInterval: number
  multicastQueryResponseInterval: number
  multicastStartupQueryInterval: number
  multicastQuerier: boolean
  multicastRouterPorts: RouterPort[]
  querierState: QuerierState
  /** Multiple spanning tree instance, 0 to 4095. */
  msti: number
}

const routerPorts: Codec<RouterPort[]> = {
  nested: true,
  decode(input, start, end) {
    // The list is wrapped once more in MDBA_ROUTER (br_rports_fill_info).
    const ports: RouterPort[] = []
    forEachAttribute(input, start, end, (_type, from, to) => { ports.push(...decodeRouterPorts(input, from, to)) })
    return ports
  },
  encode(_w, _value, name) { throw new TypeError(`${name} is read-only`) },
}

export const vlanGlobalAttributes = attributeTable<VlanGlobalAttributes>({
  vid: field(1, u16(1, 4094)),
  rangeEnd: field(2, u16(1, 4094)),
  multicastSnooping: field(3, bool()),
  multicastIgmpVersion: field(4, u8(2, 3)),
  multicastMldVersion: field(5, u8(1, 2)),
  multicastLastMemberCount: field(6, u32()),
  multicastStartupQueryCount: field(7, u32()),
  multicastLastMemberInterval: field(8, seconds(8)),
  multicastMembershipInterval: field(10, seconds(8)),
  multicastQuerierInterval: field(11, seconds(8)),
  multicastQueryInterval: field(12, seconds(8, 1, 86400)),
  multicastQueryResponseInterval: field(13, seconds(8)),
  multicastStartupQueryInterval: field(14, seconds(8, 1, 86400)),
  multicastQuerier: field(15, bool()),
  multicastRouterPorts: reported(16, routerPorts),
  querierState: reported(17, table(querierState)),
  msti: field(18, u16(0, 4095)),
}, { padding: 9 })

/** What one message says about one device. */
export interface VlanMessage {
  /** The port, or the bridge itself. */
  index: number
  entries: (Partial<VlanAttributes> & WithUnknown)[]
  globals: (Partial<VlanGlobalAttributes> & WithUnknown)[]
  unknown?: RawAttribute[]
}

export function decodeVlan(input: Input, msg: NetlinkMessage): VlanMessage {
  const { view, bytes } = input
  if (msg.start + VLAN_HEADER > msg.end) throw malformed('a VLAN message shorter than its header')
  const result: VlanMessage = { index: view.getUint32(msg.start + 4, LITTLE_ENDIAN), entries: [], globals: [] }
  forEachAttribute(input, msg.start + VLAN_HEADER, msg.end, (type, from, to) => {
    if (type === 1) result.entries.push(vlanAttributes.decode(input, from, to))
    else if (type === 2) result.globals.push(vlanGlobalAttributes.decode(input, from, to))
    else (result.unknown ??= []).push({ type, data: bytes.slice(from, to) })
  })
  return result
}

/** A request about the VLANs of one device. */
export interface VlanRequest {
  index: number
  entry?: Partial<VlanAttributes>
  global?: Partial<VlanGlobalAttributes>
}

export function encodeVlan(w: Writer, { index, entry, global }: VlanRequest): void {
  header(w, index)
  if (entry !== undefined) nested(w, 1, () => vlanAttributes.encode(w, entry, 'vlan'))
  if (global !== undefined) nested(w, 2, () => vlanGlobalAttributes.encode(w, global, 'vlan'))
}

/** A dump of one device's VLANs, or of all with index 0; `flags` are {@link VLAN_DUMP}. */
export function encodeVlanDump(w: Writer, index: number, flags: number): void {
  header(w, index)
  if (flags !== 0) attributeU32(w, 1, flags)
}

function header(w: Writer, index: number): void {
  w.u8(AF_BRIDGE)
  w.u8(0)
  w.u16(0)
  w.u32(index)
}

/** Names refused attributes: the two nests of a request. */
export const vlanShape = {
  header: VLAN_HEADER,
  table: attributeTable<{ entry: Partial<VlanAttributes>; global: Partial<VlanGlobalAttributes> }>({
    entry: field(1, table(vlanAttributes)), global: field(2, table(vlanGlobalAttributes)),
  }),
}

