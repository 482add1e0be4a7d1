// SPDX-License-Identifier: MIT
// Changes of the multicast database, told apart by what was known before.

import type { Watch, WatchOptions } from '../events.js'
import { decodeMdb } from '../wire/mdb.js'
import { Rtm, RtnlGroup } from '../wire/rtnetlink.js'
import { type MdbEntry, mdbEntry, type MdbRouter, mdbRouter } from './mdb-entry.js'
import type { BridgeRef } from './ref.js'
import { watchTable } from './table-watch.js'

export interface MdbWatchOptions extends WatchOptions {
  /** After an overrun read the database again and report what changed meanwhile. */
  resync?: boolean | undefined
}

/**
 * One change.
 * - `added`, `removed`: a port joined or left a group. The kernel does not say whether an entry that goes was deleted or
 *   expired.
 * - `changed`: state, flags, sources or filter mode are others.
 * - `router-added`, `router-removed`: a multicast router is, or is no longer, behind a port.
 * - `overrun`: notifications were lost here. With `resync` the changes that follow bring the consumer up to date.
 */
export type MdbChange =
  | { type: 'added' | 'changed' | 'removed'; entry: MdbEntry }
  | { type: 'router-added' | 'router-removed'; router: MdbRouter }
  | { type: 'overrun' }

/** The database and the names of the bridge and its ports. */
export interface MdbSnapshot {
  readonly names: ReadonlyMap<number, string>
  readonly entries: readonly MdbEntry[]
  readonly routers: readonly MdbRouter[]
}

export function watchMdb(bridge: BridgeRef, options: MdbWatchOptions, dump: () => MdbSnapshot): Watch<MdbChange> {
  const names = new Map([[bridge.index, bridge.name]])
  const known = new Map<string, MdbEntry>()
  const routers = new Map<string, MdbRouter>()

  function appeared(entry: MdbEntry, emit: (change: MdbChange) => void): void {
    const before = known.get(keyOf(entry))
    known.set(keyOf(entry), entry)
    if (before === undefined) emit({ type: 'added', entry })
    else if (essence(before) !== essence(entry)) emit({ type: 'changed', entry })
  }

  function routerAppeared(router: MdbRouter, emit: (change: MdbChange) => void): void {
    const key = keyOfRouter(router)
    const isNew = !routers.has(key)
    routers.set(key, router)
    if (isNew) emit({ type: 'router-added', router })
  }

  return watchTable<MdbChange>(bridge, options, {
    group: RtnlGroup.mdb,
    link({ index, attributes: { name } }) {
      if (name !== undefined) names.set(index, name)
    },
    message(input, msg, emit) {
      if (msg.type !== Rtm.RTM_NEWMDB && msg.type !== Rtm.RTM_DELMDB) return
      const message = decodeMdb(input, msg)
      if (message.index !== bridge.index) return
      for (const wire of message.entries) {
        const entry = mdbEntry(wire, names)
        if (msg.type === Rtm.RTM_NEWMDB) appeared(entry, emit)
        else if (known.delete(keyOf(entry))) emit({ type: 'removed', entry })
      }
      for (const port of message.routers) {
        // Index 0 is the bridge itself (br_rtr_notify).
        const router = mdbRouter(port.index === 0 ? { ...port, index: bridge.index } : port, names)
        if (msg.type === Rtm.RTM_NEWMDB) routerAppeared(router, emit)
        else if (routers.delete(keyOfRouter(router))) emit({ type: 'router-removed', router })
      }
    },
    read() {
      const now = dump()
      for (const [index, name] of now.names) names.set(index, name)
      for (const entry of now.entries) known.set(keyOf(entry), entry)
      for (const router of now.routers) routers.set(keyOfRouter(router), router)
    },
    readAgain(emit) {
      const now = dump()
      for (const [index, name] of now.names) names.set(index, name)
      const keys = new Set(now.entries.map(keyOf))
      for (const [key, entry] of known) if (!keys.has(key)) { known.delete(key); emit({ type: 'removed', entry }) }
      for (const entry of now.entries) appeared(entry, emit)
      const routerKeys = new Set(now.routers.map(keyOfRouter))
      for (const [key, router] of routers) if (!routerKeys.has(key)) { routers.delete(key); emit({ type: 'router-removed', router }) }
      for (const router of now.routers) routerAppeared(router, emit)
    },
  })
}

function keyOf({ portIndex, group, source, vlan }: MdbEntry): string {
  return `${portIndex}/${group}/${source ?? ''}/${vlan ?? ''}`
}

function keyOfRouter({ portIndex, vlan }: MdbRouter): string {
  return `${portIndex}/${vlan ?? ''}`
}

/** What makes an entry another one: everything but the timers. */
function essence({ state, flags, filterMode, sources, protocol }: MdbEntry): string {
  return JSON.stringify([state, flags, filterMode, (sources ?? []).map(({ address }) => address).sort(), protocol])
}
