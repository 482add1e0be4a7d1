// SPDX-License-Identifier: MIT
// Echo requests sent and answers collected, over a raw socket in the host's namespace.

import { type EventRecord, forEachRecord, type Watch, watchDescriptor } from '../events.js'
import { errnoName, Errno } from '../errno.js'
import { invalidArgument, NfkitError } from '../errors.js'
import { check, type RawDescriptor } from '../native.js'
import type { Netns } from '../netns.js'
import { checkInteger } from '../wire/check.js'
import { controlMessages, decodeTimestamp, splitAddress } from '../wire/cmsg.js'
import { decodeEchoAnswer, ECHO_ANSWERS, type EchoAnswer, encodeEcho } from '../wire/echo.js'
import type { IcmpReason } from '../wire/icmp.js'
import { inputOf, LITTLE_ENDIAN } from '../wire/bytes.js'
import { IpProtocol } from '../wire/ip-protocol.js'
import { decodeSocketAddress } from '../wire/sockaddr.js'
import { realtimeOffset } from './clock.js'
import { checkMilliseconds, Deadline } from './deadline.js'
import {
  allowBroadcast, applySocketOptions, checkSocketOptions, openSocket, type ParsedAddress, parseAddress, setInteger,
  SO_TIMESTAMPNS_NEW, SOCK_RAW, socketAddress, SOL_IP, SOL_IPV6, SOL_SOCKET,
} from './socket.js'

const SOL_RAW = 255
const SOL_ICMPV6 = 58
const ICMP_FILTER = 1
const IP_TTL = 2
const IP_MTU_DISCOVER = 10
const IPV6_UNICAST_HOPS = 16
const IPV6_MULTICAST_HOPS = 18
const IPV6_MTU_DISCOVER = 23
const IPV6_RECVHOPLIMIT = 51
const IPV6_HOPLIMIT = 52
const PMTUDISC_DONT = 0
const PMTUDISC_DO = 2
const IP_MULTICAST_TTL = 33

const QUEUE = 1 << 20

export interface PingOptions {
  /** Requests to send, 1 to 65535; 1 unless told. */
  count?: number | undefined
  /** Bytes of payload in each, 0 to 65507; 56 unless told. */
  size?: number | undefined
  /** Milliseconds from one request to the next; 100 unless told. */
  interval?: number | undefined
  /**
   * Milliseconds to wait for the answer to each request; 1000 unless told. The kernel takes three seconds to find out that
   * nobody answers its ARP or neighbour solicitations: `host-unreachable` needs more than that.
   */
  timeout?: number | undefined
  /** Time to live or hop limit of the requests, 1 to 255; the kernel's default (64) unless told. */
  ttl?: number | undefined
  /** True: never fragment, for path MTU discovery. False: always may. Unless told, the kernel's default. */
  dontFragment?: boolean | undefined
  /** Own address; the kernel chooses unless told. */
  source?: string | undefined
  /** Interface to send through, whatever the routes say. */
  interface?: string | undefined
  /** Ends the call with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** An echo reply. */
export interface PingReply {
  /** From 1. */
  sequence: number
  /** Who answered: for a broadcast or multicast ping, each of those who did. */
  from: string
  /** Milliseconds from sending to the kernel's meeting the answer, to some microseconds. */
  rtt: number
  /** Bytes of payload. */
  size: number
  /** Time to live or hop limit with which the reply arrived. */
  ttl?: number
  /** Another reply to the same request came from the same host before. */
  duplicate?: true
}

/** Why a request had no reply. */
export type PingError =
  | {
    kind: 'icmp'
    sequence: number
    /** Who says so: a router, the target, or the host itself when nobody answered its ARP requests. */
    from: string
    type: number
    code: number
    reason: IcmpReason
    /** Bytes; with `fragmentation-needed` and `packet-too-big`. */
    mtu?: number
  }
  | {
    /** The host's own kernel did not send it. */
    kind: 'local'
    sequence: number
    /** `ENETUNREACH`: no route. `EPERM`: a rule of OUTPUT dropped it. `EMSGSIZE`: longer than the MTU and not to be fragmented. */
    code: string
  }

export interface PingResult {
  address: string
  /** Requests that the kernel took. */
  sent: number
  /** Requests that were answered. */
  received: number
  /** Milliseconds of each first reply, in the order of the requests. */
  rtts: number[]
  replies: PingReply[]
  errors: PingError[]
}

interface Met {
  from: string
  /** When the kernel met it, by the clock of `performance.now()`; it does not say so on every occasion. */
  metAt?: number
}

/** `seenAt` is when this program saw it. */
type Answer = EchoAnswer & Met & { seenAt: number }

/**
 * Pings from a namespace. That nobody answers is a result, not an exception.
 * @throws TypeError, RangeError for a wrong argument; NfkitError EPERM without CAP_NET_RAW, ENODEV for an unknown interface,
 * EADDRNOTAVAIL for a source that the host has not
 */
export async function ping(netns: Netns, address: string, options: PingOptions = {}): Promise<PingResult> {
  const { count = 1, size = 56, interval = 100, timeout = 1000, ttl, dontFragment, signal } = options
  const target = parseAddress(address, 'address')
  checkInteger(count, 1, 0xffff, 'count')
  checkInteger(size, 0, 65507, 'size', 'bytes')
  checkMilliseconds(interval, 'interval')
  checkMilliseconds(timeout, 'timeout', 1)
  if (ttl !== undefined) checkInteger(ttl, 1, 255, 'ttl')
  if (dontFragment !== undefined && typeof dontFragment !== 'boolean') throw invalidArgument('dontFragment', 'true or false', dontFragment)
  const own = checkSocketOptions({ source: options.source, interface: options.interface }, target.family)
  signal?.throwIfAborted()
  const doing = `pinging ${address}`
  // Now, since it takes its time.
  realtimeOffset()
  const socket = openSocket(netns, target.family, SOCK_RAW, target.family === 'ipv4' ? IpProtocol.icmp : IpProtocol.icmpv6, doing)
  let to: Uint8Array
  try {
    to = socketAddress(netns, target, 0)
    prepare(socket, target, { ttl, dontFragment }, doing)
    applySocketOptions(netns, socket, target.family, own, doing)
  } catch (error) {
    socket.close()
    throw error
  }
  const answers = watchDescriptor<Answer>(socket, 'pause', QUEUE, (chunk, emit) => {
    const seenAt = performance.now()
    forEachRecord(chunk, (record) => {
      // An error here is about this socket as a whole: the interface is gone, for example.
      if (record.kind === 'error') throw NfkitError.fromErrno(record.errno, 'recvmsg', doing)
      const answer = record.kind === 'data' ? readAnswer(target, record) : undefined
      if (answer !== undefined) emit({ ...answer, seenAt })
    })
  })
  try {
    return await exchange(target, socket, to, answers, { count, size, interval, timeout, signal })
  } finally {
    await answers.return!()
  }
}

type SendOptions = Pick<PingOptions, 'ttl' | 'dontFragment'>

function prepare(socket: RawDescriptor, target: ParsedAddress, { ttl, dontFragment }: SendOptions, doing: string): void {
  // Before Linux 5.1 there is none, and the program's own clock has to do.
  socket.setOption(SOL_SOCKET, SO_TIMESTAMPNS_NEW, new Uint8Array(new Int32Array([1]).buffer))
  const discover = dontFragment === undefined ? undefined : dontFragment ? PMTUDISC_DO : PMTUDISC_DONT
  const blocked = new Uint32Array(target.family === 'ipv4' ? 1 : 8).fill(0xffffffff)
  for (const type of ECHO_ANSWERS[target.family]) blocked[type >> 5]! &= ~(1 << (type & 31))
  if (target.family === 'ipv4') {
    check(socket.setOption(SOL_RAW, ICMP_FILTER, new Uint8Array(blocked.buffer)), 'setsockopt', doing)
    allowBroadcast(socket, doing)
    if (ttl !== undefined) for (const option of [IP_TTL, IP_MULTICAST_TTL]) setInteger(socket, SOL_IP, option, ttl, doing)
    if (discover !== undefined) setInteger(socket, SOL_IP, IP_MTU_DISCOVER, discover, doing)
  } else {
    check(socket.setOption(SOL_ICMPV6, ICMP_FILTER, new Uint8Array(blocked.buffer)), 'setsockopt', doing)
    setInteger(socket, SOL_IPV6, IPV6_RECVHOPLIMIT, 1, doing)
    if (ttl !== undefined) for (const option of [IPV6_UNICAST_HOPS, IPV6_MULTICAST_HOPS]) setInteger(socket, SOL_IPV6, option, ttl, doing)
    if (discover !== undefined) setInteger(socket, SOL_IPV6, IPV6_MTU_DISCOVER, discover, doing)
  }
}

/** The answer in a record, if it is one. */
function readAnswer({ family }: ParsedAddress, record: EventRecord & { kind: 'data' }): (EchoAnswer & Met) | undefined {
  const { address, control } = splitAddress(record.address, family === 'ipv4' ? 16 : 28)
  let answer: EchoAnswer | undefined
  try {
    answer = decodeEchoAnswer(family, record.input.bytes.subarray(record.start, record.end))
  } catch {
    // A raw socket sees everybody's ICMP: what is damaged is not our answer.
    return undefined
  }
  if (answer === undefined) return undefined
  let metAt: number | undefined
  for (const { level, type, data } of controlMessages(control)) {
    if (level === SOL_SOCKET && type === SO_TIMESTAMPNS_NEW) metAt = decodeTimestamp(data) - realtimeOffset()
    else if (level === SOL_IPV6 && type === IPV6_HOPLIMIT && answer.kind === 'reply') {
      answer.ttl = inputOf(data).view.getInt32(0, LITTLE_ENDIAN)
    }
  }
  return { ...answer, from: decodeSocketAddress(address).address, ...(metAt === undefined ? {} : { metAt }) }
}

/** Milliseconds since the request was sent. The kernel's time does not count where its clock was set meanwhile. */
function roundTrip(sent: number, { seenAt, metAt }: Answer): number {
  const rtt = metAt !== undefined && metAt >= sent && metAt <= seenAt ? metAt - sent : seenAt - sent
  return Math.round(rtt * 1000) / 1000
}

let nextIdentifier = process.pid & 0xffff

interface Exchange { count: number; size: number; interval: number; timeout: number; signal: AbortSignal | undefined }

async function exchange(
  target: ParsedAddress, socket: RawDescriptor, to: Uint8Array, answers: Watch<Answer>, plan: Exchange,
): Promise<PingResult> {
  const { count, size, interval, timeout, signal } = plan
  const identifier = nextIdentifier = (nextIdentifier + 1) & 0xffff
  const payload = Uint8Array.from({ length: size }, (_, i) => i & 0xff)
  const result: PingResult = { address: target.text, sent: 0, received: 0, rtts: [], replies: [], errors: [] }
  /** When each request without an answer was sent. */
  const waiting = new Map<number, number>()
  const sentAt: number[] = []
  const firstRtts: number[] = []
  const many = isGroup(target)
  let next = answers.next()
  // Seen to below; without a handler at once, a rejection would count as unhandled.
  next.catch(() => {})

  const accept = (answer: Answer): void => {
    const { sequence, from } = answer
    const sent = sentAt[sequence]
    if (answer.identifier !== identifier || sent === undefined) return
    const open = waiting.has(sequence)
    if (answer.kind === 'error') {
      if (!open) return
      waiting.delete(sequence)
      const { type, code, reason, mtu } = answer
      result.errors.push({ kind: 'icmp', sequence, from, type, code, reason, ...(mtu === undefined ? {} : { mtu }) })
      return
    }
    const rtt = roundTrip(sent, answer)
    const duplicate = result.replies.some((reply) => reply.sequence === sequence && reply.from === from)
    result.replies.push({
      sequence, from, rtt, size: answer.size,
      ...(answer.ttl === undefined ? {} : { ttl: answer.ttl }), ...(duplicate ? { duplicate: true as const } : {}),
    })
    if (firstRtts[sequence] === undefined) {
      firstRtts[sequence] = rtt
      result.received++
    }
    // A group has more than one to answer: its time is used in full.
    if (!many) waiting.delete(sequence)
  }

  const send = (sequence: number): void => {
    const message = encodeEcho(target.family, identifier, sequence, payload)
    sentAt[sequence] = performance.now()
    const sent = socket.send(message, 0, to)
    if (sent >= 0) {
      result.sent++
      waiting.set(sequence, sentAt[sequence]!)
    } else result.errors.push({ kind: 'local', sequence, code: errnoName(sent === -Errno.EAGAIN ? Errno.ENOBUFS : -sent) })
  }

  const start = performance.now()
  for (let sequence = 1; sequence <= count || waiting.size > 0;) {
    const now = performance.now()
    if (sequence <= count && now >= start + (sequence - 1) * interval) {
      send(sequence++)
      continue
    }
    const due = sequence <= count ? [start + (sequence - 1) * interval] : []
    const wake = Math.min(...due, ...[...waiting.values()].map((since) => since + timeout))
    if (wake === Infinity) break
    const deadline = new Deadline(Math.max(0, wake - now), signal)
    try {
      let got = await Promise.race([next, aborted(deadline.signal)])
      if (got === undefined) {
        if (!deadline.expired) throw signal!.reason
        // After a blocked event loop the timer comes first, although the answer has been here for long.
        await new Promise((resolve) => setImmediate(resolve))
        got = await Promise.race([next, undefined])
      }
      if (got === undefined) {
        for (const [waits, since] of waiting) if (performance.now() - since >= timeout) waiting.delete(waits)
        continue
      }
      next = answers.next()
      next.catch(() => {})
      accept(got.value as Answer)
    } finally {
      deadline.clear()
    }
  }
  result.rtts = firstRtts.filter((rtt) => rtt !== undefined)
  return result
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}

/** Whether an address means several hosts: multicast, or the broadcast of all. Broadcasts of a prefix look like any other address. */
function isGroup({ family, bytes }: ParsedAddress): boolean {
  return family === 'ipv6' ? bytes[0] === 0xff : bytes[0]! >= 224 && bytes[0]! < 240 || bytes.every((byte) => byte === 255)
}
