// SPDX-License-Identifier: MIT
// Reading and writing host-order integers. Netlink and the xtables structs use the byte order of the machine.

/** Whether this machine stores integers least significant byte first. */
export const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

/** Bytes with the view that reads integers from them. */
export interface Input {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** Wraps bytes for decoding; copies nothing. */
export function inputOf(bytes: Uint8Array): Input {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
}

/** `length` rounded up to a multiple of four, as NLMSG_ALIGN and NLA_ALIGN do (include/uapi/linux/netlink.h). */
export function align4(length: number): number {
  return (length + 3) & ~3
}

const SLAB = 64 << 10
let slab = new Uint8Array(SLAB)
let slabUsed = 0

/**
 * A copy that stays: many small ones share a buffer, since buffers of their own cost more than their bytes. It must not be written to
 * beyond its length.
 */
export function kept(bytes: Uint8Array): Uint8Array {
  const { length } = bytes
  if (length > SLAB / 16) return bytes.slice()
  if (slabUsed + length > SLAB) {
    slab = new Uint8Array(SLAB)
    slabUsed = 0
  }
  const copy = slab.subarray(slabUsed, slabUsed + length)
  copy.set(bytes)
  // Where the next one begins, 64-bit fields are aligned.
  slabUsed += (length + 7) & ~7
  return copy
}

/** A growing buffer of host-order integers. */
export class Writer {
  bytes: Uint8Array
  view: DataView
  length = 0

  /** Of so many bytes at first; or over bytes that are there: then {@link reserve} hands them out as they are. */
  constructor(capacity: number | Uint8Array = 256) {
    this.bytes = typeof capacity === 'number' ? new Uint8Array(capacity) : capacity
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength)
  }

  /** Appends `count` zero bytes and answers where they begin. */
  reserve(count: number): number {
    const at = this.length
    const end = at + count
    if (end > this.bytes.length) {
      const grown = new Uint8Array(Math.max(end, this.bytes.length * 2))
      grown.set(this.bytes.subarray(0, at))
      this.bytes = grown
      this.view = new DataView(grown.buffer)
    }
    this.length = end
    return at
  }

  u8(value: number): void { const at = this.reserve(1); this.bytes[at] = value }
  u16(value: number): void { const at = this.reserve(2); this.view.setUint16(at, value, LITTLE_ENDIAN) }
  u32(value: number): void { const at = this.reserve(4); this.view.setUint32(at, value, LITTLE_ENDIAN) }
  u64(value: bigint): void { const at = this.reserve(8); this.view.setBigUint64(at, value, LITTLE_ENDIAN) }
  be16(value: number): void { const at = this.reserve(2); this.view.setUint16(at, value) }
  be32(value: number): void { const at = this.reserve(4); this.view.setUint32(at, value) }
  raw(data: Uint8Array): void { const at = this.reserve(data.length); this.bytes.set(data, at) }

  /** Pads with zero bytes to a multiple of four. */
  align(): void { this.reserve(align4(this.length) - this.length) }

  /** Empties the buffer for reuse: what {@link reserve} hands out is zero again. */
  reset(): void { this.bytes.fill(0, 0, this.length); this.length = 0 }

  /** What was written: a view of the buffer, valid until the next write. */
  finish(): Uint8Array { return this.bytes.subarray(0, this.length) }
}
