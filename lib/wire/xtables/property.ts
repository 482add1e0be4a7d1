// SPDX-License-Identifier: MIT
// One property of a match or target: one line that says where it is in the struct, how it is spelled as an option, and what
// it is as a value. Four paths come from it: bytes to value and back, bytes to text and back.

import { invalidArgument, outOfRange } from '../../errors.js'
import { type Payload, type RuleContext, RuleError } from './payload.js'

/** A negated value. */
export interface Not<T> { not: T }

export function isNot(value: unknown): value is Not<unknown> {
  return typeof value === 'object' && value !== null && 'not' in value && Object.keys(value).length === 1
}

/** How a value lies in the struct and how it is spelled. */
export interface PropertyType<T> {
  /** The value, or undefined where the struct says that there is none. */
  decode(p: Payload, ctx: RuleContext): T | undefined
  /** Throws TypeError or RangeError, with `name`, for a value that it cannot hold. */
  encode(p: Payload, value: T, name: string, ctx: RuleContext): void
  /** Throws {@link RuleError} for a bad argument of `option`. `text` is undefined for an option without argument. */
  parse(p: Payload, text: string, option: string, ctx: RuleContext): void
  /** The argument as iptables-save prints it: '' for an option without one, undefined when the option is not printed. */
  print(p: Payload, ctx: RuleContext): string | undefined
}

/** A bit of the struct: that an option was given, or negated. */
export interface Bit {
  get(p: Payload): boolean
  set(p: Payload): void
}

export interface PropertyOptions<T> {
  /** The field's name in the typed value. */
  readonly key: string
  /** The option's spellings; the first one is printed. */
  readonly options: readonly string[]
  readonly type: PropertyType<T>
  /** Tells that the property is there; without it the type's decode and print decide. */
  readonly present?: Bit
  /** Tells that it is negated; without it a negation is refused. */
  readonly invert?: Bit
  /**
   * How many arguments the option takes; 1 unless told. Several reach `parse` with one space between them. An optional one is
   * the next word unless that begins with - or !, and '' when there is none.
   */
  readonly arguments?: 0 | 1 | 2 | 'optional'
  readonly mandatory?: boolean
  /** May be given more than once. */
  readonly repeatable?: boolean
  /** Keys that cannot be given beside it. */
  readonly excludes?: readonly string[]
  /** Keys that must be given, too. */
  readonly requires?: readonly string[]
  /** Leave it out of the value and of what is printed: another spelling of another property. */
  readonly alias?: boolean
}

/** A property whose type is known to its builder only. */
export type Property = PropertyOptions<never>

/** A property of an extension. */
export function property<T>(options: PropertyOptions<T>): Property {
  return options as unknown as Property
}

/** A bit of an integer of 1, 2 or 4 bytes. */
export function bit(offset: number, mask: number, width: 1 | 2 | 4 = 1): Bit {
  const read = (p: Payload) => (width === 1 ? p.u8(offset) : width === 2 ? p.u16(offset) : p.u32(offset))
  return {
    get: (p) => (read(p) & mask) !== 0,
    set(p) {
      const value = (read(p) | mask) >>> 0
      if (width === 1) p.setU8(offset, value)
      else if (width === 2) p.setU16(offset, value)
      else p.setU32(offset, value)
    },
  }
}

/** A whole integer as a bit: anything but zero counts, `value` is written. */
export function nonZero(offset: number, width: 1 | 4 = 1, value = 1): Bit {
  return {
    get: (p) => (width === 1 ? p.u8(offset) : p.u32(offset)) !== 0,
    set: (p) => (width === 1 ? p.setU8(offset, value) : p.setU32(offset, value)),
  }
}

/** Where an integer is. */
export interface IntegerPlace {
  readonly offset: number
  readonly width: 1 | 2 | 4 | 8
  readonly bigEndian?: boolean
  readonly min?: number
  readonly max?: number
}

export function readInteger(p: Payload, { offset, width, bigEndian = false }: IntegerPlace): number {
  switch (width) {
    case 1: return p.u8(offset)
    case 2: return bigEndian ? p.be16(offset) : p.u16(offset)
    case 4: return bigEndian ? p.be32(offset) : p.u32(offset)
    case 8: return Number(p.u64(offset))
  }
}

export function writeInteger(p: Payload, { offset, width, bigEndian = false }: IntegerPlace, value: number): void {
  switch (width) {
    case 1: return p.setU8(offset, value)
    case 2: return bigEndian ? p.setBe16(offset, value) : p.setU16(offset, value)
    case 4: return bigEndian ? p.setBe32(offset, value) : p.setU32(offset, value)
    case 8: return p.setU64(offset, BigInt(value))
  }
}

function limitsOf({ width, min = 0, max = width === 8 ? Number.MAX_SAFE_INTEGER : 2 ** (8 * width) - 1 }: IntegerPlace): [number, number] {
  return [min, max]
}

/**
 * An unsigned number as strtoul(3) reads it with base 0: decimal, 0x hexadecimal, 0 octal; nothing may follow. Undefined for
 * anything else and outside the limits.
 */
export function parseUnsigned(text: string, min = 0, max = 0xffffffff): number | undefined {
  const match = /^\s*\+?(?:0x([0-9a-f]+)|(0[0-7]*)|([1-9][0-9]*))$/i.exec(text)
  if (match === null) return undefined
  const value = match[1] !== undefined ? Number.parseInt(match[1], 16) : match[2] !== undefined ? Number.parseInt(match[2], 8) : Number(match[3])
  return value < min || value > max ? undefined : value
}

/** As {@link parseUnsigned}, with the error that names the option and the range. */
export function requireUnsigned(text: string, option: string, min = 0, max = 0xffffffff): number {
  const value = parseUnsigned(text, min, max)
  if (value === undefined) throw new RuleError(`${option}: expected a number from ${min} to ${max}, got "${text}"`)
  return value
}

/** Throws unless a typed value is an integer within the limits. */
export function requireInteger(value: unknown, name: string, min: number, max: number): asserts value is number {
  if (typeof value !== 'number' || !Number.isInteger(value)) throw invalidArgument(name, `an integer from ${min} to ${max}`, value)
  if (value < min || value > max) throw outOfRange(name, `an integer from ${min} to ${max}`, value)
}

/** How numbers are printed. */
export type NumberFormat = 'decimal' | 'hex' | 'hex2'

export function formatNumber(value: number, format: NumberFormat): string {
  if (format === 'decimal') return String(value)
  return `0x${value.toString(16).padStart(format === 'hex2' ? 2 : 1, '0')}`
}

/** A number. */
export function integer(place: IntegerPlace, format: NumberFormat = 'decimal'): PropertyType<number> {
  const [min, max] = limitsOf(place)
  return {
    decode: (p) => readInteger(p, place),
    encode(p, value, name) {
      requireInteger(value, name, min, max)
      writeInteger(p, place, value)
    },
    parse: (p, text, option) => writeInteger(p, place, requireUnsigned(text, option, min, max)),
    print: (p) => formatNumber(readInteger(p, place), format),
  }
}

/** A number with a mask: `value` or `value/mask`. The typed form is a number, or `{ value, mask }` when not all bits count. */
export type Masked = number | { value: number; mask: number }

export function masked(value: IntegerPlace, mask: IntegerPlace, format: NumberFormat = 'hex'): PropertyType<Masked> {
  const [, max] = limitsOf(value)
  return {
    decode(p) {
      const bits = readInteger(p, mask)
      return bits === max ? readInteger(p, value) : { value: readInteger(p, value), mask: bits }
    },
    encode(p, given, name) {
      const pair = typeof given === 'object' && given !== null ? given : { value: given, mask: max }
      requireInteger(pair.value, typeof given === 'number' ? name : `${name}.value`, 0, max)
      requireInteger(pair.mask, `${name}.mask`, 0, max)
      writeInteger(p, value, pair.value)
      writeInteger(p, mask, pair.mask)
    },
    parse(p, text, option) {
      const slash = text.indexOf('/')
      writeInteger(p, value, requireUnsigned(slash < 0 ? text : text.slice(0, slash), option, 0, max))
      writeInteger(p, mask, slash < 0 ? max : requireUnsigned(text.slice(slash + 1), option, 0, max))
    },
    print(p) {
      const bits = readInteger(p, mask)
      const text = formatNumber(readInteger(p, value), format)
      return bits === max ? text : `${text}/${formatNumber(bits, format)}`
    },
  }
}

/** A pair of numbers, `from:to`; open ends take the limits. The typed form is `[from, to]`. */
export function range(from: IntegerPlace, to: IntegerPlace, one: 'single' | 'always pair' = 'single'): PropertyType<[number, number]> {
  const [min, max] = limitsOf(from)
  return {
    decode: (p) => [readInteger(p, from), readInteger(p, to)],
    encode(p, value, name) {
      if (!Array.isArray(value) || value.length !== 2) throw invalidArgument(name, 'a pair [from, to]', value)
      requireInteger(value[0], `${name}[0]`, min, max)
      requireInteger(value[1], `${name}[1]`, min, max)
      if (value[0] > value[1]) throw outOfRange(name, 'a range that does not run backwards', `${value[0]}:${value[1]}`)
      writeInteger(p, from, value[0])
      writeInteger(p, to, value[1])
    },
    parse(p, text, option) {
      const colon = text.indexOf(':')
      const low = colon < 0 ? requireUnsigned(text, option, min, max) : colon === 0 ? min : requireUnsigned(text.slice(0, colon), option, min, max)
      const high = colon < 0 ? low : colon === text.length - 1 ? max : requireUnsigned(text.slice(colon + 1), option, min, max)
      if (low > high) throw new RuleError(`${option}: the range ${text} runs backwards`)
      writeInteger(p, from, low)
      writeInteger(p, to, high)
    },
    print(p) {
      const low = readInteger(p, from)
      const high = readInteger(p, to)
      return low === high && one === 'single' ? String(low) : `${low}:${high}`
    },
  }
}

/** A bit that an option without argument sets. The typed form is `true`. */
export function flag(where: Bit): PropertyType<boolean> {
  return {
    decode: (p) => where.get(p) || undefined,
    encode(p, value, name) {
      if (typeof value !== 'boolean') throw invalidArgument(name, 'true or false', value)
      if (value) where.set(p)
    },
    parse: (p) => where.set(p),
    print: (p) => (where.get(p) ? '' : undefined),
  }
}

/** One of a closed set of names. The first spelling of a number is the one that is printed. */
export function choice<N extends string>(place: IntegerPlace, names: Readonly<Record<N, number>>): PropertyType<N> {
  const entries = Object.entries<number>(names) as [N, number][]
  const expected = entries.map(([name]) => name).join(', ')
  const nameOf = (p: Payload) => {
    const number = readInteger(p, place)
    return entries.find((entry) => entry[1] === number)?.[0]
  }
  return {
    decode: nameOf,
    encode(p, value, name) {
      if (!Object.hasOwn(names, value)) throw invalidArgument(name, `one of ${expected}`, value)
      writeInteger(p, place, names[value])
    },
    parse(p, text, option) {
      if (!Object.hasOwn(names, text)) throw new RuleError(`${option}: expected one of ${expected}, got "${text}"`)
      writeInteger(p, place, names[text as N])
    },
    print: nameOf,
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * A string in a fixed array with a NUL; printed in quotes where the shell would need them. `truncate` is for the options whose
 * argument iptables shortens without a word: an over-long typed value is refused all the same.
 */
export function fixedString(
  offset: number, length: number, limits: { min?: number; quote?: boolean; truncate?: boolean } = {},
): PropertyType<string> {
  const { min = 0, quote = true, truncate = false } = limits
  const put = (p: Payload, text: string, fail: (expected: string) => Error) => {
    if (text.length >= min && text.length < length && putAscii(p, offset, text)) return
    const data = encoder.encode(text)
    if (data.length < min || data.length > length - 1 || data.includes(0)) throw fail(`a string of ${min} to ${length - 1} bytes`)
    p.set(offset, data)
  }
  const get = (p: Payload) => stringAt(p, offset, length)
  return {
    decode: get,
    encode(p, value, name) {
      if (typeof value !== 'string') throw invalidArgument(name, 'a string', value)
      put(p, value, (expected) => outOfRange(name, expected, value))
    },
    parse: (p, text, option) => put(p, truncate && text.length > (length - 1) / 3 ? shortened(text, length - 1) : text, (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`)),
    // Where iptables never quotes, what would fall into several words is quoted all the same.
    print: (p) => (quote || /[\s"]/.test(get(p)) ? quoted(get(p)) : get(p)),
  }
}

/** Writes a string of ASCII without NUL; false for any other, of which a part may have been written. */
function putAscii(p: Payload, offset: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0 || code > 0x7f) return false
    p.setU8(offset + i, code)
  }
  return true
}

/** A string up to its NUL or the end of its array. */
function stringAt(p: Payload, offset: number, length: number): string {
  let end = 0
  let bits = 0
  for (let byte; end < length && (byte = p.u8(offset + end)) !== 0; end++) bits |= byte
  const data = p.input.bytes.subarray(p.at + offset, p.at + offset + end)
  return bits > 0x7f ? decoder.decode(data) : String.fromCharCode.apply(null, data as unknown as number[])
}

/** The beginning of a string that fits into `length` bytes, without half a character at its end. */
function shortened(text: string, length: number): string {
  const data = encoder.encode(text)
  let end = Math.min(length, data.length)
  while (end < data.length && end > 0 && (data[end]! & 0xc0) === 0x80) end--
  return decoder.decode(data.subarray(0, end))
}

/** Another spelling of a property, for one with `alias`: it is only read from text. */
export function spelling(parse: PropertyType<unknown>['parse']): PropertyType<never> {
  return { decode: () => undefined, encode: () => {}, parse, print: () => undefined }
}

/** As iptables-save quotes: only when a character outside a safe set is in it; quotes, backslashes escaped. */
export function quoted(text: string): string {
  if (text !== '' && /^[A-Za-z0-9_-]+$/.test(text)) return text
  return `"${text.replace(/["\\']/g, '\\$&')}"`
}
