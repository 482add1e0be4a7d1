// SPDX-License-Identifier: MIT
// Has something happen at a step of a mirror's set-up or removal.

import { STEP_KINDS } from '../../lib/mirror/step.js'

/** From now on `happen` is called before or after step `at`, counted from 0. `restore` ends that. */
export function disturbSteps(verb: 'apply' | 'undo', at: number, when: 'before' | 'after', happen: () => void): { count: number; restore: () => void } {
  const kinds = Object.values(STEP_KINDS) as Record<'apply' | 'undo', (...args: unknown[]) => unknown>[]
  const really = kinds.map((kind) => kind[verb])
  const state = { count: 0, restore: () => kinds.forEach((kind, i) => { kind[verb] = really[i]! }) }
  kinds.forEach((kind, i) => {
    kind[verb] = async (...args) => {
      const mine = state.count++ === at
      if (mine && when === 'before') happen()
      const result = await really[i]!.apply(kind, args)
      if (mine && when === 'after') happen()
      return result
    }
  })
  return state
}
