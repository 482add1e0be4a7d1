// SPDX-License-Identifier: MIT
// What a set-up has to know of its namespace, and what must be so before anything is changed.

import { readCloneCounters } from '../clone/clone-counters.js'
import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import * as Link from '../net/link.js'
import * as Route from '../net/route.js'
import * as Rule from '../net/rule.js'
import type { LockOptions } from '../netfilter/lock.js'
import { Netfilter } from '../netfilter/netfilter.js'
import { type Netns, readProc, readSysctl } from '../netns.js'
import type { IpFamily } from '../wire/ip.js'
import { routeTables } from '../wire/rtnetlink.js'
import type { Surroundings } from './plan.js'
import type { MirrorRecord } from './record.js'
import type { PlannedSource } from './source.js'

type In = { readonly netns?: Netns | undefined }

/** Looks at the namespace. @throws NfkitError NFKIT_NO_SUCH_CHAIN, NFKIT_LEGACY_TABLES_MISSING, EPERM */
export function survey(port: Link.LinkInfo, source: PlannedSource, families: readonly IpFamily[], others: readonly MirrorRecord[], netns: In, lock: LockOptions | 'off'): Surroundings {
  const marks = new Set(readCloneCounters(netns.netns).keys())
  for (const family of families) {
    using nf = Netfilter.open({ family, ...netns, lock })
    // Only asks whether it is there.
    nf.table(source.table).chain(source.chain)
    // Any number there could be a mark; those that are none do no harm.
    for (const [number] of nf.saveSync().matchAll(/\b(?:0x[0-9a-f]+|\d+)\b/gi)) marks.add(Number(number))
  }
  const tables = new Set(Route.list(netns).map(({ table }) => routeTables.number(table, 'table')))
  return { port, policyRules: Rule.list(netns), tables, marks, others }
}

/** The mirror port. @throws NfkitError ENODEV, ENETDOWN, NFKIT_MIRROR_PORT */
export function requirePort(port: string, netns: In): Link.LinkInfo {
  const link = Link.get(port, netns)
  if (link.loopback) throw new NfkitError('NFKIT_MIRROR_PORT', `${port} is the loopback: what is sent there comes back`)
  if (!link.up) {
    throw new NfkitError('ENETDOWN', `the mirror port ${port} is down`, { errno: Errno.ENETDOWN, hint: `bring it up first: Link.set('${port}', { up: true })` })
  }
  return link
}

/**
 * The families that are to be mirrored: those asked for, or those that the rule can be written for and the box has.
 * @throws NfkitError NFKIT_IPV6_DISABLED
 */
export function chooseFamilies(source: PlannedSource, asked: readonly IpFamily[] | undefined, port: string, netns: In): IpFamily[] {
  const families = [...source.rules.keys()]
  if (!families.includes('ipv6')) return families
  const disabled = (name: string) => {
    try {
      return readSysctl(`net/ipv6/conf/${name}/disable_ipv6`, netns.netns) === '1'
    } catch {
      // A name that is no part of a path, or no IPv6 at all.
      return false
    }
  }
  const without = () => {
    try {
      readProc('if_inet6', netns.netns)
      return disabled('all')
    } catch {
      return true
    }
  }
  const boxWithout = without()
  if (!boxWithout && !disabled(port)) return families
  if (boxWithout && asked === undefined && families.includes('ipv4')) return ['ipv4']
  throw new NfkitError('NFKIT_IPV6_DISABLED', boxWithout ? 'this box has no IPv6' : `the mirror port ${port} has IPv6 disabled, so no copy of an IPv6 packet could leave by it`, {
    hint: boxWithout ? "mirror IPv4 alone: family: 'ipv4'" : `mirror IPv4 alone (family: 'ipv4'), or set net/ipv6/conf/${port}/disable_ipv6 to 0`,
  })
}
