// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { bit, type Not, parseUnsigned, property, type PropertyType, requireInteger } from '../property.js'

/** Types of mobility headers (RFC 6275 section 6.1) and their short names. */
const TYPES = {
  'binding-refresh-request': 0, brr: 0, 'home-test-init': 1, hoti: 1, 'careof-test-init': 2, coti: 2, 'home-test': 3, hot: 3,
  'careof-test': 4, cot: 4, 'binding-update': 5, bu: 5, 'binding-acknowledgement': 6, ba: 6, 'binding-error': 7, be: 7,
} as const
/** A name, or a number from 0 to 255; read as a number. */
export type MhType = keyof typeof TYPES | number

/** `-m mh` (ip6t_mh, include/uapi/linux/netfilter_ipv6/ip6t_mh.h): the mobility header of IPv6. Needs the protocol ipv6-mh. */
export interface MhMatch {
  /** Types from one to another, both included. */
  types?: [from: MhType, to: MhType] | Not<[from: MhType, to: MhType]>
}

declare module '../extension.js' {
  interface Matches { mh: MhMatch }
}

const FROM = 0
const TO = 1
const inverted = bit(2, 1)
const names = Object.keys(TYPES) as (keyof typeof TYPES)[]

/** A name, a beginning of one (the first name that has it), or a number. */
function parseType(text: string, option: string): number {
  const wanted = text.toLowerCase()
  const name = names.find((one) => one === wanted) ?? names.find((one) => one.startsWith(wanted))
  const number = name === undefined ? parseUnsigned(text, 0, 255) : TYPES[name]
  if (number === undefined) throw new RuleError(`${option}: expected a type of mobility header or a number from 0 to 255, got "${text}"`)
  return number
}

function typeOf(value: unknown, name: string): number {
  if (typeof value === 'string') {
    if (!Object.hasOwn(TYPES, value)) throw outOfRange(name, `one of ${names.join(', ')} or a number`, value)
    return TYPES[value as keyof typeof TYPES]
  }
  requireInteger(value, name, 0, 255)
  return value
}

const types: PropertyType<[MhType, MhType]> = {
  decode: (p) => (p.u8(FROM) === 0 && p.u8(TO) === 0xff && !inverted.get(p) ? undefined : [p.u8(FROM), p.u8(TO)]),
  encode(p, value, name) {
    if (!Array.isArray(value) || value.length !== 2) throw invalidArgument(name, 'a pair [from, to]', value)
    const [from, to] = [typeOf(value[0], `${name}[0]`), typeOf(value[1], `${name}[1]`)]
    if (from > to) throw outOfRange(name, 'a range that does not run backwards', `${from}:${to}`)
    p.setU8(FROM, from)
    p.setU8(TO, to)
  },
  parse(p, text, option) {
    const colon = text.indexOf(':')
    const [low, high] = colon < 0 ? [text, text] : [text.slice(0, colon), text.slice(colon + 1)]
    const from = colon >= 0 && low === '' ? 0 : parseType(low, option)
    const to = colon >= 0 && high === '' ? 0xff : parseType(high, option)
    if (from > to) throw new RuleError(`${option}: the range ${text} runs backwards`)
    p.setU8(FROM, from)
    p.setU8(TO, to)
  },
  print(p) {
    const [from, to] = [p.u8(FROM), p.u8(TO)]
    if (from === 0 && to === 0xff && !inverted.get(p)) return undefined
    return from === to ? String(from) : `${from}:${to}`
  },
}

registerExtension({
  kind: 'match', name: 'mh', family: 'ipv6', revision: 0, size: 3, protocols: [135],
  init: (p) => p.setU8(TO, 0xff),
  properties: [property({ key: 'types', options: ['--mh-type'], type: types, invert: inverted })],
})
