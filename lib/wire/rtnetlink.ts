// SPDX-License-Identifier: MIT
// Message types and multicast groups of rtnetlink (include/uapi/linux/rtnetlink.h).

import { invalidArgument } from '../errors.js'
import type { IpFamily } from './ip.js'
import { nameTable } from './names.js'

export const NETLINK_ROUTE = 0

export const AF_UNSPEC = 0
export const AF_INET = 2
export const AF_BRIDGE = 7
export const AF_INET6 = 10

/** Request and notification types by the kernel's names. */
export const Rtm = {
  RTM_NEWLINK: 16, RTM_DELLINK: 17, RTM_GETLINK: 18, RTM_SETLINK: 19,
  RTM_NEWADDR: 20, RTM_DELADDR: 21, RTM_GETADDR: 22,
  RTM_NEWROUTE: 24, RTM_DELROUTE: 25, RTM_GETROUTE: 26,
  RTM_NEWNEIGH: 28, RTM_DELNEIGH: 29, RTM_GETNEIGH: 30,
  RTM_NEWRULE: 32, RTM_DELRULE: 33, RTM_GETRULE: 34,
  RTM_NEWMDB: 84, RTM_DELMDB: 85, RTM_GETMDB: 86,
  RTM_NEWSTATS: 92, RTM_GETSTATS: 94,
  RTM_NEWVLAN: 112, RTM_DELVLAN: 113, RTM_GETVLAN: 114,
} as const

/** The name of a request, for example `RTM_NEWLINK`. */
export type RtmName = keyof typeof Rtm

/** Multicast groups (enum rtnetlink_groups). */
export const RtnlGroup = {
  link: 1, neighbour: 3, ipv4Address: 5, ipv4Route: 7, ipv4Rule: 8, ipv6Address: 9, ipv6Route: 11, ipv6Rule: 19, mdb: 26, bridgeVlan: 33,
} as const

/** The address families of IP by the names that options use. */
export function familyNumber(family: IpFamily, argument = 'family'): number {
  if (family !== 'ipv4' && family !== 'ipv6') throw invalidArgument(argument, "'ipv4' or 'ipv6'", family)
  return family === 'ipv4' ? AF_INET : AF_INET6
}

/** The name of a family number; undefined for what is not IP. */
export function familyName(family: number): IpFamily | undefined {
  return family === AF_INET ? 'ipv4' : family === AF_INET6 ? 'ipv6' : undefined
}

/** How far an address or a route's destination is (RT_SCOPE_*): anywhere, this site, this link, this host, not there. */
export type ScopeName = 'global' | 'site' | 'link' | 'host' | 'nowhere'
export const scopes = nameTable<ScopeName>({ global: 0, site: 200, link: 253, host: 254, nowhere: 255 })

/** Who made a route or a rule (RTPROT_*). From 4 on the kernel only keeps them. */
export type RouteProtocolName =
  | 'unspec' | 'redirect' | 'kernel' | 'boot' | 'static' | 'gated' | 'ra' | 'mrt' | 'zebra' | 'bird' | 'dnrouted' | 'xorp' | 'ntk' | 'dhcp'
  | 'mrouted' | 'keepalived' | 'babel' | 'ovn' | 'openr' | 'bgp' | 'isis' | 'ospf' | 'rip' | 'eigrp'
export const routeProtocols = nameTable<RouteProtocolName>({
  unspec: 0, redirect: 1, kernel: 2, boot: 3, static: 4, gated: 8, ra: 9, mrt: 10, zebra: 11, bird: 12, dnrouted: 13, xorp: 14, ntk: 15,
  dhcp: 16, mrouted: 17, keepalived: 18, babel: 42, ovn: 84, openr: 99, bgp: 186, isis: 187, ospf: 188, rip: 189, eigrp: 192,
})

/** Routing tables that have a name (RT_TABLE_*); the others are numbers up to 4294967295. */
export type RouteTableName = 'default' | 'main' | 'local'
export const routeTables = nameTable<RouteTableName>({ default: 253, main: 254, local: 255 }, 0xffffffff)

/** What a route does with its packets, and what kind of destination a neighbour's address is (RTN_*). */
export type RouteTypeName =
  | 'unspec' | 'unicast' | 'local' | 'broadcast' | 'anycast' | 'multicast' | 'blackhole' | 'unreachable' | 'prohibit' | 'throw' | 'nat'
  | 'xresolve'
export const routeTypes = nameTable<RouteTypeName>({
  unspec: 0, unicast: 1, local: 2, broadcast: 3, anycast: 4, multicast: 5, blackhole: 6, unreachable: 7, prohibit: 8, throw: 9, nat: 10,
  xresolve: 11,
})
