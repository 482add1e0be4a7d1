// SPDX-License-Identifier: MIT
// The policy rules of priority 0, that for table local among them, behind those of the mirrors: with the rule for table local in front, the
// copy of a packet to this box would come back to the box. Nothing is before priority 0, but within it the order is that of adding, so
// each rule is added once more and then goes from its first place. There is no moment without it, and when the mirror's own
// rule is gone all is as before.

import * as Rule from '../../net/rule.js'
import type { IpFamily } from '../../wire/ip.js'
import { bad } from '../fields.js'
import type { MirrorRecord } from '../record.js'
import type { StepContext, StepKind } from '../step.js'

export interface BehindStep {
  family: IpFamily
  /** As the kernel reports them, in their order. */
  rules: Rule.RuleInfo[]
}

export const behind: StepKind<BehindStep> = {
  read: (fields) => ({ family: fields.oneOf('family', ['ipv4', 'ipv6']), rules: fields.list('rules').map((item) => readRule(item)) }),

  apply({ rules }, { netns }) {
    moveBehind(rules, rules, netns)
  },

  /** Only an end halfway leaves something to do: rules that are there twice. Else all is as before once the mirror's own rule is gone. */
  undo({ family, rules }, { netns, record, others }) {
    const now = firstRules(Rule.list({ ...netns, family }), [record, ...others])
    const keys = rules.map(keyOf)
    const count = (list: readonly string[], key: string) => list.filter((one) => one === key).length
    const nowKeys = now.map(keyOf)
    if (keys.every((key) => count(nowKeys, key) <= count(keys, key))) return 'undone'
    // Each once, in the order of before, and what came since behind them.
    const since = now.filter((one) => !keys.includes(keyOf(one)))
    moveBehind([...rules, ...since], now, netns)
    return 'undone'
  },

  describe: ({ family, rules }) => `${family} ${rules.length === 1 ? 'rule' : 'rules'} of priority 0 behind it (${rules.map(({ table, action }) => table ?? action).join(', ')})`,
}

/** Adds `wanted` behind everything, then deletes as many from the front as `old` are. */
function moveBehind(wanted: readonly Rule.RuleInfo[], old: readonly Rule.RuleInfo[], netns: StepContext['netns']): void {
  for (const rule of wanted) Rule.add(rule, { ...netns, duplicate: true })
  // Each is the first that its request meets: what is before it is of a mirror, and for another table.
  for (const rule of old) Rule.delete(rule, netns)
}

/** The rules of priority 0 but for those of mirrors. */
export function firstRules(rules: readonly Rule.RuleInfo[], mirrors: readonly Pick<MirrorRecord, 'steps'>[]): Rule.RuleInfo[] {
  const own = mirrors.flatMap(({ steps }) => steps.flatMap((step) => (step.kind === 'rule' ? [step] : [])))
  return rules.filter(({ priority, family, fwmark, table }) =>
    priority === 0 && !own.some((step) => step.family === family && step.mark === fwmark && step.table === table))
}

/** `flags` tell whether links exist, which is not of the rule. */
const keyOf = ({ flags: _flags, ...rule }: Rule.RuleInfo): string => JSON.stringify(Object.entries(rule).sort(([a], [b]) => (a < b ? -1 : 1)))

function readRule(item: unknown): Rule.RuleInfo {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw bad('a policy rule is no object')
  try {
    Rule.checkRule(item as Rule.RuleSpec)
  } catch (error) {
    throw bad(`a policy rule: ${(error as Error).message}`)
  }
  return item as Rule.RuleInfo
}

