// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { initCompat, ipv4Compat, ipv6Range, natFlags, natPorts } from '../nat.js'
import { property } from '../property.js'
import type { PortRange } from '../types.js'

/**
 * `-j REDIRECT` (nf_nat_ipv4_multi_range_compat, nf_nat_range, include/uapi/linux/netfilter/nf_nat.h): this machine as destination.
 * Only in the nat table, in PREROUTING and OUTPUT.
 */
export interface RedirectTarget {
  /** First and last destination port; needs a protocol with ports. */
  ports?: PortRange
  /** Choose the port by a hash. */
  random?: boolean
}

declare module '../extension.js' {
  interface Targets { REDIRECT: RedirectTarget }
}

for (const layout of [ipv4Compat, ipv6Range]) {
  registerExtension({
    kind: 'target', name: 'REDIRECT', revision: 0, family: layout.family, size: layout.size, tables: ['nat'], hooks: ['PREROUTING', 'OUTPUT'],
    ...(layout === ipv4Compat ? { init: initCompat } : {}),
    properties: [property({ key: 'ports', options: ['--to-ports'], type: natPorts(layout) }), ...natFlags(layout, ['random'])],
  })
}
