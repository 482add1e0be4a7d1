// SPDX-License-Identifier: MIT
// The network of the kernel benchmarks: this namespace sends, a box forwards to a sink or takes the packets itself, and copies
// leave the box by other wires, each of which ends in a device that counts what it gets and drops it. There are two of these: once a
// namespace had policy rules, it routes more slowly for good.
//
// It is not one of lib/lab: that has the kernel stamp every packet, which costs.

import { spawnSync } from 'node:child_process'
import { Netns } from '../../lib/index.js'

/** What becomes of the originals: they leave by `eth1`, or end in the chain INPUT. */
export type Path = 'FORWARD' | 'INPUT'

/** Where copies can leave the box: `m0` to `m2` are mirror ports without ARP or address, behind `gw` is a host, 10.3.0.1. */
export type Output = 'm0' | 'm1' | 'm2' | 'gw'

export const OUTPUTS: readonly Output[] = ['m0', 'm1', 'm2', 'gw']
export const GATEWAY = '10.3.0.1'
/** How the box is set up: `routed` has what docs/module.md asks for before `-j CLONE --mark`, with the mark {@link MARK} and the port m0. */
export type Setup = 'plain' | 'routed'
export const MARK = '0x10'
export const BOX_MAC = '02:00:00:00:00:02'
export const DESTINATION: Readonly<Record<Path, string>> = { FORWARD: '10.2.0.1', INPUT: '10.1.0.254' }

const SINK_MAC = '02:00:00:00:02:01'
const GATEWAY_MAC = '02:00:00:00:03:01'

export interface Network {
  /** The device that the originals are sent by. */
  readonly sender: string
  readonly box: Netns
  /** Where every wire of the box ends, but the sender's. */
  readonly ends: Netns
}

/** Runs shell commands in a namespace, which all have to end well. */
export function commands(netns: Netns, lines: readonly string[]): string {
  if (lines.length === 0) return ''
  const { error, status, stdout, stderr } = spawnSync('nsenter', [`--net=${netns.path}`, '--', 'sh', '-ec', lines.join('\n')], { encoding: 'utf8' })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${lines.join('; ')}: status ${status}: ${stderr.trim()}`)
  return stdout
}

export function makeNetwork(setup: Setup): Network {
  const sender = `to-${setup}`
  const here = Netns.current()
  const box = Netns.create()
  const ends = Netns.create()
  for (const netns of [here, box, ends]) {
    netns.writeSysctl('net/ipv6/conf/all/disable_ipv6', 1)
    netns.writeSysctl('net/ipv6/conf/default/disable_ipv6', 1)
  }
  // Copies and originals may wait for the end of a run, but none is lost.
  here.writeSysctl('net/core/netdev_max_backlog', 1_000_000)

  const wire = (from: Netns, name: string, mac: string, to: Netns, other: string, otherMac: string) => {
    commands(from, [`ip link add ${name} address ${mac} type veth peer name ${other} address ${otherMac} netns ${to.path}`, `ip link set ${name} up`])
    commands(to, [`ip link set ${other} up`])
  }
  wire(here, sender, '02:00:00:00:00:01', box, 'eth0', BOX_MAC)
  wire(box, 'eth1', '02:00:00:00:02:02', ends, 'eth1', SINK_MAC)
  OUTPUTS.forEach((name, i) => {
    wire(box, name, `02:00:00:00:04:0${i}`, ends, name, name === 'gw' ? GATEWAY_MAC : `02:00:00:00:05:0${i}`)
  })
  // Whoever gets a frame counts it and lets go of it, whatever address it has, so that no way of copying pays for the receiver's routing:
  // ports of a bridge that is down.
  commands(ends, ['ip link add drain type bridge', ...['eth1', ...OUTPUTS].map((name) => `ip link set ${name} master drain`)])
  box.writeSysctl('net/ipv4/ip_forward', 1)
  commands(box, [
    'ip link set lo up',
    'ip addr add 10.1.0.254/24 dev eth0',
    'ip neigh add 10.1.0.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent',
    'ip addr add 10.2.0.254/24 dev eth1',
    `ip neigh add ${DESTINATION.FORWARD} lladdr ${SINK_MAC} dev eth1 nud permanent`,
    'ip addr add 10.3.0.254/24 dev gw',
    `ip neigh add ${GATEWAY} lladdr ${GATEWAY_MAC} dev gw nud permanent`,
    'for port in m0 m1 m2; do ip link set $port arp off; done',
    // A box that has rules with CLONE has iptables; the table is there with and without a copy.
    'iptables-legacy -A INPUT -i eth0 -j DROP',
    ...(setup === 'plain' ? [] : [
      'ip route add default dev m0 table 100',
      `ip rule add fwmark ${MARK} lookup 100 priority 10`,
      'ip rule add priority 20 lookup local',
      'ip rule del priority 0',
    ]),
  ])
  here.close()
  return { sender, box, ends }
}

/** How many packets each device at an end got, `eth1` being the sink. */
export function received({ ends }: Network): Map<string, number> {
  const lines = ends.readProc('dev').split('\n').slice(2)
  return new Map(lines.map((line) => {
    const [name = '', , packets = ''] = line.trim().split(/[:\s]+/)
    return [name, Number(packets)]
  }))
}

/** How many packets the box dropped in INPUT. */
export function droppedInInput({ box }: Network): number {
  const match = /^\[(\d+):\d+\] -A INPUT -i eth0 -j DROP$/m.exec(commands(box, ['iptables-legacy-save -t filter -c']))
  if (match === null) throw new Error('the rule at the end of INPUT is not there')
  return Number(match[1])
}

/** How many packets wait in the backlogs of all CPUs. */
export function waiting({ box }: Network): number {
  return box.readProc('softnet_stat').trim().split('\n').reduce((sum, line) => sum + parseInt(line.trim().split(/\s+/)[11] ?? '0', 16), 0)
}
