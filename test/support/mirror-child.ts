// SPDX-License-Identifier: MIT
// Makes or removes a mirror and is killed at a step: node mirror-child.js '{ options, at, when }'.

// Not all of the library: a process takes seconds to start in a guest.
import { Mirror } from '../../lib/mirror/mirror.js'
import type { MirrorOptions } from '../../lib/mirror/options.js'
import { disturbSteps } from './mirror-steps.js'

/** What the child is told. */
export interface ChildPlan {
  /** What `Mirror.create` gets; only `name`, `netns` and `journal` for a removal. */
  options: MirrorOptions
  remove?: boolean
  /** Number of the step, from 0 on; beyond the last one it goes well, and the child ends without closing. */
  at: number
  when: 'before' | 'after'
}

const { options, remove = false, at, when } = JSON.parse(process.argv[2]!) as ChildPlan
const steps = disturbSteps(remove ? 'undo' : 'apply', at, when, () => process.kill(process.pid, 'SIGKILL'))
if (remove) await Mirror.remove(options.name!, { netns: options.netns, journal: options.journal })
else await Mirror.create(options)
process.stdout.write(`${steps.count}\n`)
