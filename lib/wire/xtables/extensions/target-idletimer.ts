// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, fixedString, flag, integer, property } from '../property.js'

/**
 * `-j IDLETIMER` (idletimer_tg_info_v1, kernel 5.7 and newer, or idletimer_tg_info, include/uapi/linux/netfilter/xt_IDLETIMER.h):
 * tells user space by a sysfs attribute when no packet has come for a while.
 */
export interface IdletimerTarget {
  /** Seconds, 1 and more; the kernel refuses 0. */
  timeout: number
  /** 1 to 27 bytes: the name of the timer and of its attribute. */
  label: string
  /** Wake the machine (revision 1). */
  alarm?: boolean
  /** Android's: the kernel takes no notice (revision 1). */
  sendNetlinkMessage?: boolean
}

declare module '../extension.js' {
  interface Targets { IDLETIMER: IdletimerTarget }
}

for (const revision of [1, 0]) {
  registerExtension({
    kind: 'target', name: 'IDLETIMER', revision, size: revision === 1 ? 48 : 40, userSize: revision === 1 ? 40 : 32,
    properties: [
      property({ key: 'timeout', options: ['--timeout'], type: integer({ offset: 0, width: 4 }), mandatory: true }),
      property({ key: 'label', options: ['--label'], type: fixedString(4, 28, { quote: false, truncate: true }), mandatory: true }),
      ...(revision === 0 ? [] : [
        property({ key: 'alarm', options: ['--alarm'], type: flag(bit(33, 1)), arguments: 0 }),
        property({ key: 'sendNetlinkMessage', options: ['--send_nl_msg'], type: flag(bit(32, 1)), arguments: 0 }),
      ]),
    ],
  })
}
