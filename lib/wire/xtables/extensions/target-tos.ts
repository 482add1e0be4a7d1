// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bitwise, type MarkPlace, withMask } from '../marks.js'
import { RuleError } from '../payload.js'
import { type Masked, property, type PropertyType } from '../property.js'

/** `-j TOS` revision 1 (xt_tos_target_info, include/uapi/linux/netfilter/xt_DSCP.h). Only in the mangle table. */
export interface TosTarget {
  /** The type of service (traffic class for IPv6), 0 to 255; with a mask its bits are cleared first and the value is exclusive-ored. */
  tos: Masked
}

declare module '../extension.js' {
  interface Targets { TOS: TosTarget }
}

/** The names of RFC 1349, which leave the two ECN bits alone: mask 0x3f. */
const NAMES: Readonly<Record<string, number>> = {
  'minimize-delay': 0x10, 'maximize-throughput': 0x08, 'maximize-reliability': 0x04, 'minimize-cost': 0x02, 'normal-service': 0x00,
}
const PLACE: MarkPlace = { value: { offset: 0, width: 1 }, mask: { offset: 1, width: 1 } }

const number = withMask(PLACE, 'hex2')
const tos: PropertyType<Masked> = {
  ...number,
  parse(p, text, option, ctx) {
    const named = Object.hasOwn(NAMES, text.toLowerCase()) ? NAMES[text.toLowerCase()] : undefined
    if (named !== undefined) {
      p.setU8(0, named)
      p.setU8(1, 0x3f)
    } else if (/^\s*\+?\d/.test(text)) number.parse(p, text, option, ctx)
    else throw new RuleError(`${option}: expected value/mask, each 0 to 255, or one of ${Object.keys(NAMES).join(', ')}, got "${text}"`)
  },
}

registerExtension({
  kind: 'target', name: 'TOS', revision: 1, size: 2, tables: ['mangle'], oneOf: ['tos'],
  properties: [
    property({ key: 'tos', options: ['--set-tos'], type: tos }),
    property({ key: 'tos', options: ['--and-tos'], type: bitwise('and', PLACE), alias: true }),
    property({ key: 'tos', options: ['--or-tos'], type: bitwise('or', PLACE), alias: true }),
    property({ key: 'tos', options: ['--xor-tos'], type: bitwise('xor', PLACE), alias: true }),
  ],
})
