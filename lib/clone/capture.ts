// SPDX-License-Identifier: MIT
// Packets that rules and hooks select, read from the kernel module.

import { inspect } from 'node:util'
import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import { checkSignal, type Watch, watchReads } from '../events.js'
import { checkKeys } from '../net/check.js'
import type { NetnsLike } from '../netns.js'
import { inputOf } from '../wire/bytes.js'
import { checkInteger } from '../wire/check.js'
import { LIMIT } from '../wire/module/constants.js'
import type { CaptureCounters } from '../wire/module/device.js'
import { CaptureBatch } from './capture-batch.js'
import { type CaptureFacts, type CaptureSink, nanoseconds, writeCapture } from './capture-pipe.js'
import { type CaptureSource, checkSource, startSource } from './capture-source.js'
import { ModuleDevice } from './device.js'
import { DeviceNames } from './device-names.js'

/** What {@link Capture.open} takes. */
export interface CaptureOptions {
  /** What to capture: the name of a clone target with the sink capture, or packets at a hook point or chain. */
  from: CaptureSource
  /** Network namespace; that of this process unless told. */
  netns?: NetnsLike | undefined
  /** Bytes of each packet that are kept, 1 to 262144 from its first header on; all, up to 262144, unless told. */
  snaplen?: number | undefined
  /** Bytes that the kernel keeps for this program, 65536 to 67108864; 4 MiB unless told. What finds no room is lost, and reported. */
  buffer?: number | undefined
  /** Closes the capture; a pending `next()` rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** What a capture did. */
export interface CaptureStats extends CaptureCounters {
  /** Packets that this program was given, of those that were captured. */
  delivered: number
}

const DEFAULT_BUFFER = 4 << 20

const KEYS = ['from', 'netns', 'snaplen', 'buffer', 'signal'] as const satisfies readonly (keyof CaptureOptions)[]

/**
 * Packets in batches, each an item of an asynchronous iteration:
 *
 *     await using capture = Capture.open({ from: { chain: 'INPUT', match: { protocol: 'tcp' } }, snaplen: 256 })
 *     for await (const batch of capture) {
 *       if (batch.lost > 0) console.warn(`${batch.lost} packets lost`)
 *       for (const packet of batch) console.log(packet.timestamp, packet.in?.name, packet.wireLength)
 *     }
 *
 * Memory is bounded: who does not read loses packets, and is told how many and where. Nothing is left when the capture is closed or the
 * process is killed. Leaving the loop closes it. A pending `next()` keeps the process alive; an open capture alone does not.
 */
export class Capture implements AsyncIterableIterator<CaptureBatch>, AsyncDisposable, Disposable {
  /** The clone target that is captured; one of its own where `from` is a hook point or a chain. */
  readonly target: string
  readonly #facts: CaptureFacts
  readonly #device: ModuleDevice
  /** What reads give. */
  readonly #watch: Watch<Uint8Array>
  readonly #stopSource: () => void
  #last: CaptureCounters = { captured: 0, lost: 0, used: 0, buffer: 0 }
  /** Packets that were read, and losses that were read of. */
  #delivered = 0
  #told = 0
  /** The counters when it was stopped. */
  #end: CaptureCounters | undefined

  private constructor(device: ModuleDevice, { target, stop }: ReturnType<typeof startSource>, options: CaptureOptions) {
    const { netns, snaplen = 0, signal } = options
    this.target = target
    this.#facts = { since: nanoseconds(), snaplen, names: new DeviceNames(netns) }
    this.#device = device
    this.#stopSource = stop
    const failed = (errno: number) =>
      NfkitError.fromErrno(errno, 'read', `capturing the clone target ${target}`, errno === Errno.ENETDOWN ? { hint: 'its network namespace is gone' } : {})
    this.#watch = watchReads<Uint8Array>(device.descriptor, (bytes, emit) => { emit(bytes) }, failed, { signal, onClose: () => { this.#remember() } })
  }

  /**
   * Begins to capture.
   * @throws TypeError, RangeError for wrong options. NfkitError NFKIT_MODULE_NOT_LOADED when the module is not loaded, EPERM without
   * CAP_NET_ADMIN in the namespace, EACCES where /dev/nfkit is not for this user, ENOSPC when the namespace has 64 captures, buffers of 256 MiB,
   * or too many targets or hooks, ENOMEM, EOPNOTSUPP when the kernel does not have the hook point
   */
  static open(options: CaptureOptions): Capture {
    checkKeys(options, KEYS, 'options')
    const { from, netns, snaplen, buffer = DEFAULT_BUFFER, signal } = options
    const source = checkSource(from)
    if (snaplen !== undefined) checkInteger(snaplen, 1, LIMIT.maxSnaplen, 'snaplen', 'bytes')
    checkInteger(buffer, LIMIT.minBuffer, LIMIT.maxBuffer, 'buffer', 'bytes')
    checkSignal(signal)
    const device = ModuleDevice.open(netns)
    try {
      return new Capture(device, startSource(device, source, snaplen ?? 0, buffer), options)
    } catch (error) {
      device.close()
      throw error
    }
  }

  /** Whether it is over. */
  get closed(): boolean { return this.#device.descriptor.fd < 0 }

  /** What it did until now, or until it was closed. @throws NfkitError ENETDOWN when its namespace is gone */
  stats(): CaptureStats {
    if (!this.closed) this.#last = this.#device.captureCounters()
    return { ...this.#last, delivered: this.#delivered }
  }

  /**
   * Ends the capture without losing what was captured: the iteration ends with the batch that has the last packet that came before. Packets that
   * come later are not given; but of a clone target that others feed, that batch can have some. Idempotent.
   */
  stop(): void {
    if (this.closed || this.#end !== undefined) return
    try {
      this.#stopSource()
      this.#end = this.#device.captureCounters()
    } catch (error) {
      // Nothing more will come of a namespace that is gone.
      if (!(error instanceof NfkitError && error.code === 'ENETDOWN')) throw error
      this.close()
      return
    }
    this.#closeIfDone()
  }

  /**
   * Writes what is captured in the format pcapng, which Wireshark and tcpdump read, until the capture ends: by {@link stop}, by its signal (then
   * it rejects with the reason) or by {@link close}. Times have nanoseconds; interfaces are the devices that packets came by, or left
   * by; a VLAN tag that the hardware took off is put back; losses are told where they are and at the end.
   * @param sink a stream of Node.js, which stays open, or a function that gets the bytes and may answer a promise
   * @param options `count`: end after so many packets, 1 to 2^53 - 1
   * @returns what the capture did
   * @throws what the sink throws, or a stream tells as its error, after the capture was closed
   */
  async pipe(sink: CaptureSink, options: { count?: number | undefined } = {}): Promise<CaptureStats> {
    checkKeys(options, ['count'], 'options')
    const { count } = options
    if (count !== undefined) checkInteger(count, 1, Number.MAX_SAFE_INTEGER, 'count', 'packets')
    await writeCapture({
      next: () => this.#take((bytes) => bytes),
      wrote: (packets, lost) => { this.#count(packets, lost) },
      close: () => { this.close() },
    }, this.#facts, sink, count ?? Infinity)
    return this.stats()
  }

  /** The next batch; see the class. */
  async next(): Promise<IteratorResult<CaptureBatch, undefined>> {
    const value = await this.#take((bytes) => {
      const batch = new CaptureBatch(inputOf(bytes), 0, bytes.length, this.#facts.names)
      this.#count(batch.length, batch.lost)
      return batch
    })
    return value === undefined ? { done: true, value } : { done: false, value }
  }

  /** Closes the capture: what a loop does that is left. */
  async return(): Promise<IteratorResult<CaptureBatch, undefined>> {
    this.close()
    return { done: true, value: undefined }
  }

  /** Ends the iteration at once. Idempotent. */
  close(): void {
    void this.#watch.return!()
  }

  [Symbol.asyncIterator](): this { return this }
  [Symbol.dispose](): void { this.close() }
  async [Symbol.asyncDispose](): Promise<void> { this.close() }

  [inspect.custom](): string { return `Capture { target: '${this.target}'${this.closed ? ', closed' : ''} }` }

  /** What the next read gives, made into something; undefined at the end. */
  async #take<T>(make: (bytes: Uint8Array) => T): Promise<T | undefined> {
    const { done, value } = await this.#watch.next()
    if (done === true) return undefined
    try {
      return make(value)
    } catch (error) {
      this.close()
      throw error
    }
  }

  #count(packets: number, lost: number): void {
    this.#delivered += packets
    this.#told += lost
    this.#closeIfDone()
  }

  /** Once it was stopped: if everything has come that was captured before, and every loss been told. */
  #closeIfDone(): void {
    if (this.#end !== undefined && this.#delivered >= this.#end.captured && this.#told >= this.#end.lost) this.close()
  }

  /** Keeps the counters, since the descriptor is about to be closed. */
  #remember(): void {
    if (this.closed) return
    try {
      this.#last = this.#device.captureCounters()
    } catch { /* the namespace is gone: those from before count */ }
  }
}
