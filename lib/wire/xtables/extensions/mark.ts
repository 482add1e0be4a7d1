// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, type Masked, masked, type Not, property } from '../property.js'

/** `-m mark` (xt_mark_mtinfo1, include/uapi/linux/netfilter/xt_mark.h): the mark of the packet (fwmark). */
export interface MarkMatch {
  /** A number from 0 to 4294967295, or with a mask of the bits that count. */
  mark: Masked | Not<Masked>
}

declare module '../extension.js' {
  interface Matches { mark: MarkMatch }
}

registerExtension({
  kind: 'match', name: 'mark', revision: 1, size: 12,
  properties: [
    property({
      key: 'mark', options: ['--mark'], type: masked({ offset: 0, width: 4 }, { offset: 4, width: 4 }), invert: bit(8, 1), mandatory: true,
    }),
  ],
})
