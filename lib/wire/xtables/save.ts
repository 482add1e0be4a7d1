// SPDX-License-Identifier: MIT
// A table as iptables-save prints it: straight from bytes to text.

import { inOrder } from './chain-order.js'
import { printRule, type RuleEnvironment } from './rule.js'
import { RulePrinter } from './rule-printer.js'
import { type ChainImage, isRun, type NewRule, type TableImage } from './table.js'

/** Lines that are joined at once. */
const CHUNK = 256

/**
 * The lines from `*table` to `COMMIT`, the last one ended, too. `counters` puts `[packets:bytes]` before each rule; policies have
 * theirs always. What has no description is printed as the number of its bytes, in brackets: such a line cannot be read again.
 * @throws NfkitError EBADMSG for a blob that is not a table's
 */
export function saveTable(image: TableImage, environment: RuleEnvironment, counters = false): string {
  const printer = new RulePrinter(image, environment)
  const chains = inOrder(image.chains)
  // Joined by the hundred: one string of a million pieces would cost more than all of them.
  const chunks: string[] = []
  let lines: string[] = []
  const line = (text: string) => {
    if (lines.push(text) < CHUNK) return
    chunks.push(lines.join('\n'))
    lines = []
  }
  line(`*${image.info.name}`)
  for (const chain of chains) line(`:${chain.name} ${chain.hook === undefined ? '- [0:0]' : `${chain.policy} [${policyCounters(image, chain)}]`}`)
  for (const { name, pieces } of chains) {
    const start = `-A ${name}`
    for (const piece of pieces) {
      if (isRun(piece) && piece.block === undefined) {
        for (let entry = piece.from; entry < piece.to; entry++) {
          line(counters ? `[${printer.counters(entry)}] ${start}${printer.rule(entry)}` : start + printer.rule(entry))
        }
      } else {
        for (const rule of isRun(piece) ? newRules(piece) : [piece]) {
          line(`${counters ? `[${rule.packets ?? 0n}:${rule.byteCount ?? 0n}] ` : ''}${start}${printRule(rule, environment)}`)
        }
      }
    }
  }
  chunks.push([...lines, 'COMMIT\n'].join('\n'))
  return chunks.join('\n')
}

function policyCounters(image: TableImage, { policyEntry, policyCounters }: ChainImage): string {
  const old = policyEntry < 0 || (policyCounters !== undefined && policyCounters.kept !== true) ? { packets: 0n, bytes: 0n } : image.countersOf(policyEntry)
  return `${old.packets + (policyCounters?.packets ?? 0n)}:${old.bytes + (policyCounters?.bytes ?? 0n)}`
}

function* newRules({ from, to, block }: Extract<ChainImage['pieces'][number], { from: number }>): Generator<NewRule> {
  for (let rule = from; rule < to; rule++) yield block!.rule(rule)
}
