// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, flag, nonZero, type Not, property, range } from '../property.js'
import type { SpiRange } from './ah.js'

/** `-m ipcomp` (xt_ipcomp, include/uapi/linux/netfilter/xt_ipcomp.h; RFC 3173). Needs the protocol ipcomp. */
export interface IpcompMatch {
  /** Compression parameter indices from 0 to 4294967295; [0, 0] unless told. */
  spi?: SpiRange | Not<SpiRange>
  /** Kept by kernels, which do not look at it. */
  reserved?: boolean
}

declare module '../extension.js' {
  interface Matches { ipcomp: IpcompMatch }
}

registerExtension({
  kind: 'match', name: 'ipcomp', revision: 0, size: 12, protocols: [108],
  properties: [
    // iptables prints nothing for all indices, and reads nothing as index 0; here they are printed.
    property({ key: 'spi', options: ['--ipcompspi'], type: range({ offset: 0, width: 4 }, { offset: 4, width: 4 }), invert: bit(8, 1) }),
    property({ key: 'reserved', options: ['--compres'], type: flag(nonZero(9)), arguments: 0 }),
  ],
})
