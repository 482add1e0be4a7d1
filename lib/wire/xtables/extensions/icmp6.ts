// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { type IcmpSpecification, icmpType } from '../icmp-types.js'
import { bit, type Not, property } from '../property.js'

/** The names that ip6tables has for types and codes of RFC 4443, RFC 2710 and RFC 4861. */
const NAMES = {
  'destination-unreachable': [1], 'no-route': [1, 0], 'communication-prohibited': [1, 1], 'beyond-scope': [1, 2], 'address-unreachable': [1, 3],
  'port-unreachable': [1, 4], 'failed-policy': [1, 5], 'reject-route': [1, 6],
  'packet-too-big': [2],
  'time-exceeded': [3], 'ttl-exceeded': [3], 'ttl-zero-during-transit': [3, 0], 'ttl-zero-during-reassembly': [3, 1],
  'parameter-problem': [4], 'bad-header': [4, 0], 'unknown-header-type': [4, 1], 'unknown-option': [4, 2],
  'echo-request': [128], ping: [128], 'echo-reply': [129], pong: [129],
  'mld-listener-query': [130], 'mld-listener-report': [131], 'mld-listener-done': [132], 'mld-listener-reduction': [132],
  'router-solicitation': [133], 'router-advertisement': [134], 'neighbour-solicitation': [135], 'neighbor-solicitation': [135],
  'neighbour-advertisement': [136], 'neighbor-advertisement': [136], redirect: [137],
} as const

export type Icmp6TypeName = keyof typeof NAMES

/** `-m icmp6` (ip6t_icmp, include/uapi/linux/netfilter_ipv6/ip6_tables.h). Needs the protocol ipv6-icmp. */
export interface Icmp6Match {
  /** Names are read as numbers. Text names only the first of several codes, as ip6tables prints it. */
  type: IcmpSpecification<Icmp6TypeName> | Not<IcmpSpecification<Icmp6TypeName>>
}

declare module '../extension.js' {
  interface Matches { icmp6: Icmp6Match }
}

registerExtension({
  kind: 'match', name: 'icmp6', revision: 0, family: 'ipv6', size: 4, protocols: [58],
  properties: [property({ key: 'type', options: ['--icmpv6-type'], type: icmpType(NAMES), invert: bit(3, 1), mandatory: true })],
})
