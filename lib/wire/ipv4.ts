// SPDX-License-Identifier: MIT
// IPv4 packets (RFC 791; DSCP and ECN: RFC 2474, RFC 3168).

import { outOfRange } from '../errors.js'
import { checkBytes, checkInteger } from './check.js'
import { inputOf, Writer } from './bytes.js'
import { internetChecksum } from './checksum.js'
import { formatIp, parseIp } from './ip.js'
import { malformedPacket, needBytes } from './packet-error.js'

export interface Ipv4Packet {
  source: string
  destination: string
  /** IPPROTO_* number of the payload. */
  protocol: number
  /** Time to live in hops, 0 to 255; 64 unless told. */
  ttl?: number
  /** Differentiated services code point, 0 to 63; 0 unless told. */
  dscp?: number
  /** Explicit congestion notification, 0 to 3; 0 unless told. */
  ecn?: number
  identification?: number
  dontFragment?: boolean
  moreFragments?: boolean
  /** Where this fragment begins, in bytes; a multiple of 8 up to 65528. */
  fragmentOffset?: number
  /** Option bytes, up to 40, padded to a multiple of four. */
  options?: Uint8Array
  payload: Uint8Array
}

/** A packet as read, with what the header says about itself. */
export interface DecodedIpv4 extends Required<Ipv4Packet> {
  /** The header's total length; more than there are bytes when the packet was cut (in an ICMP error), 0 beyond 64 KiB (BIG TCP). */
  totalLength: number
  checksumCorrect: boolean
}

const HEADER = 20

/**
 * Reads a packet. The payload is a view of `bytes`, without the padding of a short Ethernet frame.
 * @throws NfkitError EBADMSG when the bytes end within the header or are of another version.
 */
export function decodeIpv4(bytes: Uint8Array): DecodedIpv4 {
  needBytes(bytes, HEADER, 'an IPv4 header')
  const { view } = inputOf(bytes)
  const header = (bytes[0]! & 15) * 4
  if (bytes[0]! >> 4 !== 4) throw malformedPacket(`IP version ${bytes[0]! >> 4} where 4 should be`)
  if (header < HEADER || header > bytes.length) throw malformedPacket(`an IPv4 header of ${header} bytes in ${bytes.length}`)
  const totalLength = view.getUint16(2)
  if (totalLength !== 0 && totalLength < header) throw malformedPacket(`an IPv4 packet of ${totalLength} bytes with a header of ${header}`)
  const fragment = view.getUint16(6)
  return {
    source: formatIp(bytes.subarray(12, 16)),
    destination: formatIp(bytes.subarray(16, 20)),
    protocol: bytes[9]!,
    ttl: bytes[8]!,
    dscp: bytes[1]! >> 2,
    ecn: bytes[1]! & 3,
    identification: view.getUint16(4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment & 0x1fff) * 8,
    options: bytes.subarray(HEADER, header),
    payload: bytes.subarray(header, totalLength === 0 ? bytes.length : Math.min(totalLength, bytes.length)),
    totalLength,
    checksumCorrect: internetChecksum(bytes.subarray(0, header)) === 0,
  }
}

/**
 * Writes a packet with its header checksum.
 * @throws TypeError or RangeError for a field that does not fit.
 */
export function encodeIpv4(packet: Ipv4Packet): Uint8Array {
  const {
    source, destination, protocol, ttl = 64, dscp = 0, ecn = 0, identification = 0, dontFragment = false, moreFragments = false,
    fragmentOffset = 0, options = new Uint8Array(0), payload,
  } = packet
  checkBytes(payload, 'payload')
  checkBytes(options, 'options')
  checkInteger(options.length, 0, 40, 'options', 'bytes')
  const header = HEADER + ((options.length + 3) & ~3)
  checkInteger(payload.length, 0, 0xffff - header, 'payload', 'bytes')
  checkInteger(protocol, 0, 255, 'protocol')
  checkInteger(ttl, 0, 255, 'ttl')
  checkInteger(dscp, 0, 63, 'dscp')
  checkInteger(ecn, 0, 3, 'ecn')
  checkInteger(identification, 0, 0xffff, 'identification')
  checkInteger(fragmentOffset, 0, 0xfff8, 'fragmentOffset', 'bytes')
  if (fragmentOffset % 8 !== 0) throw outOfRange('fragmentOffset', 'a multiple of 8', fragmentOffset)
  const w = new Writer(header + payload.length)
  w.u8(0x40 | (header / 4))
  w.u8((dscp << 2) | ecn)
  w.be16(header + payload.length)
  w.be16(identification)
  w.be16((dontFragment ? 0x4000 : 0) | (moreFragments ? 0x2000 : 0) | (fragmentOffset / 8))
  w.u8(ttl)
  w.u8(protocol)
  w.be16(0)
  w.raw(parseIp(source, 'source', 'ipv4'))
  w.raw(parseIp(destination, 'destination', 'ipv4'))
  w.raw(options)
  w.align()
  w.view.setUint16(10, internetChecksum(w.finish()))
  w.raw(payload)
  return w.finish()
}
