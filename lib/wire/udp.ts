// SPDX-License-Identifier: MIT
// UDP datagrams (RFC 768; over IPv6: RFC 8200 section 8.1).

import { checkBytes, checkInteger } from './check.js'
import { inputOf, Writer } from './bytes.js'
import { type AddressPair, checksumBetween } from './checksum.js'
import { IpProtocol } from './ip-protocol.js'
import { malformedPacket, needBytes } from './packet-error.js'

export interface UdpDatagram {
  sourcePort: number
  destinationPort: number
  payload: Uint8Array
}

const HEADER = 8

/**
 * Reads a datagram; the payload is a view of `bytes`, fewer than the header says when the packet was cut.
 * @throws NfkitError EBADMSG when the bytes end within the header or its length is impossible.
 */
export function decodeUdp(bytes: Uint8Array): UdpDatagram {
  needBytes(bytes, HEADER, 'a UDP header')
  const { view } = inputOf(bytes)
  const length = view.getUint16(4)
  // 0 stands for more than 64 KiB (RFC 2675).
  if (length !== 0 && length < HEADER) throw malformedPacket(`a UDP datagram of ${length} bytes`)
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    payload: bytes.subarray(HEADER, length === 0 ? bytes.length : Math.min(length, bytes.length)),
  }
}

/** Writes a datagram with its checksum. @throws TypeError or RangeError for a field that does not fit. */
export function encodeUdp({ sourcePort, destinationPort, payload }: UdpDatagram, addresses: AddressPair): Uint8Array {
  checkInteger(sourcePort, 0, 0xffff, 'sourcePort')
  checkInteger(destinationPort, 0, 0xffff, 'destinationPort')
  checkBytes(payload, 'payload')
  checkInteger(payload.length, 0, 0xffff - HEADER, 'payload', 'bytes')
  const w = new Writer(HEADER + payload.length)
  w.be16(sourcePort)
  w.be16(destinationPort)
  w.be16(HEADER + payload.length)
  w.be16(0)
  w.raw(payload)
  const checksum = checksumBetween(addresses, IpProtocol.udp, w.finish())
  // Zero would mean that there is none.
  w.view.setUint16(6, checksum === 0 ? 0xffff : checksum)
  return w.finish()
}
