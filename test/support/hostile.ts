// SPDX-License-Identifier: MIT
// The program of test/vm/hostile, which calls /dev/nfkit as no program should.

import { spawn } from 'node:child_process'
import type { Test } from 'tap'
import { noModule } from './module.js'

const PROGRAM = process.env['NFKIT_HOSTILE'] ?? ''

/** Why it cannot run here, or false. */
export const noHostile: string | false = noModule !== false ? noModule : PROGRAM === '' && 'NFKIT_HOSTILE names no program'

/** Runs a part of it, in a network namespace that it makes for itself. What is wrong it says line by line, then how much it checked. */
export async function hostile(t: Test, ...args: (string | number)[]): Promise<void> {
  const child = spawn(PROGRAM, args.map(String), { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { said += text })
  const ending = await new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code, signal) => { resolve(signal ?? code) })
  })
  const [, checks = '0', failed = ''] = /^(\d+) checks, (\d+) failed$/m.exec(said) ?? []
  t.comment(said.trimEnd())
  t.same({ ending, failed, wrong: said.split('\n').filter((line) => line.startsWith('not ok')).slice(0, 20) }, { ending: 0, failed: '0', wrong: [] }, `${args[0]}: ${checks} checks`)
  t.ok(Number(checks) > 0, 'something was checked')
}
