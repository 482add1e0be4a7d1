// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, type Not, property, range } from '../property.js'

/**
 * `-m tcpmss` (xt_tcpmss_match_info, include/uapi/linux/netfilter/xt_tcpmss.h): the maximum segment size that a SYN announces. Needs
 * the protocol tcp.
 */
export interface TcpmssMatch {
  /** Bytes, from one to another, both included: 0 to 65535. */
  mss: [from: number, to: number] | Not<[from: number, to: number]>
}

declare module '../extension.js' {
  interface Matches { tcpmss: TcpmssMatch }
}

registerExtension({
  kind: 'match', name: 'tcpmss', revision: 0, size: 6, protocols: [6],
  properties: [
    property({ key: 'mss', options: ['--mss'], type: range({ offset: 0, width: 2 }, { offset: 2, width: 2 }), invert: bit(4, 1), mandatory: true }),
  ],
})
