// SPDX-License-Identifier: MIT
// A set of ipset as the match set and the target SET name it.

import { invalidArgument, outOfRange } from '../../errors.js'
import { type Payload, type RuleContext, RuleError } from './payload.js'
import { type PropertyType, requireInteger } from './property.js'

/** A set of ipset and which of the packet's addresses or ports its parts are, in the order of the set's dimensions, 1 to 6. */
export interface SetReference {
  /** Name, at most 31 bytes; the kernel's number of the set where the name is not known. */
  set: string | number
  directions: ('src' | 'dst')[]
}

/** What the resolver is asked for the numbers of sets. */
const SETS = 'ipset'
/** IPSET_INVALID_ID: no set. */
export const NO_SET = 0xffff
const DIMENSIONS = 6

/** struct xt_set_info at `at`: number, dimensions, a bit for each that is the source; the bits around those are not its own. */
export function setReference(at: number): PropertyType<SetReference> {
  const directions = (p: Payload) => Array.from({ length: Math.min(p.u8(at + 2), DIMENSIONS) }, (_, i) => ((p.u8(at + 3) >> (i + 1)) & 1) !== 0 ? 'src' as const : 'dst' as const)
  const put = (p: Payload, number: number, list: readonly ('src' | 'dst')[]) => {
    p.setU16(at, number)
    p.setU8(at + 2, list.length)
    p.setU8(at + 3, list.reduce((bits, one, i) => (one === 'src' ? bits | (2 << i) : bits), p.u8(at + 3)))
  }
  const nameOf = (p: Payload, ctx: RuleContext) => ctx.resolver.lookupName(SETS, p.u16(at)) ?? p.u16(at)
  return {
    decode: (p, ctx) => (p.u16(at) === NO_SET ? undefined : { set: nameOf(p, ctx), directions: directions(p) }),
    encode(p, value, name, ctx) {
      if (typeof value !== 'object' || value === null || !Array.isArray(value.directions)) throw invalidArgument(name, 'an object with set and directions', value)
      const { set, directions: list } = value
      if (list.length < 1 || list.length > DIMENSIONS || list.some((one) => one !== 'src' && one !== 'dst')) throw outOfRange(`${name}.directions`, `1 to ${DIMENSIONS} of src and dst`, list)
      if (typeof set === 'number') requireInteger(set, `${name}.set`, 0, NO_SET - 1)
      else if (typeof set !== 'string') throw invalidArgument(`${name}.set`, 'the name or number of a set', set)
      const number = typeof set === 'number' ? set : ctx.resolver.lookup(SETS, set)
      if (number === undefined) throw outOfRange(`${name}.set`, `a set that there is for ${ctx.family}`, set)
      put(p, number, list)
    },
    parse(p, text, option, ctx) {
      const [set, list] = text.split(' ') as [string, string]
      if (list.startsWith('-') || list.startsWith('!')) throw new RuleError(`${option}: expected a set and a list of src and dst, got "${text}"`)
      if (new TextEncoder().encode(set).length > 31) throw new RuleError(`${option}: a name of a set has at most 31 bytes, got "${set}"`)
      const parts = list.split(',').map((part) => (part.startsWith('src') ? 'src' as const : part.startsWith('dst') ? 'dst' as const : undefined))
      if (parts.length > DIMENSIONS || parts.includes(undefined)) throw new RuleError(`${option}: expected 1 to ${DIMENSIONS} of src and dst, got "${list}"`)
      const number = ctx.resolver.lookup(SETS, set)
      if (number === undefined) throw new RuleError(`${option}: there is no set "${set}" for ${ctx.family}`)
      put(p, number, parts as ('src' | 'dst')[])
    },
    print: (p, ctx) => (p.u16(at) === NO_SET ? undefined : `${nameOf(p, ctx)} ${directions(p).join(',')}`),
  }
}
