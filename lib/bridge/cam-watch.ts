// SPDX-License-Identifier: MIT
// Changes of the CAM table, told apart by what was known before. A deletion carries no reason, so ageing is inferred.

import { queueLimit, type Watch, type WatchOptions } from '../events.js'
import { routeSocket } from '../netlink/route.js'
import { monitor } from '../netlink/monitor.js'
import { type CamEntry, decodeFdb, isFdb } from '../wire/fdb.js'
import { decodeLink } from '../wire/link.js'
import { NETLINK_ROUTE, Rtm, RtnlGroup } from '../wire/rtnetlink.js'
import { getMessage } from '../net/link.js'
import { type CamOwner, PortNames } from './cam-names.js'
import { exists } from './ref.js'

/**
 * One change.
 * - `learned`: seen as a source for the first time. `added`: set by hand, or an address of the box.
 * - `moved`: the address is now at another port; `from` is the one before.
 * - `changed`: same port, but the state or a flag is another one.
 * - `aged`: inferred. The kernel's notification of a removal has no reason; an entry that was over its ageing time when it
 *   went is taken to have aged, although a flush at that very moment looks the same.
 * - `removed`: deleted, flushed, or its port is gone.
 * - `overrun`: notifications were lost here. With `resync` the changes that follow bring the consumer up to date.
 */
export type CamChange =
  | { type: 'learned' | 'added' | 'changed' | 'aged' | 'removed'; entry: CamEntry }
  | { type: 'moved'; entry: CamEntry; from: string }
  | { type: 'overrun' }

export interface CamWatchOptions extends WatchOptions {
  /** After an overrun read the table again and report what changed meanwhile. */
  resync?: boolean | undefined
  /** As in `CamFilter`. */
  via?: 'master' | 'self' | 'any' | undefined
}

export function watchCam(bridge: CamOwner, options: CamWatchOptions, dump: () => CamEntry[]): Watch<CamChange> {
  const { via = 'master', resync = false, signal, maxQueue } = options
  queueLimit(maxQueue)
  const lookups = routeSocket(bridge.netns)
  const names = new PortNames(lookups.socket, bridge)
  const wanted = { master: bridge.index, via }
  const known = new Map<string, CamEntry>()
  let gone = false

  function appeared(entry: CamEntry, emit: (change: CamChange) => void): void {
    const key = keyOf(entry)
    const before = known.get(key)
    known.set(key, entry)
    if (before === undefined) emit({ type: entry.state === 'learned' || entry.state === 'stale' ? 'learned' : 'added', entry })
    else if (before.portIndex !== entry.portIndex) emit({ type: 'moved', entry, from: before.port })
    else if (isOther(before, entry)) emit({ type: 'changed', entry })
  }

  function vanished(entry: CamEntry, emit: (change: CamChange) => void): void {
    // What was never known was added and removed within a loss that a resync has covered.
    if (known.delete(keyOf(entry))) emit({ type: entry.state === 'stale' ? 'aged' : 'removed', entry })
  }

  /** `self` notifications do not say which bridge the device belongs to. */
  function concerns(entry: CamEntry): boolean {
    if (entry.via === 'master' || entry.portIndex === bridge.index) return true
    try { return getMessage(lookups.socket, entry.portIndex).attributes.master === bridge.index } catch { return known.has(keyOf(entry)) }
  }

  const watch = monitor<CamChange>({
    protocol: NETLINK_ROUTE,
    groups: [RtnlGroup.neighbour, RtnlGroup.link],
    netns: bridge.netns,
    signal,
    maxQueue,
    decode(input, msg, emit) {
      if (msg.type === Rtm.RTM_NEWNEIGH || msg.type === Rtm.RTM_DELNEIGH) {
        if (!isFdb(input, msg)) return
        const entry = decodeFdb(input, msg, wanted)
        if (entry === undefined || !concerns(entry)) return
        entry.port = names.of(entry.portIndex)
        if (msg.type === Rtm.RTM_NEWNEIGH) appeared(entry, emit)
        else vanished(entry, emit)
      } else if (msg.type === Rtm.RTM_NEWLINK || msg.type === Rtm.RTM_DELLINK) {
        const { index, family, attributes } = decodeLink(input, msg)
        if (msg.type === Rtm.RTM_NEWLINK && attributes.name !== undefined) names.learn(index, attributes.name)
        // A deletion with family AF_BRIDGE only says that a port left.
        if (msg.type === Rtm.RTM_DELLINK && family === 0 && index === bridge.index) gone = true
      }
    },
    overrun(emit) {
      emit({ type: 'overrun' })
      gone = !exists(bridge)
      if (!resync) return
      const now = new Map((gone ? [] : dump()).map((entry) => [keyOf(entry), entry]))
      for (const [key, entry] of known) if (!now.has(key)) { known.delete(key); emit({ type: 'removed', entry }) }
      for (const entry of now.values()) appeared(entry, emit)
    },
    done: () => gone,
    onClose: () => lookups.release(),
  })
  try {
    for (const entry of dump()) {
      known.set(keyOf(entry), entry)
      names.learn(entry.portIndex, entry.port)
    }
  } catch (error) {
    void watch.return!()
    throw error
  }
  return watch
}

function keyOf({ mac, vlan, via, portIndex }: CamEntry): string {
  // A device's own list holds an address once for each device.
  return via === 'master' ? `${mac}/${vlan ?? ''}` : `${mac}/${vlan ?? ''}/${portIndex}`
}

function isOther(a: CamEntry, b: CamEntry): boolean {
  // The arrays of flags are shared: the same flags are the same array.
  return a.state !== b.state || a.flags !== b.flags
}
