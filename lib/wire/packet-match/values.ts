// SPDX-License-Identifier: MIT
// Values that several fields have.

import { invalidArgument, outOfRange } from '../../errors.js'
import { checkInteger } from '../check.js'
import type { NumberRange } from '../rule.js'

/** One number, or those from the first to the last, both included. */
export type NumberOrRange = number | NumberRange

/** A number of which only the bits of the mask count. */
export interface MaskedNumber {
  /** What the bits are to be. In a match, none outside of the mask. */
  value: number
  /** Which bits count. */
  mask: number
}

/** @throws TypeError, RangeError */
export function readRange(given: unknown, name: string, max: number, min = 0): NumberRange {
  if (!Array.isArray(given)) {
    if (typeof given !== 'number') throw invalidArgument(name, `an integer from ${min} to ${max} or an array of the first and the last`, given)
    checkInteger(given, min, max, name)
    return [given, given]
  }
  if (given.length !== 2) throw invalidArgument(name, 'an array of the first and the last', given)
  const [first, last] = given as [unknown, unknown]
  checkInteger(first, min, max, `${name}[0]`)
  checkInteger(last, first, max, `${name}[1]`)
  return [first, last]
}

export const within = (value: number, [first, last]: NumberRange): boolean => value >= first && value <= last

/** @throws TypeError, RangeError */
export function readMasked(given: unknown, name: string, max: number): MaskedNumber {
  if (typeof given === 'number') {
    checkInteger(given, 0, max, name)
    return { value: given, mask: max }
  }
  const { value, mask } = readObject(given, name, ['value', 'mask'], 'a number or { value, mask }')
  checkInteger(value, 0, max, `${name}.value`)
  checkInteger(mask, 0, max, `${name}.mask`)
  if (((value & ~mask) >>> 0) !== 0) throw outOfRange(`${name}.value`, 'a value without bits outside of the mask', value)
  return { value, mask }
}

/** An object with no other keys than `keys`. @throws TypeError */
export function readObject<K extends string>(given: unknown, name: string, keys: readonly K[], expected: string): Record<K, unknown> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw invalidArgument(name, expected, given)
  for (const key of Object.keys(given)) if (!keys.includes(key as K)) throw invalidArgument(name, expected, key)
  return given as Record<K, unknown>
}

/** Bytes of which only the bits of the mask, of the same length, count. */
export interface MaskedBytes {
  readonly value: Uint8Array
  readonly mask: Uint8Array
}

/** @throws RangeError when a bit of the value is outside of the mask */
export function checkMasked({ value, mask }: MaskedBytes, name: string, given: unknown): void {
  if (value.some((byte, i) => (byte & ~mask[i]!) !== 0)) throw outOfRange(name, 'a value without bits outside of the mask', given)
}

/** Whether the bytes at `at`, which must be there, have a value. */
export function bytesMatch(bytes: Uint8Array, at: number, { value, mask }: MaskedBytes): boolean {
  return value.every((byte, i) => (bytes[at + i]! & mask[i]!) === byte)
}
