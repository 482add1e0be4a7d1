// SPDX-License-Identifier: MIT
// What clone targets, hooks and mirrors have in common where they are listed.

import { NfkitError } from '../../errors.js'
import type { CloneCounters } from '../../wire/module/counters.js'

/** A mark. */
export const hex = (value: number): string => `0x${value.toString(16)}`

/** Packets without a copy and copies that were not sent, for whatever reason. */
export const lostOf = ({ lost }: Pick<CloneCounters, 'lost'>): number => Object.values(lost).reduce((sum, value) => sum + value, 0)

/** Objects of the kernel module that are there; one that goes while they are read is left out. */
export function readAll<T>(names: readonly string[], get: (name: string) => T): T[] {
  return names.flatMap((name) => {
    try {
      return [get(name)]
    } catch (error) {
      if (error instanceof NfkitError && error.code === 'ENOENT') return []
      throw error
    }
  })
}
