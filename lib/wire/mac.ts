// SPDX-License-Identifier: MIT

import { invalidArgument } from '../errors.js'

/** A MAC address (EUI-48) in lower-case colon notation, for example `02:00:5e:10:00:01`. */
export type MacAddress = string

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
/** The two character codes of each byte, at twice its value. */
const CODES = Uint8Array.from(HEX.join(''), (digit) => digit.charCodeAt(0))
const COLON = 58

/** Formats the six bytes at `at`. One call that makes one flat string: joining parts costs three times the memory. */
export function formatMac(bytes: Uint8Array, at = 0): MacAddress {
  const a = bytes[at]! * 2
  const b = bytes[at + 1]! * 2
  const c = bytes[at + 2]! * 2
  const d = bytes[at + 3]! * 2
  const e = bytes[at + 4]! * 2
  const f = bytes[at + 5]! * 2
  return String.fromCharCode(
    CODES[a]!, CODES[a + 1]!, COLON, CODES[b]!, CODES[b + 1]!, COLON, CODES[c]!, CODES[c + 1]!, COLON,
    CODES[d]!, CODES[d + 1]!, COLON, CODES[e]!, CODES[e + 1]!, COLON, CODES[f]!, CODES[f + 1]!,
  )
}

/** Formats a link-layer address of any length (4 for IPv4 tunnels, 8 and 20 for InfiniBand). */
export function formatLinkAddress(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => HEX[byte]!).join(':')
}

const MAC = /^[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}$/i

/**
 * Parses a MAC address: six pairs of hexadecimal digits between colons or hyphens.
 * @throws TypeError for anything else; `name` says which argument it was.
 */
export function parseMac(text: MacAddress, name = 'mac'): Uint8Array {
  if (typeof text !== 'string' || !MAC.test(text)) throw invalidArgument(name, 'a MAC address such as 02:00:5e:10:00:01', text)
  const bytes = new Uint8Array(6)
  for (let i = 0; i < 6; i++) bytes[i] = Number.parseInt(text.slice(i * 3, i * 3 + 2), 16)
  return bytes
}

/** Whether the address is a group address: the I/G bit of the first octet (IEEE 802, 8.2). */
export function isMulticastMac(bytes: Uint8Array): boolean {
  return (bytes[0]! & 1) === 1
}
