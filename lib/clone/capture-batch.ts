// SPDX-License-Identifier: MIT
// What one read of a capture gave.

import { inspect } from 'node:util'
import { type Input } from '../wire/bytes.js'
import { RECORD_TYPE, type PacketRecord, RecordCursor } from '../wire/module/record.js'
import { CaptureDevice, type DeviceNames } from './device-names.js'

/** A captured packet. */
export type CapturedPacket = PacketRecord<CaptureDevice>

/**
 * Packets in the order in which they were captured; they become objects when they are iterated over. The bytes of all of them are one
 * piece of memory, which stays as long as one of them is referred to.
 */
export class CaptureBatch implements Iterable<CapturedPacket> {
  /** How many packets it has; 0: it only tells of a loss. */
  readonly length: number
  /** Packets that were lost before those of the batch, between them, and behind the last one if it says so. */
  readonly lost: number
  readonly #input: Input
  readonly #start: number
  readonly #end: number
  readonly #names: DeviceNames

  /** @throws NfkitError EBADMSG for what are no records */
  constructor(input: Input, start: number, end: number, names: DeviceNames) {
    this.#input = input
    this.#start = start
    this.#end = end
    this.#names = names
    let length = 0
    let lost = 0
    for (const cursor = this.cursor(); cursor.next();) {
      if (cursor.type === RECORD_TYPE.packet) length++
      if (cursor.type === RECORD_TYPE.packet || cursor.type === RECORD_TYPE.packetsLost) lost += cursor.lost
    }
    this.length = length
    this.lost = lost
  }

  /** Bytes of its records. */
  get size(): number { return this.#end - this.#start }

  /** @internal The records as they are. */
  cursor(): RecordCursor { return new RecordCursor(this.#input, this.#start, this.#end) }

  * [Symbol.iterator](): Generator<CapturedPacket, void, undefined> {
    const deviceOf = (index: number) => new CaptureDevice(index, this.#names)
    for (const cursor = this.cursor(); cursor.next();) {
      if (cursor.type === RECORD_TYPE.packet) yield cursor.packet(deviceOf)
    }
  }

  [inspect.custom](): string { return `CaptureBatch { length: ${this.length}, lost: ${this.lost} }` }
}
