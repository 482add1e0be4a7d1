// SPDX-License-Identifier: MIT
// Records of packets as blocks of a pcapng file, without making an object of each.

import { align4, inputOf, LITTLE_ENDIAN } from '../bytes.js'
import { BlockType, PcapngOption as O, pcapngLinkTypes, PcapngWriter } from '../pcapng.js'
import { LINK } from './constants.js'
import { RECORD_TYPE, RecordCursor } from './record.js'

/** What an interface of the file counted. */
interface Interface { readonly number: number; delivered: number; lost: number }

const NOTHING = new Uint8Array(0)

/** A block's type and length, interface, time, captured and original length; the length again. */
const BLOCK_HEADER = 28
const BLOCK_END = 4
/** epb_flags, epb_dropcount, and the end of options. */
const FLAGS_OPTION = 8
const DROP_OPTION = 12
const END_OPTION = 4
const INBOUND = 1
const OUTBOUND = 2

const ADDRESSES = 12
const TAG = 4

/** A call of copyWithin takes as long as a loop over so many bytes. */
const SHORT = 256

export interface RecordPcapngOptions {
  /** The program that writes the file. */
  application: string
  /** Bytes of a packet that are kept at most; 0: all. */
  snaplen: number
  /** The name of a device by its index; null: it is gone. */
  nameOf: (index: number) => string | null
}

/**
 * Makes a file of records: what the functions answer, one behind the other, is it. An interface is made for each device that packets came
 * by, or left by if they came by none, and again if those have another link type. A VLAN tag that the hardware took off is put back into
 * Ethernet frames. Where packets are missing, the next one says how many; at the end, interfaces say so for all of the time.
 */
export class RecordPcapng {
  readonly #writer: PcapngWriter
  readonly #snaplen: number
  readonly #nameOf: (index: number) => string | null
  readonly #interfaces = new Map<number, Interface>()
  #last: Interface | undefined
  /** Lost packets that no block has told of yet; all of them. */
  #untold = 0
  #lost = 0
  #packets = 0
  /** Records, from where the cursor is on, and before them the blocks that were made of the ones before. */
  #bytes: Uint8Array = NOTHING
  #words: Uint32Array = new Uint32Array(0)
  #cursor = new RecordCursor(inputOf(NOTHING), 0, 0)
  #length = 0

  constructor({ application, snaplen, nameOf }: RecordPcapngOptions) {
    this.#writer = new PcapngWriter({ application })
    // Tags come on top.
    this.#snaplen = snaplen === 0 ? 0 : snaplen + TAG
    this.#nameOf = nameOf
  }

  /** What a file begins with. */
  begin(): Uint8Array {
    return this.#writer.take()
  }

  /** Packets that were written. */
  get packets(): number { return this.#packets }

  /** Packets that were lost before, between and behind them. */
  get lost(): number { return this.#lost }

  /**
   * The next blocks. They take the place of the records: a block is shorter than its record unless it tells of more than that does.
   * @param records what a read gave, which is overwritten
   * @param most packets of them at most
   * @throws NfkitError EBADMSG for what are no records
   */
  convert(records: Uint8Array, most = Infinity): Uint8Array {
    const bytes = records.byteOffset % 4 === 0 ? records : records.slice()
    this.#use(bytes, 0)
    this.#length = 0
    const last = this.#packets + most
    while (this.#packets < last && this.#cursor.next()) {
      const { type, lost } = this.#cursor
      if (type === RECORD_TYPE.packet) this.#packet(lost)
      else if (type === RECORD_TYPE.packetsLost) this.#untold += lost
      else continue
      this.#lost += lost
    }
    const blocks = this.#bytes.subarray(0, this.#length)
    this.#use(NOTHING, 0)
    return blocks
  }

  /** The last blocks. Times are nanoseconds since 1970: when capturing began, and when it ended. */
  end(startTime: bigint, endTime: bigint): Uint8Array {
    if (this.#untold > 0) {
      const last = this.#last ?? this.#interface(0, LINK.RAW)
      last.lost += this.#untold
      this.#untold = 0
    }
    for (const { number, delivered, lost } of this.#interfaces.values()) {
      this.#writer.statistics({ interface: number, time: endTime, startTime, endTime, received: BigInt(delivered) + BigInt(lost), dropped: BigInt(lost), delivered })
    }
    return this.#writer.take()
  }

  #packet(lostBefore: number): void {
    // All that the record tells, since the block may be written over it.
    const { inIndex, outIndex, link, captured, wireLength, vlanProtocol, vlanTci, timestampHigh, timestampLow, nextAt } = this.#cursor
    const found = this.#interface(inIndex === 0 ? outIndex : inIndex, link)
    const lost = this.#untold + lostBefore
    this.#untold = 0
    found.lost += lost
    this.#last = found
    this.#packets++

    const tag = vlanProtocol !== 0 && link === LINK.EN10MB && captured > ADDRESSES ? TAG : 0
    const size = align4(captured + tag)
    const total = BLOCK_HEADER + size + FLAGS_OPTION + (lost > 0 ? DROP_OPTION : 0) + END_OPTION + BLOCK_END
    const description = found.delivered++ === 0 ? this.#writer.take() : NOTHING
    if (this.#length + description.length + total > nextAt) this.#makeRoom(description.length + total)
    if (description.length > 0) {
      this.#bytes.set(description, this.#length)
      this.#length += description.length
    }
    const words = this.#words
    let to = this.#length / 4
    this.#length += total
    words[to] = BlockType.enhancedPacket
    words[to + 1] = total
    words[to + 2] = found.number
    words[to + 3] = timestampHigh
    words[to + 4] = timestampLow
    words[to + 5] = captured + tag
    words[to + 6] = wireLength + tag
    to += BLOCK_HEADER / 4
    const from = this.#cursor.dataAt
    if (tag === 0) this.#copy(from, to * 4, captured)
    else {
      this.#copy(from, to * 4, ADDRESSES)
      this.#copy(from + ADDRESSES, to * 4 + ADDRESSES + TAG, captured - ADDRESSES)
      // In network byte order.
      new DataView(words.buffer, words.byteOffset).setUint32(to * 4 + ADDRESSES, vlanProtocol * 0x10000 + vlanTci)
    }
    to += size / 4
    words[to] = option(O.flags, 4)
    words[to + 1] = inIndex === 0 ? OUTBOUND : INBOUND
    to += FLAGS_OPTION / 4
    if (lost > 0) {
      words[to] = option(O.dropCount, 8)
      words[LITTLE_ENDIAN ? to + 1 : to + 2] = lost % 2 ** 32
      words[LITTLE_ENDIAN ? to + 2 : to + 1] = lost / 2 ** 32
      to += DROP_OPTION / 4
    }
    words[to] = O.end
    words[to + 1] = total
  }

  /** Copies bytes of a packet to a multiple of four before them, and zeros behind them up to the next one. */
  #copy(from: number, to: number, length: number): void {
    const bytes = this.#bytes
    let copied = 0
    if (length > SHORT || from % 4 !== 0) {
      bytes.copyWithin(to, from, from + length)
      copied = length
    } else {
      const words = this.#words
      for (const end = length & ~3; copied < end; copied += 4) words[(to + copied) >>> 2] = words[(from + copied) >>> 2]!
    }
    for (; copied < length; copied++) bytes[to + copied] = bytes[from + copied]!
    for (; copied % 4 !== 0; copied++) bytes[to + copied] = 0
  }

  #interface(index: number, link: number): Interface {
    // Link types have 16 bits.
    const key = index * 0x10000 + link
    let found = this.#interfaces.get(key)
    if (found === undefined) {
      const name = index === 0 ? null : this.#nameOf(index)
      const linkType = pcapngLinkTypes.of(link)
      found = { number: this.#writer.interface({ ...(name === null ? {} : { name }), linkType, snaplen: this.#snaplen }), delivered: 0, lost: 0 }
      this.#interfaces.set(key, found)
    }
    return found
  }

  /** Moves the record where the cursor is and those behind it, so that at least so many bytes are free before them. */
  #makeRoom(bytes: number): void {
    const { at } = this.#cursor
    const rest = this.#bytes.subarray(at)
    // And some more for those that come, so that they are not moved for each block.
    const start = (this.#length + bytes + (rest.length >> 3) + 256) & ~7
    const moved = new Uint8Array(start + rest.length)
    moved.set(this.#bytes.subarray(0, this.#length))
    moved.set(rest, start)
    this.#use(moved, start)
    this.#cursor.next()
  }

  #use(bytes: Uint8Array, start: number): void {
    this.#bytes = bytes
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
    this.#cursor = new RecordCursor(inputOf(bytes), start, bytes.length)
  }
}

/** What an option begins with: its code and length, as one word. */
const option = (code: number, length: number) => (LITTLE_ENDIAN ? code + length * 0x10000 : code * 0x10000 + length)
