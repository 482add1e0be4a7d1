// SPDX-License-Identifier: MIT
// Bridges and ports as text for people.

import type { BridgePort } from '../../bridge/ports.js'
import type { BridgeStatus } from '../../bridge/status.js'
import type { VlanEntry } from '../../bridge/vlan-entry.js'
import type { AddressInfo } from '../../net/address.js'
import type { BridgeId } from '../../wire/link-kinds/bridge.js'
import type { Output } from '../output.js'
import { byName, label, printable } from '../text.js'
import type { Column } from '../table.js'
import type { Style } from '../style.js'

/** A bridge with what belongs to it: what `nfkit bridge --json` prints. */
export interface BridgeReport extends BridgeStatus {
  /** Of the bridge itself. */
  addresses: AddressInfo[]
  ports: BridgePort[]
  /** VLANs of the ports and of the bridge itself, where the kernel can filter them. */
  vlans?: VlanEntry[]
}

/** As brctl and the standard write it: the priority, then the MAC address, in hexadecimal. */
function bridgeIdText({ priority, mac }: BridgeId): string {
  return `${priority.toString(16).padStart(4, '0')}.${mac.replaceAll(':', '')}`
}

function condition({ up, running }: { up: boolean; running: boolean }): string {
  return running ? 'running' : up ? 'up' : 'down'
}

function conditionStyle(of: { up: boolean; running: boolean }): Style {
  return of.running ? 'green' : of.up ? 'yellow' : 'dim'
}

const LIST: readonly Column<BridgeReport>[] = [
  { header: 'NAME', cell: ({ name }) => name, style: () => 'bold' },
  { header: 'STATE', cell: condition, style: conditionStyle },
  { header: 'BRIDGE ID', cell: ({ stp }) => bridgeIdText(stp.bridgeId) },
  { header: 'STP', cell: ({ stp }) => (!stp.enabled ? 'off' : stp.isRoot ? 'root' : 'on') },
  { header: 'VLANS', cell: ({ vlan }) => (vlan?.filtering === true ? 'filtered' : 'off') },
  { header: 'AGEING', cell: ({ ageingTime }) => `${ageingTime} s`, align: 'right' },
  { header: 'PORTS', cell: ({ ports }) => (ports.length === 0 ? '-' : ports.map(({ name }) => name).join(' ')), shrinks: true },
]

export function printBridges(out: Output, bridges: readonly BridgeReport[]): void {
  out.table(LIST, bridges)
}

const PORT_STATE: Record<BridgePort['state'], Style> = {
  forwarding: 'green', learning: 'yellow', listening: 'yellow', blocking: 'red', disabled: 'dim',
}

/** What a port does unless told otherwise: only the rest is worth a word. */
const ON_BY_DEFAULT = ['learning', 'unicastFlood', 'multicastFlood', 'broadcastFlood'] as const
const OFF_BY_DEFAULT = [
  'hairpin', 'guard', 'protect', 'fastLeave', 'multicastToUnicast', 'proxyarp', 'proxyarpWifi', 'neighbourSuppress', 'neighbourVlanSuppress',
  'vlanTunnel', 'isolated', 'locked', 'mab',
] as const

function remarks(port: BridgePort): string {
  const texts = [
    ...ON_BY_DEFAULT.filter((name) => port[name] === false).map((name) => `no ${label(name)}`),
    ...OFF_BY_DEFAULT.filter((name) => port[name] === true).map(label),
  ]
  if (port.multicastRouter !== undefined && port.multicastRouter !== 'auto') texts.push(`multicast router ${port.multicastRouter}`)
  if (port.backupPort !== undefined) texts.push(`backup ${port.backupPort}`)
  return texts.join(', ')
}

const PORTS: readonly Column<BridgePort>[] = [
  { header: 'NO', cell: ({ number }) => String(number), align: 'right' },
  { header: 'PORT', cell: ({ name }) => name, style: () => 'bold' },
  { header: 'LINK', cell: condition, style: conditionStyle },
  { header: 'STATE', cell: ({ state }) => state, style: ({ state }) => PORT_STATE[state] },
  { header: 'COST', cell: ({ cost }) => String(cost), align: 'right' },
  { header: 'PRIO', cell: ({ priority }) => String(priority), align: 'right' },
  { header: 'DESIGNATED BRIDGE', cell: ({ designatedBridge }) => bridgeIdText(designatedBridge) },
  { header: 'PORT ID', cell: ({ designatedPort }) => designatedPort.toString(16).padStart(4, '0') },
  { header: 'TIMERS', cell: ({ timers }) => running(timers) },
  { header: 'SETTINGS', cell: remarks, shrinks: true },
]

/** The timers that run. */
function running(timers: Readonly<Record<string, number>>): string {
  return Object.entries(timers).filter(([, left]) => left > 0).map(([name, left]) => `${label(name)} ${left.toFixed(2)}`).join(', ')
}

const VLANS: readonly Column<VlanEntry>[] = [
  { header: 'PORT', cell: ({ port }) => port, style: () => 'bold' },
  { header: 'VLAN', cell: vlanRange, align: 'right' },
  { header: 'PVID', cell: ({ pvid }) => (pvid ? 'yes' : '') },
  { header: 'EGRESS', cell: ({ untagged }) => (untagged ? 'untagged' : 'tagged') },
  { header: 'STATE', cell: ({ state }) => state, style: ({ state }) => PORT_STATE[state] },
  { header: 'TUNNEL', cell: ({ tunnelId }) => (tunnelId === undefined ? '' : String(tunnelId)), align: 'right' },
]

export function vlanRange({ vid, vidEnd }: { vid: number; vidEnd: number }): string {
  return vid === vidEnd ? String(vid) : `${vid}-${vidEnd}`
}

export function printVlans(out: Output, vlans: readonly VlanEntry[], indent = 0): void {
  out.table(VLANS, [...vlans].sort((a, b) => byName(a.port, b.port) || a.vid - b.vid), { indent, hideEmpty: true })
}

export function printPorts(out: Output, ports: readonly BridgePort[], indent = 0): void {
  out.table(PORTS, ports, { indent, hideEmpty: true })
}

/** Fields in seconds, whatever group they are in. */
const SECONDS = /(Time|Interval|maxAge|forwardDelay)$/

/** The groups of a bridge in the order that people read them. */
export function printBridge(out: Output, report: BridgeReport): void {
  const { name, index, mac, mtu, up, running: _running, stp, vlan, multicast, netfilter, addresses, ports, vlans, unknown, ...rest } = report
  const { timers, root, bridgeId, designatedRoot, isRoot, enabled: _enabled, mode, ...spanningTree } = stp
  const { paint } = out
  const state = up && condition(report) === 'running' ? 'up, running' : condition(report)
  out.lines([`${paint('bold', printable(name))}  ${paint(conditionStyle(report), state)}`])
  printFields(out, {
    index, mac, mtu: `${mtu} bytes`, addresses: addresses.length === 0 ? 'none' : addresses.map(({ address }) => address).join(' '), ...rest,
  })
  const rootPort = ports.find(({ number }) => number === stp.rootPort)?.name
  section(out, `spanning tree: ${mode === 'off' ? 'off' : `on (${mode})`}`, {
    bridgeId: bridgeIdText(bridgeId), designatedRoot: `${bridgeIdText(designatedRoot)}${isRoot ? ', this bridge' : ''}`, ...spanningTree,
    rootPort: stp.rootPort === 0 ? 'none' : `${stp.rootPort}${rootPort === undefined ? '' : ` (${rootPort})`}`,
    ...Object.fromEntries(Object.entries(root).map(([key, value]) => [`root ${label(key)}`, secondsText(value)])),
  })
  section(out, 'timers, seconds left', Object.fromEntries(Object.entries(timers).map(([key, left]) => [key, left === 0 ? '-' : left.toFixed(2)])))
  if (multicast !== undefined) section(out, `multicast: snooping ${multicast.snooping === true ? 'on' : 'off'}`, without(multicast, 'snooping'))
  if (netfilter !== undefined) section(out, 'netfilter', netfilter)
  if (vlan !== undefined) section(out, `VLANs: filtering ${vlan.filtering === true ? 'on' : 'off'}`, without(vlan, 'filtering'))
  if (vlan?.filtering === true && vlans !== undefined) {
    out.lines([''])
    printVlans(out, vlans, 2)
  }
  if (unknown !== undefined) section(out, 'attributes without a name', Object.fromEntries(unknown.map(({ type, data }) => [`#${type}`, data])))
  out.lines(['', paint('bold', ports.length === 0 ? 'ports: none' : 'ports')])
  if (ports.length > 0) printPorts(out, ports, 2)
}

/** Every field of one port. */
export function printPort(out: Output, { name, timers, designatedRoot, designatedBridge, unknown, ...rest }: BridgePort): void {
  out.lines([out.paint('bold', printable(name))])
  printFields(out, {
    ...rest, designatedRoot: bridgeIdText(designatedRoot), designatedBridge: bridgeIdText(designatedBridge),
    ...Object.fromEntries(Object.entries(timers).map(([key, left]) => [`timer ${label(key)}`, left === 0 ? '-' : `${left.toFixed(2)} s`])),
    ...Object.fromEntries((unknown ?? []).map(({ type, data }) => [`attribute #${type}`, data])),
  })
}

function section(out: Output, title: string, fields: object): void {
  out.lines(['', out.paint('bold', title)])
  printFields(out, fields)
}

function without<T extends object>(fields: T, key: keyof T): object {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => name !== key))
}

function printFields(out: Output, fields: object): void {
  const rows = Object.entries(fields).filter(([, value]) => value !== undefined).map(([key, value]) => [label(key), valueText(key, value)] as const)
  const width = rows.reduce((widest, [label]) => Math.max(widest, label.length), 0)
  out.lines(rows.map(([label, value]) => `  ${out.paint('dim', label.padEnd(width))}  ${printable(value)}`))
}

function valueText(key: string, value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'number' && SECONDS.test(key)) return secondsText(value)
  if (typeof value === 'number' && /mask$/i.test(key)) return `0x${value.toString(16)}`
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).map(([name, inner]) => `${label(name)} ${valueText(name, inner)}`).join(', ')
  }
  return String(value)
}

function secondsText(value: number): string { return `${value} s` }
