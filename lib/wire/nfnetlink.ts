// SPDX-License-Identifier: MIT
// Netfilter's netlink family (include/uapi/linux/netfilter/nfnetlink.h): struct nfgenmsg, message types, and what its subsystems
// for queueing and for logging packets have in common. All integers but those of the message header are in network order.

import { type Codec, be16, field, attributeTable, struct } from './attributes.js'
import { type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { formatLinkAddress, formatMac } from './mac.js'
import { type NameTable, nameTable } from './names.js'
import { malformed, type NetlinkMessage, NLMSG_HEADER } from './netlink.js'
import { type HookName, HOOKS } from './xtables/table.js'

export const NETLINK_NETFILTER = 12

/** struct nfgenmsg: family, version 0, and a number that each subsystem gives its own meaning. */
export const NFGENMSG_SIZE = 4

/** NFNL_SUBSYS_* */
export const NfnlSubsystem = { conntrack: 1, queue: 3, log: 4 } as const

/** A message type: the subsystem in its upper byte. */
export function nfnlType(subsystem: number, message: number): number { return (subsystem << 8) | message }

/**
 * NFPROTO_* (include/uapi/linux/netfilter.h): which network layer's hooks a packet is at. `bridge` is a frame at the hooks of
 * ebtables; a bridged packet that br_netfilter shows to iptables is `ipv4` or `ipv6`.
 */
export type NetfilterFamily = 'unspec' | 'inet' | 'ipv4' | 'arp' | 'netdev' | 'bridge' | 'ipv6'
export const netfilterFamilies: NameTable<NetfilterFamily> = nameTable({ unspec: 0, inet: 1, ipv4: 2, arp: 3, netdev: 5, bridge: 7, ipv6: 10 })

/**
 * NF_INET_* by the name of the built-in chain; the bridge's hooks have the same numbers (NF_BR_*). The hooks of ARP and of devices are
 * others, so theirs stay numbers.
 */
export function hookOf(family: number, hook: number): HookName | number {
  return family === 3 || family === 5 ? hook : HOOKS[hook] ?? hook
}

export interface NfgenHeader {
  /** NFPROTO_* */
  family: number
  /** The number of the queue or group. */
  resource: number
}

export function encodeNfgen(w: Writer, { family, resource }: NfgenHeader): void {
  w.u8(family)
  w.u8(0)
  w.be16(resource)
}

/** @throws NfkitError EBADMSG */
export function decodeNfgen({ view, bytes }: Input, msg: NetlinkMessage): NfgenHeader {
  if (msg.start + NFGENMSG_SIZE > msg.end) throw malformed('a netfilter message shorter than its header')
  return { family: bytes[msg.start]!, resource: view.getUint16(msg.start + 2) }
}

/** The request that an NLMSG_ERROR answers: its header is echoed behind the error number. @throws NfkitError EBADMSG */
export function refusedRequest({ view }: Input, msg: NetlinkMessage): { type: number; sequence: number } {
  const at = msg.start + 4
  if (at + NLMSG_HEADER > msg.end) throw malformed('an error without the echoed request header')
  return { type: view.getUint16(at + 4, LITTLE_ENDIAN), sequence: view.getUint32(at + 8, LITTLE_ENDIAN) }
}

/** struct nfqnl_msg_packet_hw and nfulnl_msg_packet_hw: a length and eight bytes for a link-layer source address. */
export function readHardwareAddress({ bytes, view }: Input, start: number, end: number): string | undefined {
  if (end - start < 12) return undefined
  const length = view.getUint16(start)
  if (length === 0 || length > 8) return undefined
  return length === 6 ? formatMac(bytes, start + 4) : formatLinkAddress(bytes.subarray(start + 4, start + 4 + length))
}

/** struct nfqnl_msg_packet_timestamp: milliseconds since 1970, with a fraction. */
export function readTimestamp({ view }: Input, start: number, end: number): number | undefined {
  if (end - start < 16) return undefined
  return Number(view.getBigUint64(start)) * 1000 + Number(view.getBigUint64(start + 8)) / 1000
}

export const hardwareAddress: Codec<string> = {
  decode: readHardwareAddress,
  encode(_w, _value, name) { throw new TypeError(`${name} is read-only`) },
}

export const timestamp: Codec<number> = {
  decode: readTimestamp,
  encode(_w, _value, name) { throw new TypeError(`${name} is read-only`) },
}

/** An interface index or another 32-bit number that the kernel reports. */
export const reported32: Codec<number> = struct(4, (view, at) => view.getUint32(at))

/** The VLAN tag that the kernel took off a frame; only packets at the bridge's hooks tell it (Linux 4.7). */
export interface PacketVlan {
  /** The tag protocol identifier: 0x8100 (802.1Q) or 0x88a8 (802.1ad). */
  protocol: number
  /** VLAN identifier, 0 to 4095. */
  id: number
  /** Priority code point, 0 to 7. */
  priority: number
  dropEligible: boolean
}

/** NFQA_VLAN_* and NFULA_VLAN_* have the same numbers. */
export interface VlanAttributes {
  protocol: number
  tci: number
}
export const vlanAttributes = attributeTable<VlanAttributes>({ protocol: field(1, be16()), tci: field(2, be16()) })

/** Undefined when either half is missing. */
export function vlanOf({ protocol, tci }: Partial<VlanAttributes> = {}): PacketVlan | undefined {
  if (protocol === undefined || tci === undefined) return undefined
  return { protocol, id: tci & 0xfff, priority: tci >> 13, dropEligible: (tci & 0x1000) !== 0 }
}
