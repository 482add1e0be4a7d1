// SPDX-License-Identifier: MIT
// Echo requests and what comes back for them: replies, and errors that quote the request (RFC 792, RFC 4443 section 4).

import { decodeIcmp, encodeIcmp, type IcmpReason, icmpReason, IcmpType, Icmpv6Type } from './icmp.js'
import { inputOf } from './bytes.js'
import type { IpFamily } from './ip.js'
import { IpProtocol } from './ip-protocol.js'
import { decodeIpv4 } from './ipv4.js'
import { decodeIpv6, ipv6Transport } from './ipv6.js'

/** Which ICMP types a raw socket that pings has to see. */
export const ECHO_ANSWERS: Readonly<Record<IpFamily, readonly number[]>> = {
  ipv4: [IcmpType.echoReply, IcmpType.unreachable, IcmpType.timeExceeded, IcmpType.parameterProblem],
  ipv6: [Icmpv6Type.unreachable, Icmpv6Type.packetTooBig, Icmpv6Type.timeExceeded, Icmpv6Type.parameterProblem, Icmpv6Type.echoReply],
}

/** The ICMP message of an echo request; for IPv6 without the checksum. */
export function encodeEcho(family: IpFamily, identifier: number, sequence: number, payload: Uint8Array): Uint8Array {
  const type = family === 'ipv4' ? IcmpType.echo : Icmpv6Type.echo
  return encodeIcmp({ type, code: 0, rest: ((identifier << 16) | sequence) >>> 0, payload }, family)
}

/** What came back. */
export type EchoAnswer =
  | { kind: 'reply'; identifier: number; sequence: number; size: number; ttl?: number }
  | {
    kind: 'error'
    identifier: number
    sequence: number
    type: number
    code: number
    reason: IcmpReason
    /** The next hop's MTU in bytes, where the error says it. */
    mtu?: number
  }

/**
 * Reads what a raw socket received: an IPv4 packet, or an ICMPv6 message.
 * @returns undefined for what is neither a reply nor an error about an echo request
 * @throws NfkitError EBADMSG when it is cut short
 */
export function decodeEchoAnswer(family: IpFamily, bytes: Uint8Array): EchoAnswer | undefined {
  const packet = family === 'ipv4' ? decodeIpv4(bytes) : undefined
  if (packet !== undefined && packet.protocol !== IpProtocol.icmp) return undefined
  const message = decodeIcmp(packet === undefined ? bytes : packet.payload)
  const { type, code, rest, payload } = message
  if (type === (family === 'ipv4' ? IcmpType.echoReply : Icmpv6Type.echoReply)) {
    const ttl = packet === undefined ? {} : { ttl: packet.ttl }
    return { kind: 'reply', identifier: rest >>> 16, sequence: rest & 0xffff, size: payload.length, ...ttl }
  }
  const reason = icmpReason(family, type, code)
  const quoted = reason === undefined ? undefined : quotedEcho(family, payload)
  if (reason === undefined || quoted === undefined) return undefined
  const mtu = reason === 'fragmentation-needed' ? rest & 0xffff : reason === 'packet-too-big' ? rest : undefined
  return { kind: 'error', ...quoted, type, code, reason, ...(mtu === undefined ? {} : { mtu }) }
}

/** The identifier and sequence of the echo request that an error quotes. */
function quotedEcho(family: IpFamily, payload: Uint8Array): { identifier: number; sequence: number } | undefined {
  const inner = family === 'ipv4' ? decodeIpv4(payload) : ipv6Transport(decodeIpv6(payload))
  const isEcho = family === 'ipv4' ? IcmpType.echo : Icmpv6Type.echo
  if (inner.protocol !== (family === 'ipv4' ? IpProtocol.icmp : IpProtocol.icmpv6)) return undefined
  if (inner.payload.length < 8 || inner.payload[0] !== isEcho) return undefined
  const { view } = inputOf(inner.payload)
  return { identifier: view.getUint16(4), sequence: view.getUint16(6) }
}
