// SPDX-License-Identifier: MIT

import { NfkitError } from '../errors.js'

/** The error of something that failed halfway and could not be taken back either. */
export function notTakenBack(cause: unknown, why: unknown): NfkitError {
  return new NfkitError('NFKIT_PARTIAL', `${(cause as Error).message}; taking the other changes back failed too: ${(why as Error).message}`, { cause })
}

/** Steps that are taken back, last one first, when a later one fails. */
export class Journal {
  readonly #undo: (() => void)[] = []

  /** Does something and remembers how to take it back. */
  step(run: () => void, undo: () => void): void {
    run()
    this.#undo.push(undo)
  }

  /** Remembers something to be done when taking back, after what later steps need. */
  onUndo(undo: () => void): void {
    this.#undo.push(undo)
  }

  /** Runs all of `steps`, or takes back what it did and throws. */
  static run<T>(steps: (journal: Journal) => T): T {
    const journal = new Journal()
    try {
      return steps(journal)
    } catch (cause) {
      const failed: string[] = []
      for (const undo of journal.#undo.reverse()) {
        try { undo() } catch (error) { failed.push((error as Error).message) }
      }
      if (failed.length === 0) throw cause
      throw new NfkitError('NFKIT_PARTIAL', `${(cause as Error).message}; taking it back failed: ${failed.join(', ')}`, { cause })
    }
  }
}
