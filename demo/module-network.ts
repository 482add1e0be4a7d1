// SPDX-License-Identifier: MIT
// The network of the acts that need the kernel module: a box that forwards between two hosts, and has two ports for monitors.

import { type Host, Lab } from 'nfkit/lab'
import type { Printer } from './print.js'

export interface ModuleNetwork {
  readonly lab: Lab
  readonly client: Host
  readonly server: Host
  readonly box: Host
  /** At the box's eth5 and eth6. */
  readonly monitors: readonly [Host, Host]
  /** Directory of the mirrors' journals. */
  readonly journal: string
}

/** One act. It leaves the network as it found it. */
export interface ModuleAct {
  readonly title: string
  run(network: ModuleNetwork, out: Printer): Promise<void>
}

/** Nobody sends anything unasked, so that counters show what the acts do and nothing else. */
export async function buildModuleNetwork(journal: string): Promise<ModuleNetwork> {
  const lab = await Lab.create()
  try {
    const quiet = { ipv6: false } as const
    const [client, server] = [lab.host('client', quiet), lab.host('server', quiet)]
    const monitors = [lab.host('monitor1', quiet), lab.host('monitor2', quiet)] as const
    const box = lab.box('box', { ...quiet, forwarding: true })
    lab.wire({ host: box, name: 'eth0', addresses: ['10.0.1.1/24'] }, { host: client, name: 'eth0', addresses: ['10.0.1.2/24'] })
    lab.wire({ host: box, name: 'eth1', addresses: ['10.0.2.1/24'] }, { host: server, name: 'eth0', addresses: ['10.0.2.2/24'] })
    lab.wire({ host: box, name: 'eth5' }, { host: monitors[0], name: 'eth0' })
    lab.wire({ host: box, name: 'eth6' }, { host: monitors[1], name: 'eth0' })
    client.addRoute({ destination: 'default', gateway: '10.0.1.1' })
    server.addRoute({ destination: 'default', gateway: '10.0.2.1' })
    return { lab, client, server, box, monitors, journal }
  } catch (error) {
    lab.close()
    throw error
  }
}

export function drawNetwork(out: Printer): void {
  out.drawing([
    '+--------+ eth0 +-------+ eth1 +--------+',
    '| client |------|  box  |------| server |',
    '+--------+      +-------+      +--------+',
    '10.0.1.2     eth5 |   | eth6    10.0.2.2',
    '        +----------+ +----------+',
    '        | monitor1 | | monitor2 |',
    '        +----------+ +----------+',
  ], { client: 'bold', server: 'bold', monitor1: 'bold', monitor2: 'bold', box: 'bold', eth0: 'cyan', eth1: 'cyan', eth5: 'cyan', eth6: 'cyan' })
}
