// SPDX-License-Identifier: MIT
// Neighbours, the ARP and ND tables: list, get, add, replace, delete, watch.

import { invalidArgument } from '../errors.js'
import type { Watch } from '../events.js'
import { rtm, withRoute } from '../netlink/route.js'
import type { DumpOptions, NetlinkSocket } from '../netlink/socket.js'
import { type Change, type ObjectWatchOptions, textWithout, watchObjects } from '../netlink/watch.js'
import { Writer } from '../wire/bytes.js'
import { familyOf, type IpFamily, parseIp } from '../wire/ip.js'
import type { UnnamedFlag } from '../wire/names.js'
import {
  decodeNeighbour, encodeNeighbour, type NeighbourFlag, neighbourFlags, type NeighbourMessage, neighbourShape, type NeighbourState,
  neighbourStates, NTF_PROXY,
} from '../wire/neighbour.js'
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type RawAttribute } from '../wire/netlink.js'
import {
  familyName, familyNumber, type RouteProtocolName, routeProtocols, type RouteTypeName, routeTypes, Rtm, RtnlGroup,
} from '../wire/rtnetlink.js'
import { checkBoolean, checkKeys } from './check.js'
import { checkLinkRef, type LinkRef, type NetnsOption, resolveIndex } from './link-ref.js'

/** What a neighbour is to be. What {@link list} answers can be given back; what the kernel decides is passed over then. */
export interface NeighbourSpec {
  link: LinkRef
  /** IPv4 or IPv6, without a prefix length. */
  address: string
  /** Needed for the states that know one: all but `none`, `incomplete` and `failed`. */
  mac?: string
  /** `permanent` unless told; `none` for proxies. */
  state?: NeighbourState | number
  flags?: (NeighbourFlag | UnnamedFlag)[]
  /** Who made it (Linux 5.0). */
  protocol?: RouteProtocolName | number
}

/** A neighbour as the kernel reports it. */
export interface NeighbourInfo extends NeighbourSpec {
  /** Index. */
  link: number
  family: IpFamily
  state: NeighbourState | number
  flags: (NeighbourFlag | UnnamedFlag)[]
  /** What kind of address it is: `unicast`, `multicast`, `broadcast`, `local`. */
  type: RouteTypeName | number
  /** Questions sent without an answer. */
  probes?: number
  /** Seconds since it was known to be there, since it was used, since it last changed; in steps of 0.01. */
  confirmed?: number
  used?: number
  updated?: number
  /** Users within the kernel. */
  references?: number
  vni?: number
  nexthopId?: number
  /** Attributes that nfkit has no name for. */
  unknown?: RawAttribute[]
}

/** Which neighbours are meant: all unless told, those that need no asking (`noarp`) included. */
export interface NeighbourFilter {
  family?: IpFamily | undefined
  link?: LinkRef | undefined
  /** Those on links with this master. */
  master?: LinkRef | undefined
}

const SPEC = ['link', 'address', 'mac', 'state', 'flags', 'protocol']
const REPORTED = ['family', 'type', 'probes', 'confirmed', 'used', 'updated', 'references', 'vni', 'nexthopId', 'unknown']

/**
 * The neighbours of a namespace; filtered in the kernel. Needs no privilege.
 * @param options `proxy`: list the addresses that this machine answers for instead
 * @throws NfkitError ENODEV when there is no such link
 */
export function list(options: NetnsOption & NeighbourFilter & DumpOptions & { proxy?: boolean | undefined } = {}): NeighbourInfo[] {
  checkKeys(options, ['netns', 'partial', 'family', 'link', 'master', 'proxy'], 'options')
  checkFilter(options)
  checkBoolean(options.proxy, 'proxy')
  return withRoute(options.netns, (socket) => dump(socket, options, options.proxy, options))
}

/**
 * One neighbour (Linux 5.0). Needs no privilege.
 * @throws NfkitError ENOENT when it is not in the table, ENODEV
 */
export function get(
  which: Pick<NeighbourSpec, 'link' | 'address'> & { proxy?: boolean | undefined }, options: NetnsOption = {},
): NeighbourInfo {
  checkKeys(which, ['link', 'address', 'proxy'], 'neighbour')
  const { link, address, proxy } = which
  checkLinkRef(link)
  checkBoolean(proxy, 'proxy')
  const family = familyNumber(familyOf(parseIp(address)))
  return withRoute(options.netns, (socket) => {
    const request = { family, index: resolveIndex(socket, link), flags: proxy === true ? NTF_PROXY : 0, attributes: { address } }
    return neighbourInfo(socket.get(
      rtm('RTM_GETNEIGH', { write: (w) => encodeNeighbour(w, request), doing: `looking up neighbour ${address}`, shape: neighbourShape }),
      decodeNeighbour,
    ))!
  })
}

/**
 * Adds a neighbour. Needs CAP_NET_ADMIN.
 * @throws TypeError, RangeError before anything is done
 * @throws NfkitError EEXIST, ENODEV, EINVAL where the device has no neighbours, EPERM
 */
export function add(spec: NeighbourSpec, options: NetnsOption = {}): void {
  send('RTM_NEWNEIGH', NLM_F_CREATE | NLM_F_EXCL, spec, options, `adding neighbour ${spec?.address}`)
}

/** Adds a neighbour, or changes the one that there is. Needs CAP_NET_ADMIN. */
export function replace(spec: NeighbourSpec, options: NetnsOption = {}): void {
  send('RTM_NEWNEIGH', NLM_F_CREATE | NLM_F_REPLACE, spec, options, `replacing neighbour ${spec?.address}`)
}

/**
 * Deletes a neighbour; with the flag `proxy`, an address that this machine answers for. Needs CAP_NET_ADMIN.
 * @throws NfkitError ENOENT when it is not in the table, ENODEV, EPERM
 */
function remove(
  spec: Pick<NeighbourSpec, 'link' | 'address'> & Partial<Omit<NeighbourInfo, 'link' | 'address'>>, options: NetnsOption = {},
): void {
  checkKeys(spec, [...SPEC, ...REPORTED], 'neighbour')
  const { link, address, flags = [] } = spec
  const proxy = (neighbourFlags.bits(flags, 'flags') & NTF_PROXY) !== 0
  const key: NeighbourSpec = { link, address, flags: proxy ? ['proxy'] : [], state: 'none' }
  send('RTM_DELNEIGH', 0, key, options, `deleting neighbour ${address}`)
}
export { remove as delete }

/** What {@link watch} emits: see {@link Change}. */
export type NeighbourChange = Change<'neighbour', NeighbourInfo>

/**
 * Watches the neighbours of a namespace from this call on. The kernel announces no proxies, and not every step between the
 * states of a neighbour in use. Needs no privilege.
 */
export function watch(options: ObjectWatchOptions & Omit<NeighbourFilter, 'master'> = {}): Watch<NeighbourChange> {
  checkKeys(options, ['netns', 'resync', 'signal', 'maxQueue', 'family', 'link'], 'options')
  checkFilter(options)
  const { family } = options
  const link = options.link === undefined ? undefined : withRoute(options.netns, (socket) => resolveIndex(socket, options.link!))
  const wanted = (neighbour: NeighbourInfo) =>
    (family === undefined || neighbour.family === family) && (link === undefined || neighbour.link === link)
  return watchObjects<'neighbour', NeighbourInfo>({
    name: 'neighbour',
    groups: [RtnlGroup.neighbour],
    dump: (socket) => dump(socket, { family }).filter(wanted),
    key: ({ link, address }) => `${link} ${address}`,
    essence: (neighbour) => textWithout(neighbour, AGES),
    read(input, msg) {
      if (msg.type !== Rtm.RTM_NEWNEIGH && msg.type !== Rtm.RTM_DELNEIGH) return undefined
      // The group is also that of forwarding databases, which are of another family.
      const item = neighbourInfo(decodeNeighbour(input, msg))
      if (item === undefined || !wanted(item)) return undefined
      return { is: msg.type === Rtm.RTM_NEWNEIGH ? 'there' : 'gone', item }
    },
  }, options)
}

const AGES = new Set(['confirmed', 'used', 'updated', 'references', 'probes'])

function checkFilter({ family, link, master }: NeighbourFilter): void {
  if (family !== undefined) familyNumber(family)
  if (link !== undefined) checkLinkRef(link)
  if (master !== undefined) checkLinkRef(master, 'master')
}

function dump(socket: NetlinkSocket, { family, link, master }: NeighbourFilter, proxy = false, options?: DumpOptions): NeighbourInfo[] {
  const request = {
    family: family === undefined ? 0 : familyNumber(family),
    flags: proxy ? NTF_PROXY : 0,
    attributes: {
      ...(link === undefined ? {} : { link: resolveIndex(socket, link) }),
      ...(master === undefined ? {} : { master: resolveIndex(socket, master) }),
    },
  }
  return socket.dump<NeighbourInfo>(
    rtm('RTM_GETNEIGH', { write: (w) => encodeNeighbour(w, request), doing: 'listing neighbours', shape: neighbourShape }),
    (input, msg, into) => {
      const info = neighbourInfo(decodeNeighbour(input, msg))
      if (info !== undefined && (family === undefined || info.family === family)) into.push(info)
    },
    options,
  )
}

function send(type: 'RTM_NEWNEIGH' | 'RTM_DELNEIGH', messageFlags: number, spec: NeighbourSpec, options: NetnsOption, doing: string): void {
  const request = requestOf(spec)
  withRoute(options.netns, (socket) => {
    request.index = resolveIndex(socket, spec.link)
    socket.request(rtm(type, { flags: messageFlags, write: (w) => encodeNeighbour(w, request), doing, shape: neighbourShape }))
  })
}

const WITHOUT_MAC = ['none', 'incomplete', 'failed']

/** Checks everything; the link's index is left to fill in. */
function requestOf(spec: NeighbourSpec): NeighbourMessage {
  checkKeys(spec, [...SPEC, ...REPORTED], 'neighbour')
  const { link, address, mac, protocol } = spec
  checkLinkRef(link)
  const family = familyOf(parseIp(address))
  const flags = spec.flags === undefined ? 0 : neighbourFlags.bits(spec.flags, 'flags')
  const proxy = (flags & NTF_PROXY) !== 0
  // A lookup that the kernel is to make needs no answer beforehand.
  const looksUp = spec.flags?.some((flag) => flag === 'use' || flag === 'managed') === true
  const state = neighbourStates.number(spec.state ?? (proxy || looksUp ? 'none' : 'permanent'), 'state')
  if (mac === undefined && !proxy && !WITHOUT_MAC.includes(String(neighbourStates.of(state)))) {
    throw invalidArgument('mac', `a MAC address for a neighbour that is ${neighbourStates.of(state)}`, mac)
  }
  const request: NeighbourMessage = {
    family: familyNumber(family), index: 0, state, flags, type: 0,
    attributes: { address, ...(mac === undefined || proxy ? {} : { mac }), ...(protocol === undefined ? {} : { protocol }) },
  }
  if (protocol !== undefined) routeProtocols.number(protocol, 'protocol')
  encodeNeighbour(new Writer(), request)
  return request
}

/** The plain object of a neighbour message; undefined for one of another family. */
function neighbourInfo({ family: number, index, state, flags, type, attributes }: NeighbourMessage): NeighbourInfo | undefined {
  const family = familyName(number)
  const { address, mac, cacheInfo, probes, protocol, vni, nexthopId, unknown } = attributes
  if (family === undefined || address === undefined) return undefined
  const info: NeighbourInfo = {
    link: index, family, address, state: neighbourStates.of(state), flags: neighbourFlags.of(flags), type: routeTypes.of(type),
  }
  if (mac !== undefined && mac !== '') info.mac = mac
  if (protocol !== undefined) info.protocol = protocol
  if (probes !== undefined) info.probes = probes
  if (cacheInfo !== undefined) Object.assign(info, cacheInfo)
  if (vni !== undefined) info.vni = vni
  if (nexthopId !== undefined) info.nexthopId = nexthopId
  if (unknown !== undefined) info.unknown = unknown
  return info
}
