// SPDX-License-Identifier: MIT
// Which packets of a queue are missing, and where: from gaps in their numbers and from the kernel's counters.

import type { QueueStatus } from './queue-status.js'

/** Word of packets that did not come here. */
export interface QueueLoss {
  type: 'loss'
  /**
   * `full`: the queue held `maxLength` packets already. `undelivered`: the receive buffer was full, or the kernel had no memory for the
   * message. `gone`: a packet that did come here was no longer there when its verdict came, for its interface went down or its
   * rule's table was removed; it was dropped.
   */
  reason: 'full' | 'undelivered' | 'gone'
  count: number
  /** What became of them: `failOpen` lets those pass that found no room. */
  fate: 'dropped' | 'passed'
  /** Of the packet that is gone. */
  id?: number
}

/** What the kernel charges a socket for a message at most, beside the packet's own bytes. */
const MESSAGE_COST = 2048

export class QueueLosses {
  readonly #status: Pick<QueueStatus, 'read'>
  readonly #maxLength: number
  readonly #failOpen: boolean
  /** So many messages fit into the receive buffer in any case. */
  readonly #buffered: number
  #lastId = 0
  /** Numbers that were skipped so far, and how many undelivered packets were reported. */
  #skipped = 0
  #undelivered = 0
  #full = 0
  #before = 0
  /** Packets since the counters were last looked at, and how many must have come before a look can show anything. */
  #since = 0
  #room: number

  constructor(status: Pick<QueueStatus, 'read'>, { maxLength, failOpen, copyRange, receiveBuffer }: { maxLength: number; failOpen: boolean; copyRange: number; receiveBuffer: number }) {
    this.#status = status
    this.#maxLength = maxLength
    this.#failOpen = failOpen
    this.#buffered = Math.max(1, Math.floor(receiveBuffer / (copyRange + MESSAGE_COST)))
    this.#room = Math.min(maxLength, this.#buffered)
  }

  /** Number of the last packet. */
  get lastId(): number { return this.#lastId }

  /** How many were lost since the last call. */
  takeBefore(): number {
    const count = this.#before
    this.#before = 0
    return count
  }

  /**
   * Notes a packet. The kernel numbers them before it tries to deliver them, so a gap is exactly the packets that it could not.
   * @returns how far its number is from that of the one before, and the loss in between
   */
  passed(id: number): { step: number; loss: QueueLoss | undefined } {
    const step = (id - this.#lastId) >>> 0
    this.#lastId = id
    this.#since += step
    if (step === 1) return ONE
    this.#skipped += step - 1
    return { step, loss: this.#note('undelivered', this.#skipped - this.#undelivered) }
  }

  /**
   * Looks at the kernel's counters once there can be something new: a queue that had `waiting` packets cannot have been full before it
   * was filled up, and the receive buffer not before as many came as fit into it.
   */
  look(): QueueLoss[] {
    if (this.#since < this.#room) return NONE
    const found = this.#status.read()
    this.#since = 0
    if (found === undefined) return NONE
    this.#room = Math.max(1, Math.min(this.#maxLength - found.waiting, this.#buffered))
    const ahead = (found.lastId - this.#lastId) >>> 0
    // The kernel's counters have 32 bits.
    const missing = (found.userDropped - this.#skipped) | 0
    const trailing = missing > 0 && missing === ahead
    // Packets with a number that are lost are reported where the gap is. A kernel that keeps packets in a hash table numbers also one that
    // this has no memory for, and counts it as found full: so any that was not received yet may be such a gap.
    const numbered = this.#skipped + ahead
    const full = (found.dropped + found.userDropped - numbered - this.#full) | 0
    if (!trailing && ahead > 0 && full + ahead > 0) this.#room = 1
    const losses = [
      this.#note('full', full),
      trailing ? this.#note('undelivered', this.#skipped + ahead - this.#undelivered) : undefined,
    ]
    return losses.filter((loss) => loss !== undefined)
  }

  /** A packet whose verdict the kernel could not apply any more. */
  gone(id: number): QueueLoss {
    return { type: 'loss', reason: 'gone', count: 1, fate: 'dropped', id }
  }

  #note(reason: 'full' | 'undelivered', count: number): QueueLoss | undefined {
    if (count <= 0) return undefined
    if (reason === 'full') this.#full += count
    else this.#undelivered += count
    this.#before += count
    return { type: 'loss', reason, count, fate: this.#failOpen && reason === 'undelivered' ? 'passed' : 'dropped' }
  }
}

const ONE: { step: number; loss: undefined } = { step: 1, loss: undefined }
const NONE: QueueLoss[] = []
