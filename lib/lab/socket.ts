// SPDX-License-Identifier: MIT
// Sockets of the internet protocols in a namespace, and the addresses they take.

import { Errno } from '../errno.js'
import { invalidArgument, NfkitError } from '../errors.js'
import { addon, check, checkDescriptor, type RawDescriptor } from '../native.js'
import * as Link from '../net/link.js'
import type { Netns } from '../netns.js'
import { checkInterfaceName } from '../wire/attributes.js'
import { checkInteger } from '../wire/check.js'
import { familyOf, type IpFamily, parseIp } from '../wire/ip.js'
import { AF_INET, AF_INET6 } from '../wire/rtnetlink.js'
import { decodeSocketAddress, encodeSocketAddress, type SocketAddress, SOCKADDR_SIZE } from '../wire/sockaddr.js'

export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
const SOCK_NONBLOCK = 0x800

export const SOL_SOCKET = 1
export const SOL_IP = 0
export const SOL_IPV6 = 41
const SO_REUSEADDR = 2
const SO_ERROR = 4
const SO_BROADCAST = 6
const SO_BINDTODEVICE = 25
const SO_PEERNAME = 28
/** Kernel's time of arrival beside each datagram, the same struct on every architecture (Linux 5.1). */
export const SO_TIMESTAMPNS_NEW = 64
const IPV6_V6ONLY = 26

/** An address of the internet protocols as a user wrote it. */
export interface ParsedAddress {
  readonly family: IpFamily
  readonly bytes: Uint8Array
  /** What follows the % of a link-local IPv6 address: an interface name or index. */
  readonly zone?: string
  readonly text: string
}

/** Parses an address with an optional zone. @throws TypeError */
export function parseAddress(text: unknown, name: string): ParsedAddress {
  if (typeof text !== 'string') throw invalidArgument(name, 'an IPv4 or IPv6 address', text)
  const percent = text.indexOf('%')
  const bytes = parseIp(percent < 0 ? text : text.slice(0, percent), name)
  if (percent < 0) return { family: familyOf(bytes), bytes, text }
  const zone = text.slice(percent + 1)
  if (bytes.length !== 16) throw invalidArgument(name, 'an interface after % with an IPv6 address only', text)
  if (!/^[1-9]\d*$/.test(zone)) checkInterfaceName(zone, `${name}: what follows %`)
  return { family: 'ipv6', bytes, zone, text }
}

/** The port of a user. @throws TypeError, RangeError */
export function checkPort(port: unknown, name: string, min = 1): asserts port is number {
  checkInteger(port, min, 65535, name)
}

/** The sockaddr of an address and a port, with the index of its zone in this namespace. */
export function socketAddress(netns: Netns, { bytes, zone }: ParsedAddress, port: number): Uint8Array {
  const scope = zone === undefined ? 0 : /^\d/.test(zone) ? Number(zone) : Link.get(zone, { netns }).index
  return encodeSocketAddress(bytes, port, scope)
}

/** Opens a socket in a namespace; calls on it never block. */
export function openSocket(netns: Netns, family: IpFamily, type: number, protocol: number, doing: string): RawDescriptor {
  const { fd } = netns
  if (fd < 0) throw new NfkitError('NFKIT_CLOSED', `${doing}: the network namespace handle is closed`)
  return checkDescriptor(addon.socket(family === 'ipv4' ? AF_INET : AF_INET6, type | SOCK_NONBLOCK, protocol, fd), 'socket', doing)
}

/** Sets an option whose value is a C int. */
export function setInteger(socket: RawDescriptor, level: number, name: number, value: number, doing: string): void {
  check(socket.setOption(level, name, new Uint8Array(new Int32Array([value]).buffer)), 'setsockopt', doing)
}

/** Options that every kind of socket here shares. */
export interface SocketOptions {
  /** Own address; the kernel chooses by its routes unless told. */
  source?: string | undefined
  /** Own port, 1 to 65535; the kernel chooses unless told. */
  sourcePort?: number | undefined
  /** Interface to send and receive through, whatever the routes say (SO_BINDTODEVICE). */
  interface?: string | undefined
}

/** {@link SocketOptions} that were looked at. */
export interface CheckedSocketOptions {
  readonly source: ParsedAddress | undefined
  readonly sourcePort: number
  readonly interface: string | undefined
}

/** Looks at the options before any system call. @throws TypeError, RangeError */
export function checkSocketOptions(options: SocketOptions, family: IpFamily): CheckedSocketOptions {
  const { source, sourcePort, interface: device } = options
  const parsed = source === undefined ? undefined : parseAddress(source, 'source')
  if (parsed !== undefined && parsed.family !== family) {
    throw invalidArgument('source', family === 'ipv4' ? 'an IPv4 address' : 'an IPv6 address', source)
  }
  if (sourcePort !== undefined) checkPort(sourcePort, 'sourcePort')
  if (device !== undefined) checkInterfaceName(device, 'interface')
  return { source: parsed, sourcePort: sourcePort ?? 0, interface: device }
}

/** Binds as the options say. */
export function applySocketOptions(
  netns: Netns, socket: RawDescriptor, family: IpFamily, options: CheckedSocketOptions, doing: string,
): void {
  const { source, sourcePort, interface: device } = options
  if (device !== undefined) {
    const name = new TextEncoder().encode(`${device}\0`)
    check(socket.setOption(SOL_SOCKET, SO_BINDTODEVICE, name), 'setsockopt', `${doing} through ${device}`)
  }
  if (source === undefined && sourcePort === 0) return
  const any: ParsedAddress = { family, bytes: new Uint8Array(family === 'ipv4' ? 4 : 16), text: '' }
  bindTo(netns, socket, source ?? any, sourcePort, doing)
}

/** Binds to an address and a port. */
export function bindTo(netns: Netns, socket: RawDescriptor, address: ParsedAddress, port: number, doing: string): void {
  check(socket.bind(socketAddress(netns, address, port)), 'bind', doing)
}

/** What a listening socket is opened with: a port can be used again at once, and an IPv6 socket is for IPv6 only. */
export function prepareListener(socket: RawDescriptor, family: IpFamily, doing: string): void {
  setInteger(socket, SOL_SOCKET, SO_REUSEADDR, 1, doing)
  if (family === 'ipv6') setInteger(socket, SOL_IPV6, IPV6_V6ONLY, 1, doing)
}

export function allowBroadcast(socket: RawDescriptor, doing: string): void {
  setInteger(socket, SOL_SOCKET, SO_BROADCAST, 1, doing)
}

/** The error that waits on a socket, which reading takes away: a positive errno, or 0. */
export function pendingError(socket: RawDescriptor): number {
  const value = new Uint8Array(4)
  check(socket.getOption(SOL_SOCKET, SO_ERROR, value), 'getsockopt')
  return new Int32Array(value.buffer)[0]!
}

/** The socket's own address. */
export function localAddress(socket: RawDescriptor): SocketAddress {
  const into = new Uint8Array(SOCKADDR_SIZE)
  check(socket.localAddress(into), 'getsockname')
  return decodeSocketAddress(into)
}

/** The address of the other end; undefined once the connection is gone. */
export function remoteAddress(socket: RawDescriptor): SocketAddress | undefined {
  // The kernel refuses to fill in less than what is asked for (sk_getsockopt, net/core/sock.c).
  const into = new Uint8Array(localAddress(socket).family === 'ipv4' ? 16 : 28)
  return socket.getOption(SOL_SOCKET, SO_PEERNAME, into) < 0 ? undefined : decodeSocketAddress(into)
}

/** Whether a negative answer only means "not now". */
export function wouldBlock(result: number): boolean {
  return result === -Errno.EAGAIN || result === -Errno.EINPROGRESS
}

/** `192.168.0.3:80` or `[fd00::3]:80`. */
export function formatEndpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
