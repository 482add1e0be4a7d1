// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, type Masked, masked, type Not, property } from '../property.js'

/** `-m connmark` (xt_connmark_mtinfo1, include/uapi/linux/netfilter/xt_connmark.h): the mark of the connection. */
export interface ConnmarkMatch {
  /** A number from 0 to 4294967295, or with a mask of the bits that count. */
  mark: Masked | Not<Masked>
}

declare module '../extension.js' {
  interface Matches { connmark: ConnmarkMatch }
}

registerExtension({
  kind: 'match', name: 'connmark', revision: 1, size: 12,
  properties: [
    property({
      key: 'mark', options: ['--mark'], type: masked({ offset: 0, width: 4 }, { offset: 4, width: 4 }), invert: bit(8, 1), mandatory: true,
    }),
  ],
})
