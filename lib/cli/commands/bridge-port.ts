// SPDX-License-Identifier: MIT
// nfkit bridge port

import { readFileSync } from 'node:fs'
import type { AddedPort, AddPortOptions } from '../../bridge/add-port.js'
import type { Bridge } from '../../bridge/bridge.js'
import type { BridgePort, PortSettings } from '../../bridge/ports.js'
import { NfkitError } from '../../errors.js'
import { action, type OptionSpecs, type OptionValues } from '../action.js'
import { givenSettings, settingOptions } from '../settings.js'
import { printable } from '../text.js'
import { UsageError } from '../usage.js'
import { withBridge } from '../with-bridge.js'
import { PORT_SETTINGS } from './bridge-settings.js'
import { printPort, printPorts } from './bridge-text.js'

function onePort(bridge: Bridge, name: string): BridgePort {
  const port = bridge.ports().find((each) => each.name === name)
  if (port === undefined) throw new NfkitError('NFKIT_NOT_A_PORT', `${name} is not a port of ${bridge.name}`)
  return port
}

export const portShow = action({
  words: 'port show', args: 'BRIDGE [PORT]', summary: 'the ports, or everything about one', options: {},
  run(invocation) {
    const { args: [name, port], json, out } = invocation
    const ports = withBridge(invocation, name!, (bridge) => (port === undefined ? bridge.ports() : [onePort(bridge, port)]))
    if (json) out.json(port === undefined ? ports : ports[0])
    else if (port === undefined) printPorts(out, ports)
    else printPort(out, ports[0]!)
  },
})

function portSettings(options: OptionValues): PortSettings {
  const settings = givenSettings(PORT_SETTINGS, options)
  if (settings['backupPort'] === 'none') settings['backupPort'] = null
  return settings as PortSettings
}

const ADD: OptionSpecs = {
  addresses: { type: 'value', value: 'move|drop|keep', help: 'what becomes of its addresses and routes; one that has any is refused unless told' },
  up: { type: 'switch', help: 'bring the device up; it is unless told' },
  promiscuous: { type: 'switch', help: 'set its promiscuous flag; it is unless told' },
  ...settingOptions(PORT_SETTINGS),
}

export const portAdd = action({
  words: 'port add', args: 'BRIDGE PORT', summary: 'add a port, bring it up and make it promiscuous; says what was changed',
  details: ['--addresses move gives the addresses and routes of the device to the bridge, drop takes them away, keep leaves them.'],
  options: ADD,
  run(invocation) {
    const { args: [name, port], options, json, out } = invocation
    const { up, promiscuous, addresses } = options
    const addOptions = { up, promiscuous, addresses, ...portSettings(options) } as AddPortOptions
    const added = withBridge(invocation, name!, (bridge) => bridge.addPort(port!, addOptions))
    if (json) out.json(added)
    else out.lines([printable(`${added.port}: ${addedText(added, name!, options)}`)])
  },
})

/** What adding changed, for people. */
function addedText(added: AddedPort, bridge: string, { up = true, promiscuous = true }: OptionValues): string {
  const list = (addresses: AddedPort['addressesMoved']) => addresses.map(({ address }) => address).join(' ')
  const routes = (count: number) => (count === 0 ? '' : ` and ${count} ${count === 1 ? 'route' : 'routes'}`)
  const { addressesMoved, addressesDropped, routesMoved, routesDropped } = added
  return [
    `is a port of ${bridge}`,
    ...(up && !added.wasUp ? ['brought up'] : []),
    ...(promiscuous && !added.wasPromiscuous ? ['made promiscuous'] : []),
    ...(addressesMoved.length > 0 ? [`${list(addressesMoved)}${routes(routesMoved.length)} moved to ${bridge}`] : []),
    ...(addressesDropped.length > 0 ? [`${list(addressesDropped)}${routes(routesDropped.length)} dropped`] : []),
  ].join(', ')
}

export const portSet = action({
  words: 'port set', args: 'BRIDGE PORT', summary: 'change settings of a port: all that are given, or none', options: settingOptions(PORT_SETTINGS),
  run(invocation) {
    const { args: [name, port], options, json, out } = invocation
    const settings = portSettings(options)
    if (Object.keys(settings).length === 0) throw new UsageError('what to set is missing')
    withBridge(invocation, name!, (bridge) => {
      bridge.setPort(port!, settings)
      if (json) out.json(onePort(bridge, port!))
    })
  },
})

export const portRemove = action({
  words: 'port remove', args: 'BRIDGE PORT', summary: 'take a port out of a bridge; the device stays as it is unless told to restore it',
  options: {
    restore: {
      type: 'value', value: 'FILE',
      help: 'make its flags, addresses and routes what they were: what port add --json printed, - for standard input',
    },
  },
  run(invocation) {
    const { args: [name, port], options: { restore }, json, out } = invocation
    const record = restore === undefined ? undefined : readRecord(restore)
    withBridge(invocation, name!, (bridge) => bridge.removePort(port!, { restore: record }))
    if (json) out.json({ removed: port, bridge: name })
  },
})

function readRecord(file: string): AddedPort {
  const text = readFileSync(file === '-' ? 0 : file, 'utf8')
  try {
    return JSON.parse(text) as AddedPort
  } catch {
    throw new UsageError(`--restore: ${file} is not what port add --json printed`)
  }
}
