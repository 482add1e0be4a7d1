// SPDX-License-Identifier: MIT

import { invalidArgument } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { integer, property, type PropertyType, requireInteger } from '../property.js'
import { formatPacketRate, type PacketRate, parsePacketRate } from '../rates.js'

/** `-m limit` (xt_rateinfo, include/uapi/linux/netfilter/xt_limit.h): matches as long as a bucket of tokens has one left. */
export interface LimitMatch {
  /**
   * Tokens that come back, at most 10000 in a second; `3/hour` unless told. Read as a number where no rate says it: ten-thousandths
   * of a second from one token to the next, 1 to 4294967295.
   */
  rate?: PacketRate | number
  /** Tokens that the bucket holds, 1 to 10000; 5 unless told. */
  burst?: number
}

declare module '../extension.js' {
  interface Matches { limit: LimitMatch }
}

/** XT_LIMIT_SCALE. */
const SCALE = 10000
const RATE = 0
const BURST = 4
const DEFAULT = { period: 3600 * SCALE / 3, burst: 5 } as const

const rateText = (p: Payload) => formatPacketRate(BigInt(p.u32(RATE)), SCALE).text

const rate: PropertyType<PacketRate | number> = {
  decode(p) {
    const text = rateText(p)
    return Number(parsePacketRate(text, '', SCALE)?.period) === p.u32(RATE) ? text as PacketRate : p.u32(RATE)
  },
  encode(p, value, name) {
    if (typeof value === 'number') {
      requireInteger(value, name, 1, 0xffffffff)
      return p.setU32(RATE, value)
    }
    const parsed = typeof value === 'string' ? parsePacketRate(value, name, SCALE) : undefined
    if (parsed === undefined) throw invalidArgument(name, 'a rate such as "10/second"', value)
    p.setU32(RATE, Number(parsed.period))
  },
  parse(p, text, option) {
    const parsed = parsePacketRate(text, option, SCALE)
    if (parsed === undefined) throw new RuleError(`${option}: expected a rate such as 10/second, got "${text}"`)
    p.setU32(RATE, Number(parsed.period))
  },
  print: rateText,
}

const number = integer({ offset: BURST, width: 4, min: 1, max: 10000 })

/** The kernel keeps the product in 32 bits. What else it refuses (ERANGE) depends on its HZ. */
function check(p: Payload): void {
  if (Math.imul(p.u32(RATE), p.u32(BURST)) >>> 0 < p.u32(RATE)) throw new RuleError(`limit: a --limit-burst of ${p.u32(BURST)} is too much for the rate ${rateText(p)}`)
}

registerExtension({
  kind: 'match', name: 'limit', revision: 0, size: 40, userSize: 8, check,
  init(p) {
    p.setU32(RATE, DEFAULT.period)
    p.setU32(BURST, DEFAULT.burst)
  },
  properties: [
    property({ key: 'rate', options: ['--limit'], type: rate }),
    property<number>({ key: 'burst', options: ['--limit-burst'], type: { ...number, print: (p, ctx) => (p.u32(BURST) === DEFAULT.burst ? undefined : number.print(p, ctx)) } }),
  ],
})
