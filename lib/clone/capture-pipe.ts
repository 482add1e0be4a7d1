// SPDX-License-Identifier: MIT
// Writes a capture as a pcapng file.

import { WriteStream } from 'node:fs'
import { invalidArgument } from '../errors.js'
import { reuse } from '../events.js'
import { RecordPcapng } from '../wire/module/record-pcapng.js'
import type { DeviceNames } from './device-names.js'

/** What can be written to: a stream of Node.js (`fs.createWriteStream()`, `process.stdout`, a program's standard input). */
export interface CaptureStream {
  /** Takes bytes; `done` is called when more may come. */
  write(bytes: Uint8Array, done: (error?: Error | null) => void): boolean
  /** Listens for what goes wrong. */
  on(event: 'error', listener: (error: Error) => void): unknown
  /** No longer listens. */
  off(event: 'error', listener: (error: Error) => void): unknown
}

/** Where a capture is written: a stream, or a function that gets the bytes; the next ones come when its promise is fulfilled. */
export type CaptureSink = CaptureStream | ((bytes: Uint8Array) => void | Promise<void>)

/** Nanoseconds since 1970. */
export const nanoseconds = (): bigint => BigInt(Date.now()) * 1_000_000n

/** What a file tells of its capture. */
export interface CaptureFacts {
  /** When it began: {@link nanoseconds}. */
  readonly since: bigint
  /** Bytes of a packet that it keeps; 0: all. */
  readonly snaplen: number
  readonly names: DeviceNames
}

/** The capture that is written. */
export interface CaptureReads {
  /** What the next read gave, to be overwritten; undefined at the end. */
  next(): Promise<Uint8Array | undefined>
  /** Tells of packets that were written, and of losses. */
  wrote(packets: number, lost: number): void
  close(): void
}

export async function writeCapture(capture: CaptureReads, { since, snaplen, names }: CaptureFacts, sink: CaptureSink, most: number): Promise<void> {
  const { write, end } = writerOf(sink, capture)
  const file = new RecordPcapng({ application: 'nfkit', snaplen, nameOf: names.of })
  // Other streams may hand on what they have taken.
  const isWritten = sink instanceof WriteStream
  let written: Uint8Array | undefined
  // One write is under way while the next records are read and converted.
  let writing = Promise.resolve()
  try {
    writing = settling(write(file.begin()), capture)
    for (let records; (records = await capture.next()) !== undefined;) {
      const { packets, lost } = file
      const blocks = file.convert(records, most - packets)
      capture.wrote(file.packets - packets, file.lost - lost)
      await writing
      if (isWritten && written !== undefined) reuse(written)
      written = records
      writing = settling(write(blocks), capture)
      if (file.packets >= most) break
    }
    await writing
    writing = settling(write(file.end(since, nanoseconds())), capture)
    await writing
  } finally {
    capture.close()
    // A stream tells of a write that failed once more, as an event, after that.
    writing.then(end, () => {})
  }
}

/** A write whose failure ends the capture, so that who waits for packets learns of it at once. */
function settling(writing: void | Promise<void>, capture: CaptureReads): Promise<void> {
  const result = Promise.resolve(writing)
  result.catch(() => { capture.close() })
  return result
}

function writerOf(sink: unknown, capture: CaptureReads): { write: (bytes: Uint8Array) => void | Promise<void>; end: () => void } {
  if (typeof sink === 'function') return { write: sink as (bytes: Uint8Array) => void | Promise<void>, end: () => {} }
  const stream = sink as CaptureStream
  if (typeof stream?.write !== 'function' || typeof stream.on !== 'function') throw invalidArgument('sink', 'a writable stream or a function', sink)
  let failure: { error: Error } | undefined
  // An error is told to the one who writes; without a listener it would end the program.
  const failed = (error: Error) => {
    failure ??= { error }
    capture.close()
  }
  stream.on('error', failed)
  return {
    write: (bytes) => new Promise((resolve, reject) => {
      if (failure !== undefined) throw failure.error
      stream.write(bytes, (error) => { if (error == null) resolve(); else reject(error) })
    }),
    end: () => { stream.off('error', failed) },
  }
}
