// SPDX-License-Identifier: MIT
// nfkit bridge

import { Bridge, type BridgeChanges } from '../../bridge/bridge.js'
import type { BridgeStatus } from '../../bridge/status.js'
import { action, type Command, type Invocation } from '../action.js'
import { givenSettings, settingOptions } from '../settings.js'
import { UsageError } from '../usage.js'
import { withBridge } from '../with-bridge.js'
import { addressAdd, addressDelete } from './bridge-address.js'
import { bridgeWatch } from './bridge-changes.js'
import { portAdd, portRemove, portSet, portShow } from './bridge-port.js'
import { BRIDGE_SETTINGS } from './bridge-settings.js'
import { type BridgeReport, printBridge, printBridges } from './bridge-text.js'

function report(bridge: Bridge, status: BridgeStatus = bridge.status()): BridgeReport {
  return {
    ...status, addresses: bridge.addresses(), ports: bridge.ports(), ...(status.vlan?.filtering === true ? { vlans: bridge.vlans.list() } : {}),
  }
}

function list({ netns, json, out }: Invocation): void {
  const bridges = Bridge.list(netns).map((status) => withBridge({ netns }, status.name, (bridge) => report(bridge, status)))
  if (json) out.json(bridges)
  else printBridges(out, bridges)
}

const listBridges = action({ words: '', args: '', summary: 'the bridges, a line for each', options: {}, run: list })

const show = action({
  words: 'show', args: '[BRIDGE]', summary: 'everything about one bridge: settings, spanning tree, timers, ports, VLANs', options: {},
  run(invocation) {
    const { args: [name], json, out } = invocation
    if (name === undefined) return list(invocation)
    withBridge(invocation, name, (bridge) => {
      if (json) out.json(report(bridge))
      else printBridge(out, report(bridge))
    })
  },
})

const add = action({
  words: 'add', args: 'BRIDGE', summary: 'create a bridge, up unless told otherwise', options: settingOptions(BRIDGE_SETTINGS),
  run({ args: [name], options, netns, json, out }) {
    const bridge = Bridge.create(name!, { ...givenSettings(BRIDGE_SETTINGS, options) as BridgeChanges, ...netns })
    try {
      if (json) out.json(report(bridge))
    } finally {
      bridge.close()
    }
  },
})

const set = action({
  words: 'set', args: 'BRIDGE', summary: 'change settings of a bridge: all that are given, or none', options: settingOptions(BRIDGE_SETTINGS),
  run(invocation) {
    const { args: [name], options, json, out } = invocation
    const changes = givenSettings(BRIDGE_SETTINGS, options) as BridgeChanges
    if (Object.keys(changes).length === 0) throw new UsageError('what to set is missing')
    withBridge(invocation, name!, (bridge) => {
      bridge.set(changes)
      if (json) out.json(report(bridge))
    })
  },
})

const remove = action({
  words: 'delete', args: 'BRIDGE', summary: 'delete a bridge; its ports stay, as devices of their own', options: {},
  run({ args: [name], netns, json, out }) {
    Bridge.delete(name!, netns)
    if (json) out.json({ deleted: name })
  },
})

export const bridge: Command = {
  name: 'bridge',
  actions: [listBridges, show, add, set, remove, bridgeWatch, portShow, portAdd, portSet, portRemove, addressAdd, addressDelete],
}
