// SPDX-License-Identifier: MIT
// Reading a journal, which may hold anything.

import { NfkitError } from '../errors.js'

export function bad(why: string): NfkitError {
  return new NfkitError('NFKIT_BAD_JOURNAL', `not the journal of a mirror: ${why}`)
}

/** The fields of an object in a journal; what is not as expected is named. */
export class Fields {
  readonly #fields: Record<string, unknown>
  readonly #path: string

  constructor(value: unknown, path: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(`${path === '' ? 'it' : path} is no object`)
    this.#fields = value as Record<string, unknown>
    this.#path = path
  }

  get raw(): Record<string, unknown> { return this.#fields }

  #value(key: string): unknown {
    return Object.hasOwn(this.#fields, key) ? this.#fields[key] : undefined
  }

  #bad(key: string, expected: string): NfkitError {
    return bad(`${this.#path === '' ? '' : `${this.#path}.`}${key} is not ${expected}`)
  }

  has(key: string): boolean { return this.#value(key) !== undefined }

  text(key: string): string {
    const value = this.#value(key)
    if (typeof value !== 'string' || value.length > 65536 || value.includes('\0')) throw this.#bad(key, 'a text')
    return value
  }

  /** A whole number from 0 to 2^53 - 1. */
  number(key: string): number {
    const value = this.#value(key)
    if (!Number.isSafeInteger(value) || (value as number) < 0) throw this.#bad(key, 'a whole number')
    return value as number
  }

  flag(key: string): boolean {
    const value = this.#value(key)
    if (typeof value !== 'boolean') throw this.#bad(key, 'true or false')
    return value
  }

  oneOf<const T extends string>(key: string, words: readonly T[]): T {
    const value = this.#value(key)
    if (!words.includes(value as T)) throw this.#bad(key, `one of ${words.join(', ')}`)
    return value as T
  }

  object(key: string): Fields {
    return new Fields(this.#value(key), this.#path === '' ? key : `${this.#path}.${key}`)
  }

  list(key: string): unknown[] {
    const value = this.#value(key)
    if (!Array.isArray(value)) throw this.#bad(key, 'a list')
    return value
  }

  texts(key: string): string[] {
    return this.list(key).map((item) => {
      if (typeof item !== 'string') throw this.#bad(key, 'a list of texts')
      return item
    })
  }

  orNull<T>(key: string, read: () => T): T | null {
    return this.#value(key) === null ? null : read()
  }
}
