// SPDX-License-Identifier: MIT
// The consumer of `-j NFQUEUE`: packets that the kernel keeps until this program says what becomes of them (nfnetlink_queue).

import { inspect } from 'node:util'
import { invalidArgument, NfkitError } from '../errors.js'
import { checkSignal, forEachRecord, type Watch, watchDescriptor } from '../events.js'
import { check, type RawDescriptor } from '../native.js'
import type { NetnsLike } from '../netns.js'
import { type Input, Writer } from '../wire/bytes.js'
import { checkInteger } from '../wire/check.js'
import { message, messageAt, NLM_F_REQUEST, type NetlinkMessage, nextMessage, NLMSG_ERROR, decodeAck } from '../wire/netlink.js'
import { refusedRequest } from '../wire/nfnetlink.js'
import {
  decodeQueuedPacket, encodeNfqConfig, encodeVerdict, NFQ_MOST_BYTES, type NfqConfig, NfqCommand, nfqConfigShape, NfqCopyMode, NfqFlag,
  NfqMessage, NfVerdict, patchVerdict,
} from '../wire/nfqueue.js'
import { checkReceiveBuffer, interfaceName, type NetfilterSocket, openNetfilterSocket, type PacketInterface, takenBy, WATCH_LIMIT } from './netfilter-socket.js'
import { QueueLosses, type QueueLoss } from './queue-losses.js'
import { QueueStatus, type QueueStatistics } from './queue-status.js'
import { QueuedPacket, type VerdictOptions, type VerdictSink } from './queued-packet.js'

export interface PacketQueueOptions {
  /** The network namespace whose packets these are; this process's own unless told. */
  netns?: NetnsLike | undefined
  /**
   * How much of each packet comes here: 0 to 65531 bytes from the network header on, everything up to 65531 unless told. With 0 a packet
   * has its interfaces, mark and addresses, but no bytes.
   */
  copyRange?: number | undefined
  /**
   * How many packets may wait for a verdict, 1 to 65536; 1024 unless told. Those beyond are dropped and counted. (Kernels since 7.1, and
   * some stable ones before, keep no more than 65536, whatever is asked for.)
   */
  maxLength?: number | undefined
  /** Packets that find no room are let pass, not dropped (Linux 3.6); false unless told. The kernel does not count those beyond `maxLength`. */
  failOpen?: boolean | undefined
  /** Packets come with their connection (needs a kernel with CONFIG_NETFILTER_NETLINK_GLUE_CT); false unless told. */
  conntrack?: boolean | undefined
  /**
   * Large packets come as they are, to be segmented later, with unfinished checksums (Linux 3.10); false unless told. Otherwise the kernel
   * cuts them to the MTU first, which costs it time.
   */
  gso?: boolean | undefined
  /** Packets of this machine come with user and group of their socket (Linux 3.14); false unless told. */
  uidGid?: boolean | undefined
  /** Packets come with the security context of their sender (Linux 4.3, CONFIG_NETWORK_SECMARK); false unless told. */
  securityContext?: boolean | undefined
  /**
   * What becomes of the packets that wait without a verdict when the queue is closed: `drop`, the default, as the kernel does it by
   * itself, also when the program is killed; or `accept`.
   */
  onClose?: 'drop' | 'accept' | undefined
  /**
   * Bytes of the socket's receive buffer, 4096 to 1073741824; by default what `maxLength` packets of the usual size need. Beyond
   * net.core.rmem_max only with CAP_NET_ADMIN in the initial user namespace. A packet whose message finds no room is dropped.
   */
  receiveBuffer?: number | undefined
  /** Closes the queue; a pending `next()` rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** What {@link PacketQueue.events} yields. */
export type QueueEvent = QueuedPacket | QueueLoss

/** The kernel's own default (NFQNL_QMAX_DEFAULT). */
const DEFAULT_LENGTH = 1024
/** The largest hash table that a queue has (NFQNL_HASH_MAX, twice as many entries). */
const MOST_WAITING = 65536
/** What the kernel charges a socket for a message beside the packet's own bytes. */
const MESSAGE_COST = 1280
const USUAL_PACKET = 1500
const LEAST_BUFFER = 1 << 20
const MOST_BUFFER = 128 << 20
/** Further than any packet that the kernel has. */
const BEYOND_ALL = 0x40000000
const HINTS = {
  EPERM: 'binding a queue needs CAP_NET_ADMIN in the user namespace of the network namespace (run as root, or under "nfkit lab --"), and a number that no other socket has',
  EBUSY: 'take another number, or end the program that has it',
  EOPNOTSUPP: 'this kernel lacks what an option asks for: conntrack needs CONFIG_NETFILTER_NETLINK_GLUE_CT, securityContext CONFIG_NETWORK_SECMARK',
  EINVAL: 'this kernel lacks packet queues: CONFIG_NETFILTER_NETLINK_QUEUE, module nfnetlink_queue',
}

/**
 * A queue of packets, each an item of an asynchronous iteration:
 *
 *     // iptables -A FORWARD -j NFQUEUE --queue-num 5
 *     for await (const packet of PacketQueue.open(5)) packet.accept()
 *
 * Packets wait in the kernel, however slow the consumer is: at most `maxLength` of them, those beyond are dropped and reported
 * ({@link QueuedPacket.lostBefore}, {@link events}) - except to a program in the user namespace of an ordinary user, to whom the kernel
 * does not show that counter. Leaving the loop closes the queue. From then on, and also after the program was
 * killed, packets that a rule sends to the queue are dropped, unless the rule says `--queue-bypass`.
 *
 * A pending `next()` keeps the process alive; an open queue alone does not.
 */
export class PacketQueue implements AsyncIterableIterator<QueuedPacket>, AsyncDisposable, Disposable {
  readonly number: number
  readonly #descriptor: RawDescriptor
  readonly #watch: Watch<QueueEvent>
  readonly #early: QueueEvent[] = []
  readonly #status: QueueStatus
  readonly #losses: QueueLosses
  readonly #sink: VerdictSink
  readonly #onClose: 'drop' | 'accept'
  readonly #verdict = new Writer(64)
  readonly #plain: Uint8Array
  readonly #rest = new Writer(2048)
  #answeredUpTo = 0
  #serial = 0
  #withLosses = false
  #closed = false

  private constructor(
    number: number, { descriptor, early, receiveBuffer }: NetfilterSocket, status: QueueStatus,
    { onClose = 'drop', failOpen = false, copyRange = NFQ_MOST_BYTES, maxLength = DEFAULT_LENGTH, signal }: PacketQueueOptions,
  ) {
    this.number = number
    this.#descriptor = descriptor
    this.#status = status
    this.#onClose = onClose
    this.#losses = new QueueLosses(status, { maxLength, failOpen, copyRange, receiveBuffer })
    encodeVerdict(this.#verdict, NfqMessage.verdict, number, 0, NfVerdict.accept)
    this.#plain = this.#verdict.finish()
    this.#sink = {
      interfaceOf: (index): PacketInterface | null => (index === 0 ? null : { index, name: interfaceName(descriptor, index) }),
      isAnswered: (serial) => serial <= this.#answeredUpTo,
      answer: (id, verdict, options) => this.#answer(id, verdict, options),
      isShut: (serial) => this.#closed || serial <= this.#answeredUpTo,
      refuse: (packet) => this.#refuse(packet),
    }
    for (const { input, msg } of early) this.#decode(input, msg, (event) => { this.#early.push(event) })
    this.#watch = watchDescriptor<QueueEvent>(descriptor, 'pause', WATCH_LIMIT, (chunk, emit) => this.#decodeChunk(chunk, emit), { signal, onClose: () => this.#end() })
  }

  /**
   * Takes a queue over: from now on packets come.
   * @param number 0 to 65535, the one of the rule: `-j NFQUEUE --queue-num NUMBER`
   * @throws TypeError, RangeError for a wrong argument; NfkitError EBUSY when another socket has the number, EPERM without CAP_NET_ADMIN,
   * EOPNOTSUPP for an option that the kernel does not know, EINVAL when it has no nfnetlink_queue
   */
  static open(number: number, options: PacketQueueOptions = {}): PacketQueue {
    checkInteger(number, 0, 0xffff, 'number')
    const { copyRange = NFQ_MOST_BYTES, maxLength = DEFAULT_LENGTH, netns, signal } = options
    checkOptions(options)
    const receiveBuffer = options.receiveBuffer
      ?? Math.min(MOST_BUFFER, Math.max(LEAST_BUFFER, maxLength * (MESSAGE_COST + Math.min(copyRange, USUAL_PACKET))))
    checkSignal(signal)
    const doing = `opening packet queue ${number}`
    let socket: NetfilterSocket
    try {
      socket = openNetfilterSocket(netns, receiveBuffer, {
        type: NfqMessage.config, name: 'NFQNL_MSG_CONFIG', doing, shape: nfqConfigShape, hints: HINTS,
        write: (w) => encodeNfqConfig(w, number, configOf(options, copyRange, maxLength)),
      })
    } catch (error) {
      throw takenBy(error, doing, QueueStatus.ownerOf(number, netns))
    }
    try {
      return new PacketQueue(number, socket, new QueueStatus(number, netns), options)
    } catch (error) {
      socket.descriptor.close()
      throw error
    }
  }

  /** Whether it takes packets no more. */
  get closed(): boolean { return this.#closed }

  /** The next packet; see the class. */
  next(): Promise<IteratorResult<QueuedPacket, undefined>> {
    const early = this.#early.shift()
    // Losses are items only for who asks for them by `events`.
    return (early === undefined ? this.#watch.next() : Promise.resolve({ done: false, value: early })) as Promise<IteratorResult<QueuedPacket, undefined>>
  }

  /** Closes the queue: what a loop does that is left. */
  async return(): Promise<IteratorResult<QueuedPacket, undefined>> {
    this.close()
    return { done: true, value: undefined }
  }

  /**
   * The packets, and between them word of those that were lost. It is the same iteration as that of the queue itself: each packet comes
   * once, here or there.
   */
  events(): AsyncIterableIterator<QueueEvent> {
    this.#withLosses = true
    const iterator: AsyncIterableIterator<QueueEvent> = {
      next: () => this.next(),
      return: () => this.return(),
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  /**
   * Accepts this packet and all before it that still wait, in one call of the kernel: also those that the program has not taken yet,
   * when they are older.
   * @throws TypeError for what is no packet of this queue; else as {@link QueuedPacket.accept}
   */
  acceptUpTo(packet: QueuedPacket, options: { mark?: number | undefined } = {}): void { this.#answerUpTo(packet, NfVerdict.accept, options.mark) }

  /** Drops this packet and all before it that still wait. @throws as {@link acceptUpTo} */
  dropUpTo(packet: QueuedPacket): void { this.#answerUpTo(packet, NfVerdict.drop, undefined) }

  /**
   * What the kernel says about the queue, from /proc/net/netfilter/nfnetlink_queue.
   * @throws NfkitError NFKIT_CLOSED; EACCES in the user namespace of an ordinary user, who may not read the file
   */
  statistics(): QueueStatistics {
    if (this.#closed) throw this.#closedError()
    return this.#status.statistics()
  }

  /** Ends the iteration; packets without a verdict are dropped or accepted as `onClose` says. Idempotent. */
  close(): void {
    this.#end()
    void this.#watch.return!()
  }

  [Symbol.asyncIterator](): this { return this }
  [Symbol.dispose](): void { this.close() }
  async [Symbol.asyncDispose](): Promise<void> { this.close() }

  [inspect.custom](): string { return `PacketQueue { number: ${this.number}${this.#closed ? ', closed' : ''} }` }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#early.length = 0
    this.#status.close()
    if (this.#onClose === 'accept' && this.#descriptor.fd >= 0) this.#letAllPass()
  }

  /** First what comes from now on passes by itself, then what waits: so none is dropped in between. */
  #letAllPass(): void {
    const w = this.#rest
    w.reset()
    message(w, NfqMessage.config, NLM_F_REQUEST, () => encodeNfqConfig(w, this.number, { maxLength: 0, mask: NfqFlag.failOpen, flags: NfqFlag.failOpen }))
    encodeVerdict(w, NfqMessage.verdictBatch, this.number, (this.#losses.lastId + BEYOND_ALL) >>> 0, NfVerdict.accept)
    this.#descriptor.send(w.finish(), 0)
  }

  #decodeChunk(chunk: Uint8Array, emit: (event: QueueEvent) => void): void {
    forEachRecord(chunk, (record) => {
      if (record.kind === 'error') throw NfkitError.fromErrno(record.errno, 'recvmsg', `packet queue ${this.number}`)
      // A socket with NETLINK_NO_ENOBUFS has no overruns of its own; packets that are missing are seen by their numbers.
      if (record.kind === 'overrun') return
      for (let at = record.start; at < record.end;) {
        const msg = messageAt(record.input, at, record.end)
        this.#decode(record.input, msg, emit)
        at = nextMessage(msg)
      }
    })
    for (const loss of this.#losses.look()) this.#report(loss, emit)
  }

  #decode(input: Input, msg: NetlinkMessage, emit: (event: QueueEvent) => void): void {
    if (msg.type === NfqMessage.packet) {
      const fields = decodeQueuedPacket(input, msg)
      const { loss, step } = this.#losses.passed(fields.id)
      this.#serial += step
      this.#report(loss, emit)
      emit(new QueuedPacket(this.#sink, fields, this.#serial, this.#losses.takeBefore()))
    } else if (msg.type === NLMSG_ERROR) {
      const { errno } = decodeAck(input, msg)
      const { type, sequence } = refusedRequest(input, msg)
      // A batch that found nothing to answer is no loss: all of it was answered before.
      if (errno !== 0 && type === NfqMessage.verdict) this.#report(this.#losses.gone(sequence), emit)
    }
  }

  #report(loss: QueueLoss | undefined, emit: (event: QueueEvent) => void): void {
    if (loss !== undefined && this.#withLosses) emit(loss)
  }

  #answer(id: number, verdict: number, { mark, payload }: VerdictOptions): void {
    if (mark === undefined && payload === undefined) {
      patchVerdict(this.#verdict.view, id, verdict)
      this.#send(this.#plain)
      return
    }
    const w = this.#rest
    w.reset()
    encodeVerdict(w, NfqMessage.verdict, this.number, id, verdict, { mark, payload })
    this.#send(w.finish())
  }

  #answerUpTo(packet: QueuedPacket, verdict: number, mark: number | undefined): void {
    if (!(packet instanceof QueuedPacket) || !packet.isOf(this.#sink)) throw invalidArgument('packet', 'a packet of this queue', packet)
    if (mark !== undefined) checkInteger(mark, 0, 0xffffffff, 'mark')
    if (this.#closed || packet.verdict !== null) this.#refuse(packet)
    const w = this.#rest
    w.reset()
    encodeVerdict(w, NfqMessage.verdictBatch, this.number, packet.id, verdict, { mark })
    this.#send(w.finish())
    this.#answeredUpTo = packet.serial
  }

  #send(bytes: Uint8Array): void {
    const sent = this.#descriptor.send(bytes, 0)
    if (sent < 0) check(sent, 'sendmsg', `a verdict for packet queue ${this.number}`)
  }

  #refuse(packet: QueuedPacket): never {
    const { verdict } = packet
    if (verdict !== null) {
      throw new NfkitError('NFKIT_VERDICT_GIVEN', `packet ${packet.id} of queue ${this.number} has had its verdict: ${verdict}`, { hint: 'the kernel takes one for each packet' })
    }
    throw this.#closedError()
  }

  #closedError(): NfkitError {
    return new NfkitError('NFKIT_CLOSED', `packet queue ${this.number} is closed`, { hint: `its packets were ${this.#onClose === 'accept' ? 'accepted' : 'dropped'} when it was` })
  }
}

function checkOptions(options: PacketQueueOptions): void {
  const { copyRange, maxLength, onClose, receiveBuffer } = options
  if (copyRange !== undefined) checkInteger(copyRange, 0, NFQ_MOST_BYTES, 'copyRange', 'bytes')
  if (maxLength !== undefined) checkInteger(maxLength, 1, MOST_WAITING, 'maxLength', 'packets')
  if (receiveBuffer !== undefined) checkReceiveBuffer(receiveBuffer)
  if (onClose !== undefined && onClose !== 'drop' && onClose !== 'accept') throw invalidArgument('onClose', 'drop or accept', onClose)
  for (const name of ['failOpen', 'conntrack', 'gso', 'uidGid', 'securityContext'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'boolean') throw invalidArgument(name, 'true or false', options[name])
  }
}

function configOf(options: PacketQueueOptions, copyRange: number, maxLength: number): Partial<NfqConfig> {
  let flags = 0
  for (const name of ['failOpen', 'conntrack', 'gso', 'uidGid', 'securityContext'] as const) if (options[name] === true) flags |= NfqFlag[name]
  return {
    command: NfqCommand.bind,
    parameters: { copyMode: copyRange === 0 ? NfqCopyMode.meta : NfqCopyMode.packet, copyRange },
    maxLength,
    // An older kernel refuses a flag that it does not know; without flags it is not asked.
    ...(flags === 0 ? {} : { mask: flags, flags }),
  }
}
