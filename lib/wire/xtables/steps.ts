// SPDX-License-Identifier: MIT
// What the targets TTL and HL share: a mode and a number.

import { type Bit, integer, property, type Property } from './property.js'

/** IPT_TTL_SET, INC and DEC (include/uapi/linux/netfilter_ipv4/ipt_TTL.h); IP6T_HL_* are the same. */
const mode = (number: number): Bit => ({ get: (p) => p.u8(0) === number, set: (p) => p.setU8(0, number) })

/** `--ttl-set`, `--ttl-dec` and `--ttl-inc`, with another word before them for HL. */
export function steps(prefix: string): Property[] {
  const type = (min: number) => integer({ offset: 1, width: 1, min })
  return [
    property({ key: 'set', options: [`${prefix}-set`], type: type(0), present: mode(0), excludes: ['decrement', 'increment'] }),
    property({ key: 'decrement', options: [`${prefix}-dec`], type: type(1), present: mode(2), excludes: ['increment'] }),
    property({ key: 'increment', options: [`${prefix}-inc`], type: type(1), present: mode(1) }),
  ]
}
