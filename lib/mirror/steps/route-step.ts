// SPDX-License-Identifier: MIT
// What steps that are one route have in common: how it is added, put back and deleted.

import { NfkitError } from '../../errors.js'
import * as Route from '../../net/route.js'
import type { StepKind } from '../step.js'

/** No such route; ENODEV: routes go with their link; ENOENT: nothing was ever in the table. */
const GONE = ['ESRCH', 'ENODEV', 'ENOENT']

/** The deeds of a step whose route `specOf` tells. */
export function routeStep<S>(specOf: (step: S) => Route.RouteSpec): Required<Pick<StepKind<S>, 'apply' | 'repair' | 'undo'>> {
  return {
    apply(step, { netns }) {
      Route.add(specOf(step), netns)
    },

    repair(step, { netns }) {
      try {
        Route.add(specOf(step), netns)
        return true
      } catch (error) {
        if (error instanceof NfkitError && error.code === 'EEXIST') return false
        throw error
      }
    },

    undo(step, { netns }) {
      try {
        Route.delete(specOf(step), netns)
        return 'undone'
      } catch (error) {
        if (error instanceof NfkitError && GONE.includes(error.code)) return 'gone'
        throw error
      }
    },
  }
}
