// SPDX-License-Identifier: MIT
// What /proc/net/netfilter/nfnetlink_queue says about one queue.

import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import type { NetnsLike } from '../netns.js'
import { parseQueueCounters, type QueueCounters } from '../wire/nfqueue.js'
import { ProcFile } from './proc-file.js'

const FILE = 'netfilter/nfnetlink_queue'

/** The kernel's counters of a queue since it was opened. */
export interface QueueStatistics {
  /** Packets that wait for a verdict. */
  waiting: number
  /** Packets dropped since the queue held `maxLength` already (`queue_dropped`). */
  dropped: number
  /** Packets dropped since the socket's receive buffer was full (`queue_user_dropped`). */
  userDropped: number
  /** Id of the last packet: how many there were, those that found the queue full not counted. */
  lastId: number
}

export class QueueStatus {
  readonly #queue: number
  #file: ProcFile | undefined
  #failure: unknown

  /** Netlink port of the socket that has a queue, where that can be found out. */
  static ownerOf(queue: number, netns: NetnsLike | undefined): number | undefined {
    const status = new QueueStatus(queue, netns)
    try {
      return status.read()?.port
    } finally {
      status.close()
    }
  }

  /** To be made once the queue is there: its module, and with it the file, may not be loaded before. That it is unreadable is no reason to fail. */
  constructor(queue: number, netns: NetnsLike | undefined) {
    this.#queue = queue
    try {
      this.#file = ProcFile.open(FILE, netns)
    } catch (error) {
      this.#failure = error instanceof NfkitError && error.errno === Errno.EACCES
        ? NfkitError.fromErrno(Errno.EACCES, 'open', `/proc/net/${FILE}`, { cause: error, hint: 'the kernel shows it to root of the initial user namespace only' })
        : error
    }
  }

  /** Undefined when the file cannot be read or has no such queue. */
  read(): QueueCounters | undefined {
    try {
      return this.#find()
    } catch {
      return undefined
    }
  }

  /** @throws NfkitError EACCES, ENOENT */
  statistics(): QueueStatistics {
    const found = this.#find()
    if (found === undefined) throw new NfkitError('ENOENT', `packet queue ${this.#queue} is not in /proc/net/${FILE}`)
    const { waiting, dropped, userDropped, lastId } = found
    return { waiting, dropped, userDropped, lastId }
  }

  #find(): QueueCounters | undefined {
    if (this.#file === undefined) throw this.#failure
    return parseQueueCounters(this.#file.read()).find(({ queue }) => queue === this.#queue)
  }

  close(): void { this.#file?.close() }
}
