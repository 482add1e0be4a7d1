// SPDX-License-Identifier: MIT
// A packet that waits in the kernel for its verdict.

import { inspect } from 'node:util'
import { invalidArgument, outOfRange } from '../errors.js'
import { checkBytes, checkInteger } from '../wire/check.js'
import { decodePacketConntrack, type PacketConntrack } from '../wire/conntrack.js'
import { hookOf, netfilterFamilies, type NetfilterFamily, type PacketVlan } from '../wire/nfnetlink.js'
import { NFQ_MOST_BYTES, NfVerdict, type PacketCondition, packetCondition, type QueuedPacketFields } from '../wire/nfqueue.js'
import { withChecksums } from '../wire/payload-checksums.js'
import type { HookName } from '../wire/xtables/table.js'
import type { PacketInterface } from './netfilter-socket.js'

/** What a verdict can change about the packet. */
export interface VerdictOptions {
  /** The packet's mark from now on, 0 to 4294967295; what later rules match with `-m mark`. */
  mark?: number | undefined
  /**
   * What the packet becomes, from its IP header on, 1 to 65531 bytes. The kernel takes it as it is: the lengths in its headers must fit.
   * It also ends the packet: of one that came cut, what is not given here is gone.
   */
  payload?: Uint8Array | undefined
  /**
   * Makes the checksums of a changed payload anew: of the IPv4 header and of TCP, UDP, ICMP and ICMPv6; false unless told. Those of
   * fragments are left as they are.
   */
  checksums?: boolean | undefined
}

/** What was said about a packet; `batch`: it was answered together with others by `acceptUpTo` or `dropUpTo`. */
export type PacketVerdict = 'accept' | 'drop' | 'repeat' | 'queue' | 'batch'

/** What a packet needs of its queue. */
export interface VerdictSink {
  interfaceOf(index: number): PacketInterface | null
  isAnswered(serial: number): boolean
  /** Whether a packet takes no verdict any more: it had one, or the queue is closed. */
  isShut(serial: number): boolean
  /** Sends a verdict. @throws NfkitError NFKIT_CLOSED */
  answer(id: number, verdict: number, options: VerdictOptions): void
  /** @throws NfkitError NFKIT_CLOSED, NFKIT_VERDICT_GIVEN */
  refuse(packet: QueuedPacket): never
}

/**
 * One packet. It stays in the kernel's queue until one of {@link accept}, {@link drop}, {@link repeat} and {@link toQueue} is called, once.
 * `payload` and the other bytes are views of a buffer of some 64 KiB that is shared with packets which came at the same time.
 */
export class QueuedPacket {
  readonly type = 'packet'
  readonly #queue: VerdictSink
  readonly #fields: QueuedPacketFields
  readonly #serial: number
  #verdict: PacketVerdict | null = null
  #mark: number | undefined
  #payload: Uint8Array | undefined
  /**
   * How many packets the kernel dropped for want of room between the packet before and this one (with `failOpen`: let pass). Those that
   * found the queue full lie somewhere near this place; those that found the receive buffer full were exactly here.
   */
  readonly lostBefore: number

  /** @internal */
  constructor(queue: VerdictSink, fields: QueuedPacketFields, serial: number, lostBefore: number) {
    this.#queue = queue
    this.#fields = fields
    this.#serial = serial
    this.lostBefore = lostBefore
  }

  /** Of the packet in its queue: they count up from 1 and begin again after 4294967295. */
  get id(): number { return this.#fields.id }
  get family(): NetfilterFamily | number { return netfilterFamilies.of(this.#fields.family) }
  /** Where the packet is, by the built-in chain of that hook. */
  get hook(): HookName | number { return hookOf(this.#fields.family, this.#fields.hook) }
  /** EtherType: 0x0800 for IPv4, 0x86dd for IPv6. */
  get protocol(): number { return this.#fields.protocol }
  /** The packet from its network header on, as far as `copyRange` reaches; empty with a `copyRange` of 0. */
  get payload(): Uint8Array { return this.#payload ?? this.#fields.payload ?? EMPTY }
  /** Bytes of the whole packet; null with a `copyRange` of 0, when the kernel does not tell. */
  get originalLength(): number | null { return this.#fields.originalLength ?? this.#fields.payload?.length ?? null }
  /** Whether `payload` is less than the packet. */
  get truncated(): boolean { return this.#fields.originalLength !== null || this.#fields.payload === null }
  /** The packet's mark, 0 when it has none; what {@link setMark} said, if it did. */
  get mark(): number { return this.#mark ?? this.#fields.mark }
  /** Where it came in; null for packets of this machine. With br_netfilter the bridge. */
  get in(): PacketInterface | null { return this.#queue.interfaceOf(this.#fields.in) }
  /** Where it will go out; null where that is not decided yet and for packets to this machine. With br_netfilter the bridge. */
  get out(): PacketInterface | null { return this.#queue.interfaceOf(this.#fields.out) }
  /** The port of the bridge that a bridged packet came in by. */
  get physicalIn(): PacketInterface | null { return this.#queue.interfaceOf(this.#fields.physicalIn) }
  /** The port of the bridge that a bridged packet will go out by. */
  get physicalOut(): PacketInterface | null { return this.#queue.interfaceOf(this.#fields.physicalOut) }
  /** The link-layer address that it came from; null for packets of this machine and of devices without addresses. */
  get hardwareAddress(): string | null { return this.#fields.hardwareAddress }
  /** Milliseconds since 1970, with a fraction: when it was received. Null unless the kernel takes the time of packets, which some socket must ask for. */
  get timestamp(): number | null { return this.#fields.timestamp }
  /** What the kernel knows about its checksums and segments. */
  get condition(): PacketCondition { return packetCondition(this.#fields.skbInfo) }
  /** User id of the socket that sent it, as the first user namespace has it; only with `uidGid`, and null for other machines' packets. */
  get uid(): number | null { return this.#fields.uid }
  /** Group id, as {@link uid}. */
  get gid(): number | null { return this.#fields.gid }
  /** Its connection; null unless `conntrack` was asked for and the packet has one. */
  get conntrack(): PacketConntrack | null { return decodePacketConntrack(this.#fields.conntrack, this.#fields.conntrackInfo) ?? null }
  /** The security context of its sender; only with `securityContext`. */
  get securityContext(): string | null {
    const bytes = this.#fields.securityContext
    return bytes === null ? null : new TextDecoder().decode(bytes).replace(/\0$/, '')
  }
  /** Only at the bridge's own hooks: the VLAN tag that was taken off the frame. */
  get vlan(): PacketVlan | null { return this.#fields.vlan }
  /** Only at the bridge's own hooks: the frame's header. */
  get linkHeader(): Uint8Array | null { return this.#fields.linkHeader }
  /** skb->priority (Linux 5.18); null when it is 0. */
  get priority(): number | null { return this.#fields.priority }

  /** The verdict that was given, null while the packet waits. */
  get verdict(): PacketVerdict | null { return this.#verdict ?? (this.#queue.isAnswered(this.#serial) ? 'batch' : null) }

  /** @internal */
  get serial(): number { return this.#serial }
  /** @internal */
  isOf(queue: VerdictSink): boolean { return this.#queue === queue }

  /** The mark that goes with the verdict. @throws TypeError, RangeError */
  setMark(mark: number): this {
    checkInteger(mark, 0, 0xffffffff, 'mark')
    this.#mark = mark
    return this
  }

  /** What the packet becomes with the verdict; see {@link VerdictOptions.payload}. @throws TypeError, RangeError */
  setPayload(payload: Uint8Array): this {
    checkPayload(payload)
    this.#payload = payload
    return this
  }

  /**
   * Lets the packet go on to the hooks behind that of the table whose rule queued it. The rules behind that rule in its own table do not
   * see it: for those, `repeat` with a mark.
   * @throws TypeError, RangeError for a wrong argument; NfkitError NFKIT_VERDICT_GIVEN when it had its verdict, NFKIT_CLOSED when its queue is closed
   */
  accept(options?: VerdictOptions): void { this.#answer('accept', NfVerdict.accept, options) }

  /** Drops the packet. @throws as {@link accept} */
  drop(): void { this.#answer('drop', NfVerdict.drop, NOTHING) }

  /**
   * Sends the packet through the same hook again, from its first rule on. Unless the mark keeps it from it (`-m mark`), the same rule
   * queues it once more.
   * @throws as {@link accept}
   */
  repeat(options?: VerdictOptions): void { this.#answer('repeat', NfVerdict.repeat, options) }

  /**
   * Hands the packet to another queue.
   * @param number 0 to 65535
   * @throws as {@link accept}
   */
  toQueue(number: number, options?: VerdictOptions): void {
    checkInteger(number, 0, 0xffff, 'number')
    this.#answer('queue', ((number << 16) | NfVerdict.queue) >>> 0, options)
  }

  #answer(name: PacketVerdict, verdict: number, options: VerdictOptions | undefined): void {
    let what = NOTHING
    if (options !== undefined || this.#mark !== undefined || this.#payload !== undefined) what = this.#options(options ?? NOTHING, name)
    if (this.#verdict !== null || this.#queue.isShut(this.#serial)) this.#queue.refuse(this)
    this.#queue.answer(this.#fields.id, verdict, what)
    this.#verdict = name
  }

  #options(options: VerdictOptions, name: PacketVerdict): VerdictOptions {
    if (name === 'drop') return NOTHING
    const { mark = this.#mark, payload = this.#payload, checksums = false } = options
    if (mark !== undefined) checkInteger(mark, 0, 0xffffffff, 'mark')
    if (payload !== undefined) checkPayload(payload)
    if (typeof checksums !== 'boolean') throw invalidArgument('checksums', 'true or false', checksums)
    return { mark, payload: payload !== undefined && checksums ? withChecksums(payload) : payload }
  }

  /** Everything but the payload's bytes. */
  toJSON(): Record<string, unknown> {
    const { type, id, family, hook, protocol, originalLength, truncated, mark, hardwareAddress, timestamp, uid, gid, vlan, verdict, lostBefore } = this
    return {
      type, id, family, hook, protocol, originalLength, truncated, mark, in: this.in, out: this.out, physicalIn: this.physicalIn,
      physicalOut: this.physicalOut, hardwareAddress, timestamp, uid, gid, vlan, verdict, lostBefore,
    }
  }

  [inspect.custom](): string {
    const way = [this.in?.name, this.out?.name].map((name) => name ?? '-').join(' to ')
    return `QueuedPacket { id: ${this.id}, hook: '${this.hook}', family: '${this.family}', ${way}, ${this.originalLength ?? '?'} bytes, verdict: ${this.verdict} }`
  }
}

const EMPTY = new Uint8Array(0)
const NOTHING: VerdictOptions = {}

function checkPayload(payload: unknown): asserts payload is Uint8Array {
  checkBytes(payload, 'payload')
  if (payload.length < 1 || payload.length > NFQ_MOST_BYTES) throw outOfRange('payload', `1 to ${NFQ_MOST_BYTES} bytes`, payload.length)
}
