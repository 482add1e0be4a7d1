// SPDX-License-Identifier: MIT
// nfkit targets

import { CloneTarget } from '../../clone/clone-target.js'
import type { CloneTargetConfig } from '../../clone/clone-config.js'
import type { CloneCounters } from '../../wire/module/counters.js'
import type { CloneTargetState } from '../../wire/module/target.js'
import { action, type Command, type Invocation } from '../action.js'
import { type Counter, counterColumns, LIVE_DETAILS, LIVE_OPTIONS, watchCounters } from '../live-counters.js'
import type { Output } from '../output.js'
import type { Column } from '../table.js'
import { printable, words } from '../text.js'
import { UsageError } from '../usage.js'
import { optionalInteger } from '../values.js'
import { hex, lostOf, readAll } from './clone-text.js'
import { LIMIT_OPTIONS, limitsOf } from './limit-options.js'
import { events } from './target-events.js'
import { devicesOf, deviceText, DEVICES_SYNTAX } from './target-devices.js'

/** Where copies go. */
function sinksOf({ devices, reroute, capture }: CloneTargetState): string {
  return [...devices.map(({ device, index }) => (index === null ? `${device} (not there)` : device)), ...(reroute === null ? [] : [`mark ${hex(reroute)}`]), ...(capture ? ['capture'] : [])].join(' ')
}

function limitsText({ snaplen, sample, random, rate, burst, queueLimit, dropOldest, defer }: CloneTargetState): string {
  return [
    ...(sample === 1 ? [] : [`1 of ${sample}${random ? ' by chance' : ''}`]), ...(snaplen === 0 ? [] : [`${snaplen} bytes`]), ...(rate === 0 ? [] : [`${rate}/s burst ${burst}`]),
    ...(queueLimit === 0 ? [] : [`queue ${queueLimit}`]), ...(dropOldest ? ['drop oldest'] : []), ...(defer ? ['deferred'] : []),
  ].join(', ')
}

const COLUMNS: readonly Column<CloneTargetState>[] = [
  { header: 'NAME', cell: ({ name }) => name },
  { header: 'TO', cell: sinksOf, shrinks: true },
  { header: 'LIMITS', cell: limitsText, shrinks: true },
  { header: 'KEPT BY', cell: ({ persistent }) => (persistent ? 'itself' : 'a process') },
  { header: 'RULES', align: 'right', cell: ({ rules }) => String(rules) },
  { header: 'HOOKS', align: 'right', cell: ({ hooks }) => String(hooks) },
  { header: 'CAPTURES', align: 'right', cell: ({ captures }) => String(captures) },
]

const COUNTERS: readonly Counter<CloneTargetState>[] = [
  { header: 'SEEN', of: ({ seen }) => seen }, { header: 'SENT', of: ({ sent }) => sent }, { header: 'BYTES', of: ({ bytes }) => bytes }, { header: 'LOST', of: lostOf },
]

const read = (netns: Invocation['netns']['netns'], names = CloneTarget.list(netns)): CloneTargetState[] => readAll(names, (name) => CloneTarget.get(name, netns))

const list = action({
  words: 'list', args: '', summary: 'the clone targets that programs have defined, and what they copied',
  details: ['LOST: packets without a copy and copies that were not sent, show says why. KEPT BY itself: persistent.'],
  options: {},
  run({ netns: { netns }, json, out }) {
    const targets = read(netns)
    if (json) out.json(targets)
    else if (targets.length > 0) out.table([...COLUMNS, ...counterColumns(COUNTERS)], targets, { hideEmpty: true })
  },
})

function counted(counters: CloneCounters): [string, number][] {
  const { seen, sampledOut, limited, cloned, sent, bytes, queued, lost } = counters
  return Object.entries({ seen, sampledOut, limited, cloned, sent, bytes, queued, ...lost }).map(([name, value]) => [words(name), value])
}

function print(out: Output, state: CloneTargetState): void {
  const { name, persistent, devices, rules, hooks, captures } = state
  const facts = ([key, value]: [string, string | number]) => `  ${key.padEnd(14)} ${printable(String(value))}`
  out.lines([
    out.paint('bold', printable(name)),
    ...([['to', sinksOf(state)], ['limits', limitsText(state)], ['kept by', persistent ? 'itself' : 'a process'], ['named by', `${rules} rules, ${hooks} hooks, ${captures} captures`]] as [string, string][])
      .filter(([, value]) => value !== '').map(facts),
    ...counted(state).map(facts),
  ])
  for (const device of devices) out.lines(['', out.paint('bold', printable(deviceText(device))), ...counted(device).map(facts)])
}

const show = action({
  words: 'show', args: 'NAME', summary: 'one clone target: what it does, what it counted in all and by device, and why copies were lost',
  options: {},
  run({ args: [name], netns: { netns }, json, out }) {
    const state = CloneTarget.get(name!, netns)
    if (json) out.json(state)
    else print(out, state)
  },
})

const SET_OPTIONS = {
  devices: { type: 'value', value: 'DEVICES', help: `send copies by these, as frames: ${DEVICES_SYNTAX}` },
  reroute: { type: 'value', value: 'MARK', help: 'send copies by policy routing, with this mark' },
  capture: { type: 'flag', help: 'copies for programs that capture the target' },
  ...LIMIT_OPTIONS,
} as const

const set = action({
  words: 'set', args: 'NAME', summary: 'define a clone target, or define it anew; it stays until it is deleted or the system goes down',
  details: [
    'At least one of --devices, --reroute and --capture. What is not given is as if it had never been given. Counters go on.',
    'Rules name it with -j CLONE --target NAME, before or after. One that a running program has is not taken from it.',
    'Example: nfkit targets set probe --devices eth5,eth6/vlan=900 --sample 10',
  ],
  options: SET_OPTIONS,
  run({ args: [name], options, netns: { netns }, json, out }) {
    const { devices, reroute, capture } = options
    if (devices === undefined && reroute === undefined && capture === undefined) throw new UsageError('--devices, --reroute or --capture is missing: where copies go')
    const config: CloneTargetConfig = {
      devices: devices === undefined ? undefined : devicesOf(devices), reroute: optionalInteger('--reroute', reroute), capture, ...limitsOf(options),
    }
    CloneTarget.create({ ...config, name: name!, persistent: true, netns }).close()
    if (json) out.json(CloneTarget.get(name!, netns))
  },
})

const remove = action({
  words: 'delete', args: 'NAME', summary: 'delete a persistent clone target; rules that name it stay, and copy nothing',
  options: {},
  run({ args: [name], netns: { netns }, json, out }) {
    CloneTarget.delete(name!, netns)
    if (json) out.json(read(netns))
  },
})

const watch = action({
  words: 'watch', args: '[NAME]', summary: 'what clone targets count, as it grows',
  details: LIVE_DETAILS,
  options: LIVE_OPTIONS,
  async run({ args: [name], options, netns: { netns }, json, out }) {
    if (name !== undefined) CloneTarget.get(name, netns)
    const gone = await watchCounters(out, json, options, {
      what: ['clone target', 'clone targets'], columns: COLUMNS.slice(0, 2), counters: COUNTERS, read: () => read(netns, name === undefined ? undefined : [name]),
    })
    if (gone) out.note(name === undefined ? 'there are no clone targets' : `${name} was deleted`)
  },
})

export const targets: Command = { name: 'targets', actions: [list, show, set, remove, watch, events] }
