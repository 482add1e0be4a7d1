// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, flag, property } from '../property.js'

/**
 * `-m socket` (xt_socket_mtinfo3, Linux 4.3, include/uapi/linux/netfilter/xt_socket.h): this host has a socket for the packet.
 * PREROUTING and INPUT only.
 */
export interface SocketMatch {
  /** Only a transparent socket (IP_TRANSPARENT). Revision 1 and newer. */
  transparent?: boolean
  /** Also a listening socket that is bound to any address. Revision 2 and newer. */
  nowildcard?: boolean
  /** Give the packet the socket's mark when it matches. Revision 3. */
  restoreMark?: boolean
}

declare module '../extension.js' {
  interface Matches { socket: SocketMatch }
}

const properties = [['transparent', '--transparent'], ['nowildcard', '--nowildcard'], ['restoreMark', '--restore-skmark']].map(([key, option], i) =>
  property({ key: key!, options: [option!], type: flag(bit(0, 1 << i)), arguments: 0 }))

for (const revision of [3, 2, 1, 0]) {
  registerExtension({
    kind: 'match', name: 'socket', revision, size: revision === 0 ? 0 : 1, hooks: ['PREROUTING', 'INPUT'], properties: properties.slice(0, revision),
    ...(revision === 0 ? { family: 'ipv4' as const } : {}),
  })
}
