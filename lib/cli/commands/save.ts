// SPDX-License-Identifier: MIT
// nfkit save

import { writeFileSync } from 'node:fs'
import { action, type Command, COMMON } from '../action.js'
import { FAMILY_OPTIONS, withNetfilter } from '../with-netfilter.js'

const OPTIONS = {
  ...FAMILY_OPTIONS,
  counters: { type: 'flag', short: 'c', help: 'the counters of each rule, too; those of policies are always there' },
  table: { type: 'value', value: 'TABLE', short: 't', help: 'only this table; all that there are in the namespace unless told' },
  file: { type: 'value', value: 'FILE', short: 'f', help: 'where to write; to standard output unless told' },
  netns: COMMON['netns']!,
} as const

const save = action({
  words: '', args: '', summary: 'print the iptables tables as iptables-save does', bare: true,
  details: ['What is printed, nfkit restore and iptables-legacy-restore read. A table that nobody has used yet is not made.'],
  options: OPTIONS,
  async run(invocation) {
    const { options: { counters, table, file }, out } = invocation
    const text = await withNetfilter(invocation, (nf) => nf.save({ counters, tables: table === undefined ? undefined : [table] }))
    if (file !== undefined) writeFileSync(file, text)
    else if (text !== '') await out.line(text.slice(0, -1))
  },
})

export const saveCommand: Command = { name: 'save', actions: [save] }
