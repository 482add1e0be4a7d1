// SPDX-License-Identifier: MIT

import { type Extension, registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { bit, flag, integer, property, type Property } from '../property.js'
import { NO_SET, type SetReference, setReference } from '../sets.js'

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

const NO_TIMEOUT = 0xffffffff

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
      property({ key: 'add', options: ['--add-set'], type: setReference(0), arguments: 2 }),
      ...later,
      property({ key: 'delete', options: ['--del-set'], type: setReference(4), arguments: 2 }),
      ...(revision === 3 ? [property({ key: 'map', options: ['--map-set'], type: setReference(8), arguments: 2 }), ...maps] : []),
    ],
  }
  registerExtension(extension)
}

register(3)
register(2)
register(1)
