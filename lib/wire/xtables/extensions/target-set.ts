// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { type Extension, registerExtension } from '../extension.js'
import { type Payload, type RuleContext, RuleError } from '../payload.js'
import { bit, flag, integer, property, type Property, type PropertyType, requireInteger } from '../property.js'

/** A set of ipset and which of the packet's addresses or ports its parts are, in the order of the set's dimensions, 1 to 6. */
export interface SetReference {
  /** Name, at most 31 bytes; the kernel's number of the set where the name is not known. */
  set: string | number
  directions: ('src' | 'dst')[]
}

/**
 * `-j SET` (xt_set_info_target_v3, kernel 3.18 and newer, down to revision 1, include/uapi/linux/netfilter/xt_set.h): changes sets
 * of ipset by the packet, or the packet by a set. At least one of `add`, `delete` and `map`.
 */
export interface SetTarget {
  add?: SetReference
  /** Give an entry that is there its full time again; with `add` (revision 2 and newer). */
  exist?: boolean
  /** Seconds for the entry, 0 to 4294967294; with `add` (revision 2 and newer). */
  timeout?: number
  delete?: SetReference
  /** Take over what the set's entry says of: at least one of the next three (revision 3). */
  map?: SetReference
  mapMark?: boolean
  mapPriority?: boolean
  mapQueue?: boolean
}

declare module '../extension.js' {
  interface Targets { SET: SetTarget }
}

/** What the resolver is asked for the numbers of sets. */
const SETS = 'ipset'
const NO_SET = 0xffff
const DIMENSIONS = 6
const NO_TIMEOUT = 0xffffffff

/** struct xt_set_info at `at`: number, dimensions, a bit for each that is the source. */
function reference(at: number): PropertyType<SetReference> {
  const directions = (p: Payload) => Array.from({ length: Math.min(p.u8(at + 2), DIMENSIONS) }, (_, i) => ((p.u8(at + 3) >> (i + 1)) & 1) !== 0 ? 'src' as const : 'dst' as const)
  const put = (p: Payload, number: number, list: readonly ('src' | 'dst')[]) => {
    p.setU16(at, number)
    p.setU8(at + 2, list.length)
    p.setU8(at + 3, list.reduce((bits, one, i) => (one === 'src' ? bits | (2 << i) : bits), 0))
  }
  const nameOf = (p: Payload, ctx: RuleContext) => ctx.resolver.lookupName(SETS, p.u16(at)) ?? p.u16(at)
  return {
    decode: (p, ctx) => (p.u16(at) === NO_SET ? undefined : { set: nameOf(p, ctx), directions: directions(p) }),
    encode(p, value, name, ctx) {
      if (typeof value !== 'object' || value === null || !Array.isArray(value.directions)) throw invalidArgument(name, 'an object with set and directions', value)
      const { set, directions: list } = value
      if (list.length < 1 || list.length > DIMENSIONS || list.some((one) => one !== 'src' && one !== 'dst')) throw outOfRange(`${name}.directions`, `1 to ${DIMENSIONS} of src and dst`, list)
      if (typeof set === 'number') requireInteger(set, `${name}.set`, 0, NO_SET - 1)
      const number = typeof set === 'number' ? set : ctx.resolver.lookup(SETS, set)
      if (number === undefined) throw outOfRange(`${name}.set`, 'a set that there is', set)
      put(p, number, list)
    },
    parse(p, text, option, ctx) {
      const [set, list] = text.split(' ') as [string, string]
      if (list.startsWith('-') || list.startsWith('!')) throw new RuleError(`${option}: expected a set and a list of src and dst, got "${text}"`)
      if (new TextEncoder().encode(set).length > 31) throw new RuleError(`${option}: a name of a set has at most 31 bytes, got "${set}"`)
      const parts = list.split(',').map((part) => (part.startsWith('src') ? 'src' as const : part.startsWith('dst') ? 'dst' as const : undefined))
      if (parts.length > DIMENSIONS || parts.includes(undefined)) throw new RuleError(`${option}: expected 1 to ${DIMENSIONS} of src and dst, got "${list}"`)
      const number = ctx.resolver.lookup(SETS, set)
      if (number === undefined) throw new RuleError(`${option}: there is no set "${set}"`)
      put(p, number, parts as ('src' | 'dst')[])
    },
    print: (p, ctx) => (p.u16(at) === NO_SET ? undefined : `${nameOf(p, ctx)} ${directions(p).join(',')}`),
  }
}

/** IPSET_FLAG_EXIST, IPSET_FLAG_MAP_SKBMARK, SKBPRIO and SKBQUEUE (include/uapi/linux/netfilter/ipset/ip_set.h). */
const FLAG = { exist: 1 << 0, mapMark: 1 << 8, mapPriority: 1 << 9, mapQueue: 1 << 10 } as const

function register(revision: 1 | 2 | 3): void {
  const flags = revision === 3 ? 12 : 8
  const timeout = flags + 4
  const numbered = integer({ offset: timeout, width: 4, max: NO_TIMEOUT - 1 })
  const later: Property[] = revision === 1 ? [] : [
    property({ key: 'exist', options: ['--exist'], type: flag(bit(flags, FLAG.exist, 4)), arguments: 0, requires: ['add'] }),
    property<number>({
      key: 'timeout', options: ['--timeout'], requires: ['add'],
      type: {
        ...numbered,
        decode: (p) => (p.u32(timeout) === NO_TIMEOUT ? undefined : p.u32(timeout)),
        print: (p) => (p.u32(timeout) === NO_TIMEOUT ? undefined : String(p.u32(timeout))),
      },
    }),
  ]
  const maps = (['mapMark', 'mapPriority', 'mapQueue'] as const).map((key, i) =>
    property({ key, options: [['--map-mark', '--map-prio', '--map-queue'][i]!], type: flag(bit(flags, FLAG[key], 4)), arguments: 0, requires: ['map'] }))
  const extension: Extension = {
    kind: 'target', name: 'SET', revision, size: [0, 8, 16, 20][revision]!, oneOf: revision === 3 ? ['add', 'delete', 'map'] : ['add', 'delete'],
    init(p) {
      for (let at = 0; at < (revision === 3 ? 12 : 8); at += 4) p.setU16(at, NO_SET)
      if (revision > 1) p.setU32(timeout, NO_TIMEOUT)
    },
    check(_p, seen) {
      if (seen.has('map') && !['mapMark', 'mapPriority', 'mapQueue'].some((key) => seen.has(key))) throw new RuleError('SET: --map-set needs --map-mark, --map-prio or --map-queue')
    },
    properties: [
      property({ key: 'add', options: ['--add-set'], type: reference(0), arguments: 2 }),
      ...later,
      property({ key: 'delete', options: ['--del-set'], type: reference(4), arguments: 2 }),
      ...(revision === 3 ? [property({ key: 'map', options: ['--map-set'], type: reference(8), arguments: 2 }), ...maps] : []),
    ],
  }
  registerExtension(extension)
}

register(3)
register(2)
register(1)
