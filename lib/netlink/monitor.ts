// SPDX-License-Identifier: MIT
// Notifications of multicast groups as an async iterator. A loss is never silent: it is an item of its own.

import { type Watch, forEachRecord, queueLimit, watchDescriptor, type WatchOptions } from '../events.js'
import { NfkitError } from '../errors.js'
import type { NetnsLike } from '../netns.js'
import type { Input } from '../wire/bytes.js'
import { messageAt, nextMessage, type NetlinkMessage } from '../wire/netlink.js'
import { NetlinkSocket } from './socket.js'

/** The kernel's own queue for a monitor; drained by the epoll thread, so it only covers scheduling. */
const RECEIVE_BUFFER = 8 << 20

export interface Monitor<T> extends WatchOptions {
  readonly protocol: number
  readonly groups: readonly number[]
  readonly netns?: NetnsLike | undefined
  /** Makes items of one notification. */
  readonly decode: (input: Input, msg: NetlinkMessage, emit: (item: T) => void) => void
  /** Called where notifications were lost: emits the announcement and, for resync, what a new dump shows as changed. */
  readonly overrun: (emit: (item: T) => void) => void
  /** Whether the iteration ends once what was emitted is consumed. */
  readonly done?: () => boolean
  readonly onClose?: () => void
}

/** Subscribes at once and answers an iterator of what `decode` makes of the notifications. */
export function monitor<T>({ protocol, groups, netns, decode, overrun, done, onClose, signal, maxQueue }: Monitor<T>): Watch<T> {
  const limit = queueLimit(maxQueue)
  const socket = NetlinkSocket.open(protocol, { netns, groups, receiveBuffer: RECEIVE_BUFFER })
  return watchDescriptor<T>(socket.descriptor, 'drop', limit, (chunk, emit) => {
    forEachRecord(chunk, (record) => {
      if (record.kind === 'overrun') return overrun(emit)
      if (record.kind === 'error') throw NfkitError.fromErrno(record.errno, 'recvmsg', 'receiving notifications')
      for (let at = record.start; at < record.end;) {
        const msg = messageAt(record.input, at, record.end)
        decode(record.input, msg, emit)
        at = nextMessage(msg)
      }
    })
  }, { signal, ...(done === undefined ? {} : { done }), ...(onClose === undefined ? {} : { onClose }) })
}
