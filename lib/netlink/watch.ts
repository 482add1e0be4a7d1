// SPDX-License-Identifier: MIT
// Watching kernel objects: what is there is known from a dump, so that a notification can be told as added, changed or
// removed, and so that a loss can be made good.

import type { Watch, WatchOptions } from '../events.js'
import { NfkitError } from '../errors.js'
import { Netns, type NetnsLike } from '../netns.js'
import type { Input } from '../wire/bytes.js'
import type { NetlinkMessage } from '../wire/netlink.js'
import { NETLINK_ROUTE } from '../wire/rtnetlink.js'
import { monitor } from './monitor.js'
import { NetlinkSocket } from './socket.js'

/**
 * One event of a watch; the object is under the name of its kind.
 * - `added`, `removed`: it came, it went.
 * - `changed`: something about it is different; `previous` is how it was known before. What counts by itself (counters, ages,
 *   remaining lifetimes) is no change.
 * - `overrun`: notifications were lost here. With `resync` the events that follow bring the consumer up to date; without, what
 *   it knows is out of date until it lists again.
 */
export type Change<Name extends string, T> =
  | ({ type: 'added' | 'removed' } & { [K in Name]: T })
  | ({ type: 'changed'; previous: T } & { [K in Name]: T })
  | { type: 'overrun' }

/** What every `watch()` of an object takes. */
export interface ObjectWatchOptions extends WatchOptions {
  /** The namespace to watch: this process's own unless told. */
  netns?: NetnsLike | undefined
  /** After an overrun: list again and emit what is different as events like any other. */
  resync?: boolean | undefined
}

/**
 * What a notification means. Where several objects can have one key, `replaces` says that the new one took the place of one
 * that was there; without it, what happened to those known is listed anew: the notification may be older than the list.
 */
export type Notification<T> =
  | { is: 'there'; item: T; replaces?: boolean | undefined }
  | { is: 'gone'; item: T }
  /** What it says cannot be told from the message: list again. */
  | { is: 'unclear' }

/** For {@link Watchable.essence}: an object as text without the fields named. */
export function textWithout(item: object, fields: ReadonlySet<string>): string {
  return JSON.stringify(item, (key, value) => (fields.has(key) ? undefined : value))
}

/** A kind of object that can be watched. */
export interface Watchable<Name extends string, T> {
  readonly name: Name
  readonly groups: readonly number[]
  /** Every object that is of interest now. */
  readonly dump: (socket: NetlinkSocket) => T[]
  /** What makes two messages be about the same object. */
  readonly key: (item: T) => string
  /** Whether several objects can have one key. */
  readonly shared?: boolean
  /** The object as text, without what changes by itself: two that have the same text are the same. */
  readonly essence: (item: T) => string
  /** What a notification means; undefined for one that is of no interest. `socket` is for looking up what it does not say. */
  readonly read: (input: Input, msg: NetlinkMessage, socket: NetlinkSocket) => Notification<T> | undefined
}

/** Subscribes at once, dumps once, and answers an iterator of what happens from then on. */
export function watchObjects<Name extends string, T>(what: Watchable<Name, T>, options: ObjectWatchOptions): Watch<Change<Name, T>> {
  type Emit = (change: Change<Name, T>) => void
  const { resync = false, signal, maxQueue } = options
  // A name is looked up once: both sockets must be in the same namespace.
  const opened = typeof options.netns === 'string' ? Netns.open(options.netns) : undefined
  const netns = opened ?? options.netns
  const known = new Map<string, T[]>()
  const find = (list: readonly T[], item: T) => {
    const wanted = what.essence(item)
    return list.findIndex((other) => what.essence(other) === wanted)
  }
  const say = (type: 'added' | 'removed', item: T) => ({ type, [what.name]: item }) as Change<Name, T>
  const changed = (previous: T, item: T) => ({ type: 'changed', [what.name]: item, previous }) as Change<Name, T>

  function there(item: T, replaces: boolean | undefined, emit: Emit, socket: NetlinkSocket): void {
    const key = what.key(item)
    const list = known.get(key)
    if (list === undefined) {
      known.set(key, [item])
      return emit(say('added', item))
    }
    const same = find(list, item)
    if (same >= 0) list[same] = item
    else if (what.shared === true && (replaces !== true || list.length > 1)) again(emit, socket)
    else {
      const previous = list[0]!
      list[0] = item
      emit(changed(previous, item))
    }
  }

  function gone(item: T, emit: Emit, socket: NetlinkSocket): void {
    const key = what.key(item)
    const list = known.get(key)
    // What is not known went before the dump, or came and went within a loss.
    if (list === undefined) return
    const at = what.shared === true ? find(list, item) : 0
    if (at < 0) return again(emit, socket)
    list.splice(at, 1)
    if (list.length === 0) known.delete(key)
    emit(say('removed', item))
  }

  /** Lists again and emits the differences, removals first. */
  function again(emit: Emit, socket: NetlinkSocket): void {
    const now = group(what.dump(socket))
    const news: Change<Name, T>[] = []
    for (const [key, items] of now) {
      const before = [...known.get(key) ?? []]
      const fresh = items.filter((item) => {
        const at = find(before, item)
        if (at >= 0) before.splice(at, 1)
        return at < 0
      })
      // What is left on both sides has changed; the rest came or went.
      fresh.forEach((item, i) => news.push(i < before.length ? changed(before[i]!, item) : say('added', item)))
      for (const item of before.slice(fresh.length)) emit(say('removed', item))
    }
    for (const [key, items] of known) if (!now.has(key)) for (const item of items) emit(say('removed', item))
    known.clear()
    for (const [key, items] of now) known.set(key, items)
    news.forEach(emit)
  }

  function group(items: T[]): Map<string, T[]> {
    const groups = new Map<string, T[]>()
    for (const item of items) {
      const list = groups.get(what.key(item))
      if (list === undefined) groups.set(what.key(item), [item])
      else list.push(item)
    }
    return groups
  }

  let socket: NetlinkSocket | undefined
  try {
    const dumps = socket = NetlinkSocket.open(NETLINK_ROUTE, { netns })
    const watch = monitor<Change<Name, T>>({
      protocol: NETLINK_ROUTE,
      groups: what.groups,
      netns,
      signal,
      maxQueue,
      decode(input, msg, emit) {
        const notification = what.read(input, msg, dumps)
        if (notification === undefined) return
        if (notification.is === 'there') there(notification.item, notification.replaces, emit, dumps)
        else if (notification.is === 'gone') gone(notification.item, emit, dumps)
        else again(emit, dumps)
      },
      overrun(emit) {
        emit({ type: 'overrun' })
        if (resync) return again(emit, dumps)
        try {
          // Unseen: so that what follows is told rightly as added or changed.
          again(() => {}, dumps)
        } catch (error) {
          if (!(error instanceof NfkitError) || error.code !== 'NFKIT_DUMP_INTERRUPTED') throw error
        }
      },
      onClose: () => dumps.close(),
    })
    try {
      for (const [key, items] of group(what.dump(dumps))) known.set(key, items)
    } catch (error) {
      void watch.return!()
      throw error
    }
    return watch
  } catch (error) {
    socket?.close()
    throw error
  } finally {
    opened?.close()
  }
}
