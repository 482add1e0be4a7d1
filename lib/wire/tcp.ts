// SPDX-License-Identifier: MIT
// TCP segments (RFC 9293 section 3.1).

import { invalidArgument } from '../errors.js'
import { checkBytes, checkInteger } from './check.js'
import { inputOf, Writer } from './bytes.js'
import { type AddressPair, checksumBetween } from './checksum.js'
import { IpProtocol } from './ip-protocol.js'
import { malformedPacket, needBytes } from './packet-error.js'

export type TcpFlag = 'fin' | 'syn' | 'rst' | 'psh' | 'ack' | 'urg' | 'ece' | 'cwr'

/** Control bits from the lowest up. */
export const TCP_FLAGS: readonly TcpFlag[] = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr']

export interface TcpSegment {
  sourcePort: number
  destinationPort: number
  sequence: number
  acknowledgement?: number
  flags: TcpFlag[]
  /** As on the wire, before scaling; 65535 unless told. */
  window?: number
  urgentPointer?: number
  /** Option bytes, up to 40, padded with end-of-list to a multiple of four. */
  options?: Uint8Array
  payload: Uint8Array
}

const HEADER = 20

/**
 * Reads a segment; options and payload are views of `bytes`.
 * @throws NfkitError EBADMSG when the bytes end within the header.
 */
export function decodeTcp(bytes: Uint8Array): Required<TcpSegment> {
  needBytes(bytes, HEADER, 'a TCP header')
  const { view } = inputOf(bytes)
  const header = (bytes[12]! >> 4) * 4
  if (header < HEADER || header > bytes.length) throw malformedPacket(`a TCP header of ${header} bytes in ${bytes.length}`)
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgement: view.getUint32(8),
    flags: TCP_FLAGS.filter((_, bit) => (bytes[13]! & (1 << bit)) !== 0),
    window: view.getUint16(14),
    urgentPointer: view.getUint16(18),
    options: bytes.subarray(HEADER, header),
    payload: bytes.subarray(header),
  }
}

/** Writes a segment with its checksum. @throws TypeError or RangeError for a field that does not fit. */
export function encodeTcp(segment: TcpSegment, addresses: AddressPair): Uint8Array {
  const {
    sourcePort, destinationPort, sequence, acknowledgement = 0, flags, window = 0xffff, urgentPointer = 0, options = new Uint8Array(0),
    payload,
  } = segment
  checkInteger(sourcePort, 0, 0xffff, 'sourcePort')
  checkInteger(destinationPort, 0, 0xffff, 'destinationPort')
  checkInteger(sequence, 0, 0xffffffff, 'sequence')
  checkInteger(acknowledgement, 0, 0xffffffff, 'acknowledgement')
  checkInteger(window, 0, 0xffff, 'window')
  checkInteger(urgentPointer, 0, 0xffff, 'urgentPointer')
  checkBytes(options, 'options')
  checkInteger(options.length, 0, 40, 'options', 'bytes')
  checkBytes(payload, 'payload')
  let bits = 0
  for (const flag of flags) {
    const bit = TCP_FLAGS.indexOf(flag)
    if (bit < 0) throw invalidArgument('flags', `some of ${TCP_FLAGS.join(', ')}`, flag)
    bits |= 1 << bit
  }
  const header = HEADER + ((options.length + 3) & ~3)
  const w = new Writer(header + payload.length)
  w.be16(sourcePort)
  w.be16(destinationPort)
  w.be32(sequence)
  w.be32(acknowledgement)
  w.u8((header / 4) << 4)
  w.u8(bits)
  w.be16(window)
  w.be16(0)
  w.be16(urgentPointer)
  w.raw(options)
  w.align()
  w.raw(payload)
  w.view.setUint16(16, checksumBetween(addresses, IpProtocol.tcp, w.finish()))
  return w.finish()
}
