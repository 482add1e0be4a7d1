// SPDX-License-Identifier: MIT
// The records that /dev/nfkit gives to who captures or asks for events: struct nfkit_record and those that begin with it (kmod/uapi/nfkit_record.h).

import { NfkitError } from '../../errors.js'
import { type Input, LITTLE_ENDIAN } from '../bytes.js'
import { nameTable } from '../names.js'
import { type PacketVlan, vlanOf } from '../nfnetlink.js'
import type { LinkType } from '../packet-match/field.js'
import { LIMIT, LINK } from './constants.js'
import { type HookPoint, hookPointOf } from './hook-points.js'
import { layout, type Layout, Struct } from './layout.js'

export const RECORD = layout('nfkit_record', { length: 4, type: 2, header: 2, timestamp: 8, lost: 8 })

export const PACKET_RECORD = layout('nfkit_packet_record', {
  record: { struct: RECORD }, wire_length: 4, captured: 4, in: 4, out: 4, mark: 4, vlan_protocol: 2, vlan_tci: 2, link: 2, point: 1, flags: 1, gso_size: 2, reserved: 2,
})

export const EVENT_RECORD = layout('nfkit_event_record', {
  record: { struct: RECORD }, event: 4, ifindex: 4, target: { bytes: LIMIT.nameSize }, device: { bytes: LIMIT.deviceSize },
})

/** All of them. */
export const RECORD_STRUCTS: readonly Layout[] = [RECORD, PACKET_RECORD, EVENT_RECORD]

/** NFKIT_RECORD_*. */
export const RECORD_TYPE = { packet: 1, event: 2, packetsLost: 3, eventsLost: 4 } as const

/** NFKIT_POINT_RULE: a rule handed the packet over. */
export const POINT_RULE = 0x80

/** NFKIT_PACKET_*. */
export const PACKET_FLAG = { checksumPartial: 0x01 } as const

/** NFKIT_EVENT_*. */
export const EVENT = { targetNew: 1, targetChanged: 2, targetDeleted: 3, deviceGone: 4, deviceBack: 5, targetPaused: 6, targetResumed: 7 } as const

/** What can happen to a clone target. */
export type CloneEventName =
  /** A program defined it, or defined it anew; it was deleted, by command or with its handle. */
  | 'target-new' | 'target-changed' | 'target-deleted'
  /** A device of its outputs went away or took another name; came. */
  | 'device-gone' | 'device-back'
  /** It has no sink left; it has one again. */
  | 'target-paused' | 'target-resumed'

const eventNames = nameTable<CloneEventName>({
  'target-new': EVENT.targetNew, 'target-changed': EVENT.targetChanged, 'target-deleted': EVENT.targetDeleted, 'device-gone': EVENT.deviceGone,
  'device-back': EVENT.deviceBack, 'target-paused': EVENT.targetPaused, 'target-resumed': EVENT.targetResumed,
}, 0xffffffff)

/** Where fields are, from where the record begins on. */
const AT = {
  length: RECORD.fields.length.offset, type: RECORD.fields.type.offset, header: RECORD.fields.header.offset, timestamp: RECORD.fields.timestamp.offset, lost: RECORD.fields.lost.offset,
  wireLength: PACKET_RECORD.fields.wire_length.offset, captured: PACKET_RECORD.fields.captured.offset, in: PACKET_RECORD.fields.in.offset, out: PACKET_RECORD.fields.out.offset,
  mark: PACKET_RECORD.fields.mark.offset, vlanProtocol: PACKET_RECORD.fields.vlan_protocol.offset, vlanTci: PACKET_RECORD.fields.vlan_tci.offset,
  link: PACKET_RECORD.fields.link.offset, point: PACKET_RECORD.fields.point.offset, flags: PACKET_RECORD.fields.flags.offset, gsoSize: PACKET_RECORD.fields.gso_size.offset,
} as const

/** Where the next record begins. */
const align = (length: number) => (length + 7) & ~7

/** A packet as the module recorded it; `D` is how devices are told. */
export interface PacketRecord<D> {
  /** When it was captured: nanoseconds since 1970. */
  timestamp: bigint
  /** Packets for which there was no room since the record before. */
  lost: number
  /** Bytes of the packet from its first header on, without FCS and a VLAN tag that the hardware took off. */
  wireLength: number
  /** What was kept of it. A view: it stays as long as it is referred to, and keeps the memory of its whole batch. */
  data: Uint8Array
  /** What it begins with: an Ethernet header, or where it has none IPv4 or IPv6. */
  link: LinkType | number
  /** The device that it came by; null: none. */
  in: D | null
  /** The device that it leaves by; null: none, or not decided yet. */
  out: D | null
  /** Its mark, 0 to 4294967295. */
  mark: number
  /** The tag that the hardware took off. */
  vlan: PacketVlan | null
  /** The hook point where it was; a number if this version does not know it. */
  point: HookPoint | number
  /** A rule with `-j CLONE --target` handed it over, rather than a hook. */
  byRule: boolean
  /** The checksum of its transport header is not filled in yet: the device is to do that. */
  checksumPartial: boolean
  /** Bytes of payload in each segment that the device is to cut it into; 0: it stays whole. */
  segmentSize: number
}

/** Something that happened to a clone target. */
export interface EventRecord {
  /** Nanoseconds since 1970. */
  timestamp: bigint
  /** Events for which there was no room since the one before. */
  lost: number
  /** What happened; a number if this version does not know it. */
  event: CloneEventName | number
  /** The name of the clone target. */
  target: string
  /** Of events of devices; else null. The index is in the network namespace of the target. */
  device: { name: string; index: number } | null
}

/** The error of bytes that are no records. */
const malformed = (at: number, what: string) => new NfkitError('EBADMSG', `malformed record at byte ${at}: ${what}`)

/** So that sums of what was lost stay exact. */
const MOST_LOST_HIGH = 0xffff

const lowHalf = LITTLE_ENDIAN ? 0 : 4

/** Goes through the records of one read, without copying anything. A record is checked as a whole before it is told. */
export class RecordCursor {
  readonly input: Input
  readonly #end: number
  /** Where the record begins, its type (RECORD_TYPE, or one to be passed over), where the bytes of its packet begin, and where the next record does. */
  at = 0
  type = 0
  dataAt = 0
  nextAt: number

  constructor(input: Input, start: number, end: number) {
    this.input = input
    this.nextAt = start
    this.#end = end
  }

  /** False: there is no other. @throws NfkitError EBADMSG with the place of what is malformed */
  next(): boolean {
    const at = this.nextAt
    if (at >= this.#end) return false
    const { view } = this.input
    const rest = this.#end - at
    if (rest < RECORD.size) throw malformed(at, `${rest} bytes where a record should be`)
    const length = view.getUint32(at + AT.length, LITTLE_ENDIAN)
    const header = view.getUint16(at + AT.header, LITTLE_ENDIAN)
    if (length < RECORD.size || length > rest) throw malformed(at, `a length of ${length} in ${rest} bytes`)
    if (header < RECORD.size || header > length) throw malformed(at, `a header of ${header} bytes in ${length}`)
    if (view.getUint32(at + AT.lost + 4 - lowHalf, LITTLE_ENDIAN) > MOST_LOST_HIGH) throw malformed(at, 'a loss of more than 2^48')
    this.at = at
    this.type = view.getUint16(at + AT.type, LITTLE_ENDIAN)
    this.dataAt = at + header
    if (this.type === RECORD_TYPE.packet) this.#checkPacket(header, length)
    else if (this.type === RECORD_TYPE.event && header < EVENT_RECORD.size) throw malformed(at, `an event of ${header} bytes`)
    this.nextAt = Math.min(at + align(length), this.#end)
    return true
  }

  #checkPacket(header: number, length: number): void {
    if (header < PACKET_RECORD.size) throw malformed(this.at, `a packet's header of ${header} bytes`)
    const { captured, wireLength } = this
    if (captured > length - header) throw malformed(this.at, `${captured} bytes of a packet in ${length - header}`)
    if (captured > wireLength) throw malformed(this.at, `${captured} bytes of a packet of ${wireLength}`)
  }

  /** What was lost before this record. */
  get lost(): number {
    const { view } = this.input
    return view.getUint32(this.at + AT.lost + lowHalf, LITTLE_ENDIAN) + view.getUint32(this.at + AT.lost + 4 - lowHalf, LITTLE_ENDIAN) * 2 ** 32
  }

  get timestamp(): bigint { return this.input.view.getBigUint64(this.at + AT.timestamp, LITTLE_ENDIAN) }
  /** The halves of {@link timestamp}. */
  get timestampHigh(): number { return this.input.view.getUint32(this.at + AT.timestamp + 4 - lowHalf, LITTLE_ENDIAN) }
  get timestampLow(): number { return this.input.view.getUint32(this.at + AT.timestamp + lowHalf, LITTLE_ENDIAN) }

  // Of a packet.
  get wireLength(): number { return this.input.view.getUint32(this.at + AT.wireLength, LITTLE_ENDIAN) }
  get captured(): number { return this.input.view.getUint32(this.at + AT.captured, LITTLE_ENDIAN) }
  get inIndex(): number { return this.input.view.getUint32(this.at + AT.in, LITTLE_ENDIAN) }
  get outIndex(): number { return this.input.view.getUint32(this.at + AT.out, LITTLE_ENDIAN) }
  get vlanProtocol(): number { return this.input.view.getUint16(this.at + AT.vlanProtocol, LITTLE_ENDIAN) }
  get vlanTci(): number { return this.input.view.getUint16(this.at + AT.vlanTci, LITTLE_ENDIAN) }
  get link(): number { return this.input.view.getUint16(this.at + AT.link, LITTLE_ENDIAN) }

  /** The packet that it is a record of. */
  packet<D>(deviceOf: (index: number) => D): PacketRecord<D> {
    const { input: { bytes, view }, at, dataAt, inIndex, outIndex } = this
    const point = bytes[at + AT.point]!
    const hookPoint = point & ~POINT_RULE
    return {
      timestamp: this.timestamp, lost: this.lost, wireLength: this.wireLength, data: bytes.subarray(dataAt, dataAt + this.captured), link: linkOf(this.link),
      in: inIndex === 0 ? null : deviceOf(inIndex), out: outIndex === 0 ? null : deviceOf(outIndex), mark: view.getUint32(at + AT.mark, LITTLE_ENDIAN), vlan: this.vlanProtocol === 0 ? null : vlanOf({ protocol: this.vlanProtocol, tci: this.vlanTci })!,
      point: hookPointOf(hookPoint) ?? hookPoint, byRule: (point & POINT_RULE) !== 0, checksumPartial: (bytes[at + AT.flags]! & PACKET_FLAG.checksumPartial) !== 0,
      segmentSize: view.getUint16(at + AT.gsoSize, LITTLE_ENDIAN),
    }
  }

  /** The event that it is a record of. */
  event(): EventRecord {
    const record = new Struct(EVENT_RECORD, this.input.bytes, this.at)
    const name = record.text('device')
    return {
      timestamp: this.timestamp, lost: this.lost, event: eventNames.of(record.get('event')), target: record.text('target'),
      device: name === '' ? null : { name, index: record.get('ifindex') },
    }
  }
}

const linkOf = (number: number): LinkType | number => (number === LINK.EN10MB ? 'EN10MB' : number === LINK.RAW ? 'RAW' : number)
