// SPDX-License-Identifier: MIT
// What the matches ttl and hl share: a comparison and a number.

import { type Bit, integer, property, type Property } from './property.js'

/** IPT_TTL_EQ, NE, LT and GT (include/uapi/linux/netfilter_ipv4/ipt_ttl.h); IP6T_HL_* are the same. */
const MODE = { equal: 0, notEqual: 1, less: 2, greater: 3 } as const

const mode = (number: number): Bit => ({ get: (p) => p.u8(0) === number, set: (p) => p.setU8(0, number) })
/** Of both comparisons for equality; a negation has set its mode already. */
const equality: Bit = { get: (p) => p.u8(0) <= MODE.notEqual, set: () => {} }

/** The highest mode: structs with another one are none of these. */
export const LAST_MODE = MODE.greater

/** `--ttl-eq`, `--ttl-lt` and `--ttl-gt`, with another word before them for hl. */
export function comparisons(prefix: string): Property[] {
  const type = integer({ offset: 1, width: 1 })
  return [
    property({
      key: 'equal', options: [`${prefix}-eq`, prefix], type, present: equality, invert: mode(MODE.notEqual), excludes: ['less', 'greater'],
    }),
    property({ key: 'less', options: [`${prefix}-lt`], type, present: mode(MODE.less), excludes: ['greater'] }),
    property({ key: 'greater', options: [`${prefix}-gt`], type, present: mode(MODE.greater) }),
  ]
}
