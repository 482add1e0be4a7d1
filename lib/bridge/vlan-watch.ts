// SPDX-License-Identifier: MIT
// Changes of VLANs, told apart by what was known before: the kernel's notification is the same for a new and a changed one.

import type { Watch, WatchOptions } from '../events.js'
import { monitor } from '../netlink/monitor.js'
import { decodeVlan } from '../wire/bridge-vlan.js'
import { decodeLink } from '../wire/link.js'
import { NETLINK_ROUTE, Rtm, RtnlGroup } from '../wire/rtnetlink.js'
import { type BridgeRef, exists } from './ref.js'
import { alike, expand, keyOf, type VlanEntry, vlanEntry } from './vlan-entry.js'

export interface VlanWatchOptions extends WatchOptions {
  /** After an overrun read the VLANs again and report what changed meanwhile. */
  resync?: boolean | undefined
}

/**
 * One change; `entry` can be a range.
 * - `added`, `removed`: a port has or no longer has the VLAN.
 * - `changed`: a flag, the state or an option is another one.
 * - `overrun`: notifications were lost here. With `resync` the changes that follow bring the consumer up to date.
 */
export type VlanChange = { type: 'added' | 'changed' | 'removed'; entry: VlanEntry } | { type: 'overrun' }

export function watchVlans(bridge: BridgeRef, options: VlanWatchOptions, dump: () => VlanEntry[]): Watch<VlanChange> {
  const { resync = false, signal, maxQueue } = options
  const known = new Map<string, VlanEntry>()
  const names = new Map([[bridge.index, bridge.name]])
  let gone = false

  /** Reports single VLANs, neighbouring ones that are alike as one range. */
  function report(type: 'added' | 'changed' | 'removed', entries: VlanEntry[], emit: (change: VlanChange) => void): void {
    let open: VlanEntry | undefined
    for (const entry of entries) {
      const follows = open !== undefined && open.portIndex === entry.portIndex && open.vidEnd + 1 === entry.vid
      const same = follows && alike({ ...open!, ...tunnelAt(open!, entry.vid) }, entry) && !entry.pvid
      if (same) open!.vidEnd = entry.vid
      else {
        if (open !== undefined) emit({ type, entry: open })
        open = { ...entry }
      }
    }
    if (open !== undefined) emit({ type, entry: open })
  }

  function update(now: Map<string, VlanEntry>, emit: (change: VlanChange) => void): void {
    const added: VlanEntry[] = []
    const changed: VlanEntry[] = []
    for (const [key, entry] of now) {
      const before = known.get(key)
      known.set(key, entry)
      if (before === undefined) added.push(entry)
      else if (!alike(before, entry)) changed.push(entry)
      // The kernel does not say that another VLAN lost the flag by this.
      if (entry.pvid) {
        for (const [other, old] of known) {
          if (old.portIndex !== entry.portIndex || !old.pvid || other === key || now.get(other)?.pvid === true) continue
          known.set(other, { ...old, pvid: false })
          if (!now.has(other)) changed.push({ ...old, pvid: false })
        }
      }
    }
    report('added', added, emit)
    report('changed', changed, emit)
  }

  function remove(keys: Iterable<string>, emit: (change: VlanChange) => void): void {
    const removed: VlanEntry[] = []
    for (const key of keys) {
      const entry = known.get(key)
      if (known.delete(key)) removed.push(entry!)
    }
    report('removed', removed, emit)
  }

  const watch = monitor<VlanChange>({
    protocol: NETLINK_ROUTE,
    groups: [RtnlGroup.bridgeVlan, RtnlGroup.link],
    netns: bridge.netns,
    signal,
    maxQueue,
    decode(input, msg, emit) {
      if (msg.type === Rtm.RTM_NEWLINK || msg.type === Rtm.RTM_DELLINK) {
        const { index, family, attributes } = decodeLink(input, msg)
        if (index === bridge.index) {
          if (msg.type === Rtm.RTM_DELLINK && family === 0) gone = true
          if (attributes.name !== undefined) names.set(index, attributes.name)
        } else if (msg.type === Rtm.RTM_NEWLINK && attributes.master === bridge.index) names.set(index, attributes.name ?? `#${index}`)
        // Without a master it was a port until now, or never one.
        else if ((msg.type === Rtm.RTM_DELLINK || attributes.master === undefined) && names.delete(index)) remove(keysOf(known, index), emit)
      } else if (msg.type === Rtm.RTM_NEWVLAN || msg.type === Rtm.RTM_DELVLAN) {
        const { index, entries } = decodeVlan(input, msg)
        const name = names.get(index)
        if (name === undefined) return
        const single = expand(entries.map((entry) => vlanEntry(name, index, entry)))
        if (msg.type === Rtm.RTM_NEWVLAN) update(single, emit)
        else remove(single.keys(), emit)
      }
    },
    overrun(emit) {
      emit({ type: 'overrun' })
      if (!exists(bridge)) {
        gone = true
        return
      }
      // Read in any case, so that what follows is told rightly as added or changed.
      const say = resync ? emit : () => {}
      const now = expand(dump())
      for (const entry of now.values()) names.set(entry.portIndex, entry.port)
      remove([...known.keys()].filter((key) => !now.has(key)), say)
      update(now, say)
    },
    done: () => gone,
  })
  try {
    for (const [key, entry] of expand(dump())) {
      names.set(entry.portIndex, entry.port)
      known.set(key, entry)
    }
  } catch (error) {
    void watch.return!()
    throw error
  }
  return watch
}

function keysOf(known: Map<string, VlanEntry>, index: number): string[] {
  return [...known].filter(([, entry]) => entry.portIndex === index).map(([, entry]) => keyOf(entry.portIndex, entry.vid))
}

function tunnelAt(entry: VlanEntry, vid: number): { tunnelId?: number } {
  return entry.tunnelId === undefined ? {} : { tunnelId: entry.tunnelId + vid - entry.vid }
}
