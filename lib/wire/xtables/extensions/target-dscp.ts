// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { integer, property, spelling } from '../property.js'

/** `-j DSCP` (xt_DSCP_info, include/uapi/linux/netfilter/xt_DSCP.h). Only in the mangle table. */
export interface DscpTarget {
  /** The code point of RFC 2474, 0 to 63. */
  dscp: number
}

declare module '../extension.js' {
  interface Targets { DSCP: DscpTarget }
}

/** The classes of RFC 2474 (CS), 2597 (AF) and 3246 (EF), in the order in which a beginning is looked for. */
const CLASSES: readonly (readonly [string, number])[] = [
  ...Array.from({ length: 8 }, (_, i) => [`CS${i}`, i << 3] as const), ['BE', 0],
  ...[1, 2, 3, 4].flatMap((group) => [1, 2, 3].map((drop) => [`AF${group}${drop}`, (group << 3) | (drop << 1)] as const)), ['EF', 0x2e],
]

registerExtension({
  kind: 'target', name: 'DSCP', revision: 0, size: 1, tables: ['mangle'], oneOf: ['dscp'],
  properties: [
    property({ key: 'dscp', options: ['--set-dscp'], type: integer({ offset: 0, width: 1, max: 63 }, 'hex2') }),
    property({
      key: 'dscp', options: ['--set-dscp-class'], alias: true,
      type: spelling((p, text, option) => {
        const found = CLASSES.find(([name]) => text.toUpperCase().startsWith(name))
        if (found === undefined) throw new RuleError(`${option}: expected one of ${CLASSES.map(([name]) => name).join(', ')}, got "${text}"`)
        p.setU8(0, found[1])
      }),
    }),
  ],
})
