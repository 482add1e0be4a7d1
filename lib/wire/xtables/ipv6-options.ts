// SPDX-License-Identifier: MIT
// What the matches dst and hbh share: struct ip6t_opts (include/uapi/linux/netfilter_ipv6/ip6t_opts.h).

import { invalidArgument, outOfRange } from '../../errors.js'
import { registerExtension } from './extension.js'
import { type Payload, RuleError } from './payload.js'
import { bit, integer, type Not, property, type PropertyType, requireInteger, requireUnsigned } from './property.js'

/** One option of the header (RFC 8200 section 4.2). */
export interface Ipv6Option {
  /** 0 to 255; 0 is Pad1, which has no length. */
  type: number
  /** Bytes of its data, 0 to 254; any unless told. */
  length?: number
}

/** A match on an IPv6 extension header that is made of options. */
export interface Ipv6OptionsMatch {
  /** Length of the whole header in bytes, 0 to 4294967295. */
  length?: number | Not<number>
  /** 1 to 16 options that the header begins with, in this order; the sixteenth cannot have a length. */
  options?: Ipv6Option[]
}

const FLAGS = 4
const OPTIONS = 6
const COUNT = 38
const MOST = 16
const ANY_LENGTH = 0xff

/** Bytes beyond what the struct can hold are not there. */
const read = (p: Payload): Ipv6Option[] => Array.from({ length: Math.min(p.u8(COUNT), MOST) }, (_, i) => {
  const word = p.u16(OPTIONS + 2 * i)
  return (word & 0xff) === ANY_LENGTH ? { type: word >> 8 } : { type: word >> 8, length: word & 0xff }
})

function write(p: Payload, list: readonly Ipv6Option[], fail: (expected: string) => Error): void {
  if (list.length < 1 || list.length > MOST) throw fail(`1 to ${MOST} options`)
  if (list.some((one) => one.type === 0 && one.length !== undefined)) throw fail('no length of option 0, which has none')
  if (list[MOST - 1]?.length !== undefined) throw fail(`no length of option number ${MOST}`)
  list.forEach(({ type, length = ANY_LENGTH }, i) => p.setU16(OPTIONS + 2 * i, type * 256 + length))
  p.setU8(COUNT, list.length)
}

const options: PropertyType<Ipv6Option[]> = {
  decode: read,
  encode(p, value, name) {
    if (!Array.isArray(value)) throw invalidArgument(name, 'a list of options { type, length }', value)
    value.forEach((one: unknown, i) => {
      if (typeof one !== 'object' || one === null) throw invalidArgument(`${name}[${i}]`, 'an option { type, length }', one)
      const { type, length } = one as Partial<Ipv6Option>
      requireInteger(type, `${name}[${i}].type`, 0, 255)
      if (length !== undefined) requireInteger(length, `${name}[${i}].length`, 0, ANY_LENGTH - 1)
    })
    write(p, value, (expected) => outOfRange(name, expected, value))
  },
  parse(p, text, option) {
    const list = text.split(',').map((part): Ipv6Option => {
      const colon = part.indexOf(':')
      const type = requireUnsigned(colon < 0 ? part : part.slice(0, colon), option, 0, 255)
      return colon < 0 ? { type } : { type, length: requireUnsigned(part.slice(colon + 1), option, 0, 255) }
    })
    write(p, list, (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`))
  },
  print: (p) => read(p).map(({ type, length }) => (length === undefined ? type : `${type}:${length}`)).join(','),
}

/** Registers the match of one header. */
export function registerOptionsMatch(name: 'dst' | 'hbh'): void {
  registerExtension({
    kind: 'match', name, family: 'ipv6', revision: 0, size: 40,
    properties: [
      property({ key: 'length', options: [`--${name}-len`], type: integer({ offset: 0, width: 4 }), present: bit(FLAGS, 1), invert: bit(5, 1) }),
      property({ key: 'options', options: [`--${name}-opts`], type: options, present: bit(FLAGS, 2) }),
    ],
  })
}
