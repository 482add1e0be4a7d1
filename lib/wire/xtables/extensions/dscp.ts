// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { bit, integer, type Not, property, type PropertyType, spelling } from '../property.js'

/** Names of code points (RFC 2474, RFC 2597, RFC 3246), as iptables compares them. */
const CLASSES = {
  CS0: 0x00, CS1: 0x08, CS2: 0x10, CS3: 0x18, CS4: 0x20, CS5: 0x28, CS6: 0x30, CS7: 0x38, BE: 0x00, AF11: 0x0a, AF12: 0x0c, AF13: 0x0e, AF21: 0x12,
  AF22: 0x14, AF23: 0x16, AF31: 0x1a, AF32: 0x1c, AF33: 0x1e, AF41: 0x22, AF42: 0x24, AF43: 0x26, EF: 0x2e,
} as const
export type DscpClass = keyof typeof CLASSES

/** `-m dscp` (xt_dscp_info, include/uapi/linux/netfilter/xt_dscp.h): the upper six bits of the TOS or traffic class. */
export interface DscpMatch {
  /** 0 to 63, or a name; read as a number. */
  dscp: number | DscpClass | Not<number | DscpClass>
}

declare module '../extension.js' {
  interface Matches { dscp: DscpMatch }
}

/** The code point of a class. What follows the name does not count, nor does the case. */
export function parseDscpClass(text: string, option: string): number {
  const name = (Object.keys(CLASSES) as DscpClass[]).find((one) => text.toUpperCase().startsWith(one))
  if (name === undefined) throw new RuleError(`${option}: expected one of ${Object.keys(CLASSES).join(', ')}, got "${text}"`)
  return CLASSES[name]
}

/** A code point in one byte, by number or name. */
export function dscpType(offset: number): PropertyType<number | DscpClass> {
  const number = integer({ offset, width: 1, max: 63 }, 'hex2')
  return {
    ...number,
    encode(p, value, name, ctx) {
      if (typeof value !== 'string') return number.encode(p, value, name, ctx)
      if (!Object.hasOwn(CLASSES, value)) throw outOfRange(name, `a number from 0 to 63 or one of ${Object.keys(CLASSES).join(', ')}`, value)
      p.setU8(offset, CLASSES[value])
    },
  }
}

registerExtension({
  kind: 'match', name: 'dscp', revision: 0, size: 2,
  properties: [
    property({ key: 'dscp', options: ['--dscp'], type: dscpType(0), invert: bit(1, 1), mandatory: true }),
    property({
      key: 'dscp', options: ['--dscp-class'], alias: true, invert: bit(1, 1),
      type: spelling((p, text, option) => p.setU8(0, parseDscpClass(text, option))),
    }),
  ],
})
