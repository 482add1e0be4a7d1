// SPDX-License-Identifier: MIT
// A dump of the CAM table that the epoll thread receives: batches arrive without stopping the main thread.

import { forEachRecord, type Watch, watchDescriptor } from '../events.js'
import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import { NetlinkSocket, requestError, type Request } from '../netlink/socket.js'
import { routeSocket } from '../netlink/route.js'
import { type CamEntry, decodeFdb, type FdbFilter } from '../wire/fdb.js'
import { decodeAck, messageAt, nextMessage, NLMSG_DONE, NLMSG_ERROR } from '../wire/netlink.js'
import { NETLINK_ROUTE } from '../wire/rtnetlink.js'
import { type CamOwner, PortNames } from './cam-names.js'

/** Bytes that may wait for the consumer before the receiving pauses. */
const QUEUE = 1 << 20

export function scanCam(bridge: CamOwner, request: Request, wanted: FdbFilter, portIndex: number | undefined, signal: AbortSignal | undefined): Watch<CamEntry[]> {
  const socket = NetlinkSocket.open(NETLINK_ROUTE, { netns: bridge.netns })
  const lookups = routeSocket(bridge.netns)
  const names = new PortNames(lookups.socket, bridge)
  let finished = false
  try {
    socket.startDump(request)
  } catch (error) {
    socket.close()
    lookups.release()
    throw error
  }
  return watchDescriptor<CamEntry[]>(socket.descriptor, 'pause', QUEUE, (chunk, emit) => {
    const batch: CamEntry[] = []
    forEachRecord(chunk, (record) => {
      if (record.kind === 'error') throw NfkitError.fromErrno(record.errno, 'recvmsg', request.doing)
      if (record.kind === 'overrun') throw NfkitError.fromErrno(Errno.ENOBUFS, 'recvmsg', request.doing)
      for (let at = record.start; at < record.end && !finished;) {
        const msg = messageAt(record.input, at, record.end)
        if (msg.type === NLMSG_DONE || msg.type === NLMSG_ERROR) {
          finished = true
          const ack = decodeAck(record.input, msg)
          if (ack.errno !== 0) throw requestError(request, ack, new Uint8Array(16))
        } else {
          const entry = decodeFdb(record.input, msg, wanted)
          if (entry !== undefined && (portIndex === undefined || entry.portIndex === portIndex)) batch.push(entry)
        }
        at = nextMessage(msg)
      }
    })
    if (batch.length === 0) return
    names.fill(batch)
    emit(batch)
  }, { signal, done: () => finished, onClose: () => lookups.release() })
}
