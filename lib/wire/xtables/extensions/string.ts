// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { bit, flag, integer, type Not, property, type PropertyType, spelling } from '../property.js'
import { unlessDefault } from '../types.js'

/** `-m string` revision 1 (xt_string_info, include/uapi/linux/netfilter/xt_string.h): bytes anywhere in a part of the packet. */
export interface StringMatch {
  /** 1 to 128 bytes: text (UTF-8), or pairs of hexadecimal digits. Read as text where all of it is printable ASCII. */
  pattern: string | { hex: string } | Not<string | { hex: string }>
  /** Boyer-Moore, Knuth-Pratt-Morris, or a finite state machine whose tokens the pattern has (lib/ts_bm.c, ts_kmp.c, ts_fsm.c). */
  algorithm: 'bm' | 'kmp' | 'fsm'
  /** Where the search begins, in bytes from the IP header on, 0 to 65535; 0 unless told. */
  from?: number
  /** Where it ends, not below `from`; 65535 unless told. */
  to?: number
  /** Upper and lower case are the same. */
  ignoreCase?: boolean
}

declare module '../extension.js' {
  interface Matches { string: StringMatch }
}

const FROM = 0
const TO = 2
const ALGORITHM = 4
const ALGORITHM_LENGTH = 16
const ALGORITHMS: readonly string[] = ['bm', 'kmp', 'fsm']
const PATTERN = 20
const MOST = 128
const LENGTH = 148
const FLAGS = 149
const END = 0xffff
const inverted = bit(FLAGS, 1)
const ignoreCase = bit(FLAGS, 2)

const read = (p: Payload) => p.slice(PATTERN, Math.min(p.u8(LENGTH), MOST))
const toHex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const isPrintable = (bytes: Uint8Array) => bytes.every((byte) => byte >= 0x20 && byte <= 0x7e)

function put(p: Payload, bytes: Uint8Array, fail: (expected: string) => Error): void {
  if (bytes.length < 1 || bytes.length > MOST) throw fail(`1 to ${MOST} bytes`)
  p.set(PATTERN, bytes)
  p.setU8(LENGTH, bytes.length)
}

const [BAR, BACKSLASH, SPACE] = [0x7c, 0x5c, 0x20]

/**
 * `text|68 65 78|text`: hexadecimal digits between bars, a character behind a backslash as it is. The character behind a closing bar
 * is taken as it is, too, even a bar: so does iptables.
 */
function parseHexString(text: string, option: string): Uint8Array {
  const bytes = new TextEncoder().encode(text)
  const fail = (why: string): never => { throw new RuleError(`${option}: ${why} in "${text}"`) }
  const digits = (at: number) => {
    const pair = String.fromCharCode(bytes[at]!, bytes[at + 1]!)
    return /^[0-9a-f]{2}$/i.test(pair) ? Number.parseInt(pair, 16) : fail(`expected two hexadecimal digits, got "${pair}"`)
  }
  const pattern: number[] = []
  let inHex = false
  for (let i = 0; i < bytes.length;) {
    if (bytes[i] === BACKSLASH) {
      if (inHex) fail('a backslash between the bars')
      if (i + 1 >= bytes.length) fail('nothing behind the backslash')
      pattern.push(bytes[i + 1]!)
      i += 2
      continue
    }
    if (bytes[i] === BAR) {
      inHex = !inHex
      if (inHex) while (bytes[i + 1] === SPACE) i++
      if (i + 1 >= bytes.length) break
      i++
    }
    if (inHex) {
      if (i + 2 >= bytes.length) fail('no bar behind the hexadecimal digits')
      pattern.push(digits(i))
      i += bytes[i + 2] === SPACE ? 3 : 2
    } else pattern.push(bytes[i++]!)
  }
  return Uint8Array.from(pattern)
}

const pattern: PropertyType<string | { hex: string }> = {
  decode(p) {
    const bytes = read(p)
    return isPrintable(bytes) ? new TextDecoder().decode(bytes) : { hex: toHex(bytes) }
  },
  encode(p, value, name) {
    const fail = (expected: string) => outOfRange(name, expected, typeof value === 'string' ? value : value.hex)
    if (typeof value === 'string') return put(p, new TextEncoder().encode(value), fail)
    if (typeof value !== 'object' || value === null || typeof value.hex !== 'string' || !/^(?:[0-9a-f]{2})*$/i.test(value.hex)) {
      throw invalidArgument(name, 'a string, or an object with hex, pairs of hexadecimal digits', value)
    }
    put(p, Uint8Array.from(value.hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)), fail)
  },
  parse: (p, text, option) => put(p, new TextEncoder().encode(text), (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`)),
  print: () => '',
}

const readAlgorithm = (p: Payload) => {
  const name = p.slice(ALGORITHM, ALGORITHM_LENGTH)
  return new TextDecoder().decode(name.subarray(0, name.includes(0) ? name.indexOf(0) : undefined))
}

const putAlgorithm = (p: Payload, name: string, fail: (expected: string) => Error) => {
  if (!ALGORITHMS.includes(name)) throw fail(`one of ${ALGORITHMS.join(', ')}`)
  p.set(ALGORITHM, new TextEncoder().encode(name))
}

const algorithm: PropertyType<StringMatch['algorithm']> = {
  decode: (p) => readAlgorithm(p) as StringMatch['algorithm'],
  encode: (p, value, name) => putAlgorithm(p, value, (expected) => invalidArgument(name, expected, value)),
  parse: (p, text, option) => putAlgorithm(p, text, (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`)),
  print: readAlgorithm,
}

function print(p: Payload): string {
  const bytes = read(p)
  const asHex = !isPrintable(bytes) || bytes.at(-1) === BACKSLASH
  const text = asHex ? `--hex-string "|${toHex(bytes)}|"` : `--string "${new TextDecoder().decode(bytes).replace(/["\\]/g, '\\$&')}"`
  const from = p.u16(FROM) === 0 ? '' : ` --from ${p.u16(FROM)}`
  const to = p.u16(TO) === END ? '' : ` --to ${p.u16(TO)}`
  return `${inverted.get(p) ? ' !' : ''} ${text} --algo ${readAlgorithm(p)}${from}${to}${ignoreCase.get(p) ? ' --icase' : ''}`
}

function check(p: Payload): void {
  if (p.u16(FROM) > p.u16(TO)) throw new RuleError(`string: --from ${p.u16(FROM)} is behind --to ${p.u16(TO)}`)
}

registerExtension({
  kind: 'match', name: 'string', revision: 1, size: 160, userSize: 152, print, check,
  init: (p) => p.setU16(TO, END),
  properties: [
    property({ key: 'pattern', options: ['--string'], type: pattern, invert: inverted, mandatory: true }),
    property({
      key: 'pattern', options: ['--hex-string'], alias: true, invert: inverted,
      type: spelling((p, text, option) => put(p, parseHexString(text, option), (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`))),
    }),
    property({ key: 'algorithm', options: ['--algo'], type: algorithm, mandatory: true }),
    property({ key: 'from', options: ['--from'], type: unlessDefault(integer({ offset: FROM, width: 2 }), (p) => p.u16(FROM) === 0) }),
    property({ key: 'to', options: ['--to'], type: unlessDefault(integer({ offset: TO, width: 2 }), (p) => p.u16(TO) === END) }),
    property({ key: 'ignoreCase', options: ['--icase'], type: flag(ignoreCase), arguments: 0 }),
  ],
})
