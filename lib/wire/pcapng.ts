// SPDX-License-Identifier: MIT
// The capture file format pcapng (draft-ietf-opsawg-pcapng): a stream of blocks, written here as captures need them.

import { invalidArgument, outOfRange } from '../errors.js'
import { Writer } from './bytes.js'
import { checkBytes, checkInteger } from './check.js'
import { nameTable } from './names.js'

/** Block types. */
export const BlockType = { section: 0x0a0d0d0a, interface: 1, simplePacket: 3, interfaceStatistics: 5, enhancedPacket: 6 } as const
export const BYTE_ORDER_MAGIC = 0x1a2b3c4d
/** Options of any block, of sections, interfaces, packets and statistics. */
export const PcapngOption = {
  end: 0, comment: 1,
  hardware: 2, os: 3, application: 4,
  name: 2, description: 3, mac: 6, timestampResolution: 9, timestampOffset: 14,
  flags: 2, dropCount: 4,
  startTime: 2, endTime: 3, received: 4, dropped: 5, accepted: 6, systemDropped: 7, delivered: 8,
} as const

/** How packets of an interface begin, by the names of libpcap (LINKTYPE_ETHERNET, LINKTYPE_RAW); others have their number. */
export type PcapngLinkType = 'EN10MB' | 'RAW'
export const pcapngLinkTypes = nameTable<PcapngLinkType>({ EN10MB: 1, RAW: 101 }, 0xffff)

/** Begins a file; says where it comes from. Texts have up to 65535 bytes of UTF-8. */
export interface PcapngSection {
  hardware?: string
  os?: string
  /** The program that wrote it. */
  application?: string
  comment?: string
}

/** Where packets come from. */
export interface PcapngInterface {
  name?: string
  description?: string
  linkType: PcapngLinkType | number
  /** Most bytes kept of a packet, 0 to 4294967295; 0 (no limit) unless told. */
  snaplen?: number
  comment?: string
}

/** For whom a packet was. */
export type PcapngReception = 'unicast' | 'multicast' | 'broadcast' | 'promiscuous'
export const RECEPTIONS: readonly PcapngReception[] = ['unicast', 'multicast', 'broadcast', 'promiscuous']

/** A packet. */
export interface PcapngPacket {
  /** The number of its interface: the first that was written is 0. */
  interface: number
  /** Nanoseconds since 1970, 0 to 2^64 - 1. */
  time: bigint
  /** What was kept of it. */
  data: Uint8Array
  /** Bytes it had on the wire, at least those kept; as many unless told. */
  originalLength?: number
  /** Whether the interface received or sent it. */
  direction?: 'in' | 'out'
  reception?: PcapngReception
  /** Packets of this interface lost since the one before. */
  dropped?: number | bigint
  comment?: string
}

/** What an interface counted, best written at the end. Counters are 64 bits wide. */
export interface PcapngStatistics {
  interface: number
  /** When it was counted: nanoseconds since 1970. */
  time: bigint
  /** When capturing began and ended. */
  startTime?: bigint
  endTime?: bigint
  /** Packets that the interface received; lost for want of resources. */
  received?: number | bigint
  dropped?: number | bigint
  /** Packets that the filter took; lost by the system after that; handed to the program. */
  accepted?: number | bigint
  systemDropped?: number | bigint
  delivered?: number | bigint
  comment?: string
}

const MOST_TEXT = 0xffff
const MOST_U32 = 0xffffffff
const MOST_U64 = (1n << 64n) - 1n
const NANOSECONDS = 9
const encoder = new TextEncoder()

/**
 * Writes blocks into memory. `take()` hands out what was written since the last time; all of it in order is a file:
 *
 *     const writer = new PcapngWriter({ application: 'mine' })
 *     const eth0 = writer.interface({ name: 'eth0', linkType: 'EN10MB', snaplen: 256 })
 *     writer.packet({ interface: eth0, time: 1_700_000_000_000_000_000n, data: frame, originalLength: 1514 })
 *     stream.write(writer.take())
 *
 * A block whose arguments are wrong is not written at all.
 */
export class PcapngWriter {
  readonly #w = new Writer(4096)
  #interfaces = 0

  /** @throws TypeError, RangeError */
  constructor(section: PcapngSection = {}) {
    this.#block(BlockType.section, (w) => {
      w.u32(BYTE_ORDER_MAGIC)
      // Version 1.0, and a section whose length is not known beforehand.
      w.u16(1)
      w.u16(0)
      w.u64(MOST_U64)
      const { hardware, os, application, comment } = section
      const O = PcapngOption
      this.#options([text(O.comment, comment, 'comment'), text(O.hardware, hardware, 'hardware'), text(O.os, os, 'os'), text(O.application, application, 'application')])
    })
  }

  /** Adds an interface, whose times are in nanoseconds. Answers its number. @throws TypeError, RangeError */
  interface({ name, description, linkType, snaplen = 0, comment }: PcapngInterface): number {
    const type = pcapngLinkTypes.number(linkType, 'linkType')
    checkInteger(snaplen, 0, MOST_U32, 'snaplen', 'bytes')
    this.#block(BlockType.interface, (w) => {
      w.u16(type)
      w.u16(0)
      w.u32(snaplen)
      const O = PcapngOption
      this.#options([
        text(O.comment, comment, 'comment'), text(O.name, name, 'name'), text(O.description, description, 'description'),
        [O.timestampResolution, (o) => { o.u8(NANOSECONDS) }],
      ])
    })
    return this.#interfaces++
  }

  /** @throws TypeError, RangeError */
  packet({ interface: number, time, data, originalLength, direction, reception, dropped, comment }: PcapngPacket): void {
    this.#checkInterface(number)
    checkU64(time, 'time')
    checkBytes(data, 'data')
    if (originalLength !== undefined) checkInteger(originalLength, data.length, MOST_U32, 'originalLength', 'bytes')
    const flags = flagsOf(direction, reception)
    this.#block(BlockType.enhancedPacket, (w) => {
      w.u32(number)
      writeTime(w, time)
      w.u32(data.length)
      w.u32(originalLength ?? data.length)
      w.raw(data)
      w.align()
      if (flags === 0 && dropped === undefined && comment === undefined) return
      const O = PcapngOption
      this.#options([
        text(O.comment, comment, 'comment'), flags === 0 ? undefined : [O.flags, (o) => { o.u32(flags) }], counter(O.dropCount, dropped, 'dropped'),
      ])
    })
  }

  /** @throws TypeError, RangeError */
  statistics(given: PcapngStatistics): void {
    const { interface: number, time, startTime, endTime, received, dropped, accepted, systemDropped, delivered, comment } = given
    this.#checkInterface(number)
    checkU64(time, 'time')
    this.#block(BlockType.interfaceStatistics, (w) => {
      w.u32(number)
      writeTime(w, time)
      const O = PcapngOption
      this.#options([
        text(O.comment, comment, 'comment'), moment(O.startTime, startTime, 'startTime'), moment(O.endTime, endTime, 'endTime'),
        counter(O.received, received, 'received'), counter(O.dropped, dropped, 'dropped'), counter(O.accepted, accepted, 'accepted'),
        counter(O.systemDropped, systemDropped, 'systemDropped'), counter(O.delivered, delivered, 'delivered'),
      ])
    })
  }

  /** What was written since the last call. */
  take(): Uint8Array {
    const bytes = this.#w.finish().slice()
    this.#w.reset()
    return bytes
  }

  #checkInterface(number: unknown): void {
    if (this.#interfaces === 0) throw outOfRange('interface', 'the number of an interface, of which there is none yet', number)
    checkInteger(number, 0, this.#interfaces - 1, 'interface')
  }

  #block(type: number, body: (w: Writer) => void): void {
    const w = this.#w
    const start = w.length
    try {
      w.u32(type)
      const at = w.reserve(4)
      body(w)
      const total = w.length + 4 - start
      w.u32(total)
      // The same as behind the block.
      w.bytes.copyWithin(at, w.length - 4, w.length)
    } catch (error) {
      w.bytes.fill(0, start, w.length)
      w.length = start
      throw error
    }
  }

  #options(options: readonly (Option | undefined)[]): void {
    const w = this.#w
    let any = false
    for (const option of options) {
      if (option === undefined) continue
      any = true
      w.u16(option[0])
      const at = w.reserve(2)
      option[1](w)
      const length = w.length - at - 2
      const end = w.length
      // The length, written as any number is, then put in its place.
      w.u16(length)
      w.bytes.copyWithin(at, end, end + 2)
      w.bytes.fill(0, end, end + 2)
      w.length = end
      w.align()
    }
    if (any) w.u32(PcapngOption.end)
  }
}

type Option = readonly [code: number, write: (w: Writer) => void]

function text(code: number, value: unknown, name: string): Option | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw invalidArgument(name, 'text', value)
  const bytes = encoder.encode(value)
  checkInteger(bytes.length, 0, MOST_TEXT, name, 'bytes of UTF-8')
  return [code, (w) => { w.raw(bytes) }]
}

function counter(code: number, value: unknown, name: string): Option | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'number') checkInteger(value, 0, Number.MAX_SAFE_INTEGER, name)
  const count = typeof value === 'number' ? BigInt(value) : value
  checkU64(count, name)
  return [code, (w) => { w.u64(count) }]
}

function moment(code: number, value: unknown, name: string): Option | undefined {
  if (value === undefined) return undefined
  checkU64(value, name)
  return [code, (w) => { writeTime(w, value) }]
}

function checkU64(value: unknown, name: string): asserts value is bigint {
  if (typeof value !== 'bigint') throw invalidArgument(name, 'a bigint', value)
  if (value < 0n || value > MOST_U64) throw outOfRange(name, 'a bigint from 0 to 2^64 - 1', value)
}

/** The upper half comes first, whatever the byte order. */
function writeTime(w: Writer, time: bigint): void {
  w.u32(Number(time >> 32n))
  w.u32(Number(time & 0xffffffffn))
}

/** epb_flags: two bits of direction, three of reception. */
function flagsOf(direction: unknown, reception: unknown): number {
  if (direction !== undefined && direction !== 'in' && direction !== 'out') throw invalidArgument('direction', 'in or out', direction)
  const kind = reception === undefined ? 0 : RECEPTIONS.indexOf(reception as PcapngReception) + 1
  if (reception !== undefined && kind === 0) throw invalidArgument('reception', `one of ${RECEPTIONS.join(', ')}`, reception)
  return (direction === 'in' ? 1 : direction === 'out' ? 2 : 0) | (kind << 2)
}
