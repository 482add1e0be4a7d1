// SPDX-License-Identifier: MIT
// Changes of VLANs, told apart by what was known before: the kernel's notification is the same for a new and a changed one.

import type { Watch, WatchOptions } from '../events.js'
import { decodeVlan } from '../wire/bridge-vlan.js'
import { Rtm, RtnlGroup } from '../wire/rtnetlink.js'
import type { BridgeRef } from './ref.js'
import { watchTable } from './table-watch.js'
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
  const known = new Map<string, VlanEntry>()
  const names = new Map([[bridge.index, bridge.name]])

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

  return watchTable<VlanChange>(bridge, options, {
    group: RtnlGroup.bridgeVlan,
    link({ index, attributes: { name, master } }, deleted, emit) {
      if (index === bridge.index) {
        if (name !== undefined) names.set(index, name)
      } else if (!deleted && master === bridge.index) names.set(index, name ?? `#${index}`)
      // Without a master it was a port until now, or never one.
      else if ((deleted || master === undefined) && names.delete(index)) remove(keysOf(known, index), emit)
    },
    message(input, msg, emit) {
      if (msg.type !== Rtm.RTM_NEWVLAN && msg.type !== Rtm.RTM_DELVLAN) return
      const { index, entries } = decodeVlan(input, msg)
      const name = names.get(index)
      if (name === undefined) return
      const single = expand(entries.map((entry) => vlanEntry(name, index, entry)))
      if (msg.type === Rtm.RTM_NEWVLAN) update(single, emit)
      else remove(single.keys(), emit)
    },
    read() {
      for (const [key, entry] of expand(dump())) {
        names.set(entry.portIndex, entry.port)
        known.set(key, entry)
      }
    },
    readAgain(emit) {
      const now = expand(dump())
      for (const entry of now.values()) names.set(entry.portIndex, entry.port)
      remove([...known.keys()].filter((key) => !now.has(key)), emit)
      update(now, emit)
    },
  })
}

function keysOf(known: Map<string, VlanEntry>, index: number): string[] {
  return [...known].filter(([, entry]) => entry.portIndex === index).map(([, entry]) => keyOf(entry.portIndex, entry.vid))
}

function tunnelAt(entry: VlanEntry, vid: number): { tunnelId?: number } {
  return entry.tunnelId === undefined ? {} : { tunnelId: entry.tunnelId + vid - entry.vid }
}
