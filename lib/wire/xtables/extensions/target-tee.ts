// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { host } from '../address.js'
import { RuleError } from '../payload.js'
import { fixedString, property, type PropertyType } from '../property.js'

/** `-j TEE` revision 1 (xt_tee_tginfo, include/uapi/linux/netfilter/xt_TEE.h): sends a copy to a machine nearby. Not a verdict. */
export interface TeeTarget {
  /** Address of the next hop; a name only where it has one address. */
  gateway: string
  /** Name of the interface to send through, at most 15 bytes. */
  outInterface?: string
}

declare module '../extension.js' {
  interface Targets { TEE: TeeTarget }
}

const name = fixedString(16, 16, { quote: false, truncate: true })
const outInterface: PropertyType<string> = {
  ...name,
  decode: (p, ctx) => name.decode(p, ctx) || undefined,
  print: (p, ctx) => name.print(p, ctx) || undefined,
}

for (const family of ['ipv4', 'ipv6'] as const) {
  registerExtension({
    kind: 'target', name: 'TEE', revision: 1, family, size: 40, userSize: 32,
    check(p) {
      if (p.slice(0, family === 'ipv4' ? 4 : 16).every((byte) => byte === 0)) throw new RuleError('TEE: --gateway is the address of a host, not of none')
    },
    properties: [
      property({ key: 'gateway', options: ['--gateway'], type: host(0, family), mandatory: true }),
      property({ key: 'outInterface', options: ['--oif'], type: outInterface }),
    ],
  })
}
