// SPDX-License-Identifier: MIT
// What every rule can say without an extension: addresses, interfaces, protocol, fragment. Value, bytes and text.

import { invalidArgument, outOfRange } from '../../errors.js'
import { formatIp, type IpFamily, parseIp } from '../ip.js'
import { type EntryLayout, IP6T_F_PROTO, IPT_F_FRAG, XT_INV } from './entry.js'
import { type Payload, type Resolver, RuleError } from './payload.js'
import { type Not, parseUnsigned } from './property.js'

/** The part of a rule that needs no match. */
export interface FixedRule {
  /** Address with a prefix length or mask: `192.168.0.3`, `10.0.0.0/8`, `10.0.0.1/255.0.0.255`. */
  source?: string | Not<string>
  destination?: string | Not<string>
  /** Interface name; a closing `+` stands for any further characters. */
  inInterface?: string | Not<string>
  outInterface?: string | Not<string>
  /** Name or number 1 to 255. */
  protocol?: string | number | Not<string | number>
  /** IPv4: second and further fragments, or with `{ not: true }` heads and whole packets. */
  fragment?: true | Not<true>
}

/** The names that iptables knows without /etc/protocols (RFC 1700 and its successors); the first of a number is printed. */
const PROTOCOLS: readonly (readonly [string, number])[] = [
  ['tcp', 6], ['sctp', 132], ['udp', 17], ['udplite', 136], ['icmp', 1], ['ipv6-icmp', 58], ['icmpv6', 58], ['esp', 50], ['ah', 51],
  ['mobility-header', 135], ['ipv6-mh', 135], ['mh', 135], ['dccp', 33], ['ipcomp', 108], ['all', 0],
]

/** The name of a protocol as iptables-save prints it, or its number. */
export function formatProtocol(number: number, resolver: Resolver): string {
  return PROTOCOLS.find((entry) => entry[1] === number)?.[0] ?? resolver.protocolName(number) ?? String(number)
}

/** A protocol's number; undefined when nobody knows the name. */
export function parseProtocol(text: string, resolver: Resolver): number | undefined {
  return parseUnsigned(text, 0, 255) ?? PROTOCOLS.find((entry) => entry[0] === text)?.[1] ?? resolver.protocolNumber(text)
}

/** An address with its mask, both in network order; the address is within the mask. */
export interface AddressMask { address: Uint8Array; mask: Uint8Array }

/** IPv4 numbers as iptables takes them: up to three missing parts are zero, parts may be octal or hexadecimal. */
function parseShortIpv4(text: string, wholeOnly = false): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length > 4 || (wholeOnly && parts.length < 4)) return undefined
  const bytes = new Uint8Array(4)
  for (const [i, part] of parts.entries()) {
    const value = parseUnsigned(part, 0, 255)
    if (value === undefined) return undefined
    bytes[i] = value
  }
  return bytes
}

/** An address by number only. */
export function parseNumericIp(text: string, family: IpFamily, wholeOnly = false): Uint8Array | undefined {
  if (family === 'ipv4') return parseShortIpv4(text, wholeOnly)
  try { return parseIp(text, 'address', 'ipv6') } catch { return undefined }
}

/** A mask of `length` leading ones. */
export function prefixMask(length: number, family: IpFamily): Uint8Array {
  return Uint8Array.from({ length: family === 'ipv4' ? 4 : 16 }, (_, i) => (0xff00 >> Math.min(Math.max(length - i * 8, 0), 8)) & 0xff)
}

/** The length of a mask of leading ones, undefined for any other. */
export function maskLength(mask: Uint8Array): number | undefined {
  let length = 0
  while (length < mask.length * 8 && (mask[length >> 3]! & (0x80 >> (length & 7))) !== 0) length++
  for (let i = length; i < mask.length * 8; i++) if ((mask[i >> 3]! & (0x80 >> (i & 7))) !== 0) return undefined
  return length
}

/**
 * `a/m,b/m,...` as -s and -d take it: numbers or host names, which can stand for several addresses. Undefined parts are an error.
 * @throws RuleError
 */
export function parseAddresses(text: string, option: string, family: IpFamily, resolver: Resolver): AddressMask[] {
  const found: AddressMask[] = []
  for (const part of text.split(',')) {
    const slash = part.indexOf('/')
    const name = slash < 0 ? part : part.slice(0, slash)
    const maskText = slash < 0 ? undefined : part.slice(slash + 1)
    const mask = maskText === undefined ? prefixMask(128, family) : parseMask(maskText, option, family)
    // "0.0.0.0/0" can be written without looking anything up.
    const numeric = parseNumericIp(name, family)
    const addresses = numeric !== undefined ? [numeric] : resolver.hostAddresses(name, family)
    if (addresses.length === 0) throw new RuleError(`${option}: expected an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address or a host that has one, got "${name}"`)
    for (const one of addresses) {
      const address = one.map((byte, i) => byte & mask[i]!)
      if (!found.some((other) => sameBytes(other.address, address) && sameBytes(other.mask, mask))) found.push({ address, mask })
    }
  }
  return found
}

function parseMask(text: string, option: string, family: IpFamily): Uint8Array {
  const bits = family === 'ipv4' ? 32 : 128
  const length = parseUnsigned(text, 0, bits)
  const mask = length !== undefined ? prefixMask(length, family) : parseNumericIp(text, family, true)
  if (mask === undefined) throw new RuleError(`${option}: expected a prefix length from 0 to ${bits} or a mask, got "${text}"`)
  return mask
}

/** The text of an address and mask as iptables-save prints it. */
export function formatAddress(address: Uint8Array, mask: Uint8Array): string {
  return `${formatIp(address)}/${maskLength(mask) ?? formatIp(mask)}`
}

/** One of the two addresses of an entry. */
export function writeAddress(p: Payload, layout: EntryLayout, which: 'source' | 'destination', { address, mask }: AddressMask): void {
  p.set(layout[which], address)
  p.set(which === 'source' ? layout.sourceMask : layout.destinationMask, mask)
}

/** An interface name with its mask, 16 bytes each. @throws the error that `fail` makes */
export function putInterfaceName(p: Payload, at: number, maskAt: number, text: string, fail: (expected: string) => Error): void {
  const data = new TextEncoder().encode(text)
  if (data.length < 1 || data.length > 15 || data.includes(0)) throw fail('an interface name of 1 to 15 bytes')
  p.set(at, data)
  // The NUL is part of the comparison unless a + ends the name.
  p.set(maskAt, new Uint8Array(text.endsWith('+') ? data.length - 1 : data.length + 1).fill(0xff))
}

export function readInterfaceName(p: Payload, at: number): string {
  const data = p.slice(at, 16)
  const nul = data.indexOf(0)
  return new TextDecoder().decode(nul < 0 ? data : data.subarray(0, nul))
}

/** One of the two interface names of an entry. @throws the error that `fail` makes */
export function writeInterface(p: Payload, layout: EntryLayout, which: 'in' | 'out', text: string, fail: (expected: string) => Error): void {
  putInterfaceName(p, which === 'in' ? layout.inInterface : layout.outInterface, which === 'in' ? layout.inMask : layout.outMask, text, fail)
}

const readInterface = (p: Payload, layout: EntryLayout, which: 'in' | 'out') => readInterfaceName(p, which === 'in' ? layout.inInterface : layout.outInterface)

/** Writes the protocol and, for IPv6, the flag that says that there is one. */
export function writeProtocol(p: Payload, layout: EntryLayout, number: number): void {
  p.setU16(layout.protocol, number)
  if (layout.family === 'ipv6' && number !== 0) p.setU8(layout.flags, p.u8(layout.flags) | IP6T_F_PROTO)
}

export function setInvert(p: Payload, layout: EntryLayout, bits: number): void {
  p.setU8(layout.invert, p.u8(layout.invert) | bits)
}

/** The typed form of the fixed part. */
export function decodeFixed(p: Payload, layout: EntryLayout, resolver: Resolver): FixedRule {
  const rule: FixedRule = {}
  const invert = p.u8(layout.invert)
  const maybe = <T>(value: T, bit: number): T | Not<T> => ((invert & bit) !== 0 ? { not: value } : value)
  const address = (at: number, maskAt: number, bit: number) => {
    const mask = p.slice(maskAt, layout.addressLength)
    const bytes = p.slice(at, layout.addressLength)
    if ((invert & bit) === 0 && maskLength(mask) === 0 && bytes.every((byte) => byte === 0)) return undefined
    return maybe(maskLength(mask) === layout.addressLength * 8 ? formatIp(bytes) : formatAddress(bytes, mask), bit)
  }
  const source = address(layout.source, layout.sourceMask, XT_INV.source)
  if (source !== undefined) rule.source = source
  const destination = address(layout.destination, layout.destinationMask, XT_INV.destination)
  if (destination !== undefined) rule.destination = destination
  const inInterface = readInterface(p, layout, 'in')
  if (inInterface !== '') rule.inInterface = maybe(inInterface, XT_INV.inInterface)
  const outInterface = readInterface(p, layout, 'out')
  if (outInterface !== '') rule.outInterface = maybe(outInterface, XT_INV.outInterface)
  const protocol = p.u16(layout.protocol)
  if (protocol !== 0) rule.protocol = maybe(formatProtocol(protocol, resolver), XT_INV.protocol)
  if (layout.family === 'ipv4' && (p.u8(layout.flags) & IPT_F_FRAG) !== 0) rule.fragment = maybe(true, XT_INV.fragment)
  return rule
}

/** Writes the fixed part into a zeroed entry. @throws TypeError, RangeError */
export function encodeFixed(p: Payload, layout: EntryLayout, rule: FixedRule, resolver: Resolver): void {
  const split = <T>(value: T | Not<T>, bit: number): T => {
    if (typeof value !== 'object' || value === null || !('not' in value)) return value
    setInvert(p, layout, bit)
    return value.not
  }
  for (const which of ['source', 'destination'] as const) {
    const given = rule[which]
    if (given === undefined) continue
    const text = split(given, XT_INV[which])
    if (typeof text !== 'string') throw invalidArgument(which, 'an address such as 192.168.0.3 or 10.0.0.0/8', text)
    const found = parseAddresses(text, which, layout.family, resolver)
    if (found.length !== 1) throw outOfRange(which, 'exactly one address (make one rule for each)', text)
    writeAddress(p, layout, which, found[0]!)
  }
  for (const which of ['in', 'out'] as const) {
    const given = which === 'in' ? rule.inInterface : rule.outInterface
    if (given === undefined) continue
    const name = split(given, which === 'in' ? XT_INV.inInterface : XT_INV.outInterface)
    if (typeof name !== 'string') throw invalidArgument(`${which}Interface`, 'an interface name', name)
    writeInterface(p, layout, which, name, (expected) => invalidArgument(`${which}Interface`, expected, name))
  }
  if (rule.protocol !== undefined) {
    const given = split(rule.protocol, XT_INV.protocol)
    const number = typeof given === 'number' ? given : typeof given === 'string' ? parseProtocol(given.toLowerCase(), resolver) : undefined
    if (number === undefined || !Number.isInteger(number) || number < 0 || number > 255) throw invalidArgument('protocol', 'a protocol name or a number from 0 to 255', given)
    if (number === 0 && (p.u8(layout.invert) & XT_INV.protocol) !== 0) throw outOfRange('protocol', 'a rule that can match: not all protocols negated', given)
    writeProtocol(p, layout, number)
  }
  if (rule.fragment !== undefined) {
    if (layout.family !== 'ipv4') throw invalidArgument('fragment', 'nothing for IPv6 (the frag match is for that)', rule.fragment)
    if (split(rule.fragment, XT_INV.fragment) !== true) throw invalidArgument('fragment', 'true or { not: true }', rule.fragment)
    p.setU8(layout.flags, p.u8(layout.flags) | IPT_F_FRAG)
  }
}

/** The fixed part as iptables-save prints it, each option with a leading space. */
export function printFixed(p: Payload, layout: EntryLayout, resolver: Resolver): string {
  const invert = p.u8(layout.invert)
  const not = (bit: number) => ((invert & bit) !== 0 ? ' !' : '')
  let text = ''
  const address = (letter: string, at: number, maskAt: number, bit: number) => {
    const mask = p.slice(maskAt, layout.addressLength)
    const bytes = p.slice(at, layout.addressLength)
    const nothing = maskLength(mask) === 0 && (layout.family === 'ipv6' || bytes.every((byte) => byte === 0))
    if ((invert & bit) === 0 && nothing) return
    text += `${not(bit)} -${letter} ${formatAddress(bytes, mask)}`
  }
  address('s', layout.source, layout.sourceMask, XT_INV.source)
  address('d', layout.destination, layout.destinationMask, XT_INV.destination)
  for (const [which, letter, bit] of [['in', 'i', XT_INV.inInterface], ['out', 'o', XT_INV.outInterface]] as const) {
    const name = readInterface(p, layout, which)
    if (name !== '' && (name !== '+' || (invert & bit) !== 0)) text += `${not(bit)} -${letter} ${name}`
  }
  const protocol = p.u16(layout.protocol)
  if (protocol !== 0) text += `${not(XT_INV.protocol)} -p ${formatProtocol(protocol, resolver)}`
  if (layout.family === 'ipv4' && (p.u8(layout.flags) & IPT_F_FRAG) !== 0) text += `${not(XT_INV.fragment)} -f`
  return text
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i])
}
