// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, type Not, property, range } from '../property.js'

/** `-m length` (xt_length_info, include/uapi/linux/netfilter/xt_length.h). */
export interface LengthMatch {
  /** Bytes of the packet with its IP header, from one to another, both included: 0 to 65535. */
  length: [from: number, to: number] | Not<[from: number, to: number]>
}

declare module '../extension.js' {
  interface Matches { length: LengthMatch }
}

registerExtension({
  kind: 'match', name: 'length', revision: 0, size: 6,
  properties: [
    property({
      key: 'length', options: ['--length'], type: range({ offset: 0, width: 2 }, { offset: 2, width: 2 }), invert: bit(4, 1), mandatory: true,
    }),
  ],
})
