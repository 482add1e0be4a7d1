// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { type Bit, bit, choice, integer, type Not, property, type PropertyType, requireInteger, requireUnsigned } from '../property.js'

/** `-m statistic` (xt_statistic_info, include/uapi/linux/netfilter/xt_statistic.h): some of the packets. */
export interface StatisticMatch {
  /** `random` needs `probability`, `nth` needs `every` and `packet`. */
  mode: 'random' | 'nth'
  /** From 0 to 1, kept as a whole number of 2^-31. */
  probability?: number | Not<number>
  /** One of this many packets, 1 to 4294967295. */
  every?: number | Not<number>
  /** How many go by before the first one: 0 to one less than `every`. */
  packet?: number
}

declare module '../extension.js' {
  interface Matches { statistic: StatisticMatch }
}

const NUMBER = 4
const PACKET = 8
const mode = choice({ offset: 0, width: 2 }, { random: 0, nth: 1 })
const isMode = (number: number): Bit => ({ get: (p) => p.u16(0) === number, set: () => {} })
const inverted = bit(2, 1, 2)

/** One. */
const WHOLE = 0x80000000

/** With eleven digits behind the point, the last one rounded to even as by printf(3). */
function formatProbability(bits: number): string {
  // bits * 10^11 / 2^31 = bits * 5^11 / 2^20
  const scaled = BigInt(bits) * 5n ** 11n
  const half = 1n << 19n
  const rest = scaled & 0xfffffn
  let digits = scaled >> 20n
  if (rest > half || (rest === half && digits % 2n === 1n)) digits++
  const text = String(digits).padStart(12, '0')
  return `${text.slice(0, -11)}.${text.slice(-11)}`
}

const probability: PropertyType<number> = {
  decode: (p) => p.u32(NUMBER) / WHOLE,
  encode(p, value, name) {
    if (typeof value !== 'number' || Number.isNaN(value)) throw invalidArgument(name, 'a number from 0 to 1', value)
    if (value < 0 || value > 1) throw outOfRange(name, 'a number from 0 to 1', value)
    p.setU32(NUMBER, Math.round(value * WHOLE))
  },
  parse(p, text, option) {
    const value = /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i.test(text) ? Number(text) : NaN
    if (!(value >= 0 && value <= 1)) throw new RuleError(`${option}: expected a number from 0 to 1, got "${text}"`)
    p.setU32(NUMBER, Math.round(value * WHOLE))
  },
  print: (p) => formatProbability(p.u32(NUMBER)),
}

/** The struct has one less. */
const every: PropertyType<number> = {
  decode: (p) => p.u32(NUMBER) + 1,
  encode(p, value, name) {
    requireInteger(value, name, 1, 0xffffffff)
    p.setU32(NUMBER, value - 1)
  },
  parse: (p, text, option) => p.setU32(NUMBER, requireUnsigned(text, option, 1) - 1),
  print: (p) => String((p.u32(NUMBER) + 1) >>> 0),
}

function check(p: Payload, seen: ReadonlySet<string>): void {
  if (p.u16(0) === 0 && !seen.has('probability')) throw new RuleError('statistic: --mode random needs --probability')
  if (p.u16(0) === 1) {
    if (!seen.has('every')) throw new RuleError('statistic: --mode nth needs --every and --packet')
    if (p.u32(PACKET) > p.u32(NUMBER)) throw new RuleError(`statistic: --packet must be below --every ${every.print(p, undefined as never)}`)
  }
}

registerExtension({
  kind: 'match', name: 'statistic', revision: 0, size: 24, userSize: 12, check,
  recognises: (p) => p.u16(0) <= 1,
  properties: [
    property({ key: 'mode', options: ['--mode'], type: mode, mandatory: true }),
    property({ key: 'probability', options: ['--probability'], type: probability, present: isMode(0), invert: inverted, excludes: ['every', 'packet'] }),
    property({ key: 'every', options: ['--every'], type: every, present: isMode(1), invert: inverted, requires: ['packet'] }),
    property({ key: 'packet', options: ['--packet'], type: integer({ offset: PACKET, width: 4 }), present: isMode(1), requires: ['every'] }),
  ],
})
