// SPDX-License-Identifier: MIT
// One end for a wait: a timeout, the caller's AbortSignal, or both.

import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import { checkInteger } from '../wire/check.js'

/** The longest time that a timer takes, about 24 days. */
const MOST = 2 ** 31 - 1

/** Throws unless `value` is a time in whole or fractional milliseconds. */
export function checkMilliseconds(value: unknown, name: string, min = 0): asserts value is number {
  checkInteger(typeof value === 'number' ? Math.ceil(value) : value, min, MOST, name, 'in milliseconds')
}

/** Aborts its signal after a time, or when the caller's signal does. {@link clear} it when the wait is over. */
export class Deadline implements Disposable {
  readonly #controller = new AbortController()
  readonly #outer: AbortSignal | undefined
  readonly #abort = (): void => this.#controller.abort(this.#outer!.reason)
  readonly #timer: ReturnType<typeof setTimeout> | undefined
  #expired = false

  /** @param milliseconds undefined for no limit */
  constructor(milliseconds: number | undefined, signal?: AbortSignal) {
    this.#outer = signal
    if (signal?.aborted === true) this.#abort()
    else {
      signal?.addEventListener('abort', this.#abort, { once: true })
      if (milliseconds !== undefined) {
        this.#timer = setTimeout(() => {
          this.#expired = true
          this.#controller.abort(new DOMException('the time is up', 'TimeoutError'))
        }, Math.ceil(milliseconds))
      }
    }
  }

  get signal(): AbortSignal { return this.#controller.signal }

  /** The time was up, as opposed to the caller's signal. */
  get expired(): boolean { return this.#expired }

  clear(): void {
    clearTimeout(this.#timer)
    this.#outer?.removeEventListener('abort', this.#abort)
  }

  [Symbol.dispose](): void { this.clear() }
}

/** How long a call may take. */
export interface WaitOptions {
  /** Milliseconds; NfkitError ETIMEDOUT after that. */
  timeout?: number | undefined
  /** Ends the call with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** Runs a wait with the options' limit. */
export async function within<T>({ timeout, signal }: WaitOptions, doing: string, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  if (timeout !== undefined) checkMilliseconds(timeout, 'timeout', 1)
  const deadline = new Deadline(timeout, signal)
  try {
    deadline.signal.throwIfAborted()
    return await run(deadline.signal)
  } catch (error) {
    if (deadline.expired && error === deadline.signal.reason) {
      throw NfkitError.fromErrno(Errno.ETIMEDOUT, 'poll', `${doing}: nothing for ${timeout} ms`)
    }
    throw error
  } finally {
    deadline.clear()
  }
}
