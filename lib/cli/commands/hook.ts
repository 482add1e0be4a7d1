// SPDX-License-Identifier: MIT
// nfkit hook

import { Hook } from '../../clone/hook.js'
import { printProgram } from '../../wire/bpf/text.js'
import type { HookState, HookStats, HookVerdict } from '../../wire/module/hook.js'
import { action, type Command, type Invocation } from '../action.js'
import { type Counter, counterColumns, LIVE_DETAILS, LIVE_OPTIONS, watchCounters } from '../live-counters.js'
import type { Output } from '../output.js'
import type { Column } from '../table.js'
import { printable, words } from '../text.js'
import { UsageError } from '../usage.js'
import { integer, oneOf } from '../values.js'
import { hex, readAll } from './clone-text.js'
import { familyOf, PACKET_OPTIONS, placeOf, POINTS } from './packet-options.js'

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

const read = (netns: Invocation['netns']['netns'], names = Hook.list(netns)): HookState[] => readAll(names, (name) => Hook.get(name, netns))

const list = action({
  words: 'list', args: '', summary: 'the hooks that programs have made, and what they counted',
  options: {},
  run({ netns: { netns }, json, out }) {
    const hooks = read(netns)
    if (json) out.json(hooks)
    else if (hooks.length > 0) {
      out.table([...COLUMNS, { header: 'KEPT BY', cell: ({ persistent }) => (persistent ? 'itself' : 'a process') }, ...counterColumns(COUNTERS)], hooks, { hideEmpty: true })
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

const ADD_OPTIONS = {
  at: { type: 'value', value: 'POINT', help: POINTS.join(', ') },
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

function markOf(text: string | undefined): number | { value: number; mask: number } | undefined {
  if (text === undefined) return undefined
  const [, value = '', mask] = /^([^/]*)(?:\/(.*))?$/s.exec(text) ?? []
  return mask === undefined ? integer('--mark', value) : { value: integer('--mark', value), mask: integer('--mark', mask) }
}

const add = action({
  words: 'add', args: 'NAME', summary: 'make a hook, or make it anew; it stays until it is removed or the system goes down',
  details: [
    'Needs the kernel module (nfkit module status). One that a running program has is not taken from it.',
    'Example: nfkit hook add hundred --at local-in --match \'{"length":100}\' --drop',
  ],
  options: ADD_OPTIONS,
  run({ args: [name], options, netns: { netns }, json, out }) {
    const { at, clone, mark } = options
    if (at === undefined) throw new UsageError('--at is missing: which hook point')
    Hook.create({
      name: name!, persistent: true, netns, at: oneOf('--at', at, POINTS), family: familyOf(options), ...placeOf(options),
      verdict: verdictOf(options), clone, mark: markOf(mark),
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
