// SPDX-License-Identifier: MIT
// What was made of pieces of a text, found again by a hash of their characters: cutting each piece out and looking it up as a
// string would cost more than all else that is done with it.

/** Pieces that are kept; then all are forgotten. */
const KEPT = 8192

const encoder = new TextEncoder()
const decoder = new TextDecoder()

interface Kept<T> {
  readonly text: string
  readonly value: T
  readonly next: Kept<T> | undefined
}

/** The hash of a piece so far, and one more character. */
export function hashOn(hash: number, code: number): number {
  return (Math.imul(hash, 31) + code) | 0
}

export class TextMemo<T> {
  readonly #kept = new Map<number, Kept<T>>()

  /** What was kept for the piece of `text` from `from` to `to`. */
  find(text: string, from: number, to: number, hash: number): Kept<T> | undefined {
    let kept = this.#kept.get(hash)
    while (kept !== undefined && (kept.text.length !== to - from || !text.startsWith(kept.text, from))) kept = kept.next
    return kept
  }

  keep(text: string, hash: number, value: T): Kept<T> {
    if (this.#kept.size >= KEPT) this.#kept.clear()
    // A string of its own: a piece of the whole text is compared more slowly, and would keep all of it.
    const kept = { text: decoder.decode(encoder.encode(text)), value, next: this.#kept.get(hash) }
    this.#kept.set(hash, kept)
    return kept
  }
}
