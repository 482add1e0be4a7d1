// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { type Bit, bit, flag, integer, type Not, property, range } from '../property.js'
import { unlessDefault } from '../types.js'

/** Security parameter indices from one to another, both included. */
export type SpiRange = [from: number, to: number]

/** `-m ah`: the authentication header (include/uapi/linux/netfilter_ipv4/ipt_ah.h, netfilter_ipv6/ip6t_ah.h). IPv4 needs the protocol ah. */
export interface AhMatch {
  /** From 0 to 4294967295. */
  spi?: SpiRange | Not<SpiRange>
  /** IPv6: length of the whole header in bytes; 0 is any. */
  length?: number | Not<number>
  /** IPv6: the reserved field must be zero. */
  reserved?: boolean
}

declare module '../extension.js' {
  interface Matches { ah: AhMatch }
}

/** Two indices at the start of the struct; all of them is "not given" unless negated. */
export function spis(inverted: Bit) {
  return unlessDefault(range({ offset: 0, width: 4 }, { offset: 4, width: 4 }), (p) => p.u32(0) === 0 && p.u32(4) === 0xffffffff && !inverted.get(p))
}

const LENGTH_INVERTED = bit(13, 2)

registerExtension({
  kind: 'match', name: 'ah', family: 'ipv4', revision: 0, size: 12, protocols: [51],
  init: (p) => p.setU32(4, 0xffffffff),
  properties: [property({ key: 'spi', options: ['--ahspi'], type: spis(bit(8, 1)), invert: bit(8, 1) })],
})

registerExtension({
  kind: 'match', name: 'ah', family: 'ipv6', revision: 0, size: 16,
  init: (p) => p.setU32(4, 0xffffffff),
  properties: [
    property({ key: 'spi', options: ['--ahspi'], type: spis(bit(13, 1)), invert: bit(13, 1) }),
    property({
      key: 'length', options: ['--ahlen'], invert: LENGTH_INVERTED,
      type: unlessDefault(integer({ offset: 8, width: 4 }), (p) => p.u32(8) === 0 && !LENGTH_INVERTED.get(p)),
    }),
    property({ key: 'reserved', options: ['--ahres'], type: flag(bit(12, 1)), arguments: 0 }),
  ],
})
