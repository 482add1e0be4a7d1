// SPDX-License-Identifier: MIT
// struct ipt_entry and struct ip6t_entry: the fixed part of a rule (include/uapi/linux/netfilter_ipv4/ip_tables.h,
// netfilter_ipv6/ip6_tables.h). Counters stay bytes here: 64 bits never pass through a number.

import { malformed } from '../netlink.js'
import { type Input, LITTLE_ENDIAN, type Writer } from '../bytes.js'
import type { IpFamily } from '../ip.js'

/** Where the fields of an entry are. */
export interface EntryLayout {
  readonly family: IpFamily
  readonly addressLength: 4 | 16
  readonly source: number
  readonly destination: number
  readonly sourceMask: number
  readonly destinationMask: number
  readonly inInterface: number
  readonly outInterface: number
  readonly inMask: number
  readonly outMask: number
  readonly protocol: number
  /** IPv6 only. */
  readonly tos: number | undefined
  readonly flags: number
  readonly invert: number
  readonly nfcache: number
  readonly targetOffset: number
  readonly nextOffset: number
  readonly comefrom: number
  readonly counters: number
  /** sizeof: where the matches begin. */
  readonly size: number
  /** Bytes that identify a rule: everything before nfcache. */
  readonly identity: number
}

export const entryLayouts: Readonly<Record<IpFamily, EntryLayout>> = {
  ipv4: {
    family: 'ipv4', addressLength: 4, source: 0, destination: 4, sourceMask: 8, destinationMask: 12, inInterface: 16, outInterface: 32,
    inMask: 48, outMask: 64, protocol: 80, tos: undefined, flags: 82, invert: 83, nfcache: 84, targetOffset: 88, nextOffset: 90, comefrom: 92,
    counters: 96, size: 112, identity: 84,
  },
  ipv6: {
    family: 'ipv6', addressLength: 16, source: 0, destination: 16, sourceMask: 32, destinationMask: 48, inInterface: 64, outInterface: 80,
    inMask: 96, outMask: 112, protocol: 128, tos: 130, flags: 131, invert: 132, nfcache: 136, targetOffset: 140, nextOffset: 142, comefrom: 144,
    counters: 152, size: 168, identity: 136,
  },
}

/** Bits of `flags`. */
export const IPT_F_FRAG = 1
export const IPT_F_GOTO = 2
export const IP6T_F_PROTO = 1
export const IP6T_F_TOS = 2
export const IP6T_F_GOTO = 4

/** Bits of `invert`, the same for both families but for the fragment bit (IPv4). */
export const XT_INV = { inInterface: 0x01, outInterface: 0x02, tos: 0x04, source: 0x08, destination: 0x10, fragment: 0x20, protocol: 0x40 } as const

/** The header of a match or target: size, name, revision. */
export const EXTENSION_HEADER = 32
const NAME_LENGTH = 29

/** Verdicts of a standard target: -verdict - 1; a positive number is the offset of the chain to go to. */
export const VERDICT = { DROP: -1, ACCEPT: -2, QUEUE: -4, RETURN: -5 } as const

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** One match or target within a table. */
export interface ExtensionSpan {
  readonly name: string
  readonly revision: number
  /** Where its own struct begins, after the header. */
  readonly start: number
  /** Bytes of the struct with padding. */
  readonly size: number
}

/** Reads the header of a match or target at `at`. @throws NfkitError EBADMSG when it does not fit before `end` */
export function extensionAt({ bytes, view }: Input, at: number, end: number): ExtensionSpan {
  if (at + EXTENSION_HEADER > end) throw malformed(`${end - at} bytes where a match or target needs 32`)
  const size = view.getUint16(at, LITTLE_ENDIAN)
  if (size < EXTENSION_HEADER || at + size > end) throw malformed(`a match or target of ${size} bytes in ${end - at}`)
  let length = 0
  while (length < NAME_LENGTH && bytes[at + 2 + length] !== 0) length++
  return { name: decoder.decode(bytes.subarray(at + 2, at + 2 + length)), revision: bytes[at + 31]!, start: at + EXTENSION_HEADER, size: size - EXTENSION_HEADER }
}

/** Appends the header and `size` zero bytes; answers where the struct begins. */
export function appendExtension(w: Writer, name: string, revision: number, size: number): number {
  const at = w.reserve(EXTENSION_HEADER + size)
  w.view.setUint16(at, EXTENSION_HEADER + size, LITTLE_ENDIAN)
  setName(w, name, at + 2)
  w.bytes[at + 31] = revision
  return at + EXTENSION_HEADER
}

function setName(w: Writer, name: string, at: number): void {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    if (code > 127) return w.bytes.set(encoder.encode(name), at)
    w.bytes[at + i] = code
  }
}

/** Where one rule's parts are. */
export interface EntrySpan {
  readonly start: number
  readonly target: number
  readonly end: number
}

/** The entry at `at`, its target and next entry checked to lie within `end`. @throws NfkitError EBADMSG */
export function entryAt(layout: EntryLayout, { view }: Input, at: number, end: number): EntrySpan {
  if (at + layout.size > end) throw malformed(`${end - at} bytes where an entry needs ${layout.size}`)
  const target = view.getUint16(at + layout.targetOffset, LITTLE_ENDIAN)
  const next = view.getUint16(at + layout.nextOffset, LITTLE_ENDIAN)
  if (target < layout.size || next < target + EXTENSION_HEADER || at + next > end) throw malformed(`an entry with its target at ${target} and its end at ${next} of ${end - at}`)
  return { start: at, target: at + target, end: at + next }
}

/** The matches of an entry in their order. */
export function matchesOf(layout: EntryLayout, input: Input, entry: EntrySpan): ExtensionSpan[] {
  const matches: ExtensionSpan[] = []
  for (let at = entry.start + layout.size; at < entry.target;) {
    const match = extensionAt(input, at, entry.target)
    matches.push(match)
    at = match.start + match.size
  }
  return matches
}
