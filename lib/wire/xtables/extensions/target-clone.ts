// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { integer, property } from '../property.js'

/**
 * `-j CLONE` revision 0 (xt_clone_info, kmod/uapi/xt_CLONE.h), the target of the bundled kernel module: a copy of the packet gets
 * the mark and is routed by it, while the packet itself goes on. Not a verdict.
 */
export interface CloneTarget {
  /** The mark of the copies, 0 to 0xffffffff, by which policy rules route them to the mirror port. */
  mark: number
}

declare module '../extension.js' {
  interface Targets { CLONE: CloneTarget }
}

registerExtension({
  kind: 'target', name: 'CLONE', revision: 0, size: 4,
  properties: [property({ key: 'mark', options: ['--mark'], type: integer({ offset: 0, width: 4 }, 'hex'), mandatory: true })],
})
