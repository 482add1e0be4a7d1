// SPDX-License-Identifier: MIT

import { Netfilter } from '../netfilter/netfilter.js'
import type { Invocation } from './action.js'
import { UsageError } from './usage.js'

/** Which of the two families a command works on. */
export const FAMILY_OPTIONS = {
  ipv4: { type: 'flag', short: '4', help: 'the tables of IPv4 (default)' },
  ipv6: { type: 'flag', short: '6', help: 'the tables of IPv6' },
} as const

/** Runs something on the tables and lets go of the handle. @throws UsageError when both families are asked for */
export async function withNetfilter<T>(
  { netns, options: { ipv4, ipv6 } }: Pick<Invocation, 'netns'> & { options: { ipv4?: boolean | undefined; ipv6?: boolean | undefined } },
  run: (nf: Netfilter) => T | Promise<T>,
): Promise<T> {
  if (ipv4 === true && ipv6 === true) throw new UsageError('--ipv4 and --ipv6 cannot be given together: each family has tables of its own')
  using nf = Netfilter.open({ ...netns, family: ipv6 === true ? 'ipv6' : 'ipv4' })
  return await run(nf)
}
