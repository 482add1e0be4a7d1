// SPDX-License-Identifier: MIT

import { invalidArgument } from '../errors.js'

/** Throws the TypeError of a misspelt option; options that are undefined count as absent. */
export function checkKeys(value: unknown, known: readonly string[], name: string): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidArgument(name, 'an object', value)
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined && !known.includes(key)) throw invalidArgument(name, `only ${known.join(', ')}`, key)
  }
}

/** Throws unless `value` is a boolean or absent. */
export function checkBoolean(value: unknown, name: string): asserts value is boolean | undefined {
  if (value !== undefined && typeof value !== 'boolean') throw invalidArgument(name, 'true or false', value)
}

/** An object of the values that are there. */
export function given<T extends object>(values: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T
}
