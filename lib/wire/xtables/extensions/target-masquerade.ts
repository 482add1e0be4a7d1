// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { initCompat, ipv4Compat, ipv6Range, natFlags, natPorts } from '../nat.js'
import { property } from '../property.js'
import type { PortRange } from '../types.js'

/**
 * `-j MASQUERADE` (nf_nat_ipv4_multi_range_compat, nf_nat_range, include/uapi/linux/netfilter/nf_nat.h): the outgoing interface's
 * address as source. Only in the nat table, in POSTROUTING.
 */
export interface MasqueradeTarget {
  /** First and last source port to choose from; needs a protocol with ports. */
  ports?: PortRange
  /** Choose the port by a hash. */
  random?: boolean
  /** Choose the port at random (kernel 3.13 and newer). */
  randomFully?: boolean
}

declare module '../extension.js' {
  interface Targets { MASQUERADE: MasqueradeTarget }
}

for (const layout of [ipv4Compat, ipv6Range]) {
  registerExtension({
    kind: 'target', name: 'MASQUERADE', revision: 0, family: layout.family, size: layout.size, tables: ['nat'], hooks: ['POSTROUTING'],
    ...(layout === ipv4Compat ? { init: initCompat } : {}),
    properties: [property({ key: 'ports', options: ['--to-ports'], type: natPorts(layout) }), ...natFlags(layout, ['random', 'randomFully'])],
  })
}
