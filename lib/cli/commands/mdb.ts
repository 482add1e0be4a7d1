// SPDX-License-Identifier: MIT
// nfkit mdb

import type { MdbEntry, MdbRouter } from '../../bridge/mdb-entry.js'
import type { MdbChange } from '../../bridge/mdb-watch.js'
import type { MdbFilter, MdbFlushFilter, MdbSpec } from '../../bridge/mdb.js'
import { action, type Command, type Invocation } from '../action.js'
import { follow, WATCH_DETAILS, WATCH_OPTIONS } from '../follow.js'
import type { Column } from '../table.js'
import { byName, shortSeconds } from '../text.js'
import { integer, oneOf, vlanOrNone } from '../values.js'
import { withBridge } from '../with-bridge.js'

const ENTRIES: readonly Column<MdbEntry>[] = [
  { header: 'GROUP', cell: ({ group }) => group, style: () => 'bold' },
  { header: 'PORT', cell: ({ port }) => port },
  { header: 'SOURCE', cell: ({ source }) => source ?? '' },
  { header: 'VLAN', cell: ({ vlan }) => (vlan === null ? '-' : String(vlan)), align: 'right' },
  { header: 'STATE', cell: ({ state }) => state, style: ({ state }) => (state === 'permanent' ? 'cyan' : undefined) },
  { header: 'EXPIRES', cell: ({ timer }) => (timer === 0 ? '-' : shortSeconds(timer)), align: 'right' },
  { header: 'FILTER', cell: sourcesText, shrinks: true },
  { header: 'FLAGS', cell: ({ flags }) => flags.join(' '), shrinks: true },
]

function sourcesText({ filterMode, sources }: MdbEntry): string {
  return sources === undefined || sources.length === 0 ? '' : `${filterMode ?? ''} ${sources.map(({ address }) => address).join(' ')}`.trim()
}

const ROUTERS: readonly Column<MdbRouter>[] = [
  { header: 'ROUTER PORT', cell: ({ port }) => port, style: () => 'bold' },
  { header: 'VLAN', cell: ({ vlan }) => (vlan === null ? '-' : String(vlan)), align: 'right' },
  { header: 'TYPE', cell: ({ type }) => type ?? '' },
  { header: 'EXPIRES', cell: ({ timer = 0 }) => (timer === 0 ? '-' : shortSeconds(timer)), align: 'right' },
]

const PORT = { type: 'value', value: 'PORT', help: 'only of this port, self for what the box itself joined' } as const

const show = action({
  words: 'show', args: 'BRIDGE', summary: 'which port wants which multicast group, and the ports where multicast routers are',
  options: {
    port: PORT, vlan: { type: 'value', value: 'VLAN|none', help: 'only of this VLAN; none for entries without one' },
    group: { type: 'value', value: 'GROUP', help: 'only of this group' },
  },
  run(invocation) {
    const { args: [name], options: { port, vlan, group }, json, out } = invocation
    const filter: MdbFilter = { port, group, ...(vlan === undefined ? {} : { vlan: vlanOrNone(vlan) }) }
    const { entries, routers } = withBridge(invocation, name!, ({ mdb }) => ({ entries: mdb.list(filter), routers: mdb.routers() }))
    entries.sort((a, b) => byName(a.group, b.group) || (a.vlan ?? 0) - (b.vlan ?? 0) || byName(a.port, b.port) ||
      byName(a.source ?? '', b.source ?? ''))
    if (json) return out.json({ entries, routers })
    out.table(ENTRIES, entries, { hideEmpty: entries.length > 0 })
    if (routers.length > 0) {
      out.lines([''])
      out.table(ROUTERS, routers, { hideEmpty: true })
    }
  },
})

const VLAN = { type: 'value', value: 'VLAN', help: 'in this VLAN' } as const
const SOURCE = { type: 'value', value: 'ADDRESS', help: 'only from this source' } as const
const SELF = 'PORT is self for the box itself; GROUP is an IPv4 or IPv6 group or a multicast MAC address.'

const add = action({
  words: 'add', args: 'BRIDGE PORT GROUP', summary: 'let a port have a group, for good unless told otherwise', details: [SELF],
  options: {
    source: SOURCE, vlan: VLAN,
    temporary: { type: 'flag', help: 'ends when no report comes' },
    include: { type: 'value', value: 'ADDRESS,...', help: 'only from these sources (Linux 6.2)' },
    exclude: { type: 'value', value: 'ADDRESS,...', help: 'not from these sources (Linux 6.2)' },
    replace: { type: 'flag', help: 'change the entry if there is one' },
  },
  run(invocation) {
    const { args: [name, port, group], options: { source, vlan, temporary, include, exclude, replace }, json, out } = invocation
    const sources = include ?? exclude
    const spec: MdbSpec = {
      port: port!, group: group!, source, vlan: vlan === undefined ? null : integer('--vlan', vlan),
      ...(temporary === true ? { state: 'temporary' } : {}),
      ...(sources === undefined ? {} : { sources: sources.split(','), filterMode: include === undefined ? 'exclude' : 'include' }),
    }
    withBridge(invocation, name!, ({ mdb }) => {
      if (replace === true) mdb.replace(spec)
      else mdb.add(spec)
      if (json) out.json(mdb.list({ port, group }))
    })
  },
})

const remove = action({
  words: 'delete', args: 'BRIDGE PORT GROUP', summary: 'take a group from a port', details: [SELF], options: { source: SOURCE, vlan: VLAN },
  run(invocation) {
    const { args: [name, port, group], options: { source, vlan }, json, out } = invocation
    const key = { port: port!, group: group!, source, vlan: vlan === undefined ? null : integer('--vlan', vlan) }
    withBridge(invocation, name!, ({ mdb }) => mdb.delete(key))
    if (json) out.json({ deleted: { ...key, bridge: name } })
  },
})

const flush = action({
  words: 'flush', args: 'BRIDGE', summary: 'remove entries at once',
  options: { port: PORT, vlan: VLAN, state: { type: 'value', value: 'temporary|permanent', help: 'only these; both unless told' } },
  run(invocation) {
    const { args: [name], options: { port, vlan, state }, json, out } = invocation
    const filter: MdbFlushFilter = {
      port, ...(vlan === undefined ? {} : { vlan: integer('--vlan', vlan) }),
      ...(state === undefined ? {} : { state: oneOf('--state', state, ['temporary', 'permanent']) }),
    }
    withBridge(invocation, name!, ({ mdb }) => mdb.flush(filter))
    if (json) out.json({ flushed: { bridge: name, ...filter } })
  },
})

const watch = action({
  words: 'watch', args: 'BRIDGE', summary: 'follow which port wants which group', details: WATCH_DETAILS, options: WATCH_OPTIONS,
  run(invocation) {
    const { options: { initial = false, resync = false } } = invocation
    return follow<MdbLine>(invocation as Invocation, initial, {
      open: ({ mdb }) => mdb.watch({ resync }),
      present: ({ mdb }) => mdb.list().map((entry) => ({ type: 'present', entry })),
      text: changeText, width: 14,
    })
  },
})

type MdbLine = MdbChange | { type: 'present'; entry: MdbEntry }

function changeText(change: MdbLine): string {
  if (change.type === 'overrun') return ''
  if ('router' in change) return change.router.port
  const { entry } = change
  return [
    entry.group, entry.port, entry.source === undefined ? '' : `from ${entry.source}`, entry.vlan === null ? '' : `vlan ${entry.vlan}`, entry.state,
    sourcesText(entry), ...entry.flags,
  ].filter((part) => part !== '').join('  ')
}

export const mdb: Command = { name: 'mdb', actions: [show, add, remove, flush, watch] }
