// SPDX-License-Identifier: MIT
// A value with a mask that a target writes into a packet: MARK, CONNMARK and TOS. "Clear the bits of the mask, then exclusive-or
// the value" is what the structs hold; the other operations are spellings of it.

import { RuleError } from './payload.js'
import {
  formatNumber, type IntegerPlace, type Masked, masked, type NumberFormat, type PropertyType, readInteger, requireUnsigned, spelling, writeInteger,
} from './property.js'

/** Where value and mask are. */
export interface MarkPlace {
  readonly value: IntegerPlace
  readonly mask: IntegerPlace
}

const allOnes = ({ value }: MarkPlace) => 2 ** (8 * value.width) - 1

/** As `masked`, but printed with its mask always. */
export function withMask(place: MarkPlace, format: NumberFormat = 'hex'): PropertyType<Masked> {
  return {
    ...masked(place.value, place.mask, format),
    print: (p) => `${formatNumber(readInteger(p, place.value), format)}/${formatNumber(readInteger(p, place.mask), format)}`,
  }
}

/** `value[/mask]` where the value's bits count as part of the mask: set these bits, clear those. */
export function setBits(place: MarkPlace): PropertyType<never> {
  const { parse } = masked(place.value, place.mask)
  return spelling((p, text, option, ctx) => {
    parse(p, text, option, ctx)
    writeInteger(p, place.mask, (readInteger(p, place.value) | readInteger(p, place.mask)) >>> 0)
  })
}

/** One operation with the old value. */
export function bitwise(operation: 'and' | 'or' | 'xor', place: MarkPlace): PropertyType<never> {
  return spelling((p, text, option) => {
    const bits = requireUnsigned(text, option, 0, allOnes(place))
    writeInteger(p, place.value, operation === 'and' ? 0 : bits)
    writeInteger(p, place.mask, operation === 'and' ? allOnes(place) - bits : operation === 'or' ? bits : 0)
  })
}

/** An option whose value is one of several names or their beginnings, in any case of letters. */
export function namePrefix(names: readonly (readonly [name: string, number: number])[], text: string, option: string): number {
  const found = names.find(([name]) => name.startsWith(text.toLowerCase()))
  if (found === undefined) throw new RuleError(`${option}: expected one of ${names.map(([name]) => name).join(', ')}, got "${text}"`)
  return found[1]
}
