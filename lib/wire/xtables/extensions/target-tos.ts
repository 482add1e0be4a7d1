// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bitwise, type MarkPlace } from '../marks.js'
import { type Masked, property } from '../property.js'
import { tosType } from '../tos-names.js'

/** `-j TOS` revision 1 (xt_tos_target_info, include/uapi/linux/netfilter/xt_DSCP.h). Only in the mangle table. */
export interface TosTarget {
  /** The type of service (traffic class for IPv6), 0 to 255; with a mask its bits are cleared first and the value is exclusive-ored. */
  tos: Masked
}

declare module '../extension.js' {
  interface Targets { TOS: TosTarget }
}

const PLACE: MarkPlace = { value: { offset: 0, width: 1 }, mask: { offset: 1, width: 1 } }

registerExtension({
  kind: 'target', name: 'TOS', revision: 1, size: 2, tables: ['mangle'], oneOf: ['tos'],
  properties: [
    property({ key: 'tos', options: ['--set-tos'], type: tosType(PLACE) }),
    property({ key: 'tos', options: ['--and-tos'], type: bitwise('and', PLACE), alias: true }),
    property({ key: 'tos', options: ['--or-tos'], type: bitwise('or', PLACE), alias: true }),
    property({ key: 'tos', options: ['--xor-tos'], type: bitwise('xor', PLACE), alias: true }),
  ],
})
