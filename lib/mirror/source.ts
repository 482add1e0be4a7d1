// SPDX-License-Identifier: MIT
// Which packets are mirrored: a place in a table and what selects them there.

import { invalidArgument, outOfRange } from '../errors.js'
import { NetfilterRule } from '../netfilter/rule.js'
import type { IpFamily } from '../wire/ip.js'
import { checkTableName } from '../netfilter/names.js'
import { commentOf } from './name.js'
import type { CloneBy } from './steps/clone-rule.js'

/** A rule without target, and where it is to be. */
export interface MirrorSource extends Omit<NetfilterRule, 'target' | 'counters'> {
  /**
   * `PREROUTING`, `INPUT`, `FORWARD`, `OUTPUT`, `POSTROUTING`, or a chain of a user's that they lead to. Not `PREROUTING` via `reroute`: a
   * packet has no route there yet. The rule is put at the chain's beginning, so that packets are copied which later rules drop.
   */
  chain: string
  /** `filter` unless told, `mangle` for `PREROUTING` and `POSTROUTING`. */
  table?: string | undefined
}

/** A source, or its text as it follows `iptables`: `[-t TABLE] [-A] CHAIN -p tcp --dport 80`. */
export type RuleSourceLike = MirrorSource | string

/** A checked source: for each family the rules that there are to be, as text. */
export interface PlannedSource {
  readonly table: string
  readonly chain: string
  /** What selects the packets; of the first family. */
  readonly selectors: string[]
  readonly rules: ReadonlyMap<IpFamily, (by: CloneBy) => string[]>
}

/**
 * Checks a source. Without `families` it is for each family that the rule can be written for: an IPv4 address makes it one of IPv4.
 * @throws TypeError, RangeError, RuleError for what iptables would refuse
 */
export function planSource(from: unknown, name: string, families: readonly IpFamily[] | undefined, via: 'devices' | 'reroute'): PlannedSource {
  const { table: given, chain, rulesOf } = typeof from === 'string' ? sourceOfText(from) : sourceOfValue(from)
  if (typeof chain !== 'string' || !/^[^-!\s\0][^\s\0]{0,27}$/.test(chain)) throw invalidArgument('from.chain', 'a chain such as FORWARD', chain)
  if (chain === 'PREROUTING' && via === 'reroute') {
    throw outOfRange('from.chain', 'INPUT, FORWARD, OUTPUT or POSTROUTING with via: \'reroute\', since a packet has no route before', chain)
  }
  const table = given ?? standardTable(chain)
  checkTableName(table)
  const rules = new Map<IpFamily, (by: CloneBy) => string[]>()
  let selectors: string[] | undefined
  let problem: unknown
  for (const family of families ?? (['ipv4', 'ipv6'] as const)) {
    const where = { family, table, chain }
    try {
      const parts = rulesOf(where)
      for (const { target } of parts as NetfilterRule[]) if (target !== undefined) throw invalidArgument('from', 'a rule without target', 'jump' in target ? target.jump : 'goto' in target ? target.goto : target.name)
      const rulesBy = (by: CloneBy) => parts.map((rule) => NetfilterRule.format({
        ...rule, matches: [...rule.matches ?? [], { name: 'comment', comment: commentOf(name) }], target: { name: 'CLONE', ...by },
      }, where))
      // What cannot be written is to be known now.
      rulesBy({ mark: 1 })
      rules.set(family, rulesBy)
      selectors ??= parts.map((rule) => NetfilterRule.format(rule, where))
    } catch (error) {
      if (families !== undefined) throw error
      problem ??= error
    }
  }
  if (selectors === undefined) throw problem
  return { table, chain, selectors, rules }
}

/** Where a rule for any packet of the chain is usually put. */
export function standardTable(chain: string): string {
  return chain === 'PREROUTING' || chain === 'POSTROUTING' ? 'mangle' : 'filter'
}

interface Where { family: IpFamily; table: string; chain: string }
interface GivenSource { table: string | undefined; chain: unknown; rulesOf: (where: Where) => NetfilterRule[] }

function sourceOfValue(from: unknown): GivenSource {
  if (typeof from !== 'object' || from === null || Array.isArray(from)) {
    throw invalidArgument('from', 'an object with a chain or a hook point, or a text such as "FORWARD -p tcp --dport 80"', from)
  }
  const { table, chain, ...rule } = from as MirrorSource
  for (const key of ['target', 'counters']) if ((rule as Record<string, unknown>)[key] !== undefined) throw invalidArgument('from', `a rule without ${key}`, key)
  return { table, chain, rulesOf: () => [rule] }
}

function sourceOfText(from: string): GivenSource {
  const [, table, chain, text = ''] = /^\s*(?:(?:-t|--table)\s+(\S+)\s+)?(?:(?:-A|--append)\s+)?([^\s-]\S*)(?:\s+([^]*))?$/.exec(from) ?? []
  if (chain === undefined) throw invalidArgument('from', 'a text such as "FORWARD -p tcp --dport 80"', from)
  return { table, chain, rulesOf: (where) => NetfilterRule.parseAll(text, where).map(({ counters: _counters, ...rule }) => rule) }
}
