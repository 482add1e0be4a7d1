// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../errors.js'

/** Throws unless `value` is an integer from `min` to `max`: TypeError for another kind, RangeError outside. */
export function checkInteger(value: unknown, min: number, max: number, name: string, unit = ''): asserts value is number {
  const expected = `an integer from ${min} to ${max}${unit === '' ? '' : ` ${unit}`}`
  if (typeof value !== 'number') throw invalidArgument(name, expected, value)
  if (!Number.isInteger(value) || value < min || value > max) throw outOfRange(name, expected, value)
}

/** Throws a TypeError unless `value` is bytes. */
export function checkBytes(value: unknown, name: string): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) throw invalidArgument(name, 'bytes (a Uint8Array)', value)
}
