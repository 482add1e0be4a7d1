// SPDX-License-Identifier: MIT
// Bytes in a second, as the match hashlimit takes them: the struct has what sixteen bytes cost of the credit that a second brings,
// and a rate can stand for a neighbour of itself.

import { RuleError } from './payload.js'

/** Bytes in a second; k is 1024, m 1048576. */
export type ByteRate = `${number}${'' | 'k' | 'm'}b/s`

/** The credit of a second. */
const CREDIT = 0xffffffffn
/** XT_HASHLIMIT_BYTE_SHIFT: bytes are counted in sixteens. */
const SHIFT = 4n
const UNITS: readonly (readonly [name: string, bytes: bigint])[] = [['m', 1n << 20n], ['k', 1n << 10n], ['', 1n]]
/** Above, iptables counts from 0 again without a word. */
const MOST = (CREDIT << SHIFT) - 1n

const bytesToCost = (bytes: bigint) => CREDIT / (BigInt.asUintN(32, bytes >> SHIFT) + 1n)

/** The bytes that a credit of one second is enough for. */
export function costToBytes(cost: bigint): bigint {
  return BigInt.asUintN(64, ((cost === 0n ? CREDIT : CREDIT / cost) - 1n) << SHIFT)
}

/** `10b/s`, `4kb/s`, `1mb/second`. Undefined for what is none. @throws RuleError for more than there can be */
export function parseByteRate(text: string, option: string, most = MOST): bigint | undefined {
  const match = /^\s*\+?(\d+)\s*([km]?)b\/s(?:ec(?:ond)?)?$/.exec(text)
  if (match === null) return undefined
  const bytes = BigInt(match[1]!) * UNITS.find(([name]) => name === match[2])![1]
  if (bytes === 0n) return undefined
  if (bytes > most || bytes > MOST) throw new RuleError(`${option}: expected at most ${most < MOST ? most : MOST} bytes in a second, got "${text}"`)
  return bytesToCost(bytes)
}

/** In the largest unit that says the same cost. */
export function formatByteRate(cost: bigint): string {
  const bytes = costToBytes(cost)
  // The lower bits are taken away within 32 bits.
  const [name, unit] = UNITS.find(([, size]) => size === 1n || (bytes >= size && bytesToCost(bytes & (CREDIT + 1n - size)) === cost))!
  return `${bytes / unit}${name}b/s`
}

/** A number of bytes in the largest unit that it reaches, what is left over cut off. */
export function formatBytes(bytes: bigint): string {
  const [name, unit] = UNITS.find(([, size]) => size === 1n || bytes >= size)!
  return `${bytes / unit}${name}b`
}
