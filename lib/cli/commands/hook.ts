// SPDX-License-Identifier: MIT
// nfkit hook

import { readFileSync } from 'node:fs'
import { Hook } from '../../clone/hook.js'
import type { HookMatch } from '../../clone/hook-match.js'
import { NfkitError } from '../../errors.js'
import { printProgram } from '../../wire/bpf/text.js'
import type { HookState, HookStats, HookVerdict } from '../../wire/module/hook.js'
import { HOOK_POINTS, type HookPoint } from '../../wire/module/hook-points.js'
import { action, type Command, type Invocation } from '../action.js'
import { type Counter, LIVE_DETAILS, LIVE_OPTIONS, watchCounters } from '../live-counters.js'
import type { Output } from '../output.js'
import type { Column } from '../table.js'
import { printable, words } from '../text.js'
import { UsageError } from '../usage.js'
import { integer, oneOf } from '../values.js'
import { FAMILY_OPTIONS } from '../with-netfilter.js'

const hex = (value: number): string => `0x${value.toString(16)}`

function devicesText({ in: input, out, physIn, physOut }: HookState): string {
  return Object.entries({ in: input, out, 'phys-in': physIn, 'phys-out': physOut }).flatMap(([key, name]) => (name === null ? [] : [`${key} ${name}`])).join(' ')
}

function matchText({ program }: HookState): string {
  if (program === null) return 'every packet'
  const { link, instructions: { length } } = program
  return `${link}, ${length} instruction${length === 1 ? '' : 's'}`
}

function verdictText({ verdict, clone, mark }: HookState): string {
  return [verdictWords(verdict), ...(mark === null ? [] : [`mark ${hex(mark.value)}${mark.mask === 0xffffffff ? '' : `/${hex(mark.mask)}`}`]), ...(clone === null ? [] : [`clone ${clone}`])].join(', ')
}

function verdictWords(verdict: HookVerdict): string {
  if (typeof verdict === 'string') return verdict
  if ('redirect' in verdict) return `redirect ${verdict.redirect}${verdict.onFail === 'drop' ? ' or drop' : ''}`
  if ('queue' in verdict) return `queue ${verdict.queue}${verdict.bypass === true ? ' or accept' : ''}`
  return `repeat ${verdict.repeat}`
}

const COLUMNS: readonly Column<HookState>[] = [
  { header: 'NAME', cell: ({ name }) => name },
  { header: 'AT', cell: ({ at, family }) => (family === null ? at : `${at} ${family}`) },
  { header: 'PRIORITY', align: 'right', cell: ({ priority }) => String(priority) },
  { header: 'DEVICES', cell: devicesText, shrinks: true },
  { header: 'MATCH', cell: matchText, shrinks: true },
  { header: 'VERDICT', cell: verdictText, shrinks: true },
]

const COUNTERS: readonly Counter<HookState>[] = [{ header: 'SEEN', of: ({ seen }) => seen }, { header: 'MATCHED', of: ({ matched }) => matched }, { header: 'BYTES', of: ({ bytes }) => bytes }]

/** Those that are there; one that goes while they are read is left out. */
function read(netns: Invocation['netns']['netns'], names = Hook.list(netns)): HookState[] {
  return names.flatMap((name) => {
    try {
      return [Hook.get(name, netns)]
    } catch (error) {
      if (error instanceof NfkitError && error.code === 'ENOENT') return []
      throw error
    }
  })
}

const list = action({
  words: 'list', args: '', summary: 'the hooks that programs have made, and what they counted',
  options: {},
  run({ netns: { netns }, json, out }) {
    const hooks = read(netns)
    if (json) out.json(hooks)
    else if (hooks.length > 0) {
      out.table([
        ...COLUMNS, { header: 'KEPT BY', cell: ({ persistent }) => (persistent ? 'itself' : 'a process') },
        ...COUNTERS.map(({ header, of }): Column<HookState> => ({ header, align: 'right', cell: (state) => String(of(state)) })),
      ], hooks, { hideEmpty: true })
    }
  },
})

const COUNTED = [
  'seen', 'matched', 'bytes', 'noHeader', 'undecided', 'accepted', 'dropped', 'redirected', 'notTaken', 'queued', 'repeated', 'unfinished', 'unroutable', 'noMemory',
] as const satisfies readonly (keyof HookStats)[]

function print(out: Output, state: HookState): void {
  const { name, at, family, priority, persistent, program } = state
  const facts: [string, string | number][] = [
    ['at', at], ['family', family ?? ''], ['priority', priority], ['devices', devicesText(state)], ['match', matchText(state)], ['verdict', verdictText(state)],
    ['kept by', persistent ? 'itself' : 'a process'], ...COUNTED.filter((key, i) => i < 3 || state[key] !== 0).map((key): [string, number] => [words(key), state[key]]),
  ]
  out.lines([out.paint('bold', printable(name)), ...facts.filter(([, value]) => value !== '').map(([key, value]) => `  ${key.padEnd(10)} ${printable(String(value))}`)])
  if (program !== null) out.lines(['', ...printProgram(program.instructions).trimEnd().split('\n').map((line) => `  ${line}`)])
}

const show = action({
  words: 'show', args: 'NAME', summary: 'one hook: where it is, what it does and what it counted; its program as tcpdump -ddd prints one',
  options: {},
  run({ args: [name], netns: { netns }, json, out }) {
    const state = Hook.get(name!, netns)
    if (json) out.json(state)
    else print(out, state)
  },
})

/** Which packets of a hook point. */
export const PACKET_OPTIONS = {
  ipv4: { ...FAMILY_OPTIONS.ipv4, help: 'packets of IPv4 alone' },
  ipv6: { ...FAMILY_OPTIONS.ipv6, help: 'packets of IPv6 alone' },
  priority: { type: 'value', value: 'NUMBER', help: 'hooks are met in the order of this; 0 unless told, as the table filter, -200 at points of the bridge; --priority=-300 before' },
  in: { type: 'value', value: 'DEVICE', help: 'packets that came by it' },
  out: { type: 'value', value: 'DEVICE', help: 'packets that leave by it' },
  'phys-in': { type: 'value', value: 'PORT', help: 'packets that came by this port of a bridge' },
  'phys-out': { type: 'value', value: 'PORT', help: 'packets that leave by this port of a bridge' },
  match: { type: 'value', value: 'JSON', help: 'which packets, as PacketMatch takes it; every one unless told' },
  bpf: { type: 'value', value: 'FILE', help: 'which packets, as a program that tcpdump -ddd printed; - is the standard input' },
  link: { type: 'value', value: 'RAW|EN10MB', help: 'with --bpf: what tcpdump got with -y' },
} as const

const ADD_OPTIONS = {
  at: { type: 'value', value: 'POINT', help: `${Object.keys(HOOK_POINTS).join(', ')}` },
  ...PACKET_OPTIONS,
  drop: { type: 'flag', help: 'drop them; without this and the next three they are accepted' },
  redirect: { type: 'value', value: 'TARGET', help: 'give them to this clone target instead of sending them on' },
  'or-drop': { type: 'flag', help: 'with --redirect: drop what the target does not take' },
  queue: { type: 'value', value: 'NUMBER', help: 'let them wait for a program\'s verdict in this queue' },
  bypass: { type: 'flag', help: 'with --queue: accept them while no program listens' },
  repeat: { type: 'value', value: 'TIMES', help: 'set the mark and match again, as long as they match and at most so many times' },
  clone: { type: 'value', value: 'TARGET', help: 'copy them to this clone target' },
  mark: { type: 'value', value: 'VALUE[/MASK]', help: 'give them this mark' },
} as const
type AddOptions = Invocation<typeof ADD_OPTIONS>['options']

function verdictOf(options: AddOptions): HookVerdict {
  const { drop, redirect, 'or-drop': orDrop, queue, bypass, repeat } = options
  const given = Object.entries({ drop, redirect, queue, repeat }).filter(([, value]) => value !== undefined).map(([name]) => `--${name}`)
  if (given.length > 1) throw new UsageError(`${given.join(' and ')} cannot be given together`)
  if (orDrop === true && redirect === undefined) throw new UsageError('--or-drop needs --redirect')
  if (bypass === true && queue === undefined) throw new UsageError('--bypass needs --queue')
  if (redirect !== undefined) return { redirect, onFail: orDrop === true ? 'drop' : 'accept' }
  if (queue !== undefined) return { queue: integer('--queue', queue), bypass: bypass === true }
  if (repeat !== undefined) return { repeat: integer('--repeat', repeat) }
  return drop === true ? 'drop' : 'accept'
}

/** Which packets, by the options --match, --bpf and --link. */
export function matchOf({ match, bpf, link }: Pick<AddOptions, 'match' | 'bpf' | 'link'>): HookMatch | undefined {
  if (match !== undefined && bpf !== undefined) throw new UsageError('--match and --bpf cannot be given together')
  if ((bpf === undefined) !== (link === undefined)) throw new UsageError('--bpf and --link go together')
  if (bpf !== undefined) return { program: readFileSync(bpf === '-' ? 0 : bpf, 'utf8'), link: oneOf('--link', link!, ['RAW', 'EN10MB']) }
  if (match === undefined) return undefined
  try {
    return JSON.parse(match) as HookMatch
  } catch (error) {
    throw new UsageError(`--match: expected JSON such as {"protocol":"tcp"}: ${(error as Error).message}`)
  }
}

function markOf(text: string | undefined): number | { value: number; mask: number } | undefined {
  if (text === undefined) return undefined
  const [value = '', mask] = text.split('/', 2)
  return mask === undefined ? integer('--mark', value) : { value: integer('--mark', value), mask: integer('--mark', mask) }
}

export function priorityOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  return text.startsWith('-') ? -integer('--priority', text.slice(1)) : integer('--priority', text)
}

const add = action({
  words: 'add', args: 'NAME', summary: 'make a hook, or make it anew; it stays until it is removed or the system goes down',
  details: [
    'Needs the kernel module (nfkit module status). One that a running program has is not taken from it.',
    'Example: nfkit hook add hundred --at local-in --match \'{"length":100}\' --drop',
  ],
  options: ADD_OPTIONS,
  run({ args: [name], options, netns: { netns }, json, out }) {
    const { at, ipv4, ipv6, priority, in: input, out: output, clone, mark } = options
    if (at === undefined) throw new UsageError('--at is missing: which hook point')
    if (ipv4 === true && ipv6 === true) throw new UsageError('--ipv4 and --ipv6: both is what there is without them')
    Hook.create({
      name: name!, persistent: true, netns, at: oneOf('--at', at, Object.keys(HOOK_POINTS) as HookPoint[]),
      family: ipv4 === true ? 'ipv4' : ipv6 === true ? 'ipv6' : undefined, priority: priorityOf(priority), in: input, out: output,
      physIn: options['phys-in'], physOut: options['phys-out'], match: matchOf(options), verdict: verdictOf(options), clone, mark: markOf(mark),
    }).close()
    if (json) out.json(Hook.get(name!, netns))
  },
})

const remove = action({
  words: 'remove', args: 'NAME', summary: 'remove a persistent hook',
  options: {},
  run({ args: [name], netns: { netns }, json, out }) {
    Hook.delete(name!, netns)
    if (json) out.json(read(netns))
  },
})

const watch = action({
  words: 'watch', args: '[NAME]', summary: 'what hooks count, as it grows',
  details: LIVE_DETAILS,
  options: LIVE_OPTIONS,
  async run({ args: [name], options, netns: { netns }, json, out }) {
    if (name !== undefined) Hook.get(name, netns)
    const gone = await watchCounters(out, json, options, {
      what: ['hook', 'hooks'], columns: [COLUMNS[0]!, COLUMNS[1]!, COLUMNS[5]!], counters: COUNTERS, read: () => read(netns, name === undefined ? undefined : [name]),
    })
    if (gone) out.note(name === undefined ? 'there are no hooks' : `${name} was removed`)
  },
})

export const hook: Command = { name: 'hook', actions: [list, show, add, remove, watch] }
