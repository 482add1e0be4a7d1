// SPDX-License-Identifier: MIT
// The plain object of a route.

import { errnoName } from '../errno.js'
import type { IpFamily } from '../wire/ip.js'
import type { UnnamedFlag } from '../wire/names.js'
import type { RawAttribute } from '../wire/netlink.js'
import { type NexthopMessage, type RouteAttributes, type RouteFlag, routeFlags, type RouteMessage } from '../wire/route.js'
import {
  familyName, type RouteProtocolName, routeProtocols, type RouteTableName, routeTables, type RouteTypeName, routeTypes, type ScopeName,
  scopes,
} from '../wire/rtnetlink.js'
import { given } from './check.js'
import type { Nexthop, RouteSpec } from './route-request.js'

/** A route as the kernel reports it. */
export interface RouteInfo extends RouteSpec {
  family: IpFamily
  tos: number
  table: RouteTableName | number
  protocol: RouteProtocolName | number
  scope: ScopeName | number
  type: RouteTypeName | number
  flags: (RouteFlag | UnnamedFlag)[]
  /** Index. */
  link?: number
  nexthops?: (Nexthop & { link: number; weight: number; flags: (RouteFlag | UnnamedFlag)[] })[]
  /** errno of those whose packets take it, where a cached route has one. */
  error?: string
  /** Of a look-up: what was asked. */
  inputLink?: number
  mark?: number
  uid?: number
  /** Seconds since the last use, and how often; only of cached routes. */
  lastUse?: number
  used?: number
  /** Attributes that nfkit has no name for. */
  unknown?: RawAttribute[]
}

/** The plain object of a route message; undefined for one of another family. */
export function routeInfo(message: RouteMessage): RouteInfo | undefined {
  const family = familyName(message.family)
  if (family === undefined) return undefined
  const {
    destination, source, gateway, via, nexthops, cacheInfo, table: _table, multicastStatistics: _statistics, newDestination: _destination,
    ...rest
  } = message.attributes
  const { destinationLength, sourceLength, tos, table, protocol, scope, type, flags } = message
  const any = family === 'ipv4' ? '0.0.0.0' : '::'
  const expires = cacheInfo === undefined || cacheInfo.expires === 0 ? undefined : cacheInfo.expires
  return given<RouteInfo>({
    destination: destinationLength === 0 ? 'default' : `${destination ?? any}/${destinationLength}`,
    family,
    source: sourceLength === 0 ? undefined : `${source ?? any}/${sourceLength}`,
    tos,
    table: routeTables.of(table),
    protocol: routeProtocols.of(protocol),
    scope: scopes.of(scope),
    type: routeTypes.of(type),
    flags: routeFlags.of(flags),
    gateway: gateway ?? via,
    nexthops: nexthops?.map(nexthopInfo),
    error: cacheInfo === undefined || cacheInfo.error === 0 ? undefined : errnoName(cacheInfo.error),
    lastUse: cacheInfo === undefined || cacheInfo.lastUse === 0 ? undefined : cacheInfo.lastUse,
    used: cacheInfo === undefined || cacheInfo.used === 0 ? undefined : cacheInfo.used,
    ...rest,
    expires,
  } as { [K in keyof RouteInfo]: RouteInfo[K] | undefined })
}

function nexthopInfo({ flags, hops, index, attributes }: NexthopMessage) {
  const { gateway, via, realms, encapType, encap } = attributes as Partial<RouteAttributes>
  return given<NonNullable<RouteInfo['nexthops']>[number]>({
    gateway: gateway ?? via, link: index, weight: hops + 1, flags: routeFlags.of(flags), realms, encapType, encap,
  } as Required<NonNullable<RouteInfo['nexthops']>[number]>)
}
