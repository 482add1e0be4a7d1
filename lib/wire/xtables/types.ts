// SPDX-License-Identifier: MIT
// Types of properties that several extensions share and that need to know the rule around them.

import { invalidArgument, outOfRange } from '../../errors.js'
import { type Payload, type RuleContext, RuleError } from './payload.js'
import {
  type Bit, formatNumber, type IntegerPlace, type Masked, masked, parseUnsigned, type PropertyType, range, readInteger, requireInteger, writeInteger,
} from './property.js'

/** Ports from one to another, both included. */
export type PortRange = [from: number, to: number]

/** A port by number or service name. @throws RuleError */
export function parsePort(text: string, option: string, ctx: RuleContext): number {
  const port = parseUnsigned(text, 0, 65535) ?? ctx.resolver.servicePort(text, ctx.protocol)
  if (port === undefined) throw new RuleError(`${option}: expected a port from 0 to 65535 or a service, got "${text}"`)
  return port
}

/** The protocols with ports, in the order in which getaddrinfo(3) asks for a service. */
const PORT_PROTOCOLS = [6, 17, 33, 136, 132]

/** A port as getaddrinfo(3) reads it: decimal, or a service of any protocol. @throws RuleError */
export function parseServicePort(text: string, option: string, { resolver }: RuleContext): number {
  let port: number | undefined
  if (/^\d+$/.test(text)) port = Number(text)
  else for (const protocol of PORT_PROTOCOLS) port ??= resolver.servicePort(text, protocol)
  if (port === undefined || port > 65535) throw new RuleError(`${option}: expected a port from 0 to 65535 or a service, got "${text}"`)
  return port
}

/** Two host-order ports; the whole range 0 to 65535 is "not given" unless negated. `parse` reads one of them. */
export function ports(from: number, to: number, inverted: Pick<Bit, 'get'>, parse = parsePort): PropertyType<PortRange> {
  return {
    decode(p) {
      const range: PortRange = [p.u16(from), p.u16(to)]
      return range[0] === 0 && range[1] === 0xffff && !inverted.get(p) ? undefined : range
    },
    encode(p, value, name) {
      if (!Array.isArray(value) || value.length !== 2) throw invalidArgument(name, 'a pair of ports [from, to]', value)
      requireInteger(value[0], `${name}[0]`, 0, 65535)
      requireInteger(value[1], `${name}[1]`, 0, 65535)
      if (value[0] > value[1]) throw outOfRange(name, 'a range that does not run backwards', `${value[0]}:${value[1]}`)
      p.setU16(from, value[0])
      p.setU16(to, value[1])
    },
    parse(p, text, option, ctx) {
      const colon = text.indexOf(':')
      const low = colon < 0 ? parse(text, option, ctx) : colon === 0 ? 0 : parse(text.slice(0, colon), option, ctx)
      const high = colon < 0 ? low : colon === text.length - 1 ? 0xffff : parse(text.slice(colon + 1), option, ctx)
      if (low > high) throw new RuleError(`${option}: the range ${text} runs backwards`)
      p.setU16(from, low)
      p.setU16(to, high)
    },
    print(p) {
      const low = p.u16(from)
      const high = p.u16(to)
      if (low === 0 && high === 0xffff && !inverted.get(p)) return undefined
      return low === high ? String(low) : `${low}:${high}`
    },
  }
}

/** As `type`, but what `isDefault` says is "not given": neither a value nor printed. */
export function unlessDefault<T>(type: PropertyType<T>, isDefault: (p: Payload) => boolean): PropertyType<T> {
  return {
    ...type,
    decode: (p, ctx) => (isDefault(p) ? undefined : type.decode(p, ctx)),
    print: (p, ctx) => (isDefault(p) ? undefined : type.print(p, ctx)),
  }
}

/**
 * A 32-bit range that is compared always, beside a flag that only says whether it was given. All of it is not printed unless it
 * is negated.
 */
export function flaggedRange(from: number, to: number, flag: Bit, inverted: Bit): PropertyType<[from: number, to: number]> {
  const type = range({ offset: from, width: 4 }, { offset: to, width: 4 })
  const whole = (p: Payload) => p.u32(from) === 0 && p.u32(to) === 0xffffffff && !inverted.get(p)
  return {
    decode: (p, ctx) => (whole(p) && !flag.get(p) ? undefined : type.decode(p, ctx)),
    encode(p, value, name, ctx) {
      type.encode(p, value, name, ctx)
      flag.set(p)
    },
    parse(p, text, option, ctx) {
      type.parse(p, text, option, ctx)
      flag.set(p)
    },
    print: (p, ctx) => (whole(p) ? undefined : type.print(p, ctx)),
  }
}

/** How the text of a {@link nameSet} is read. */
export interface NameSetOptions {
  /** A beginning of a name stands for the first name that has it, as strncasecmp(3) with the length of the text compares. */
  readonly abbreviated?: boolean
  /** Names in the order in which text is compared, where that is another one. */
  readonly order?: readonly string[]
  /** Empty parts between commas are passed over. */
  readonly gaps?: boolean
}

/**
 * A list of names between commas, one or more bits each, in the order in which they are printed. A name with no bits is the
 * name of the empty set. Upper and lower case are the same. Bits without a name are a number at the end of the value.
 */
export function nameSet<N extends string>(
  place: IntegerPlace, names: Readonly<Record<N, number>>, options: NameSetOptions = {},
): PropertyType<(N | number)[]> {
  const { abbreviated = false, gaps = false } = options
  const all = Object.keys(names) as N[]
  const order = (options.order ?? all) as readonly N[]
  const max = 2 ** (8 * place.width) - 1
  const expected = `names of ${all.join(', ')}`
  const namesIn = (bits: number) => all.filter((name) => (names[name] === 0 ? bits === 0 : (bits & names[name]) === names[name]))
  const put = (p: Payload, bits: number, fail: () => Error) => {
    if (bits > max) throw fail()
    writeInteger(p, place, bits)
  }
  return {
    decode(p) {
      const bits = readInteger(p, place)
      const list: (N | number)[] = namesIn(bits)
      const rest = list.reduce<number>((left, name) => left & ~names[name as N], bits) >>> 0
      return rest === 0 ? list : [...list, rest]
    },
    encode(p, value, name) {
      if (!Array.isArray(value)) throw invalidArgument(name, `a list of ${expected}`, value)
      let bits = 0
      for (const one of value as unknown[]) {
        if (typeof one === 'number' && Number.isInteger(one) && one >= 0 && one <= max) bits = (bits | one) >>> 0
        else if (typeof one === 'string' && Object.hasOwn(names, one)) bits = (bits | names[one as N]) >>> 0
        else throw outOfRange(name, expected, one)
      }
      put(p, bits, () => outOfRange(name, 'names that this revision of the match knows', value))
    },
    parse(p, text, option) {
      let bits = 0
      for (const part of text.split(',')) {
        if (part === '' && gaps) continue
        const wanted = part.toUpperCase()
        const found = part === '' ? undefined : order.find((name) => name === wanted || (abbreviated && name.startsWith(wanted)))
        if (found === undefined) throw new RuleError(`${option}: expected ${expected}, got "${part}"`)
        bits = (bits | names[found]) >>> 0
      }
      put(p, bits, () => new RuleError(`${option}: this revision of the match does not know all of ${text}`))
    },
    print: (p) => namesIn(readInteger(p, place)).join(','),
  }
}

/**
 * A number with a mask, or a name of a table of /etc/iproute2 without one. Read as a number; printed as the name where there is one.
 */
export function namedMask(value: IntegerPlace, mask: IntegerPlace, file: string): PropertyType<Masked | string> {
  const numbers = masked(value, mask)
  const put = (p: Payload, number: number) => {
    writeInteger(p, value, number)
    writeInteger(p, mask, 0xffffffff)
  }
  return {
    decode: (p, ctx) => numbers.decode(p, ctx),
    encode(p, given, name, ctx) {
      if (typeof given !== 'string') return numbers.encode(p, given, name, ctx)
      const number = ctx.resolver.lookup(file, given)
      if (number === undefined) throw outOfRange(name, `a name of ${file}`, given)
      put(p, number)
    },
    parse(p, text, option, ctx) {
      if (/^\s*\+?\d/.test(text)) {
        try { return numbers.parse(p, text, option, ctx) } catch (error) { if (ctx.resolver.lookup(file, text) === undefined) throw error }
      }
      const number = ctx.resolver.lookup(file, text)
      if (number === undefined) throw new RuleError(`${option}: expected a number or a name of ${file}, got "${text}"`)
      put(p, number)
    },
    print(p, ctx) {
      const number = readInteger(p, value)
      const bits = readInteger(p, mask)
      if (bits !== 0xffffffff) return `${formatNumber(number, 'hex')}/${formatNumber(bits, 'hex')}`
      return ctx.resolver.lookupName(file, number) ?? formatNumber(number, 'hex')
    },
  }
}

/** A 64-bit number; a decimal string where it is above 2^53 - 1. */
export type Unsigned64 = number | string

const MAX64 = 0xffffffffffffffffn

/** An unsigned number as {@link parseUnsigned} takes it, up to 64 bits. */
export function parseUnsigned64(text: string): bigint | undefined {
  const match = /^\s*\+?(?:0x([0-9a-f]+)|(0[0-7]*)|([1-9][0-9]*))$/i.exec(text)
  if (match === null) return undefined
  const value = match[1] !== undefined ? BigInt(`0x${match[1]}`) : match[2] !== undefined ? BigInt(`0o0${match[2]}`) : BigInt(match[3]!)
  return value > MAX64 ? undefined : value
}

/** The typed form of 64 bits. */
export function fromBigInt(value: bigint): Unsigned64 {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value)
}

/** The bits of a typed value. @throws TypeError, RangeError */
export function toBigInt(value: unknown, name: string): bigint {
  const expected = 'an integer from 0 to 18446744073709551615 (as a decimal string above 2^53 - 1)'
  const whole = typeof value === 'string' ? /^\d{1,20}$/.test(value) : typeof value === 'number' && Number.isInteger(value)
  if (!whole) throw invalidArgument(name, expected, value)
  if (typeof value === 'number' && (value < 0 || value > Number.MAX_SAFE_INTEGER)) throw outOfRange(name, expected, value)
  const bits = BigInt(value as number | string)
  if (bits > MAX64) throw outOfRange(name, expected, value)
  return bits
}
