// SPDX-License-Identifier: MIT
// nfkit vlan

import type { VlanEntry } from '../../bridge/vlan-entry.js'
import type { VlanChange } from '../../bridge/vlan-watch.js'
import type { VlanIds, VlanOptions, VlanStatistics } from '../../bridge/vlan.js'
import type { PortMulticastRouterMode, PortState } from '../../wire/link-kinds/bridge-port.js'
import { action, type Command, type Invocation, type OptionSpecs, type OptionValues } from '../action.js'
import { follow, WATCH_DETAILS, WATCH_OPTIONS } from '../follow.js'
import { quote } from '../parse.js'
import { givenSettings, count, on, settingOptions, type Settings, text } from '../settings.js'
import type { Column } from '../table.js'
import { byName } from '../text.js'
import { UsageError } from '../usage.js'
import { integer } from '../values.js'
import { withBridge } from '../with-bridge.js'
import { printVlans, vlanRange } from './bridge-text.js'

/** What can be set for one VLAN of one port. */
const VLAN_SETTINGS: Settings = {
  state: text('STATE', 'disabled, listening, learning, forwarding or blocking in this VLAN'),
  multicastRouter: text('disabled|auto|permanent|temporary', 'whether multicast goes there as to a router (Linux 5.15)'),
  multicastMaxGroups: count('most groups to be joined, 0 for no limit (Linux 6.3)'),
  neighbourSuppress: on('answer ARP and neighbour discovery here (Linux 6.4)'),
  tunnelId: text('ID', 'tunnel id that the VLAN is mapped to, none to remove it'),
}

const SELF = 'PORT is self for the bridge itself; VLAN is one, 1 to 4094, or a range such as 10-19.'

/** `10` or `10-19`. */
function vlanIds(word: string): VlanIds {
  const range = /^(\d+)-(\d+)$/.exec(word)
  if (range !== null) return [Number(range[1]), Number(range[2])]
  if (!/^\d+$/.test(word)) throw new UsageError(`VLAN: expected a VLAN or a range such as 10-19, got ${quote(word)}`)
  return Number(word)
}

function vlanOptions(options: OptionValues): VlanOptions {
  const { state, multicastRouter, tunnelId, ...rest } = givenSettings(VLAN_SETTINGS, options) as Record<string, string>
  return {
    ...rest as VlanOptions, state: state as PortState | undefined, multicastRouter: multicastRouter as PortMulticastRouterMode | undefined,
    tunnelId: tunnelId === undefined ? undefined : tunnelId === 'none' ? null : integer('--tunnel-id', tunnelId),
  }
}

const STATISTICS: readonly Column<VlanStatistics>[] = [
  { header: 'PORT', cell: ({ port }) => port, style: () => 'bold' },
  { header: 'VLAN', cell: ({ vid }) => String(vid), align: 'right' },
  { header: 'RX PACKETS', cell: ({ rxPackets }) => String(rxPackets), align: 'right' },
  { header: 'RX BYTES', cell: ({ rxBytes }) => String(rxBytes), align: 'right' },
  { header: 'TX PACKETS', cell: ({ txPackets }) => String(txPackets), align: 'right' },
  { header: 'TX BYTES', cell: ({ txBytes }) => String(txBytes), align: 'right' },
]

const show = action({
  words: 'show', args: 'BRIDGE', summary: 'the VLANs of the ports and of the bridge itself',
  options: {
    port: { type: 'value', value: 'PORT', help: 'only of this port, self for the bridge itself' },
    statistics: { type: 'flag', help: 'what was counted; needs bridge set --vlan-statistics' },
  },
  run(invocation) {
    const { args: [name], options: { port, statistics = false }, json, out } = invocation
    withBridge(invocation, name!, ({ vlans }) => {
      if (statistics) {
        const counted = vlans.statistics({ port })
        if (json) out.json(counted)
        else out.table(STATISTICS, counted.sort((a, b) => byName(a.port, b.port) || a.vid - b.vid))
      } else if (json) out.json(vlans.list({ port }))
      else printVlans(out, vlans.list({ port }))
    })
  },
})

const FLAGS = {
  pvid: { type: 'flag', help: 'untagged frames that come in belong to this VLAN' },
  untagged: { type: 'flag', help: 'frames go out without a tag' },
} as const

const ADD: OptionSpecs = {
  ...FLAGS, replace: { type: 'flag', help: 'give it these flags and options if the port has it' }, ...settingOptions(VLAN_SETTINGS),
}

const add = action({
  words: 'add', args: 'BRIDGE PORT VLAN', summary: 'add a port to a VLAN, or to a range of them', details: [SELF], options: ADD,
  run(invocation) {
    const { args: [name, port, vlan], options, json, out } = invocation
    const spec = {
      port: port!, vid: vlanIds(vlan!), pvid: options['pvid'] === true, untagged: options['untagged'] === true, ...vlanOptions(options),
    }
    withBridge(invocation, name!, ({ vlans }) => {
      if (options['replace'] === true) vlans.replace(spec)
      else vlans.add(spec)
      if (json) out.json(vlans.list({ port }))
    })
  },
})

const set = action({
  words: 'set', args: 'BRIDGE PORT VLAN', summary: 'change options of a VLAN that a port has', details: [SELF],
  options: settingOptions(VLAN_SETTINGS),
  run(invocation) {
    const { args: [name, port, vlan], options, json, out } = invocation
    const vid = vlanIds(vlan!)
    const changes = vlanOptions(options)
    if (Object.values(changes).every((value) => value === undefined)) throw new UsageError('what to set is missing')
    withBridge(invocation, name!, ({ vlans }) => {
      vlans.set({ port: port!, vid }, changes)
      if (json) out.json(vlans.list({ port }))
    })
  },
})

const remove = action({
  words: 'delete', args: 'BRIDGE PORT VLAN', summary: 'take a port out of a VLAN, or out of a range of them', details: [SELF], options: {},
  run(invocation) {
    const { args: [name, port, vlan], json, out } = invocation
    const vid = vlanIds(vlan!)
    withBridge(invocation, name!, ({ vlans }) => {
      vlans.delete({ port: port!, vid })
      if (json) out.json(vlans.list({ port }))
    })
  },
})

const watch = action({
  words: 'watch', args: 'BRIDGE', summary: 'follow the VLANs of the ports and of the bridge itself', details: WATCH_DETAILS, options: WATCH_OPTIONS,
  run(invocation) {
    const { options: { initial = false, resync = false } } = invocation
    return follow<VlanLine>(invocation as Invocation, initial, {
      open: ({ vlans }) => vlans.watch({ resync }),
      present: ({ vlans }) => vlans.list().map((entry) => ({ type: 'present', entry })),
      text: changeText, width: 7,
    })
  },
})

type VlanLine = VlanChange | { type: 'present'; entry: VlanEntry }

function changeText(change: VlanLine): string {
  if (change.type === 'overrun') return ''
  const { entry } = change
  return [entry.port, vlanRange(entry), entry.pvid ? 'pvid' : '', entry.untagged ? 'untagged' : 'tagged', entry.state]
    .filter((part) => part !== '').join('  ')
}

export const vlan: Command = { name: 'vlan', actions: [show, add, set, remove, watch] }
