// SPDX-License-Identifier: MIT
// Packets in a time, as the matches limit and hashlimit take them: the struct has the time from one packet to the next, in
// fractions of a second, and a rate can stand for a neighbour of itself.

import { RuleError } from './payload.js'

/** Packets in a unit of time; `sec` and `min` are how the short names are printed. */
export type PacketRate = `${number}/${'sec' | 'second' | 'min' | 'minute' | 'hour' | 'day'}`

/** What a text says. */
export interface ParsedRate {
  /** From one packet to the next, in fractions of a second. */
  readonly period: bigint
  /** Seconds of the unit of time. */
  readonly seconds: number
}

/** Names as they are printed, from the longest unit on. */
const PRINTED: readonly (readonly [name: string, seconds: number])[] = [['day', 86400], ['hour', 3600], ['min', 60], ['sec', 1]]
const READ: readonly (readonly [name: string, seconds: number])[] = [['second', 1], ['minute', 60], ['hour', 3600], ['day', 86400]]

/**
 * `count[/unit]`, any beginning of a unit; a second unless told. `scale` is how many fractions a second has. Undefined for what is
 * no rate.
 * @throws RuleError for a rate that is faster than one packet in a fraction
 */
export function parsePacketRate(text: string, option: string, scale: number): ParsedRate | undefined {
  const match = /^\s*\+?(\d+)(?:\/([a-z]+))?$/i.exec(text)
  const unit = match?.[2]?.toLowerCase() ?? 's'
  const seconds = READ.find(([name]) => name.startsWith(unit))?.[1]
  const count = BigInt(match?.[1] ?? 0)
  if (seconds === undefined || count === 0n) return undefined
  const period = BigInt(scale * seconds) / count
  if (period === 0n) throw new RuleError(`${option}: expected at most ${scale} packets in a second, got "${text}"`)
  return { period, seconds }
}

/** How a rate is printed. A time from one packet to the next of 0 is endless. */
export function formatPacketRate(period: bigint, scale: number): { text: string; seconds: number } {
  if (period === 0n) return { text: 'inf', seconds: 0 }
  let at = 0
  while (at + 1 < PRINTED.length) {
    const whole = BigInt(PRINTED[at + 1]![1] * scale)
    if (period > whole || whole / period < whole % period) break
    at++
  }
  const [name, seconds] = PRINTED[at]!
  return { text: `${BigInt(seconds * scale) / period}/${name}`, seconds }
}
