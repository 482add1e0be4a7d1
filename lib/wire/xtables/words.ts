// SPDX-License-Identifier: MIT
// A line of iptables-save's format as words, split as iptables-restore splits it: blanks separate, a double quote begins what
// may hold blanks and ends the word, and a backslash within quotes takes the next character as it is.

import { RuleError } from './payload.js'

/** The words of one line. */
export interface Words {
  readonly words: string[]
  /** Where each word begins: its index in the text, the opening quote included. */
  readonly starts: number[]
}

/** More words than iptables-restore takes in one line (MAX_ARGC without its own four). */
export const MAX_WORDS = 250
/** Bytes of one word, as iptables-restore limits them. */
export const MAX_WORD = 1022

const SPACE = 32
const TAB = 9
const NEWLINE = 10
const QUOTE = 34
const BACKSLASH = 92

const isBlank = (code: number) => code === SPACE || code === TAB || code === NEWLINE

/** Splits `text` from `from` to `to`. @throws RuleError for what iptables-restore has no room for */
export function splitWords(text: string, from = 0, to = text.length): Words {
  const words: string[] = []
  const starts: number[] = []
  let at = from
  while (at < to) {
    if (isBlank(text.charCodeAt(at))) {
      at++
      continue
    }
    const start = at
    const [word, end] = wordAt(text, at, to)
    at = end
    // A quote that is opened with nothing behind it is no word.
    if (word === '' && end === to && to - start < 2) break
    words.push(word)
    starts.push(start)
    if (words.length > MAX_WORDS) throw new RuleError(`more than ${MAX_WORDS} words`)
  }
  return { words, starts }
}

/** Where a word without quotes ends: at a blank, a quote or `to`. */
export function endOfWord(text: string, from: number, to: number): number {
  let at = from
  while (at < to) {
    const code = text.charCodeAt(at)
    if (code <= QUOTE && (code === QUOTE || isBlank(code))) break
    at++
  }
  return at
}

/** The word that begins at `from`, and where it ends. @throws RuleError for one that is too long */
export function wordAt(text: string, from: number, to: number): [word: string, end: number] {
  const end = endOfWord(text, from, to)
  const found: [string, number] = end < to && text.charCodeAt(end) === QUOTE ? quotedWord(text, end, to, text.slice(from, end)) : [text.slice(from, end), end]
  if (found[0].length > MAX_WORD / 3 && new TextEncoder().encode(found[0]).length > MAX_WORD) throw new RuleError(`a word of more than ${MAX_WORD} bytes`)
  return found
}

/** Goes on within quotes; behind a quote that is never closed to the end. */
function quotedWord(text: string, quote: number, to: number, before: string): [word: string, end: number] {
  let word = before
  let from = quote + 1
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) return [word + text.slice(from, at), at + 1]
    if (code !== BACKSLASH) continue
    word += text.slice(from, at)
    from = at + 1
    at++
  }
  return [word + text.slice(from, to), to]
}
