// SPDX-License-Identifier: MIT
// Waiting to read and to write at the same time: a descriptor can be watched only once.

import { Readiness } from '../events.js'
import { check, Poll, type RawDescriptor } from '../native.js'

interface Waiter {
  readonly bits: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Readiness of a socket for any number of waits. */
export class SocketReadiness {
  readonly #descriptor: RawDescriptor
  readonly #readiness: Readiness
  readonly #waiters = new Set<Waiter>()
  #running = false
  #idle = new AbortController()

  constructor(descriptor: RawDescriptor) {
    this.#descriptor = descriptor
    this.#readiness = new Readiness(descriptor)
  }

  readable(signal?: AbortSignal): Promise<void> { return this.#wait(Poll.in, signal) }
  writable(signal?: AbortSignal): Promise<void> { return this.#wait(Poll.out, signal) }

  /** Ends all waits with an error. The descriptor stays its owner's. */
  close(): void { this.#readiness.close() }

  #wait(bits: number, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    return new Promise((resolve, reject) => {
      const end = () => { this.#waiters.delete(waiter); signal?.removeEventListener('abort', abort) }
      const abort = () => {
        end()
        reject(signal!.reason)
        // A wait that nobody is interested in would keep the process alive.
        if (this.#waiters.size === 0) this.#idle.abort()
      }
      const waiter: Waiter = { bits, resolve: () => { end(); resolve() }, reject: (error) => { end(); reject(error) } }
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', abort, { once: true })
      if (this.#running) check(this.#descriptor.arm(this.#wanted()), 'epoll_ctl')
      else void this.#run()
    })
  }

  #wanted(): number {
    let bits = 0
    for (const waiter of this.#waiters) bits |= waiter.bits
    return bits
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiters.size > 0) {
      this.#idle = new AbortController()
      try {
        const got = await this.#readiness.wait(this.#wanted(), this.#idle.signal)
        // An error or a hang-up ends every wait: the call that follows says which.
        for (const waiter of this.#waiters) if ((got & (waiter.bits | Poll.error | Poll.hangUp)) !== 0) waiter.resolve()
      } catch (error) {
        // Everybody had gone; whoever came since then is for the next round.
        if (!this.#idle.signal.aborted) for (const waiter of this.#waiters) waiter.reject(error)
      }
    }
    this.#running = false
  }
}
