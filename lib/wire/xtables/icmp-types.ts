// SPDX-License-Identifier: MIT
// What the matches icmp and icmp6 share: a type, a range of codes, and names for some of them.

import { invalidArgument, outOfRange } from '../../errors.js'
import { type Payload, RuleError } from './payload.js'
import { parseUnsigned, type PropertyType, requireInteger } from './property.js'

/** Type and codes that a name stands for; all codes where none is told. */
export type IcmpNames<N extends string> = Readonly<Record<N, readonly [type: number, code?: number]>>

/** A type with its codes: one, or from one to another, both included. Each number is 0 to 255. */
export interface IcmpTypeCode {
  type: number
  code: number | [from: number, to: number]
}

/** A type with all codes by number; or a name; or a type with some of its codes. */
export type IcmpSpecification<N extends string> = number | N | IcmpTypeCode

const ALL_CODES = 255

/** `first[:last]` at the start of `text`, and what follows. */
function leadingRange(text: string): { first: number; last: number; rest: string } | undefined {
  const match = /^([^:/]*)(?::([^:/]*))?/.exec(text)!
  const first = parseUnsigned(match[1]!, 0, 255)
  const last = match[2] === undefined ? first : parseUnsigned(match[2], 0, 255)
  return first === undefined || last === undefined ? undefined : { first, last, rest: text.slice(match[0].length) }
}

/** Type, first and last code at the start of the struct. `any` is the name of whatever there is: type 255 with all codes. */
export function icmpType<N extends string>(names: IcmpNames<N>): PropertyType<IcmpSpecification<N>> {
  const all = Object.keys(names) as N[]
  const isAny = (p: Payload) => 'any' in names && p.u8(0) === 255 && p.u8(1) === 0 && p.u8(2) === ALL_CODES
  const put = (p: Payload, type: number, from = 0, to = ALL_CODES) => p.set(0, Uint8Array.of(type, from, to))
  const putName = (p: Payload, name: N) => {
    const [type, code] = names[name]
    put(p, type, code, code)
  }
  return {
    decode(p) {
      const [type, from, to] = [p.u8(0), p.u8(1), p.u8(2)]
      if (isAny(p)) return 'any' as N
      if (from === 0 && to === ALL_CODES) return type
      return { type, code: from === to ? from : [from, to] }
    },
    encode(p, value, name) {
      if (typeof value === 'string') {
        if (!Object.hasOwn(names, value)) throw outOfRange(name, `a number from 0 to 255 or one of ${all.join(', ')}`, value)
        return putName(p, value)
      }
      if (typeof value === 'number') {
        requireInteger(value, name, 0, 255)
        return put(p, value)
      }
      if (typeof value !== 'object' || value === null) throw invalidArgument(name, 'a number, a name or an object with type and code', value)
      requireInteger(value.type, `${name}.type`, 0, 255)
      const codes: unknown = value.code
      if (!Array.isArray(codes)) {
        requireInteger(codes, `${name}.code`, 0, 255)
        return put(p, value.type, codes, codes)
      }
      if (codes.length !== 2) throw invalidArgument(`${name}.code`, 'a code or a pair of codes [from, to]', codes)
      const [from, to] = codes as unknown[]
      requireInteger(from, `${name}.code[0]`, 0, 255)
      requireInteger(to, `${name}.code[1]`, 0, 255)
      put(p, value.type, from, to)
    },
    parse(p, text, option) {
      // Each beginning of a name will do, even an empty one, as long as only one name has it.
      const found = all.filter((name) => name.toLowerCase().startsWith(text.toLowerCase()))
      if (found.length > 1) throw new RuleError(`${option}: "${text}" could be ${found.join(' or ')}`)
      if (found.length === 1) return putName(p, found[0]!)
      const type = leadingRange(text)
      const codes = type?.rest.startsWith('/') === true ? leadingRange(type.rest.slice(1)) : undefined
      const rest = codes?.rest ?? type?.rest
      if (type === undefined || rest !== '') throw new RuleError(`${option}: expected a type, type/code or one of ${all.join(', ')}, got "${text}"`)
      if (type.first !== type.last) throw new RuleError(`${option}: expected one type, got the range "${text}"`)
      put(p, type.first, codes?.first, codes?.last)
    },
    // Of a range of codes iptables prints the first one only.
    print(p) {
      if (isAny(p)) return 'any'
      return p.u8(1) === 0 && p.u8(2) === ALL_CODES ? String(p.u8(0)) : `${p.u8(0)}/${p.u8(1)}`
    },
  }
}
