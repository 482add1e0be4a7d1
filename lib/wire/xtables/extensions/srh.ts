// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { maskLength } from '../fixed.js'
import { hostMask } from '../host-mask.js'
import { type Payload, RuleError } from '../payload.js'
import { bit, integer, type Not, type Property, property, type PropertyType } from '../property.js'

/**
 * `-m srh` (ip6t_srh1, Linux 4.16, include/uapi/linux/netfilter_ipv6/ip6t_srh.h): the segment routing header of IPv6 (RFC 8754).
 * Equals, Above and Below of the same field share one number: of several given, all must say the same.
 */
export interface SrhMatch {
  /** Numbers from 0 to 255. */
  nextHeader?: number | Not<number>
  headerLengthEquals?: number | Not<number>
  headerLengthAbove?: number | Not<number>
  headerLengthBelow?: number | Not<number>
  segmentsLeftEquals?: number | Not<number>
  segmentsLeftAbove?: number | Not<number>
  segmentsLeftBelow?: number | Not<number>
  lastEntryEquals?: number | Not<number>
  lastEntryAbove?: number | Not<number>
  lastEntryBelow?: number | Not<number>
  /** 0 to 65535, as it is in the packet's bytes when they are read in the machine's order: 256 is tag 1 on a little-endian machine. */
  tag?: number | Not<number>
  /** Segment before the active one: an address with a prefix length or mask. Revision 1. */
  previousSegment?: string | Not<string>
  /** Segment after the active one. Revision 1. */
  nextSegment?: string | Not<string>
  /** Last segment of the path. Revision 1. */
  lastSegment?: string | Not<string>
}

declare module '../extension.js' {
  interface Matches { srh: SrhMatch }
}

/** IP6T_SRH_*: the first eleven bits are in both revisions. The fields that a number is in, in the order of the bits. */
const NUMBERS: readonly (readonly [key: string, option: string, offset: number])[] = [
  ['nextHeader', '--srh-next-hdr', 0],
  ['headerLengthEquals', '--srh-hdr-len-eq', 1], ['headerLengthAbove', '--srh-hdr-len-gt', 1], ['headerLengthBelow', '--srh-hdr-len-lt', 1],
  ['segmentsLeftEquals', '--srh-segs-left-eq', 2], ['segmentsLeftAbove', '--srh-segs-left-gt', 2], ['segmentsLeftBelow', '--srh-segs-left-lt', 2],
  ['lastEntryEquals', '--srh-last-entry-eq', 3], ['lastEntryAbove', '--srh-last-entry-gt', 3], ['lastEntryBelow', '--srh-last-entry-lt', 3],
]
const SEGMENTS: readonly (readonly [key: string, option: string])[] = [
  ['previousSegment', '--srh-psid'], ['nextSegment', '--srh-nsid'], ['lastSegment', '--srh-lsid'],
]

/** A number of one byte; the options of `mask` have the same place. */
function shared(offset: number, mask: number, flags: number): PropertyType<number> {
  const type = integer({ offset, width: 1 })
  const once = (p: Payload, write: () => void, fail: (value: number) => Error) => {
    const before = (p.u16(flags) & mask) !== 0 ? p.u8(offset) : undefined
    write()
    if (before !== undefined && before !== p.u8(offset)) throw fail(before)
  }
  return {
    ...type,
    encode: (p, value, name, ctx) => once(p, () => type.encode(p, value, name, ctx), (before) => outOfRange(name, `${before} as beside it: there is room for one`, value)),
    parse: (p, text, option, ctx) => once(p, () => type.parse(p, text, option, ctx), (before) => new RuleError(`${option}: expected ${before} as before: there is room for one, got "${text}"`)),
  }
}

function properties(revision: 0 | 1): Property[] {
  const flags = revision === 0 ? 6 : 104
  const one = <T>(key: string, option: string, index: number, type: PropertyType<T>) =>
    property({ key, options: [option], type, present: bit(flags, 1 << index, 2), invert: bit(flags + 2, 1 << index, 2) })
  const mask = (offset: number) => NUMBERS.reduce((bits, row, i) => (row[2] === offset ? bits | (1 << i) : bits), 0)
  const segment = (index: number): PropertyType<string> => {
    const maskAt = 56 + 16 * index
    const type = hostMask(8 + 16 * index, maskAt)
    return {
      ...type,
      print: (p, ctx) => (maskLength(p.slice(maskAt, 16)) === 128 ? `${type.print(p, ctx)}/128` : type.print(p, ctx)),
    }
  }
  return [
    ...NUMBERS.map(([key, option, offset], i) => one(key, option, i, shared(offset, mask(offset), flags))),
    one('tag', '--srh-tag', NUMBERS.length, integer({ offset: 4, width: 2 })),
    ...(revision === 0 ? [] : SEGMENTS.map(([key, option], i) => one(key, option, NUMBERS.length + 1 + i, segment(i)))),
  ]
}

for (const revision of [1, 0] as const) {
  registerExtension({ kind: 'match', name: 'srh', family: 'ipv6', revision, size: revision === 0 ? 10 : 108, properties: properties(revision) })
}
