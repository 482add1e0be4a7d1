// SPDX-License-Identifier: MIT
// The network of the paper on a bridging firewall: a box with four ports, and a host at each of them.

import type { AddedPort, Bridge } from 'nfkit'
import { type Host, Lab } from 'nfkit/lab'
import type { Printer } from './print.js'

export interface Network {
  readonly lab: Lab
  readonly box: Host
  readonly bridge: Bridge
  /** At the ports eth0 to eth3: 192.168.0.2 to 192.168.0.5. */
  readonly hosts: readonly Host[]
  /** What joining the ports to the bridge changed. */
  readonly added: readonly AddedPort[]
}

export const BRIDGE = 'br_192'
export const ADDRESS = '192.168.0.1/24'
/** Seconds. */
export const AGEING_TIME = 300
const LAST_BYTES = [2, 3, 4, 5]

/** One act of the demonstration. It may count on the network as the acts before it left it, and leaves it usable. */
export interface Act {
  readonly title: string
  run(network: Network, out: Printer): Promise<void>
}

/** Wires the hosts to the box and makes the box a bridge. */
export async function buildNetwork(): Promise<Network> {
  const lab = await Lab.create()
  try {
    // Without IPv6 nobody speaks unasked, so that the CAM table shows what the demonstration does and nothing else.
    const box = lab.box('box', { ipv6: false })
    const hosts = LAST_BYTES.map((last, i) => {
      const host = lab.host(`host${last}`, { ipv6: false })
      lab.wire({ host, name: 'eth0', addresses: [`192.168.0.${last}/24`] }, { host: box, name: `eth${i}` })
      return host
    })
    const bridge = box.bridge(BRIDGE, { ageingTime: AGEING_TIME, stp: { enabled: true, helloTime: 1, forwardDelay: 2 } })
    const added = hosts.map((_, i) => bridge.addPort(`eth${i}`, { addresses: 'drop' }))
    bridge.addAddress(ADDRESS)
    return { lab, box, bridge, hosts, added }
  } catch (error) {
    lab.close()
    throw error
  }
}

/** The host's interface towards the box has this MAC address. */
export function macOf(host: Host): string {
  return host.interfaces().find(({ name }) => name === 'eth0')?.mac ?? ''
}
