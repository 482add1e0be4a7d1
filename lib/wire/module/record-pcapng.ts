// SPDX-License-Identifier: MIT
// Records of packets as blocks of a pcapng file, without making an object of each.

import { align4, LITTLE_ENDIAN } from '../bytes.js'
import { BlockType, PcapngOption as O, pcapngLinkTypes, PcapngWriter } from '../pcapng.js'
import { LINK } from './constants.js'
import { RECORD_TYPE, type RecordCursor } from './record.js'

/** What an interface of the file counted. */
interface Interface { readonly number: number; delivered: number; lost: number }

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
  #lost = 0
  #packets = 0
  #bytes = new Uint8Array(0)
  #view = new DataView(this.#bytes.buffer)
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

  /**
   * The next blocks, of the records from where the cursor is.
   * @param bytes about how many bytes these have
   * @param most packets of them at most
   */
  write(cursor: RecordCursor, bytes: number, most = Infinity): Uint8Array {
    this.#bytes = new Uint8Array(bytes + (bytes >> 3) + 256)
    this.#view = new DataView(this.#bytes.buffer)
    this.#length = 0
    const last = this.#packets + most
    while (this.#packets < last && cursor.next()) {
      if (cursor.type === RECORD_TYPE.packet) this.#packet(cursor)
      else if (cursor.type === RECORD_TYPE.packetsLost) this.#lost += cursor.lost
    }
    return this.#bytes.subarray(0, this.#length)
  }

  /** The last blocks. Times are nanoseconds since 1970: when capturing began, and when it ended. */
  end(startTime: bigint, endTime: bigint): Uint8Array {
    if (this.#lost > 0) {
      const last = this.#last ?? this.#interface(0, LINK.RAW)
      last.lost += this.#lost
      this.#lost = 0
    }
    for (const { number, delivered, lost } of this.#interfaces.values()) {
      this.#writer.statistics({ interface: number, time: endTime, startTime, endTime, received: BigInt(delivered) + BigInt(lost), dropped: BigInt(lost), delivered })
    }
    return this.#writer.take()
  }

  #packet(cursor: RecordCursor): void {
    const { inIndex, link, dataAt, captured, vlanProtocol, input: { bytes: from } } = cursor
    const found = this.#interface(inIndex === 0 ? cursor.outIndex : inIndex, link)
    if (found.delivered === 0) this.#append(this.#writer.take())
    const lost = this.#lost + cursor.lost
    this.#lost = 0
    found.lost += lost
    found.delivered++
    this.#packets++
    this.#last = found

    const tag = vlanProtocol !== 0 && link === LINK.EN10MB && captured > ADDRESSES ? TAG : 0
    const dataEnd = BLOCK_HEADER + align4(captured + tag)
    const total = dataEnd + FLAGS_OPTION + (lost > 0 ? DROP_OPTION : 0) + END_OPTION + BLOCK_END
    const at = this.#reserve(total)
    const view = this.#view
    const to = this.#bytes
    view.setUint32(at, BlockType.enhancedPacket, LITTLE_ENDIAN)
    view.setUint32(at + 4, total, LITTLE_ENDIAN)
    view.setUint32(at + 8, found.number, LITTLE_ENDIAN)
    view.setUint32(at + 12, cursor.timestampHigh, LITTLE_ENDIAN)
    view.setUint32(at + 16, cursor.timestampLow, LITTLE_ENDIAN)
    view.setUint32(at + 20, captured + tag, LITTLE_ENDIAN)
    view.setUint32(at + 24, cursor.wireLength + tag, LITTLE_ENDIAN)
    let data = at + BLOCK_HEADER
    if (tag > 0) {
      to.set(from.subarray(dataAt, dataAt + ADDRESSES), data)
      view.setUint16(data + ADDRESSES, vlanProtocol)
      view.setUint16(data + ADDRESSES + 2, cursor.vlanTci)
      data += ADDRESSES + TAG
      to.set(from.subarray(dataAt + ADDRESSES, dataAt + captured), data)
    } else {
      to.set(from.subarray(dataAt, dataAt + captured), data)
    }
    let option = at + dataEnd
    view.setUint16(option, O.flags, LITTLE_ENDIAN)
    view.setUint16(option + 2, 4, LITTLE_ENDIAN)
    view.setUint32(option + 4, inIndex === 0 ? OUTBOUND : INBOUND, LITTLE_ENDIAN)
    option += FLAGS_OPTION
    if (lost > 0) {
      view.setUint16(option, O.dropCount, LITTLE_ENDIAN)
      view.setUint16(option + 2, 8, LITTLE_ENDIAN)
      view.setBigUint64(option + 4, BigInt(lost), LITTLE_ENDIAN)
      option += DROP_OPTION
    }
    // The end of options is zeros.
    view.setUint32(option + END_OPTION, total, LITTLE_ENDIAN)
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

  #append(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#bytes.set(bytes, this.#reserve(bytes.length))
  }

  #reserve(length: number): number {
    const at = this.#length
    if (at + length > this.#bytes.length) {
      const grown = new Uint8Array(2 * (at + length))
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    this.#length = at + length
    return at
  }
}
