// SPDX-License-Identifier: MIT
// What is to be changed on a link, checked and made a request.

import { invalidArgument } from '../errors.js'
import type { NetlinkSocket } from '../netlink/socket.js'
import type { NetnsLike } from '../netns.js'
import { checkInteger, checkInterfaceName } from '../wire/attributes.js'
import { Writer } from '../wire/bytes.js'
import { type AddrGenMode, encodeLink, IFF, type LinkMessage, type LinkRequest } from '../wire/link.js'
import { checkBoolean, checkKeys } from './check.js'
import { linkInfo } from './link-info.js'
import type { LinkKinds } from './link-kinds.js'
import { checkLinkRef, type LinkRef, resolveIndex } from './link-ref.js'

/** What can be changed on any link, and given when it is made. */
export interface LinkChanges {
  up?: boolean
  /** Bytes of a packet without the link-layer header; each device has its limits. */
  mtu?: number
  /** Some hardware takes a new address only while it is down. */
  mac?: string
  broadcast?: string
  /** False: the kernel answers no ARP here and asks none (IFF_NOARP). */
  arp?: boolean
  promiscuous?: boolean
  allMulticast?: boolean
  multicast?: boolean
  /** Name or index of the new master; null takes the link out of its master. */
  master?: LinkRef | null
  /** Free text of at most 255 bytes; empty for none. */
  alias?: string
  /** Packets. */
  txQueueLength?: number
  group?: number
  /** The new name, 1 to 15 bytes; the link may be up from Linux 6.2 on and must be down before. */
  name?: string
  /** How IPv6 link-local addresses are made; `none` before the link goes up gives a link without one. */
  addrGenMode?: AddrGenMode
  /** Devices that let it be set: dummy for example. */
  carrier?: boolean
  linkMode?: 'default' | 'dormant'
  /** Keeps the carrier off until it is false again (RFC 2863 would call it lower layer down); few devices have it. */
  protocolDown?: boolean
}

/** What every new link has, whatever its kind. */
export interface NewLink extends LinkChanges {
  name: string
  /** The interface index, 1 to 2147483647; the kernel chooses unless told. */
  index?: number
  /** The namespace to make it in; `link` is looked up where the call is made. */
  netns?: NetnsLike
  txQueues?: number
  rxQueues?: number
}

/** What a new link is to be: the general fields and, by `kind`, those of the kind. */
export type LinkSpec = { [K in keyof LinkKinds]: NewLink & { kind: K } & LinkKinds[K]['spec'] }[keyof LinkKinds]

/** The other end of a veth. */
export interface PeerSpec extends LinkChanges {
  /** The kernel chooses `vethN` unless told. */
  name?: string
  /** The interface index, 1 to 2147483647; the kernel chooses unless told. */
  index?: number
  /** The namespace to make it in, that of the call unless told. `master` is looked up there. */
  netns?: NetnsLike
}

/** A {@link LinkSpec} without the distinction by kind. */
export interface AnyLinkSpec extends NewLink {
  kind: string
  data?: object
  link?: LinkRef
  peer?: PeerSpec
}

const BITS = { up: IFF.up, promiscuous: IFF.promiscuous, allMulticast: IFF.allMulticast, multicast: IFF.multicast, arp: IFF.noArp } as const
const ATTRIBUTES = ['mtu', 'mac', 'broadcast', 'alias', 'txQueueLength', 'group', 'name', 'carrier', 'linkMode', 'protocolDown'] as const
const CHANGES = [...Object.keys(BITS), ...ATTRIBUTES, 'master', 'addrGenMode']
const SPEC = [...CHANGES, 'index', 'kind', 'data', 'link', 'peer', 'netns', 'txQueues', 'rxQueues']
const MOST_INDEX = 2 ** 31 - 1
/** What rtnl_create_link and rtnl_configure_link (net/core/rtnetlink.c) do not look at: for a second request. */
const LATE: readonly (keyof LinkChanges)[] = ['alias', 'addrGenMode', 'carrier', 'protocolDown']
/** veth_newlink (drivers/net/veth.c) puts the peer into no master, and refuses it up: the two are not yet a pair then. */
export const PEER_LATE: readonly (keyof LinkChanges)[] = [...LATE, 'master', 'up']

/** Throws the TypeError or RangeError of changes that no link takes. Asks nobody. @internal */
export function checkChanges(changes: LinkChanges, name = 'changes', known: readonly string[] = CHANGES): void {
  checkKeys(changes, known, name)
  for (const key of Object.keys(BITS)) checkBoolean((changes as Record<string, unknown>)[key], key)
  if (changes.name !== undefined) checkNewName(changes.name, 'name')
  if (changes.master !== undefined && changes.master !== null) checkLinkRef(changes.master, 'master')
  encodeLink(new Writer(), plainRequest(changes))
}

/** As {@link checkChanges} for a new link and its peer. */
export function checkSpec(spec: AnyLinkSpec): void {
  checkChanges(spec, 'link', SPEC)
  const { kind, data, link, peer, txQueues, rxQueues } = spec
  checkNewName(spec.name, 'name')
  if (spec.index !== undefined) checkInteger(spec.index, 1, MOST_INDEX, 'index')
  if (typeof kind !== 'string') throw invalidArgument('kind', 'a link kind such as veth', kind)
  if (link !== undefined) checkLinkRef(link, 'link')
  if (peer !== undefined) {
    if (kind !== 'veth') throw invalidArgument('peer', 'none, since only a veth has one', peer)
    if (data !== undefined) throw invalidArgument('data', 'none beside a peer', data)
    checkChanges(peer, 'peer', [...CHANGES, 'netns', 'index'])
    if (peer.index !== undefined) checkInteger(peer.index, 1, MOST_INDEX, 'peer.index')
  }
  const attributes = { ...(txQueues === undefined ? {} : { txQueues }), ...(rxQueues === undefined ? {} : { rxQueues }) }
  encodeLink(new Writer(), { attributes: { ...attributes, kindInfo: { kind, ...(data === undefined ? {} : { data }) } } })
}

/** The kernel takes a name with `%d` as a pattern to fill in and refuses any other percent sign (dev_alloc_name, net/core/dev.c). */
function checkNewName(value: unknown, name: string): asserts value is string {
  checkInterfaceName(value, name)
  if (value.includes('%')) throw invalidArgument(name, 'an interface name without a percent sign', value)
}

/** The changes as a request, but for the master, whose index must be asked. */
function plainRequest(changes: LinkChanges): LinkRequest {
  let flags = 0
  let change = 0
  for (const [key, mask] of Object.entries(BITS)) {
    const value = changes[key as keyof typeof BITS]
    if (value === undefined) continue
    change |= mask
    if (value !== (key === 'arp')) flags |= mask
  }
  const attributes = Object.fromEntries(ATTRIBUTES.filter((key) => changes[key] !== undefined).map((key) => [key, changes[key]]))
  return { flags, change, attributes, ...(changes.addrGenMode === undefined ? {} : { addrGenMode: changes.addrGenMode }) }
}

/** The request of checked changes; the master is looked up where `socket` is. */
export function changeRequest(socket: NetlinkSocket, changes: LinkChanges): LinkRequest {
  const request = plainRequest(changes)
  const { master } = changes
  if (master !== undefined) request.attributes = { ...request.attributes, master: master === null ? 0 : resolveIndex(socket, master) }
  return request
}

/** Divides the changes of a new link into what the creation takes and what needs a request of its own afterwards. */
export function divide(changes: LinkChanges, late = LATE): { first: LinkChanges; then: LinkChanges | undefined } {
  const isLate = (key: string) => (late as readonly string[]).includes(key)
  const entries = Object.entries(changes).filter(([, value]) => value !== undefined)
  if (!entries.some(([key]) => isLate(key))) return { first: changes, then: undefined }
  // Up comes last, when everything is in place.
  return {
    first: Object.fromEntries(entries.filter(([key]) => !isLate(key) && key !== 'up')),
    then: Object.fromEntries(entries.filter(([key]) => isLate(key) || key === 'up')),
  }
}

/** What of `changes` is different in `now`, with the values of `before`: one change each, since one may fail. */
export function undoing(changes: LinkChanges, before: LinkMessage, now: LinkMessage): LinkChanges[] {
  const was = linkInfo(before)
  const is = linkInfo(now)
  const undo: LinkChanges[] = []
  for (const key of CHANGES as (keyof LinkChanges)[]) {
    if (changes[key] === undefined || was[key] === is[key]) continue
    undo.push({ [key]: was[key] ?? (key === 'master' ? null : key === 'alias' ? '' : undefined) })
  }
  return undo
}
