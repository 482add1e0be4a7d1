// SPDX-License-Identifier: MIT
// A netlink socket: request and answer, dumps, batches. Extended ACK and strict checking are always on (Linux 4.20).

import { Errno, errnoName } from '../errno.js'
import { NfkitError } from '../errors.js'
import { receiveAside } from '../events.js'
import { addon, check, checkDescriptor, type RawDescriptor } from '../native.js'
import { type NetnsLike, resolveNetns } from '../netns.js'
import type { AttributeTable } from '../wire/attributes.js'
import { type Input, inputOf, LITTLE_ENDIAN, Writer } from '../wire/bytes.js'
import {
  decodeAck, message, messageAt, type NetlinkAck, type NetlinkMessage, nextMessage, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR,
  NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_HEADER, NLMSG_NOOP, NLMSG_OVERRUN,
} from '../wire/netlink.js'

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOL_SOCKET = 1
const SO_RCVBUF = 8
const SO_RCVTIMEO = 20
const SO_RCVBUFFORCE = 33
const SOL_NETLINK = 270
const NETLINK_ADD_MEMBERSHIP = 1
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12
const MSG_TRUNC = 0x20

/** Kernel answers at once; a wait this long means that an answer was lost. */
const TIMEOUT_SECONDS = 10
/** Larger than any message that the kernel makes for a dump (32 KiB) and than a link with hundreds of VFs. */
const BUFFER = 256 << 10
const DUMP_ATTEMPTS = 8
/** So many datagrams (32 KiB each, some 350 CAM entries, the first one less) are received before another thread takes over. */
const ASIDE_AFTER = 2
/** Bytes that may wait for the decoder: enough for the next datagrams, little enough to stay in the processor's cache. */
const ASIDE_QUEUE = 256 << 10
/** Acknowledgements queue up in the socket while the kernel works through a batch: this many always fit. */
const BATCH = 128

/** The layout of an object's messages, for naming an attribute that the kernel refused. */
export interface MessageShape {
  /** Bytes before the attributes. */
  readonly header: number
  readonly table: AttributeTable<object>
}

/** One netlink request. */
export interface Request {
  readonly type: number
  /** Beside NLM_F_REQUEST. */
  readonly flags?: number
  /** Appends what follows the message header. */
  readonly write: (w: Writer) => void
  /** What is being done, for the error: `creating link br0`. */
  readonly doing: string
  /** The request's name in the kernel: `RTM_NEWLINK`. */
  readonly name: string
  readonly shape?: MessageShape
  /** What to do about an error, by its code, where this request knows better than the general advice. */
  readonly hints?: Readonly<Record<string, string>>
}

export interface DumpOptions {
  /** Answer what was read although the kernel said that it changed meanwhile. */
  readonly partial?: boolean | undefined
}

let spare: Input | undefined = undefined
function takeBuffer(): Input {
  const buffer = spare ?? inputOf(new Uint8Array(BUFFER))
  spare = undefined
  return buffer
}
function giveBack(buffer: Input): void { spare = buffer }

/** A netlink socket in one network namespace. Calls are synchronous: the kernel answers within the call. */
export class NetlinkSocket {
  readonly #descriptor: RawDescriptor
  readonly #unsolicited: ((input: Input, msg: NetlinkMessage) => void) | undefined
  #sequence = 0

  private constructor(descriptor: RawDescriptor, unsolicited?: (input: Input, msg: NetlinkMessage) => void) {
    this.#descriptor = descriptor
    this.#unsolicited = unsolicited
  }

  /**
   * Opens a socket of a netlink protocol (NETLINK_ROUTE is 0) in a namespace; no privilege is needed for that.
   * `unsolicited` sees what the kernel sends by itself (sequence number 0) while a request waits for its answer.
   */
  static open(protocol: number, options: {
    netns?: NetnsLike | undefined; receiveBuffer?: number; groups?: readonly number[]; unsolicited?: (input: Input, msg: NetlinkMessage) => void
  } = {}): NetlinkSocket {
    const { fd, release } = resolveNetns(options.netns)
    let descriptor: RawDescriptor
    try {
      descriptor = checkDescriptor(addon.socket(AF_NETLINK, SOCK_RAW, protocol, fd), 'socket', 'opening a netlink socket')
    } finally {
      release()
    }
    try {
      const on = u32(1)
      check(descriptor.setOption(SOL_NETLINK, NETLINK_EXT_ACK, on), 'setsockopt', 'NETLINK_EXT_ACK (Linux 4.12)')
      check(descriptor.setOption(SOL_NETLINK, NETLINK_CAP_ACK, on), 'setsockopt', 'NETLINK_CAP_ACK (Linux 4.3)')
      check(descriptor.setOption(SOL_NETLINK, NETLINK_GET_STRICT_CHK, on), 'setsockopt', 'NETLINK_GET_STRICT_CHK (Linux 4.20)')
      const size = options.receiveBuffer ?? 1 << 20
      // Beyond rmem_max only with CAP_NET_ADMIN in the initial user namespace; the plain option takes what it may.
      if (descriptor.setOption(SOL_SOCKET, SO_RCVBUFFORCE, u32(size)) < 0) check(descriptor.setOption(SOL_SOCKET, SO_RCVBUF, u32(size)), 'setsockopt')
      check(descriptor.setOption(SOL_SOCKET, SO_RCVTIMEO, timeval(TIMEOUT_SECONDS)), 'setsockopt')
      const address = new Uint8Array(12)
      new DataView(address.buffer).setUint16(0, AF_NETLINK, LITTLE_ENDIAN)
      check(descriptor.bind(address), 'bind')
      for (const group of options.groups ?? []) check(descriptor.setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, u32(group)), 'setsockopt', `joining netlink group ${group}`)
      return new NetlinkSocket(descriptor, options.unsolicited)
    } catch (error) {
      descriptor.close()
      throw error
    }
  }

  /** Asks for a change and waits for its acknowledgement; `reply` sees the messages that come before it. */
  request(request: Request, reply?: (input: Input, msg: NetlinkMessage) => void): void {
    this.#exchange(request, NLM_F_ACK, (input, msg) => {
      if (msg.type === NLMSG_ERROR) return true
      reply?.(input, msg)
      return false
    })
  }

  /** Asks for one object. */
  get<T>(request: Request, decode: (input: Input, msg: NetlinkMessage) => T): T {
    let value: T | undefined
    this.#exchange(request, 0, (input, msg) => {
      value = decode(input, msg)
      return true
    })
    return value!
  }

  /**
   * Dumps objects; `decode` appends what it makes of each message. When the kernel says that the dump was interrupted
   * by a change (NLM_F_DUMP_INTR), it is read again from the start, a few times.
   * @throws NfkitError NFKIT_DUMP_INTERRUPTED when it never held still.
   */
  dump<T>(request: Request, decode: (input: Input, msg: NetlinkMessage, into: T[]) => void, options: DumpOptions = {}): T[] {
    for (let attempt = 1; ; attempt++) {
      const into: T[] = []
      let interrupted = false
      let failure: unknown
      let failed = false
      this.#exchange(request, NLM_F_DUMP, (input, msg) => {
        if ((msg.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true
        if (msg.type === NLMSG_DONE) return true
        // The dump must be read to its end, or the socket would answer EBUSY from then on.
        if (!failed) {
          try { decode(input, msg, into) } catch (error) { failed = true; failure = error }
        }
        return false
      })
      if (failed) throw failure
      if (!interrupted || options.partial === true) return into
      if (attempt === DUMP_ATTEMPTS) {
        throw new NfkitError('NFKIT_DUMP_INTERRUPTED', `${request.doing}: the kernel's table changed during each of ${DUMP_ATTEMPTS} dumps`,
          { syscall: request.name, hint: 'try again later, or ask for a partial result' })
      }
    }
  }

  /**
   * Sends many requests in few system calls. Answers one element for each: undefined where the kernel did it, else its error.
   * The kernel goes on after a failed one.
   */
  batch(requests: readonly Request[]): (NfkitError | undefined)[] {
    const results = new Array<NfkitError | undefined>(requests.length).fill(undefined)
    const w = new Writer(16 << 10)
    for (let from = 0; from < requests.length; from += BATCH) {
      const group = requests.slice(from, from + BATCH)
      const first = this.#sequence + 1
      const starts: number[] = []
      w.reset()
      group.forEach((request, i) => {
        starts.push(w.length)
        // Only the last one is acknowledged when it succeeds; failures always are.
        const flags = NLM_F_REQUEST | (request.flags ?? 0) | (i === group.length - 1 ? NLM_F_ACK : 0)
        message(w, request.type, flags, request.write)
        w.view.setUint32(starts[i]! + 8, this.#nextSequence(), LITTLE_ENDIAN)
      })
      check(this.#descriptor.send(w.finish(), 0), 'sendmsg', group[0]!.doing)
      this.#receive(group[0]!, (input, msg) => {
        const i = (msg.sequence - first) >>> 0
        if (i >= group.length || msg.type !== NLMSG_ERROR) return false
        const ack = decodeAck(input, msg)
        if (ack.errno !== 0) results[from + i] = requestError(group[i]!, ack, w.bytes.subarray(starts[i]!))
        return i === group.length - 1
      })
    }
    return results
  }

  /** Sends a dump request and leaves receiving to the caller. @returns its sequence number */
  startDump(request: Request): number {
    return this.#send(request, NLM_F_DUMP).sequence
  }

  /** The descriptor, for the event loop. */
  get descriptor(): RawDescriptor { return this.#descriptor }

  close(): void { this.#descriptor.close() }
  [Symbol.dispose](): void { this.close() }

  #nextSequence(): number {
    this.#sequence = (this.#sequence + 1) >>> 0
    return this.#sequence
  }

  #send(request: Request, flags: number): { bytes: Uint8Array; sequence: number } {
    const w = new Writer(512)
    message(w, request.type, NLM_F_REQUEST | flags | (request.flags ?? 0), request.write)
    const sequence = this.#nextSequence()
    w.view.setUint32(8, sequence, LITTLE_ENDIAN)
    const bytes = w.finish()
    const sent = this.#descriptor.send(bytes, 0)
    // A socket whose last answers overran its buffer says so once.
    if (sent === -Errno.ENOBUFS) check(this.#descriptor.send(bytes, 0), 'sendmsg', request.doing)
    else check(sent, 'sendmsg', request.doing)
    return { bytes, sequence }
  }

  /** Sends and receives until `visit` says that it was the last message. Errors of the kernel are thrown. */
  #exchange(request: Request, flags: number, visit: (input: Input, msg: NetlinkMessage) => boolean): void {
    const { bytes, sequence } = this.#send(request, flags)
    this.#receive(request, (input, msg) => {
      if (msg.sequence !== sequence) {
        if (msg.sequence === 0) this.#unsolicited?.(input, msg)
        return false
      }
      if (msg.type === NLMSG_ERROR || (msg.type === NLMSG_DONE && msg.end > msg.start)) {
        const ack = decodeAck(input, msg)
        if (ack.errno !== 0) throw requestError(request, ack, bytes)
      }
      return visit(input, msg)
    })
  }

  #receive(request: Request, visit: (input: Input, msg: NetlinkMessage) => boolean): void {
    const buffer = takeBuffer()
    try {
      for (let received = 0; received < ASIDE_AFTER; received++) {
        const length = this.#descriptor.receive(buffer.bytes, 0, MSG_TRUNC)
        if (length < 0) throw lost(request, length === -Errno.EAGAIN ? Errno.ETIMEDOUT : -length)
        if (length > buffer.bytes.length) throw lost(request, Errno.EMSGSIZE)
        if (visitAll(buffer, 0, length, visit)) return
      }
    } finally {
      giveBack(buffer)
    }
    // A large dump: the kernel's part, most of the time, goes on in another thread while this one decodes.
    const complete = receiveAside(this.#descriptor, ASIDE_QUEUE, TIMEOUT_SECONDS * 1000, (record) => {
      if (record.kind === 'error') throw lost(request, record.errno)
      if (record.kind === 'overrun') throw lost(request, Errno.ENOBUFS)
      if (record.trueLength > record.end - record.start) throw lost(request, Errno.EMSGSIZE)
      return visitAll(record.input, record.start, record.end, visit)
    })
    if (!complete) throw lost(request, Errno.ETIMEDOUT)
  }
}

/** Visits the messages of one datagram until `visit` says that it was the last. */
function visitAll(input: Input, start: number, end: number, visit: (input: Input, msg: NetlinkMessage) => boolean): boolean {
  for (let at = start; at < end;) {
    const msg = messageAt(input, at, end)
    if (msg.type !== NLMSG_NOOP && msg.type !== NLMSG_OVERRUN && visit(input, msg)) return true
    at = nextMessage(msg)
  }
  return false
}

function lost(request: Request, errno: number): NfkitError {
  return NfkitError.fromErrno(errno, 'recvmsg', request.doing)
}

/** The typed error of a refused request: errno, the kernel's words, and the attribute by name. */
export function requestError(request: Request, ack: NetlinkAck, bytes: Uint8Array): NfkitError {
  const { shape } = request
  const input = inputOf(bytes)
  let name: string | undefined
  if (shape !== undefined && ack.offset !== undefined && ack.offset > 0) {
    const length = input.view.getUint32(0, LITTLE_ENDIAN)
    name = shape.table.locate(input, NLMSG_HEADER + shape.header, length, ack.offset)
  } else if (shape !== undefined && ack.missingType !== undefined) {
    name = shape.table.nameOf(ack.missingType)
  }
  const hint = request.hints?.[errnoName(ack.errno)]
  return NfkitError.fromErrno(ack.errno, request.name, request.doing, {
    ...(hint === undefined ? {} : { hint }),
    ...(ack.message === undefined ? {} : { kernelMessage: ack.message }),
    ...(name === undefined ? {} : { attribute: name }),
  })
}

function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer)
}

function timeval(seconds: number): Uint8Array {
  return new Uint8Array(new BigInt64Array([BigInt(seconds), 0n]).buffer)
}
