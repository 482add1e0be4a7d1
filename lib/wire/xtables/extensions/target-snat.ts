// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { initCompat, ipv4Compat, ipv6Range, natFlags, type NatRange, natRange } from '../nat.js'
import { property } from '../property.js'

/**
 * `-j SNAT`, revision 0 for IPv4 (nf_nat_ipv4_multi_range_compat) and 1 for IPv6 (nf_nat_range), as iptables writes them
 * (include/uapi/linux/netfilter/nf_nat.h): a new source. Only in the nat table, in INPUT and POSTROUTING.
 */
export interface SnatTarget {
  to: NatRange
  /** Choose the port by a hash. */
  random?: boolean
  /** Choose the port at random (kernel 3.14 and newer). */
  randomFully?: boolean
  /** The same address for the same client. */
  persistent?: boolean
}

declare module '../extension.js' {
  interface Targets { SNAT: SnatTarget }
}

for (const layout of [ipv4Compat, ipv6Range]) {
  registerExtension({
    kind: 'target', name: 'SNAT', revision: layout === ipv4Compat ? 0 : 1, family: layout.family, size: layout.size, tables: ['nat'], hooks: ['INPUT', 'POSTROUTING'],
    ...(layout === ipv4Compat ? { init: initCompat } : {}),
    properties: [
      property({ key: 'to', options: ['--to-source'], type: natRange(layout), mandatory: true }),
      ...natFlags(layout, ['random', 'randomFully', 'persistent']),
    ],
  })
}
