// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, flag, integer, property } from '../property.js'

/**
 * `-j SYNPROXY` (nf_synproxy_info, include/uapi/linux/netfilter/nf_synproxy.h), kernel 3.12 and newer: answers SYN packets itself
 * with the options that the server has. Needs the protocol tcp; only in INPUT and FORWARD.
 */
export interface SynproxyTarget {
  sackPermitted?: boolean
  timestamp?: boolean
  /** Window scale, 0 to 255 (the protocol knows up to 14). */
  windowScale?: number
  /** Maximum segment size in bytes, 0 to 65535. */
  mss?: number
  ecn?: boolean
}

declare module '../extension.js' {
  interface Targets { SYNPROXY: SynproxyTarget }
}

registerExtension({
  kind: 'target', name: 'SYNPROXY', revision: 0, size: 4, protocols: [6], hooks: ['INPUT', 'FORWARD'],
  properties: [
    property({ key: 'sackPermitted', options: ['--sack-perm'], type: flag(bit(0, 4)), arguments: 0 }),
    property({ key: 'timestamp', options: ['--timestamp'], type: flag(bit(0, 8)), arguments: 0 }),
    property({ key: 'windowScale', options: ['--wscale'], type: integer({ offset: 1, width: 1 }), present: bit(0, 2) }),
    property({ key: 'mss', options: ['--mss'], type: integer({ offset: 2, width: 2 }), present: bit(0, 1) }),
    property({ key: 'ecn', options: ['--ecn'], type: flag(bit(0, 0x10)), arguments: 0 }),
  ],
})
