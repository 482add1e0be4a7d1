// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { comparisons, LAST_MODE } from '../hop-limits.js'
import type { Not } from '../property.js'

/** `-m ttl` (ipt_ttl_info, include/uapi/linux/netfilter_ipv4/ipt_ttl.h): exactly one of the properties, each 0 to 255. */
export interface TtlMatch {
  equal?: number | Not<number>
  /** The packet's is below this. */
  less?: number
  /** The packet's is above this. */
  greater?: number
}

declare module '../extension.js' {
  interface Matches { ttl: TtlMatch }
}

registerExtension({
  kind: 'match', name: 'ttl', revision: 0, family: 'ipv4', size: 2, oneOf: ['equal', 'less', 'greater'],
  recognises: (p) => p.u8(0) <= LAST_MODE,
  properties: comparisons('--ttl'),
})
