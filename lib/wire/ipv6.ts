// SPDX-License-Identifier: MIT
// IPv6 packets (RFC 8200).

import { checkBytes, checkInteger } from './check.js'
import { inputOf, Writer } from './bytes.js'
import { formatIp, parseIp } from './ip.js'
import { IpProtocol } from './ip-protocol.js'
import { malformedPacket, needBytes } from './packet-error.js'

export interface Ipv6Packet {
  source: string
  destination: string
  /** What the payload begins with: an extension header or a transport protocol. */
  nextHeader: number
  /** 0 to 255; 64 unless told. */
  hopLimit?: number
  /** 0 to 255; 0 unless told. */
  trafficClass?: number
  /** 20 bits; 0 unless told. */
  flowLabel?: number
  payload: Uint8Array
}

/** A packet as read. */
export interface DecodedIpv6 extends Required<Ipv6Packet> {
  /** What the header says; more than there are bytes when the packet was cut, 0 for a jumbogram. */
  payloadLength: number
}

const HEADER = 40

/**
 * Reads a packet. The payload, extension headers included, is a view of `bytes`.
 * @throws NfkitError EBADMSG when the bytes end within the header or are of another version.
 */
export function decodeIpv6(bytes: Uint8Array): DecodedIpv6 {
  needBytes(bytes, HEADER, 'an IPv6 header')
  const { view } = inputOf(bytes)
  const first = view.getUint32(0)
  if (first >>> 28 !== 6) throw malformedPacket(`IP version ${first >>> 28} where 6 should be`)
  const payloadLength = view.getUint16(4)
  return {
    source: formatIp(bytes.subarray(8, 24)),
    destination: formatIp(bytes.subarray(24, 40)),
    nextHeader: bytes[6]!,
    hopLimit: bytes[7]!,
    trafficClass: (first >>> 20) & 0xff,
    flowLabel: first & 0xfffff,
    payload: bytes.subarray(HEADER, payloadLength === 0 ? bytes.length : Math.min(HEADER + payloadLength, bytes.length)),
    payloadLength,
  }
}

/** @throws TypeError or RangeError for a field that does not fit. */
export function encodeIpv6(packet: Ipv6Packet): Uint8Array {
  const { source, destination, nextHeader, hopLimit = 64, trafficClass = 0, flowLabel = 0, payload } = packet
  checkBytes(payload, 'payload')
  checkInteger(payload.length, 0, 0xffff, 'payload', 'bytes')
  checkInteger(nextHeader, 0, 255, 'nextHeader')
  checkInteger(hopLimit, 0, 255, 'hopLimit')
  checkInteger(trafficClass, 0, 255, 'trafficClass')
  checkInteger(flowLabel, 0, 0xfffff, 'flowLabel')
  const w = new Writer(HEADER + payload.length)
  w.be32(((6 << 28) | (trafficClass << 20) | flowLabel) >>> 0)
  w.be16(payload.length)
  w.u8(nextHeader)
  w.u8(hopLimit)
  w.raw(parseIp(source, 'source', 'ipv6'))
  w.raw(parseIp(destination, 'destination', 'ipv6'))
  w.raw(payload)
  return w.finish()
}

/** The transport protocol behind the extension headers. */
export interface Ipv6Transport {
  protocol: number
  payload: Uint8Array
  /** A fragment other than the first: the payload is not the beginning of a transport message. */
  laterFragment: boolean
}

/**
 * Walks the extension headers (RFC 8200 section 4).
 * @throws NfkitError EBADMSG when the bytes end within one.
 */
export function ipv6Transport({ nextHeader, payload }: Pick<DecodedIpv6, 'nextHeader' | 'payload'>): Ipv6Transport {
  let protocol = nextHeader
  let rest = payload
  for (;;) {
    let length: number
    if (protocol === IpProtocol.hopByHop || protocol === IpProtocol.routing || protocol === IpProtocol.destinationOptions) {
      needBytes(rest, 8, 'an IPv6 extension header')
      length = (rest[1]! + 1) * 8
    } else if (protocol === IpProtocol.ah) {
      needBytes(rest, 8, 'an authentication header')
      length = (rest[1]! + 2) * 4
    } else if (protocol === IpProtocol.fragment) {
      needBytes(rest, 8, 'an IPv6 fragment header')
      if ((inputOf(rest).view.getUint16(2) & 0xfff8) !== 0) return { protocol: rest[0]!, payload: rest.subarray(8), laterFragment: true }
      length = 8
    } else {
      return { protocol, payload: rest, laterFragment: false }
    }
    needBytes(rest, length, 'an IPv6 extension header')
    protocol = rest[0]!
    rest = rest.subarray(length)
  }
}
