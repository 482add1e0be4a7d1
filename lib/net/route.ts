// SPDX-License-Identifier: MIT
// Routes: list, get, add, replace, delete, watch.

import { NfkitError } from '../errors.js'
import type { Watch } from '../events.js'
import { rtm, withRoute } from '../netlink/route.js'
import type { DumpOptions, NetlinkSocket } from '../netlink/socket.js'
import { type Change, type Notification, type ObjectWatchOptions, textWithout, watchObjects } from '../netlink/watch.js'
import { type Input, Writer } from '../wire/bytes.js'
import { familyOf, formatIp, type IpFamily, parseIp } from '../wire/ip.js'
import { decodeLink, IFF } from '../wire/link.js'
import { type NetlinkMessage, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../wire/netlink.js'
import { decodeRoute, encodeRoute, type RouteMessage, routeShape, RTM_F } from '../wire/route.js'
import {
  AF_UNSPEC, familyNumber, type RouteProtocolName, routeProtocols, type RouteTableName, routeTables, type RouteTypeName, routeTypes, Rtm,
  RtnlGroup,
} from '../wire/rtnetlink.js'
import { checkBoolean, checkKeys, given } from './check.js'
import { checkLinkRef, getMessage, type LinkRef, type NetnsOption, resolveIndex } from './link-ref.js'
import { type RouteInfo, routeInfo } from './route-info.js'
import { requestOf, type RouteSpec, tableNumber } from './route-request.js'

export type { RouteInfo } from './route-info.js'
export type { Nexthop, RouteSpec } from './route-request.js'

/** Which routes are meant: all of all tables unless told. */
export interface RouteFilter {
  family?: IpFamily | undefined
  table?: RouteTableName | number | undefined
  /** Routes that use this link. */
  link?: LinkRef | undefined
  protocol?: RouteProtocolName | number | undefined
  type?: RouteTypeName | number | undefined
}

/** What a look-up is about beside the destination. */
export interface RouteQuery extends NetnsOption {
  /** Source address. */
  source?: string | undefined
  /** As for a packet that came in by this link, not one of this machine. */
  inputLink?: LinkRef | undefined
  /** Must leave by this link. */
  link?: LinkRef | undefined
  /** The packet's mark, 0 to 4294967295. */
  mark?: number | undefined
  uid?: number | undefined
  tos?: number | undefined
  /** 6 TCP, 17 UDP, 1 ICMP, 58 ICMPv6. */
  ipProtocol?: number | undefined
  sourcePort?: number | undefined
  destinationPort?: number | undefined
  /** Answer the route of the table that matches instead of what results for this packet. */
  fibMatch?: boolean | undefined
}

/**
 * The routes of a namespace: of all tables, `local` included, unless a table is given; filtered in the kernel. A table
 * without routes is empty, not an error. Needs no privilege.
 * @throws NfkitError ENODEV when there is no such link
 */
export function list(options: NetnsOption & RouteFilter & DumpOptions = {}): RouteInfo[] {
  checkKeys(options, ['netns', 'partial', 'family', 'table', 'link', 'protocol', 'type'], 'options')
  checkFilter(options)
  return withRoute(options.netns, (socket) => dump(socket, options, options))
}

const QUERY: readonly (keyof RouteQuery)[] = [
  'netns', 'source', 'inputLink', 'link', 'mark', 'uid', 'tos', 'ipProtocol', 'sourcePort', 'destinationPort', 'fibMatch',
]

/**
 * Which route a packet takes, policy rules included. Needs no privilege.
 * @throws TypeError, RangeError before anything is done
 * @throws NfkitError ENETUNREACH when there is none, EACCES, EHOSTUNREACH and EINVAL for prohibit, unreachable and blackhole
 * routes, ENODEV
 */
export function get(destination: string, options: RouteQuery = {}): RouteInfo {
  checkKeys(options, QUERY, 'options')
  const address = parseIp(destination, 'destination')
  const family = familyOf(address)
  const { source, inputLink, link, mark, uid, tos, ipProtocol, sourcePort, destinationPort, fibMatch } = options
  checkBoolean(fibMatch, 'fibMatch')
  for (const ref of [inputLink, link]) if (ref !== undefined) checkLinkRef(ref)
  const bits = address.length * 8
  const build = (indexOf: (ref: LinkRef) => number): Partial<RouteMessage> & { family: number } => ({
    family: familyNumber(family),
    destinationLength: bits,
    ...(tos === undefined ? {} : { tos }),
    // IPv4 names the main table otherwise; IPv6 always names the right one and refuses the flag.
    flags: (family === 'ipv4' ? RTM_F.lookupTable : 0) | (fibMatch === true ? RTM_F.fibMatch : 0),
    ...(source === undefined ? {} : { sourceLength: bits }),
    attributes: given({
      destination,
      source: source === undefined ? undefined : formatIp(parseIp(source, 'source', family)),
      inputLink: inputLink === undefined ? undefined : indexOf(inputLink),
      link: link === undefined ? undefined : indexOf(link),
      mark, uid, ipProtocol, sourcePort, destinationPort,
    }),
  })
  encodeRoute(new Writer(), build(() => 1))
  return withRoute(options.netns, (socket) => {
    const request = build((ref) => resolveIndex(socket, ref))
    const message = socket.get(
      rtm('RTM_GETROUTE', { write: (w) => encodeRoute(w, request), doing: `looking up the route to ${destination}`, shape: routeShape }),
      decodeRoute,
    )
    return routeInfo(message)!
  })
}

/**
 * Adds a route. Needs CAP_NET_ADMIN.
 * @param options `append`: beside one with the same destination, tos and priority (IPv6: as a further way of it)
 * @throws TypeError, RangeError before anything is done
 * @throws NfkitError EEXIST, ENODEV, ENETUNREACH when the gateway is not reachable, ENETDOWN, EPERM
 */
export function add(spec: RouteSpec, options: NetnsOption & { append?: boolean | undefined } = {}): void {
  checkBoolean(options.append, 'append')
  const how = options.append === true ? NLM_F_APPEND : NLM_F_EXCL
  send('RTM_NEWROUTE', NLM_F_CREATE | how, spec, options, `adding route ${spec?.destination}`)
}

/** Adds a route, or puts it in the place of the one with the same destination, tos, table and priority. Never both, never none. */
export function replace(spec: RouteSpec, options: NetnsOption = {}): void {
  send('RTM_NEWROUTE', NLM_F_CREATE | NLM_F_REPLACE, spec, options, `replacing route ${spec?.destination}`)
}

/**
 * Deletes the first route that is as told; what is left out can be anything, but for the table, which is `main` then.
 * Needs CAP_NET_ADMIN.
 * @throws NfkitError ESRCH when there is none
 */
function remove(spec: RouteSpec, options: NetnsOption = {}): void {
  send('RTM_DELROUTE', 0, spec, options, `deleting route ${spec?.destination}`)
}
export { remove as delete }

/** What {@link watch} emits: see {@link Change}. */
export type RouteChange = Change<'route', RouteInfo>

/**
 * Watches the routes of a namespace from this call on. The kernel says nothing of the IPv4 routes that go with a link or an
 * address; they are listed again then, so that this tells of them too. Needs no privilege.
 */
export function watch(options: ObjectWatchOptions & RouteFilter = {}): Watch<RouteChange> {
  checkKeys(options, ['netns', 'resync', 'signal', 'maxQueue', 'family', 'table', 'link', 'protocol', 'type'], 'options')
  checkFilter(options)
  const filter: RouteFilter & { link?: number | undefined } = {
    ...options, link: options.link === undefined ? undefined : withRoute(options.netns, (socket) => resolveIndex(socket, options.link!)),
  }
  const links = new Map<number, number>()
  return watchObjects<'route', RouteInfo>({
    name: 'route',
    groups: [RtnlGroup.ipv4Route, RtnlGroup.ipv6Route, RtnlGroup.link, RtnlGroup.ipv4Address, RtnlGroup.ipv6Address],
    dump(socket) {
      // The kernel announces a link's end before it takes its routes, both under the lock that this waits for.
      getMessage(socket, LOOPBACK)
      return dump(socket, { ...filter, link: undefined }).filter((route) => matches(route, filter))
    },
    key: ({ family, table, destination, source, tos, priority = 0 }) => [family, table, destination, source, tos, priority].join(' '),
    shared: true,
    essence: (route) => textWithout(route, RUNNING),
    read: (input, msg) => readNotification(input, msg, filter, links),
  }, options)
}

const LOOPBACK = 1
const RUNNING = new Set(['expires', 'lastUse', 'used'])

function readNotification(
  input: Input, msg: NetlinkMessage, filter: RouteFilter, links: Map<number, number>,
): Notification<RouteInfo> | undefined {
  switch (msg.type) {
    case Rtm.RTM_NEWROUTE: case Rtm.RTM_DELROUTE: {
      const item = routeInfo(decodeRoute(input, msg))
      if (item === undefined || !matches(item, filter) || item.flags.includes('cloned')) return undefined
      if (msg.type === Rtm.RTM_DELROUTE) return { is: 'gone', item }
      return { is: 'there', item, replaces: (msg.flags & NLM_F_REPLACE) !== 0 }
    }
    case Rtm.RTM_NEWLINK: {
      const { family, index, flags } = decodeLink(input, msg)
      const state = flags & (IFF.up | IFF.running | IFF.lowerUp)
      if (family !== AF_UNSPEC || links.get(index) === state) return undefined
      links.set(index, state)
      return { is: 'unclear' }
    }
    case Rtm.RTM_DELLINK: {
      const { family, index } = decodeLink(input, msg)
      if (family !== AF_UNSPEC) return undefined
      links.delete(index)
      return { is: 'unclear' }
    }
    case Rtm.RTM_DELADDR: return { is: 'unclear' }
    default: return undefined
  }
}

function checkFilter({ family, table, link, protocol, type }: RouteFilter): void {
  if (family !== undefined) familyNumber(family)
  if (table !== undefined) tableNumber(table)
  if (link !== undefined) checkLinkRef(link)
  if (protocol !== undefined) routeProtocols.number(protocol, 'protocol')
  if (type !== undefined) routeTypes.number(type, 'type')
}

function matches(route: RouteInfo, { family, table, link, protocol, type }: RouteFilter): boolean {
  return (family === undefined || route.family === family) &&
    (table === undefined || routeTables.number(route.table, 'table') === routeTables.number(table, 'table')) &&
    (link === undefined || route.link === link || route.nexthops?.some((nexthop) => nexthop.link === link) === true) &&
    (protocol === undefined || route.protocol === routeProtocols.of(routeProtocols.number(protocol, 'protocol'))) &&
    (type === undefined || route.type === routeTypes.of(routeTypes.number(type, 'type')))
}

function dump(socket: NetlinkSocket, filter: RouteFilter, options?: DumpOptions): RouteInfo[] {
  const { table, link, protocol, type } = filter
  const index = link === undefined ? undefined : resolveIndex(socket, link)
  const routes: RouteInfo[] = []
  for (const family of filter.family === undefined ? ['ipv4', 'ipv6'] as const : [filter.family]) {
    const request = {
      family: familyNumber(family),
      ...(table === undefined ? {} : { table: tableNumber(table) }),
      ...(protocol === undefined ? {} : { protocol: routeProtocols.number(protocol, 'protocol') }),
      ...(type === undefined ? {} : { type: routeTypes.number(type, 'type') }),
      attributes: index === undefined ? {} : { link: index },
    }
    try {
      for (const route of socket.dump<RouteInfo>(
        rtm('RTM_GETROUTE', { write: (w) => encodeRoute(w, request), doing: 'listing routes', shape: routeShape }),
        (input, msg, into) => {
          const info = routeInfo(decodeRoute(input, msg))
          // Without IPv6 the kernel would answer with all families.
          if (info?.family === family) into.push(info)
        },
        options,
      )) routes.push(route)
    } catch (error) {
      // The kernel makes a table with its first route.
      if (table === undefined || !(error instanceof NfkitError) || error.code !== 'ENOENT') throw error
    }
  }
  return routes
}

function send(type: 'RTM_NEWROUTE' | 'RTM_DELROUTE', flags: number, spec: RouteSpec, options: NetnsOption, doing: string): void {
  const deleting = type === 'RTM_DELROUTE'
  encodeRoute(new Writer(), requestOf(spec, deleting, (ref) => { checkLinkRef(ref); return 1 }))
  withRoute(options.netns, (socket) => {
    const request = requestOf(spec, deleting, (ref) => resolveIndex(socket, ref))
    socket.request(rtm(type, { flags, write: (w) => encodeRoute(w, request), doing, shape: routeShape }))
  })
}
