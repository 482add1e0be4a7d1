// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import type { IpFamily } from '../../ip.js'
import { choice, type IntegerPlace, property, type PropertyType, readInteger, writeInteger } from '../property.js'
import { namePrefix } from '../marks.js'
import { RuleError } from '../payload.js'

export type Ipv4Reject =
  | 'icmp-net-unreachable' | 'icmp-host-unreachable' | 'icmp-proto-unreachable' | 'icmp-port-unreachable' | 'icmp-net-prohibited'
  | 'icmp-host-prohibited' | 'tcp-reset' | 'icmp-admin-prohibited'
export type Ipv6Reject =
  | 'icmp6-no-route' | 'icmp6-adm-prohibited' | 'icmp6-addr-unreachable' | 'icmp6-port-unreachable' | 'tcp-reset' | 'icmp6-policy-fail'
  | 'icmp6-reject-route'

/**
 * `-j REJECT` (ipt_reject_info, ip6t_reject_info, include/uapi/linux/netfilter_ipv4/ipt_REJECT.h and netfilter_ipv6/ip6t_REJECT.h):
 * drop the packet and answer it. Only in the filter table, in INPUT, FORWARD and OUTPUT.
 */
export interface RejectTarget {
  /** The answer: port unreachable unless told. `tcp-reset` needs the protocol tcp. The names belong to one family each. */
  with?: Ipv4Reject | Ipv6Reject
}

declare module '../extension.js' {
  interface Targets { REJECT: RejectTarget }
}

/** Name, the shorter spelling, number of enum ipt_reject_with and ip6t_reject_with. */
const IPV4: readonly (readonly [Ipv4Reject, string, number])[] = [
  ['icmp-net-unreachable', 'net-unreach', 0], ['icmp-host-unreachable', 'host-unreach', 1], ['icmp-proto-unreachable', 'proto-unreach', 2],
  ['icmp-port-unreachable', 'port-unreach', 3], ['icmp-net-prohibited', 'net-prohib', 5], ['icmp-host-prohibited', 'host-prohib', 6],
  ['tcp-reset', 'tcp-rst', 7], ['icmp-admin-prohibited', 'admin-prohib', 8],
]
const IPV6: readonly (readonly [Ipv6Reject, string, number])[] = [
  ['icmp6-no-route', 'no-route', 0], ['icmp6-adm-prohibited', 'adm-prohibited', 1], ['icmp6-addr-unreachable', 'addr-unreach', 3],
  ['icmp6-port-unreachable', 'port-unreach', 4], ['tcp-reset', 'tcp-reset', 6], ['icmp6-policy-fail', 'policy-fail', 7],
  ['icmp6-reject-route', 'reject-route', 8],
]
const PLACE: IntegerPlace = { offset: 0, width: 4 }

function register<N extends string>(family: IpFamily, rows: readonly (readonly [N, string, number])[], usual: number, reset: number): void {
  const names = Object.fromEntries(rows.map(([name, , number]) => [name, number])) as Record<N, number>
  const spellings = rows.flatMap(([name, short, number]) => [[name, number] as const, [short, number] as const])
  const type: PropertyType<N> = {
    ...choice(PLACE, names),
    // A beginning of a name will do.
    parse: (p, text, option) => writeInteger(p, PLACE, namePrefix(spellings, text, option)),
  }
  registerExtension({
    kind: 'target', name: 'REJECT', revision: 0, family, size: 4, tables: ['filter'], hooks: ['INPUT', 'FORWARD', 'OUTPUT'],
    init: (p) => p.setU32(0, usual),
    recognises: (p) => rows.some((row) => row[2] === readInteger(p, PLACE)),
    check(p, _seen, ctx) {
      if (p.u32(0) === reset && (ctx.protocol !== 6 || ctx.protocolNegated)) throw new RuleError('REJECT: tcp-reset needs -p tcp')
    },
    properties: [property({ key: 'with', options: ['--reject-with'], type })],
  })
}

register('ipv4', IPV4, 3, 7)
register('ipv6', IPV6, 4, 6)
