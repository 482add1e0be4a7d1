// SPDX-License-Identifier: MIT
// The default route to the mirror port, in a table of its own.

import type { IpFamily } from '../../wire/ip.js'
import type { StepKind } from '../step.js'
import { routeStep } from './route-step.js'

export interface RouteStep {
  family: IpFamily
  table: number
  link: number
  port: string
}

export const route: StepKind<RouteStep> = {
  read: (fields) => ({
    family: fields.oneOf('family', ['ipv4', 'ipv6']), table: fields.number('table'), link: fields.number('link'), port: fields.text('port'),
  }),

  ...routeStep(({ family, table, link }) => ({ destination: 'default', family, table, link })),

  describe: ({ family, table, port }) => `${family} default route to ${port} in table ${table}`,
}
