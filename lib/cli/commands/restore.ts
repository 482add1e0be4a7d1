// SPDX-License-Identifier: MIT
// nfkit restore

import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { action, type Command, COMMON } from '../action.js'
import { FAMILY_OPTIONS, withNetfilter } from '../with-netfilter.js'

const OPTIONS = {
  ...FAMILY_OPTIONS,
  counters: { type: 'flag', short: 'c', help: 'take over the counters of the text' },
  noflush: { type: 'flag', short: 'n', help: 'keep what the tables have; they are emptied first unless told' },
  table: { type: 'value', value: 'TABLE', short: 'T', help: 'only the part of this table' },
  test: { type: 'flag', short: 't', help: 'check the text and change nothing' },
  // -n is taken, as iptables-restore has it.
  netns: { type: 'value', value: 'NAME|PATH', help: 'network namespace: a name in /run/netns or a path' },
  json: COMMON['json']!,
} as const

const restore = action({
  words: '', args: '[FILE]', summary: 'apply what iptables-save printed, from FILE or standard input', bare: true,
  details: [
    'All of the text is read before anything is changed: a mistake is named with its line and column, and nothing was applied.',
    'When the kernel refuses a table, those before it are put back. Takes the lock that iptables takes (XTABLES_LOCKFILE).',
  ],
  options: OPTIONS,
  async run(invocation) {
    const { args: [file], options: { counters, noflush, table, test }, json, out } = invocation
    const input = file === undefined || file === '-' ? await text(process.stdin) : readFileSync(file, 'utf8')
    const tables = await withNetfilter(invocation, (nf) => nf.restore(input, { counters, flush: noflush !== true, table, test }))
    if (json) out.json({ tables, test: test === true })
  },
})

export const restoreCommand: Command = { name: 'restore', actions: [restore] }
