// SPDX-License-Identifier: MIT
// What the watches of a bridge's tables share: notifications of the table and of links, the end with the bridge, and what a loss asks for.

import type { Watch, WatchOptions } from '../events.js'
import { monitor } from '../netlink/monitor.js'
import type { Input } from '../wire/bytes.js'
import { decodeLink } from '../wire/link.js'
import type { NetlinkMessage } from '../wire/netlink.js'
import { NETLINK_ROUTE, Rtm, RtnlGroup } from '../wire/rtnetlink.js'
import { type BridgeRef, exists } from './ref.js'

export interface TableWatchOptions extends WatchOptions {
  readonly resync?: boolean | undefined
}

type Emit<C> = (change: C) => void

/** A table of a bridge, as its watch knows it. */
export interface WatchedTable<C> {
  /** The multicast group of its notifications. */
  readonly group: number
  /** A notification that is not about a link. */
  readonly message: (input: Input, msg: NetlinkMessage, emit: Emit<C>) => void
  /** A link is as told, or `deleted`: also when a port leaves a bridge. */
  readonly link: (link: ReturnType<typeof decodeLink>, deleted: boolean, emit: Emit<C>) => void
  /** Reads what there is at first. */
  readonly read: () => void
  /** Reads it again and says what has changed. */
  readonly readAgain: (emit: Emit<C>) => void
}

/** Subscribes, and then reads, so that nothing is missed in between. */
export function watchTable<C>(bridge: BridgeRef, { resync = false, signal, maxQueue }: TableWatchOptions, table: WatchedTable<C | { type: 'overrun' }>): Watch<C | { type: 'overrun' }> {
  let gone = false
  const watch = monitor<C | { type: 'overrun' }>({
    protocol: NETLINK_ROUTE,
    groups: [table.group, RtnlGroup.link],
    netns: bridge.netns,
    signal,
    maxQueue,
    decode(input, msg, emit) {
      if (msg.type !== Rtm.RTM_NEWLINK && msg.type !== Rtm.RTM_DELLINK) return table.message(input, msg, emit)
      const deleted = msg.type === Rtm.RTM_DELLINK
      const link = decodeLink(input, msg)
      // A deletion with family AF_BRIDGE only says that a port left.
      if (deleted && link.family === 0 && link.index === bridge.index) gone = true
      table.link(link, deleted, emit)
    },
    overrun(emit) {
      emit({ type: 'overrun' })
      gone = !exists(bridge)
      // Read in any case, so that what follows is told rightly as added or changed.
      if (!gone) table.readAgain(resync ? emit : () => {})
    },
    done: () => gone,
  })
  try {
    table.read()
  } catch (error) {
    void watch.return!()
    throw error
  }
  return watch
}
