// SPDX-License-Identifier: MIT
// Declarative netlink attributes: a table names each attribute of an object once, with its type number and codec; reading,
// writing, checking and naming in errors all come from that line.

import { invalidArgument, outOfRange } from '../errors.js'
import { type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { checkInteger } from './check.js'
import { formatIp, parseIp } from './ip.js'
import { formatLinkAddress, formatMac, parseMac } from './mac.js'
import { attribute, forEachAttribute, NLA_HEADER, nested, type RawAttribute, text, textBytes } from './netlink.js'

export { checkInteger }

/** How one attribute's payload is read and written. */
export interface Codec<T> {
  /** The value, or undefined when the payload is not of the expected form; it is then kept as raw bytes. */
  decode(input: Input, start: number, end: number): T | undefined
  /** Appends the payload. Throws TypeError or RangeError, with `name`, for a value that it cannot hold. */
  encode(w: Writer, value: T, name: string): void
  /** The payload is attributes. */
  readonly nested?: boolean
  /** The path of the attribute whose header is at `offset`, for codecs with attributes inside. */
  locate?(input: Input, start: number, end: number, offset: number): string | undefined
}

/** One line of a table. */
export interface Field<T> {
  readonly type: number
  readonly codec: Codec<T>
  /** The kernel reports it and does not take it. */
  readonly readOnly?: boolean
}

export type Fields<T> = { readonly [K in keyof T]-?: Field<NonNullable<T[K]>> }

/** What every decoded object can have beside its known attributes. */
export interface WithUnknown {
  /** Attributes that nfkit does not know, or whose payload has an unexpected form, in the order they came. */
  unknown?: RawAttribute[]
}

/** The two directions of a table of attributes. */
export interface AttributeTable<T> {
  readonly fields: Fields<T>
  /** Reads the attributes between two offsets. @throws NfkitError EBADMSG when the lengths do not fit. */
  decode(input: Input, start: number, end: number): Partial<T> & WithUnknown
  /**
   * Appends the attributes that are not undefined, in the table's order, then the unknown ones.
   * @throws TypeError for an unknown or read-only name, TypeError or RangeError for a wrong value.
   */
  encode(w: Writer, value: Partial<T> & WithUnknown, name: string): void
  /** The dotted name of the attribute whose header is at `offset`: what an extended ACK points to. */
  locate(input: Input, start: number, end: number, offset: number): string | undefined
  /** The field's name for an attribute type. */
  nameOf(type: number): string | undefined
}

/**
 * Makes the two directions from one table. `padding` is the type of the empty attributes that the kernel puts before 64-bit
 * values where the machine cannot read them unaligned (nla_put_u64_64bit, include/net/netlink.h).
 */
export function attributeTable<T extends object>(fields: Fields<T>, { padding }: { padding?: number } = {}): AttributeTable<T> {
  const entries = Object.entries(fields) as [keyof T & string, Field<unknown>][]
  const byType = new Map(entries.map((entry) => [entry[1].type, entry]))
  return {
    fields,
    decode(input, start, end) {
      const value: Record<string, unknown> = {}
      const unknown: RawAttribute[] = []
      forEachAttribute(input, start, end, (type, from, to) => {
        if (type === padding && from === to) return
        const entry = byType.get(type)
        const decoded = entry?.[1].codec.decode(input, from, to)
        if (decoded === undefined) unknown.push({ type, data: input.bytes.slice(from, to) })
        else value[entry![0]] = decoded
      })
      if (unknown.length > 0) value['unknown'] = unknown
      return value as Partial<T> & WithUnknown
    },
    encode(w, value, name) {
      for (const key of Object.keys(value)) {
        if (key !== 'unknown' && !Object.hasOwn(fields, key) && (value as Record<string, unknown>)[key] !== undefined) {
          throw invalidArgument(name, `one of ${entries.map(([known]) => known).join(', ')}`, key)
        }
      }
      for (const [key, field] of entries) {
        const item = (value as Record<string, unknown>)[key]
        if (item === undefined) continue
        const path = `${name}.${key}`
        if (field.readOnly === true) throw new TypeError(`${path} is read-only`)
        const write = field.codec.nested === true ? nested : attribute
        write(w, field.type, () => field.codec.encode(w, item, path))
      }
      for (const { type, data } of value.unknown ?? []) attribute(w, type, () => w.raw(data))
    },
    locate(input, start, end, offset) {
      let found: string | undefined
      forEachAttribute(input, start, end, (type, from, to) => {
        if (offset < from - NLA_HEADER || offset >= to) return
        const entry = byType.get(type)
        const name = entry?.[0] ?? `#${type}`
        const inner = offset >= from ? entry?.[1].codec.locate?.(input, from, to, offset) : undefined
        found = inner === undefined ? name : `${name}.${inner}`
      })
      return found
    },
    nameOf: (type) => byType.get(type)?.[0],
  }
}

/** A field that can be read and written. */
export function field<T>(type: number, codec: Codec<T>): Field<T> { return { type, codec } }

/** A field that the kernel only reports. */
export function reported<T>(type: number, codec: Codec<T>): Field<T> { return { type, codec, readOnly: true } }

type Width = 1 | 2 | 4 | 8

function readUint(input: Input, start: number, end: number, width: Width, bigEndian: boolean): number | undefined {
  if (end - start !== width) return undefined
  const { view } = input
  switch (width) {
    case 1: return view.getUint8(start)
    case 2: return view.getUint16(start, !bigEndian && LITTLE_ENDIAN)
    case 4: return view.getUint32(start, !bigEndian && LITTLE_ENDIAN)
    case 8: return Number(view.getBigUint64(start, !bigEndian && LITTLE_ENDIAN))
  }
}

/** An unsigned integer, host order, with the range that the kernel takes. 64-bit values above 2^53 lose precision. */
function uint(width: Width, limits: { min?: number; max?: number; bigEndian?: boolean } = {}): Codec<number> {
  const { min = 0, max = width === 8 ? Number.MAX_SAFE_INTEGER : 2 ** (width * 8) - 1, bigEndian = false } = limits
  return {
    decode: (input, start, end) => readUint(input, start, end, width, bigEndian),
    encode(w, value, name) {
      checkInteger(value, min, max, name)
      if (width === 1) w.u8(value)
      else if (width === 2) bigEndian ? w.be16(value) : w.u16(value)
      else if (width === 4) bigEndian ? w.be32(value) : w.u32(value)
      else w.u64(BigInt(value))
    },
  }
}

export const u8 = (min?: number, max?: number): Codec<number> => uint(1, limits(min, max))
export const u16 = (min?: number, max?: number): Codec<number> => uint(2, limits(min, max))
export const u32 = (min?: number, max?: number): Codec<number> => uint(4, limits(min, max))
export const u64 = (): Codec<number> => uint(8)
export const be16 = (min?: number, max?: number): Codec<number> => uint(2, { ...limits(min, max), bigEndian: true })
export const be32 = (): Codec<number> => uint(4, { bigEndian: true })

function limits(min: number | undefined, max: number | undefined): { min?: number; max?: number } {
  return { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) }
}

/** A signed 32-bit integer. */
export const s32: Codec<number> = {
  decode: ({ view }, start, end) => (end - start === 4 ? view.getInt32(start, LITTLE_ENDIAN) : undefined),
  encode(w, value, name) {
    checkInteger(value, -(2 ** 31), 2 ** 31 - 1, name)
    w.u32(value >>> 0)
  },
}

/** A true or false value in an integer of `width` bytes. */
export function bool(width: 1 | 2 | 4 = 1): Codec<boolean> {
  const codec = uint(width)
  return {
    decode(input, start, end) {
      const value = codec.decode(input, start, end)
      return value === undefined ? undefined : value !== 0
    },
    encode(w, value, name) {
      if (typeof value !== 'boolean') throw invalidArgument(name, 'true or false', value)
      codec.encode(w, value ? 1 : 0, name)
    },
  }
}

/** NLA_FLAG: present means true. False cannot be written: leave the field out. */
export const flag: Codec<true> = {
  decode: () => true,
  encode(_w, value, name) {
    if (value !== true) throw invalidArgument(name, 'true (or leave it out)', value)
  },
}

/**
 * A duration in seconds, on the wire as clock ticks of 1/100 s (USER_HZ, clock_t) in 4 or 8 bytes.
 * The range is in seconds.
 */
export function seconds(width: 4 | 8, min = 0, max = 42949672): Codec<number> {
  const codec = uint(width)
  return {
    decode(input, start, end) {
      const ticks = codec.decode(input, start, end)
      return ticks === undefined ? undefined : ticks / 100
    },
    encode(w, value, name) {
      if (typeof value !== 'number') throw invalidArgument(name, `seconds from ${min} to ${max}`, value)
      const ticks = Math.round(value * 100)
      // Below 1/100 s a wish would silently become zero.
      if (!(value >= min && value <= max) || Math.abs(ticks - value * 100) > 1e-6) {
        throw outOfRange(name, `seconds from ${min} to ${max} in steps of 0.01`, value)
      }
      codec.encode(w, ticks, name)
    },
  }
}

/** One of a closed set of names for integers. A number without a name is kept as raw bytes. */
export function choice<N extends string>(width: 1 | 2 | 4, names: Readonly<Record<N, number>>): Codec<N> {
  const byNumber = new Map(Object.entries<number>(names).map(([name, number]) => [number, name as N]))
  const codec = uint(width)
  return {
    decode(input, start, end) {
      const number = codec.decode(input, start, end)
      return number === undefined ? undefined : byNumber.get(number)
    },
    encode(w, value, name) {
      if (typeof value !== 'string' || !Object.hasOwn(names, value)) throw invalidArgument(name, `one of ${Object.keys(names).join(', ')}`, value)
      codec.encode(w, names[value], name)
    },
  }
}

/** A string with its NUL, of at most `max` bytes without it. */
export function string(max = 65530): Codec<string> {
  return {
    decode: ({ bytes }, start, end) => text(bytes, start, end),
    encode(w, value, name) {
      if (typeof value !== 'string' || value.includes('\0')) throw invalidArgument(name, 'a string without NUL', value)
      const data = textBytes(value)
      if (data.length - 1 > max) throw outOfRange(name, `at most ${max} bytes`, value)
      w.raw(data)
    },
  }
}

/** Throws unless `value` can name a network interface (dev_valid_name, net/core/dev.c). */
export function checkInterfaceName(value: unknown, name: string): asserts value is string {
  const ok = typeof value === 'string' && value !== '.' && value !== '..' && !/[\s/:\0]/.test(value)
  const length = ok ? textBytes(value).length - 1 : 0
  if (length < 1 || length > 15) throw invalidArgument(name, 'an interface name of 1 to 15 bytes without space, slash or colon', value)
}

/** A network interface's name: 1 to 15 bytes. */
export const interfaceName: Codec<string> = {
  decode: ({ bytes }, start, end) => text(bytes, start, end),
  encode(w, value, name) {
    checkInterfaceName(value, name)
    w.raw(textBytes(value))
  },
}

/** A MAC address; other link-layer address lengths are read as they are. */
export const mac: Codec<string> = {
  decode: ({ bytes }, start, end) => (end - start === 6 ? formatMac(bytes, start) : formatLinkAddress(bytes.subarray(start, end))),
  encode(w, value, name) { w.raw(parseMac(value, name)) },
}

/** An IPv4 or IPv6 address, told apart by its length. */
export const ip: Codec<string> = {
  decode: ({ bytes }, start, end) => (end - start === 4 || end - start === 16 ? formatIp(bytes.subarray(start, end)) : undefined),
  encode(w, value, name) { w.raw(parseIp(value, name)) },
}

/** Bytes as they are. */
export const raw: Codec<Uint8Array> = {
  decode: ({ bytes }, start, end) => bytes.slice(start, end),
  encode(w, value, name) {
    if (!(value instanceof Uint8Array)) throw invalidArgument(name, 'bytes (a Uint8Array)', value)
    w.raw(value)
  },
}

/** A struct of fixed layout that the kernel only reports; `minimum` bytes must be there, later kernels may append. */
export function struct<T>(minimum: number, decode: (view: DataView, at: number, length: number) => T): Codec<T> {
  return {
    decode: ({ view }, start, end) => (end - start >= minimum ? decode(view, start, end - start) : undefined),
    encode(_w, _value, name) { throw new TypeError(`${name} is read-only`) },
  }
}

/** Attributes within an attribute. */
export function table<T extends object>(inner: AttributeTable<T>): Codec<Partial<T> & WithUnknown> {
  return {
    nested: true,
    decode: (input, start, end) => inner.decode(input, start, end),
    encode: (w, value, name) => inner.encode(w, value, name),
    locate: (input, start, end, offset) => inner.locate(input, start, end, offset),
  }
}

/** A nest whose attributes all have `type` (or, when reading, any type) and hold one item each. */
export function listOf<T>(type: number, item: Codec<T>): Codec<T[]> {
  return {
    nested: true,
    decode(input, start, end) {
      const items: T[] = []
      let ok = true
      forEachAttribute(input, start, end, (_type, from, to) => {
        const value = item.decode(input, from, to)
        if (value === undefined) ok = false
        else items.push(value)
      })
      return ok ? items : undefined
    },
    encode(w, value, name) {
      if (!Array.isArray(value)) throw invalidArgument(name, 'an array', value)
      value.forEach((element, i) => (item.nested === true ? nested : attribute)(w, type, () => item.encode(w, element, `${name}[${i}]`)))
    },
  }
}
