// SPDX-License-Identifier: MIT
// The multicast database of a bridge: struct br_port_msg, struct br_mdb_entry, MDBA_*, MDBE_* (include/uapi/linux/if_bridge.h,
// net/bridge/br_mdb.c).

import { invalidArgument, outOfRange } from '../errors.js'
import { attributeTable, choice, field, ip, listOf, reported, seconds, table, u16, u8, type WithUnknown } from './attributes.js'
import { type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { familyOf, formatIp, parseIp } from './ip.js'
import { portMulticastRouterModes, type PortMulticastRouterMode } from './link-kinds/bridge-port.js'
import { formatMac, isMulticastMac, parseMac } from './mac.js'
import { attribute, forEachAttribute, malformed, nested, type NetlinkMessage, type RawAttribute } from './netlink.js'
import { AF_BRIDGE } from './rtnetlink.js'

export const MDB_HEADER = 8
/** sizeof(struct br_mdb_entry). */
const ENTRY = 28

const ETH_P_IP = 0x0800
const ETH_P_IPV6 = 0x86dd

/** What a group's address is. */
export type MdbFamily = 'ipv4' | 'ipv6' | 'ethernet'
/** Which sources a member wants: all but the listed ones, or only those (RFC 3376 section 2). */
export type FilterMode = 'exclude' | 'include'

/** MDB_FLAGS_*. */
export const MDB_FLAGS = { offloaded: 1, fastLeave: 2, starExclude: 4, blocked: 8, offloadFailed: 16 } as const

/** One source of a group's source list. */
export interface MdbSource {
  address: string
  /** Seconds until it expires, 0 if it does not. */
  timer: number
}

/** MDBA_MDB_EATTR_*: what follows the struct of an entry. */
interface EntryAttributes {
  timer: number
  sources: (Partial<MdbSource> & WithUnknown)[]
  filterMode: FilterMode
  source: string
  protocol: number
}

const sourceAttributes = attributeTable<MdbSource>({ address: reported(1, ip), timer: reported(2, seconds(4)) })

const entryAttributes = attributeTable<EntryAttributes>({
  timer: reported(1, seconds(4)),
  sources: reported(2, listOf(1, table(sourceAttributes))),
  filterMode: reported(3, choice(1, { exclude: 0, include: 1 })),
  source: reported(4, ip),
  protocol: reported(5, u8()),
})

/** An entry as it is on the wire, with the group as text. */
export interface MdbWireEntry extends Partial<Omit<EntryAttributes, 'sources'>>, WithUnknown {
  /** Index of the port, or of the bridge for what the host itself joined. */
  index: number
  permanent: boolean
  /** {@link MDB_FLAGS}. */
  flags: number
  /** 0 for none. */
  vid: number
  family: MdbFamily
  group: string
  sources?: MdbSource[]
}

/** MDBA_ROUTER_PATTR_*: a port where multicast routers are. */
export interface RouterPort {
  index: number
  type?: PortMulticastRouterMode
  /** Seconds until the port is no longer taken for a router's; 0 if it stays. */
  timer?: number
  ipv4Timer?: number
  ipv6Timer?: number
  vid?: number
  unknown?: RawAttribute[]
}

const routerAttributes = attributeTable<Omit<RouterPort, 'index' | 'unknown'>>({
  timer: reported(1, seconds(4)),
  type: reported(2, choice(1, portMulticastRouterModes)),
  ipv4Timer: reported(3, seconds(4)),
  ipv6Timer: reported(4, seconds(4)),
  vid: reported(5, u16()),
})

/** The list in MDBA_ROUTER. */
export function decodeRouterPorts(input: Input, start: number, end: number): RouterPort[] {
  const ports: RouterPort[] = []
  forEachAttribute(input, start, end, (type, from, to) => {
    if (type !== 1 || to - from < 4) return
    // Attributes follow the index without a header of its own; older kernels have the index alone.
    ports.push({ index: input.view.getUint32(from, LITTLE_ENDIAN), ...routerAttributes.decode(input, from + 4, to) })
  })
  return ports
}

/** What one message says. */
export interface MdbMessage {
  /** The bridge. */
  index: number
  entries: MdbWireEntry[]
  routers: RouterPort[]
}

export function decodeMdb(input: Input, msg: NetlinkMessage): MdbMessage {
  if (msg.start + MDB_HEADER > msg.end) throw malformed('a multicast database message shorter than its header')
  const result: MdbMessage = { index: input.view.getUint32(msg.start + 4, LITTLE_ENDIAN), entries: [], routers: [] }
  forEachAttribute(input, msg.start + MDB_HEADER, msg.end, (type, from, to) => {
    if (type === 2) result.routers.push(...decodeRouterPorts(input, from, to))
    else if (type === 1) {
      forEachAttribute(input, from, to, (_entry, start, end) => forEachAttribute(input, start, end, (_info, at, stop) => {
        result.entries.push(decodeEntry(input, at, stop))
      }))
    }
  })
  return result
}

function decodeEntry(input: Input, start: number, end: number): MdbWireEntry {
  if (end - start < ENTRY) throw malformed(`a multicast database entry of ${end - start} bytes`)
  const { view, bytes } = input
  const protocol = view.getUint16(start + 24)
  const family = protocol === ETH_P_IP ? 'ipv4' : protocol === ETH_P_IPV6 ? 'ipv6' : 'ethernet'
  const at = start + 8
  const { sources, ...rest } = entryAttributes.decode(input, start + ENTRY, end)
  return {
    index: view.getUint32(start, LITTLE_ENDIAN),
    permanent: view.getUint8(start + 4) === 1,
    flags: view.getUint8(start + 5),
    vid: view.getUint16(start + 6, LITTLE_ENDIAN),
    family,
    group: family === 'ethernet' ? formatMac(bytes, at) : formatIp(bytes.slice(at, at + (family === 'ipv4' ? 4 : 16))),
    ...rest,
    ...(sources === undefined ? {} : { sources: sources.map(({ address = '', timer = 0 }) => ({ address, timer })) }),
  }
}

/** A group's address in network order. */
export interface MdbGroup {
  readonly family: MdbFamily
  readonly bytes: Uint8Array
}

/**
 * Parses the address of a group. @throws TypeError when it is no address, RangeError when it is no group or one that every
 * host is in, which the kernel refuses (rtnl_validate_mdb_entry, net/core/rtnetlink.c)
 */
export function parseGroup(text: string, name = 'group'): MdbGroup {
  if (typeof text !== 'string') throw invalidArgument(name, 'a group address', text)
  if (/^[0-9a-f]{2}[:-][0-9a-f]{2}[:-]/i.test(text) && text.length === 17) {
    const bytes = parseMac(text, name)
    if (!isMulticastMac(bytes)) throw outOfRange(name, 'a multicast MAC address', text)
    return { family: 'ethernet', bytes }
  }
  const bytes = parseIp(text, name)
  const family = familyOf(bytes)
  if (family === 'ipv4') {
    const local = bytes[0] === 224 && bytes[1] === 0 && bytes[2] === 0
    if (bytes[0]! >> 4 !== 14 || local) throw outOfRange(name, 'an IPv4 group outside 224.0.0.0/24', text)
  } else {
    const allNodes = formatIp(bytes) === 'ff02::1'
    if (bytes[0] !== 0xff || allNodes) throw outOfRange(name, 'an IPv6 group other than ff02::1', text)
  }
  return { family, bytes }
}

/** MDBE_ATTR_*: what a request says beyond the struct. */
export interface MdbRequestAttributes {
  source: string
  /** Linux 6.2, as the following ones. */
  sources: { address?: string }[]
  filterMode: FilterMode
  protocol: number
  /** For bulk deletion, Linux 6.8: which bits of the state are compared. */
  stateMask: number
}

const requestAttributes = attributeTable<MdbRequestAttributes>({
  source: field(1, ip),
  sources: field(2, listOf(1, table(attributeTable<{ address: string }>({ address: field(1, ip) })))),
  filterMode: field(3, choice(1, { exclude: 0, include: 1 })),
  protocol: field(4, u8()),
  stateMask: field(10, u8()),
})

/** A request about one entry; without a group, about every entry that fits (bulk deletion). */
export interface MdbRequest {
  bridge: number
  /** Index of the port, or of the bridge for what the host itself joined. */
  index: number
  permanent: boolean
  vid: number
  group?: MdbGroup
  attributes?: Partial<MdbRequestAttributes>
}

export function encodeMdb(w: Writer, { bridge, index, permanent, vid, group, attributes = {} }: MdbRequest): void {
  encodeMdbHeader(w, bridge)
  attribute(w, 1, () => {
    w.u32(index)
    w.u8(permanent ? 1 : 0)
    w.u8(0)
    w.u16(vid)
    const at = w.reserve(20)
    if (group === undefined) return
    w.bytes.set(group.bytes, at)
    w.view.setUint16(at + 16, group.family === 'ipv4' ? ETH_P_IP : group.family === 'ipv6' ? ETH_P_IPV6 : 0)
  })
  if (Object.values(attributes).some((value) => value !== undefined)) nested(w, 2, () => requestAttributes.encode(w, attributes, 'group'))
}

export function encodeMdbHeader(w: Writer, bridge: number): void {
  w.u8(AF_BRIDGE)
  w.u8(0)
  w.u16(0)
  w.u32(bridge)
}

/** Names refused attributes. */
export const mdbShape = {
  header: MDB_HEADER,
  table: attributeTable<{ attributes: Partial<MdbRequestAttributes> }>({ attributes: field(2, table(requestAttributes)) }),
}
