// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, integer, type Not, property } from '../property.js'

/** `-m cpu` (xt_cpu_info, include/uapi/linux/netfilter/xt_cpu.h): the processor that handles the packet. */
export interface CpuMatch {
  /** From 0 on, up to 4294967295. */
  cpu: number | Not<number>
}

declare module '../extension.js' {
  interface Matches { cpu: CpuMatch }
}

registerExtension({
  kind: 'match', name: 'cpu', revision: 0, size: 8,
  properties: [property({ key: 'cpu', options: ['--cpu'], type: integer({ offset: 0, width: 4 }), invert: bit(4, 1, 4), mandatory: true })],
})
