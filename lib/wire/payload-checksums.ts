// SPDX-License-Identifier: MIT
// The checksums of an IP packet whose bytes were changed.

import { internetChecksum, transportChecksum } from './checksum.js'
import { inputOf } from './bytes.js'
import { IpProtocol } from './ip-protocol.js'

/** Where the checksum lies in the header of a protocol, and how long that header is at least. */
const PLACES: Readonly<Record<number, { offset: number; header: number }>> = {
  [IpProtocol.icmp]: { offset: 2, header: 4 },
  [IpProtocol.tcp]: { offset: 16, header: 20 },
  [IpProtocol.udp]: { offset: 6, header: 8 },
  [IpProtocol.icmpv6]: { offset: 2, header: 4 },
}

/**
 * A copy of an IPv4 or IPv6 packet with right checksums: of the IPv4 header, and of TCP, UDP, ICMP or ICMPv6 where the packet is whole.
 * Fragments keep theirs, since they are over more than the fragment; so does what is no packet at all. An IPv4 UDP datagram without
 * a checksum stays without.
 */
export function withChecksums(packet: Uint8Array): Uint8Array {
  // Unlike slice, which shares the memory of a Buffer.
  const bytes = new Uint8Array(packet)
  const version = (bytes[0] ?? 0) >> 4
  if (version === 4 && bytes.length >= 20) ipv4(bytes)
  else if (version === 6 && bytes.length >= 40) ipv6(bytes)
  return bytes
}

function ipv4(bytes: Uint8Array): void {
  const { view } = inputOf(bytes)
  const header = (bytes[0]! & 15) * 4
  const length = view.getUint16(2)
  if (header < 20 || header > bytes.length) return
  view.setUint16(10, 0)
  view.setUint16(10, internetChecksum(bytes.subarray(0, header)))
  // More fragments, or an offset.
  if ((view.getUint16(6) & 0x3fff) !== 0 || length < header || length > bytes.length) return
  transport(bytes.subarray(12, 16), bytes.subarray(16, 20), bytes[9]!, bytes.subarray(header, length))
}

/** A fragment's checksum is over all of them, and with a routing header it is over another destination (RFC 8200 section 8.1): both stay. */
function ipv6(bytes: Uint8Array): void {
  const end = 40 + inputOf(bytes).view.getUint16(4)
  if (end > bytes.length) return
  let protocol = bytes[6]!
  let at = 40
  while (protocol === IpProtocol.hopByHop || protocol === IpProtocol.destinationOptions) {
    if (at + 8 > end) return
    protocol = bytes[at]!
    at += (bytes[at + 1]! + 1) * 8
  }
  if (at <= end) transport(bytes.subarray(8, 24), bytes.subarray(24, 40), protocol, bytes.subarray(at, end))
}

function transport(source: Uint8Array, destination: Uint8Array, protocol: number, message: Uint8Array): void {
  const place = PLACES[protocol]
  if (place === undefined || message.length < place.header) return
  const { view } = inputOf(message)
  const isUdp = protocol === IpProtocol.udp
  if (isUdp && source.length === 4 && view.getUint16(place.offset) === 0) return
  view.setUint16(place.offset, 0)
  const sum = protocol === IpProtocol.icmp ? internetChecksum(message) : transportChecksum(source, destination, protocol, message)
  view.setUint16(place.offset, isUdp && sum === 0 ? 0xffff : sum)
}
