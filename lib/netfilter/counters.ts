// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../errors.js'

/**
 * Packets and bytes that a rule or policy counted. A number, exact up to 2^53 - 1 and rounded above, unless `bigint` was asked for.
 */
export interface Counters<N extends number | bigint = number> {
  packets: N
  bytes: N
}

/** Which kind of number counters are read as. */
export type CounterKind = 'number' | 'bigint'
export type CountersOf<K extends CounterKind> = Counters<K extends 'bigint' ? bigint : number>

/** Counters as the kernel has them. */
export interface RawCounters { readonly packets: bigint; readonly bytes: bigint }

export function readCounters<K extends CounterKind>({ packets, bytes }: RawCounters, kind: K): CountersOf<K> {
  return (kind === 'bigint' ? { packets, bytes } : { packets: Number(packets), bytes: Number(bytes) }) as CountersOf<K>
}

const MAX64 = 0xffffffffffffffffn

/** Checks counters that a user gave. @throws TypeError, RangeError */
export function checkCounters(value: unknown, name: string): RawCounters {
  if (typeof value !== 'object' || value === null) throw invalidArgument(name, 'an object with packets and bytes', value)
  const one = (key: 'packets' | 'bytes'): bigint => {
    const number = (value as Record<string, unknown>)[key]
    if (typeof number !== 'bigint' && !Number.isInteger(number)) throw invalidArgument(`${name}.${key}`, 'an integer', number)
    const bits = BigInt(number as number | bigint)
    if (bits < 0n || bits > MAX64 || (typeof number === 'number' && number > Number.MAX_SAFE_INTEGER)) throw outOfRange(`${name}.${key}`, 'an integer from 0 to 2^53 - 1, or a bigint to 2^64 - 1', number)
    return bits
  }
  return { packets: one('packets'), bytes: one('bytes') }
}
