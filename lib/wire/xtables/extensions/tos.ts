// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import type { MarkPlace } from '../marks.js'
import { bit, type Masked, type Not, property } from '../property.js'
import { tosType } from '../tos-names.js'

/** `-m tos` revision 1 (xt_tos_match_info, include/uapi/linux/netfilter/xt_dscp.h). */
export interface TosMatch {
  /** The type of service (traffic class for IPv6), 0 to 255, or with a mask of the bits that count. */
  tos: Masked | Not<Masked>
}

declare module '../extension.js' {
  interface Matches { tos: TosMatch }
}

/** The mask comes first. */
const PLACE: MarkPlace = { value: { offset: 1, width: 1 }, mask: { offset: 0, width: 1 } }

registerExtension({
  kind: 'match', name: 'tos', revision: 1, size: 3,
  properties: [property({ key: 'tos', options: ['--tos'], type: tosType(PLACE), invert: bit(2, 1), mandatory: true })],
})
