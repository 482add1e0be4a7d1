// SPDX-License-Identifier: MIT
// The type of service as the match tos and the target TOS take it: a byte and its mask.

import { type MarkPlace, withMask } from './marks.js'
import { RuleError } from './payload.js'
import { type Masked, type PropertyType, writeInteger } from './property.js'

/** The names of RFC 1349, which leave the two ECN bits alone: mask 0x3f. */
const NAMES: Readonly<Record<string, number>> = {
  'minimize-delay': 0x10, 'maximize-throughput': 0x08, 'maximize-reliability': 0x04, 'minimize-cost': 0x02, 'normal-service': 0x00,
}

/** A number with a mask, or one of the names. */
export function tosType(place: MarkPlace): PropertyType<Masked> {
  const number = withMask(place, 'hex2')
  return {
    ...number,
    parse(p, text, option, ctx) {
      const named = Object.hasOwn(NAMES, text.toLowerCase()) ? NAMES[text.toLowerCase()] : undefined
      if (named !== undefined) {
        writeInteger(p, place.value, named)
        writeInteger(p, place.mask, 0x3f)
      } else if (/^\s*\+?\d/.test(text)) number.parse(p, text, option, ctx)
      else throw new RuleError(`${option}: expected value/mask, each 0 to 255, or one of ${Object.keys(NAMES).join(', ')}, got "${text}"`)
    },
  }
}
