// SPDX-License-Identifier: MIT
// The structs of /dev/nfkit (kmod/uapi/nfkit.h), field by field. Types are of fixed width and in their natural places, so that a
// struct is the same for 32-bit and 64-bit programs; a test compares every offset and size with the header.

import { LITTLE_ENDIAN } from '../bytes.js'

/** A field: bytes of an integer, or the length of an array of bytes. */
type FieldType = 2 | 4 | 8 | { readonly bytes: number } | { readonly struct: Layout }

/** Where a field is. */
export interface Place { readonly offset: number; readonly size: number }

/** One of the structs. */
export interface Layout<K extends string = string> {
  /** As in the header. */
  readonly name: string
  readonly size: number
  readonly fields: Readonly<Record<K, Place>>
}

const sizeOf = (type: FieldType) => (typeof type === 'number' ? type : 'bytes' in type ? type.bytes : type.struct.size)
const alignmentOf = (type: FieldType): number => (typeof type === 'number' ? type : 'bytes' in type ? 1 : 8)

function layout<K extends string>(name: string, types: Readonly<Record<K, FieldType>>): Layout<K> {
  const fields: Record<string, Place> = {}
  let offset = 0
  for (const [key, type] of Object.entries<FieldType>(types)) {
    if (offset % alignmentOf(type) !== 0) throw new Error(`${name}.${key} is not in its natural place`)
    fields[key] = { offset, size: sizeOf(type) }
    offset += sizeOf(type)
  }
  return { name, size: offset, fields: fields as Record<K, Place> }
}

const NAME = { bytes: 32 } as const

export const INFO = layout('nfkit_info', { size: 4, targets: 4, features: 8, max_targets: 4, max_outputs: 4 })

export const OUTPUT_CONFIG = layout('nfkit_output_config', {
  device: { bytes: 16 }, flags: 4, vlan_protocol: 2, vlan_tci: 2, destination: { bytes: 6 }, reserved: { bytes: 2 },
})

export const TARGET_SET = layout('nfkit_target_set', {
  size: 4, flags: 4, name: NAME, mark: 4, sample: 4, output_count: 4, output_size: 4, outputs: 8,
})

export const TARGET_DELETE = layout('nfkit_target_delete', { size: 4, reserved: 4, name: NAME })

export const STATS = layout('nfkit_stats', {
  seen: 8, cloned: 8, sent: 8, bytes: 8, no_target: 8, sampled_out: 8, no_route: 8, loop: 8, unroutable: 8, local: 8, same_device: 8, too_big: 8,
  queue_full: 8, no_memory: 8, no_header: 8, unresolved: 8, device_down: 8, refused: 8, flushed: 8,
})

export const OUTPUT_STATE = layout('nfkit_output_state', { config: { struct: OUTPUT_CONFIG }, ifindex: 4, reserved: 4, stats: { struct: STATS } })

export const TARGET_GET = layout('nfkit_target_get', {
  size: 4, flags: 4, name: NAME, mark: 4, sample: 4, output_count: 4, output_size: 4, outputs: 8, rules: 4, reserved: 4, stats: { struct: STATS },
})

export const TARGET_LIST = layout('nfkit_target_list', { size: 4, count: 4, names: 8 })

/** All of them. */
export const STRUCTS: readonly Layout[] = [INFO, OUTPUT_CONFIG, TARGET_SET, TARGET_DELETE, STATS, OUTPUT_STATE, TARGET_GET, TARGET_LIST]

/** _IO(NFKIT_IOCTL_TYPE, number), without direction bits: as x86, ARM, RISC-V and s390 have it, but not MIPS and PowerPC. */
const io = (number: number) => (0xbd << 8) | number

export const NFKIT_INFO = io(0x00)
export const NFKIT_TARGET_SET = io(0x10)
export const NFKIT_TARGET_DELETE = io(0x11)
export const NFKIT_TARGET_GET = io(0x12)
export const NFKIT_TARGET_LIST = io(0x13)

/** NFKIT_TARGET_*. */
export const TARGET_FLAG = { persistent: 1, create: 2, reroute: 4, random: 8, own: 0x10000 } as const
/** NFKIT_OUTPUT_*. */
export const OUTPUT_FLAG = { vlan: 1, destination: 2 } as const
/** NFKIT_FEATURE_*. */
export const FEATURE = { targets: 1, reroute: 2, devices: 4, sample: 8 } as const

/** A struct in bytes, or one within another. */
export class Struct<K extends string> {
  readonly bytes: Uint8Array
  readonly #layout: Layout<K>
  readonly #at: number
  readonly #view: DataView

  constructor(layout: Layout<K>, bytes: Uint8Array = new Uint8Array(layout.size), at = 0) {
    this.bytes = bytes
    this.#layout = layout
    this.#at = at
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  offset(key: K): number {
    return this.#at + this.#layout.fields[key].offset
  }

  get(key: K): number {
    const at = this.offset(key)
    switch (this.#layout.fields[key].size) {
      case 2: return this.#view.getUint16(at, LITTLE_ENDIAN)
      case 4: return this.#view.getUint32(at, LITTLE_ENDIAN)
      default: return Number(this.#view.getBigUint64(at, LITTLE_ENDIAN))
    }
  }

  set(key: K, value: number): this {
    const at = this.offset(key)
    switch (this.#layout.fields[key].size) {
      case 2: this.#view.setUint16(at, value, LITTLE_ENDIAN); break
      case 4: this.#view.setUint32(at, value, LITTLE_ENDIAN); break
      default: this.#view.setBigUint64(at, BigInt(value), LITTLE_ENDIAN)
    }
    return this
  }

  /** The bytes of an array. */
  array(key: K): Uint8Array {
    return this.bytes.subarray(this.offset(key), this.offset(key) + this.#layout.fields[key].size)
  }

  /** A string in an array, up to its NUL. */
  text(key: K): string {
    const data = this.array(key)
    const end = data.indexOf(0)
    return new TextDecoder().decode(end < 0 ? data : data.subarray(0, end))
  }

  setText(key: K, value: string): this {
    this.array(key).set(new TextEncoder().encode(value))
    return this
  }
}
