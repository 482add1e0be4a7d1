// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { bit, type Not, property, type PropertyType } from '../property.js'
import { fromBigInt, parseUnsigned64, toBigInt, type Unsigned64 } from '../types.js'

/**
 * `-m quota` (xt_quota_info, include/uapi/linux/netfilter/xt_quota.h): matches until so many bytes have passed; negated, from then
 * on. The kernel does not tell what is left of it, and begins anew whenever the table is replaced.
 */
export interface QuotaMatch {
  /** Bytes, 0 to 18446744073709551615. */
  quota: Unsigned64 | Not<Unsigned64>
}

declare module '../extension.js' {
  interface Matches { quota: QuotaMatch }
}

const QUOTA = 8

const quota: PropertyType<Unsigned64> = {
  decode: (p) => fromBigInt(p.u64(QUOTA)),
  encode: (p, value, name) => p.setU64(QUOTA, toBigInt(value, name)),
  parse(p, text, option) {
    const value = parseUnsigned64(text)
    if (value === undefined) throw new RuleError(`${option}: expected a number from 0 to 18446744073709551615, got "${text}"`)
    p.setU64(QUOTA, value)
  },
  print: (p) => String(p.u64(QUOTA)),
}

registerExtension({
  kind: 'match', name: 'quota', revision: 0, size: 24, userSize: 16,
  properties: [property({ key: 'quota', options: ['--quota'], type: quota, invert: bit(0, 1, 4), mandatory: true })],
})
