// SPDX-License-Identifier: MIT
// A TCP or UDP flow from one host to another, and what became of it.

import { invalidArgument, NfkitError } from '../errors.js'
import { checkKeys } from '../net/check.js'
import { checkInteger } from '../wire/check.js'
import type { IpFamily } from '../wire/ip.js'
import { checkMilliseconds, Deadline } from './deadline.js'
import { Host } from './host.js'
import { checkPort, parseAddress } from './socket.js'
import type { TcpConnection } from './tcp.js'
import type { UdpSocket } from './udp.js'

export interface FlowOptions {
  from: Host
  /** Where a listener is opened for the time of the flow, unless `listen` is false. */
  to: Host
  /** Port at the receiver, 1 to 65535; one that the kernel chooses unless told. */
  port?: number | undefined
  /** Unless told, `tcp`. */
  protocol?: 'tcp' | 'udp' | undefined
  /** Bytes to send, 0 to 1073741824; 65536 unless told. */
  bytes?: number | undefined
  /** UDP: bytes in each datagram, 1 to 65507; 1000 unless told. */
  size?: number | undefined
  /** The receiver's address; its first of the family unless told. */
  address?: string | undefined
  /** Unless told, IPv4 if the receiver has it. */
  family?: IpFamily | undefined
  /** The sender's address; the kernel chooses unless told. */
  source?: string | undefined
  /** The sender's port; the kernel chooses unless told. */
  sourcePort?: number | undefined
  /** False: nobody listens, so that `refused` is what a reachable host answers. True unless told. */
  listen?: boolean | undefined
  /** Milliseconds for the whole flow; 5000 unless told. For UDP also how long to wait for what is missing. */
  timeout?: number | undefined
  signal?: AbortSignal | undefined
}

/**
 * What became of a flow.
 * - `completed`: every byte arrived; with `listen: false`, somebody else listens there, and the kernel took every byte.
 * - `refused`: TCP reset in answer to the SYN, or ICMP port unreachable.
 * - `reset`: TCP reset later on.
 * - `unreachable`: no route, nobody answers to ARP, or an ICMP error that says so (`prohibited` is one of its forms).
 * - `not-permitted`: the sender's own kernel refused, by a rule of OUTPUT for one.
 * - `timed-out`: the time was up; for UDP, fewer bytes came than were sent.
 */
export type FlowOutcome = 'completed' | 'refused' | 'reset' | 'unreachable' | 'not-permitted' | 'timed-out'

export interface FlowResult {
  protocol: 'tcp' | 'udp'
  address: string
  port: number
  outcome: FlowOutcome
  /** Bytes that the sender's kernel took. */
  bytesSent: number
  /** Bytes that came out at the other end unchanged, for TCP in the right order; 0 with `listen: false`. */
  bytesReceived: number
  /** Milliseconds. */
  duration: number
  /** Name of the error number, where the outcome comes from one: `ECONNREFUSED`, `EHOSTUNREACH`, `EACCES`, ... */
  code?: string
}

const OUTCOMES: Readonly<Record<string, FlowOutcome>> = {
  ECONNREFUSED: 'refused', ECONNRESET: 'reset', EPIPE: 'reset', ETIMEDOUT: 'timed-out',
  EHOSTUNREACH: 'unreachable', ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable', ENETDOWN: 'unreachable', ENONET: 'unreachable', ENOPROTOOPT: 'unreachable', EPROTO: 'unreachable',
  // icmpv6_err_convert (net/ipv6/icmp.c): administratively prohibited is EACCES.
  EACCES: 'unreachable', EPERM: 'not-permitted', EOPNOTSUPP: 'unreachable',
}

/**
 * What is sent: its bytes repeat after a number of them that is prime, so that a flow that lost, repeated or mixed up anything
 * would be noticed.
 */
const PERIOD = 65521
const CHUNK = 65536
const PATTERN = Uint8Array.from({ length: PERIOD + CHUNK }, (_, i) => ((i % PERIOD) * 31 + ((i % PERIOD) >>> 8)) & 0xff)

/** The bytes of the flow from a place on, at most {@link CHUNK}. */
const chunkAt = (at: number, length: number): Uint8Array => PATTERN.subarray(at % PERIOD, (at % PERIOD) + length)
const isIntact = (chunk: Uint8Array, at: number): boolean => Buffer.compare(chunk, chunkAt(at, chunk.length)) === 0

const OPTIONS: readonly (keyof FlowOptions)[] = [
  'from', 'to', 'port', 'protocol', 'bytes', 'size', 'address', 'family', 'source', 'sourcePort', 'listen', 'timeout', 'signal',
]

interface Progress { sent: number; received: number }

/** Sends bytes from one host to another. What the network does to them is the result, not an exception. */
export async function flow(options: FlowOptions): Promise<FlowResult> {
  checkKeys(options, OPTIONS, 'options')
  const {
    from, to, protocol = 'tcp', bytes = 65536, size = 1000, family, source, sourcePort, listen = true, timeout = 5000, signal,
  } = options
  if (!(from instanceof Host)) throw invalidArgument('from', 'a host', from)
  if (!(to instanceof Host)) throw invalidArgument('to', 'a host', to)
  if (protocol !== 'tcp' && protocol !== 'udp') throw invalidArgument('protocol', 'tcp or udp', protocol)
  if (options.port !== undefined) checkPort(options.port, 'port')
  checkInteger(bytes, 0, 1 << 30, 'bytes')
  checkInteger(size, 1, 65507, 'size', 'bytes')
  checkMilliseconds(timeout, 'timeout', 1)
  if (!listen && options.port === undefined) throw invalidArgument('port', 'a port where nobody listens', undefined)
  const address = options.address ?? to.address(family)
  const any = parseAddress(address, 'address').family === 'ipv4' ? '0.0.0.0' : '::'
  const deadline = new Deadline(timeout, signal)
  const start = performance.now()
  const progress: Progress = { sent: 0, received: 0 }
  const own = { ...(source === undefined ? {} : { source }), ...(sourcePort === undefined ? {} : { sourcePort }) }
  const result = (port: number, outcome: FlowOutcome, code?: string): FlowResult => ({
    protocol, address, port, outcome, bytesSent: progress.sent, bytesReceived: progress.received,
    duration: Math.round((performance.now() - start) * 1000) / 1000, ...(code === undefined ? {} : { code }),
  })
  let port = options.port ?? 0
  try {
    if (protocol === 'tcp') {
      using listener = listen ? to.listen({ address: any, port }) : undefined
      port = listener?.port ?? port
      await tcp(listener === undefined ? undefined : listener.accept({ signal: deadline.signal }),
        from.connect({ address, port, timeout, signal: deadline.signal, ...own }), bytes, progress, deadline.signal)
    } else {
      using receiver = listen ? to.listen({ protocol, address: any, port }) : undefined
      port = receiver?.port ?? port
      using sender = await from.connect({ protocol, address, port, ...own })
      await udp(receiver, sender, bytes, size, progress, deadline.signal)
    }
    return result(port, (listen ? progress.received : progress.sent) === bytes ? 'completed' : 'timed-out')
  } catch (error) {
    if (signal?.aborted === true) throw signal.reason
    if (deadline.expired) return result(port, 'timed-out')
    const outcome = error instanceof NfkitError ? OUTCOMES[error.code] : undefined
    if (outcome === undefined) throw error
    return result(port, outcome, (error as NfkitError).code)
  } finally {
    deadline.clear()
  }
}

async function tcp(
  accepting: Promise<TcpConnection> | undefined, connecting: Promise<TcpConnection>, bytes: number, progress: Progress, signal: AbortSignal,
): Promise<void> {
  // When the connection fails, nobody will be accepted.
  accepting?.catch(() => {})
  using sender = await connecting
  if (accepting === undefined) {
    await send(sender, bytes, progress, signal)
    return
  }
  using receiver = await accepting
  const sending = send(sender, bytes, progress, signal)
  sending.catch(() => {})
  const receiving = (async () => {
    for (let chunk = await receiver.read({ signal }); chunk !== null; chunk = await receiver.read({ signal })) {
      if (!isIntact(chunk, progress.received)) throw new NfkitError('EBADMSG', `the flow's bytes at ${progress.received} arrived changed`)
      progress.received += chunk.length
    }
  })()
  receiving.catch(() => {})
  await Promise.all([sending, receiving])
}

async function send(sender: TcpConnection, bytes: number, progress: Progress, signal: AbortSignal): Promise<void> {
  while (progress.sent < bytes) {
    const chunk = chunkAt(progress.sent, Math.min(CHUNK, bytes - progress.sent))
    await sender.write(chunk, { signal })
    progress.sent += chunk.length
  }
  sender.end()
}

/** Datagrams on their way at most: more would not fit into the receiver's socket buffer. */
const WINDOW = 32
/** Milliseconds to wait for a full window to arrive before what is missing counts as lost. */
const PATIENCE = 20

async function udp(
  receiver: UdpSocket | undefined, sender: UdpSocket, bytes: number, size: number, progress: Progress, signal: AbortSignal,
): Promise<void> {
  // What an ICMP error says of the datagrams ends the flow, also while it waits for the last of them.
  const refused = sender.receive({ signal }).then(() => { throw new NfkitError('EPROTO', 'an answer to a flow that asks nothing') })
  refused.catch(() => {})
  let lost = 0
  const take = (): void => {
    for (let message = receiver?.poll(); message !== undefined; message = receiver?.poll()) {
      if (message.from.port === sender.port && isIntact(message.data, 0)) progress.received += message.data.length
    }
  }
  const arrive = async (milliseconds: number | undefined): Promise<void> => {
    const patience = new Deadline(milliseconds, signal)
    const over = new Promise<void>((resolve) => patience.signal.addEventListener('abort', () => resolve(), { once: true }))
    try {
      for (take(); progress.received + lost < progress.sent && !patience.signal.aborted; take()) {
        await Promise.race([receiver?.readable(patience.signal).catch(() => {}) ?? over, refused])
      }
    } finally {
      patience.clear()
    }
  }
  for (let window = WINDOW; progress.sent < bytes; window--) {
    const datagram = chunkAt(0, Math.min(size, bytes - progress.sent))
    await sender.send(datagram, undefined, { signal })
    progress.sent += datagram.length
    take()
    if (progress.received + lost === progress.sent) window = WINDOW
    else if (window === 0) {
      await arrive(PATIENCE)
      lost = progress.sent - progress.received
      window = WINDOW
    }
  }
  lost = 0
  await arrive(undefined)
}
