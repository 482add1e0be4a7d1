// SPDX-License-Identifier: MIT
// From the text of an option to the value that the library takes. Ranges are the library's to check.

import { quote } from './parse.js'
import { UsageError } from './usage.js'

function expected(what: string, kind: string, text: string): UsageError {
  return new UsageError(`${what}: expected ${kind}, got ${quote(text)}`)
}

/** A whole number, decimal or hexadecimal with `0x`. */
export function integer(what: string, text: string): number {
  if (!/^(\d+|0x[0-9a-f]+)$/i.test(text)) throw expected(what, 'a whole number', text)
  return Number(text)
}

/** As {@link integer}, of an option that need not be given. */
export function optionalInteger(what: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : integer(what, text)
}

/** Seconds and the like: a number that may have a fraction. */
export function decimal(what: string, text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw expected(what, 'a number', text)
  return Number(text)
}

/** One of several words. */
export function oneOf<const T extends string>(what: string, text: string, words: readonly T[]): T {
  if (!(words as readonly string[]).includes(text)) throw expected(what, new Intl.ListFormat('en', { type: 'disjunction' }).format(words), text)
  return text as T
}

/** Several words between commas. */
export function someOf<const T extends string>(what: string, text: string, words: readonly T[]): T[] {
  return text.split(',').map((word) => oneOf(what, word, words))
}

/** A VLAN, or `none` for entries without one. */
export function vlanOrNone(text: string): number | null {
  return text === 'none' ? null : integer('--vlan', text)
}
