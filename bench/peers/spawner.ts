// SPDX-License-Identifier: MIT
// Runs programs to their end. A process of its own, since starting a program takes longer the more memory the parent has.

import { spawnSync } from 'node:child_process'
import { answer } from './answer.js'

/** `discard`: the output goes to /dev/null. `read`: it is read. `parse`: it is parsed as JSON too. */
export interface SpawnRequest {
  readonly command: string
  readonly args: readonly string[]
  readonly output: 'discard' | 'read' | 'parse'
}

export interface SpawnAnswer {
  readonly ms: number
  /** Of what was parsed. */
  readonly length?: number
}

await answer(({ command, args, output }: SpawnRequest): SpawnAnswer => {
  const started = performance.now()
  const result = spawnSync(command, args, { stdio: ['ignore', output === 'discard' ? 'ignore' : 'pipe', 'pipe'], encoding: 'utf8', maxBuffer: 1 << 29 })
  const length = output === 'parse' && result.status === 0 ? JSON.parse(result.stdout).length : undefined
  const ms = performance.now() - started
  if (result.error !== undefined) throw result.error
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${result.status}: ${result.stderr.trim()}`)
  return { ms, ...(length === undefined ? {} : { length }) }
})
