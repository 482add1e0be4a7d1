// SPDX-License-Identifier: MIT
// The plain object of a rule.

import type { IpFamily } from '../wire/ip.js'
import type { UnnamedFlag } from '../wire/names.js'
import type { RawAttribute } from '../wire/netlink.js'
import { familyName, routeTables } from '../wire/rtnetlink.js'
import { FIB_RULE_INVERT, type RuleActionName, ruleActions, type RuleFlag, ruleFlags, type RuleMessage } from '../wire/rule.js'
import type { RuleSpec } from './rule-request.js'

/** A rule as the kernel reports it. */
export interface RuleInfo extends RuleSpec {
  priority: number
  family: IpFamily
  action: RuleActionName | number
  invert: boolean
  flags: (RuleFlag | UnnamedFlag)[]
  /** Attributes that nfkit has no name for. */
  unknown?: RawAttribute[]
}

const NO_LIMIT = 0xffffffff

/** The plain object of a rule message; undefined for one of another family. */
export function ruleInfo(message: RuleMessage): RuleInfo | undefined {
  const { family: number, toLength, fromLength, tos, table, action, flags, attributes } = message
  const family = familyName(number)
  if (family === undefined) return undefined
  const { to, from, priority = 0, suppressPrefixLength, table: _table, ...rest } = attributes
  const any = family === 'ipv4' ? '0.0.0.0' : '::'
  const optional: Partial<RuleInfo> = {
    ...(fromLength === 0 ? {} : { from: `${from ?? any}/${fromLength}` }),
    ...(toLength === 0 ? {} : { to: `${to ?? any}/${toLength}` }),
    ...(tos === 0 ? {} : { tos }),
    ...(table === 0 ? {} : { table: routeTables.of(table) }),
    ...(suppressPrefixLength === undefined || suppressPrefixLength === NO_LIMIT ? {} : { suppressPrefixLength }),
  }
  return {
    priority,
    family,
    action: ruleActions.of(action),
    ...optional,
    ...rest,
    invert: (flags & FIB_RULE_INVERT) !== 0,
    flags: ruleFlags.of((flags & ~FIB_RULE_INVERT) >>> 0),
  }
}
