// SPDX-License-Identifier: MIT
// The default route to the mirror port, in a table of its own.

import { NfkitError } from '../../errors.js'
import * as Route from '../../net/route.js'
import type { IpFamily } from '../../wire/ip.js'
import type { StepContext, StepKind } from '../step.js'

export interface RouteStep {
  family: IpFamily
  table: number
  link: number
  port: string
}

const specOf = ({ family, table, link }: RouteStep): Route.RouteSpec => ({ destination: 'default', family, table, link })

export const route: StepKind<RouteStep> = {
  read: (fields) => ({
    family: fields.oneOf('family', ['ipv4', 'ipv6']), table: fields.number('table'), link: fields.number('link'), port: fields.text('port'),
  }),

  apply(step, { netns }) {
    Route.add(specOf(step), netns)
  },

  repair: (step, { netns }) => addMissing(specOf(step), netns),

  undo(step, { netns }) {
    try {
      Route.delete(specOf(step), netns)
      return 'undone'
    } catch (error) {
      // ENODEV: routes go with their link.
      if (error instanceof NfkitError && ['ESRCH', 'ENODEV', 'ENOENT'].includes(error.code)) return 'gone'
      throw error
    }
  },

  describe: ({ family, table, port }) => `${family} default route to ${port} in table ${table}`,
}

/** Whether it was missing. */
export function addMissing(spec: Route.RouteSpec, netns: StepContext['netns']): boolean {
  try {
    Route.add(spec, netns)
    return true
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'EEXIST') return false
    throw error
  }
}
