// SPDX-License-Identifier: MIT
// How the structs of the module are laid out, and reading and writing them by the names of their fields.

import { LITTLE_ENDIAN } from '../bytes.js'

/** A field: the bytes of an integer, an array of bytes, or another struct. */
type FieldType = 1 | 2 | 4 | 8 | { readonly bytes: number } | { readonly struct: Layout }

/** Where a field is. */
export interface Place { readonly offset: number; readonly size: number }

/** A struct. */
export interface Layout<K extends string = string> {
  /** As in the header. */
  readonly name: string
  readonly size: number
  readonly alignment: number
  readonly fields: Readonly<Record<K, Place>>
}

const sizeOf = (type: FieldType) => (typeof type === 'number' ? type : 'bytes' in type ? type.bytes : type.struct.size)
const alignmentOf = (type: FieldType): number => (typeof type === 'number' ? type : 'bytes' in type ? 1 : type.struct.alignment)

/**
 * A struct of these fields, one behind the other. As in the header, each is in its natural place, so that the struct is the same for
 * 32-bit and 64-bit programs.
 */
export function layout<K extends string>(name: string, types: Readonly<Record<K, FieldType>>): Layout<K> {
  const fields: Record<string, Place> = {}
  let offset = 0
  let alignment = 1
  for (const [key, type] of Object.entries<FieldType>(types)) {
    if (offset % alignmentOf(type) !== 0) throw new Error(`${name}.${key} is not in its natural place`)
    fields[key] = { offset, size: sizeOf(type) }
    offset += sizeOf(type)
    alignment = Math.max(alignment, alignmentOf(type))
  }
  if (offset % alignment !== 0) throw new Error(`${name} does not end at its natural place`)
  return { name, size: offset, alignment, fields: fields as Record<K, Place> }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A string in an array of bytes, up to its NUL. */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end))
}

/** A struct's bytes, at `at` of `bytes`. */
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

  /** Where a field is in {@link bytes}. */
  offset(key: K): number {
    return this.#at + this.#layout.fields[key].offset
  }

  /** An integer, not negative. 64-bit counters above 2^53 lose their last digits. */
  get(key: K): number {
    const at = this.offset(key)
    switch (this.#layout.fields[key].size) {
      case 1: return this.bytes[at]!
      case 2: return this.#view.getUint16(at, LITTLE_ENDIAN)
      case 4: return this.#view.getUint32(at, LITTLE_ENDIAN)
      default: return Number(this.#view.getBigUint64(at, LITTLE_ENDIAN))
    }
  }

  set(key: K, value: number): this {
    const at = this.offset(key)
    switch (this.#layout.fields[key].size) {
      case 1: this.bytes[at] = value; break
      case 2: this.#view.setUint16(at, value, LITTLE_ENDIAN); break
      case 4: this.#view.setUint32(at, value, LITTLE_ENDIAN); break
      default: this.#view.setBigUint64(at, BigInt(value), LITTLE_ENDIAN)
    }
    return this
  }

  /** The bytes of an array or of a struct within. */
  array(key: K): Uint8Array {
    return this.bytes.subarray(this.offset(key), this.offset(key) + this.#layout.fields[key].size)
  }

  /** A struct within, of which the layout is told. */
  within<W extends string>(key: K, of: Layout<W>): Struct<W> {
    return new Struct(of, this.bytes, this.offset(key))
  }

  text(key: K): string {
    return textOf(this.array(key))
  }

  /** The array must have room for the string and its NUL, and be all zeros. */
  setText(key: K, value: string): this {
    this.array(key).set(encoder.encode(value))
    return this
  }
}

/** A struct that begins with its size. */
export function sized<K extends string>(of: Layout<K | 'size'>): Struct<K | 'size'> {
  return new Struct(of).set('size', of.size)
}
