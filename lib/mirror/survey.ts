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
import { withDevice } from '../clone/device.js'
import type { Surroundings } from './plan-reroute.js'
import type { MirrorRecord } from './record.js'
import type { PlannedSource } from './source.js'

/** include/uapi/linux/if_arp.h. */
const ARPHRD_ETHER = 1

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

/** A mirror port, up or not. @throws NfkitError ENODEV, NFKIT_MIRROR_PORT */
function requireLink(port: string, netns: In): Link.LinkInfo {
  const link = Link.get(port, netns)
  if (link.loopback) throw new NfkitError('NFKIT_MIRROR_PORT', `${port} is the loopback: what is sent there comes back`)
  return link
}

/** The mirror port via `reroute`. @throws NfkitError ENODEV, ENETDOWN, NFKIT_MIRROR_PORT */
export function requirePort(port: string, netns: In): Link.LinkInfo {
  const link = requireLink(port, netns)
  if (!link.up) {
    throw new NfkitError('ENETDOWN', `the mirror port ${port} is down`, { errno: Errno.ENETDOWN, hint: `bring it up first: Link.set('${port}', { up: true })` })
  }
  return link
}

/** The mirror ports via `devices`, which may be down. @throws NfkitError ENODEV, NFKIT_MIRROR_PORT */
export function requireFramePorts(ports: readonly string[], netns: In): void {
  for (const port of ports) {
    if (requireLink(port, netns).hardwareType !== ARPHRD_ETHER) {
      throw new NfkitError('NFKIT_MIRROR_PORT', `${port} is no Ethernet device, so no frames can leave by it`, { hint: "mirror to it via: 'reroute'" })
    }
  }
}

/** That the rules can be put there. @throws NfkitError NFKIT_NO_SUCH_CHAIN, NFKIT_LEGACY_TABLES_MISSING, EPERM */
export function requireChain({ table, chain }: PlannedSource, families: readonly IpFamily[], netns: In, lock: LockOptions | 'off'): void {
  for (const family of families) {
    using nf = Netfilter.open({ family, ...netns, lock })
    nf.table(table).chain(chain)
  }
}

/** That nobody has objects of that name: a clone target, and a hook if there is to be one. @throws NfkitError EEXIST, NFKIT_MODULE_NOT_LOADED, EPERM */
export function requireFreeObjects(name: string, withHook: boolean, { netns }: In): void {
  const kind = withDevice(netns, (device) =>
    (device.targetNames().includes(name) ? 'clone target' : withHook && device.hookNames().includes(name) ? 'hook' : undefined))
  if (kind === undefined) return
  throw new NfkitError('EEXIST', `there is a ${kind} ${name} already`, { errno: Errno.EEXIST, hint: 'no mirror of this name has it; delete it, or take another name' })
}

/**
 * The families that are to be mirrored: those asked for, or those that the rule can be written for and the box has. `port`: by which rerouted
 * copies leave, so that it needs them, too.
 * @throws NfkitError NFKIT_IPV6_DISABLED
 */
export function chooseFamilies(source: PlannedSource, asked: readonly IpFamily[] | undefined, port: string | undefined, netns: In): IpFamily[] {
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
  if (!boxWithout && (port === undefined || !disabled(port))) return families
  if (boxWithout && asked === undefined && families.includes('ipv4')) return ['ipv4']
  throw new NfkitError('NFKIT_IPV6_DISABLED', boxWithout ? 'this box has no IPv6' : `the mirror port ${port} has IPv6 disabled, so no copy of an IPv6 packet could leave by it`, {
    hint: boxWithout ? "mirror IPv4 alone: family: 'ipv4'" : `mirror IPv4 alone (family: 'ipv4'), or set net/ipv6/conf/${port}/disable_ipv6 to 0`,
  })
}
