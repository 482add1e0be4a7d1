// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { steps } from '../steps.js'

/** `-j TTL` (ipt_TTL_info, include/uapi/linux/netfilter_ipv4/ipt_TTL.h): exactly one of the properties. Only in the mangle table. */
export interface TtlTarget {
  /** The new value, 0 to 255. */
  set?: number
  /** How much less, 1 to 255. */
  decrement?: number
  /** How much more, 1 to 255. */
  increment?: number
}

declare module '../extension.js' {
  interface Targets { TTL: TtlTarget }
}

registerExtension({
  kind: 'target', name: 'TTL', revision: 0, family: 'ipv4', size: 2, tables: ['mangle'], oneOf: ['set', 'decrement', 'increment'],
  recognises: (p) => p.u8(0) <= 2,
  properties: steps('--ttl'),
})
