// SPDX-License-Identifier: MIT
// VLANs of a bridge and its ports: which there are, what they are set to, what they counted.

import { inspect } from 'node:util'
import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import type { Watch } from '../events.js'
import * as Link from '../net/link.js'
import { rtm, withRoute } from '../netlink/route.js'
import type { NetlinkSocket, Request } from '../netlink/socket.js'
import { checkInterfaceName } from '../wire/attributes.js'
import {
  decodeVlan, encodeVlan, encodeVlanDump, VLAN_DUMP, VLAN_INFO, type VlanAttributes, type VlanCounters, type VlanGlobalAttributes, type VlanMessage,
  vlanShape,
} from '../wire/bridge-vlan.js'
import type { QuerierState } from '../wire/link-kinds/bridge.js'
import type { RouterPort } from '../wire/mdb.js'
import type { RawAttribute } from '../wire/netlink.js'
import { Rtm } from '../wire/rtnetlink.js'
import { applyAll } from './apply.js'
import { noVlanFiltering } from './missing.js'
import { present } from './present.js'
import type { BridgeRef } from './ref.js'
import { alike, expand, keyOf, type VlanEntry, vlanEntry } from './vlan-entry.js'
import {
  checkGlobalOptions, checkOptions, checkSpec, entryOf, range, type VlanGlobalOptions, type VlanIds, type VlanKey, type VlanOptions, type VlanSpec,
} from './vlan-spec.js'
import { watchVlans, type VlanChange, type VlanWatchOptions } from './vlan-watch.js'

export type { VlanGlobalOptions, VlanIds, VlanKey, VlanOptions, VlanSpec } from './vlan-spec.js'

/** Counters of one VLAN of one port; with `vlan.statistics` on, and by port with `vlan.statisticsPerPort` on. */
export interface VlanStatistics extends VlanCounters {
  port: string
  portIndex: number
  vid: number
}

/** A VLAN of the whole bridge, or a range of VLANs that are all alike. */
export interface VlanGlobalEntry extends VlanGlobalOptions {
  vid: number
  vidEnd: number
  querierState?: QuerierState
  /** Ports where multicast routers are, by index. */
  multicastRouterPorts?: RouterPort[]
  unknown?: RawAttribute[]
}

/**
 * The VLANs of a bridge, as `bridge.vlans`. They take effect while `vlan.filtering` is on. Linux 5.6; changes need
 * CAP_NET_ADMIN.
 */
export class Vlans {
  readonly #bridge: BridgeRef

  constructor(bridge: BridgeRef) {
    this.#bridge = bridge
  }

  /**
   * The VLANs of one port, or of all ports and the bridge itself; neighbouring ones that are alike as one range.
   * @throws NfkitError NFKIT_NO_VLAN_FILTERING when the kernel cannot filter VLANs
   */
  list(options: { port?: Link.LinkRef | undefined } = {}): VlanEntry[] {
    return withRoute(this.#bridge.netns, (socket) => {
      const { names, only } = this.#devices(socket, options.port)
      return this.#entries(socket, names, only)
    })
  }

  /** Counters of each VLAN, of one port or of all and the bridge itself. */
  statistics(options: { port?: Link.LinkRef | undefined } = {}): VlanStatistics[] {
    return withRoute(this.#bridge.netns, (socket) => {
      const { names, only } = this.#devices(socket, options.port)
      return this.#dump(socket, only, VLAN_DUMP.statistics, (index, { entries }) => entries.flatMap((entry): VlanStatistics[] => {
        const port = names.get(index)
        if (port === undefined || entry.info === undefined) return []
        const { rxBytes = 0, rxPackets = 0, txBytes = 0, txPackets = 0 } = entry.statistics ?? {}
        return [{ port, portIndex: index, vid: entry.info.vid, rxBytes, rxPackets, txBytes, txPackets }]
      }))
    })
  }

  /**
   * Adds VLANs: all or none.
   * @throws NfkitError EEXIST when the port has one of them already
   */
  add(spec: VlanSpec | readonly VlanSpec[]): void {
    this.#write(asArray(spec), true)
  }

  /** Adds VLANs, or gives them these flags and options where the port has them. All or none. */
  replace(spec: VlanSpec | readonly VlanSpec[]): void {
    this.#write(asArray(spec), false)
  }

  /** Changes options of VLANs that the port has. All or none. @throws NfkitError ENOENT when it has not */
  set(key: VlanKey, options: VlanOptions): void {
    const { first, last } = range(key.vid)
    checkOptions(options)
    this.#change([key], (names, indexes, before) => {
      const index = indexes[0]!
      for (let vid = first; vid <= last; vid++) if (!before.has(keyOf(index, vid))) throw this.#absent(names, index, vid)
      const entry = entryOf(first, last, VLAN_INFO.onlyOptions, options)
      return [this.#request('RTM_NEWVLAN', index, entry, `setting VLAN ${first} of ${names.get(index)}`)]
    })
  }

  /**
   * Deletes VLANs of ports. Of a range, those that are there.
   * @throws NfkitError ENOENT when there is none of them
   */
  delete(key: VlanKey | readonly VlanKey[]): void {
    const keys = asArray(key)
    const ranges = keys.map(({ vid }) => range(vid))
    this.#change(keys, (names, indexes, before) => keys.map((_key, i) => {
      const index = indexes[i]!
      const { first, last } = ranges[i]!
      let found = false
      for (let vid = first; vid <= last && !found; vid++) found = before.has(keyOf(index, vid))
      if (!found) throw this.#absent(names, index, first)
      return this.#request('RTM_DELVLAN', index, entryOf(first, last, 0, {}), `deleting VLAN ${first} of ${names.get(index)}`)
    }))
  }

  /** What each VLAN is set to on the whole bridge. Linux 5.15. */
  globals(): VlanGlobalEntry[] {
    return withRoute(this.#bridge.netns, (socket) => this.#dump(socket, this.#bridge.index, VLAN_DUMP.global, (_index, { globals }) =>
      globals.map(({ vid = 0, rangeEnd, ...rest }) => ({ vid, vidEnd: rangeEnd ?? vid, ...rest }))))
  }

  /**
   * Changes options of VLANs on the whole bridge. When the kernel refuses one, the others are taken back.
   * @throws NfkitError ENOENT when neither the bridge nor a port has the VLAN
   */
  setGlobal(vid: VlanIds, options: VlanGlobalOptions): void {
    const { first, last } = range(vid)
    const changes = checkGlobalOptions(options)
    withRoute(this.#bridge.netns, (socket) => {
      const before = this.globals()
      const request = (from: number, to: number, global: Partial<VlanGlobalAttributes>): Request => rtm('RTM_NEWVLAN', {
        write: (w) => encodeVlan(w, { index: this.#bridge.index, global: { vid: from, ...(to > from ? { rangeEnd: to } : {}), ...global } }),
        doing: `setting VLAN ${first} of ${this.#bridge.name}`, shape: vlanShape,
      })
      applyAll(socket, [request(first, last, changes)], () => before.filter((entry) => entry.vidEnd >= first && entry.vid <= last).map((entry) => {
        const old = Object.fromEntries(Object.keys(changes).map((name) => [name, entry[name as keyof VlanGlobalEntry]]))
        return request(Math.max(entry.vid, first), Math.min(entry.vidEnd, last), old as Partial<VlanGlobalAttributes>)
      }))
    })
  }

  /** Follows VLANs of the bridge and its ports: what is added, changed, removed. Subscribed when called. Linux 5.7. */
  watch(options: VlanWatchOptions = {}): Watch<VlanChange> {
    return watchVlans(this.#bridge, options, () => this.list())
  }

  [inspect.custom](): string {
    return `Vlans { bridge: '${this.#bridge.name}' }`
  }

  #write(specs: readonly VlanSpec[], exclusive: boolean): void {
    const checked = specs.map(checkSpec)
    this.#change(specs, (names, indexes, before) => checked.map(({ first, last, flags, options }, i) => {
      const index = indexes[i]!
      for (let vid = first; exclusive && vid <= last; vid++) {
        if (before.has(keyOf(index, vid))) throw NfkitError.fromErrno(Errno.EEXIST, 'RTM_NEWVLAN', `adding VLAN ${vid} to ${names.get(index)}`)
      }
      return this.#request('RTM_NEWVLAN', index, entryOf(first, last, flags, options), `adding VLAN ${first} to ${names.get(index)}`)
    }))
  }

  /** Reads what is there, makes the requests from it, sends them, and takes them back when one fails. */
  #change(
    keys: readonly VlanKey[],
    make: (names: Map<number, string>, indexes: number[], before: Map<string, VlanEntry>) => Request[],
  ): void {
    for (const { port } of keys) if (typeof port === 'string' && port !== 'self') checkInterfaceName(port, 'port')
    if (keys.length === 0) return
    withRoute(this.#bridge.netns, (socket) => {
      const { names } = this.#devices(socket, undefined)
      const indexes = keys.map(({ port }) => this.#indexOf(names, port))
      const touched = [...new Set(indexes)]
      const read = () => touched.flatMap((index) => this.#entries(socket, names, index))
      const before = expand(read())
      applyAll(socket, make(names, indexes, before), () => this.#restoration(before, expand(read()), names))
    })
  }

  #restoration(before: Map<string, VlanEntry>, now: Map<string, VlanEntry>, names: Map<number, string>): Request[] {
    const requests: Request[] = []
    for (const [key, entry] of now) {
      if (before.has(key)) continue
      const doing = `deleting VLAN ${entry.vid} of ${names.get(entry.portIndex)}`
      requests.push(this.#request('RTM_DELVLAN', entry.portIndex, entryOf(entry.vid, entry.vid, 0, {}), doing))
    }
    // The PVID last: it takes the flag from another VLAN.
    const changed = [...before].filter(([key, entry]) => !alike(entry, now.get(key))).map(([, entry]) => entry)
    for (const entry of changed.sort((a, b) => Number(a.pvid) - Number(b.pvid))) {
      const flags = (entry.pvid ? VLAN_INFO.pvid : 0) | (entry.untagged ? VLAN_INFO.untagged : 0)
      const was = now.get(keyOf(entry.portIndex, entry.vid))
      const options: VlanOptions = present({
        // Written only where it differs: the kernel refuses states while it runs STP.
        state: was === undefined || was.state === entry.state ? undefined : entry.state,
        multicastRouter: was?.multicastRouter === entry.multicastRouter ? undefined : entry.multicastRouter,
        multicastMaxGroups: was?.multicastMaxGroups === entry.multicastMaxGroups ? undefined : entry.multicastMaxGroups,
        neighbourSuppress: was?.neighbourSuppress === entry.neighbourSuppress ? undefined : entry.neighbourSuppress,
        tunnelId: was?.tunnelId === entry.tunnelId ? undefined : entry.tunnelId ?? null,
      })
      const doing = `restoring VLAN ${entry.vid} of ${names.get(entry.portIndex)}`
      requests.push(this.#request('RTM_NEWVLAN', entry.portIndex, entryOf(entry.vid, entry.vid, flags, options), doing))
    }
    return requests
  }

  #request(name: 'RTM_NEWVLAN' | 'RTM_DELVLAN', index: number, entry: Partial<VlanAttributes>, doing: string): Request {
    return rtm(name, {
      write: (w) => encodeVlan(w, { index, entry }), doing, shape: vlanShape,
      hints: { EOPNOTSUPP: 'it needs CONFIG_BRIDGE_VLAN_FILTERING and Linux 5.6' },
    })
  }

  #entries(socket: NetlinkSocket, names: Map<number, string>, only: number | undefined): VlanEntry[] {
    return this.#dump(socket, only, 0, (index, { entries }) => {
      const port = names.get(index)
      return port === undefined ? [] : entries.map((entry) => vlanEntry(port, index, entry))
    })
  }

  #dump<T>(socket: NetlinkSocket, index: number | undefined, flags: number, items: (index: number, message: VlanMessage) => T[]): T[] {
    try {
      return socket.dump<T>(
        rtm('RTM_GETVLAN', { write: (w) => encodeVlanDump(w, index ?? 0, flags), doing: `reading the VLANs of ${this.#bridge.name}` }),
        (input, msg, into) => {
          if (msg.type !== Rtm.RTM_NEWVLAN) return
          const message = decodeVlan(input, msg)
          into.push(...items(message.index, message))
        },
      )
    } catch (error) {
      if (error instanceof NfkitError && error.code === 'EOPNOTSUPP') throw noVlanFiltering(error)
      throw error
    }
  }

  /** The names of the bridge and its ports by index, and the one that is asked for. */
  #devices(socket: NetlinkSocket, port: Link.LinkRef | undefined): { names: Map<number, string>; only: number | undefined } {
    if (typeof port === 'string' && port !== 'self') checkInterfaceName(port, 'port')
    const bridge = Link.getMessage(socket, this.#bridge.index)
    const names = new Map([[this.#bridge.index, bridge.attributes.name ?? this.#bridge.name]])
    for (const link of Link.list({ netns: this.#bridge.netns, master: this.#bridge.index })) names.set(link.index, link.name)
    return { names, only: port === undefined ? undefined : this.#indexOf(names, port) }
  }

  #indexOf(names: Map<number, string>, port: Link.LinkRef): number {
    if (port === 'self') return this.#bridge.index
    for (const [index, name] of names) if (port === name || port === index) return index
    // The name of no port: either there is no such device or it is not here.
    const link = Link.get(port, { netns: this.#bridge.netns })
    throw new NfkitError('NFKIT_NOT_A_PORT', `${link.name} is not a port of ${this.#bridge.name}`)
  }

  #absent(names: Map<number, string>, index: number, vid: number): NfkitError {
    return NfkitError.fromErrno(Errno.ENOENT, 'RTM_DELVLAN', `VLAN ${vid} of ${names.get(index)}`)
  }
}

function asArray<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T]
}
