// SPDX-License-Identifier: MIT
// TCP connections and listeners in a namespace. node:net cannot take over a descriptor on every runtime.

import { inspect } from 'node:util'
import { Errno } from '../errno.js'
import { invalidArgument, NfkitError } from '../errors.js'
import { check, type RawDescriptor } from '../native.js'
import type { Netns } from '../netns.js'
import { checkInteger } from '../wire/check.js'
import { IpProtocol } from '../wire/ip-protocol.js'
import type { SocketAddress } from '../wire/sockaddr.js'
import { checkMilliseconds, type WaitOptions, within } from './deadline.js'
import { SocketReadiness } from './readiness.js'
import {
  applySocketOptions, bindTo, checkPort, checkSocketOptions, formatEndpoint, localAddress, openSocket, parseAddress, pendingError,
  prepareListener, remoteAddress, SOCK_STREAM, socketAddress, type SocketOptions, SOL_SOCKET, wouldBlock,
} from './socket.js'

const SO_LINGER = 13
const SHUT_WR = 1
const CHUNK = 65536
const CALLS_IN_A_ROW = 16

export interface ConnectOptions extends SocketOptions, WaitOptions {
  address: string
  /** 1 to 65535. */
  port: number
  /** Milliseconds for the handshake; 5000 unless told. */
  timeout?: number | undefined
}

/** One end of a TCP connection. Reading and writing may go on at the same time; two reads at once share what comes. */
export class TcpConnection implements AsyncDisposable {
  readonly #socket: RawDescriptor
  readonly #readiness: SocketReadiness
  readonly #onClose: (connection: TcpConnection) => void
  readonly #doing: string
  #calls = 0
  readonly local: SocketAddress
  readonly remote: SocketAddress

  /** @internal */
  constructor(socket: RawDescriptor, readiness: SocketReadiness, remote: SocketAddress, onClose: (connection: TcpConnection) => void) {
    this.#socket = socket
    this.#readiness = readiness
    this.#onClose = onClose
    this.local = localAddress(socket)
    this.remote = remote
    this.#doing = `the connection with ${formatEndpoint(remote.address, remote.port)}`
  }

  /**
   * The next bytes, at most `most` (64 KiB unless told); null when the other end has sent its last.
   * @throws NfkitError ECONNRESET when the other end, or a rule between, reset the connection; ETIMEDOUT
   */
  async read(options: WaitOptions & { most?: number } = {}): Promise<Uint8Array | null> {
    const { most = CHUNK } = options
    checkInteger(most, 1, 1 << 24, 'most', 'bytes')
    return within(options, this.#doing, async (signal) => {
      const into = new Uint8Array(most)
      for (;;) {
        const length = this.#socket.receive(into, 0, 0)
        if (length >= 0) await this.#turn()
        if (length > 0) return into.subarray(0, length)
        if (length === 0) return null
        await this.#wait(length, 'recv', () => this.#readiness.readable(signal))
      }
    })
  }

  /** Everything until the other end has sent its last, at most `most` bytes (16 MiB unless told). */
  async readAll(options: WaitOptions & { most?: number } = {}): Promise<Uint8Array> {
    const { most = 1 << 24, ...rest } = options
    checkInteger(most, 1, 1 << 30, 'most', 'bytes')
    return within(rest, this.#doing, async (signal) => {
      const parts: Uint8Array[] = []
      let length = 0
      for (let part = await this.read({ signal }); part !== null; part = await this.read({ signal })) {
        parts.push(part)
        length += part.length
        if (length > most) throw new NfkitError('EMSGSIZE', `${this.#doing}: more than ${most} bytes came`)
      }
      return Buffer.concat(parts)
    })
  }

  /**
   * Sends bytes or text, all of it. That it resolves means that the kernel has it, not that the other end has.
   * @throws NfkitError ECONNRESET, EPIPE when the other end is gone; ETIMEDOUT
   */
  async write(data: Uint8Array | string, options: WaitOptions = {}): Promise<void> {
    const bytes = toBytes(data)
    await within(options, this.#doing, async (signal) => {
      for (let at = 0; at < bytes.length;) {
        const sent = this.#socket.send(at === 0 ? bytes : bytes.subarray(at), 0)
        if (sent >= 0) {
          at += sent
          await this.#turn()
          signal.throwIfAborted()
        } else await this.#wait(sent, 'send', () => this.#readiness.writable(signal))
      }
    })
  }

  /** Says that no more will be sent (FIN); reading goes on. @throws NfkitError ECONNRESET when the connection was reset before */
  end(): void {
    if (this.#socket.fd < 0) throw new NfkitError('NFKIT_CLOSED', `${this.#doing} is closed`)
    const result = this.#socket.shutdown(SHUT_WR)
    if (result === -Errno.ENOTCONN) throw NfkitError.fromErrno(pendingError(this.#socket) || Errno.ECONNRESET, 'shutdown', this.#doing)
    check(result, 'shutdown', this.#doing)
  }

  /** Closes with a reset (RST) in place of an orderly end. */
  reset(): void {
    if (this.#socket.fd < 0) return
    this.#socket.setOption(SOL_SOCKET, SO_LINGER, new Uint8Array(new Int32Array([1, 0]).buffer))
    this.close()
  }

  /** Closes; what was written is still delivered. Idempotent. */
  close(): void {
    if (this.#socket.fd < 0) return
    this.#readiness.close()
    this.#socket.close()
    this.#onClose(this)
  }

  /** The chunks that come, until the other end has sent its last. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    for (let chunk = await this.read(); chunk !== null; chunk = await this.read()) yield chunk
  }

  [Symbol.dispose](): void { this.close() }
  async [Symbol.asyncDispose](): Promise<void> { this.close() }

  [inspect.custom](): string {
    const show = ({ address, port }: SocketAddress) => formatEndpoint(address, port)
    return `TcpConnection { local: '${show(this.local)}', remote: '${show(this.remote)}' }`
  }

  /** Now and then lets timers and others have their turn: promises alone, with data always at hand, would never do so. */
  async #turn(): Promise<void> {
    if (++this.#calls % CALLS_IN_A_ROW === 0) await new Promise((resolve) => setImmediate(resolve))
  }

  async #wait(result: number, syscall: string, ready: () => Promise<void>): Promise<void> {
    if (this.#socket.fd < 0) throw new NfkitError('NFKIT_CLOSED', `${this.#doing} is closed`)
    if (!wouldBlock(result)) throw NfkitError.fromErrno(-result, syscall, this.#doing)
    await ready()
  }
}

/** Opens a connection from a namespace. */
export async function connectTcp(
  netns: Netns, options: ConnectOptions, onClose: (connection: TcpConnection) => void,
): Promise<TcpConnection> {
  const target = parseAddress(options.address, 'address')
  checkPort(options.port, 'port')
  const own = checkSocketOptions(options, target.family)
  const { timeout = 5000, signal } = options
  checkMilliseconds(timeout, 'timeout', 1)
  signal?.throwIfAborted()
  const doing = `connecting to ${formatEndpoint(target.text, options.port)}`
  const socket = openSocket(netns, target.family, SOCK_STREAM, IpProtocol.tcp, doing)
  let readiness: SocketReadiness | undefined
  try {
    applySocketOptions(netns, socket, target.family, own, doing)
    const to = socketAddress(netns, target, options.port)
    readiness = new SocketReadiness(socket)
    const waiting = readiness
    const result = socket.connect(to)
    if (result < 0 && !wouldBlock(result)) throw connectError(-result, doing)
    if (result < 0) {
      await within({ timeout, signal }, doing, (limit) => waiting.writable(limit))
      const errno = pendingError(socket)
      if (errno !== 0) throw connectError(errno, doing)
    }
    const remote = remoteAddress(socket)
    // Established and reset at once.
    if (remote === undefined) throw connectError(Errno.ECONNRESET, doing)
    return new TcpConnection(socket, readiness, remote, onClose)
  } catch (error) {
    readiness?.close()
    socket.close()
    throw error
  }
}

function connectError(errno: number, doing: string): NfkitError {
  return NfkitError.fromErrno(errno, 'connect', doing, errno === Errno.EPERM ? { hint: 'a rule of OUTPUT dropped it' } : {})
}

/** What a listener does with every connection: keep it for `accept`, send back what comes, or read and forget it. */
export type Serve = 'echo' | 'discard' | ((connection: TcpConnection) => void | Promise<void>)

export interface ListenOptions {
  /** 0 to 65535; 0, which is the default, lets the kernel choose. */
  port?: number | undefined
  /** Own address; all IPv4 addresses (`0.0.0.0`) unless told, `::` for all IPv6 addresses. */
  address?: string | undefined
  /** Interface to listen on, whatever the addresses. */
  interface?: string | undefined
  /** Connections that may wait to be accepted; 128 unless told. */
  backlog?: number | undefined
  /** Serves every connection at once; without it they wait for {@link TcpListener.accept}. */
  serve?: Serve | undefined
}

/** A listening TCP socket. */
export class TcpListener implements AsyncDisposable {
  readonly #socket: RawDescriptor
  readonly #readiness: SocketReadiness
  readonly #connections = new Set<TcpConnection>()
  readonly #onClose: (listener: TcpListener) => void
  readonly #doing: string
  readonly local: SocketAddress
  #failures: unknown[] = []

  /** @internal */
  constructor(socket: RawDescriptor, onClose: (listener: TcpListener) => void) {
    this.#socket = socket
    this.local = localAddress(socket)
    this.#doing = `listening on ${formatEndpoint(this.local.address, this.local.port)}`
    this.#readiness = new SocketReadiness(socket)
    this.#onClose = onClose
  }

  /** The port, also when the kernel chose it. */
  get port(): number { return this.local.port }

  /** What handlers given as `serve` threw. A connection that was reset is no failure. */
  get failures(): readonly unknown[] { return this.#failures }

  /** The next connection. @throws NfkitError ETIMEDOUT, NFKIT_CLOSED */
  async accept(options: WaitOptions = {}): Promise<TcpConnection> {
    return within(options, this.#doing, async (signal) => {
      for (;;) {
        signal.throwIfAborted()
        const accepted = this.#socket.accept()
        if (typeof accepted !== 'number') {
          const remote = remoteAddress(accepted)
          // Gone before it was accepted.
          if (remote === undefined) { accepted.close(); continue }
          const readiness = new SocketReadiness(accepted)
          const connection = new TcpConnection(accepted, readiness, remote, (closed) => this.#connections.delete(closed))
          this.#connections.add(connection)
          return connection
        }
        if (this.#socket.fd < 0) throw new NfkitError('NFKIT_CLOSED', `${this.#doing}: the listener is closed`)
        // Errors of a connection that was waiting come here too (accept(2)): it is gone, the listener is not.
        if (accepted === -Errno.EMFILE || accepted === -Errno.EINVAL || accepted === -Errno.ENOMEM) check(accepted, 'accept4', this.#doing)
        if (wouldBlock(accepted)) await this.#readiness.readable(signal)
      }
    })
  }

  /** Serves every connection from now on, until the listener is closed. */
  serve(how: Serve): void {
    const handler = typeof how === 'function' ? how : how === 'echo' ? echo : discard
    void (async () => {
      for (;;) {
        const connection = await this.accept()
        void (async () => {
          try { await handler(connection) } finally { connection.close() }
        })().catch((error: unknown) => {
          if (!(error instanceof NfkitError) || !['ECONNRESET', 'EPIPE', 'NFKIT_CLOSED'].includes(error.code)) this.#failures.push(error)
        })
      }
    })().catch((error: unknown) => {
      if (!(error instanceof NfkitError) || error.code !== 'NFKIT_CLOSED') this.#failures.push(error)
    })
  }

  /** The connections as they come; ends when the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<TcpConnection, void, undefined> {
    try {
      for (;;) yield await this.accept()
    } catch (error) {
      if (!(error instanceof NfkitError) || error.code !== 'NFKIT_CLOSED') throw error
    }
  }

  /** Closes the listener and every connection that came by it. Idempotent. */
  close(): void {
    if (this.#socket.fd < 0) return
    for (const connection of this.#connections) connection.close()
    this.#readiness.close()
    this.#socket.close()
    this.#onClose(this)
  }

  [Symbol.dispose](): void { this.close() }
  async [Symbol.asyncDispose](): Promise<void> { this.close() }

  [inspect.custom](): string { return `TcpListener { local: '${formatEndpoint(this.local.address, this.local.port)}' }` }
}

/** Listens in a namespace. */
export function listenTcp(netns: Netns, options: ListenOptions, onClose: (listener: TcpListener) => void): TcpListener {
  const { port = 0, backlog = 128, serve } = options
  const address = parseAddress(options.address ?? '0.0.0.0', 'address')
  checkPort(port, 'port', 0)
  checkInteger(backlog, 1, 65535, 'backlog')
  if (serve !== undefined && typeof serve !== 'function' && serve !== 'echo' && serve !== 'discard') {
    throw invalidArgument('serve', 'echo, discard or a function', serve)
  }
  const own = checkSocketOptions({ interface: options.interface }, address.family)
  const doing = `listening on ${formatEndpoint(address.text, port)}`
  const socket = openSocket(netns, address.family, SOCK_STREAM, IpProtocol.tcp, doing)
  try {
    prepareListener(socket, address.family, doing)
    applySocketOptions(netns, socket, address.family, own, doing)
    bindTo(netns, socket, address, port, doing)
    check(socket.listen(backlog), 'listen', doing)
    const listener = new TcpListener(socket, onClose)
    if (serve !== undefined) listener.serve(serve)
    return listener
  } catch (error) {
    socket.close()
    throw error
  }
}

async function echo(connection: TcpConnection): Promise<void> {
  for await (const chunk of connection) await connection.write(chunk)
}

async function discard(connection: TcpConnection): Promise<void> {
  for await (const _chunk of connection);
}

/** Bytes as they are, text as UTF-8. */
export function toBytes(data: unknown): Uint8Array {
  if (typeof data === 'string') return new TextEncoder().encode(data)
  if (data instanceof Uint8Array) return data
  throw invalidArgument('data', 'bytes (a Uint8Array) or text', data)
}
