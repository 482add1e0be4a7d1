// SPDX-License-Identifier: MIT
// Neighbours, the ARP and ND tables: struct ndmsg and NDA_* (include/uapi/linux/neighbour.h, net/core/neighbour.c).
// A bridge's forwarding database has the same messages and is in `fdb.ts`.

import { attributeTable, be16, field, ip, mac, raw, reported, s32, struct, u16, u32, u8, type WithUnknown } from './attributes.js'
import { type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { flagTable, named, nameTable } from './names.js'
import { malformed, type NetlinkMessage } from './netlink.js'
import { type RouteProtocolName, routeProtocols } from './rtnetlink.js'

export const NEIGHBOUR_HEADER = 12

/**
 * NUD_* (RFC 4861 section 7.3.2): being asked for, known and in use, known from before, about to be checked, being checked,
 * not there; `noarp` needs no asking, `permanent` was set by hand.
 */
export type NeighbourState = 'none' | 'incomplete' | 'reachable' | 'stale' | 'delay' | 'probe' | 'failed' | 'noarp' | 'permanent'
export const neighbourStates = nameTable<NeighbourState>({
  none: 0, incomplete: 0x01, reachable: 0x02, stale: 0x04, delay: 0x08, probe: 0x10, failed: 0x20, noarp: 0x40, permanent: 0x80,
}, 0xffff)

/**
 * NTF_* and, above the first eight bits, NTF_EXT_*. Users set `use` (look it up now), `proxy` (answer for it), `router`,
 * `ext-learned` (kept by a control plane) and `managed` (kept reachable by the kernel, Linux 5.16).
 */
export type NeighbourFlag =
  | 'use' | 'self' | 'master' | 'proxy' | 'ext-learned' | 'offloaded' | 'sticky' | 'router' | 'managed' | 'locked' | 'ext-validated'
export const neighbourFlags = flagTable<NeighbourFlag>({
  use: 0x01, self: 0x02, master: 0x04, proxy: 0x08, 'ext-learned': 0x10, offloaded: 0x20, sticky: 0x40, router: 0x80,
  managed: 0x100, locked: 0x200, 'ext-validated': 0x400,
})
export const NTF_PROXY = 0x08

/** struct nda_cacheinfo, in seconds since. */
export interface NeighbourCacheInfo {
  confirmed: number
  used: number
  updated: number
  references: number
}

/** NDA_* as they are on the wire. */
export interface NeighbourAttributes {
  address: string
  mac: string
  cacheInfo: NeighbourCacheInfo
  probes: number
  vlan: number
  port: number
  vni: number
  /** Filters a dump. */
  link: number
  /** Filters a dump: neighbours on links with this master. */
  master: number
  linkNetnsId: number
  sourceVni: number
  protocol: RouteProtocolName | number
  nexthopId: number
  fdbExtension: Uint8Array
  extendedFlags: number
  stateMask: number
  flagsMask: number
}

export const neighbourAttributes = attributeTable<NeighbourAttributes>({
  address: field(1, ip),
  mac: field(2, mac),
  cacheInfo: reported(3, struct(16, (view, at) => ({
    confirmed: view.getUint32(at, LITTLE_ENDIAN) / 100,
    used: view.getUint32(at + 4, LITTLE_ENDIAN) / 100,
    updated: view.getUint32(at + 8, LITTLE_ENDIAN) / 100,
    references: view.getUint32(at + 12, LITTLE_ENDIAN),
  }))),
  probes: reported(4, u32()),
  vlan: field(5, u16()),
  port: field(6, be16()),
  vni: field(7, u32()),
  link: field(8, u32()),
  master: field(9, u32()),
  linkNetnsId: reported(10, s32),
  sourceVni: field(11, u32()),
  protocol: field(12, named(1, routeProtocols)),
  nexthopId: field(13, u32()),
  fdbExtension: field(14, raw),
  extendedFlags: field(15, u32()),
  stateMask: field(16, u16()),
  flagsMask: field(17, u8()),
})

/** For naming refused attributes. */
export const neighbourShape = { header: NEIGHBOUR_HEADER, table: neighbourAttributes }

/** One neighbour as the kernel reports it, and as a request carries it. */
export interface NeighbourMessage {
  /** AF_INET or AF_INET6; AF_BRIDGE is a forwarding database. */
  family: number
  /** Of the link. */
  index: number
  /** NUD_* bits. */
  state: number
  /** NTF_* bits, and those of NDA_FLAGS_EXT above the first eight. */
  flags: number
  /** RTN_*: what kind of address it is. */
  type: number
  attributes: Partial<NeighbourAttributes> & WithUnknown
}

/** @throws NfkitError EBADMSG */
export function decodeNeighbour(input: Input, msg: NetlinkMessage): NeighbourMessage {
  const { view } = input
  const at = msg.start
  if (at + NEIGHBOUR_HEADER > msg.end) throw malformed('a neighbour message shorter than its header')
  const attributes = neighbourAttributes.decode(input, at + NEIGHBOUR_HEADER, msg.end)
  return {
    family: view.getUint8(at),
    index: view.getInt32(at + 4, LITTLE_ENDIAN),
    state: view.getUint16(at + 8, LITTLE_ENDIAN),
    flags: (view.getUint8(at + 10) | ((attributes.extendedFlags ?? 0) << 8)) >>> 0,
    type: view.getUint8(at + 11),
    attributes,
  }
}

/** Fields that are left out are zero. */
export function encodeNeighbour(w: Writer, neighbour: Partial<NeighbourMessage>): void {
  const { family = 0, index = 0, state = 0, flags = 0, type = 0, attributes = {} } = neighbour
  w.u8(family)
  w.u8(0)
  w.u16(0)
  w.u32(index)
  w.u16(state)
  w.u8(flags & 0xff)
  w.u8(type)
  neighbourAttributes.encode(w, { ...attributes, ...(flags > 0xff ? { extendedFlags: flags >>> 8 } : {}) }, 'neighbour')
}
