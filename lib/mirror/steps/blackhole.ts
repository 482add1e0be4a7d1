// SPDX-License-Identifier: MIT
// What is behind the default route to the mirror port: the kernel deletes that one when the port is set down, and the copies would be routed by
// the next policy rule, out of whatever port the packets of this box leave by. A blackhole is silent, also towards who else uses the mark.

import { NfkitError } from '../../errors.js'
import * as Route from '../../net/route.js'
import type { IpFamily } from '../../wire/ip.js'
import type { StepKind } from '../step.js'
import { addMissing } from './route.js'

export interface BlackholeStep {
  family: IpFamily
  table: number
}

/** Behind every other route. */
const LAST = 0xffffffff

const specOf = ({ family, table }: BlackholeStep): Route.RouteSpec => ({ destination: 'default', family, type: 'blackhole', table, priority: LAST })

export const blackhole: StepKind<BlackholeStep> = {
  read: (fields) => ({ family: fields.oneOf('family', ['ipv4', 'ipv6']), table: fields.number('table') }),

  apply(step, { netns }) {
    Route.add(specOf(step), netns)
  },

  repair: (step, { netns }) => addMissing(specOf(step), netns),

  undo(step, { netns }) {
    try {
      Route.delete(specOf(step), netns)
      return 'undone'
    } catch (error) {
      // ENOENT: nothing was ever in the table.
      if (error instanceof NfkitError && ['ESRCH', 'ENOENT'].includes(error.code)) return 'gone'
      throw error
    }
  },

  describe: ({ family, table }) => `${family} blackhole in table ${table}, behind the route`,
}
