// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { fixedString, property } from '../property.js'

/**
 * `-j SECMARK` (xt_secmark_target_info_v1, kernel 5.13 and newer, or xt_secmark_target_info,
 * include/uapi/linux/netfilter/xt_SECMARK.h). Only in the mangle and security tables.
 */
export interface SecmarkTarget {
  /** An SELinux context of at most 255 bytes that the kernel's policy knows. */
  context: string
}

declare module '../extension.js' {
  interface Targets { SECMARK: SecmarkTarget }
}

const SECMARK_MODE_SEL = 1

for (const revision of [1, 0]) {
  registerExtension({
    // Revision 0 has the number that the kernel fills in before the context.
    kind: 'target', name: 'SECMARK', revision, size: 264, ...(revision === 1 ? { userSize: 260 } : {}), tables: ['mangle', 'security'],
    init: (p) => p.setU8(0, SECMARK_MODE_SEL),
    recognises: (p) => p.u8(0) === SECMARK_MODE_SEL,
    properties: [property({
      key: 'context', options: ['--selctx'], type: fixedString(revision === 1 ? 1 : 8, 256, { quote: false, truncate: true }), mandatory: true,
    })],
  })
}
