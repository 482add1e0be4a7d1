// SPDX-License-Identifier: MIT
// The socket of a packet queue or a log group: configured in one message, so that there is no moment in which the kernel would
// drop packets for want of a copy mode; what the kernel sends before it acknowledges is kept.

import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import { check, type RawDescriptor } from '../native.js'
import { NetlinkSocket, type Request } from '../netlink/socket.js'
import type { NetnsLike } from '../netns.js'
import { type Input, inputOf, LITTLE_ENDIAN } from '../wire/bytes.js'
import { checkInteger } from '../wire/check.js'
import { NLMSG_HEADER, type NetlinkMessage, text } from '../wire/netlink.js'
import { NETLINK_NETFILTER } from '../wire/nfnetlink.js'

const SOL_SOCKET = 1
const SO_RCVBUF = 8
const SOL_NETLINK = 270
const NETLINK_NO_ENOBUFS = 5
const SIOCGIFNAME = 0x8910
/** struct ifreq: a name of 16 bytes and a union. */
const IFREQ_SIZE = 40
const IFREQ_INDEX = 16

/** Bytes that may wait in this process beside those in the socket's own buffer; the kernel keeps the packets meanwhile. */
export const WATCH_LIMIT = 2 << 20

/** A network interface that a packet came by or will go by. */
export interface PacketInterface {
  /** In the network namespace of the hook. */
  index: number
  /** Null when the interface is gone. */
  name: string | null
}

/** One whole message, copied. */
export interface KeptMessage { input: Input; msg: NetlinkMessage }

export interface NetfilterSocket {
  readonly descriptor: RawDescriptor
  /** What came before the kernel acknowledged the configuration. */
  readonly early: readonly KeptMessage[]
  /** Bytes that the kernel granted. */
  readonly receiveBuffer: number
}

/**
 * Opens a socket, configures it, and answers it with the messages that came meanwhile.
 *
 * The kernel normally stops sending to a socket whose buffer ran full until it is empty, and says ENOBUFS once. Here it goes on
 * with what fits (NETLINK_NO_ENOBUFS): the packets' numbers tell exactly what is missing.
 */
export function openNetfilterSocket(
  netns: NetnsLike | undefined, receiveBuffer: number, request: Omit<Request, 'name'> & { name: string },
): NetfilterSocket {
  const early: KeptMessage[] = []
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, {
    netns, receiveBuffer,
    unsolicited(input, msg) {
      const bytes = input.bytes.slice(msg.start - NLMSG_HEADER, msg.end)
      early.push({ input: inputOf(bytes), msg: { ...msg, start: NLMSG_HEADER, end: bytes.length } })
    },
  })
  try {
    const on = new Uint8Array(new Uint32Array([1]).buffer)
    check(socket.descriptor.setOption(SOL_NETLINK, NETLINK_NO_ENOBUFS, on), 'setsockopt', 'NETLINK_NO_ENOBUFS (Linux 2.6.30)')
    socket.request(request)
  } catch (error) {
    socket.close()
    throw error
  }
  return { descriptor: socket.descriptor, early, receiveBuffer: granted(socket.descriptor) }
}

function granted(socket: RawDescriptor): number {
  const value = new Uint8Array(4)
  check(socket.getOption(SOL_SOCKET, SO_RCVBUF, value), 'getsockopt', 'SO_RCVBUF')
  return new DataView(value.buffer).getInt32(0, LITTLE_ENDIAN)
}

/**
 * The name of an interface in the namespace of a socket. Asked each time: a name can change, and asking costs a microsecond.
 * @returns null when there is none with this index, or the socket is closed
 */
export function interfaceName(socket: RawDescriptor, index: number): string | null {
  const request = new Uint8Array(IFREQ_SIZE)
  new DataView(request.buffer).setInt32(IFREQ_INDEX, index, LITTLE_ENDIAN)
  return socket.ioctl(SIOCGIFNAME, request) < 0 ? null : text(request, 0, IFREQ_INDEX)
}

/** Throws unless the receive buffer's size is one that the kernel takes. */
export function checkReceiveBuffer(value: unknown): asserts value is number {
  checkInteger(value, 4096, 1 << 30, 'receiveBuffer', 'bytes')
}

/**
 * The kernel answers EPERM both to who lacks a capability and for a number that another socket has. The second is told as what it is.
 * @param owner netlink port of the socket that has the number
 */
export function takenBy(error: unknown, what: string, owner: number | undefined): unknown {
  if (!(error instanceof NfkitError) || error.errno !== Errno.EPERM || owner === undefined) return error
  return NfkitError.fromErrno(Errno.EBUSY, error.syscall ?? 'sendmsg', what, {
    cause: error,
    hint: `another socket has this number, that of netlink port ${owner} (mostly the id of its process): end that program or take another number`,
  })
}
