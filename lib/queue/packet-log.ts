// SPDX-License-Identifier: MIT
// The consumer of `-j NFLOG`: copies of packets, which go their way meanwhile (nfnetlink_log).

import { inspect } from 'node:util'
import { invalidArgument, NfkitError } from '../errors.js'
import { checkSignal, forEachRecord, type Watch, watchDescriptor } from '../events.js'
import type { RawDescriptor } from '../native.js'
import type { NetnsLike } from '../netns.js'
import type { Input } from '../wire/bytes.js'
import { checkInteger } from '../wire/check.js'
import { decodePacketConntrack, type PacketConntrack } from '../wire/conntrack.js'
import { messageAt, type NetlinkMessage, nextMessage } from '../wire/netlink.js'
import { hookOf, netfilterFamilies, type NetfilterFamily, type PacketVlan, vlanOf } from '../wire/nfnetlink.js'
import {
  decodeLogged, encodeNflogConfig, NFLOG_MOST_BYTES, NflogCommand, nflogConfigShape, NflogCopyMode, NflogFlag, NflogMessage, parseLogGroups,
} from '../wire/nflog.js'
import type { HookName } from '../wire/xtables/table.js'
import { checkReceiveBuffer, interfaceName, openNetfilterSocket, type PacketInterface, takenBy, WATCH_LIMIT } from './netfilter-socket.js'
import { ProcFile } from './proc-file.js'

export interface PacketLogOptions {
  /** The network namespace whose packets these are; this process's own unless told. */
  netns?: NetnsLike | undefined
  /**
   * How much of each packet comes here: 0 to 65531 bytes from the network header on, everything up to 65531 unless told; with 0 none of its
   * bytes. `--nflog-size` of a rule can make it less.
   */
  copyRange?: number | undefined
  /** So many packets are gathered before they are sent here, 1 to 4294967295; 100 unless told. `--nflog-threshold` of a rule can make it less. */
  threshold?: number | undefined
  /** Milliseconds until gathered packets are sent in any case, 10 to 60000 in steps of 10; 100 unless told. */
  timeout?: number | undefined
  /** Bytes in which the kernel gathers packets, 8192 to 131072; 65536 unless told. Larger packets come alone. */
  bufferSize?: number | undefined
  /** Packets also come with the number that all groups of the namespace count together; false unless told. */
  globalSequence?: boolean | undefined
  /** Packets come with their connection (Linux 4.4, CONFIG_NETFILTER_NETLINK_GLUE_CT); false unless told. */
  conntrack?: boolean | undefined
  /**
   * Bytes of the socket's receive buffer, 4096 to 1073741824; 8 MiB unless told. Beyond net.core.rmem_max only with CAP_NET_ADMIN in the
   * initial user namespace. What finds no room is lost, and reported.
   */
  receiveBuffer?: number | undefined
  /** Closes the log; a pending `next()` rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** A copy of a packet. */
export interface LoggedPacket {
  type: 'packet'
  /** What `--nflog-prefix` says; empty without it. */
  prefix: string
  family: NetfilterFamily | number
  /** Where the packet was, by the built-in chain of that hook. */
  hook: HookName | number
  /** EtherType: 0x0800 for IPv4, 0x86dd for IPv6. */
  protocol: number
  /** From the network header on, as far as `copyRange` reaches. The kernel does not tell how long the packet was. */
  payload: Uint8Array
  mark: number
  /** Where it came in; null for packets of this machine. With br_netfilter the bridge. */
  in: PacketInterface | null
  /** Where it will go out; null where that is not decided yet and for packets to this machine. With br_netfilter the bridge. */
  out: PacketInterface | null
  /** The port of the bridge that a bridged packet came in by. */
  physicalIn: PacketInterface | null
  /** The port of the bridge that a bridged packet will go out by. */
  physicalOut: PacketInterface | null
  /** The link-layer address that it came from. */
  hardwareAddress: string | null
  /** ARPHRD_* of the interface that it came in by: 1 for Ethernet. */
  hardwareType: number | null
  /** The link-layer header that it came with. */
  hardwareHeader: Uint8Array | null
  /** Milliseconds since 1970, with a fraction: when it was received. Null at OUTPUT and POSTROUTING. */
  timestamp: number | null
  /** Of the socket that sent it, as this program's user namespace has it; null for packets of other machines. */
  uid: number | null
  gid: number | null
  /** In the group, from 0 on. */
  sequence: number
  /** Over all groups of the namespace; only with `globalSequence`. */
  globalSequence: number | null
  /** Its connection; null unless `conntrack` was asked for and the packet has one. */
  conntrack: PacketConntrack | null
  /** Only at the bridge's own hooks: the VLAN tag that was taken off the frame. */
  vlan: PacketVlan | null
}

/** An item of a {@link PacketLog}: a packet, or word of those that found no room, exactly where they are missing. */
export type LogEvent = LoggedPacket | {
  type: 'loss'
  count: number
}

const FILE = 'netfilter/nfnetlink_log'
const HINTS = {
  EPERM: 'binding a log group needs CAP_NET_ADMIN in the user namespace of the network namespace (run as root, or under "nfkit lab --"), and a number that no other socket has',
  EBUSY: 'take another number, or end the program that has it',
  EOPNOTSUPP: 'this kernel lacks what an option asks for: conntrack needs CONFIG_NETFILTER_NETLINK_GLUE_CT',
  EINVAL: 'this kernel lacks packet logs: CONFIG_NETFILTER_NETLINK_LOG, module nfnetlink_log',
}

/**
 * The packets that rules copy to a group, each an item of an asynchronous iteration:
 *
 *     // iptables -A INPUT -p tcp --syn -j NFLOG --nflog-group 7 --nflog-prefix "syn: "
 *     for await (const item of PacketLog.open(7)) if (item.type === 'packet') console.log(item.prefix, item.in?.name)
 *
 * The kernel numbers the packets, so that a loss is an item of its own. Leaving the loop closes the log. A pending `next()` keeps the
 * process alive; an open log alone does not.
 */
export class PacketLog implements AsyncIterableIterator<LogEvent>, AsyncDisposable, Disposable {
  readonly group: number
  readonly #descriptor: RawDescriptor
  readonly #watch: Watch<LogEvent>
  readonly #early: LogEvent[] = []
  #expected = 0

  private constructor(group: number, { descriptor, early }: ReturnType<typeof openNetfilterSocket>, signal: AbortSignal | undefined) {
    this.group = group
    this.#descriptor = descriptor
    for (const { input, msg } of early) this.#decode(input, msg, (event) => { this.#early.push(event) })
    this.#watch = watchDescriptor<LogEvent>(descriptor, 'pause', WATCH_LIMIT, (chunk, emit) => this.#decodeChunk(chunk, emit), { signal })
  }

  /**
   * Takes a group over: from now on packets come.
   * @param group 0 to 65535, the one of the rule: `-j NFLOG --nflog-group GROUP`
   * @throws TypeError, RangeError for a wrong argument; NfkitError EBUSY when another socket has the group, EPERM without CAP_NET_ADMIN,
   * EOPNOTSUPP for an option that the kernel does not know, EINVAL when it has no nfnetlink_log
   */
  static open(group: number, options: PacketLogOptions = {}): PacketLog {
    checkInteger(group, 0, 0xffff, 'group')
    const {
      netns, copyRange = NFLOG_MOST_BYTES, threshold = 100, timeout = 100, bufferSize = 65536, receiveBuffer = 8 << 20, globalSequence = false,
      conntrack = false, signal,
    } = options
    checkInteger(copyRange, 0, NFLOG_MOST_BYTES, 'copyRange', 'bytes')
    checkInteger(threshold, 1, 0xffffffff, 'threshold', 'packets')
    checkInteger(timeout, 10, 60_000, 'timeout', 'milliseconds')
    if (timeout % 10 !== 0) throw invalidArgument('timeout', 'milliseconds in steps of 10', timeout)
    checkInteger(bufferSize, 8192, 131072, 'bufferSize', 'bytes')
    checkReceiveBuffer(receiveBuffer)
    for (const [name, value] of Object.entries({ globalSequence, conntrack })) {
      if (typeof value !== 'boolean') throw invalidArgument(name, 'true or false', value)
    }
    checkSignal(signal)
    const flags = NflogFlag.sequence | (globalSequence ? NflogFlag.globalSequence : 0) | (conntrack ? NflogFlag.conntrack : 0)
    const mode = { copyMode: copyRange === 0 ? NflogCopyMode.meta : NflogCopyMode.packet, copyRange }
    const doing = `opening packet log group ${group}`
    try {
      const socket = openNetfilterSocket(netns, receiveBuffer, {
        type: NflogMessage.config, name: 'NFULNL_MSG_CONFIG', doing, shape: nflogConfigShape, hints: HINTS,
        write: (w) => encodeNflogConfig(w, group, { command: NflogCommand.bind, mode, threshold, timeout: timeout / 10, bufferSize, flags }),
      })
      return new PacketLog(group, socket, signal)
    } catch (error) {
      throw takenBy(error, doing, ownerOf(group, netns))
    }
  }

  /** Whether it takes packets no more. */
  get closed(): boolean { return this.#descriptor.fd < 0 }

  /** The next packet or loss; see the class. */
  next(): Promise<IteratorResult<LogEvent, undefined>> {
    const early = this.#early.shift()
    return early === undefined ? this.#watch.next() as Promise<IteratorResult<LogEvent, undefined>> : Promise.resolve({ done: false, value: early })
  }

  /** Closes the log: what a loop does that is left. */
  async return(): Promise<IteratorResult<LogEvent, undefined>> {
    this.close()
    return { done: true, value: undefined }
  }

  /** Ends the iteration. Idempotent. */
  close(): void {
    this.#early.length = 0
    void this.#watch.return!()
  }

  [Symbol.asyncIterator](): this { return this }
  [Symbol.dispose](): void { this.close() }
  async [Symbol.asyncDispose](): Promise<void> { this.close() }

  [inspect.custom](): string { return `PacketLog { group: ${this.group}${this.closed ? ', closed' : ''} }` }

  #decodeChunk(chunk: Uint8Array, emit: (event: LogEvent) => void): void {
    forEachRecord(chunk, (record) => {
      if (record.kind === 'error') throw NfkitError.fromErrno(record.errno, 'recvmsg', `packet log group ${this.group}`)
      if (record.kind === 'overrun') return  // the sequence numbers tell more
      for (let at = record.start; at < record.end;) {
        const msg = messageAt(record.input, at, record.end)
        this.#decode(record.input, msg, emit)
        at = nextMessage(msg)
      }
    })
  }

  /** Several packets in a datagram are closed by an NLMSG_DONE, which is passed over here. */
  #decode(input: Input, msg: NetlinkMessage, emit: (event: LogEvent) => void): void {
    if (msg.type !== NflogMessage.packet) return
    const packet = this.#packet(input, msg)
    const lost = (packet.sequence - this.#expected) >>> 0
    this.#expected = (packet.sequence + 1) >>> 0
    if (lost > 0) emit({ type: 'loss', count: lost })
    emit(packet)
  }

  #packet(input: Input, msg: NetlinkMessage): LoggedPacket {
    const { family, attributes: a } = decodeLogged(input, msg)
    const { protocol, hook } = a.header!
    return {
      type: 'packet',
      prefix: a.prefix ?? '',
      family: netfilterFamilies.of(family),
      hook: hookOf(family, hook),
      protocol,
      payload: a.payload ?? new Uint8Array(0),
      mark: a.mark ?? 0,
      in: this.#interface(a.in),
      out: this.#interface(a.out),
      physicalIn: this.#interface(a.physicalIn),
      physicalOut: this.#interface(a.physicalOut),
      hardwareAddress: a.hardwareAddress ?? null,
      hardwareType: a.hardwareType ?? null,
      hardwareHeader: a.hardwareHeader ?? null,
      timestamp: a.timestamp ?? null,
      uid: a.uid ?? null,
      gid: a.gid ?? null,
      sequence: a.sequence ?? this.#expected,
      globalSequence: a.globalSequence ?? null,
      conntrack: decodePacketConntrack(a.conntrack ?? null, a.conntrackInfo ?? null) ?? null,
      vlan: vlanOf(a.vlan) ?? null,
    }
  }

  #interface(index: number | undefined): PacketInterface | null {
    return index === undefined ? null : { index, name: interfaceName(this.#descriptor, index) }
  }
}

/** Netlink port of the socket that has a group. */
function ownerOf(group: number, netns: NetnsLike | undefined): number | undefined {
  try {
    const file = ProcFile.open(FILE, netns)
    try {
      return parseLogGroups(file.read()).find((line) => line.group === group)?.port
    } finally {
      file.close()
    }
  } catch {
    return undefined  // who may not read it is told of the privilege instead
  }
}
