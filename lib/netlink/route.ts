// SPDX-License-Identifier: MIT
// Sockets of NETLINK_ROUTE: one for this process's own namespace, one for each open Netns, short-lived ones for names.

import { Netns, type NetnsLike } from '../netns.js'
import { NETLINK_ROUTE, Rtm, type RtmName } from '../wire/rtnetlink.js'
import { NetlinkSocket, type Request } from './socket.js'

let own: NetlinkSocket | undefined
const kept = new WeakMap<Netns, NetlinkSocket>()

/** A socket with the duty to let go of it. */
export interface RouteSocket {
  readonly socket: NetlinkSocket
  /** Closes the socket unless it is shared. */
  release(): void
}

/**
 * The rtnetlink socket of a namespace. A name is looked up at each call, since it can come to mean another namespace,
 * and has a socket of its own until released.
 */
export function routeSocket(netns?: NetnsLike): RouteSocket {
  if (typeof netns === 'string') {
    const socket = NetlinkSocket.open(NETLINK_ROUTE, { netns })
    return { socket, release: () => socket.close() }
  }
  let socket = netns === undefined ? own : kept.get(netns)
  if (socket === undefined) {
    socket = NetlinkSocket.open(NETLINK_ROUTE, { netns })
    if (netns === undefined) own = socket
    else {
      const opened = socket
      kept.set(netns, opened)
      netns.onClose(() => { kept.delete(netns); opened.close() })
    }
  }
  return { socket, release: () => {} }
}

/** Runs something with the rtnetlink socket of a namespace. */
export function withRoute<T>(netns: NetnsLike | undefined, run: (socket: NetlinkSocket) => T): T {
  const { socket, release } = routeSocket(netns)
  try {
    return run(socket)
  } finally {
    release()
  }
}

/** A request by the kernel's name of its type. */
export function rtm(name: RtmName, rest: Omit<Request, 'type' | 'name'>): Request {
  return { type: Rtm[name], name, ...rest }
}
