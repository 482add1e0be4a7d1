// SPDX-License-Identifier: MIT
// Hooks of the kernel module, a network with all of their points in it, and what came through.

import type { Test } from 'tap'
import { type Host, Lab, type UdpSocket } from '../../lib/lab/index.js'
import { ModuleDevice } from '../../lib/clone/device.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { HOOK_POINTS, type HookPoint } from '../../lib/wire/module/hook-points.js'
import type { HookConfig, HookProgram, HookStats } from '../../lib/wire/module/hook.js'
import type { CloneConfig } from '../../lib/wire/module/target.js'
import type { LinkType } from '../../lib/wire/packet-match/field.js'
import { PacketMatch } from '../../lib/wire/packet-match/packet-match.js'
import type { PacketMatchSpec } from '../../lib/wire/packet-match/tree.js'
import { until } from './module.js'

/** What the tests send, and what tells that all of it has passed. */
export const PORT = 9000
export const END_PORT = 9001

/** That of ebtables' table filter. At 0 br_netfilter would come before the hook, which it leaves out then (br_nf_hook_thresh). */
const NF_BR_PRI_FILTER_BRIDGED = -200

export const FAMILIES = ['ipv4', 'ipv6'] as const

/**
 * The box has h1 and h2 at eth0 and eth1 and forwards between them, a monitor at eth2, and b1 and b2 at the ports eth3 and eth4 of its bridge
 * br0. Its addresses end in 254 and fe, theirs in 1 and 2: 192.168.1.0/24 and fd01::/64 at eth0, 2 at eth1, 3 at br0.
 */
export interface HookLab { lab: Lab; h1: Host; h2: Host; b1: Host; b2: Host; monitor: Host; box: Host; device: ModuleDevice }

export async function hookLab(t: Test): Promise<HookLab> {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const [h1, h2, monitor, b1, b2] = ['h1', 'h2', 'monitor', 'b1', 'b2'].map((name) => lab.host(name, { ipv6: name !== 'monitor' })) as [Host, Host, Host, Host, Host]
  const box = lab.box('box', { forwarding: true })
  const ends = (net: number, host: number) => [`192.168.${net}.${host}/24`, `fd0${net}::${host === 254 ? 'fe' : host}/64`]
  lab.wire({ host: box, addresses: ends(1, 254) }, { host: h1, addresses: ends(1, 1) })
  lab.wire({ host: box, addresses: ends(2, 254) }, { host: h2, addresses: ends(2, 2) })
  lab.wire({ host: box }, { host: monitor })
  for (const [host, n] of [[h1, 1], [h2, 2]] as const) {
    host.addRoute({ destination: 'default', gateway: `192.168.${n}.254` })
    host.addRoute({ destination: '::/0', gateway: `fd0${n}::fe` })
  }
  const bridge = box.bridge('br0')
  lab.wire({ host: box, name: 'eth3' }, { host: b1, addresses: ends(3, 1) })
  lab.wire({ host: box, name: 'eth4' }, { host: b2, addresses: ends(3, 2) })
  for (const port of ['eth3', 'eth4']) bridge.addPort(port)
  for (const address of ends(3, 254)) box.addAddress('br0', address)
  const device = ModuleDevice.open(box.netns)
  t.teardown(() => device.close())
  return { lab, h1, h2, b1, b2, monitor, box, device }
}

/** A way through the box by which packets meet a hook point. */
export interface Way { from: 'h1' | 'b1' | 'box'; to: 'box' | 'h2' | 'b2'; net: 1 | 2 | 3 }

export const WAYS: Readonly<Record<HookPoint, Way>> = {
  prerouting: { from: 'h1', to: 'box', net: 1 },
  'local-in': { from: 'h1', to: 'box', net: 1 },
  forward: { from: 'h1', to: 'h2', net: 2 },
  'local-out': { from: 'box', to: 'h2', net: 2 },
  postrouting: { from: 'h1', to: 'h2', net: 2 },
  'bridge-prerouting': { from: 'b1', to: 'b2', net: 3 },
  'bridge-local-in': { from: 'b1', to: 'box', net: 3 },
  'bridge-forward': { from: 'b1', to: 'b2', net: 3 },
  'bridge-local-out': { from: 'box', to: 'b2', net: 3 },
  'bridge-postrouting': { from: 'b1', to: 'b2', net: 3 },
  ingress: { from: 'h1', to: 'box', net: 1 },
  egress: { from: 'box', to: 'h2', net: 2 },
}

/** The devices that a hook has to name at a point, on its way. */
export const devicesAt = (at: HookPoint) => ({ in: at === 'ingress' ? 'eth0' : null, out: at === 'egress' ? 'eth1' : null })

/** Packets of a match. */
export function programOf(match: PacketMatchSpec, link: LinkType = 'RAW'): HookProgram {
  return { link, instructions: PacketMatch.create(match).program(link, { longChain: 0xfffffffe }), undecided: true }
}

/** A hook for UDP to PORT, in one family, that accepts, but for what is told. */
export function hookAt(at: HookPoint, family: IpFamily, changes: Partial<HookConfig> = {}): HookConfig {
  const { families } = HOOK_POINTS[at]
  return {
    at, family: families ? family : null, priority: at.startsWith('bridge') ? NF_BR_PRI_FILTER_BRIDGED : 0, ...devicesAt(at), physIn: null, physOut: null, verdict: 'accept', mark: null, clone: null,
    program: programOf({ family, protocol: 'udp', destinationPort: PORT }), ...changes,
  }
}

/** A clone target with devices. */
export function targetOf(...devices: string[]): CloneConfig {
  return {
    devices: devices.map((device) => ({ device })), reroute: null, capture: false, snaplen: 0, sample: 1, random: false, rate: 0, burst: 0, queueLimit: 0,
    dropOldest: false, defer: false,
  }
}

/** Counters of a hook that are not zero, without bytes. */
export function statsOf(device: ModuleDevice, name: string): Partial<HookStats> {
  const { bytes: _bytes, ...stats } = device.hookStats(name)
  return Object.fromEntries(Object.entries(stats).filter(([, value]) => value !== 0))
}

/** Datagrams from one host of the lab to another. */
export class Stream {
  readonly #sender: UdpSocket
  readonly #ending: UdpSocket
  readonly #receiver: UdpSocket
  readonly #end: UdpSocket
  #received = 0

  private constructor(sender: UdpSocket, ending: UdpSocket, receiver: UdpSocket, end: UdpSocket) {
    this.#sender = sender
    this.#ending = ending
    this.#receiver = receiver
    this.#end = end
  }

  static async open(net: HookLab, { from, to, net: number }: Way, family: IpFamily): Promise<Stream> {
    const host = to === 'box' ? 254 : to.endsWith('1') ? 1 : 2
    const address = family === 'ipv4' ? `192.168.${number}.${host}` : `fd0${number}::${host === 254 ? 'fe' : host}`
    const listen = (port: number) => net[to].listen({ protocol: 'udp', port, address }) as UdpSocket
    const connect = async (port: number) => await net[from].connect({ protocol: 'udp', address, port }) as UdpSocket
    const stream = new Stream(await connect(PORT), await connect(END_PORT), listen(PORT), listen(END_PORT))
    // So that addresses are resolved, and nothing waits for that.
    await stream.#passed()
    return stream
  }

  /** What has come so far. */
  get received(): number {
    while (this.#receiver.poll() !== undefined) this.#received++
    return this.#received
  }

  /** Sends datagrams; answers how many the kernel refused to send. */
  async send(count: number, size = 20): Promise<number> {
    let refused = 0
    for (let i = 0; i < count; i++) {
      try {
        await this.#sender.send(new Uint8Array(size).fill(i))
      } catch (error) {
        // The latter at egress: for the network stack it is a queue that is full.
        if (!['EPERM', 'ENOBUFS'].includes((error as { code?: string }).code ?? '')) throw error
        refused++
      }
    }
    return refused
  }

  /** Sends datagrams, waits until all are where they go, and answers how many came. */
  async pass(count: number, expected: number, size?: number): Promise<number> {
    const before = this.received
    await this.send(count, size)
    await this.#passed()
    await until(() => this.received - before >= expected, `${this.received - before} of ${expected} datagrams came`)
    return this.received - before
  }

  /** What was sent before is where it goes, unless it waits somewhere. */
  async #passed(): Promise<void> {
    await this.#ending.send(new Uint8Array(1))
    let came = false
    await until(() => (came ||= this.#end.poll() !== undefined), 'the end did not come')
  }

  close(): void {
    for (const socket of [this.#sender, this.#ending, this.#receiver, this.#end]) socket.close()
  }
}
