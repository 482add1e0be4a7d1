// SPDX-License-Identifier: MIT
// The rules with -j CLONE, at the beginning of their chain, known by their comment.

import type { ChainDraft } from '../../netfilter/chain-draft.js'
import { Netfilter } from '../../netfilter/netfilter.js'
import type { IpFamily } from '../../wire/ip.js'
import { commentOf } from '../name.js'
import type { StepContext, StepKind } from '../step.js'

export type CloneRuleStep = {
  family: IpFamily
  table: string
  chain: string
  /** As they follow `-A CHAIN`, comment and target included. */
  rules: string[]
} & CloneBy

/** What the rules say behind `-j CLONE`: the mark of the copies, or the name of a clone target. */
export type CloneBy = { mark: number } | { target: string }

export const cloneRule: StepKind<CloneRuleStep> = {
  read: (fields) => ({
    family: fields.oneOf('family', ['ipv4', 'ipv6']), table: fields.text('table'), chain: fields.text('chain'), rules: fields.texts('rules'),
    ...(fields.has('mark') ? { mark: fields.number('mark') } : { target: fields.text('target') }),
  }),

  async apply({ family, table, chain, rules }, context) {
    using nf = open(family, context)
    await nf.update(table, (draft) => {
      for (const [i, text] of rules.entries()) draft.chain(chain).insert(text, i + 1)
    })
  },

  /** Wherever they are by now: somebody may have moved them, or renamed their chain. */
  async undo({ family, table, ...by }, context) {
    using nf = open(family, context)
    // A table that is not there is not made by asking for it.
    const { chains } = nf.table(table)
    const isOwn = ({ matches = [], target }: ReturnType<ChainDraft['rule']>) =>
      target !== undefined && 'name' in target && target.name === 'CLONE' && isBy(target, by) &&
      matches.some((match) => match.name === 'comment' && 'comment' in match && match.comment === commentOf(context.record.name))
    if (!chains.some(({ rules }) => rules.some(isOwn))) return 'gone'
    return await nf.update(table, (draft) => {
      let deleted = false
      for (const name of draft.chains) {
        const chain = draft.chain(name)
        for (let number = chain.length; number > 0; number--) {
          if (!isOwn(chain.rule(number))) continue
          chain.delete(number)
          deleted = true
        }
      }
      return deleted ? 'undone' : 'gone'
    })
  },

  describe: ({ family, table, chain, rules }) => `${family} ${rules.length === 1 ? 'rule' : `${rules.length} rules`} in ${table} ${chain}`,
}

/** Whether the value of a target CLONE says that. */
function isBy(target: object, by: CloneBy): boolean {
  return 'mark' in by ? 'mark' in target && target.mark === by.mark : 'target' in target && target.target === by.target
}

function open(family: IpFamily, { netns, lock }: StepContext): Netfilter {
  return Netfilter.open({ family, ...netns, lock })
}
