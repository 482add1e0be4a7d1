// SPDX-License-Identifier: MIT
// Makes or removes a mirror and is killed at a step, or fails there: node mirror-child.js '{ netns, journal, at, when, ... }'.

import { Mirror, type MirrorOptions } from '../../lib/index.js'
import { STEP_KINDS } from '../../lib/mirror/step.js'

/** What the child is told. */
export interface ChildPlan {
  /** What `Mirror.create` gets; only `name`, `netns` and `journal` for a removal. */
  options: MirrorOptions
  remove?: boolean
  /** Number of the step, from 0 on; beyond the last one it goes well, and the child ends without closing. */
  at: number
  when: 'before' | 'after'
  how: 'kill' | 'throw'
}

const { options, remove = false, at, when, how } = JSON.parse(process.argv[2]!) as ChildPlan

let count = 0
function happen(): void {
  if (how === 'kill') process.kill(process.pid, 'SIGKILL')
  throw new Error('a failure on purpose')
}
for (const kind of Object.values(STEP_KINDS) as Record<'apply' | 'undo', (...args: unknown[]) => unknown>[]) {
  const verb = remove ? 'undo' : 'apply'
  const really = kind[verb].bind(kind)
  kind[verb] = async (...args) => {
    const mine = count++ === at
    if (mine && when === 'before') happen()
    const result = await really(...args)
    if (mine && when === 'after') happen()
    return result
  }
}

if (remove) await Mirror.remove(options.name!, { netns: options.netns, journal: options.journal })
else {
  try {
    await Mirror.create(options)
  } catch (error) {
    if (!(error as Error).message.includes('on purpose')) throw error
    process.exitCode = 9
  }
}
process.stdout.write(`${count}\n`)
