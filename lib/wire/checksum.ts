// SPDX-License-Identifier: MIT
// The internet checksum (RFC 1071) and the pseudo headers that UDP, TCP and ICMPv6 include in theirs.

import { familyOf, type IpFamily, parseIp } from './ip.js'

/** The addresses that go into a pseudo header, of the same family. */
export interface AddressPair {
  source: string
  destination: string
}

/** The ones' complement sum of 16-bit words in network order, before it is inverted; an odd last byte counts as the high one. */
function sum(bytes: Uint8Array, start: number): number {
  let total = start
  const even = bytes.length & ~1
  for (let at = 0; at < even; at += 2) total += (bytes[at]! << 8) | bytes[at + 1]!
  if (even < bytes.length) total += bytes[even]! << 8
  while (total > 0xffff) total = Math.floor(total / 0x10000) + (total & 0xffff)
  return total
}

/** The checksum of some bytes. Over bytes that include a correct checksum it is 0. */
export function internetChecksum(bytes: Uint8Array): number {
  return sum(bytes, 0) ^ 0xffff
}

/**
 * The checksum of a UDP, TCP or ICMPv6 message with the pseudo header of RFC 9293 section 3.1 or RFC 8200 section 8.1.
 * @param source 4 or 16 address bytes, as many as in `destination`
 * @param message the whole message; its checksum field is zero when the checksum is made
 */
export function transportChecksum(source: Uint8Array, destination: Uint8Array, protocol: number, message: Uint8Array): number {
  // Zero bytes do not change the sum, so the order and width of the fields matter no further.
  let total = sum(source, 0)
  total = sum(destination, total)
  total = sum(message, total + protocol + (message.length >>> 16) + (message.length & 0xffff))
  return total ^ 0xffff
}

/** {@link transportChecksum} of addresses as text. @throws TypeError for what is no address, or of different families */
export function checksumBetween({ source, destination }: AddressPair, protocol: number, message: Uint8Array, family?: IpFamily): number {
  const from = parseIp(source, 'source', family)
  return transportChecksum(from, parseIp(destination, 'destination', familyOf(from)), protocol, message)
}
