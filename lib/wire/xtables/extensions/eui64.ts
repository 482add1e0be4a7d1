// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'

/**
 * `-m eui64`: the last 64 bits of the IPv6 source address are those that its MAC address makes (RFC 4291 appendix A).
 * PREROUTING, INPUT and FORWARD only.
 */
export interface Eui64Match {}

declare module '../extension.js' {
  interface Matches { eui64: Eui64Match }
}

registerExtension({ kind: 'match', name: 'eui64', family: 'ipv6', revision: 0, size: 4, hooks: ['PREROUTING', 'INPUT', 'FORWARD'], properties: [] })
