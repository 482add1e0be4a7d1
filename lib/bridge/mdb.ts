// SPDX-License-Identifier: MIT
// The multicast database of a bridge: which port wants which group.

import { inspect } from 'node:util'
import { Errno } from '../errno.js'
import { invalidArgument, NfkitError } from '../errors.js'
import type { Watch } from '../events.js'
import * as Link from '../net/link.js'
import { rtm, withRoute } from '../netlink/route.js'
import type { NetlinkSocket, Request } from '../netlink/socket.js'
import { decodeMdb, encodeMdb, encodeMdbHeader, type MdbMessage, type MdbRequest, mdbShape, parseGroup } from '../wire/mdb.js'
import { NLM_F_BULK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../wire/netlink.js'
import { applyAll } from './apply.js'
import { type MdbEntry, mdbEntry, type MdbRouter, mdbRouter } from './mdb-entry.js'
import {
  type CheckedMdbSpec, checkFilter, checkPort, checkSpec, formatGroup, type MdbFilter, type MdbFlushFilter, type MdbKey, type MdbSpec, sourceOf,
  vlanOf,
} from './mdb-spec.js'
import { type MdbChange, watchMdb, type MdbWatchOptions } from './mdb-watch.js'
import type { BridgeRef } from './ref.js'

export type { MdbFilter, MdbFlushFilter, MdbKey, MdbSpec } from './mdb-spec.js'

/**
 * The multicast database of one bridge, as `bridge.mdb`. Writing needs a bridge that is up and has `multicast.snooping` on
 * (EINVAL otherwise), and CAP_NET_ADMIN. The kernel needs CONFIG_BRIDGE_IGMP_SNOOPING.
 */
export class Mdb {
  readonly #bridge: BridgeRef

  constructor(bridge: BridgeRef) {
    this.#bridge = bridge
  }

  /** Reads the entries. */
  list(filter: MdbFilter = {}): MdbEntry[] {
    const wanted = checkFilter(filter)
    return withRoute(this.#bridge.netns, (socket) => {
      const names = this.#names(socket)
      const index = filter.port === undefined ? undefined : this.#indexOf(names, filter.port)
      return this.#dump(socket).entries.map((entry) => mdbEntry(entry, names)).filter((entry) =>
        (index === undefined || entry.portIndex === index) && (wanted.group === undefined || entry.group === wanted.group) &&
        (wanted.vlan === undefined || entry.vlan === wanted.vlan))
    })
  }

  /** The ports where multicast routers are. */
  routers(): MdbRouter[] {
    return withRoute(this.#bridge.netns, (socket) => {
      const names = this.#names(socket)
      return this.#dump(socket).routers.map((router) => mdbRouter(router, names))
    })
  }

  /**
   * Adds entries: all or none.
   * @throws NfkitError EEXIST when one is there already
   */
  add(spec: MdbSpec | readonly MdbSpec[]): void {
    this.#write(asArray(spec), NLM_F_CREATE | NLM_F_EXCL)
  }

  /** Adds entries, or changes them where they exist. All or none, as far as nobody else writes at the same time. */
  replace(spec: MdbSpec | readonly MdbSpec[]): void {
    this.#write(asArray(spec), NLM_F_CREATE | NLM_F_REPLACE)
  }

  /**
   * Deletes entries: all or none, as far as nobody else writes at the same time.
   * @throws NfkitError ENOENT when one does not exist
   */
  delete(key: MdbKey | readonly MdbKey[]): void {
    const keys = asArray(key)
    const checked = keys.map((k) => {
      checkPort(k.port)
      const group = parseGroup(k.group)
      return { vid: vlanOf(k.vlan), group, ...(k.source === undefined ? {} : { attributes: { source: sourceOf(k.source, group, 'source') } }) }
    })
    if (keys.length === 0) return
    withRoute(this.#bridge.netns, (socket) => {
      const names = this.#names(socket)
      const before = this.#entries(socket, names)
      const requests = checked.map((rest, i) => {
        const index = this.#indexOf(names, keys[i]!.port)
        const source = rest.attributes?.source
        // The kernel answers EINVAL here, as for anything else.
        const there = before.some((entry) => entry.portIndex === index && entry.group === formatGroup(rest.group) && entry.source === source &&
          (rest.vid === 0 || entry.vlan === rest.vid))
        const doing = `deleting ${keys[i]!.group} at ${names.get(index)} from ${this.#bridge.name}`
        if (!there) throw NfkitError.fromErrno(Errno.ENOENT, 'RTM_DELMDB', doing)
        return this.#deletion({ bridge: this.#bridge.index, index, permanent: false, ...rest }, keys[i]!.group)
      })
      this.#apply(socket, requests, before, names)
    })
  }

  /** Removes many entries at once, in the kernel (Linux 6.8) or by reading and deleting. */
  flush(filter: MdbFlushFilter = {}): void {
    const { port, vlan, state } = filter
    if (port !== undefined) checkPort(port)
    const vid = vlanOf(vlan)
    if (state !== undefined && state !== 'temporary' && state !== 'permanent') throw invalidArgument('state', 'temporary or permanent', state)
    withRoute(this.#bridge.netns, (socket) => {
      const names = this.#names(socket)
      const request: MdbRequest = {
        bridge: this.#bridge.index, index: port === undefined ? 0 : this.#indexOf(names, port), permanent: state === 'permanent', vid,
        ...(state === undefined ? {} : { attributes: { stateMask: 1 } }),
      }
      try {
        socket.request(rtm('RTM_DELMDB', {
          flags: NLM_F_BULK, write: (w) => encodeMdb(w, request), doing: `flushing the multicast database of ${this.#bridge.name}`, shape: mdbShape,
        }))
      } catch (error) {
        if (!(error instanceof NfkitError) || !['EINVAL', 'EOPNOTSUPP'].includes(error.code)) throw error
        this.#flushByDeleting(socket, names, request, state)
      }
    })
  }

  /** Follows the database: groups joined and left, router ports. Subscribed when called. */
  watch(options: MdbWatchOptions = {}): Watch<MdbChange> {
    return watchMdb(this.#bridge, options, () => withRoute(this.#bridge.netns, (socket) => {
      const names = this.#names(socket)
      const { entries, routers } = this.#dump(socket)
      return { names, entries: entries.map((entry) => mdbEntry(entry, names)), routers: routers.map((router) => mdbRouter(router, names)) }
    }))
  }

  [inspect.custom](): string {
    return `Mdb { bridge: '${this.#bridge.name}' }`
  }

  #write(specs: readonly MdbSpec[], flags: number): void {
    const checked = specs.map(checkSpec)
    if (specs.length === 0) return
    withRoute(this.#bridge.netns, (socket) => {
      const names = this.#names(socket)
      const requests = checked.map(({ port, state, ...rest }, i) => {
        const index = this.#indexOf(names, port)
        // What the box itself joined has no permanent flag, except for MAC addresses (br_mdb_add, net/bridge/br_mdb.c).
        const permanent = state === undefined ? index !== this.#bridge.index || rest.group.family === 'ethernet' : state === 'permanent'
        return this.#addition({ bridge: this.#bridge.index, index, permanent, ...rest }, flags, specs[i]!.group)
      })
      const before = this.#entries(socket, names)
      try {
        this.#apply(socket, requests, before, names)
      } catch (error) {
        // Linux before 6.2 cannot replace; what is there is deleted first then.
        if ((flags & NLM_F_REPLACE) === 0 || !(error instanceof NfkitError) || error.code !== 'EEXIST') throw error
        this.#replaceByDeleting(socket, names, before, checked, requests)
      }
    })
  }

  #replaceByDeleting(
    socket: NetlinkSocket, names: Map<number, string>, before: MdbEntry[], specs: readonly CheckedMdbSpec[], requests: readonly Request[],
  ): void {
    const wanted = specs.map((spec) => ({ ...spec, index: this.#indexOf(names, spec.port) }))
    const old = before.filter((entry) => wanted.some(({ index, vid, group, attributes }) =>
      entry.portIndex === index && entry.group === formatGroup(group) && entry.source === attributes.source && (vid === 0 || entry.vlan === vid)))
    this.#apply(socket, [...old.map((entry) => this.#removal(entry)), ...requests], before, names)
  }

  #flushByDeleting(socket: NetlinkSocket, names: Map<number, string>, { index, vid }: MdbRequest, state: MdbFlushFilter['state']): void {
    const entries = this.#entries(socket, names).filter((entry) =>
      (index === 0 || entry.portIndex === index) && (vid === 0 || entry.vlan === vid) && (state === undefined || entry.state === state))
    // An entry may have expired between the two steps, which the kernel calls EINVAL.
    const failed = socket.batch(entries.map((entry) => this.#removal(entry))).find((error) => error !== undefined && error.code !== 'EINVAL')
    if (failed !== undefined) throw failed
  }

  #apply(socket: NetlinkSocket, requests: readonly Request[], before: readonly MdbEntry[], names: Map<number, string>): void {
    applyAll(socket, requests, () => {
      const now = new Map(this.#entries(socket, names).map((entry) => [keyOf(entry), entry]))
      const then = new Map(before.map((entry) => [keyOf(entry), entry]))
      const added = [...now].filter(([key]) => !then.has(key)).map(([, entry]) => this.#removal(entry))
      // Linux before 6.2 cannot replace an entry: what is another one by now goes first.
      const lost = [...then].filter(([key, entry]) => !isSame(now.get(key), entry))
        .flatMap(([key, entry]) => [...(now.has(key) ? [this.#removal(entry)] : []), this.#restoration(entry)])
      return [...added, ...lost]
    })
  }

  #removal(entry: MdbEntry): Request {
    return this.#deletion(requestOf(this.#bridge.index, entry), entry.group)
  }

  #restoration(entry: MdbEntry): Request {
    const { filterMode, sources, protocol } = entry
    const request = requestOf(this.#bridge.index, entry)
    const more = sources === undefined || sources.length === 0
      ? {} : { filterMode: filterMode ?? 'exclude', sources: sources.map(({ address }) => ({ address })) }
    // 4 is what an entry has without being told (and before Linux 6.2 it cannot be told).
    const attributes = { ...request.attributes, ...more, ...(protocol === undefined || protocol <= 4 ? {} : { protocol }) }
    return this.#addition({ ...request, attributes }, NLM_F_CREATE | NLM_F_EXCL, entry.group)
  }

  #addition(request: MdbRequest, flags: number, group: string): Request {
    return rtm('RTM_NEWMDB', {
      flags, write: (w) => encodeMdb(w, request), doing: `adding ${group} to the multicast database of ${this.#bridge.name}`, shape: mdbShape,
    })
  }

  #deletion(request: MdbRequest, group: string): Request {
    const doing = `deleting ${group} from the multicast database of ${this.#bridge.name}`
    return rtm('RTM_DELMDB', { write: (w) => encodeMdb(w, request), doing, shape: mdbShape })
  }

  #entries(socket: NetlinkSocket, names: Map<number, string>): MdbEntry[] {
    return this.#dump(socket).entries.map((entry) => mdbEntry(entry, names))
  }

  /** The kernel refuses to filter this dump: it has every bridge of the namespace. */
  #dump(socket: NetlinkSocket): MdbMessage {
    const messages = socket.dump<MdbMessage>(
      rtm('RTM_GETMDB', { write: (w) => encodeMdbHeader(w, 0), doing: `reading the multicast database of ${this.#bridge.name}` }),
      (input, msg, into) => {
        const message = decodeMdb(input, msg)
        if (message.index === this.#bridge.index) into.push(message)
      },
    )
    return {
      index: this.#bridge.index, entries: messages.flatMap(({ entries }) => entries), routers: messages.flatMap(({ routers }) => routers),
    }
  }

  #names(socket: NetlinkSocket): Map<number, string> {
    const names = new Map([[this.#bridge.index, Link.getMessage(socket, this.#bridge.index).attributes.name ?? this.#bridge.name]])
    for (const link of Link.list({ netns: this.#bridge.netns, master: this.#bridge.index })) names.set(link.index, link.name)
    return names
  }

  #indexOf(names: Map<number, string>, port: Link.LinkRef): number {
    if (port === 'self') return this.#bridge.index
    for (const [index, name] of names) if (port === name || port === index) return index
    const link = Link.get(port, { netns: this.#bridge.netns })
    throw new NfkitError('NFKIT_NOT_A_PORT', `${link.name} is not a port of ${this.#bridge.name}`)
  }
}

function requestOf(bridge: number, { portIndex, group, source, vlan, state }: MdbEntry): MdbRequest {
  return {
    bridge, index: portIndex, group: parseGroup(group), vid: vlan ?? 0, permanent: state === 'permanent',
    ...(source === undefined ? {} : { attributes: { source } }),
  }
}

function keyOf({ portIndex, group, source, vlan }: MdbEntry): string {
  return `${portIndex}/${group}/${source ?? ''}/${vlan ?? ''}`
}

function isSame(a: MdbEntry | undefined, b: MdbEntry): boolean {
  const sources = (entry: MdbEntry) => (entry.sources ?? []).map(({ address }) => address).sort().join()
  return a !== undefined && a.state === b.state && a.filterMode === b.filterMode && a.protocol === b.protocol && sources(a) === sources(b)
}

function asArray<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T]
}

