// SPDX-License-Identifier: MIT

import { type Ipv6OptionsMatch, registerOptionsMatch } from '../ipv6-options.js'

/** `-m dst`: the destination options of an IPv6 packet (RFC 8200 section 4.6). Without options: that it has such a header. */
export interface DstMatch extends Ipv6OptionsMatch {}

declare module '../extension.js' {
  interface Matches { dst: DstMatch }
}

registerOptionsMatch('dst')
