// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, type Not, property } from '../property.js'
import { type SpiRange, spis } from './ah.js'

/** `-m esp` (xt_esp, include/uapi/linux/netfilter/xt_esp.h). Needs the protocol esp. */
export interface EspMatch {
  /** From 0 to 4294967295. */
  spi?: SpiRange | Not<SpiRange>
}

declare module '../extension.js' {
  interface Matches { esp: EspMatch }
}

registerExtension({
  kind: 'match', name: 'esp', revision: 0, size: 12, protocols: [50],
  init: (p) => p.setU32(4, 0xffffffff),
  properties: [property({ key: 'spi', options: ['--espspi'], type: spis(bit(8, 1)), invert: bit(8, 1) })],
})
