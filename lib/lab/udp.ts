// SPDX-License-Identifier: MIT
// UDP sockets in a namespace.

import { inspect } from 'node:util'
import { Errno } from '../errno.js'
import { invalidArgument, NfkitError } from '../errors.js'
import { check, type RawDescriptor } from '../native.js'
import type { Netns } from '../netns.js'
import { IpProtocol } from '../wire/ip-protocol.js'
import { decodeSocketAddress, type SocketAddress, SOCKADDR_SIZE } from '../wire/sockaddr.js'
import { type WaitOptions, within } from './deadline.js'
import { SocketReadiness } from './readiness.js'
import {
  allowBroadcast, applySocketOptions, bindTo, checkPort, checkSocketOptions, formatEndpoint, localAddress, openSocket, parseAddress,
  prepareListener, setInteger, SOCK_DGRAM, socketAddress, type SocketOptions, SOL_IP, SOL_IPV6, wouldBlock,
} from './socket.js'
import { toBytes } from './tcp.js'

const IP_RECVERR = 11
const IPV6_RECVERR = 25
const MSG_ERRQUEUE = 0x2000

/** A datagram that came. */
export interface UdpMessage {
  data: Uint8Array
  /** Who sent it. */
  from: SocketAddress
}

export interface UdpConnectOptions extends SocketOptions {
  /** Where everything goes, and the only one to receive from. */
  address: string
  /** 1 to 65535. */
  port: number
}

export interface UdpListenOptions {
  /** 0 to 65535; 0, which is the default, lets the kernel choose. */
  port?: number | undefined
  /** Own address; all IPv4 addresses (`0.0.0.0`) unless told, `::` for all IPv6 addresses. */
  address?: string | undefined
  interface?: string | undefined
  /** Sends back every datagram that comes (`echo`) or forgets it (`discard`); without it they wait for {@link UdpSocket.receive}. */
  serve?: 'echo' | 'discard' | undefined
}

/** A UDP socket. */
export class UdpSocket implements AsyncDisposable {
  readonly #socket: RawDescriptor
  readonly #readiness: SocketReadiness
  readonly #netns: Netns
  readonly #onClose: (socket: UdpSocket) => void
  readonly #doing: string
  readonly local: SocketAddress

  /** @internal */
  constructor(netns: Netns, socket: RawDescriptor, onClose: (socket: UdpSocket) => void) {
    this.#netns = netns
    this.#socket = socket
    this.local = localAddress(socket)
    this.#doing = `UDP on ${formatEndpoint(this.local.address, this.local.port)}`
    this.#readiness = new SocketReadiness(socket)
    this.#onClose = onClose
  }

  get port(): number { return this.local.port }

  /**
   * Sends one datagram, up to 65507 bytes.
   * @param to needed unless the socket has a fixed address
   * @throws NfkitError EPERM when a rule of OUTPUT drops it; ENETUNREACH; EMSGSIZE; with a fixed address also as {@link receive}
   */
  async send(data: Uint8Array | string, to?: { address: string; port: number }, options: WaitOptions = {}): Promise<void> {
    const bytes = toBytes(data)
    if (to !== undefined) checkPort(to.port, 'port')
    const address = to === undefined ? undefined : socketAddress(this.#netns, parseAddress(to.address, 'address'), to.port)
    await within(options, this.#doing, async (signal) => {
      for (;;) {
        const sent = this.#socket.send(bytes, 0, address)
        if (sent >= 0) return
        if (this.#socket.fd < 0) throw new NfkitError('NFKIT_CLOSED', `${this.#doing}: the socket is closed`)
        if (!wouldBlock(sent)) {
          throw NfkitError.fromErrno(-sent, 'sendto', this.#doing, sent === -Errno.EPERM ? { hint: 'a rule of OUTPUT dropped it' } : {})
        }
        await this.#readiness.writable(signal)
      }
    })
  }

  /**
   * The next datagram.
   * @throws NfkitError ETIMEDOUT; with a fixed address also what an ICMP error about an earlier datagram says: ECONNREFUSED (port
   * unreachable), EHOSTUNREACH, ENETUNREACH, EACCES (IPv6, prohibited)
   */
  async receive(options: WaitOptions = {}): Promise<UdpMessage> {
    return within(options, this.#doing, async (signal) => {
        for (;;) {
        const message = this.#take()
        if (message !== undefined) return message
        await this.#readiness.readable(signal)
      }
    })
  }

  /** A datagram if there is one now. @throws as {@link receive} */
  poll(): UdpMessage | undefined {
    return this.#take()
  }

  /** Resolves when there may be something to receive. */
  readable(signal?: AbortSignal): Promise<void> {
    return this.#readiness.readable(signal)
  }

  #take(): UdpMessage | undefined {
    const sender = new Uint8Array(SOCKADDR_SIZE)
    const length = this.#socket.receive(BUFFER, 0, 0, sender)
    if (length >= 0) return { data: BUFFER.slice(0, length), from: decodeSocketAddress(sender) }
    if (this.#socket.fd < 0) throw new NfkitError('NFKIT_CLOSED', `${this.#doing}: the socket is closed`)
    // The quoted packets that IP_RECVERR keeps: as long as there are any, the socket counts as ready.
    while (this.#socket.receive(BUFFER, 0, MSG_ERRQUEUE) >= 0);
    if (!wouldBlock(length)) throw NfkitError.fromErrno(-length, 'recvfrom', this.#doing)
    return undefined
  }

  /** The datagrams as they come; ends when the socket is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<UdpMessage, void, undefined> {
    try {
      for (;;) yield await this.receive()
    } catch (error) {
      if (!(error instanceof NfkitError) || error.code !== 'NFKIT_CLOSED') throw error
    }
  }

  /** Answers from now on; see {@link UdpListenOptions.serve}. */
  serve(how: 'echo' | 'discard'): void {
    void (async () => {
      for await (const { data, from } of this) {
        const zone = from.scopeId === undefined ? '' : `%${from.scopeId}`
        // As on a real network, an answer that cannot be sent is lost.
        if (how === 'echo') await this.send(data, { address: from.address + zone, port: from.port }).catch(() => {})
      }
    })().catch(() => this.close())
  }

  /** Idempotent. */
  close(): void {
    if (this.#socket.fd < 0) return
    this.#readiness.close()
    this.#socket.close()
    this.#onClose(this)
  }

  [Symbol.dispose](): void { this.close() }
  async [Symbol.asyncDispose](): Promise<void> { this.close() }

  [inspect.custom](): string { return `UdpSocket { local: '${formatEndpoint(this.local.address, this.local.port)}' }` }
}

/** A datagram is copied out of it before anybody waits, so one serves all. */
const BUFFER = new Uint8Array(65536)

/** A socket with a port of its own. */
export function listenUdp(netns: Netns, options: UdpListenOptions, onClose: (socket: UdpSocket) => void): UdpSocket {
  const { port = 0, serve } = options
  const address = parseAddress(options.address ?? '0.0.0.0', 'address')
  checkPort(port, 'port', 0)
  if (serve !== undefined && serve !== 'echo' && serve !== 'discard') throw invalidArgument('serve', 'echo or discard', serve)
  const own = checkSocketOptions({ interface: options.interface }, address.family)
  const doing = `UDP on ${formatEndpoint(address.text, port)}`
  const socket = openSocket(netns, address.family, SOCK_DGRAM, IpProtocol.udp, doing)
  try {
    prepareListener(socket, address.family, doing)
    allowBroadcast(socket, doing)
    applySocketOptions(netns, socket, address.family, own, doing)
    bindTo(netns, socket, address, port, doing)
    const udp = new UdpSocket(netns, socket, onClose)
    if (serve !== undefined) udp.serve(serve)
    return udp
  } catch (error) {
    socket.close()
    throw error
  }
}

/** A socket to talk to one address. */
export function connectUdp(netns: Netns, options: UdpConnectOptions, onClose: (socket: UdpSocket) => void): UdpSocket {
  const target = parseAddress(options.address, 'address')
  checkPort(options.port, 'port')
  const own = checkSocketOptions(options, target.family)
  const doing = `UDP to ${formatEndpoint(target.text, options.port)}`
  const socket = openSocket(netns, target.family, SOCK_DGRAM, IpProtocol.udp, doing)
  try {
    allowBroadcast(socket, doing)
    // Otherwise the kernel keeps to itself the ICMP errors that may pass, host unreachable for one (udp_err, net/ipv4/udp.c).
    if (target.family === 'ipv4') setInteger(socket, SOL_IP, IP_RECVERR, 1, doing)
    else setInteger(socket, SOL_IPV6, IPV6_RECVERR, 1, doing)
    applySocketOptions(netns, socket, target.family, own, doing)
    check(socket.connect(socketAddress(netns, target, options.port)), 'connect', doing)
    return new UdpSocket(netns, socket, onClose)
  } catch (error) {
    socket.close()
    throw error
  }
}
