// SPDX-License-Identifier: MIT
// Control messages beside a received datagram: struct cmsghdr (cmsg(3), include/linux/socket.h).

import { inputOf, LITTLE_ENDIAN } from './bytes.js'
import { malformedPacket } from './packet-error.js'

/** Bytes of the machine's size_t: the width of cmsg_len, and what messages are aligned to. */
const WORD = /64|s390x/.test(process.arch) ? 8 : 4

/** One control message. */
export interface ControlMessage {
  /** SOL_*. */
  readonly level: number
  readonly type: number
  readonly data: Uint8Array
}

/**
 * Splits what a record has behind its address.
 * @throws NfkitError EBADMSG when a length does not fit.
 */
export function controlMessages(bytes: Uint8Array, word: 4 | 8 = WORD): ControlMessage[] {
  const { view } = inputOf(bytes)
  const list: ControlMessage[] = []
  const header = word + 8
  for (let at = 0; at + header <= bytes.length;) {
    const size = word === 8 ? Number(view.getBigUint64(at, LITTLE_ENDIAN)) : view.getUint32(at, LITTLE_ENDIAN)
    if (size < header || size > bytes.length - at) throw malformedPacket(`a control message of ${size} bytes in ${bytes.length - at}`)
    list.push({
      level: view.getInt32(at + word, LITTLE_ENDIAN),
      type: view.getInt32(at + word + 4, LITTLE_ENDIAN),
      data: bytes.subarray(at + header, at + size),
    })
    at += Math.ceil(size / word) * word
  }
  return list
}

/** A record's address apart from the control messages behind it; `addressSize` is that of the family's sockaddr. */
export function splitAddress(record: Uint8Array, addressSize: number): { address: Uint8Array; control: Uint8Array } {
  return { address: record.subarray(0, addressSize), control: record.subarray((addressSize + 7) & ~7) }
}

/** struct tpacket_auxdata (include/uapi/linux/if_packet.h): what a packet socket knows of a frame beside its bytes. */
export interface PacketAuxiliary {
  /** TP_STATUS_* bits. */
  status: number
  /** Length of the frame on the wire. */
  length: number
  /** Tag control information and tag protocol of the VLAN tag that was taken off the frame. */
  vlan?: { tci: number; protocol: number }
}

const TP_STATUS_VLAN_VALID = 0x10
const TP_STATUS_VLAN_TPID_VALID = 0x40

/** @throws NfkitError EBADMSG when it is too short. */
export function decodePacketAuxiliary(data: Uint8Array): PacketAuxiliary {
  if (data.length < 20) throw malformedPacket(`auxiliary data of ${data.length} bytes`)
  const { view } = inputOf(data)
  const status = view.getUint32(0, LITTLE_ENDIAN)
  const length = view.getUint32(4, LITTLE_ENDIAN)
  if ((status & TP_STATUS_VLAN_VALID) === 0) return { status, length }
  // Before Linux 3.14 the protocol was not told, and there was only one.
  const protocol = (status & TP_STATUS_VLAN_TPID_VALID) === 0 ? 0x8100 : view.getUint16(18, LITTLE_ENDIAN)
  return { status, length, vlan: { tci: view.getUint16(16, LITTLE_ENDIAN), protocol } }
}

/** struct __kernel_timespec, what SO_TIMESTAMPNS_NEW gives (Linux 5.1): milliseconds since 1970 with a fraction. */
export function decodeTimestamp(data: Uint8Array): number {
  if (data.length < 16) throw malformedPacket(`a time stamp of ${data.length} bytes`)
  const { view } = inputOf(data)
  return Number(view.getBigInt64(0, LITTLE_ENDIAN)) * 1000 + Number(view.getBigInt64(8, LITTLE_ENDIAN)) / 1e6
}
