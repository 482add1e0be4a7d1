// SPDX-License-Identifier: MIT
// nfkit cam

import { Bridge } from '../../bridge/bridge.js'
import type { CamFilter, CamFlushFilter, CamKey, CamSpec } from '../../bridge/cam.js'
import { NfkitError } from '../../errors.js'
import type { CamEntry } from '../../wire/fdb.js'
import { action, type Command, type Invocation } from '../action.js'
import { follow, WATCH_OPTIONS } from '../follow.js'
import { UsageError } from '../usage.js'
import { integer, oneOf, someOf, vlanOrNone } from '../values.js'
import { withBridge } from '../with-bridge.js'
import { liveCam } from './cam-live.js'
import { type CamLine, changeText, printEntries, sortEntries } from './cam-text.js'

const PORT = { type: 'value', value: 'PORT', help: 'only of this port; the name of the bridge means its own addresses' } as const
const VLAN = { type: 'value', value: 'VLAN|none', help: 'only of this VLAN, 1 to 4094; none for entries without one' } as const
const VIA = {
  type: 'value', value: 'master|self|any', help: 'the table of the bridge (default), the own lists of the devices, or both',
} as const

function viaOf(text: string | undefined): 'master' | 'self' | 'any' {
  return text === undefined ? 'master' : oneOf('--via', text, ['master', 'self', 'any'])
}

const show = action({
  words: 'show', args: 'BRIDGE', summary: 'the entries, sorted by port, VLAN and address',
  details: ['AGE: seconds since the address was seen as a source; USED: since a frame was sent to it.'],
  options: {
    port: PORT, vlan: VLAN,
    state: { type: 'value', value: 'STATE,...', help: 'only learned, stale, static or permanent ones' },
    via: VIA,
  },
  run(invocation) {
    const { args: [name], options: { port, vlan, state, via }, json, out } = invocation
    const filter: CamFilter = {
      port, via: viaOf(via), ...(vlan === undefined ? {} : { vlan: vlanOrNone(vlan) }),
      ...(state === undefined ? {} : { state: someOf('--state', state, ['learned', 'stale', 'static', 'permanent']) }),
    }
    const entries = sortEntries(withBridge(invocation, name!, (bridge) => bridge.cam.entries(filter)))
    if (json) out.json(entries)
    else printEntries(out, entries)
  },
})

const lookup = action({
  words: 'lookup', args: 'BRIDGE MAC', summary: 'the entry of one address, in one VLAN or in all; exit status 1 if there is none',
  options: { vlan: { ...VLAN, help: 'only in this VLAN; none for the entry without one' } },
  run(invocation) {
    const { args: [name, mac], options: { vlan }, json, out } = invocation
    const entries = withBridge(invocation, name!, (bridge) => {
      if (vlan === undefined) return sortEntries(bridge.cam.lookupAll(mac!))
      const entry = bridge.cam.lookup(mac!, { vlan: vlanOrNone(vlan) })
      return entry === undefined ? [] : [entry]
    })
    if (json) out.json(entries)
    else if (entries.length > 0) printEntries(out, entries)
    if (entries.length > 0) return
    throw new NfkitError('ENOENT', `${mac} is not in the CAM table of ${name}${vlan === undefined ? '' : `, VLAN ${vlan}`}`)
  },
})

const watch = action({
  words: 'watch', args: 'BRIDGE', summary: 'follow the table: a live one on a terminal, else a line for each change',
  details: [
    'On a terminal q or Ctrl-C ends it with exit status 0. On a pipe, in a file or with --json it goes on until it is',
    'interrupted (exit status 130, as with tail -f) or the bridge is deleted (0). Aged is inferred: an entry that was',
    'over its time when it went. overrun: changes came faster than they were read, and some are lost; the live table then',
    'reads everything again.',
  ],
  options: {
    port: { ...PORT, help: 'only of this port, and what moves away from it' }, vlan: VLAN, via: VIA,
    ...WATCH_OPTIONS,
    lines: { type: 'flag', help: 'lines on a terminal too' },
  },
  async run(invocation) {
    const { args: [name], options: { port, vlan, via: viaText, initial = false, resync = false, lines = false }, json, out } = invocation
    const via = viaOf(viaText)
    const wantedVlan = vlan === undefined ? undefined : vlanOrNone(vlan)
    const wanted = (entry: CamEntry, from?: string) =>
      (port === undefined || entry.port === port || from === port) && (wantedVlan === undefined || entry.vlan === wantedVlan)
    const live = out.isTerminal && !json && !lines && process.env['TERM'] !== 'dumb'
    const open = ({ cam }: Bridge) => {
      // Refuses wrong values and a port that is not there before it begins.
      if (port !== undefined || wantedVlan !== undefined) cam.entries({ port, vlan: wantedVlan })
      return cam.watch({ via, resync: resync || live })
    }
    if (!live) {
      return follow<CamLine>(invocation as Invocation, initial, {
        open, present: ({ cam }) => sortEntries(cam.entries({ via })).map((entry) => ({ type: 'present', entry })), text: changeText, width: 7,
        filter: (line) => line.type === 'overrun' || wanted(line.entry, line.type === 'moved' ? line.from : undefined),
      })
    }
    const bridge = Bridge.open(name!, invocation.netns)
    try {
      if (await liveCam(out, name!, bridge.cam, open(bridge), wanted, via)) out.note(`${name} was deleted`)
    } finally {
      bridge.close()
    }
  },
})

const add = action({
  words: 'add', args: 'BRIDGE MAC PORT', summary: 'add an entry, static unless told otherwise',
  details: ['The name of the bridge as PORT makes an address of the bridge itself; it needs --permanent.'],
  options: {
    vlan: { type: 'value', value: 'VLAN', help: 'in this VLAN; without it a filtering bridge takes every VLAN of the port' },
    static: { type: 'flag', help: 'does not age, frames leave by the port' },
    permanent: { type: 'flag', help: 'an address of this box' },
    dynamic: { type: 'flag', help: 'as if learned now, ages' },
    sticky: { type: 'flag', help: 'stays on this port whatever is learned' },
    'extern-learned': { type: 'flag', help: 'belongs to a control plane: the bridge does not age it' },
    via: { type: 'value', value: 'master|self', help: "self: the device's own list instead of the bridge's table" },
    replace: { type: 'flag', help: 'change the entry if there is one' },
  },
  run(invocation) {
    const { args: [name, mac, port], options, json, out } = invocation
    const states = (['static', 'permanent', 'dynamic'] as const).filter((state) => options[state] === true)
    if (states.length > 1) throw new UsageError(`--${states[0]} and --${states[1]} exclude each other`)
    const vlan = options.vlan === undefined ? null : integer('--vlan', options.vlan)
    const via = options.via === undefined ? 'master' : oneOf('--via', options.via, ['master', 'self'])
    const spec: CamSpec = {
      mac: mac!, port: port!, vlan, via, state: states[0], sticky: options.sticky, externLearned: options['extern-learned'],
    }
    withBridge(invocation, name!, ({ cam }) => {
      if (options.replace === true) cam.replace(spec)
      else cam.add(spec)
      if (json) out.json(vlan === null ? cam.entries({ port, via }).filter((entry) => isSame(entry.mac, mac!)) : [cam.lookup(mac!, { vlan })])
    })
  },
})

function isSame(a: string, b: string): boolean { return a === b.toLowerCase().replaceAll('-', ':') }

const remove = action({
  words: 'delete', args: 'BRIDGE MAC', summary: 'delete an entry, whatever its state',
  options: {
    vlan: { type: 'value', value: 'VLAN', help: 'the entry of this VLAN; without it the one that has none' },
    port: { type: 'value', value: 'PORT', help: 'only if it is on this port; looked up when left out' },
    via: { type: 'value', value: 'master|self', help: "self: the device's own list instead of the bridge's table" },
  },
  run(invocation) {
    const { args: [name, mac], options: { vlan, port, via }, json, out } = invocation
    const key: CamKey = {
      mac: mac!, port, vlan: vlan === undefined ? null : integer('--vlan', vlan),
      via: via === undefined ? 'master' : oneOf('--via', via, ['master', 'self']),
    }
    withBridge(invocation, name!, ({ cam }) => cam.delete(key))
    if (json) out.json({ deleted: { ...key, bridge: name } })
  },
})

const flush = action({
  words: 'flush', args: 'BRIDGE', summary: 'remove what was learned; addresses of the box itself stay',
  options: {
    port: { ...PORT, help: 'only of this port' },
    vlan: { type: 'value', value: 'VLAN', help: 'only of this VLAN' },
    state: { type: 'value', value: 'learned|static|all', help: 'what was learned (default), what was set by hand, or both' },
  },
  run(invocation) {
    const { args: [name], options: { port, vlan, state }, json, out } = invocation
    const filter: CamFlushFilter = {
      port, ...(vlan === undefined ? {} : { vlan: integer('--vlan', vlan) }),
      state: state === undefined ? 'learned' : oneOf('--state', state, ['learned', 'static', 'all']),
    }
    withBridge(invocation, name!, ({ cam }) => cam.flush(filter))
    if (json) out.json({ flushed: { bridge: name, ...filter } })
  },
})

export const cam: Command = { name: 'cam', actions: [show, lookup, watch, add, remove, flush] }
