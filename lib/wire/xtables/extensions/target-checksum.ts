// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, flag, property } from '../property.js'

/** `-j CHECKSUM` (xt_CHECKSUM_info, include/uapi/linux/netfilter/xt_CHECKSUM.h). Only in the mangle table. */
export interface ChecksumTarget {
  /** Compute the checksum that was left to the device. */
  fill: true
}

declare module '../extension.js' {
  interface Targets { CHECKSUM: ChecksumTarget }
}

registerExtension({
  kind: 'target', name: 'CHECKSUM', revision: 0, size: 1, tables: ['mangle'],
  properties: [property({ key: 'fill', options: ['--checksum-fill'], type: flag(bit(0, 1)), arguments: 0, mandatory: true })],
})
