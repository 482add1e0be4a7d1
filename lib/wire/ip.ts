// SPDX-License-Identifier: MIT
// IPv4 and IPv6 addresses and prefixes: text (RFC 4291 section 2.2, RFC 5952 section 4) to network-order bytes and back.

import { invalidArgument } from '../errors.js'

/** AF_INET and AF_INET6 by the names that options use. */
export type IpFamily = 'ipv4' | 'ipv6'

/** An address with its prefix length. */
export interface Prefix {
  readonly address: Uint8Array
  readonly length: number
}

/** Parses a dotted quad; undefined when the text is not one. Leading zeros are refused since they are ambiguous. */
function readIpv4(text: string): Uint8Array | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (match === null) return undefined
  const bytes = new Uint8Array(4)
  for (let i = 0; i < 4; i++) {
    const part = match[i + 1]!
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined
    bytes[i] = Number(part)
  }
  return bytes
}

function readIpv6(text: string): Uint8Array | undefined {
  let source = text
  const tail = /:(\d+\.\d+\.\d+\.\d+)$/.exec(source)
  if (tail !== null) {
    const v4 = readIpv4(tail[1]!)
    if (v4 === undefined) return undefined
    const hex = (at: number) => ((v4[at]! << 8) | v4[at + 1]!).toString(16)
    source = `${source.slice(0, tail.index + 1)}${hex(0)}:${hex(2)}`
  }
  const halves = source.split('::')
  if (halves.length > 2) return undefined
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')))
  const all = groups.flat()
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined
  if (halves.length === 1 ? all.length !== 8 : all.length > 7) return undefined
  const words = new Array<number>(8).fill(0)
  groups[0]!.forEach((group, i) => { words[i] = Number.parseInt(group, 16) })
  if (halves.length === 2) {
    const right = groups[1]!
    right.forEach((group, i) => { words[8 - right.length + i] = Number.parseInt(group, 16) })
  }
  const bytes = new Uint8Array(16)
  words.forEach((word, i) => { bytes[i * 2] = word >> 8; bytes[i * 2 + 1] = word & 255 })
  return bytes
}

/**
 * Parses an IPv4 or IPv6 address: 4 or 16 bytes.
 * @throws TypeError when the text is not one, or not of `family`.
 */
export function parseIp(text: string, name = 'address', family?: IpFamily): Uint8Array {
  const bytes = typeof text === 'string' ? (text.includes(':') ? readIpv6(text) : readIpv4(text)) : undefined
  const wanted = family === 'ipv4' ? 'an IPv4 address' : family === 'ipv6' ? 'an IPv6 address' : 'an IPv4 or IPv6 address'
  if (bytes === undefined || (family !== undefined && familyOf(bytes) !== family)) throw invalidArgument(name, wanted, text)
  return bytes
}

/** Which family 4 or 16 address bytes belong to. */
export function familyOf(bytes: Uint8Array): IpFamily {
  return bytes.length === 4 ? 'ipv4' : 'ipv6'
}

/**
 * Formats 4 or 16 bytes; other lengths as hexadecimal. IPv6 in the canonical form of RFC 5952; what has an IPv4 address at its end
 * (::ffff:192.0.2.1, ::192.0.2.1) as inet_ntop(3), and so ip(8) and iptables, write it.
 */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) return Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('')
  const words = Array.from({ length: 8 }, (_, i) => (bytes[i * 2]! << 8) | bytes[i * 2 + 1]!)
  if (words.slice(0, 5).every((word) => word === 0)) {
    if (words[5] === 0xffff) return `::ffff:${bytes.subarray(12).join('.')}`
    if (words[5] === 0 && words[6] !== 0) return `::${bytes.subarray(12).join('.')}`
  }
  let best = -1
  let bestLength = 1
  for (let at = 0; at < 8; at++) {
    let end = at
    while (end < 8 && words[end] === 0) end++
    if (end - at > bestLength) { best = at; bestLength = end - at }
    if (end > at) at = end
  }
  const hex = (part: number[]) => part.map((word) => word.toString(16)).join(':')
  return best < 0 ? hex(words) : `${hex(words.slice(0, best))}::${hex(words.slice(best + bestLength))}`
}

/**
 * Parses `address/length`; without a length the prefix is the whole address.
 * @throws TypeError when either part is wrong.
 */
export function parsePrefix(text: string, name = 'prefix', family?: IpFamily): Prefix {
  if (typeof text !== 'string') throw invalidArgument(name, 'an address with a prefix length such as 192.168.0.1/24', text)
  const slash = text.indexOf('/')
  const address = parseIp(slash < 0 ? text : text.slice(0, slash), name, family)
  const bits = address.length * 8
  if (slash < 0) return { address, length: bits }
  const digits = text.slice(slash + 1)
  if (!/^\d{1,3}$/.test(digits) || Number(digits) > bits) throw invalidArgument(name, `a prefix length from 0 to ${bits}`, text)
  return { address, length: Number(digits) }
}
