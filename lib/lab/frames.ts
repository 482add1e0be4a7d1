// SPDX-License-Identifier: MIT
// Ethernet frames sent and captured on an interface, over packet sockets (packet(7)).

import { Errno } from '../errno.js'
import { type EventRecord, forEachRecord, queueLimit, type Watch, watchDescriptor, type WatchOptions } from '../events.js'
import { invalidArgument, NfkitError } from '../errors.js'
import { addon, check, checkDescriptor, type RawDescriptor } from '../native.js'
import * as Link from '../net/link.js'
import type { Netns } from '../netns.js'
import { checkInterfaceName } from '../wire/attributes.js'
import { inputOf, LITTLE_ENDIAN } from '../wire/bytes.js'
import { checkInteger } from '../wire/check.js'
import { controlMessages, decodePacketAuxiliary, decodeTimestamp, splitAddress } from '../wire/cmsg.js'
import { encodeEthernet, ETHERNET_HEADER, type EthernetFrame } from '../wire/ethernet.js'
import { decodePacket, type Packet } from '../wire/packet.js'
import { AF_PACKET, decodeLinkLayerAddress, encodeLinkLayerAddress, type PacketType } from '../wire/sockaddr.js'
import { checkMilliseconds, Deadline } from './deadline.js'
import { setInteger, SO_TIMESTAMPNS_NEW, SOCK_RAW, SOL_SOCKET } from './socket.js'

const SOCK_NONBLOCK = 0x800
const ETH_P_ALL = 3
const SO_RCVBUFFORCE = 33
const SO_RCVBUF = 8
const SOL_PACKET = 263
const PACKET_ADD_MEMBERSHIP = 1
const PACKET_STATISTICS = 6
const PACKET_AUXDATA = 8
const PACKET_MR_PROMISC = 1
const SOCKADDR_LL_SIZE = 20
/** Of struct tpacket_stats. */
const DROPS = 4
/** Of the kernel's own queue. */
const MOST_RECEIVE_BUFFER = 4 << 20
/** The largest MTU, the header and two VLAN tags. */
const MOST_BYTES = 65535 + 14 + 8

/** A frame as the interface saw it. */
export interface CapturedFrame {
  type: 'frame'
  /** `out`: sent by the host through the interface; `in`: received by it. */
  direction: 'in' | 'out'
  /** Whom it is for, as the kernel sees it. */
  packetType: PacketType
  /** Milliseconds since 1970, with a fraction: when the kernel met the frame (Linux 5.1; else when this program did). */
  time: number
  /**
   * The frame from the destination address on, without frame check sequence. A VLAN tag that the kernel took off is put back.
   * Checksums of what a host of the lab sends may be unfinished, since a veth leaves them to the receiver; and segments may
   * be longer than the MTU.
   */
  data: Uint8Array
  /** The layers of the frame; absent when it is no Ethernet frame. */
  packet?: Packet
}

/** An item of {@link Host.capture}: a frame, or word of the frames that found no room. */
export type CaptureEvent = CapturedFrame | {
  type: 'overrun'
  /** How many frames were lost since the last such item. They are missing somewhere near this place. */
  lost: number
}

export interface CaptureOptions extends WatchOptions {
  /** Only frames of this EtherType (behind VLAN tags), 0 to 65535; all unless told. */
  etherType?: number | undefined
  /** Only frames that the host receives, or only those it sends; both unless told. */
  direction?: 'in' | 'out' | undefined
  /** Also receive frames that are for other MAC addresses; false unless told. Does not change the interface's own flag. */
  promiscuous?: boolean | undefined
  /** Only frames for which this answers true. What it throws ends the capture. */
  filter?: ((frame: CapturedFrame) => boolean) | undefined
}

/**
 * Captures the frames of an interface from now on. While the interface is down there are none; when it is gone, the iteration ends
 * with NfkitError ENODEV. Ending the capture takes some 17 ms, in which the kernel waits for its readers.
 * @throws TypeError, RangeError for a wrong argument; NfkitError ENODEV, EPERM without CAP_NET_RAW
 */
export function capture(netns: Netns, device: string, options: CaptureOptions = {}, onClose: () => void = () => {}): Watch<CaptureEvent> {
  checkInterfaceName(device, 'interface')
  const { etherType, direction, promiscuous = false, filter, signal, maxQueue } = options
  if (etherType !== undefined) checkInteger(etherType, 0, 0xffff, 'etherType')
  if (direction !== undefined && direction !== 'in' && direction !== 'out') throw invalidArgument('direction', 'in or out', direction)
  if (typeof promiscuous !== 'boolean') throw invalidArgument('promiscuous', 'true or false', promiscuous)
  if (filter !== undefined && typeof filter !== 'function') throw invalidArgument('filter', 'a function', filter)
  const limit = queueLimit(maxQueue)
  const doing = `capturing on ${device}`
  const { index } = Link.get(device, { netns })
  const socket = openPacketSocket(netns, doing)
  try {
    setInteger(socket, SOL_PACKET, PACKET_AUXDATA, 1, doing)
    socket.setOption(SOL_SOCKET, SO_TIMESTAMPNS_NEW, new Uint8Array(new Int32Array([1]).buffer))
    const size = new Uint8Array(new Int32Array([Math.min(limit, MOST_RECEIVE_BUFFER)]).buffer)
    if (socket.setOption(SOL_SOCKET, SO_RCVBUFFORCE, size) < 0) check(socket.setOption(SOL_SOCKET, SO_RCVBUF, size), 'setsockopt', doing)
    if (promiscuous) check(socket.setOption(SOL_PACKET, PACKET_ADD_MEMBERSHIP, packetMembership(index)), 'setsockopt', doing)
    // All protocols, since outgoing frames and those of bridge ports are shown to no others (net/core/dev.c).
    check(socket.bind(encodeLinkLayerAddress(index, ETH_P_ALL)), 'bind', doing)
  } catch (error) {
    socket.close()
    throw error
  }
  return watchDescriptor<CaptureEvent>(socket, 'pause', limit, (chunk, emit) => {
    forEachRecord(chunk, (record) => {
      if (record.kind === 'error') return checkStillThere(netns, index, record.errno, doing)
      if (record.kind === 'overrun') return
      const frame = frameOf(record)
      if (direction !== undefined && frame.direction !== direction) return
      if (etherType !== undefined && frame.packet?.ethernet.etherType !== etherType) return
      if (filter === undefined || filter(frame)) emit(frame)
    })
    const lost = takeDrops(socket)
    if (lost > 0) emit({ type: 'overrun', lost })
  }, { signal, onClose })
}

/** ENETDOWN only says that there are no frames until the interface is up again, unless it is gone for good (packet_notifier). */
function checkStillThere(netns: Netns, index: number, errno: number, doing: string): void {
  if (errno !== Errno.ENETDOWN) throw NfkitError.fromErrno(errno, 'recvmsg', doing)
  Link.get(index, { netns })
}

function openPacketSocket(netns: Netns, doing: string): RawDescriptor {
  if (netns.fd < 0) throw new NfkitError('NFKIT_CLOSED', `${doing}: the network namespace handle is closed`)
  // Protocol 0: nothing is received before the socket is bound.
  return checkDescriptor(addon.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0, netns.fd), 'socket', doing)
}

/** struct packet_mreq */
function packetMembership(index: number): Uint8Array {
  const bytes = new Uint8Array(16)
  const { view } = inputOf(bytes)
  view.setInt32(0, index, LITTLE_ENDIAN)
  view.setUint16(4, PACKET_MR_PROMISC, LITTLE_ENDIAN)
  return bytes
}

/** Frames that the kernel dropped since the last call for want of room. */
function takeDrops(socket: RawDescriptor): number {
  const statistics = new Uint8Array(8)
  return socket.getOption(SOL_PACKET, PACKET_STATISTICS, statistics) < 0 ? 0 : inputOf(statistics).view.getUint32(DROPS, LITTLE_ENDIAN)
}

function frameOf(record: EventRecord & { kind: 'data' }): CapturedFrame {
  const { address, control } = splitAddress(record.address, SOCKADDR_LL_SIZE)
  const { packetType } = decodeLinkLayerAddress(address)
  let data: Uint8Array = record.input.bytes.slice(record.start, record.end)
  let time = Date.now()
  for (const { level, type, data: value } of controlMessages(control)) {
    if (level === SOL_SOCKET && type === SO_TIMESTAMPNS_NEW) time = decodeTimestamp(value)
    else if (level === SOL_PACKET && type === PACKET_AUXDATA) {
      const { vlan } = decodePacketAuxiliary(value)
      if (vlan !== undefined) data = withTag(data, vlan)
    }
  }
  const frame: CapturedFrame = { type: 'frame', direction: packetType === 'outgoing' ? 'out' : 'in', packetType, time, data }
  if (data.length >= ETHERNET_HEADER) {
    try {
      frame.packet = decodePacket(data)
    } catch { /* cut within its VLAN tags */ }
  }
  return frame
}

function withTag(data: Uint8Array, { tci, protocol }: { tci: number; protocol: number }): Uint8Array {
  const tagged = new Uint8Array(data.length + 4)
  tagged.set(data.subarray(0, 12))
  tagged.set([protocol >> 8, protocol & 0xff, tci >> 8, tci & 0xff], 12)
  tagged.set(data.subarray(12), 16)
  return tagged
}

/** Sends frames from a namespace. It keeps its socket, since closing a packet socket takes the kernel some 17 ms. */
export class FrameSender {
  readonly #netns: Netns
  #socket: RawDescriptor | undefined

  constructor(netns: Netns) {
    this.#netns = netns
  }

  /**
   * Sends one frame as it is.
   * @param frame bytes from the destination address on, or the fields to make them of
   * @throws TypeError, RangeError for a wrong argument; NfkitError ENODEV, ENETDOWN when the interface is down, EMSGSIZE when
   * the frame is longer than the MTU allows
   */
  send(device: string, frame: Uint8Array | EthernetFrame): void {
    checkInterfaceName(device, 'interface')
    const bytes = frame instanceof Uint8Array ? frame : encodeEthernet(frame)
    checkInteger(bytes.length, ETHERNET_HEADER, MOST_BYTES, 'frame', 'bytes')
    const doing = `sending a frame of ${bytes.length} bytes on ${device}`
    const { index } = Link.get(device, { netns: this.#netns })
    this.#socket ??= openPacketSocket(this.#netns, doing)
    check(this.#socket.send(bytes, 0, encodeLinkLayerAddress(index, (bytes[12]! << 8) | bytes[13]!)), 'sendto', doing)
  }

  close(): void { this.#socket?.close() }
}

/** What to wait for; see {@link collect}. */
export interface CollectOptions {
  /** Ends after so many items. */
  count?: number | undefined
  /** Ends after so many milliseconds. */
  timeout?: number | undefined
  /** Ends with the signal's reason. */
  signal?: AbortSignal | undefined
}

/**
 * Takes items from a watch, a capture for example, until there are `count` of them or the time is up, and ends the watch:
 *
 *     const frames = box.capture('eth3', { etherType: EtherType.ipv4 })
 *     await h1.ping('192.168.0.5')
 *     const seen = await collect(frames, { timeout: 100 })
 *
 * @returns what came, fewer than `count` if the time was up first
 */
export async function collect<T>(watch: Watch<T>, { count, timeout, signal }: CollectOptions): Promise<T[]> {
  if (count !== undefined) checkInteger(count, 1, 2 ** 31 - 1, 'count')
  if (timeout !== undefined) checkMilliseconds(timeout, 'timeout')
  if (count === undefined && timeout === undefined && signal === undefined) {
    throw invalidArgument('options', 'a count, a timeout or a signal', undefined)
  }
  const items: T[] = []
  const deadline = new Deadline(timeout, signal)
  const ended = new Promise<undefined>((resolve) => {
    if (deadline.signal.aborted) resolve(undefined)
    else deadline.signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  let last = false
  try {
    for (let pending = watch.next(); ; pending = watch.next()) {
      let next = await Promise.race([pending, last ? undefined : ended])
      if (next === undefined && !last) {
        if (!deadline.expired) throw signal!.reason
        // After a blocked event loop the timer comes first, although items have been here for long.
        await new Promise((resolve) => setImmediate(resolve))
        last = true
        next = await Promise.race([pending, undefined])
      }
      if (next === undefined || next.done === true) break
      items.push(next.value)
      if (items.length === count) break
    }
    return items
  } finally {
    deadline.clear()
    await watch.return!()
  }
}
