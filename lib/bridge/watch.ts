// SPDX-License-Identifier: MIT
// Following a bridge: its ports come, go and change state, its spanning tree and its settings change.

import { isDeepStrictEqual } from 'node:util'
import { NfkitError } from '../errors.js'
import type { Watch, WatchOptions } from '../events.js'
import * as Link from '../net/link.js'
import { linkInfo } from '../net/link.js'
import { monitor } from '../netlink/monitor.js'
import { portAttributes } from '../wire/bridge-port.js'
import { decodeLink, type LinkMessage } from '../wire/link.js'
import type { PortState } from '../wire/link-kinds/bridge-port.js'
import { AF_UNSPEC, NETLINK_ROUTE, Rtm, RtnlGroup } from '../wire/rtnetlink.js'
import { type BridgePort, listPorts, portOf } from './ports.js'
import { type BridgeRef, exists } from './ref.js'
import { type BridgeStatus, readStatus, type StpStatus } from './status.js'

export interface BridgeWatchOptions extends WatchOptions {
  /** After an overrun read the bridge again and report what changed meanwhile. */
  resync?: boolean | undefined
}

/**
 * One change.
 * - `port-added`, `port-removed`: a device became or is no longer a port.
 * - `port-state`: a port went from one spanning tree state to another.
 * - `port-changed`: something else about a port, its settings or its carrier for example.
 * - `stp`: root, costs, times or topology change of the spanning tree. The kernel has no notification of its own for them:
 *   they are read again whenever it notifies of a port or of the bridge.
 * - `changed`: another setting of the bridge.
 * - `overrun`: notifications were lost here. With `resync` the changes that follow bring the consumer up to date.
 *
 * Timers, and what the kernel counts, are no changes.
 */
export type BridgeChange =
  | { type: 'port-added' | 'port-removed'; port: BridgePort }
  | { type: 'port-state'; port: BridgePort; from: PortState; to: PortState; previous: BridgePort }
  | { type: 'port-changed'; port: BridgePort; previous: BridgePort }
  | { type: 'stp'; stp: StpStatus; previous: StpStatus }
  | { type: 'changed'; bridge: BridgeStatus; previous: BridgeStatus }
  | { type: 'overrun' }

export function watchBridge(bridge: BridgeRef, options: BridgeWatchOptions): Watch<BridgeChange> {
  type Emit = (change: BridgeChange) => void
  const { resync = false, signal, maxQueue } = options
  const { netns } = bridge
  const ports = new Map<number, BridgePort>()
  let status: BridgeStatus
  let gone = false

  function portIs(port: BridgePort, emit: Emit): void {
    const previous = ports.get(port.index)
    ports.set(port.index, port)
    if (previous === undefined) emit({ type: 'port-added', port })
    else if (previous.state !== port.state) emit({ type: 'port-state', port, from: previous.state, to: port.state, previous })
    else if (!isDeepStrictEqual(portEssence(previous), portEssence(port))) emit({ type: 'port-changed', port, previous })
  }

  function portGone(index: number, emit: Emit): void {
    const port = ports.get(index)
    if (ports.delete(index)) emit({ type: 'port-removed', port: port! })
  }

  function bridgeIs(now: BridgeStatus, emit: Emit): void {
    const previous = status
    status = now
    if (!isDeepStrictEqual(stpEssence(previous.stp), stpEssence(now.stp))) emit({ type: 'stp', stp: now.stp, previous: previous.stp })
    if (!isDeepStrictEqual(essence(previous), essence(now))) emit({ type: 'changed', bridge: now, previous })
  }

  /** A notification of the bridge about a port: what the port is set to, but not all that there is about the device. */
  function portSays(message: LinkMessage, emit: Emit): void {
    const masterData = portAttributes(message)
    if (masterData === undefined) return
    const link = { ...linkInfo(message), masterData }
    const known = ports.get(link.index)
    portIs({ ...portOf(link, nameOf), ...(known === undefined ? {} : { promiscuity: known.promiscuity }) }, emit)
  }

  function nameOf(index: number): string {
    return ports.get(index)?.name ?? find(index, netns)?.name ?? `#${index}`
  }

  function readBridge(emit: Emit): void {
    const link = find(bridge.index, netns)
    if (link !== undefined) bridgeIs(readStatus(link, netns), emit)
  }

  function readAll(emit: Emit): void {
    const now = listPorts(bridge)
    const there = new Set(now.map(({ index }) => index))
    for (const index of ports.keys()) if (!there.has(index)) portGone(index, emit)
    for (const port of now) portIs(port, emit)
    readBridge(emit)
  }

  const watch = monitor<BridgeChange>({
    protocol: NETLINK_ROUTE,
    groups: [RtnlGroup.link],
    netns,
    signal,
    maxQueue,
    decode(input, msg, emit) {
      if (msg.type !== Rtm.RTM_NEWLINK && msg.type !== Rtm.RTM_DELLINK) return
      const message = decodeLink(input, msg)
      const { index, family, attributes } = message
      const isNew = msg.type === Rtm.RTM_NEWLINK
      if (index === bridge.index) {
        if (family === AF_UNSPEC && !isNew) gone = true
        // As it is now, for all messages alike: with what an older message says it would seem to change back and forth.
        else readBridge(emit)
        return
      }
      if (attributes.master !== bridge.index && !ports.has(index)) return
      if (family === AF_UNSPEC) {
        if (isNew && attributes.master === bridge.index) portIs(portOf(linkInfo(message), nameOf), emit)
        else portGone(index, emit)
      } else if (attributes.master === bridge.index) {
        if (isNew) portSays(message, emit)
        else portGone(index, emit)
      }
      readBridge(emit)
    },
    overrun(emit) {
      emit({ type: 'overrun' })
      if (!exists(bridge)) gone = true
      // Read in any case, so that what follows is told rightly as new or changed.
      else readAll(resync ? emit : () => {})
    },
    done: () => gone,
  })
  try {
    status = readStatus(Link.get(bridge.index, { netns }), netns)
    for (const port of listPorts(bridge)) ports.set(port.index, port)
  } catch (error) {
    void watch.return!()
    throw error
  }
  return watch
}

function find(index: number, netns: BridgeRef['netns']): Link.LinkInfo | undefined {
  try {
    return Link.get(index, { netns })
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'ENODEV') return undefined
    throw error
  }
}

function portEssence(port: BridgePort): object {
  const { timers: _timers, multicastEhtHostsCount: _hosts, multicastGroups: _groups, configPending: _pending, ...rest } = port
  return rest
}

function stpEssence({ timers: _timers, ...rest }: StpStatus): object {
  return rest
}

function essence({ stp: _stp, fdbLearned: _learned, multicast, ...rest }: BridgeStatus): object {
  const { querierState: _querier, ...others } = multicast ?? {}
  return { ...rest, multicast: others }
}
