// SPDX-License-Identifier: MIT
// The least that any reader of the table has to do: the same request through the same addon, received and not looked at.

import { NetlinkSocket } from '../../lib/netlink/socket.js'
import { rtm } from '../../lib/netlink/route.js'
import { inputOf, LITTLE_ENDIAN } from '../../lib/wire/bytes.js'
import { encodeFdb } from '../../lib/wire/fdb.js'
import { NLMSG_DONE, NLMSG_HEADER } from '../../lib/wire/netlink.js'
import { NETLINK_ROUTE } from '../../lib/wire/rtnetlink.js'

const MSG_TRUNC = 0x20
/** As the library's own. */
const BUFFER = 256 << 10
/** NLMSG_DONE with its errno and nothing else. */
const DONE = NLMSG_HEADER + 4

export class BareDump {
  readonly #socket = NetlinkSocket.open(NETLINK_ROUTE)
  readonly #buffer = inputOf(new Uint8Array(BUFFER))
  readonly #bridgeIndex: number

  constructor(bridgeIndex: number) {
    this.#bridgeIndex = bridgeIndex
  }

  /** Receives one dump; answers how many bytes it was. `keep` gets each datagram, valid during the call. */
  run(keep?: (datagram: Uint8Array) => void): number {
    const { bytes, view } = this.#buffer
    const sequence = this.#socket.startDump(rtm('RTM_GETNEIGH', {
      write: (w) => encodeFdb(w, { portIndex: 0, flags: 0, master: this.#bridgeIndex }), doing: 'receiving a dump',
    }))
    // The end of a dump is a message of its own or the last one of a datagram: its place is known without reading the others.
    const isDone = (at: number) => at >= 0 && view.getUint16(at + 4, LITTLE_ENDIAN) === NLMSG_DONE && view.getUint32(at + 8, LITTLE_ENDIAN) === sequence
    for (let total = 0; ;) {
      const length = this.#socket.descriptor.receive(bytes, 0, MSG_TRUNC)
      if (length < 0 || length > BUFFER) throw new Error(`recvmsg: ${length}`)
      total += length
      keep?.(bytes.subarray(0, length))
      if (isDone(0) || isDone(length - DONE)) return total
    }
  }

  close(): void { this.#socket.close() }
  [Symbol.dispose](): void { this.close() }
}
