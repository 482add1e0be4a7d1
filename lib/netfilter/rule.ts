// SPDX-License-Identifier: MIT
// Rules on their own, as text and as values: `NetfilterRule.parse`, `NetfilterRule.format`. (`Rule` is policy routing's.)

import { invalidArgument, outOfRange } from '../errors.js'
import { checkKeys } from '../net/check.js'
import { XtablesSocket } from '../sockopt/xtables.js'
import type { IpFamily } from '../wire/ip.js'
import '../wire/xtables/extensions/index.js'
import { parseRule } from '../wire/xtables/parse.js'
import { RuleError } from '../wire/xtables/payload.js'
import { decodeRule, encodeRule, printRule, type Rule, type RuleBytes, type RuleEnvironment, sameRule } from '../wire/xtables/rule.js'
import type { Counters } from './counters.js'
import { systemResolver } from './resolver.js'

/** A rule as users write it: addresses, interfaces and protocol, the matches in their order, the target. Plain data. */
export interface NetfilterRule extends Rule {
  /** What it counted. Given to `append` and the like, what it begins with; 0 unless told. */
  counters?: Counters<number | bigint>
}

/** A rule, or its text as it follows `-A CHAIN`: `-p tcp --dport 80 -j ACCEPT`. */
export type RuleLike = NetfilterRule | string

/** What rules are parsed and printed for. */
export interface RuleTextOptions {
  /** `ipv4` unless told. */
  family?: IpFamily | undefined
  /** What some targets are only for; without it that is not checked. */
  table?: string | undefined
  chain?: string | undefined
}

/** The words of a rule's text: blanks part them, quotes hold them together, a backslash takes the next character as it is. */
export function wordsOf(text: string): string[] {
  const words: string[] = []
  const word = /\s*((?:"(?:[^"\\]|\\[^])*"|'[^']*'|\\[^]|[^\s"'\\])+)/gy
  let end = 0
  for (let found = word.exec(text); found !== null; found = word.exec(text)) {
    end = word.lastIndex
    words.push(found[1]!.replace(/"((?:[^"\\]|\\[^])*)"|'([^']*)'|\\([^])/g, (_all, double?: string, single?: string, one?: string) =>
      double?.replace(/\\([^])/g, '$1') ?? single ?? one ?? ''))
  }
  if (text.slice(end).trim() !== '') throw new RuleError(`a quote is not closed: ${text.slice(end).trim()}`)
  return words
}

/** The bytes of a rule given either way; the text of one can stand for several (`-s a,b`). @throws TypeError, RangeError, RuleError */
export function encodeRules(rule: RuleLike, environment: RuleEnvironment): (RuleBytes & { counters?: unknown })[] {
  if (typeof rule === 'string') {
    const { rules, counters } = parseRule(wordsOf(rule), environment)
    return rules.map((one) => ({ ...one, counters }))
  }
  if (typeof rule !== 'object' || rule === null || Array.isArray(rule)) throw invalidArgument('rule', 'an object or a text such as "-p tcp --dport 80 -j ACCEPT"', rule)
  const { counters, ...rest } = rule
  return [{ ...encodeRule(rest, environment), counters }]
}

/** The environment of rules that are in no table, with the names of this machine. */
function withEnvironment<T>(options: RuleTextOptions, run: (environment: RuleEnvironment) => T): T {
  checkKeys(options, ['family', 'table', 'chain'], 'options')
  const { family = 'ipv4', table, chain } = options
  if (family !== 'ipv4' && family !== 'ipv6') throw invalidArgument('family', "'ipv4' or 'ipv6'", family)
  // Sets of ipset have their names from the kernel.
  const socket = XtablesSocket.open(family)
  try { return run({ family, table, chain, resolver: systemResolver(socket) }) } finally { socket.close() }
}

/** Text and values of the rules of `Netfilter`. They need no privilege, and the kernel is not asked what it has. */
export const NetfilterRule = {
  /**
   * The rule that a text says.
   * @throws RuleError NFKIT_BAD_RULE with option and reason for what iptables refuses; RangeError when the text stands for several rules
   */
  parse(text: string, options: RuleTextOptions = {}): NetfilterRule {
    const rules = NetfilterRule.parseAll(text, options)
    if (rules.length !== 1) throw outOfRange('text', 'one rule (parseAll takes a text that stands for several)', text)
    return rules[0]!
  },

  /** As {@link NetfilterRule.parse}, for a text with several addresses: the rules in the order in which iptables appends them. */
  parseAll(text: string, options: RuleTextOptions = {}): NetfilterRule[] {
    if (typeof text !== 'string') throw invalidArgument('text', 'the text of a rule', text)
    return withEnvironment(options, (environment) => {
      const { rules, counters } = parseRule(wordsOf(text), environment)
      return rules.map((one) => ({ ...decodeRule(one, environment), ...(counters === undefined ? {} : { counters }) }))
    })
  },

  /** The text of a rule as iptables-save prints it after `-A CHAIN`. @throws TypeError, RangeError, RuleError for what is no rule */
  format(rule: RuleLike, options: RuleTextOptions = {}): string {
    return withEnvironment(options, (environment) => encodeRules(rule, environment).map((one) => printRule(one, environment).trimStart()).join('\n'))
  },

  /** Whether two rules are the same to the kernel, however they are written. Counters do not count. */
  same(a: RuleLike, b: RuleLike, options: RuleTextOptions = {}): boolean {
    return withEnvironment(options, (environment) => {
      const [x, y] = [encodeRules(a, environment), encodeRules(b, environment)]
      return x.length === y.length && x.every((one, i) => sameRule(one, y[i]!, environment.family))
    })
  },
} as const
