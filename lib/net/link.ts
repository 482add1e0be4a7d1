// SPDX-License-Identifier: MIT
// Network devices: list, get, add, set, move, delete, watch.

import { Errno } from '../errno.js'
import { NfkitError, invalidArgument } from '../errors.js'
import type { Watch } from '../events.js'
import { rtm, withRoute } from '../netlink/route.js'
import type { DumpOptions, NetlinkSocket } from '../netlink/socket.js'
import { type Change, type Notification, type ObjectWatchOptions, textWithout, watchObjects } from '../netlink/watch.js'
import { type Netns, type NetnsLike, resolveNetns } from '../netns.js'
import { decodeLink, encodeLink, type LinkAttributes, type LinkRequest, linkShape, type NestedLink } from '../wire/link.js'
import { type Input, Writer } from '../wire/bytes.js'
import { type NetlinkMessage, NLM_F_CREATE, NLM_F_EXCL } from '../wire/netlink.js'
import { AF_UNSPEC, Rtm, RtnlGroup } from '../wire/rtnetlink.js'
import { checkKeys } from './check.js'
import { type LinkInfo, linkInfo, type LinkOfKind } from './link-info.js'
import type { LinkKinds } from './link-kinds.js'
import { checkLinkRef, getMessage, type LinkRef, type NetnsOption, resolveIndex } from './link-ref.js'
import {
  type AnyLinkSpec, changeRequest, checkChanges, checkSpec, divide, type LinkChanges, type LinkSpec, PEER_LATE, undoing,
} from './link-request.js'

export { isKind, linkInfo, type LinkInfo, type LinkOfKind } from './link-info.js'
export type { LinkKind, LinkKinds } from './link-kinds.js'
export { checkLinkRef, getMessage, type LinkRef, type NetnsOption, resolveIndex } from './link-ref.js'
export { checkChanges, type LinkChanges, type LinkSpec, type NewLink, type PeerSpec } from './link-request.js'

/** What `get` and `list` take. */
export interface LinkReadOptions<B extends boolean = boolean> extends NetnsOption {
  /** Counters as BigInt: exact above 2^53, and not JSON-serialisable. */
  bigint?: B | undefined
}

/** What `list` takes beside. */
export interface LinkListOptions<B extends boolean = boolean> extends LinkReadOptions<B>, DumpOptions {
  /** Only the links with this master. */
  master?: LinkRef | undefined
  /** Only the links of this kind. */
  kind?: string | undefined
}

/**
 * Every link of the namespace, in the order of their indexes; filtered in the kernel. Needs no privilege.
 * @throws NfkitError ENODEV when there is no such master
 */
export function list<K extends keyof LinkKinds, B extends boolean = false>(
  options: LinkListOptions<B> & { kind: K },
): LinkOfKind<K, B extends true ? bigint : number>[]
export function list<B extends boolean = false>(options?: LinkListOptions<B>): LinkInfo<B extends true ? bigint : number>[]
export function list(options: LinkListOptions = {}): LinkInfo<any>[] {
  checkKeys(options, ['netns', 'partial', 'bigint', 'master', 'kind'], 'options')
  const { kind } = options
  if (kind !== undefined && typeof kind !== 'string') throw invalidArgument('kind', 'a link kind such as veth', kind)
  if (options.master !== undefined) checkLinkRef(options.master, 'master')
  return withRoute(options.netns, (socket) => {
    const master = options.master === undefined ? undefined : resolveIndex(socket, options.master)
    const request: LinkRequest = {
      attributes: { ...(master === undefined ? {} : { master }), ...(kind === undefined ? {} : { kindInfo: { kind } }) },
    }
    return socket.dump<LinkInfo>(
      rtm('RTM_GETLINK', { write: (w) => encodeLink(w, request), doing: 'listing links', shape: linkShape }),
      (input, msg, into) => {
        const message = decodeLink(input, msg)
        // A kernel without the kind does not filter at all (rtnl_dump_ifinfo, net/core/rtnetlink.c).
        if (kind === undefined || message.attributes.kindInfo?.kind === kind) into.push(linkInfo(message, options.bigint))
      },
      options,
    )
  })
}

/**
 * One link. Needs no privilege.
 * @throws NfkitError ENODEV when there is none
 */
export function get<B extends boolean = false>(ref: LinkRef, options: LinkReadOptions<B> = {}): LinkInfo<B extends true ? bigint : number> {
  checkLinkRef(ref)
  const message = withRoute(options.netns, (socket) => getMessage(socket, ref, { statistics: true }))
  return linkInfo(message, options.bigint) as LinkInfo<B extends true ? bigint : number>
}

/**
 * Makes a link: complete, or not there at all. Both ends of a veth come at once, each in the namespace that it is to be in.
 * Needs CAP_NET_ADMIN in every namespace that is involved.
 * @throws TypeError, RangeError for what no kernel takes, before anything is done
 * @throws NfkitError EEXIST when the name or index is taken, EOPNOTSUPP when the kernel lacks the kind, ENODEV when `link` or `master`
 * does not exist, EPERM
 */
export function add(spec: LinkSpec, options: NetnsOption = {}): LinkInfo {
  const given: AnyLinkSpec = spec
  checkSpec(given)
  const { kind, data, link, name, index: asked, netns: target, txQueues, rxQueues, peer: peerSpec = {}, ...changes } = given
  const { netns: peerTarget, index: peerAsked, ...peer } = peerSpec
  const { first, then } = divide(changes)
  const there = target ?? options.netns
  const peerThere = peerTarget ?? options.netns
  const { first: peerFirst, then: peerThen } = divide(peer, PEER_LATE)
  const opened: (() => void)[] = []
  const open = (netns: NetnsLike) => {
    const { fd, release } = resolveNetns(netns)
    opened.push(release)
    return fd
  }
  try {
    const request = withRoute(there, (socket) => changeRequest(socket, first))
    if (asked !== undefined) request.index = asked
    withRoute(options.netns, (socket) => {
      const attributes: Partial<LinkAttributes> = { ...request.attributes, name, kindInfo: { kind } }
      if (link !== undefined) attributes.link = resolveIndex(socket, link)
      if (txQueues !== undefined) attributes.txQueues = txQueues
      if (rxQueues !== undefined) attributes.rxQueues = rxQueues
      if (target !== undefined) attributes.netnsFd = open(target)
      if (given.peer !== undefined) {
        const { flags = 0, change = 0, attributes: own = {} } = changeRequest(socket, peerFirst)
        const netns = peerTarget === undefined ? {} : { netnsFd: open(peerTarget) }
        const end: NestedLink = { flags, change, attributes: { ...own, ...netns } }
        if (peerAsked !== undefined) end.index = peerAsked
        attributes.kindInfo!.data = { peer: end }
      } else if (data !== undefined) attributes.kindInfo!.data = data
      request.attributes = attributes
      socket.request(rtm('RTM_NEWLINK', {
        flags: NLM_F_CREATE | NLM_F_EXCL,
        write: (w) => encodeLink(w, request),
        doing: `creating ${kind} ${name}`,
        shape: linkShape,
        hints: { EOPNOTSUPP: `this kernel has no links of kind ${kind}, or not one of the options given` },
      }))
    })
    return withRoute(there, (socket) => {
      const { index, attributes } = getMessage(socket, name)
      try {
        if (then !== undefined) change(socket, index, name, then)
        if (peerThen !== undefined) {
          withRoute(peerThere, (other) => change(other, attributes.link!, peer.name ?? `the peer of ${name}`, peerThen))
        }
        checkTaken(kind, data, attributes.kindInfo?.data, `creating ${kind} ${name}`)
      } catch (error) {
        deleteIndex(socket, index, name)
        throw error
      }
      return linkInfo(getMessage(socket, index, { statistics: true }))
    })
  } finally {
    for (const release of opened) release()
  }
}

/**
 * Changes what is given and nothing else. The kernel stops at the first change that it refuses; what came before it is
 * taken back then. Needs CAP_NET_ADMIN.
 * @throws NfkitError ENODEV, EEXIST for a name that is taken, NFKIT_PARTIAL when taking back failed, and what the device says
 */
export function set(ref: LinkRef, changes: LinkChanges, options: NetnsOption = {}): void {
  checkLinkRef(ref)
  checkChanges(changes)
  withRoute(options.netns, (socket) => {
    const before = getMessage(socket, ref)
    const { index } = before
    try {
      change(socket, index, ref, changes)
    } catch (cause) {
      const failed: string[] = []
      for (const undo of undoing(changes, before, getMessage(socket, index))) {
        try { change(socket, index, ref, undo) } catch (error) { failed.push(`${Object.keys(undo).join()} (${(error as Error).message})`) }
      }
      if (failed.length === 0) throw cause
      throw new NfkitError('NFKIT_PARTIAL', `${(cause as Error).message}; not taken back: ${failed.join(', ')}`, { cause })
    }
  })
}

/**
 * Changes attributes of a link's kind: the flags of a vlan, the mode of a macvlan. Several are not changed at once: the
 * kernel stops at the first that it refuses.
 * @throws NfkitError ENODEV; EOPNOTSUPP or EINVAL when the kind has nothing that can be changed, or the link is of another kind
 */
export function setKind<K extends keyof LinkKinds & string>(
  ref: LinkRef, kind: K, data: Partial<NonNullable<LinkKinds[K]['data']>>, options: NetnsOption = {},
): void {
  checkLinkRef(ref)
  const request: LinkRequest = { attributes: { kindInfo: { kind, data } } }
  encodeLink(new Writer(), request)
  withRoute(options.netns, (socket) => {
    const { index, attributes: { kindInfo } } = getMessage(socket, ref)
    if (kindInfo?.kind === kind) checkTaken(kind, data, kindInfo.data, `changing ${kind} ${ref}`)
    request.index = index
    socket.request(rtm('RTM_NEWLINK', { write: (w) => encodeLink(w, request), doing: `changing ${kind} ${ref}`, shape: linkShape }))
  })
}

/** What a kernel passes over without a word when it does not know it. Bridges look after theirs themselves. */
const RECENT: Readonly<Record<string, readonly string[]>> = { macvlan: ['broadcastQueueLength', 'broadcastCutoff'] }

/** A kernel that knows an attribute reports it. */
function checkTaken(kind: string, asked: object | undefined, reported: object | undefined, doing: string): void {
  const missing = Object.keys(asked ?? {}).filter((key) => RECENT[kind]?.includes(key) === true && !(key in (reported ?? {})))
  if (missing.length > 0) {
    throw new NfkitError('NFKIT_KERNEL_TOO_OLD', `${doing}: this kernel does not know ${missing.join(', ')}`, { attribute: missing[0]! })
  }
}

/**
 * Moves a link to another namespace, where it arrives down, without addresses and possibly with another index. Answers the
 * link as it is there. Needs CAP_NET_ADMIN in both.
 * @throws NfkitError ENODEV; EEXIST when the name is taken there; EINVAL or EOPNOTSUPP for links that cannot move: bridges
 * and the loopback, `netnsImmutable` where the kernel tells
 */
export function move(ref: LinkRef, target: Netns | string, options: NetnsOption & { name?: string | undefined } = {}): LinkInfo {
  checkLinkRef(ref)
  if (options.name !== undefined) checkChanges({ name: options.name })
  const to = resolveNetns(target)
  try {
    const name = withRoute(options.netns, (socket) => {
      const { index, attributes: { name: current } } = getMessage(socket, ref)
      const wanted = options.name ?? current!
      // The kernel would move first and fail to rename after that.
      withRoute(target, (there) => checkFree(there, wanted, `moving link ${ref}`))
      const attributes = { netnsFd: to.fd, ...(wanted === current ? {} : { name: wanted }) }
      socket.request(rtm('RTM_NEWLINK', {
        write: (w) => encodeLink(w, { index, attributes }), doing: `moving link ${ref}`, shape: linkShape,
      }))
      return wanted
    })
    return withRoute(target, (socket) => linkInfo(getMessage(socket, name, { statistics: true })))
  } finally {
    to.release()
  }
}

/**
 * Deletes a link; of a veth, both ends. Takes 17 ms for a veth pair and 40 ms for a bridge: the kernel waits for its readers.
 * Needs CAP_NET_ADMIN.
 * @throws NfkitError ENODEV, EOPNOTSUPP for what cannot be deleted: physical devices, the loopback
 */
function remove(ref: LinkRef, options: NetnsOption = {}): void {
  checkLinkRef(ref)
  withRoute(options.netns, (socket) => deleteIndex(socket, resolveIndex(socket, ref), ref))
}
export { remove as delete }

/** What counts by itself, in links and in what a bridge keeps for itself and its ports. */
const MOVING = new Set([
  'statistics', 'helloTimer', 'tcnTimer', 'topologyChangeTimer', 'gcTimer', 'ipv4OtherTimer', 'ipv6OtherTimer', 'fdbLearned',
  'messageAgeTimer', 'forwardDelayTimer', 'holdTimer', 'multicastEhtHostsCount',
])

/** What {@link watch} emits: see {@link Change}. */
export type LinkChange = Change<'link', LinkInfo>

/**
 * Watches the links of a namespace from this call on: also their flags, masters and what a bridge keeps for its ports. A link
 * that moves to another namespace is `removed` here. Of links that are down the kernel announces only some changes: not a new
 * alias, for example. Needs no privilege.
 */
export function watch(options: ObjectWatchOptions = {}): Watch<LinkChange> {
  checkKeys(options, ['netns', 'resync', 'signal', 'maxQueue'], 'options')
  return watchObjects<'link', LinkInfo>({
    name: 'link',
    groups: [RtnlGroup.link],
    dump: dumpAll,
    key: ({ index }) => String(index),
    essence: (link) => textWithout(link, MOVING),
    read: readNotification,
  }, options)
}

function readNotification(input: Input, msg: NetlinkMessage, socket: NetlinkSocket): Notification<LinkInfo> | undefined {
  if (msg.type !== Rtm.RTM_NEWLINK && msg.type !== Rtm.RTM_DELLINK) return undefined
  const message = decodeLink(input, msg)
  if (message.family === AF_UNSPEC) return { is: msg.type === Rtm.RTM_NEWLINK ? 'there' : 'gone', item: linkInfo(message) }
  // About the link as a port of a bridge: not everything is in the message, and its deletion only says that the port left.
  try {
    return { is: 'there', item: linkInfo(getMessage(socket, message.index, { statistics: true })) }
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'ENODEV') return undefined
    throw error
  }
}

function dumpAll(socket: NetlinkSocket): LinkInfo[] {
  return socket.dump<LinkInfo>(
    rtm('RTM_GETLINK', { write: (w) => encodeLink(w, {}), doing: 'listing links', shape: linkShape }),
    (input, msg, into) => { into.push(linkInfo(decodeLink(input, msg))) },
  )
}

function change(socket: NetlinkSocket, index: number, ref: LinkRef, changes: LinkChanges): void {
  if (changes.addrGenMode !== undefined && changes.up === true) {
    // The kernel (do_setlink, net/core/rtnetlink.c) looks at this one last, when IPv6 has made the address already.
    const { addrGenMode, ...others } = changes
    change(socket, index, ref, { addrGenMode })
    return change(socket, index, ref, others)
  }
  const request = changeRequest(socket, changes)
  request.index = index
  socket.request(rtm('RTM_NEWLINK', { write: (w) => encodeLink(w, request), doing: `changing link ${ref}`, shape: linkShape }))
}

function deleteIndex(socket: NetlinkSocket, index: number, ref: LinkRef): void {
  socket.request(rtm('RTM_DELLINK', { write: (w) => encodeLink(w, { index }), doing: `deleting link ${ref}`, shape: linkShape }))
}

function checkFree(socket: NetlinkSocket, name: string, doing: string): void {
  try {
    getMessage(socket, name)
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'ENODEV') return
    throw error
  }
  throw NfkitError.fromErrno(Errno.EEXIST, 'RTM_NEWLINK', doing, { hint: `the other namespace has a link ${name} already` })
}
