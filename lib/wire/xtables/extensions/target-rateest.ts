// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { fixedString, property, type PropertyType, requireInteger } from '../property.js'

/** `-j RATEEST` (xt_rateest_target_info, include/uapi/linux/netfilter/xt_RATEEST.h): feeds a rate estimator that matches look at. */
export interface RateestTarget {
  /** 1 to 15 bytes. */
  estimator: string
  /** Seconds between two looks: 0.25, 0.5, 1, 2, 4 or 8. */
  interval: number
  /** The averaging time is the interval times two to the power of this, 1 to 30. */
  ewmaLog: number
}

declare module '../extension.js' {
  interface Targets { RATEEST: RateestTarget }
}

const INTERVAL = 16
const EWMA_LOG = 17
/**
 * Of the times that were given only their logarithms are kept, and these depend on both. Until the end both wait, plus one
 * microsecond, where the kernel's private tail is.
 */
const INTERVAL_TIME = 24
const EWMA_TIME = 28

const SECOND = 1_000_000
const UNITS: Readonly<Record<string, number>> = { '': 1, s: SECOND, sec: SECOND, secs: SECOND, ms: 1000, msec: 1000, msecs: 1000, us: 1, usec: 1, usecs: 1 }

function parseTime(text: string, option: string): number {
  const match = /^(\d+(?:\.\d*)?|\.\d+)([a-z]*)$/i.exec(text)
  const unit = match === null ? '' : match[2]!.toLowerCase()
  const time = match !== null && Object.hasOwn(UNITS, unit) ? Math.trunc(Number(match[1]) * UNITS[unit]!) : undefined
  if (time === undefined || time >= 0xffffffff) throw new RuleError(`${option}: expected a time such as 250ms or 2s, got "${text}"`)
  return time
}

function printTime(time: number): string {
  if (time >= SECOND) return `${(time / SECOND).toFixed(1)}s`
  return time >= 1000 ? `${(time / 1000).toFixed(1)}ms` : `${time}us`
}

const exponent = (p: Payload) => (p.u8(INTERVAL) << 24) >> 24
/** As C computes them: in 32 bits. */
const intervalTime = (p: Payload) => ((SECOND << (exponent(p) + 2)) >>> 0) / 4 >>> 0
const ewmaTime = (p: Payload) => Math.imul(intervalTime(p), 1 << p.u8(EWMA_LOG)) >>> 0

const waiting = (offset: number): PropertyType<number>['parse'] => (p, text, option) => p.setU32(offset, parseTime(text, option) + 1)

const interval: PropertyType<number> = {
  decode: (p) => 2 ** exponent(p),
  encode(p, value, name) {
    const log = [0.25, 0.5, 1, 2, 4, 8].indexOf(value)
    if (log < 0) throw outOfRange(name, '0.25, 0.5, 1, 2, 4 or 8 seconds', value)
    p.setU8(INTERVAL, (log - 2) & 0xff)
  },
  parse: waiting(INTERVAL_TIME),
  print: (p) => printTime(intervalTime(p)),
}

const ewmaLog: PropertyType<number> = {
  decode: (p) => p.u8(EWMA_LOG),
  encode(p, value, name) {
    requireInteger(value, name, 1, 30)
    p.setU8(EWMA_LOG, value)
  },
  parse: waiting(EWMA_TIME),
  print: (p) => printTime(ewmaTime(p)),
}

function resolve(p: Payload): void {
  if (p.u32(INTERVAL_TIME) === 0) return
  const [time, average] = [p.u32(INTERVAL_TIME) - 1, p.u32(EWMA_TIME) - 1]
  p.setU32(INTERVAL_TIME, 0)
  p.setU32(EWMA_TIME, 0)
  const log = [0, 1, 2, 3, 4, 5].find((one) => time <= 2 ** one * (SECOND / 4))
  if (log === undefined) throw new RuleError('RATEEST: --rateest-interval is at most 8 seconds')
  p.setU8(INTERVAL, (log - 2) & 0xff)
  let ewma = 1
  // The largest for which the averaging time still fits.
  while (ewma < 32 && time / -Math.log(1 - 1 / 2 ** ewma) <= average) ewma++
  ewma--
  if (ewma === 0 || ewma >= 31) throw new RuleError('RATEEST: --rateest-ewmalog does not fit the interval')
  p.setU8(EWMA_LOG, ewma)
}

registerExtension({
  kind: 'target', name: 'RATEEST', revision: 0, size: 32, userSize: 24,
  recognises: (p) => exponent(p) >= -2 && exponent(p) <= 3 && p.u8(EWMA_LOG) <= 30,
  check: resolve,
  properties: [
    property({ key: 'estimator', options: ['--rateest-name'], type: fixedString(0, 16, { quote: false, truncate: true }), mandatory: true }),
    property({ key: 'interval', options: ['--rateest-interval'], type: interval, mandatory: true }),
    property({ key: 'ewmaLog', options: ['--rateest-ewmalog'], type: ewmaLog, mandatory: true }),
  ],
})
