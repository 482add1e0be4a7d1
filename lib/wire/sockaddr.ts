// SPDX-License-Identifier: MIT
// Socket addresses: struct sockaddr_in, sockaddr_in6 (include/uapi/linux/in.h, in6.h), sockaddr_ll (if_packet.h).

import { NfkitError } from '../errors.js'
import { inputOf, LITTLE_ENDIAN, Writer } from './bytes.js'
import { formatIp, type IpFamily } from './ip.js'
import { AF_INET, AF_INET6 } from './rtnetlink.js'

export const AF_PACKET = 17

/** Room for any of the addresses here. */
export const SOCKADDR_SIZE = 28

/** An address and port of the internet protocols. */
export interface SocketAddress {
  family: IpFamily
  address: string
  /** 0 to 65535; 0 for sockets without ports, and to let the kernel choose one. */
  port: number
  /** Interface index that a link-local IPv6 address belongs to; absent for others. */
  scopeId?: number
}

/** Writes sockaddr_in or sockaddr_in6 of 4 or 16 address bytes. */
export function encodeSocketAddress(address: Uint8Array, port: number, scopeId = 0): Uint8Array {
  const w = new Writer(SOCKADDR_SIZE)
  w.u16(address.length === 4 ? AF_INET : AF_INET6)
  w.be16(port)
  if (address.length === 4) {
    w.raw(address)
    w.reserve(8)
  } else {
    w.be32(0)
    w.raw(address)
    w.u32(scopeId)
  }
  return w.finish()
}

/** @throws NfkitError EBADMSG when it is neither of the two. */
export function decodeSocketAddress(bytes: Uint8Array): SocketAddress {
  const { view } = inputOf(bytes)
  const family = bytes.length < 2 ? -1 : view.getUint16(0, LITTLE_ENDIAN)
  if (family === AF_INET && bytes.length >= 16) {
    return { family: 'ipv4', address: formatIp(bytes.subarray(4, 8)), port: view.getUint16(2) }
  }
  if (family === AF_INET6 && bytes.length >= 28) {
    const scopeId = view.getUint32(24, LITTLE_ENDIAN)
    return { family: 'ipv6', address: formatIp(bytes.subarray(8, 24)), port: view.getUint16(2), ...(scopeId === 0 ? {} : { scopeId }) }
  }
  throw new NfkitError('EBADMSG', `malformed socket address: family ${family} in ${bytes.length} bytes`)
}

/** How a packet socket says that it met a frame (PACKET_HOST and others). */
export type PacketType = 'host' | 'broadcast' | 'multicast' | 'other-host' | 'outgoing' | 'loopback'
const PACKET_TYPES: readonly PacketType[] = ['host', 'broadcast', 'multicast', 'other-host', 'outgoing', 'loopback']

/** What struct sockaddr_ll says about a received frame. */
export interface LinkLayerAddress {
  /** EtherType; ETH_P_802_2 (4) for frames with a length. */
  protocol: number
  interfaceIndex: number
  /** ARPHRD_*: 1 is Ethernet, 772 the loopback. */
  hardwareType: number
  packetType: PacketType
  /** The sender's address. */
  address: Uint8Array
}

const LL_SIZE = 20

/** The address by which a packet socket binds to or sends through an interface. */
export function encodeLinkLayerAddress(interfaceIndex: number, protocol: number): Uint8Array {
  const w = new Writer(LL_SIZE)
  w.u16(AF_PACKET)
  w.be16(protocol)
  w.u32(interfaceIndex)
  w.reserve(12)
  return w.finish()
}

/** @throws NfkitError EBADMSG when it is not one. */
export function decodeLinkLayerAddress(bytes: Uint8Array): LinkLayerAddress {
  const { view } = inputOf(bytes)
  const length = bytes.length < LL_SIZE ? -1 : Math.min(bytes[11]!, 8)
  if (length < 0 || view.getUint16(0, LITTLE_ENDIAN) !== AF_PACKET) {
    throw new NfkitError('EBADMSG', `malformed link-layer address of ${bytes.length} bytes`)
  }
  return {
    protocol: view.getUint16(2),
    interfaceIndex: view.getInt32(4, LITTLE_ENDIAN),
    hardwareType: view.getUint16(8, LITTLE_ENDIAN),
    packetType: PACKET_TYPES[bytes[10]!] ?? 'host',
    address: bytes.slice(12, 12 + length),
  }
}
