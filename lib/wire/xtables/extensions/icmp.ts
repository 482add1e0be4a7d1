// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { type IcmpSpecification, icmpType } from '../icmp-types.js'
import { bit, type Not, property } from '../property.js'

/** The names that iptables has for types and codes of RFC 792, RFC 950, RFC 1256 and RFC 1812. */
const NAMES = {
  any: [255], 'echo-reply': [0], pong: [0],
  'destination-unreachable': [3], 'network-unreachable': [3, 0], 'host-unreachable': [3, 1], 'protocol-unreachable': [3, 2], 'port-unreachable': [3, 3],
  'fragmentation-needed': [3, 4], 'source-route-failed': [3, 5], 'network-unknown': [3, 6], 'host-unknown': [3, 7], 'network-prohibited': [3, 9],
  'host-prohibited': [3, 10], 'TOS-network-unreachable': [3, 11], 'TOS-host-unreachable': [3, 12], 'communication-prohibited': [3, 13],
  'host-precedence-violation': [3, 14], 'precedence-cutoff': [3, 15],
  'source-quench': [4],
  redirect: [5], 'network-redirect': [5, 0], 'host-redirect': [5, 1], 'TOS-network-redirect': [5, 2], 'TOS-host-redirect': [5, 3],
  'echo-request': [8], ping: [8], 'router-advertisement': [9], 'router-solicitation': [10],
  'time-exceeded': [11], 'ttl-exceeded': [11], 'ttl-zero-during-transit': [11, 0], 'ttl-zero-during-reassembly': [11, 1],
  'parameter-problem': [12], 'ip-header-bad': [12, 0], 'required-option-missing': [12, 1],
  'timestamp-request': [13], 'timestamp-reply': [14], 'address-mask-request': [17], 'address-mask-reply': [18],
} as const

export type IcmpTypeName = keyof typeof NAMES

/** `-m icmp` (ipt_icmp, include/uapi/linux/netfilter_ipv4/ip_tables.h). Needs the protocol icmp. */
export interface IcmpMatch {
  /** `any` is read as `any`, all other names as numbers. Text names only the first of several codes, as iptables prints it. */
  type: IcmpSpecification<IcmpTypeName> | Not<IcmpSpecification<IcmpTypeName>>
}

declare module '../extension.js' {
  interface Matches { icmp: IcmpMatch }
}

registerExtension({
  kind: 'match', name: 'icmp', revision: 0, family: 'ipv4', size: 4, protocols: [1],
  properties: [property({ key: 'type', options: ['--icmp-type'], type: icmpType(NAMES), invert: bit(3, 1), mandatory: true })],
})
