// SPDX-License-Identifier: MIT

import { type Ipv6OptionsMatch, registerOptionsMatch } from '../ipv6-options.js'

/** `-m hbh`: the hop-by-hop options of an IPv6 packet (RFC 8200 section 4.3). Without options: that it has such a header. */
export interface HbhMatch extends Ipv6OptionsMatch {}

declare module '../extension.js' {
  interface Matches { hbh: HbhMatch }
}

registerOptionsMatch('hbh')
