// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, flag, property } from '../property.js'

/**
 * `-m rpfilter` (xt_rpfilter_info, include/uapi/linux/netfilter/xt_rpfilter.h): a packet to the source address would leave by the
 * interface that this one came in by. Only in PREROUTING of the raw and mangle tables.
 */
export interface RpfilterMatch {
  /** By any interface. */
  loose?: boolean
  /** Look the route up with the packet's mark. */
  validmark?: boolean
  /** Packets with a source address of this host match, too. */
  acceptLocal?: boolean
  /** Match those that fail the test. */
  invert?: boolean
}

declare module '../extension.js' {
  interface Matches { rpfilter: RpfilterMatch }
}

const one = (key: string, option: string, mask: number) => property({ key, options: [option], type: flag(bit(0, mask)), arguments: 0 })

registerExtension({
  kind: 'match', name: 'rpfilter', revision: 0, size: 1, tables: ['raw', 'mangle'], hooks: ['PREROUTING'],
  properties: [one('loose', '--loose', 1), one('validmark', '--validmark', 2), one('acceptLocal', '--accept-local', 4), one('invert', '--invert', 8)],
})
