// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { steps } from '../steps.js'

/** `-j HL` (ip6t_HL_info, include/uapi/linux/netfilter_ipv6/ip6t_HL.h): exactly one of the properties. Only in the mangle table. */
export interface HlTarget {
  /** The new value, 0 to 255. */
  set?: number
  /** How much less, 1 to 255. */
  decrement?: number
  /** How much more, 1 to 255. */
  increment?: number
}

declare module '../extension.js' {
  interface Targets { HL: HlTarget }
}

registerExtension({
  kind: 'target', name: 'HL', revision: 0, family: 'ipv6', size: 2, tables: ['mangle'], oneOf: ['set', 'decrement', 'increment'],
  recognises: (p) => p.u8(0) <= 2,
  properties: steps('--hl'),
})
