// SPDX-License-Identifier: MIT
// What is behind the default route to the mirror port: the kernel deletes that one when the port is set down, and the copies would be routed by
// the next policy rule, out of whatever port the packets of this box leave by. A blackhole is silent, also towards who else uses the mark.

import type { IpFamily } from '../../wire/ip.js'
import type { StepKind } from '../step.js'
import { routeStep } from './route-step.js'

export interface BlackholeStep {
  family: IpFamily
  table: number
}

/** Behind every other route. */
const LAST = 0xffffffff

export const blackhole: StepKind<BlackholeStep> = {
  read: (fields) => ({ family: fields.oneOf('family', ['ipv4', 'ipv6']), table: fields.number('table') }),

  ...routeStep(({ family, table }) => ({ destination: 'default', family, type: 'blackhole', table, priority: LAST })),

  describe: ({ family, table }) => `${family} blackhole in table ${table}, behind the route`,
}
