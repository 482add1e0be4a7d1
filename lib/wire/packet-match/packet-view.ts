// SPDX-License-Identifier: MIT
// A packet as the fields of a match see it: where its headers are and what they say about its extent.

import { inputOf } from '../bytes.js'
import { ETHERNET_HEADER, EtherType } from '../ethernet.js'
import type { IpFamily } from '../ip.js'
import { IpProtocol } from '../ip-protocol.js'
import type { LinkType, PacketKind } from './field.js'

/** VLAN tags looked for in the bytes of a frame. */
export const MOST_TAGS = 2
/** IPv6 extension headers walked. */
export const MOST_EXTENSION_HEADERS = 8
export const IPV4_HEADER = 20
export const IPV6_HEADER = 40
/** The largest length of an IEEE 802.3 frame; above are EtherTypes. */
export const MOST_LENGTH_8023 = 1500

/** What is known of a packet beside its bytes. */
export interface PacketContext {
  /** Where the bytes begin; `RAW` unless told. */
  linkType?: LinkType
  /** The packet's mark (skb->mark), 0 to 4294967295; 0 unless told. */
  mark?: number
  /** VLAN id, 0 to 4095, of the tag that the device or the kernel took off the frame; none unless told. */
  vlan?: number
}

/** What an IP header says. */
interface IpHeader {
  readonly family: IpFamily
  /** The length of the whole packet; as many bytes as there are when it does not fit into the field (BIG TCP, jumbograms). */
  readonly totalLength: number
  /** Undefined when the extension headers are not all there. */
  readonly protocol: number | undefined
  /** Where the transport header begins; undefined in later fragments and when headers are missing. */
  readonly transport: number | undefined
  /** Where the packet ends, as far as it is there. */
  readonly end: number
  /** There are more extension headers than are walked. */
  readonly longChain: boolean
}

export interface PacketView extends PacketKind {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly mark: number
  /** VLAN id of the outermost tag, taken off or not. */
  readonly vlan: number | undefined
  /** What the frame carries behind its VLAN tags, or its length when it is an IEEE 802.3 frame. */
  readonly etherType: number | undefined
  /** Where the network header begins; undefined when the frame is shorter than its Ethernet header. */
  readonly network: number | undefined
  /** Present with `family`. */
  readonly ip: IpHeader | undefined
}

/** Takes a packet apart as far as matches look. The context must have been checked. */
export function viewPacket(bytes: Uint8Array, { linkType = 'RAW', mark = 0, vlan }: PacketContext): PacketView {
  const { view } = inputOf(bytes)
  const ethernet = linkType === 'EN10MB' && bytes.length >= ETHERNET_HEADER
  let outermost = vlan
  let etherType: number | undefined
  let network: number | undefined
  let ip: IpHeader | undefined
  if (linkType === 'RAW') {
    network = 0
    const version = bytes.length === 0 ? 0 : bytes[0]! >> 4
    ip = version === 4 ? ipv4Header(view, 0) : version === 6 ? ipv6Header(view, 0) : undefined
  } else if (ethernet) {
    let at = ETHERNET_HEADER - 2
    etherType = view.getUint16(at)
    for (let tags = 0; tags < MOST_TAGS && isTag(etherType) && at + 6 <= bytes.length; tags++) {
      outermost ??= view.getUint16(at + 2) & 0xfff
      at += 4
      etherType = view.getUint16(at)
    }
    network = at + 2
    ip = etherType === EtherType.ipv4 ? ipv4Header(view, network) : etherType === EtherType.ipv6 ? ipv6Header(view, network) : undefined
  }
  return { bytes, view, linkType, mark, ethernet, vlan: outermost, etherType, network, family: ip?.family, ip }
}

const isTag = (type: number) => type === EtherType.vlan || type === EtherType.serviceVlan

function ipv4Header(view: DataView, at: number): IpHeader | undefined {
  const room = view.byteLength - at
  if (room < IPV4_HEADER || view.getUint8(at) >> 4 !== 4) return undefined
  const header = (view.getUint8(at) & 15) * 4
  const totalLength = view.getUint16(at + 2) || room
  if (header < IPV4_HEADER || header > room || totalLength < header) return undefined
  const isFirst = (view.getUint16(at + 6) & 0x1fff) === 0
  return {
    family: 'ipv4', totalLength, protocol: view.getUint8(at + 9), transport: isFirst ? at + header : undefined, end: at + Math.min(totalLength, room),
    longChain: false,
  }
}

function ipv6Header(view: DataView, at: number): IpHeader | undefined {
  const room = view.byteLength - at
  if (room < IPV6_HEADER || view.getUint8(at) >> 4 !== 6) return undefined
  const payload = view.getUint16(at + 4)
  let protocol = view.getUint8(at + 6)
  // Without payload there is no next header; else the length did not fit (RFC 2675, BIG TCP).
  const totalLength = payload === 0 && protocol !== IpProtocol.noNext ? room : IPV6_HEADER + payload
  const end = at + Math.min(totalLength, room)
  const found = (known: number | undefined, transport: number | undefined, longChain = false): IpHeader =>
    ({ family: 'ipv6', totalLength, protocol: known, transport, end, longChain })
  let start = at + IPV6_HEADER
  for (let headers = 0; isExtension(protocol); headers++) {
    if (headers === MOST_EXTENSION_HEADERS) return found(undefined, undefined, true)
    if (start + 8 > end) return found(undefined, undefined)
    const kind = protocol
    const length = view.getUint8(start + 1)
    protocol = view.getUint8(start)
    if (kind === IpProtocol.fragment && (view.getUint16(start + 2) & 0xfff8) !== 0) return found(protocol, undefined)
    start += kind === IpProtocol.fragment ? 8 : kind === IpProtocol.ah ? (length + 2) * 4 : (length + 1) * 8
  }
  return start > end ? found(undefined, undefined) : found(protocol, start)
}

/** The extension headers that are walked (ipv6_ext_hdr, net/ipv6/exthdrs_core.c). */
export const EXTENSION_HEADERS: readonly number[] =
  [IpProtocol.hopByHop, IpProtocol.routing, IpProtocol.fragment, IpProtocol.ah, IpProtocol.destinationOptions]
const isExtension = (protocol: number) => EXTENSION_HEADERS.includes(protocol)

/** Where a transport header of at least `length` bytes begins, or undefined. */
export function transportAt({ ip }: PacketView, length: number): number | undefined {
  return ip?.transport !== undefined && ip.transport + length <= ip.end ? ip.transport : undefined
}
