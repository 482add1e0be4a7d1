// SPDX-License-Identifier: MIT

import { invalidArgument } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import type { Payload, RuleContext } from '../payload.js'
import { RuleError } from '../payload.js'
import { type Bit, bit, flag, type Not, property, type Property, type PropertyType, spelling } from '../property.js'
import { type SetReference, setReference } from '../sets.js'
import { fromBigInt, parseUnsigned64, toBigInt, type Unsigned64 } from '../types.js'

/**
 * `-m set` (xt_set_info_match_v4, Linux 3.19, down to revision 1, include/uapi/linux/netfilter/xt_set.h): the packet is in a set of
 * ipset. Of packets and of bytes only one comparison each.
 */
export interface SetMatch {
  match: SetReference | Not<SetReference>
  /** An entry that the set has as `nomatch` counts as one that matches (revision 2 and newer). */
  returnNomatch?: boolean
  /** false: leave the counters of the entry alone (this and all that follow: revision 3 and newer). */
  updateCounters?: boolean
  /** false: in a list of sets, leave those of the sets in it alone. */
  updateSubcounters?: boolean
  /** Packets that the entry has counted, 0 to 2^64 - 1. */
  packetsEqual?: Unsigned64 | Not<Unsigned64>
  packetsLess?: Unsigned64
  packetsGreater?: Unsigned64
  /** Bytes that the entry has counted, 0 to 2^64 - 1. */
  bytesEqual?: Unsigned64 | Not<Unsigned64>
  bytesLess?: Unsigned64
  bytesGreater?: Unsigned64
}

declare module '../extension.js' {
  interface Matches { set: SetMatch }
}

/** IPSET_INV_MATCH and IPSET_RETURN_NOMATCH, beside the directions. */
const inverted = bit(3, 1)
const NOMATCH = 1 << 7
/** Flags of revisions 3 and 4, and IPSET_FLAG_SKIP_COUNTER_UPDATE and SKIP_SUBCOUNTER_UPDATE of them (linux/netfilter/ipset/ip_set.h). */
const FLAGS = 40
const SKIP = { counters: 1 << 3, subcounters: 1 << 4 } as const
/** IPSET_COUNTER_*. */
const COMPARISON = { equal: 1, notEqual: 2, less: 3, greater: 4 } as const

type Counted = 'packets' | 'bytes'
/** struct ip_set_counter_match0 begins with the comparison, struct ip_set_counter_match with the number. */
const COUNTERS = {
  3: { packets: { comparison: 8, value: 16 }, bytes: { comparison: 24, value: 32 } },
  4: { packets: { comparison: 16, value: 8 }, bytes: { comparison: 32, value: 24 } },
} as const

function counters(counted: Counted, revision: 3 | 4): Property[] {
  const { comparison, value } = COUNTERS[revision][counted]
  const is = (number: number): Bit => ({ get: (p) => p.u8(comparison) === number, set: (p) => p.setU8(comparison, number) })
  // A negation has written its own before.
  const equal: Bit = {
    get: (p) => p.u8(comparison) === COMPARISON.equal || p.u8(comparison) === COMPARISON.notEqual,
    set: (p) => { if (p.u8(comparison) !== COMPARISON.notEqual) p.setU8(comparison, COMPARISON.equal) },
  }
  const type: PropertyType<Unsigned64> = {
    decode: (p) => fromBigInt(p.u64(value)),
    encode: (p, given, name) => p.setU64(value, toBigInt(given, name)),
    parse(p, text, option) {
      const number = parseUnsigned64(text)
      if (number === undefined) throw new RuleError(`${option}: expected a number from 0 to 2^64 - 1, got "${text}"`)
      p.setU64(value, number)
    },
    print: (p) => String(p.u64(value)),
  }
  return [
    property({ key: `${counted}Equal`, options: [`--${counted}-eq`], type, present: equal, invert: is(COMPARISON.notEqual), excludes: [`${counted}Less`, `${counted}Greater`] }),
    property({ key: `${counted}Less`, options: [`--${counted}-lt`], type, present: is(COMPARISON.less), excludes: [`${counted}Greater`] }),
    property({ key: `${counted}Greater`, options: [`--${counted}-gt`], type, present: is(COMPARISON.greater) }),
  ]
}

/** Only `! --update-counters` says anything; the value is false then. */
function update(key: 'updateCounters' | 'updateSubcounters', option: string, mask: number): Property {
  const skip = bit(FLAGS, mask, 4)
  const type: PropertyType<boolean> = {
    decode: (p) => (skip.get(p) ? false : undefined),
    encode(p, value, name) {
      if (typeof value !== 'boolean') throw invalidArgument(name, 'true or false', value)
      if (!value) skip.set(p)
    },
    parse: () => {},
    print: (p) => (skip.get(p) ? '' : undefined),
  }
  return property({ key, options: [option], type, invert: { get: () => false, set: skip.set }, arguments: 0, repeatable: true })
}

const reference = setReference(0)

function register(revision: 1 | 2 | 3 | 4): void {
  const nomatch = revision < 3 ? bit(3, NOMATCH) : bit(FLAGS, NOMATCH, 4)
  const nomatches = revision === 1 ? [] : [property({ key: 'returnNomatch', options: ['--return-nomatch'], type: flag(nomatch), arguments: 0, repeatable: true })]
  const later = revision < 3 ? [] : [
    update('updateCounters', '--update-counters', SKIP.counters),
    update('updateSubcounters', '--update-subcounters', SKIP.subcounters),
    ...counters('packets', revision as 3 | 4),
    ...counters('bytes', revision as 3 | 4),
  ]
  const rest = [...nomatches, ...later]
  const printed = (p: Payload, ctx: RuleContext): string => {
    let text = `${inverted.get(p) ? ' !' : ''} --match-set ${reference.print(p, ctx) ?? ''}`
    for (const { key, options, type, present, invert } of rest) {
      const argument = present?.get(p) === false ? undefined : type.print(p, ctx)
      if (argument === undefined) continue
      const negated = key.startsWith('update') || invert?.get(p) === true
      text += `${negated ? ' !' : ''} ${options[0]!}${argument === '' ? '' : ` ${argument}`}`
    }
    return text
  }
  registerExtension({
    kind: 'match', name: 'set', revision, size: revision < 3 ? 4 : 48, print: printed,
    properties: [
      property({ key: 'match', options: ['--match-set'], type: reference, arguments: 2, invert: inverted, mandatory: true }),
      // Its old name.
      property({ key: 'match', options: ['--set'], alias: true, arguments: 2, invert: inverted, type: spelling(reference.parse) }),
      ...rest,
    ],
  })
}

register(4)
register(3)
register(2)
register(1)
