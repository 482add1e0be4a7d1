// SPDX-License-Identifier: MIT
// nfkit rules

import { NfkitError } from '../../errors.js'
import type { Netfilter } from '../../netfilter/netfilter.js'
import { action, type Command } from '../action.js'
import type { Output } from '../output.js'
import type { Column } from '../table.js'
import { printable } from '../text.js'
import { FAMILY_OPTIONS, withNetfilter } from '../with-netfilter.js'

const OPTIONS = {
  ...FAMILY_OPTIONS,
  table: { type: 'value', value: 'TABLE', short: 't', help: 'only this table; all that there are in the namespace unless told' },
  chain: { type: 'value', value: 'CHAIN', help: 'only this chain' },
} as const

interface Line { number: number; packets: bigint; bytes: bigint; rule: string }

const COLUMNS: readonly Column<Line>[] = [
  { header: '#', align: 'right', cell: ({ number }) => String(number) },
  { header: 'PACKETS', align: 'right', cell: ({ packets }) => String(packets) },
  { header: 'BYTES', align: 'right', cell: ({ bytes }) => String(bytes) },
  { header: 'RULE', cell: ({ rule }) => printable(rule) },
]

function chainsOf(nf: Netfilter, table: string | undefined, wanted: string | undefined) {
  return (table === undefined ? nf.tables() : [table]).flatMap((name) => {
    const snapshot = nf.table(name, { counters: 'bigint' })
    // A chain that is asked for must be there, in the table that is asked for.
    const chains = wanted === undefined ? snapshot.chains : table !== undefined || snapshot.hasChain(wanted) ? [snapshot.chain(wanted)] : []
    return chains.map((chain) => ({ table: name, chain }))
  })
}

type Listed = ReturnType<typeof chainsOf>

function print(out: Output, listed: Listed): void {
  for (const [i, { table, chain }] of listed.entries()) {
    const { name, policy, counters, length } = chain
    const about = policy === undefined ? '' : `, policy ${policy} (${counters!.packets} packets, ${counters!.bytes} bytes)`
    out.lines([...(i === 0 ? [] : ['']), `${out.paint('bold', `${table} ${printable(name)}`)}${about}${length === 0 ? ', no rules' : ''}`])
    if (length === 0) continue
    out.table(COLUMNS, Array.from({ length }, (_, at): Line => {
      const rule = chain.rule(at + 1)
      return { number: at + 1, packets: rule.counters.packets, bytes: rule.counters.bytes, rule: chain.format(at + 1) }
    }))
  }
}

const rules = action({
  words: '', args: '', summary: 'the rules of the tables, chain by chain, with their counters',
  details: ['RULE is what follows -A CHAIN in nfkit save. With --json: the rules as values, counters as decimal text.'],
  options: OPTIONS,
  async run(invocation) {
    const { options: { table, chain }, json, out } = invocation
    await withNetfilter(invocation, (nf) => {
      const listed = chainsOf(nf, table, chain)
      if (chain !== undefined && listed.length === 0) throw new NfkitError('NFKIT_NO_SUCH_CHAIN', `no table in use in this namespace has a chain ${chain}`)
      if (json) out.json(listed.map(({ table: name, chain: one }) => ({ table: name, ...one.toJSON() })))
      else print(out, listed)
    })
  },
})

export const rulesCommand: Command = { name: 'rules', actions: [rules] }
