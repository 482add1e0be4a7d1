// SPDX-License-Identifier: MIT
// ICMP (RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 5.2.7) and ICMPv6 (RFC 4443).

import { checkBytes, checkInteger } from './check.js'
import { inputOf, Writer } from './bytes.js'
import { type AddressPair, checksumBetween, internetChecksum } from './checksum.js'
import type { IpFamily } from './ip.js'
import { IpProtocol } from './ip-protocol.js'
import { needBytes } from './packet-error.js'

export const IcmpType = { echoReply: 0, unreachable: 3, redirect: 5, echo: 8, timeExceeded: 11, parameterProblem: 12 } as const

export const Icmpv6Type = {
  unreachable: 1, packetTooBig: 2, timeExceeded: 3, parameterProblem: 4, echo: 128, echoReply: 129,
  routerSolicitation: 133, routerAdvertisement: 134, neighbourSolicitation: 135, neighbourAdvertisement: 136,
} as const

/** An ICMP or ICMPv6 message. */
export interface IcmpMessage {
  type: number
  code: number
  /** The 32 bits after the checksum, whose meaning depends on the type: for an echo the identifier and the sequence number. */
  rest: number
  payload: Uint8Array
}

/** What an ICMP or ICMPv6 error says, in the words of its RFC. */
export type IcmpReason =
  | 'network-unreachable' | 'host-unreachable' | 'protocol-unreachable' | 'port-unreachable' | 'fragmentation-needed'
  | 'source-route-failed' | 'network-unknown' | 'host-unknown' | 'source-host-isolated' | 'network-prohibited' | 'host-prohibited'
  | 'network-unreachable-for-tos' | 'host-unreachable-for-tos' | 'administratively-prohibited' | 'host-precedence-violation'
  | 'precedence-cutoff' | 'no-route' | 'beyond-scope' | 'address-unreachable' | 'source-address-failed-policy' | 'reject-route'
  | 'packet-too-big' | 'time-exceeded' | 'reassembly-time-exceeded' | 'parameter-problem' | 'redirect' | 'unknown'

const UNREACHABLE: readonly IcmpReason[] = [
  'network-unreachable', 'host-unreachable', 'protocol-unreachable', 'port-unreachable', 'fragmentation-needed', 'source-route-failed',
  'network-unknown', 'host-unknown', 'source-host-isolated', 'network-prohibited', 'host-prohibited', 'network-unreachable-for-tos',
  'host-unreachable-for-tos', 'administratively-prohibited', 'host-precedence-violation', 'precedence-cutoff',
]

const UNREACHABLE_V6: readonly IcmpReason[] = [
  'no-route', 'administratively-prohibited', 'beyond-scope', 'address-unreachable', 'port-unreachable', 'source-address-failed-policy',
  'reject-route',
]

/** What an error message says; undefined when the type is not that of an error. */
export function icmpReason(family: IpFamily, type: number, code: number): IcmpReason | undefined {
  const exceeded = (): IcmpReason => (code === 1 ? 'reassembly-time-exceeded' : 'time-exceeded')
  if (family === 'ipv6') {
    switch (type) {
      case Icmpv6Type.unreachable: return UNREACHABLE_V6[code] ?? 'unknown'
      case Icmpv6Type.packetTooBig: return 'packet-too-big'
      case Icmpv6Type.timeExceeded: return exceeded()
      case Icmpv6Type.parameterProblem: return 'parameter-problem'
      // RFC 4443 section 2.1: the high bit tells errors from informational messages.
      default: return type < 128 ? 'unknown' : undefined
    }
  }
  switch (type) {
    case IcmpType.unreachable: return UNREACHABLE[code] ?? 'unknown'
    case IcmpType.redirect: return 'redirect'
    case IcmpType.timeExceeded: return exceeded()
    case IcmpType.parameterProblem: return 'parameter-problem'
    default: return undefined
  }
}

const HEADER = 8

/**
 * Reads a message; the payload is a view of `bytes`.
 * @throws NfkitError EBADMSG when the bytes end within the header.
 */
export function decodeIcmp(bytes: Uint8Array): IcmpMessage {
  needBytes(bytes, HEADER, 'an ICMP header')
  return { type: bytes[0]!, code: bytes[1]!, rest: inputOf(bytes).view.getUint32(4), payload: bytes.subarray(HEADER) }
}

/**
 * Writes a message with its checksum. ICMPv6 needs the addresses for that; without them its checksum stays zero, which a
 * raw ICMPv6 socket fills in (RFC 3542 section 3.1).
 * @throws TypeError or RangeError for a field that does not fit.
 */
export function encodeIcmp(message: IcmpMessage, family: IpFamily = 'ipv4', addresses?: AddressPair): Uint8Array {
  const { type, code, rest, payload } = message
  checkInteger(type, 0, 255, 'type')
  checkInteger(code, 0, 255, 'code')
  checkInteger(rest, 0, 0xffffffff, 'rest')
  checkBytes(payload, 'payload')
  const w = new Writer(HEADER + payload.length)
  w.u8(type)
  w.u8(code)
  w.be16(0)
  w.be32(rest)
  w.raw(payload)
  const bytes = w.finish()
  if (family === 'ipv4') w.view.setUint16(2, internetChecksum(bytes))
  else if (addresses !== undefined) w.view.setUint16(2, checksumBetween(addresses, IpProtocol.icmpv6, bytes, 'ipv6'))
  return bytes
}
