// SPDX-License-Identifier: MIT
// From what is there to the steps of a set-up. Asks and changes nothing.

import { NfkitError, outOfRange } from '../errors.js'
import type { LinkInfo } from '../net/link.js'
import type { RuleInfo } from '../net/rule.js'
import type { IpFamily } from '../wire/ip.js'
import type { MirrorRecord } from './record.js'
import type { PlannedSource } from './source.js'
import type { Step } from './step.js'
import { firstRules } from './steps/behind.js'

/**
 * Marks and tables are numbered from here on, the two alike; a value that people do not choose by themselves. Below 2^31, since some
 * programs read table numbers as signed.
 */
export const FIRST_NUMBER = 0x0c10e001
const LAST_NUMBER = 0x0c10efff

/** `default`, `main` and `local`, also while they have no routes. */
const RESERVED_TABLES = [253, 254, 255]

/** What is known of the namespace. */
export interface Surroundings {
  readonly port: LinkInfo
  /** Policy rules of both families, in their order. */
  readonly policyRules: readonly RuleInfo[]
  /** Numbers of the tables that have routes. */
  readonly tables: ReadonlySet<number>
  /** Numbers that iptables rules and the kernel module have as marks, or might. */
  readonly marks: ReadonlySet<number>
  /** The other mirrors. */
  readonly others: readonly MirrorRecord[]
}

/** What a mirror is to be. */
export interface PlanRequest {
  readonly source: PlannedSource
  readonly families: readonly IpFamily[]
  readonly mark?: number | undefined
  readonly table?: number | undefined
}

export interface Plan {
  readonly mark: number
  readonly table: number
  readonly steps: Step[]
}

/** @throws RangeError for a mark or table that is in use; NfkitError NFKIT_NO_FREE_MARK when every number is */
export function planReroute({ source, families, mark: askedMark, table: askedTable }: PlanRequest, around: Surroundings): Plan {
  const { port, policyRules, others } = around
  const marks = new Set(around.marks)
  const tables = new Set([...around.tables, ...RESERVED_TABLES])
  for (const rule of policyRules) {
    if (rule.fwmark !== undefined) marks.add(rule.fwmark)
    if (typeof rule.table === 'number') tables.add(rule.table)
  }
  for (const other of others) {
    if (other.via !== 'reroute') continue
    marks.add(other.mark)
    tables.add(other.table)
  }
  if (askedMark !== undefined && marks.has(askedMark)) throw outOfRange('mark', 'one that nothing else uses', askedMark)
  if (askedTable !== undefined && tables.has(askedTable)) throw outOfRange('table', 'one that nothing else uses', askedTable)
  const number = askedMark !== undefined && askedTable !== undefined ? 0 : freeNumber((one) => !marks.has(one) && !tables.has(one))
  const mark = askedMark ?? number
  const table = askedTable ?? number
  const link = port.index
  const at = { link, port: port.name }
  const steps: Step[] = []
  const hasArpStep = others.some((other) => other.steps.some((step) => step.kind === 'arp' && step.link === link))
  if (port.arp || hasArpStep) steps.push({ kind: 'arp', ...at })
  for (const family of families) {
    steps.push({ kind: 'blackhole', family, table })
    steps.push({ kind: 'route', family, table, ...at })
    steps.push({ kind: 'rule', family, mark, table })
    const before = firstRules(policyRules, others).filter((rule) => rule.family === family)
    if (before.length > 0) steps.push({ kind: 'behind', family, rules: before })
  }
  // Only when copies have a way out; undone first for the same reason.
  for (const family of families) {
    steps.push({ kind: 'clone-rule', family, table: source.table, chain: source.chain, mark, rules: source.rules.get(family)!({ mark }) })
  }
  return { mark, table, steps }
}

function freeNumber(isFree: (number: number) => boolean): number {
  for (let number = FIRST_NUMBER; number <= LAST_NUMBER; number++) if (isFree(number)) return number
  throw new NfkitError('NFKIT_NO_FREE_MARK', `every mark and table from ${FIRST_NUMBER} to ${LAST_NUMBER} is in use`, { hint: 'choose them: mark and table' })
}
