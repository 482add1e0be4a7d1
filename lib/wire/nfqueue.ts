// SPDX-License-Identifier: MIT
// Packets queued to a user program: nfnetlink_queue (include/uapi/linux/netfilter/nfnetlink_queue.h,
// net/netfilter/nfnetlink_queue.c). The kernel sends each packet and keeps it until its verdict comes.

import { attributeTable, be32, type Codec, field, raw, reported, struct, table } from './attributes.js'
import { align4, type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { checkInteger } from './check.js'
import { malformed, message, NLA_HEADER, type NetlinkMessage, NLM_F_REQUEST, NLMSG_HEADER } from './netlink.js'
import {
  decodeNfgen, encodeNfgen, hardwareAddress, NFGENMSG_SIZE, nfnlType, NfnlSubsystem, type PacketVlan, readHardwareAddress,
  readTimestamp, reported32, timestamp, type VlanAttributes, vlanAttributes, vlanOf,
} from './nfnetlink.js'

/** NFQNL_MSG_* */
export const NfqMessage = {
  packet: nfnlType(NfnlSubsystem.queue, 0),
  verdict: nfnlType(NfnlSubsystem.queue, 1),
  config: nfnlType(NfnlSubsystem.queue, 2),
  verdictBatch: nfnlType(NfnlSubsystem.queue, 3),
} as const

/** NFQNL_CFG_CMD_*. Binding a protocol family (3 and 4) has no effect since Linux 3.8. */
export const NfqCommand = { bind: 1, unbind: 2, familyBind: 3, familyUnbind: 4 } as const

/** NFQNL_COPY_*: a queue in mode `none` drops every packet. */
export const NfqCopyMode = { none: 0, meta: 1, packet: 2 } as const

/** NFQA_CFG_F_*: fail-open since Linux 3.6, GSO 3.10, UID and GID 3.14, security context 4.3. */
export const NfqFlag = { failOpen: 1, conntrack: 2, gso: 4, uidGid: 8, securityContext: 16 } as const

/** The most bytes of a packet that fit into an attribute (NFQNL_MAX_COPY_RANGE). */
export const NFQ_MOST_BYTES = 0xffff - NLA_HEADER

/** NF_* (include/uapi/linux/netfilter.h). `queue` carries the other queue's number in its upper 16 bits. */
export const NfVerdict = { drop: 0, accept: 1, queue: 3, repeat: 4 } as const

/** NFQA_SKB_INFO */
const SKB_INFO = { checksumNotReady: 1, gso: 2, checksumUnverified: 4 } as const

const NFQA = {
  header: 1, verdictHeader: 2, mark: 3, timestamp: 4, in: 5, out: 6, physicalIn: 7, physicalOut: 8, hardwareAddress: 9, payload: 10,
  conntrack: 11, conntrackInfo: 12, originalLength: 13, skbInfo: 14, expectation: 15, uid: 16, gid: 17, securityContext: 18, vlan: 19,
  linkHeader: 20, priority: 21,
} as const

/** What the kernel tells of one packet, as numbers and views; null is what it did not tell. */
export interface QueuedPacketFields {
  /** NFPROTO_* */
  family: number
  /** Of the packet in its queue; they count up from 1. */
  id: number
  /** NF_INET_* */
  hook: number
  /** EtherType. */
  protocol: number
  mark: number
  in: number
  out: number
  physicalIn: number
  physicalOut: number
  /** A view of the message. */
  payload: Uint8Array | null
  /** Of the whole packet, where the payload was cut. */
  originalLength: number | null
  /** NFQA_SKB_INFO bits. */
  skbInfo: number
  hardwareAddress: string | null
  timestamp: number | null
  uid: number | null
  gid: number | null
  conntrack: Uint8Array | null
  conntrackInfo: number | null
  securityContext: Uint8Array | null
  vlan: PacketVlan | null
  linkHeader: Uint8Array | null
  priority: number | null
}

/**
 * Reads a packet. A hot path, so it reads without the table; {@link nfqAttributes} is the same layout for tools.
 * @throws NfkitError EBADMSG for lengths that do not fit, or without the header that every packet has
 */
export function decodeQueuedPacket(input: Input, msg: NetlinkMessage): QueuedPacketFields {
  const { view, bytes } = input
  const fields: QueuedPacketFields = {
    family: decodeNfgen(input, msg).family, id: 0, hook: 0, protocol: 0, mark: 0, in: 0, out: 0, physicalIn: 0, physicalOut: 0,
    payload: null, originalLength: null, skbInfo: 0, hardwareAddress: null, timestamp: null, uid: null, gid: null,
    conntrack: null, conntrackInfo: null, securityContext: null, vlan: null, linkHeader: null, priority: null,
  }
  let headed = false
  const { end } = msg
  for (let at = msg.start + NFGENMSG_SIZE; at + NLA_HEADER <= end;) {
    const size = view.getUint16(at, LITTLE_ENDIAN)
    if (size < NLA_HEADER || at + size > end) throw malformed(`an attribute of ${size} bytes in ${end - at}`)
    const type = view.getUint16(at + 2, LITTLE_ENDIAN) & 0x3fff
    const from = at + NLA_HEADER
    const to = at + size
    at += align4(size)
    if (type === NFQA.payload) { fields.payload = bytes.subarray(from, to); continue }
    if (type === NFQA.header) {
      if (to - from < 7) throw malformed(`a packet header of ${to - from} bytes`)
      fields.id = view.getUint32(from)
      fields.protocol = view.getUint16(from + 4)
      fields.hook = bytes[from + 6]!
      headed = true
      continue
    }
    if (type === NFQA.conntrack) { fields.conntrack = bytes.subarray(from, to); continue }
    if (type === NFQA.securityContext) { fields.securityContext = bytes.subarray(from, to); continue }
    if (type === NFQA.linkHeader) { fields.linkHeader = bytes.subarray(from, to); continue }
    if (type === NFQA.hardwareAddress) { fields.hardwareAddress = readHardwareAddress(input, from, to) ?? null; continue }
    if (type === NFQA.timestamp) { fields.timestamp = readTimestamp(input, from, to) ?? null; continue }
    if (type === NFQA.vlan) { fields.vlan = vlanOf(vlanAttributes.decode(input, from, to)) ?? null; continue }
    // All others are 32-bit numbers.
    if (to - from !== 4) continue
    const value = view.getUint32(from)
    switch (type) {
      case NFQA.mark: fields.mark = value; break
      case NFQA.in: fields.in = value; break
      case NFQA.out: fields.out = value; break
      case NFQA.physicalIn: fields.physicalIn = value; break
      case NFQA.physicalOut: fields.physicalOut = value; break
      case NFQA.originalLength: fields.originalLength = value; break
      case NFQA.skbInfo: fields.skbInfo = value; break
      case NFQA.uid: fields.uid = value; break
      case NFQA.gid: fields.gid = value; break
      case NFQA.conntrackInfo: fields.conntrackInfo = value; break
      case NFQA.priority: fields.priority = value; break
    }
  }
  if (!headed) throw malformed('a queued packet without its header')
  return fields
}

/** What NFQA_SKB_INFO says of a packet. */
export interface PacketCondition {
  /** The packet's own sender left the checksum to the hardware: it looks wrong and is not. */
  checksumNotReady: boolean
  /** Larger than the MTU: it will be cut into segments later. */
  gso: boolean
  /** Nobody has checked its checksum yet. */
  checksumUnverified: boolean
}

export function packetCondition(bits: number): PacketCondition {
  return {
    checksumNotReady: (bits & SKB_INFO.checksumNotReady) !== 0,
    gso: (bits & SKB_INFO.gso) !== 0,
    checksumUnverified: (bits & SKB_INFO.checksumUnverified) !== 0,
  }
}

/** NFQA_* by name: packets, and what verdicts carry. */
export interface NfqAttributes {
  header: { id: number; protocol: number; hook: number }
  verdictHeader: { verdict: number; id: number }
  mark: number
  timestamp: number
  in: number
  out: number
  physicalIn: number
  physicalOut: number
  hardwareAddress: string
  payload: Uint8Array
  conntrack: Uint8Array
  conntrackInfo: number
  originalLength: number
  skbInfo: number
  expectation: Uint8Array
  uid: number
  gid: number
  securityContext: Uint8Array
  vlan: Partial<VlanAttributes>
  linkHeader: Uint8Array
  priority: number
}

const verdictHeader: Codec<{ verdict: number; id: number }> = {
  decode: ({ view }, start, end) => (end - start === 8 ? { verdict: view.getUint32(start), id: view.getUint32(start + 4) } : undefined),
  encode(w, { verdict, id }, name) {
    checkInteger(verdict, 0, 0xffffffff, `${name}.verdict`)
    checkInteger(id, 0, 0xffffffff, `${name}.id`)
    w.be32(verdict)
    w.be32(id)
  },
}

export const nfqAttributes = attributeTable<NfqAttributes>({
  header: reported(NFQA.header, struct(7, (view, at) => ({ id: view.getUint32(at), protocol: view.getUint16(at + 4), hook: view.getUint8(at + 6) }))),
  verdictHeader: field(NFQA.verdictHeader, verdictHeader),
  mark: field(NFQA.mark, be32()),
  timestamp: reported(NFQA.timestamp, timestamp),
  in: reported(NFQA.in, reported32),
  out: reported(NFQA.out, reported32),
  physicalIn: reported(NFQA.physicalIn, reported32),
  physicalOut: reported(NFQA.physicalOut, reported32),
  hardwareAddress: reported(NFQA.hardwareAddress, hardwareAddress),
  payload: field(NFQA.payload, raw),
  conntrack: field(NFQA.conntrack, raw),
  conntrackInfo: reported(NFQA.conntrackInfo, reported32),
  originalLength: reported(NFQA.originalLength, reported32),
  skbInfo: reported(NFQA.skbInfo, reported32),
  expectation: field(NFQA.expectation, raw),
  uid: reported(NFQA.uid, reported32),
  gid: reported(NFQA.gid, reported32),
  securityContext: reported(NFQA.securityContext, raw),
  vlan: field(NFQA.vlan, table(vlanAttributes)),
  linkHeader: field(NFQA.linkHeader, raw),
  priority: reported(NFQA.priority, reported32),
})

/** NFQA_CFG_* by name. */
export interface NfqConfig {
  /** {@link NfqCommand} */
  command: number
  parameters: { copyMode: number; copyRange: number }
  /** Packets that may wait for a verdict. */
  maxLength: number
  /** Which {@link NfqFlag} bits `flags` sets or clears. */
  mask: number
  flags: number
}

const command: Codec<number> = {
  decode: ({ bytes }, start, end) => (end - start >= 1 ? bytes[start] : undefined),
  encode(w, value, name) {
    checkInteger(value, 1, 4, name)
    w.u8(value)
    w.u8(0)
    w.be16(0)  // the family of the commands that do nothing any more
  },
}

const parameters: Codec<{ copyMode: number; copyRange: number }> = {
  decode: ({ view }, start, end) => (end - start >= 5 ? { copyRange: view.getUint32(start), copyMode: view.getUint8(start + 4) } : undefined),
  encode(w, { copyMode, copyRange }, name) {
    checkInteger(copyMode, 0, 2, `${name}.copyMode`)
    checkInteger(copyRange, 0, NFQ_MOST_BYTES, `${name}.copyRange`, 'bytes')
    w.be32(copyRange)
    w.u8(copyMode)
  },
}

export const nfqConfigAttributes = attributeTable<NfqConfig>({
  command: field(1, command),
  parameters: field(2, parameters),
  maxLength: field(3, be32()),
  mask: field(4, be32()),
  flags: field(5, be32()),
})

/** For naming refused attributes. */
export const nfqConfigShape = { header: NFGENMSG_SIZE, table: nfqConfigAttributes }

/** Appends what follows the message header of a configuration request. */
export function encodeNfqConfig(w: Writer, queue: number, config: Partial<NfqConfig>): void {
  encodeNfgen(w, { family: 0, resource: queue })
  nfqConfigAttributes.encode(w, config, 'queue')
}

/** Offsets in a verdict message. */
const VERDICT_AT = NLMSG_HEADER + NFGENMSG_SIZE + NLA_HEADER
/** A verdict without attributes of its own. */
export const VERDICT_SIZE = VERDICT_AT + 8

/** Appends a whole verdict message; its sequence number is that of the packet, so that a refusal tells which. */
export function encodeVerdict(
  w: Writer, type: number, queue: number, id: number, verdict: number, { mark, payload }: { mark?: number | undefined; payload?: Uint8Array | undefined } = {},
): void {
  const at = w.length
  message(w, type, NLM_F_REQUEST, () => {
    encodeNfgen(w, { family: 0, resource: queue })
    nfqAttributes.encode(w, { verdictHeader: { verdict: verdict >>> 0, id }, ...(mark === undefined ? {} : { mark }), ...(payload === undefined ? {} : { payload }) }, 'verdict')
  })
  w.view.setUint32(at + 8, id, LITTLE_ENDIAN)
}

/** Changes packet and verdict of a message that {@link encodeVerdict} made at the start of a buffer. */
export function patchVerdict(view: DataView, id: number, verdict: number): void {
  view.setUint32(8, id, LITTLE_ENDIAN)
  view.setUint32(VERDICT_AT, verdict)
  view.setUint32(VERDICT_AT + 4, id)
}

/** A line of /proc/net/netfilter/nfnetlink_queue. */
export interface QueueCounters {
  queue: number
  /** Netlink port of the program that has the queue. */
  port: number
  /** Packets that wait for a verdict. */
  waiting: number
  copyMode: number
  copyRange: number
  /** Packets dropped since the queue was full. */
  dropped: number
  /** Packets dropped since the program's receive buffer was full, or its message could not be made. */
  userDropped: number
  /** Of the last packet. */
  lastId: number
}

/** Reads the file's lines; what is no line of numbers is passed over. */
export function parseQueueCounters(text: string): QueueCounters[] {
  return text.split('\n').map((line) => line.trim().split(/\s+/).map(Number)).filter((row) => row.length >= 8 && row.every(Number.isInteger))
    .map(([queue, port, waiting, copyMode, copyRange, dropped, userDropped, lastId]) => (
      { queue: queue!, port: port!, waiting: waiting!, copyMode: copyMode!, copyRange: copyRange!, dropped: dropped!, userDropped: userDropped!, lastId: lastId! }
    ))
}
