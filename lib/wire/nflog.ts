// SPDX-License-Identifier: MIT
// Copies of packets logged to a user program: nfnetlink_log (include/uapi/linux/netfilter/nfnetlink_log.h,
// net/netfilter/nfnetlink_log.c). The kernel gathers several packets into one datagram.

import { attributeTable, be16, be32, type Codec, field, raw, reported, string, struct, table, type WithUnknown } from './attributes.js'
import { type Input, type Writer } from './bytes.js'
import { checkInteger } from './check.js'
import { malformed, NLA_HEADER, type NetlinkMessage } from './netlink.js'
import {
  decodeNfgen, encodeNfgen, hardwareAddress, NFGENMSG_SIZE, nfnlType, NfnlSubsystem, reported32, timestamp, type VlanAttributes, vlanAttributes,
} from './nfnetlink.js'

/** NFULNL_MSG_* */
export const NflogMessage = { packet: nfnlType(NfnlSubsystem.log, 0), config: nfnlType(NfnlSubsystem.log, 1) } as const

/** NFULNL_CFG_CMD_*. Binding a protocol family makes this the logger of its conntrack and of `-j LOG` of nftables: not needed here. */
export const NflogCommand = { bind: 1, unbind: 2, familyBind: 3, familyUnbind: 4 } as const

/** NFULNL_COPY_* */
export const NflogCopyMode = { none: 0, meta: 1, packet: 2 } as const

/** NFULNL_CFG_F_*: conntrack since Linux 4.4. */
export const NflogFlag = { sequence: 1, globalSequence: 2, conntrack: 4 } as const

/** The most bytes of a packet that fit into an attribute (NFULNL_COPY_RANGE_MAX). */
export const NFLOG_MOST_BYTES = 0xffff - NLA_HEADER

/** NFULA_* as they are on the wire. */
export interface NflogAttributes {
  header: { protocol: number; hook: number }
  mark: number
  timestamp: number
  in: number
  out: number
  physicalIn: number
  physicalOut: number
  hardwareAddress: string
  payload: Uint8Array
  prefix: string
  uid: number
  sequence: number
  globalSequence: number
  gid: number
  hardwareType: number
  hardwareHeader: Uint8Array
  hardwareHeaderLength: number
  conntrack: Uint8Array
  conntrackInfo: number
  vlan: Partial<VlanAttributes> & WithUnknown
  linkHeader: Uint8Array
}

const reported16: Codec<number> = struct(2, (view, at) => view.getUint16(at))

export const nflogAttributes = attributeTable<NflogAttributes>({
  header: reported(1, struct(3, (view, at) => ({ protocol: view.getUint16(at), hook: view.getUint8(at + 2) }))),
  mark: reported(2, reported32),
  timestamp: reported(3, timestamp),
  in: reported(4, reported32),
  out: reported(5, reported32),
  physicalIn: reported(6, reported32),
  physicalOut: reported(7, reported32),
  hardwareAddress: reported(8, hardwareAddress),
  payload: reported(9, raw),
  prefix: reported(10, string()),
  uid: reported(11, reported32),
  sequence: reported(12, reported32),
  globalSequence: reported(13, reported32),
  gid: reported(14, reported32),
  hardwareType: reported(15, reported16),
  hardwareHeader: reported(16, raw),
  hardwareHeaderLength: reported(17, reported16),
  conntrack: reported(18, raw),
  conntrackInfo: reported(19, reported32),
  vlan: reported(20, table(vlanAttributes)),
  linkHeader: reported(21, raw),
})

/** One logged packet as the kernel tells it. */
export interface LoggedMessage {
  /** NFPROTO_* */
  family: number
  group: number
  attributes: Partial<NflogAttributes> & WithUnknown
}

/** @throws NfkitError EBADMSG for lengths that do not fit, or without the header that every packet has */
export function decodeLogged(input: Input, msg: NetlinkMessage): LoggedMessage {
  const { family, resource } = decodeNfgen(input, msg)
  const attributes = nflogAttributes.decode(input, msg.start + NFGENMSG_SIZE, msg.end)
  if (attributes.header === undefined) throw malformed('a logged packet without its header')
  return { family, group: resource, attributes }
}

/** NFULA_CFG_* by name. */
export interface NflogConfig {
  /** {@link NflogCommand} */
  command: number
  mode: { copyMode: number; copyRange: number }
  /** Bytes of a datagram. The kernel passes over a number that it does not take. */
  bufferSize: number
  /** Hundredths of a second. */
  timeout: number
  /** Packets in a datagram. */
  threshold: number
  /** {@link NflogFlag} bits. */
  flags: number
}

const command: Codec<number> = {
  decode: ({ bytes }, start, end) => (end - start >= 1 ? bytes[start] : undefined),
  encode(w, value, name) {
    checkInteger(value, 1, 4, name)
    w.u8(value)
  },
}

const mode: Codec<{ copyMode: number; copyRange: number }> = {
  decode: ({ view }, start, end) => (end - start >= 5 ? { copyRange: view.getUint32(start), copyMode: view.getUint8(start + 4) } : undefined),
  encode(w, { copyMode, copyRange }, name) {
    checkInteger(copyMode, 0, 2, `${name}.copyMode`)
    checkInteger(copyRange, 0, NFLOG_MOST_BYTES, `${name}.copyRange`, 'bytes')
    w.be32(copyRange)
    w.u8(copyMode)
    w.u8(0)
  },
}

export const nflogConfigAttributes = attributeTable<NflogConfig>({
  command: field(1, command),
  mode: field(2, mode),
  bufferSize: field(3, be32()),
  timeout: field(4, be32()),
  threshold: field(5, be32()),
  flags: field(6, be16()),
})

/** For naming refused attributes. */
export const nflogConfigShape = { header: NFGENMSG_SIZE, table: nflogConfigAttributes }

/** Appends what follows the message header of a configuration request. */
export function encodeNflogConfig(w: Writer, group: number, config: Partial<NflogConfig>): void {
  encodeNfgen(w, { family: 0, resource: group })
  nflogConfigAttributes.encode(w, config, 'log')
}

/** A line of /proc/net/netfilter/nfnetlink_log: group, netlink port of the program that has it, packets not sent yet. */
export interface LogGroup { group: number; port: number; waiting: number }

/** Reads the file's lines; what is no line of numbers is passed over. */
export function parseLogGroups(text: string): LogGroup[] {
  return text.split('\n').map((line) => line.trim().split(/\s+/).map(Number)).filter((row) => row.length >= 6 && row.every(Number.isInteger))
    .map(([group, port, waiting]) => ({ group: group!, port: port!, waiting: waiting! }))
}
