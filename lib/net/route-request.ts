// SPDX-License-Identifier: MIT
// What a route is to be, checked and made a message.

import { invalidArgument, outOfRange } from '../errors.js'
import { checkInteger, type WithUnknown } from '../wire/attributes.js'
import { familyOf, formatIp, type IpFamily, parseIp, parsePrefix } from '../wire/ip.js'
import type { UnnamedFlag } from '../wire/names.js'
import {
  type EncapName, type NexthopMessage, type RouteFlag, routeFlags, type RouteMessage, type RouteMetrics, type RoutePreference,
  SETTABLE_ROUTE_FLAGS,
} from '../wire/route.js'
import {
  familyNumber, type RouteProtocolName, routeProtocols, type RouteTableName, routeTables, type RouteTypeName, routeTypes, type ScopeName,
  scopes,
} from '../wire/rtnetlink.js'
import { checkKeys, given } from './check.js'
import type { LinkRef } from './link-ref.js'

/** One way of a multipath route. */
export interface Nexthop {
  /** Address of the next router, of either family (IPv6 gateways of IPv4 routes: Linux 5.2). */
  gateway?: string
  link?: LinkRef
  /** The share of it, 1 to 256; 1 unless told. */
  weight?: number
  /** `onlink`: the gateway is on the link although no route says so. The kernel reports others. */
  flags?: (RouteFlag | UnnamedFlag)[]
  realms?: number
  encapType?: EncapName | number
  /** The attributes of the encapsulation. */
  encap?: Uint8Array
}

/** What a route is to be. What `Route.list` answers can be given back; what the kernel decides is passed over then. */
export interface RouteSpec {
  /** `10.0.0.0/8`, an address alone, or `default`: all of the family. */
  destination: string
  /** What `default` is about: that of the other addresses given, or `ipv4`. */
  family?: IpFamily
  /** IPv6: only packets from this prefix (CONFIG_IPV6_SUBTREES). */
  source?: string
  /** Only packets with this type of service, 0 to 255; 0 is any. IPv4. */
  tos?: number
  /** 1 to 4294967295; `main` unless told. */
  table?: RouteTableName | number
  /** `static` unless told. */
  protocol?: RouteProtocolName | number
  /** IPv4: `host` for local, `link` for broadcast, multicast and direct routes, `global` for others unless told. */
  scope?: ScopeName | number
  /** `unicast` unless told. */
  type?: RouteTypeName | number
  /** What `ip` calls the metric: the lowest wins; 0 for IPv4 and 1024 for IPv6 unless told. */
  priority?: number
  /** Address of the next router, of either family (IPv6 gateways of IPv4 routes: Linux 5.2). */
  gateway?: string
  /** The link that packets leave by. */
  link?: LinkRef
  /** Several ways instead of one. */
  nexthops?: Nexthop[]
  /** A nexthop object, by its id (Linux 5.3). */
  nexthopId?: number
  /** Source address for packets of this machine. */
  prefSource?: string
  /** `onlink`: the gateway is on the link although no route says so. */
  flags?: (RouteFlag | UnnamedFlag)[]
  metrics?: Partial<RouteMetrics> & WithUnknown
  /** IPv4: from and to realm, 16 bits each (CONFIG_IP_ROUTE_CLASSID). */
  realms?: number
  /** IPv6. */
  pref?: RoutePreference
  /** IPv6: seconds until it goes, 1 to 42949672; for ever unless told. */
  expires?: number
  encapType?: EncapName | number
  encap?: Uint8Array
  ttlPropagate?: boolean
}

const SPEC: readonly (keyof RouteSpec)[] = [
  'destination', 'family', 'source', 'tos', 'table', 'protocol', 'scope', 'type', 'priority', 'gateway', 'link', 'nexthops', 'nexthopId',
  'prefSource', 'flags', 'metrics', 'realms', 'pref', 'expires', 'encapType', 'encap', 'ttlPropagate',
]
const REPORTED = ['error', 'inputLink', 'mark', 'uid', 'lastUse', 'used', 'unknown']
const NEXTHOP: readonly (keyof Nexthop)[] = ['gateway', 'link', 'weight', 'flags', 'realms', 'encapType', 'encap']

/** The message of a request; what is left out is zero. */
export type RouteRequest = Partial<RouteMessage> & { family: number }

/** The message of a route; checks what the codecs do not. */
export function requestOf(spec: RouteSpec, deleting: boolean, indexOf: (ref: LinkRef) => number): RouteRequest {
  checkKeys(spec, [...SPEC, ...REPORTED], 'route')
  const family = familyOfSpec(spec)
  const destination = network(spec.destination, 'destination', family)
  const source = spec.source === undefined ? undefined : network(spec.source, 'source', family)
  const { nexthops, nexthopId, tos, priority, link, prefSource, metrics, realms, pref, expires, encapType, encap, ttlPropagate } = spec
  if (family === 'ipv4') {
    for (const key of ['source', 'pref', 'expires'] as const) {
      if (spec[key] !== undefined) throw invalidArgument(key, 'none for an IPv4 route', spec[key])
    }
  }
  if (expires !== undefined && !deleting) checkExpires(expires)
  if (nexthops !== undefined && (spec.gateway !== undefined || link !== undefined)) {
    throw invalidArgument('nexthops', 'none beside a gateway or link', nexthops)
  }
  // Zero is any when deleting.
  const type = routeTypes.number(spec.type ?? (deleting ? 'unspec' : 'unicast'), 'type')
  return {
    family: familyNumber(family),
    destinationLength: destination.length,
    sourceLength: source?.length ?? 0,
    ...(tos === undefined ? {} : { tos }),
    table: tableNumber(spec.table ?? 'main'),
    protocol: routeProtocols.number(spec.protocol ?? (deleting ? 'unspec' : 'static'), 'protocol'),
    scope: scopeOf(spec, family, type, deleting),
    type,
    flags: (spec.flags === undefined ? 0 : routeFlags.bits(spec.flags, 'flags')) & SETTABLE_ROUTE_FLAGS,
    attributes: given({
      destination: destination.length === 0 ? undefined : destination.address,
      source: source === undefined || source.length === 0 ? undefined : source.address,
      ...gatewayOf(spec.gateway, family, 'gateway'),
      link: link === undefined ? undefined : indexOf(link),
      priority,
      prefSource: prefSource === undefined ? undefined : formatIp(parseIp(prefSource, 'prefSource', family)),
      metrics,
      nexthops: nexthops?.map((nexthop, i) => nexthopOf(nexthop, family, indexOf, `nexthops[${i}]`)),
      nexthopId,
      realms,
      pref,
      expires: deleting ? undefined : expires,
      encapType,
      encap,
      ttlPropagate,
    }),
  }
}

/** What ip-route(8) assumes too: the scope follows from the type and from whether there is a gateway. */
function scopeOf({ scope, gateway, nexthops, nexthopId }: RouteSpec, family: IpFamily, type: number, deleting: boolean): number {
  if (scope !== undefined) return scopes.number(scope, 'scope')
  if (deleting) return scopes.number('nowhere', 'scope')
  if (family === 'ipv6') return 0
  switch (routeTypes.of(type)) {
    case 'local': case 'nat': return scopes.number('host', 'scope')
    case 'broadcast': case 'multicast': case 'anycast': return scopes.number('link', 'scope')
    case 'unicast': {
      const direct = gateway === undefined && nexthopId === undefined && (nexthops ?? []).every((nexthop) => nexthop.gateway === undefined)
      return scopes.number(direct ? 'link' : 'global', 'scope')
    }
    default: return 0
  }
}

function nexthopOf(nexthop: Nexthop, family: IpFamily, indexOf: (ref: LinkRef) => number, name: string): NexthopMessage {
  checkKeys(nexthop, NEXTHOP, name)
  const { gateway, link, weight = 1, flags = [], realms, encapType, encap } = nexthop
  checkInteger(weight, 1, 256, `${name}.weight`)
  return {
    flags: routeFlags.bits(flags, `${name}.flags`) & SETTABLE_ROUTE_FLAGS,
    hops: weight - 1,
    index: link === undefined ? 0 : indexOf(link),
    attributes: given({ ...gatewayOf(gateway, family, `${name}.gateway`), realms, encapType, encap }),
  }
}

function gatewayOf(gateway: string | undefined, family: IpFamily, name: string): { gateway?: string; via?: string } {
  if (gateway === undefined) return {}
  const address = parseIp(gateway, name)
  if (familyOf(address) === family) return { gateway }
  if (family === 'ipv6') throw invalidArgument(name, 'an IPv6 address', gateway)
  return { via: gateway }
}

function familyOfSpec({ family, destination, source, gateway, prefSource }: RouteSpec): IpFamily {
  if (family !== undefined) familyNumber(family)
  if (typeof destination !== 'string') throw invalidArgument('destination', "a prefix such as 10.0.0.0/8, or 'default'", destination)
  if (destination !== 'default') return familyOf(parsePrefix(destination, 'destination', family).address)
  if (family !== undefined) return family
  const other = source ?? prefSource ?? gateway
  return other === undefined ? 'ipv4' : familyOf(parsePrefix(other, 'route').address)
}

/** A prefix without host bits: IPv4 refuses them with EINVAL, IPv6 drops them without a word. */
function network(text: string, name: string, family: IpFamily): { address: string; length: number } {
  if (text === 'default') return { address: family === 'ipv4' ? '0.0.0.0' : '::', length: 0 }
  const { address, length } = parsePrefix(text, name, family)
  const masked = address.map((byte, i) => byte & ~(0xff >> Math.min(Math.max(length - i * 8, 0), 8)))
  if (masked.some((byte, i) => byte !== address[i])) {
    throw invalidArgument(name, `a prefix without bits behind its length, such as ${formatIp(masked)}/${length}`, text)
  }
  return { address: formatIp(address), length }
}

export function tableNumber(table: RouteTableName | number): number {
  const number = routeTables.number(table, 'table')
  if (number === 0) throw outOfRange('table', 'a routing table from 1 to 4294967295', table)
  return number
}

function checkExpires(expires: unknown): void {
  // Ticks of 1/100 s in 32 bits.
  checkInteger(expires, 1, 42949672, 'expires')
}
