// SPDX-License-Identifier: MIT
// nfkit bridge watch

import type { BridgePort } from '../../bridge/ports.js'
import type { BridgeChange } from '../../bridge/watch.js'
import { action, type Invocation } from '../action.js'
import { follow, WATCH_DETAILS, WATCH_OPTIONS } from '../follow.js'
import { label } from '../text.js'

export const bridgeWatch = action({
  words: 'watch', args: 'BRIDGE', summary: 'follow the ports, their states, the spanning tree and the settings of a bridge',
  details: WATCH_DETAILS, options: WATCH_OPTIONS,
  run(invocation) {
    const { options: { initial = false, resync = false } } = invocation
    return follow<BridgeLine>(invocation as Invocation, initial, {
      open: (bridge) => bridge.watch({ resync }),
      present: (bridge) => bridge.ports().map((port) => ({ type: 'present', port })),
      text: changeText, width: 12,
    })
  },
})

type BridgeLine = BridgeChange | { type: 'present'; port: BridgePort }

function changeText(change: BridgeLine): string {
  switch (change.type) {
    case 'present': case 'port-added': case 'port-removed': return `${change.port.name}  ${change.port.state}`
    case 'port-state': return `${change.port.name}  ${change.from} -> ${change.to}`
    case 'port-changed': return `${change.port.name}  ${differences(change.previous, change.port)}`
    case 'stp': return differences(change.previous, change.stp)
    // The spanning tree has a line of its own.
    case 'changed': return differences({ ...change.previous, stp: undefined }, { ...change.bridge, stp: undefined })
    case 'overrun': return ''
  }
}

/** `cost 2 -> 5, hairpin no -> yes`: the fields that differ, but for timers, which always do. */
export function differences(before: object, now: object): string {
  const old = new Map(leaves(before))
  const texts: string[] = []
  for (const [path, value] of leaves(now)) {
    if (old.get(path) !== value) texts.push(`${path} ${old.get(path) ?? '-'} -> ${value}`)
    old.delete(path)
  }
  for (const [path, value] of old) texts.push(`${path} ${value} -> -`)
  return texts.join(', ')
}

function* leaves(value: object, path: readonly string[] = []): Generator<[path: string, value: string]> {
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'timers' || inner === undefined) continue
    const at = [...path, label(key)]
    if (typeof inner === 'object' && inner !== null) yield* leaves(inner as object, at)
    else yield [at.join(' '), inner === true ? 'yes' : inner === false ? 'no' : String(inner)]
  }
}
