// SPDX-License-Identifier: MIT
// nfkit mirror

import type { CloneCounters } from '../../clone/clone-counters.js'
import { NfkitError } from '../../errors.js'
import { Mirror, type MirrorInfo } from '../../mirror/mirror.js'
import { action, type Command, type Invocation } from '../action.js'
import type { Output } from '../output.js'
import type { Column } from '../table.js'
import { printable, words } from '../text.js'
import { UsageError } from '../usage.js'
import { integer } from '../values.js'
import { FAMILY_OPTIONS } from '../with-netfilter.js'

/** A mirror, and what it counted if its rules are there. */
type Listed = MirrorInfo & { counters?: CloneCounters }

function withCounters(info: MirrorInfo, netns: Invocation['netns']): Listed {
  if (info.state === 'damaged') return info
  let mirror: Mirror | undefined
  try {
    mirror = Mirror.open(info.name, netns)
    return { ...info, counters: mirror.stats() }
  } catch (error) {
    // Its rules, or all of it, went meanwhile.
    if (error instanceof NfkitError && error.code.startsWith('NFKIT_')) return info
    throw error
  } finally {
    void mirror?.close()
  }
}

function sourceOf({ from }: MirrorInfo): string {
  if (from === undefined) return ''
  const { table, chain, rules } = from
  const standard = chain === 'POSTROUTING' ? 'mangle' : 'filter'
  return rules.map((rule) => `${table === standard ? '' : `-t ${table} `}${chain} ${rule}`.trim()).join(', ')
}

function keptBy({ persistent, abandoned, pid }: MirrorInfo): string {
  if (pid === undefined) return ''
  return persistent === true ? 'itself' : abandoned === true ? 'nobody' : `process ${pid}`
}

const hex = (mark: number | undefined): string => (mark === undefined ? '' : `0x${mark.toString(16)}`)
const number = (value: number | undefined): string => (value === undefined ? '' : String(value))
const lostOf = (counters: CloneCounters | undefined): number | undefined =>
  (counters === undefined ? undefined : Object.values(counters.lost).reduce((sum, value) => sum + value, 0))

const COLUMNS: readonly Column<Listed>[] = [
  { header: 'NAME', cell: ({ name }) => name },
  { header: 'STATE', cell: ({ state }) => state, style: ({ state }) => (state === 'up' ? 'green' : 'yellow') },
  { header: 'FROM', cell: sourceOf, shrinks: true },
  { header: 'TO', cell: ({ to = [] }) => to.join(' ') },
  { header: 'MARK', cell: ({ mark }) => hex(mark) },
  { header: 'TABLE', align: 'right', cell: ({ table }) => number(table) },
  { header: 'SEEN', align: 'right', cell: ({ counters }) => number(counters?.seen) },
  { header: 'SENT', align: 'right', cell: ({ counters }) => number(counters?.sent) },
  { header: 'LOST', align: 'right', cell: ({ counters }) => number(lostOf(counters)) },
  { header: 'KEPT BY', cell: keptBy },
]

const list = action({
  words: 'list', args: '', summary: 'the mirrors, with what they copied; also those that a crash left behind',
  details: [
    'SEEN: packets that the rule matched; SENT: copies that left; LOST: packets without a copy that left, show says why.',
    'KEPT BY itself: persistent. KEPT BY nobody: its process ended without removing it.',
  ],
  options: {},
  run({ netns, json, out }) {
    const mirrors = Mirror.list(netns).map((info) => withCounters(info, netns))
    if (json) out.json(mirrors)
    else if (mirrors.length > 0) out.table(COLUMNS, mirrors)
    if (!json) for (const { name, problem } of mirrors) if (problem !== undefined) out.note(`${name}: ${problem}`)
  },
})

function print(out: Output, mirror: Listed): void {
  const { name, state, families = [], to = [], via = '', mark, table, created = '', steps = [], counters } = mirror
  const facts: [string, string][] = [
    ['state', state], ['from', sourceOf(mirror)], ['families', families.join(' ')], ['to', to.join(' ')], ['via', via], ['mark', hex(mark)],
    ['table', number(table)], ['created', created], ['kept by', keptBy(mirror)],
  ]
  const lines = ([key, value]: [string, string]) => `  ${key.padEnd(9)} ${printable(value)}`
  out.lines([out.paint('bold', printable(name)), ...facts.map(lines), '', 'set up', ...steps.map((step) => `  ${printable(step)}`)])
  if (counters === undefined) return
  const { seen, cloned, sent, lost } = counters
  const counted: [string, string][] = [['seen', number(seen)], ['cloned', number(cloned)], ['sent', number(sent)], ...Object.entries(lost).map(([reason, value]): [string, string] => [words(reason), number(value)])]
  const widest = Math.max(...counted.map(([key]) => key.length))
  out.lines(['', 'packets', ...counted.map(([key, value]) => `  ${key.padEnd(widest)}  ${value}`)])
}

const show = action({
  words: 'show', args: 'NAME', summary: 'one mirror: what it is, what was set up for it, what it counted and why copies were lost',
  options: {},
  run({ args: [name], netns, json, out }) {
    const found = Mirror.list(netns).find((each) => each.name === name)
    if (found === undefined) throw new NfkitError('NFKIT_NO_SUCH_MIRROR', `there is no mirror ${name} in this namespace`)
    if (found.problem !== undefined) throw new NfkitError('NFKIT_BAD_JOURNAL', found.problem)
    const mirror = withCounters(found, netns)
    if (json) out.json(mirror)
    else print(out, mirror)
  },
})

const ADD_OPTIONS = {
  from: { type: 'value', value: 'RULE', help: 'which packets, as after iptables -A: "[-t TABLE] CHAIN [MATCHES...]", in quotes' },
  to: { type: 'value', value: 'PORT', help: 'the mirror port' },
  name: { type: 'value', value: 'NAME', help: 'its name, also in the comment of its rules; mirror1 and so on unless told' },
  ipv4: { ...FAMILY_OPTIONS.ipv4, help: 'packets of IPv4 alone' },
  ipv6: { ...FAMILY_OPTIONS.ipv6, help: 'packets of IPv6 alone' },
  mark: { type: 'value', value: 'MARK', help: 'the mark of the copies; a free one unless told' },
  table: { type: 'value', value: 'NUMBER', help: 'the routing table; a free one unless told' },
  persistent: { type: 'flag', help: 'it is meant to stay: list does not say that nobody keeps it, and remove --abandoned passes it over' },
} as const

const add = action({
  words: 'add', args: '', summary: 'set up a mirror; it stays until it is removed or the system goes down',
  details: [
    'Copies of the packets leave by PORT, the packets go on as without. Without --ipv4 and --ipv6 both, as far as the rule',
    'can be written for them. Needs the kernel module (nfkit module status).',
    'Example: nfkit mirror add --from "FORWARD -p tcp --dport 80" --to eth5 --name web',
  ],
  options: ADD_OPTIONS,
  async run({ options: { from, to, name, ipv4, ipv6, mark, table, persistent }, netns, json, out }) {
    if (from === undefined) throw new UsageError('--from is missing: which packets')
    if (to === undefined) throw new UsageError('--to is missing: the mirror port')
    const family = ipv4 === ipv6 ? (ipv4 === true ? 'both' : undefined) : ipv4 === true ? 'ipv4' : 'ipv6'
    const mirror = await Mirror.create({
      ...netns, from, to, name, family, persistent,
      mark: mark === undefined ? undefined : integer('--mark', mark), table: table === undefined ? undefined : integer('--table', table),
    })
    // Not closed: that would undo it. The process ends now.
    if (json) out.json(mirror.info())
    else out.lines([`${mirror.name}: mark ${hex(mirror.mark)}, table ${mirror.table}`])
  },
})

const repair = action({
  words: 'repair', args: 'NAME', summary: 'put back the routes of a mirror, which the kernel deletes when its port is set down',
  details: ['Says what was missing. The port must be up.'],
  options: {},
  async run({ args: [name], netns, json, out }) {
    const mirror = Mirror.open(name!, netns)
    const repaired = await mirror.repair()
    if (json) out.json(repaired)
    else out.lines(repaired.map((step) => `put back: ${step}`))
    await mirror.close()
  },
})

const remove = action({
  words: 'remove', args: '[NAME]', summary: 'undo a mirror, whoever made it and however far that came',
  details: ['What others have changed or undone since is left alone; exit status 1 if there is no mirror NAME.'],
  options: { abandoned: { type: 'flag', help: 'all that are not persistent and whose process is gone' } },
  async run({ args: [name], options: { abandoned }, netns, json, out }) {
    if ((name === undefined) === (abandoned !== true)) throw new UsageError('mirror remove: either NAME or --abandoned')
    const names = name === undefined ? Mirror.list(netns).filter((each) => each.abandoned === true).map((each) => each.name) : [name]
    const removed = []
    for (const each of names) removed.push({ name: each, steps: await Mirror.remove(each, netns) })
    if (json) out.json(removed)
    else for (const { name: each, steps } of removed) for (const { step, result } of steps) if (result !== 'undone') out.note(`${each}: ${step}: ${result === 'gone' ? 'was gone already' : 'left, another mirror needs it'}`)
  },
})

export const mirror: Command = { name: 'mirror', actions: [list, show, add, repair, remove] }
