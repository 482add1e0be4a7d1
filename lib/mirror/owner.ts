// SPDX-License-Identifier: MIT
// The process that made a mirror, and whether it is still there.

import { readFileSync } from 'node:fs'
import type { Owner } from './record.js'

/** This process. */
export function thisOwner(): Owner {
  return { pid: process.pid, started: startOf(process.pid) ?? '' }
}

/** Whether that very process still runs, as far as this one can see it. */
export function isAlive({ pid, started }: Owner): boolean {
  return startOf(pid) === started
}

/** Field 22 of proc_pid_stat(5); the second one is in parentheses and may have blanks and parentheses itself. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' ? undefined : rest[18]
  } catch {
    return undefined
  }
}
