// SPDX-License-Identifier: MIT
// Waiting for descriptors: the JavaScript end of the addon's epoll thread.

import { Errno } from './errno.js'
import { invalidArgument, NfkitError } from './errors.js'
import { addon, check, Poll, type RawDescriptor, WatchMode } from './native.js'
import { type Input, inputOf, LITTLE_ENDIAN } from './wire/bytes.js'

const handlers = new Map<number, (events: number) => void>()
let nextId = 1
let waiting = 0
let installed = false

/** Registers a handler; its id goes to `RawDescriptor.watch`. */
function register(handler: (events: number) => void): number {
  const id = freshId()
  handlers.set(id, handler)
  return id
}

function freshId(): number {
  if (!installed) {
    installed = true
    addon.onEvent((id, events) => {
      try {
        handlers.get(id)?.(events)
      } catch (error) {
        // What throws out of a native callback is swallowed on some runtimes and fatal on others.
        process.nextTick(() => { throw error })
      }
    })
  }
  return nextId++
}

/** While somebody waits, the process stays alive. */
function hold(): void { if (waiting++ === 0) addon.setReferenced(true) }
function unhold(): void { if (--waiting === 0) addon.setReferenced(false) }

/** One record of a watched descriptor. */
export type EventRecord =
  | { readonly kind: 'data'; readonly input: Input; readonly start: number; readonly end: number; readonly address: Uint8Array; readonly trueLength: number }
  | { readonly kind: 'overrun' }
  | { readonly kind: 'error'; readonly errno: number }

const RECORD_HEADER = 16

/** Calls `visit` for each record of a chunk, as `src/event_loop.h` lays them out. */
export function forEachRecord(chunk: Uint8Array, visit: (record: EventRecord) => void): void {
  const input = inputOf(chunk)
  const { view } = input
  for (let at = 0; at < chunk.length;) {
    const size = view.getUint32(at, LITTLE_ENDIAN)
    const kind = view.getUint16(at + 4, LITTLE_ENDIAN)
    const addressLength = view.getUint16(at + 6, LITTLE_ENDIAN)
    const length = view.getUint32(at + 8, LITTLE_ENDIAN)
    const value = view.getUint32(at + 12, LITTLE_ENDIAN)
    if (kind === 0) {
      const start = at + RECORD_HEADER + ((addressLength + 7) & ~7)
      const address = chunk.subarray(at + RECORD_HEADER, at + RECORD_HEADER + addressLength)
      visit({ kind: 'data', input, start, end: start + length, address, trueLength: Math.max(value, length) })
    } else if (kind === 1) visit({ kind: 'overrun' })
    else visit({ kind: 'error', errno: value })
    at += size
  }
}

/** What every `watch()` takes. */
export interface WatchOptions {
  /** Ends the iteration with an AbortError. */
  signal?: AbortSignal | undefined
  /**
   * Bytes that may wait for the consumer before events are dropped and an overrun is reported; 64 KiB to 1 GiB,
   * 4 MiB unless told.
   */
  maxQueue?: number | undefined
}

const DEFAULT_QUEUE = 4 << 20

export function queueLimit(maxQueue: number | undefined): number {
  if (maxQueue === undefined) return DEFAULT_QUEUE
  if (!Number.isInteger(maxQueue) || maxQueue < 65536 || maxQueue > 2 ** 30) throw invalidArgument('maxQueue', 'bytes from 65536 to 1073741824', maxQueue)
  return maxQueue
}

/** An async iterator that owns something: ends by `break`, `return()`, its signal, or `await using`. */
export type Watch<T> = AsyncIterableIterator<T> & AsyncDisposable

/**
 * How a watch ends beside by the one who iterates: by its signal, or when `done`, asked before more is taken, answers true. `onClose` is called
 * once, before the descriptor is closed, however that comes.
 */
interface Ending { signal?: AbortSignal | undefined; onClose?: () => void; done?: () => boolean }

/** @throws TypeError for what is no signal, and the reason of one that is aborted */
export function checkSignal(value: unknown): asserts value is AbortSignal | undefined {
  if (value === undefined) return
  const signal = value as Partial<AbortSignal> | null
  if (typeof signal?.addEventListener !== 'function' || typeof signal.aborted !== 'boolean') throw invalidArgument('signal', 'an AbortSignal', value)
  if (signal.aborted) throw signal.reason
}

/**
 * Makes an async iterator of the chunks that a descriptor receives. It takes the descriptor over and closes it.
 * @param decode turns one chunk into items
 * @param mode drop reports an overrun when `limit` bytes wait; pause stops receiving
 */
export function watchDescriptor<T>(
  descriptor: RawDescriptor, mode: 'drop' | 'pause', limit: number, decode: (chunk: Uint8Array, emit: (item: T) => void) => void, ending: Ending = {},
): Watch<T> {
  return watchSource(descriptor, {
    begin: (id) => descriptor.watch(id, WatchMode[mode], limit),
    take(emit) {
      const chunk = descriptor.take()
      if (chunk === null) return false
      decode(chunk, emit)
      return true
    },
  }, ending)
}

/** Bytes that one read asks for. */
const READ_BYTES = 512 << 10
/** A read that gave more was worth it: the next one follows at once, so many times before it is others' turn. */
const READ_MUCH = READ_BYTES / 2
const READS_AT_ONCE = 4
let room: Uint8Array | undefined

/** Takes memory of {@link watchReads} back that nobody will look at again: the next read has it instead of new memory, whose pages the kernel has to clear. */
export function reuse(bytes: Uint8Array): void {
  if (bytes.buffer.byteLength === READ_BYTES) room = new Uint8Array(bytes.buffer as ArrayBuffer)
}

/** What a read gives, as bytes of its own, or what it answers instead. */
function readBytes(descriptor: RawDescriptor): Uint8Array | number {
  room ??= new Uint8Array(READ_BYTES)
  const length = descriptor.read(room, 0)
  if (length <= 0) return length
  // Little is copied, so that it keeps no more memory than it takes.
  if (length <= READ_MUCH) return room.slice(0, length)
  const bytes = room.subarray(0, length)
  room = undefined
  return bytes
}

/**
 * Makes an async iterator of what is read from a descriptor that is no socket and has O_NONBLOCK. It takes the descriptor over and closes it.
 *
 * The epoll thread only tells that there is something; it is read when somebody asks for it, straight into memory that stays. What comes by and by
 * is left to gather.
 * @param decode turns what one read gave, bytes that are its own, into items
 * @param failed the error of a read that answered this errno; 0: the end of a file
 */
export function watchReads<T>(
  descriptor: RawDescriptor, decode: (bytes: Uint8Array, emit: (item: T) => void) => void, failed: (errno: number) => Error, ending: Ending = {},
): Watch<T> {
  let reads = 0
  return watchSource(descriptor, {
    begin: (id) => descriptor.watch(id, WatchMode.readiness, 0),
    take(emit) {
      if (reads < READS_AT_ONCE) {
        const got = readBytes(descriptor)
        if (typeof got !== 'number') {
          reads = got.length > READ_MUCH ? reads + 1 : READS_AT_ONCE
          decode(got, emit)
          return true
        }
        if (got !== -Errno.EAGAIN) throw failed(-got)
      }
      reads = 0
      check(descriptor.arm(Poll.in), 'epoll_ctl')
      return false
    },
  }, ending)
}

/** Where the items of a watch come from. */
interface Source<T> {
  /** Begins to call the handler of this id when there is something; answers a negative errno if that fails. */
  begin(id: number): number
  /** Emits what is there, which may be nothing. False: nothing came, and the handler will be called when something does. */
  take(emit: (item: T) => void): boolean
}

function watchSource<T>(descriptor: RawDescriptor, source: Source<T>, { signal, onClose, done }: Ending): Watch<T> {
  /** Lets go of what the watch was given. */
  const release = (): void => {
    onClose?.()
    descriptor.close()
  }
  try {
    checkSignal(signal)
  } catch (error) {
    release()
    throw error
  }
  let items: T[] = []
  let at = 0
  let closed = false
  let failure: unknown
  const waiters: { resolve: (result: IteratorResult<T>) => void; reject: (error: unknown) => void }[] = []

  const id = register(() => serve())
  const emit = (item: T): void => { items.push(item) }

  /** The next item if there is one without waiting. */
  function pull(): IteratorResult<T> | undefined {
    for (;;) {
      if (at < items.length) return { done: false, value: items[at++]! }
      if (closed) return { done: true, value: undefined }
      items = []
      at = 0
      if (done?.() === true) { close(); continue }
      if (!source.take(emit)) return undefined
    }
  }

  function serve(): void {
    while (waiters.length > 0) {
      let result: IteratorResult<T> | undefined
      try {
        result = pull()
      } catch (error) {
        failure = error
        close()
      }
      if (failure !== undefined) { const error = failure; failure = undefined; settle()?.reject(error); continue }
      if (result === undefined) return
      settle()?.resolve(result)
    }
  }

  function settle() {
    const waiter = waiters.shift()
    if (waiter !== undefined) unhold()
    return waiter
  }

  function close(): void {
    if (closed) return
    closed = true
    handlers.delete(id)
    signal?.removeEventListener('abort', abort)
    release()
  }

  function abort(): void {
    items = []
    at = 0
    close()
    const waiter = settle()
    if (waiter === undefined) failure = signal!.reason
    else waiter.reject(signal!.reason)
    serve()
  }

  const result = source.begin(id)
  if (result < 0) {
    handlers.delete(id)
    release()
    check(result, 'epoll_ctl')
  }
  signal?.addEventListener('abort', abort, { once: true })

  return {
    next() {
      return new Promise((resolve, reject) => {
        waiters.push({ resolve, reject })
        hold()
        if (waiters.length === 1) serve()
      })
    },
    return() {
      items = []
      at = 0
      failure = undefined
      close()
      serve()
      return Promise.resolve({ done: true, value: undefined })
    },
    [Symbol.asyncIterator]() { return this },
    async [Symbol.asyncDispose]() { await this.return!() },
  }
}

/**
 * Lets the epoll thread receive while the caller works on what came before, and blocks where nothing is there yet.
 * `visit` answers true for the last record. Afterwards the descriptor is as it was.
 * @returns false when nothing came for `timeout` milliseconds
 */
export function receiveAside(descriptor: RawDescriptor, limit: number, timeout: number, visit: (record: EventRecord) => boolean): boolean {
  check(descriptor.watch(freshId(), WatchMode.pause, limit), 'epoll_ctl')
  try {
    for (let last = false; !last;) {
      const chunk = descriptor.take(timeout)
      if (chunk === null) return false
      forEachRecord(chunk, (record) => { last ||= visit(record) })
    }
    return true
  } finally {
    descriptor.unwatch()
  }
}

/** Waits until a descriptor in readiness mode can be read or written. */
export class Readiness {
  readonly #descriptor: RawDescriptor
  readonly #id: number
  #waiter: { resolve: (events: number) => void; reject: (error: unknown) => void } | undefined

  constructor(descriptor: RawDescriptor) {
    this.#descriptor = descriptor
    this.#id = register((events) => this.#settle()?.resolve(events))
    check(descriptor.watch(this.#id, WatchMode.readiness, 0), 'epoll_ctl')
  }

  /** Resolves with the Poll bits that became true; one wait at a time. */
  wait(events: number, signal?: AbortSignal): Promise<number> {
    if (this.#waiter !== undefined) return Promise.reject(new NfkitError('EBUSY', 'another wait is under way on this descriptor'))
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const abort = () => this.#settle()?.reject(signal!.reason)
      const end = () => signal?.removeEventListener('abort', abort)
      this.#waiter = { resolve: (got) => { end(); resolve(got) }, reject: (error) => { end(); reject(error) } }
      hold()
      signal?.addEventListener('abort', abort, { once: true })
      const result = this.#descriptor.arm(events)
      if (result < 0) this.#settle()?.reject(NfkitError.fromErrno(-result, 'epoll_ctl'))
    })
  }

  /** Ends the wait under way with an error. The descriptor stays its owner's. */
  close(): void {
    handlers.delete(this.#id)
    this.#settle()?.reject(new NfkitError('NFKIT_CLOSED', 'closed while waiting'))
  }

  #settle() {
    const waiter = this.#waiter
    if (waiter !== undefined) { this.#waiter = undefined; unhold() }
    return waiter
  }
}
