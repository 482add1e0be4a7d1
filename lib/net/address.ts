// SPDX-License-Identifier: MIT
// IP addresses of links: list, add, replace, delete, watch.

import { invalidArgument, NfkitError, outOfRange } from '../errors.js'
import type { Watch } from '../events.js'
import { rtm, withRoute } from '../netlink/route.js'
import type { DumpOptions, NetlinkSocket } from '../netlink/socket.js'
import { type Change, type ObjectWatchOptions, textWithout, watchObjects } from '../netlink/watch.js'
import {
  type AddressFlag, addressFlags, type AddressMessage, type AddressProtocolName, addressShape, decodeAddress, encodeAddress,
  FOREVER, SETTABLE_FLAGS,
} from '../wire/address.js'
import { checkInteger } from '../wire/attributes.js'
import { Writer } from '../wire/bytes.js'
import { familyOf, formatIp, type IpFamily, parseIp, parsePrefix, type Prefix } from '../wire/ip.js'
import type { UnnamedFlag } from '../wire/names.js'
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type RawAttribute } from '../wire/netlink.js'
import { AF_UNSPEC, familyName, familyNumber, Rtm, RtnlGroup, type ScopeName, scopes } from '../wire/rtnetlink.js'
import { checkKeys } from './check.js'
import { checkLinkRef, type LinkRef, type NetnsOption, resolveIndex } from './link-ref.js'

/** What an address is to be. What {@link list} answers can be given back; what the kernel decides is passed over then. */
export interface AddressSpec {
  /** The link that has it. */
  link: LinkRef
  /** `192.168.0.1/24`; without a length it is the whole address: /32 or /128. */
  address: string
  family?: IpFamily
  /** The address of the other end of a point-to-point link; the prefix length is about its network then. */
  peer?: string
  /** IPv4: none unless told; `auto` is the last address of the network (RFC 919). */
  broadcast?: string | 'auto'
  /** IPv4: 1 to 15 bytes, by habit the link's name, a colon and a word; the link's name unless told. */
  label?: string
  /** IPv4: `host` for 127.0.0.0/8 and `global` for others unless told. The kernel knows that of an IPv6 address itself. */
  scope?: ScopeName | number
  flags?: (AddressFlag | UnnamedFlag)[]
  /** Seconds until the address is no longer used for new connections, 0 to 4294967294; for ever unless told. */
  preferredLifetime?: number
  /** Seconds until the kernel takes the address away, 1 to 4294967294; for ever unless told. */
  validLifetime?: number
  /** Metric of the route to the prefix, 0 to 4294967295. */
  priority?: number
  /** Who made it (Linux 5.18). */
  protocol?: AddressProtocolName | number
}

/** An address as the kernel reports it. Lifetimes are absent when they do not end. */
export interface AddressInfo extends AddressSpec {
  /** Index of the link. */
  link: number
  family: IpFamily
  broadcast?: string
  scope: ScopeName | number
  flags: (AddressFlag | UnnamedFlag)[]
  /** Seconds since the machine started, in steps of 0.01. */
  created?: number
  /** When the lifetimes were last set, likewise. */
  updated?: number
  /** Attributes that nfkit has no name for. */
  unknown?: RawAttribute[]
}

/** Which addresses are meant: all unless told. */
export interface AddressFilter {
  link?: LinkRef | undefined
  family?: IpFamily | undefined
}

const SPEC: readonly (keyof AddressSpec)[] = [
  'link', 'address', 'family', 'peer', 'broadcast', 'label', 'scope', 'flags', 'preferredLifetime', 'validLifetime', 'priority', 'protocol',
]
const REPORTED = ['created', 'updated', 'unknown']

/** All flags are in the attributes. */
type AddressRequest = Omit<AddressMessage, 'flags'>

/**
 * The addresses of a namespace, IPv4 first; filtered in the kernel. Needs no privilege.
 * @throws NfkitError ENODEV when there is no such link
 */
export function list(options: NetnsOption & AddressFilter & DumpOptions = {}): AddressInfo[] {
  checkKeys(options, ['netns', 'partial', 'link', 'family'], 'options')
  checkFilter(options)
  return withRoute(options.netns, (socket) => dump(socket, options, options))
}

/**
 * Gives a link an address; the kernel makes the route to its prefix. Needs CAP_NET_ADMIN.
 * @throws TypeError, RangeError before anything is done
 * @throws NfkitError EEXIST when the link has it, ENODEV, EPERM, EACCES where IPv6 is switched off
 */
export function add(spec: AddressSpec, options: NetnsOption = {}): void {
  const request = requestOf(spec)
  withRoute(options.netns, (socket) => {
    request.index = resolveIndex(socket, spec.link)
    send(socket, 'RTM_NEWADDR', NLM_F_CREATE | NLM_F_EXCL, request, `adding address ${spec.address}`)
  })
}

/**
 * Gives a link an address, or changes the one that it has: lifetimes, priority and protocol, in IPv6 also flags and peer.
 * Needs CAP_NET_ADMIN.
 * @throws NfkitError EOPNOTSUPP for a change that the kernel would pass over in silence: label, broadcast, scope and flags
 * of an IPv4 address, the prefix length of an IPv6 one; nothing is changed then. Otherwise as {@link add}
 */
export function replace(spec: AddressSpec, options: NetnsOption = {}): void {
  const request = requestOf(spec)
  withRoute(options.netns, (socket) => {
    request.index = resolveIndex(socket, spec.link)
    checkReplaceable(socket, spec, request)
    send(socket, 'RTM_NEWADDR', NLM_F_CREATE | NLM_F_REPLACE, request, `replacing address ${spec.address}`)
  })
}

/**
 * Takes an address from a link. With the first IPv4 address of a network the kernel also takes its secondary ones, unless the
 * sysctl `net/ipv4/conf/LINK/promote_secondaries` is 1; the routes through it go too. Needs CAP_NET_ADMIN.
 * @throws NfkitError EADDRNOTAVAIL when the link does not have it with this prefix length, ENODEV, EPERM
 */
function remove(spec: Pick<AddressSpec, 'link' | 'address'> & Partial<AddressSpec>, options: NetnsOption = {}): void {
  const request = requestOf(spec)
  const { address, local, label } = request.attributes
  request.attributes = {
    ...(address === undefined ? {} : { address }), ...(local === undefined ? {} : { local }), ...(label === undefined ? {} : { label }),
  }
  withRoute(options.netns, (socket) => {
    request.index = resolveIndex(socket, spec.link)
    send(socket, 'RTM_DELADDR', 0, request, `deleting address ${spec.address}`)
  })
}
export { remove as delete }

/** What {@link watch} emits: see {@link Change}. */
export type AddressChange = Change<'address', AddressInfo>

/** Watches the addresses of a namespace from this call on. Needs no privilege. */
export function watch(options: ObjectWatchOptions & AddressFilter = {}): Watch<AddressChange> {
  checkKeys(options, ['netns', 'resync', 'signal', 'maxQueue', 'link', 'family'], 'options')
  checkFilter(options)
  const { family } = options
  const link = options.link === undefined ? undefined : withRoute(options.netns, (socket) => resolveIndex(socket, options.link!))
  return watchObjects<'address', AddressInfo>({
    name: 'address',
    groups: (family === undefined ? ['ipv4', 'ipv6'] as const : [family]).map((one) => RtnlGroup[`${one}Address`]),
    dump: (socket) => dump(socket, { family }).filter((address) => link === undefined || address.link === link),
    key: ({ link, family, address, peer }) => (family === 'ipv4' ? `${link} ${address} ${peer ?? ''}` : `${link} ${address}`),
    // Lifetimes run down; `updated` tells when they are set anew.
    essence: (address) => textWithout(address, RUNNING),
    read(input, msg) {
      if (msg.type !== Rtm.RTM_NEWADDR && msg.type !== Rtm.RTM_DELADDR) return undefined
      const item = addressInfo(decodeAddress(input, msg))
      if (item === undefined || (link !== undefined && item.link !== link)) return undefined
      return { is: msg.type === Rtm.RTM_NEWADDR ? 'there' : 'gone', item }
    },
  }, options)
}

const RUNNING = new Set(['preferredLifetime', 'validLifetime'])

function checkFilter({ link, family }: AddressFilter): void {
  if (link !== undefined) checkLinkRef(link)
  if (family !== undefined) familyNumber(family)
}

function dump(socket: NetlinkSocket, { link, family }: AddressFilter, options?: DumpOptions): AddressInfo[] {
  const index = link === undefined ? 0 : resolveIndex(socket, link)
  const request = { family: family === undefined ? AF_UNSPEC : familyNumber(family), prefixLength: 0, scope: 0, index, attributes: {} }
  return socket.dump<AddressInfo>(
    rtm('RTM_GETADDR', { write: (w) => encodeAddress(w, request), doing: 'listing addresses', shape: addressShape }),
    (input, msg, into) => {
      const info = addressInfo(decodeAddress(input, msg))
      if (info !== undefined && (family === undefined || info.family === family)) into.push(info)
    },
    options,
  )
}

function send(socket: NetlinkSocket, type: 'RTM_NEWADDR' | 'RTM_DELADDR', flags: number, request: AddressRequest, doing: string): void {
  socket.request(rtm(type, { flags, write: (w) => encodeAddress(w, request), doing, shape: addressShape }))
}

/** Checks everything; the link's index is left to fill in. */
function requestOf(spec: Partial<AddressSpec>): AddressRequest {
  checkKeys(spec, [...SPEC, ...REPORTED], 'address')
  checkLinkRef(spec.link)
  const prefix = parsePrefix(spec.address as string, 'address', spec.family)
  const family = familyOf(prefix.address)
  const address = formatIp(prefix.address)
  const peer = spec.peer === undefined ? undefined : formatIp(parseIp(spec.peer, 'peer', family))
  const { label, priority, protocol } = spec
  if (family === 'ipv6') {
    if (label !== undefined) throw invalidArgument('label', 'none for an IPv6 address', label)
    if (spec.broadcast !== undefined) throw invalidArgument('broadcast', 'none for an IPv6 address', spec.broadcast)
  }
  const broadcast = spec.broadcast === undefined ? undefined
    : spec.broadcast === 'auto' ? broadcastOf(prefix) : formatIp(parseIp(spec.broadcast, 'broadcast', 'ipv4'))
  const flags = (spec.flags === undefined ? 0 : addressFlags[family].bits(spec.flags, 'flags')) & SETTABLE_FLAGS
  const cacheInfo = lifetimes(spec)
  const request: AddressRequest = {
    family: familyNumber(family),
    prefixLength: prefix.length,
    scope: scopes.number(spec.scope ?? (family === 'ipv4' && prefix.address[0] === 127 ? 'host' : 'global'), 'scope'),
    index: 0,
    attributes: {
      local: address,
      address: peer ?? address,
      ...(label === undefined ? {} : { label }),
      ...(broadcast === undefined ? {} : { broadcast }),
      ...(flags === 0 ? {} : { flags }),
      ...(cacheInfo === undefined ? {} : { cacheInfo }),
      ...(priority === undefined ? {} : { priority }),
      ...(protocol === undefined ? {} : { protocol }),
    },
  }
  encodeAddress(new Writer(), request)
  return request
}

function lifetimes({ preferredLifetime, validLifetime }: Partial<AddressSpec>) {
  if (preferredLifetime === undefined && validLifetime === undefined) return undefined
  if (preferredLifetime !== undefined) checkInteger(preferredLifetime, 0, FOREVER - 1, 'preferredLifetime')
  if (validLifetime !== undefined) checkInteger(validLifetime, 1, FOREVER - 1, 'validLifetime')
  const valid = validLifetime ?? FOREVER
  const preferred = preferredLifetime ?? valid
  if (preferred > valid) throw outOfRange('preferredLifetime', `at most the valid lifetime ${valid}`, preferred)
  return { preferredLifetime: preferred, validLifetime: valid, created: 0, updated: 0 }
}

/** All ones behind the prefix (RFC 919); networks of one or two addresses have none (RFC 3021). */
function broadcastOf({ address, length }: Prefix): string | undefined {
  if (length > 30) return undefined
  return formatIp(address.map((byte, i) => byte | (0xff >> Math.min(Math.max(length - i * 8, 0), 8))))
}

/** inet_rtm_newaddr and inet6_addr_modify take the request and pass these over. */
function checkReplaceable(socket: NetlinkSocket, spec: AddressSpec, request: AddressRequest): void {
  const family = familyName(request.family)!
  const bare = (text: string) => text.slice(0, text.indexOf('/'))
  const { label, broadcast, flags = 0, local, address } = request.attributes
  const peer = address === local ? undefined : address
  for (const old of dump(socket, { link: request.index, family })) {
    if (bare(old.address) !== local) continue
    const length = Number(old.address.slice(old.address.indexOf('/') + 1))
    const kept: string[] = []
    if (family === 'ipv6') {
      if (length !== request.prefixLength) kept.push('prefix length')
    } else {
      if (length !== request.prefixLength || old.peer !== peer) continue
      if (label !== undefined && label !== old.label) kept.push('label')
      if (spec.broadcast !== undefined && broadcast !== old.broadcast) kept.push('broadcast')
      if (spec.scope !== undefined && request.scope !== scopes.number(old.scope, 'scope')) kept.push('scope')
      if (spec.flags !== undefined && flags !== (addressFlags.ipv4.bits(old.flags, 'flags') & SETTABLE_FLAGS)) kept.push('flags')
    }
    if (kept.length > 0) {
      const why = `the kernel does not change the ${kept.join(', ')} of an address`
      throw new NfkitError('EOPNOTSUPP', `replacing address ${spec.address}: ${why}`, {
        syscall: 'RTM_NEWADDR', hint: 'delete the address and add it again; routes through it go with it',
      })
    }
  }
}

/** The plain object of an address message; undefined for one of another family. */
function addressInfo({ family: number, prefixLength, flags, scope, index, attributes }: AddressMessage): AddressInfo | undefined {
  const family = familyName(number)
  if (family === undefined) return undefined
  const { address, local = address, label, broadcast, cacheInfo, priority, protocol, anycast, multicast, unknown } = attributes
  // Anycast and multicast addresses have messages of their own kind.
  const own = local ?? anycast ?? multicast
  if (own === undefined) throw new NfkitError('EBADMSG', 'malformed netlink data: an address message without an address')
  const info: AddressInfo = {
    link: index, family, address: `${own}/${prefixLength}`, scope: scopes.of(scope), flags: addressFlags[family].of(flags),
  }
  if (address !== undefined && address !== own) info.peer = address
  if (broadcast !== undefined) info.broadcast = broadcast
  if (label !== undefined) info.label = label
  if (cacheInfo !== undefined) {
    if (cacheInfo.preferredLifetime !== FOREVER) info.preferredLifetime = cacheInfo.preferredLifetime
    if (cacheInfo.validLifetime !== FOREVER) info.validLifetime = cacheInfo.validLifetime
    info.created = cacheInfo.created
    info.updated = cacheInfo.updated
  }
  if (priority !== undefined) info.priority = priority
  if (protocol !== undefined) info.protocol = protocol
  if (unknown !== undefined) info.unknown = unknown
  return info
}
