// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, flag, integer, type Not, property } from '../property.js'
import { flaggedRange } from '../types.js'

/** `-m frag` (ip6t_frag, include/uapi/linux/netfilter_ipv6/ip6t_frag.h): the fragment header of IPv6 (RFC 8200 section 4.5). */
export interface FragMatch {
  /** Identifications from one to another, 0 to 4294967295. */
  id?: [from: number, to: number] | Not<[from: number, to: number]>
  /** Length of the header, 0 to 4294967295; kernels keep it and do not look at it. */
  length?: number | Not<number>
  /** The reserved fields must be zero. */
  reserved?: boolean
  /** The first fragment. */
  first?: boolean
  /** More fragments follow; not beside `last`. */
  more?: boolean
  /** The last fragment. */
  last?: boolean
}

declare module '../extension.js' {
  interface Matches { frag: FragMatch }
}

const FLAGS = 12
const INVERT = 13

registerExtension({
  kind: 'match', name: 'frag', family: 'ipv6', revision: 0, size: 16,
  init: (p) => p.setU32(4, 0xffffffff),
  properties: [
    property({ key: 'id', options: ['--fragid'], type: flaggedRange(0, 4, bit(FLAGS, 0x01), bit(INVERT, 1)), invert: bit(INVERT, 1) }),
    property({ key: 'length', options: ['--fraglen'], type: integer({ offset: 8, width: 4 }), present: bit(FLAGS, 0x02), invert: bit(INVERT, 2) }),
    property({ key: 'reserved', options: ['--fragres'], type: flag(bit(FLAGS, 0x04)), arguments: 0 }),
    property({ key: 'first', options: ['--fragfirst'], type: flag(bit(FLAGS, 0x08)), arguments: 0 }),
    property({ key: 'more', options: ['--fragmore'], type: flag(bit(FLAGS, 0x10)), arguments: 0, excludes: ['last'] }),
    property({ key: 'last', options: ['--fraglast'], type: flag(bit(FLAGS, 0x20)), arguments: 0 }),
  ],
})
