// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { initCompat, ipv4Compat, ipv6Range, natFlags, type NatLayout, type NatRange, natRange, range2 } from '../nat.js'
import { property } from '../property.js'

/**
 * `-j DNAT` revision 2 (nf_nat_range2, include/uapi/linux/netfilter/nf_nat.h), kernel 4.18 and newer: a new destination. Only in the
 * nat table, in PREROUTING and OUTPUT.
 */
export interface DnatTarget {
  to: NatRange
  /** Choose the port by a hash. */
  random?: boolean
  /** The same address for the same client. */
  persistent?: boolean
}

declare module '../extension.js' {
  interface Targets { DNAT: DnatTarget }
}

function register(revision: number, layout: NatLayout, init?: typeof initCompat): void {
  registerExtension({
    kind: 'target', name: 'DNAT', revision, family: layout.family, size: layout.size, tables: ['nat'], hooks: ['PREROUTING', 'OUTPUT'],
    ...(init === undefined ? {} : { init }),
    properties: [
      property({ key: 'to', options: ['--to-destination'], type: natRange(layout), mandatory: true }),
      ...natFlags(layout, ['random', 'persistent']),
    ],
  })
}

register(2, range2('ipv4'))
register(2, range2('ipv6'))
register(1, ipv6Range)
register(0, ipv4Compat, initCompat)
