// SPDX-License-Identifier: MIT
// Links: struct ifinfomsg and IFLA_* (include/uapi/linux/if_link.h, net/core/rtnetlink.c).

import { invalidArgument } from '../errors.js'
import {
  type AttributeTable, attributeTable, bool, type Codec, choice, field, interfaceName, listOf, mac, raw, reported, s32, string, u16, u32,
  type WithUnknown,
} from './attributes.js'
import { type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { linkKinds, slaveKinds } from './link-kinds/registry.js'
import {
  attribute, attributeBytes, forEachAttribute, nested, type NetlinkMessage, malformed, type RawAttribute, text, textBytes,
} from './netlink.js'
import { AF_INET6 } from './rtnetlink.js'

export const LINK_HEADER = 16

/** Flags of struct ifinfomsg that users set or read (include/uapi/linux/if.h). */
export const IFF = {
  up: 0x1, broadcast: 0x2, loopback: 0x8, pointToPoint: 0x10, running: 0x40, noArp: 0x80, promiscuous: 0x100, allMulticast: 0x200,
  multicast: 0x1000, lowerUp: 0x10000,
} as const

/** Counters of struct rtnl_link_stats64 since the device was made, in packets unless the name says bytes. */
export interface LinkStatistics<N extends number | bigint = number> {
  rxPackets: N
  txPackets: N
  rxBytes: N
  txBytes: N
  rxErrors: N
  txErrors: N
  /** Received and not processed, for want of room for example. */
  rxDropped: N
  txDropped: N
  multicast: N
  collisions: N
  rxLengthErrors: N
  rxOverErrors: N
  rxCrcErrors: N
  rxFrameErrors: N
  rxFifoErrors: N
  /** Missed by the device for want of buffers. */
  rxMissedErrors: N
  txAbortedErrors: N
  txCarrierErrors: N
  txFifoErrors: N
  txHeartbeatErrors: N
  txWindowErrors: N
  rxCompressed: N
  txCompressed: N
  /** No one took them: an inactive link of a bond for example (Linux 4.6). */
  rxNoHandler?: N
  /** For another MAC address (Linux 5.19). */
  rxOtherHostDropped?: N
}

/** In the order of the struct. */
const COUNTERS = [
  'rxPackets', 'txPackets', 'rxBytes', 'txBytes', 'rxErrors', 'txErrors', 'rxDropped', 'txDropped', 'multicast', 'collisions',
  'rxLengthErrors', 'rxOverErrors', 'rxCrcErrors', 'rxFrameErrors', 'rxFifoErrors', 'rxMissedErrors', 'txAbortedErrors', 'txCarrierErrors',
  'txFifoErrors', 'txHeartbeatErrors', 'txWindowErrors', 'rxCompressed', 'txCompressed', 'rxNoHandler', 'rxOtherHostDropped',
] as const satisfies readonly (keyof LinkStatistics)[]
const FIRST_COUNTERS = 23

/** The counters as they came, eight bytes each: decoded when it is known whether numbers or BigInts are wanted. */
export function linkStatistics(bytes: Uint8Array, bigint: true): LinkStatistics<bigint>
export function linkStatistics(bytes: Uint8Array, bigint?: boolean): LinkStatistics
export function linkStatistics(bytes: Uint8Array, bigint = false): LinkStatistics | LinkStatistics<bigint> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const statistics: Record<string, number | bigint> = {}
  for (let i = 0; i < COUNTERS.length && (i + 1) * 8 <= bytes.length; i++) {
    const value = view.getBigUint64(i * 8, LITTLE_ENDIAN)
    statistics[COUNTERS[i]!] = bigint ? value : Number(value)
  }
  return statistics as unknown as LinkStatistics
}

const counters: Codec<Uint8Array> = {
  decode: ({ bytes }, start, end) => (end - start >= FIRST_COUNTERS * 8 ? bytes.slice(start, end) : undefined),
  encode(_w, _value, name) { throw new TypeError(`${name} is read-only`) },
}

/** A link within a request about another one: the peer of a veth. */
export interface NestedLink {
  /** The index that it is to have; the kernel chooses one unless told. */
  index?: number
  flags?: number
  change?: number
  attributes: Partial<LinkAttributes> & WithUnknown
}

const nestedLink: Codec<NestedLink> = {
  decode({ view, ...input }, start, end) {
    if (end - start < LINK_HEADER) return undefined
    return {
      index: view.getInt32(start + 4, LITTLE_ENDIAN),
      flags: view.getUint32(start + 8, LITTLE_ENDIAN),
      change: view.getUint32(start + 12, LITTLE_ENDIAN),
      attributes: linkAttributes.decode({ view, ...input }, start + LINK_HEADER, end),
    }
  },
  encode(w, { index = 0, flags = 0, change = 0, attributes }, name) {
    encodeHeader(w, 0, index, flags, change)
    linkAttributes.encode(w, attributes, name)
  },
  locate: (input, start, end, offset) => linkAttributes.locate(input, start + LINK_HEADER, end, offset),
}

const kinds = linkKinds(nestedLink)

/** IFLA_LINKINFO: what kind of device it is, and the attributes that its kind and its master's kind have. */
export interface LinkKindInfo {
  /** `bridge`, `veth`, `vlan`, ...; absent for physical devices and the loopback. */
  kind?: string
  /** The kind's attributes, by the table in `link-kinds/`; bytes when nfkit has no table for the kind. */
  data?: object | Uint8Array
  /** What the master is, for example `bridge`, when the link has one. */
  masterKind?: string
  /** What the master keeps for this link. */
  masterData?: object | Uint8Array
  /** The other attributes, IFLA_INFO_XSTATS for one. */
  unknown?: RawAttribute[]
}

const INFO = { kind: 1, data: 2, slaveKind: 4, slaveData: 5 } as const

const linkKindInfo: Codec<LinkKindInfo> = {
  nested: true,
  decode(input, start, end) {
    const info: LinkKindInfo = {}
    const parts: { data?: [number, number]; masterData?: [number, number] } = {}
    forEachAttribute(input, start, end, (type, from, to) => {
      if (type === INFO.kind) info.kind = text(input.bytes, from, to)
      else if (type === INFO.data) parts.data = [from, to]
      else if (type === INFO.slaveKind) info.masterKind = text(input.bytes, from, to)
      else if (type === INFO.slaveData) parts.masterData = [from, to]
      else (info.unknown ??= []).push({ type, data: input.bytes.slice(from, to) })
    })
    const read = ([from, to]: [number, number], table: AttributeTable<object> | undefined) =>
      table === undefined ? input.bytes.slice(from, to) : table.decode(input, from, to)
    if (parts.data !== undefined) info.data = read(parts.data, kinds.get(info.kind ?? ''))
    if (parts.masterData !== undefined) info.masterData = read(parts.masterData, slaveKinds.get(info.masterKind ?? ''))
    return info
  },
  encode(w, { kind, data, masterKind, masterData, unknown = [] }, name) {
    writeKind(w, INFO.kind, kind, `${name}.kind`)
    writeData(w, INFO.data, data, kinds.get(kind ?? ''), `${name}.data`)
    writeKind(w, INFO.slaveKind, masterKind, `${name}.masterKind`)
    writeData(w, INFO.slaveData, masterData, slaveKinds.get(masterKind ?? ''), `${name}.masterData`)
    for (const { type, data: bytes } of unknown) attributeBytes(w, type, bytes)
  },
  locate(input, start, end, offset) {
    let found: string | undefined
    let kind = ''
    let masterKind = ''
    forEachAttribute(input, start, end, (type, from, to) => {
      if (type === INFO.kind) kind = text(input.bytes, from, to)
      else if (type === INFO.slaveKind) masterKind = text(input.bytes, from, to)
      if (offset < from - 4 || offset >= to) return
      if (type === INFO.kind) found = 'kind'
      else if (type === INFO.data) found = kinds.get(kind)?.locate(input, from, to, offset) ?? 'data'
      else if (type === INFO.slaveData) found = slaveKinds.get(masterKind)?.locate(input, from, to, offset) ?? 'masterData'
    })
    return found
  },
}

function writeKind(w: Writer, type: number, kind: unknown, name: string): void {
  if (kind === undefined) return
  // The kernel keeps at most MODULE_NAME_LEN bytes of it (IFLA_INFO_KIND's policy).
  if (typeof kind !== 'string' || !/^[A-Za-z0-9_-]{1,55}$/.test(kind)) throw invalidArgument(name, 'a link kind such as veth', kind)
  attributeBytes(w, type, textBytes(kind))
}

function writeData(w: Writer, type: number, data: object | undefined, table: AttributeTable<object> | undefined, name: string): void {
  if (data === undefined) return
  if (data instanceof Uint8Array) attributeBytes(w, type, data)
  else if (typeof data !== 'object' || data === null) throw invalidArgument(name, 'an object', data)
  else if (table !== undefined) nested(w, type, () => table.encode(w, data, name))
  else throw invalidArgument(name, 'bytes (a Uint8Array of attributes), since nfkit has no table for this kind', data)
}

/** Who makes a link's IPv6 link-local address, and how (IN6_ADDR_GEN_MODE_*, RFC 4291 appendix A, RFC 7217). */
export type AddrGenMode = 'eui64' | 'none' | 'stable-privacy' | 'random'

/** IFLA_INET6_*, the part of a link's IPv6 state that users set. */
interface Inet6Attributes {
  addrGenMode: AddrGenMode
}
const inet6Attributes = attributeTable<Inet6Attributes>({
  addrGenMode: field(8, choice(1, { eui64: 0, none: 1, 'stable-privacy': 2, random: 3 })),
})

/** IFLA_AF_SPEC of a link (not of a bridge port, where it means VLANs): the mode of IPv6, where the link has IPv6. */
export function addrGenModeOf(familySpec: Uint8Array): AddrGenMode | undefined {
  const input = { bytes: familySpec, view: new DataView(familySpec.buffer, familySpec.byteOffset, familySpec.byteLength) }
  let mode: AddrGenMode | undefined
  forEachAttribute(input, 0, familySpec.length, (type, start, end) => {
    if (type === AF_INET6) mode = inet6Attributes.decode(input, start, end).addrGenMode
  })
  return mode
}

/** IFLA_* as they are on the wire. */
export interface LinkAttributes {
  name: string
  mac: string
  broadcast: string
  /** Bytes of a packet, without the link-layer header. */
  mtu: number
  /** Index of the lower device (vlan, macvlan) or the peer (veth). */
  link: number
  qdisc: string
  /** struct rtnl_link_stats: what {@link LinkAttributes.statistics} holds in 64 bits. */
  statistics32: Uint8Array
  /** Index of the master device; 0 takes the link out. */
  master: number
  /** IFLA_PROTINFO: what IFLA_LINKINFO holds as well, in messages about bridge ports. */
  protocolInfo: Uint8Array
  txQueueLength: number
  /** struct rtnl_link_ifmap: where the hardware is. */
  map: Uint8Array
  operationalState: OperationalState
  /** `dormant`: user space (a supplicant) decides when the link is usable. */
  linkMode: 'default' | 'dormant'
  /** Open descriptor of the namespace to create in or move to. */
  netnsFd: number
  alias: string
  /** The counters: see {@link linkStatistics}. */
  statistics: Uint8Array
  /** IFLA_AF_SPEC; its meaning depends on the message's family. */
  familySpec: Uint8Array
  group: number
  promiscuity: number
  txQueues: number
  rxQueues: number
  carrier: boolean
  physicalPortId: Uint8Array
  carrierChanges: number
  physicalSwitchId: Uint8Array
  /** Namespace of `link`, as the id that this namespace has for it. */
  linkNetnsId: number
  physicalPortName: string
  protocolDown: boolean
  gsoMaxSegments: number
  gsoMaxSize: number
  xdp: Uint8Array
  /** IFLA_EVENT_*: why a notification was sent, where the kernel says so. */
  event: number
  /** Where a link that left went, as this namespace's id for it. */
  newNetnsId: number
  carrierUpCount: number
  carrierDownCount: number
  /** Index that a link that left has where it went. */
  newIndex: number
  minMtu: number
  maxMtu: number
  /** Further names, longer than 15 bytes if need be. */
  alternativeNames: string[]
  permanentMac: string
  /** Bus address of the hardware, for example `0000:00:1f.6`. */
  parentDevice: string
  /** `pci`, `usb`, ... */
  parentBus: string
  groMaxSize: number
  tsoMaxSize: number
  tsoMaxSegments: number
  allMulticastCount: number
  devlinkPort: Uint8Array
  gsoIpv4MaxSize: number
  groIpv4MaxSize: number
  dpllPin: Uint8Array
  /** IFLA_MAX_PACING_OFFLOAD_HORIZON (Linux 6.13). */
  pacingOffloadHorizon: Uint8Array
  netnsImmutable: boolean
  headroom: number
  tailroom: number
  kindInfo: LinkKindInfo
}

/** RFC 2863 operational states (include/uapi/linux/if.h, IF_OPER_*). */
export type OperationalState = 'unknown' | 'not-present' | 'down' | 'lower-layer-down' | 'testing' | 'dormant' | 'up'
const operationalStates = { unknown: 0, 'not-present': 1, down: 2, 'lower-layer-down': 3, testing: 4, dormant: 5, up: 6 }

export const linkAttributes = attributeTable<LinkAttributes>({
  name: field(3, interfaceName),
  mac: field(1, mac),
  broadcast: field(2, mac),
  mtu: field(4, u32(0, 0x7fffffff)),
  link: field(5, u32()),
  qdisc: reported(6, string()),
  statistics32: reported(7, raw),
  master: field(10, u32()),
  protocolInfo: reported(12, raw),
  txQueueLength: field(13, u32(0, 0x7fffffff)),
  map: reported(14, raw),
  operationalState: reported(16, choice(1, operationalStates)),
  linkMode: field(17, choice(1, { default: 0, dormant: 1 })),
  netnsFd: field(28, u32()),
  // The kernel's IFALIASZ is 256 with the NUL.
  alias: field(20, string(255)),
  statistics: reported(23, counters),
  familySpec: field(26, { ...raw, nested: true }),
  group: field(27, u32()),
  promiscuity: reported(30, u32()),
  txQueues: field(31, u32(1, 4096)),
  rxQueues: field(32, u32(1, 4096)),
  carrier: field(33, bool()),
  physicalPortId: reported(34, raw),
  carrierChanges: reported(35, u32()),
  physicalSwitchId: reported(36, raw),
  linkNetnsId: reported(37, s32),
  physicalPortName: reported(38, string()),
  protocolDown: field(39, bool()),
  gsoMaxSegments: field(40, u32()),
  gsoMaxSize: field(41, u32()),
  xdp: reported(43, raw),
  event: reported(44, u32()),
  newNetnsId: reported(45, s32),
  carrierUpCount: reported(47, u32()),
  carrierDownCount: reported(48, u32()),
  newIndex: reported(49, s32),
  minMtu: reported(50, u32()),
  maxMtu: reported(51, u32()),
  alternativeNames: reported(52, listOf(53, string())),
  permanentMac: reported(54, mac),
  parentDevice: reported(56, string()),
  parentBus: reported(57, string()),
  groMaxSize: field(58, u32()),
  tsoMaxSize: reported(59, u32()),
  tsoMaxSegments: reported(60, u32()),
  allMulticastCount: reported(61, u32()),
  devlinkPort: reported(62, raw),
  gsoIpv4MaxSize: field(63, u32()),
  groIpv4MaxSize: field(64, u32()),
  dpllPin: reported(65, raw),
  pacingOffloadHorizon: reported(66, raw),
  netnsImmutable: reported(67, bool()),
  headroom: reported(68, u16()),
  tailroom: reported(69, u16()),
  kindInfo: field(18, linkKindInfo),
}, { padding: 42 })

/** One link as the kernel reports it. */
export interface LinkMessage {
  /** 0, or AF_BRIDGE where the message is about the link as a bridge port. */
  family: number
  /** ARPHRD_*: 1 is Ethernet (include/uapi/linux/if_arp.h). */
  hardwareType: number
  index: number
  /** IFF_* bits. */
  flags: number
  attributes: Partial<LinkAttributes> & WithUnknown
}

/** For naming refused attributes. */
export const linkShape = { header: LINK_HEADER, table: linkAttributes }

/** @throws NfkitError EBADMSG */
export function decodeLink(input: Input, msg: NetlinkMessage): LinkMessage {
  const { view } = input
  const at = msg.start
  if (at + LINK_HEADER > msg.end) throw malformed('a link message shorter than its header')
  return {
    family: view.getUint8(at),
    hardwareType: view.getUint16(at + 2, LITTLE_ENDIAN),
    index: view.getInt32(at + 4, LITTLE_ENDIAN),
    flags: view.getUint32(at + 8, LITTLE_ENDIAN),
    attributes: linkAttributes.decode(input, at + LINK_HEADER, msg.end),
  }
}

/** What a request carries; `change` says which flag bits are meant. */
export interface LinkRequest {
  family?: number
  index?: number
  flags?: number
  change?: number
  attributes?: Partial<LinkAttributes> & WithUnknown
  /** Bits of IFLA_EXT_MASK: RTEXT_FILTER_*. */
  extendedMask?: number
  /** Goes into IFLA_AF_SPEC. */
  addrGenMode?: AddrGenMode
}

export const RTEXT_FILTER = {
  vf: 1, brVlan: 2, brVlanCompressed: 4, skipStats: 8, mrp: 16, cfmConfig: 32, cfmStatus: 64, mst: 128,
} as const

function encodeHeader(w: Writer, family: number, index: number, flags: number, change: number): void {
  w.u8(family)
  w.u8(0)
  w.u16(0)
  w.u32(index)
  w.u32(flags)
  w.u32(change)
}

export function encodeLink(w: Writer, request: LinkRequest): void {
  const { family = 0, index = 0, flags = 0, change = 0, attributes = {}, extendedMask, addrGenMode } = request
  encodeHeader(w, family, index, flags, change)
  linkAttributes.encode(w, attributes, 'link')
  if (extendedMask !== undefined) attribute(w, 29, () => w.u32(extendedMask))
  if (addrGenMode !== undefined) nested(w, 26, () => nested(w, AF_INET6, () => inet6Attributes.encode(w, { addrGenMode }, 'link')))
}
