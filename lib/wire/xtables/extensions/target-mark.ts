// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bitwise, type MarkPlace, setBits, withMask } from '../marks.js'
import { type Masked, property } from '../property.js'

/** `-j MARK` revision 2 (xt_mark_tginfo2, include/uapi/linux/netfilter/xt_mark.h): changes the packet's mark. */
export interface MarkTarget {
  /** A number becomes the mark; with a mask its bits are cleared first and the value is exclusive-ored (`--set-xmark`). */
  mark: Masked
}

declare module '../extension.js' {
  interface Targets { MARK: MarkTarget }
}

const PLACE: MarkPlace = { value: { offset: 0, width: 4 }, mask: { offset: 4, width: 4 } }

registerExtension({
  kind: 'target', name: 'MARK', revision: 2, size: 8, oneOf: ['mark'],
  properties: [
    property({ key: 'mark', options: ['--set-xmark'], type: withMask(PLACE) }),
    property({ key: 'mark', options: ['--set-mark'], type: setBits(PLACE), alias: true }),
    property({ key: 'mark', options: ['--and-mark'], type: bitwise('and', PLACE), alias: true }),
    property({ key: 'mark', options: ['--or-mark'], type: bitwise('or', PLACE), alias: true }),
    property({ key: 'mark', options: ['--xor-mark'], type: bitwise('xor', PLACE), alias: true }),
  ],
})
