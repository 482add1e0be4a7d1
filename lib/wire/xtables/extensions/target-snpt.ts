// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { npt } from '../npt.js'

/**
 * `-j SNPT` (ip6t_npt_tginfo, include/uapi/linux/netfilter_ipv6/ip6t_NPT.h): translates the source's prefix without state
 * (RFC 6296). IPv6, only in the mangle table, in INPUT and POSTROUTING.
 */
export interface SnptTarget {
  /** The prefix to look for, at most 64 bits long, no bits behind it. */
  sourcePrefix: string
  /** What it becomes. */
  destinationPrefix: string
}

declare module '../extension.js' {
  interface Targets { SNPT: SnptTarget }
}

registerExtension(npt('SNPT', ['INPUT', 'POSTROUTING']))
