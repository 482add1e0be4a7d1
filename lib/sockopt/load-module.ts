// SPDX-License-Identifier: MIT
// The module that serves the socket options: unlike those of tables, matches and targets the kernel does not load it by itself.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { IpFamily } from '../wire/ip.js'

/** Longer than any module takes. */
const TIME_LIMIT_MS = 10_000

const tried = new Set<IpFamily>()

/**
 * Loads ip_tables or ip6_tables, as iptables does: by the program that the kernel itself would call. Tried once in a process.
 * @returns whether that program says that it is loaded now
 */
export function loadTablesModule(family: IpFamily): boolean {
  if (tried.has(family)) return false
  tried.add(family)
  try {
    const program = readFileSync('/proc/sys/kernel/modprobe', 'utf8').trim()
    if (program === '') return false
    return spawnSync(program, ['-q', family === 'ipv4' ? 'ip_tables' : 'ip6_tables'], { stdio: 'ignore', timeout: TIME_LIMIT_MS }).status === 0
  } catch {
    // A runtime that may not run programs.
    return false
  }
}
