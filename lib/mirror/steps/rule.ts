// SPDX-License-Identifier: MIT
// The policy rule that sends packets with the mark to the table of the mirror port.

import { NfkitError } from '../../errors.js'
import * as Rule from '../../net/rule.js'
import type { IpFamily } from '../../wire/ip.js'
import type { StepKind } from '../step.js'

export interface RuleStep {
  family: IpFamily
  mark: number
  table: number
}

/** As early as can be; what stands there already is put behind it by the next step. */
const specOf = ({ family, mark, table }: RuleStep): Rule.RuleSpec => ({ family, priority: 0, fwmark: mark, table })

export const rule: StepKind<RuleStep> = {
  read: (fields) => ({ family: fields.oneOf('family', ['ipv4', 'ipv6']), mark: fields.number('mark'), table: fields.number('table') }),

  apply(step, { netns }) {
    Rule.add(specOf(step), netns)
  },

  undo(step, { netns }) {
    try {
      Rule.delete(specOf(step), netns)
      return 'undone'
    } catch (error) {
      if (error instanceof NfkitError && error.code === 'ENOENT') return 'gone'
      throw error
    }
  },

  describe: ({ family, mark, table }) => `${family} rule for mark 0x${mark.toString(16)} to table ${table}`,
}
