// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { comparisons, LAST_MODE } from '../hop-limits.js'
import type { Not } from '../property.js'

/** `-m hl` (ip6t_hl_info, include/uapi/linux/netfilter_ipv6/ip6t_hl.h), the hop limit: exactly one of the properties, each 0 to 255. */
export interface HlMatch {
  equal?: number | Not<number>
  /** The packet's is below this. */
  less?: number
  /** The packet's is above this. */
  greater?: number
}

declare module '../extension.js' {
  interface Matches { hl: HlMatch }
}

registerExtension({
  kind: 'match', name: 'hl', revision: 0, family: 'ipv6', size: 2, oneOf: ['equal', 'less', 'greater'],
  recognises: (p) => p.u8(0) <= LAST_MODE,
  properties: comparisons('--hl'),
})
