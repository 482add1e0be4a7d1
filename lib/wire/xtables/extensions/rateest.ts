// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { type Bit, bit, choice, fixedString, flag, integer, type Not, property, type PropertyType, requireUnsigned, spelling } from '../property.js'

/**
 * `-m rateest` (xt_rateest_match_info, include/uapi/linux/netfilter/xt_rateest.h): compares the rate of an estimator (the target
 * RATEEST) with a number, or with another estimator's. At least one rate; every one that is given is compared.
 */
export interface RateestMatch {
  /** Name of the estimator, 1 to 15 bytes; it must be there. */
  estimator: string
  /** Name of a second one: its rate takes the place of `bps2` and `pps2`. */
  other?: string
  /** Less than, greater than, equal. */
  mode: 'lt' | 'gt' | 'eq' | Not<'lt' | 'gt' | 'eq'>
  /** Compare what is missing to `bps1` and `pps1`, nothing where there is more; with two estimators the same of `bps2` and `pps2`. */
  delta?: boolean
  /** Bytes a second, 0 to 4294967295. */
  bps1?: number
  bps2?: number
  /** Packets a second, 0 to 4294967295. */
  pps1?: number
  pps2?: number
}

declare module '../extension.js' {
  interface Matches { rateest: RateestMatch }
}

const FLAGS = 32
const MODE = 34
const FLAG = { invert: 1, absolute: 2, relative: 4, delta: 8, bps: 16, pps: 32 } as const
const has = (p: Payload, name: keyof typeof FLAG) => (p.u16(FLAGS) & FLAG[name]) !== 0
const set = (p: Payload, name: keyof typeof FLAG) => p.setU16(FLAGS, p.u16(FLAGS) | FLAG[name])
const place = { bps1: 36, pps1: 40, bps2: 44, pps2: 48 } as const

/** Bits a second of each suffix. */
const UNITS: Readonly<Record<string, number>> = {
  '': 1, bit: 1, kibit: 2 ** 10, kbit: 1e3, mibit: 2 ** 20, mbit: 1e6, gibit: 2 ** 30, gbit: 1e9, tibit: 2 ** 40, tbit: 1e12, bps: 8, kibps: 2 ** 13,
  kbps: 8e3, mibps: 2 ** 23, mbps: 8e6, gibps: 2 ** 33, gbps: 8e9, tibps: 2 ** 43, tbps: 8e12,
}

function parseRate(text: string, option: string): number {
  const match = /^\s*\+?(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)([a-z]*)$/i.exec(text)
  const unit = match?.[2]!.toLowerCase() ?? 'none'
  const rate = Object.hasOwn(UNITS, unit) ? Math.trunc(Number(match![1]) * UNITS[unit]! / 8) : undefined
  if (rate === undefined || rate > 0xffffffff) throw new RuleError(`${option}: expected a rate below 2^32 bytes a second such as 8bit, 100kbit or 2MBps, got "${text}"`)
  return rate
}

/** As iptables prints it, which loses digits. */
function printBits(rate: number): string {
  const bits = rate * 8
  if (bits >= 1e9) return `${roundHalfEven(bits / 1e6)}Mbit`
  return bits >= 1e6 ? `${roundHalfEven(bits / 1e3)}Kbit` : `${bits}bit`
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value)
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value)
}

type Rate = keyof typeof place

/** A rate that may be left out behind its option; either of a pair says that the pair is compared. */
function rate(key: Rate): PropertyType<number> {
  const kind = key.startsWith('bps') ? 'bps' : 'pps'
  const number = integer({ offset: place[key], width: 4 })
  return {
    // The first one of a pair is only looked at with --rateest-delta.
    decode: (p) => (has(p, kind) && (key === 'bps2' || key === 'pps2' || has(p, 'delta') || p.u32(place[key]) !== 0) ? p.u32(place[key]) : undefined),
    encode(p, value, name, ctx) {
      number.encode(p, value, name, ctx)
      set(p, kind)
    },
    parse(p, text, option) {
      set(p, kind)
      if (text !== '') p.setU32(place[key], kind === 'bps' ? parseRate(text, option) : requireUnsigned(text, option))
    },
    print: () => undefined,
  }
}

const mode = choice({ offset: MODE, width: 2 }, { eq: 1, lt: 2, gt: 3 })
const inverted: Bit = bit(FLAGS, FLAG.invert, 2)
const modeSpelling = (number: number) => spelling((p) => p.setU16(MODE, number))
const name = (offset: number) => fixedString(offset, 16, { min: 1, quote: false, truncate: true })

function print(p: Payload, ctx: Parameters<PropertyType<string>['print']>[1]): string {
  const [delta, relative] = [has(p, 'delta'), has(p, 'relative')]
  const compared = mode.print(p, ctx)
  const how = compared === undefined ? '' : `${has(p, 'invert') ? ' !' : ''} --rateest-${compared}`
  let rates = ''
  for (const kind of ['bps', 'pps'] as const) {
    if (!has(p, kind)) continue
    const number = (at: number) => ` ${kind === 'bps' ? printBits(p.u32(at)) : p.u32(at)}`
    // iptables would say it twice for two rates, and not read that again.
    const once = rates === '' ? how : ''
    rates += delta ? ` --rateest-${kind}1${number(place[`${kind}1`])}${once} --rateest-${kind}2` : `${once} --rateest-${kind}`
    if (delta || !relative) rates += number(place[`${kind}2`])
  }
  const first = ` --rateest${relative ? '1' : ''} ${name(0).print(p, ctx)}`
  return `${delta ? ' --rateest-delta' : ''}${first}${rates}${relative ? ` --rateest2 ${name(16).print(p, ctx)}` : ''}`
}

registerExtension({
  kind: 'match', name: 'rateest', revision: 0, size: 72, userSize: 56, oneOf: ['bps1', 'bps2', 'pps1', 'pps2'], print,
  check: (p) => { if (!has(p, 'relative')) set(p, 'absolute') },
  properties: [
    property({ key: 'estimator', options: ['--rateest1', '--rateest'], type: name(0), mandatory: true }),
    property({ key: 'other', options: ['--rateest2'], type: name(16), present: bit(FLAGS, FLAG.relative, 2) }),
    property({ key: 'delta', options: ['--rateest-delta'], type: flag(bit(FLAGS, FLAG.delta, 2)), arguments: 0 }),
    property({ key: 'mode', options: ['--rateest-lt'], type: { ...mode, parse: modeSpelling(2).parse }, invert: inverted, arguments: 0, mandatory: true }),
    property({ key: 'mode', options: ['--rateest-gt'], type: modeSpelling(3), invert: inverted, arguments: 0, alias: true }),
    property({ key: 'mode', options: ['--rateest-eq'], type: modeSpelling(1), invert: inverted, arguments: 0, alias: true }),
    property({ key: 'bps1', options: ['--rateest-bps1'], type: rate('bps1'), arguments: 'optional' }),
    property({ key: 'bps2', options: ['--rateest-bps2', '--rateest-bps'], type: rate('bps2'), arguments: 'optional' }),
    property({ key: 'pps1', options: ['--rateest-pps1'], type: rate('pps1'), arguments: 'optional' }),
    property({ key: 'pps2', options: ['--rateest-pps2', '--rateest-pps'], type: rate('pps2'), arguments: 'optional' }),
  ],
})
