// SPDX-License-Identifier: MIT
// Reads pcapng files of either byte order, as far as captures go: what else is in them is handed out as it is.

import { NfkitError } from '../errors.js'
import {
  BlockType, BYTE_ORDER_MAGIC, type PcapngInterface, pcapngLinkTypes, PcapngOption as O, type PcapngPacket, type PcapngSection, type PcapngStatistics, RECEPTIONS,
} from './pcapng.js'

/** A block. Times are nanoseconds since 1970; counters are BigInt. */
export type PcapngBlock =
  | { type: 'section' } & PcapngSection
  | { type: 'interface' } & PcapngInterface
  | { type: 'packet' } & PcapngPacket
  | { type: 'statistics' } & PcapngStatistics
  | {
    type: 'other'
    /** The block's type and what is between its two lengths. */
    blockType: number
    body: Uint8Array
  }

/** Of an interface: how to make nanoseconds of its times. */
interface Clock { readonly perSecond: bigint; readonly offset: bigint }

const LEAST_BLOCK = 12
const SECOND = 1_000_000_000n
const decoder = new TextDecoder()

const malformed = (at: number, what: string) => new NfkitError('EBADMSG', `malformed pcapng at byte ${at}: ${what}`)

/**
 * Reads the blocks of a file. Data are views of `bytes`.
 * @throws NfkitError EBADMSG with the place of what is malformed
 */
export function* readPcapng(bytes: Uint8Array): Generator<PcapngBlock, void, undefined> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let little = true
  let clocks: Clock[] = []
  for (let at = 0; at < bytes.length;) {
    if (at + LEAST_BLOCK > bytes.length) throw malformed(at, `${bytes.length - at} bytes where a block should be`)
    const isSection = view.getUint32(at, true) === BlockType.section
    if (isSection) {
      if (view.getUint32(at + 8, true) === BYTE_ORDER_MAGIC) little = true
      else if (view.getUint32(at + 8, false) === BYTE_ORDER_MAGIC) little = false
      else throw malformed(at, 'a section of no byte order')
      clocks = []
    } else if (at === 0) throw malformed(at, 'a file that does not begin with a section')
    const total = view.getUint32(at + 4, little)
    if (total < LEAST_BLOCK || total % 4 !== 0 || total > bytes.length - at) throw malformed(at, `a block of ${total} bytes in ${bytes.length - at}`)
    if (view.getUint32(at + total - 4, little) !== total) throw malformed(at, 'a block whose two lengths differ')
    yield readBlock(new Block(bytes, view, little, at, at + 8, at + total - 4), view.getUint32(at, little), clocks)
    at += total
  }
}

function readBlock(block: Block, type: number, clocks: Clock[]): PcapngBlock {
  switch (type) {
    case BlockType.section: return readSection(block)
    case BlockType.interface: return readInterface(block, clocks)
    case BlockType.enhancedPacket: return readPacket(block, clocks)
    case BlockType.interfaceStatistics: return readStatistics(block, clocks)
    default: return { type: 'other', blockType: type, body: block.take(block.end - block.position) }
  }
}

function readSection(block: Block): PcapngBlock {
  block.u32()
  const major = block.u16()
  if (major !== 1) throw malformed(block.start, `version ${major}, where 1 should be`)
  block.take(10)
  const options = block.options()
  return { type: 'section', ...options.texts({ comment: O.comment, hardware: O.hardware, os: O.os, application: O.application }) }
}

function readInterface(block: Block, clocks: Clock[]): PcapngBlock {
  const linkType = pcapngLinkTypes.of(block.u16())
  block.u16()
  const snaplen = block.u32()
  const options = block.options()
  const resolution = options.bytes(O.timestampResolution, 1)?.[0] ?? 6
  const offset = options.bytes(O.timestampOffset, 8)
  clocks.push({
    perSecond: (resolution & 0x80) === 0 ? 10n ** BigInt(resolution) : 1n << BigInt(resolution & 0x7f),
    offset: offset === undefined ? 0n : BigInt.asIntN(64, options.u64(offset)) * SECOND,
  })
  return { type: 'interface', linkType, snaplen, ...options.texts({ comment: O.comment, name: O.name, description: O.description }) }
}

function readPacket(block: Block, clocks: Clock[]): PcapngBlock {
  const number = block.interface(clocks)
  const time = block.time(clocks[number]!)
  const length = block.u32()
  const originalLength = block.u32()
  const data = block.take(length)
  block.skipTo4(length)
  const options = block.options()
  const flags = options.u32(O.flags) ?? 0
  const dropped = options.counters({ dropped: O.dropCount })
  const reception = RECEPTIONS[((flags >> 2) & 7) - 1]
  return {
    type: 'packet', interface: number, time, data, originalLength, ...dropped,
    ...((flags & 3) === 1 ? { direction: 'in' } : (flags & 3) === 2 ? { direction: 'out' } : {}), ...(reception === undefined ? {} : { reception }),
    ...options.texts({ comment: O.comment }),
  }
}

function readStatistics(block: Block, clocks: Clock[]): PcapngBlock {
  const number = block.interface(clocks)
  const clock = clocks[number]!
  const time = block.time(clock)
  const options = block.options()
  const moments: { startTime?: bigint; endTime?: bigint } = {}
  for (const [key, code] of [['startTime', O.startTime], ['endTime', O.endTime]] as const) {
    const value = options.bytes(code, 8)
    if (value !== undefined) moments[key] = options.time(value, clock)
  }
  return {
    type: 'statistics', interface: number, time, ...moments, ...options.texts({ comment: O.comment }),
    ...options.counters({ received: O.received, dropped: O.dropped, accepted: O.accepted, systemDropped: O.systemDropped, delivered: O.delivered }),
  }
}

const nanoseconds = (ticks: bigint, { perSecond, offset }: Clock) => (ticks * SECOND) / perSecond + offset

/** What is left to read of one block. */
class Block {
  readonly #all: Uint8Array
  readonly #view: DataView
  readonly #little: boolean
  /** Where the block begins and where its fields end, for what is said of a malformed one. */
  readonly start: number
  readonly end: number
  position: number

  constructor(all: Uint8Array, view: DataView, little: boolean, start: number, begin: number, end: number) {
    this.#all = all
    this.#view = view
    this.#little = little
    this.start = start
    this.end = end
    this.position = begin
  }

  #advance(count: number): number {
    const at = this.position
    if (count > this.end - at) throw malformed(this.start, 'a block that ends within its fields')
    this.position = at + count
    return at
  }

  u16(): number { return this.#view.getUint16(this.#advance(2), this.#little) }
  u32(): number { return this.#view.getUint32(this.#advance(4), this.#little) }

  take(count: number): Uint8Array {
    const at = this.#advance(count)
    return this.#all.subarray(at, at + count)
  }

  skipTo4(length: number): void { this.#advance((4 - (length % 4)) % 4) }

  interface(clocks: readonly Clock[]): number {
    const number = this.u32()
    if (number >= clocks.length) throw malformed(this.start, `interface ${number} of ${clocks.length}`)
    return number
  }

  time(clock: Clock): bigint {
    const upper = BigInt(this.u32())
    return nanoseconds((upper << 32n) | BigInt(this.u32()), clock)
  }

  options(): Options {
    const found = new Map<number, Uint8Array>()
    while (this.position < this.end) {
      const code = this.u16()
      const length = this.u16()
      if (code === O.end) break
      const value = this.take(length)
      this.skipTo4(length)
      // Of several comments the first.
      if (!found.has(code)) found.set(code, value)
    }
    return new Options(found, this.#little, this.start)
  }
}

/** The options of a block by their codes. */
class Options {
  readonly #found: ReadonlyMap<number, Uint8Array>
  readonly #little: boolean
  readonly #start: number

  constructor(found: ReadonlyMap<number, Uint8Array>, little: boolean, start: number) {
    this.#found = found
    this.#little = little
    this.#start = start
  }

  bytes(code: number, length: number): Uint8Array | undefined {
    const value = this.#found.get(code)
    if (value !== undefined && value.length !== length) throw malformed(this.#start, `option ${code} of ${value.length} bytes, where ${length} should be`)
    return value
  }

  u64(value: Uint8Array): bigint { return viewOf(value).getBigUint64(0, this.#little) }

  u32(code: number): number | undefined {
    const value = this.bytes(code, 4)
    return value === undefined ? undefined : viewOf(value).getUint32(0, this.#little)
  }

  time(value: Uint8Array, clock: Clock): bigint {
    const view = viewOf(value)
    return nanoseconds((BigInt(view.getUint32(0, this.#little)) << 32n) | BigInt(view.getUint32(4, this.#little)), clock)
  }

  texts<K extends string>(codes: Readonly<Record<K, number>>): Partial<Record<K, string>> {
    return this.#pick(codes, (code) => {
      const value = this.#found.get(code)
      return value === undefined ? undefined : decoder.decode(value)
    })
  }

  counters<K extends string>(codes: Readonly<Record<K, number>>): Partial<Record<K, bigint>> {
    return this.#pick(codes, (code) => {
      const value = this.bytes(code, 8)
      return value === undefined ? undefined : this.u64(value)
    })
  }

  #pick<K extends string, V>(codes: Readonly<Record<K, number>>, read: (code: number) => V | undefined): Partial<Record<K, V>> {
    const picked: Partial<Record<K, V>> = {}
    for (const [key, code] of Object.entries<number>(codes)) {
      const value = read(code)
      if (value !== undefined) picked[key as K] = value
    }
    return picked
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
