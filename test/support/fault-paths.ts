// SPDX-License-Identifier: MIT
// Packets on every path through the module while memory is wanting, and what is seen of them from outside: copies at the monitor, originals where
// they go, counters. Everything that the module asks for fails once on each path, in a process or in softirq.

import { constants } from 'node:fs'
import type { Test } from 'tap'
import { Link, Netfilter } from '../../lib/index.js'
import type { CapturedFrame, Host } from '../../lib/lab/index.js'
import { openSocket, parseAddress, setInteger, SOCK_DGRAM, socketAddress } from '../../lib/lab/socket.js'
import { ModuleDevice } from '../../lib/clone/device.js'
import type { Watch } from '../../lib/events.js'
import { addon, check, checkDescriptor, type RawDescriptor } from '../../lib/native.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import type { HookPoint } from '../../lib/wire/module/hook-points.js'
import type { CloneConfig } from '../../lib/wire/module/target.js'
import { datagram, fragments, largeSegment, TCP_CHECKSUM } from './datagram.js'
import { failAlways, failLater, failNoMore, MEMORY } from './faults.js'
import { hookAt, type HookLab, hookLab, programOf, statsOf, targetOf } from './hooks.js'
import { counters, until } from './module.js'
import { batch, feed, run } from './outside.js'

/** Of the clone target and the hook that the paths go through. */
const NAME = 'probe'
const OWN = { persistent: false, create: false }

/** `fragments` are datagrams that come in pieces, or leave so; `segments` TCP, or UDP of this box, that a device is to cut. */
export type Kind = 'datagram' | 'fragments' | 'segments'

/** What becomes of copies. */
export const SINKS: Readonly<Record<string, CloneConfig>> = {
  device: targetOf('eth2'),
  'two devices, one with tag and address': { ...targetOf('d0'), devices: [{ device: 'eth2', vlan: { id: 5 }, destination: '02:00:00:00:00:77' }, { device: 'd0' }] },
  'a device after another': targetOf('d0', 'eth2'),
  'a device without segmentation': targetOf('eth5'),
  'a device, cut': { ...targetOf('eth2'), snaplen: 100 },
  'a device, waiting': { ...targetOf('eth2'), defer: true },
  'a device without segmentation, waiting': { ...targetOf('eth5'), defer: true },
  'a device, waiting, with a tag, cut': { ...targetOf(), devices: [{ device: 'eth2', vlan: { id: 6, protocol: '802.1ad' } }], snaplen: 200, defer: true },
  capture: { ...targetOf(), capture: true },
  route: { ...targetOf(), reroute: 1 },
  'route, waiting': { ...targetOf(), reroute: 2 },
  'route, with a smaller MTU': { ...targetOf(), reroute: 3 },
  'route, of an unknown neighbour': { ...targetOf(), reroute: 4 },
  'device, capture': { ...targetOf('eth2'), capture: true },
  everything: { ...targetOf('eth2'), capture: true, reroute: 1 },
}

const sinksOf = ({ devices, reroute, capture }: CloneConfig) => devices.length + (reroute === null ? 0 : 1) + (capture ? 1 : 0)

/** Why there is no copy, or why it was not sent. */
const LOSSES = ['no_route', 'loop', 'no_device', 'unroutable', 'local', 'same_device', 'too_big', 'queue_full', 'no_memory', 'no_reader', 'buffer_full', 'unresolved', 'device_down',
  'refused', 'flushed', 'dropped_oldest'] as const

/**
 * By which a want of memory shows: a device refuses what it cannot cut into segments, and IPv6 has no route when it has no memory for one (rt6_get_pcpu_route).
 */
const WANTS = ['no_memory', 'refused', 'unroutable']

/** Where packets go; the box's addresses are those of tap0 and br0. */
type End = 'h2' | 'b2' | 'box' | 'bridge'
const ADDRESSES: Readonly<Record<End, Readonly<Record<IpFamily, string>>>> = {
  h2: { ipv4: '192.168.2.2', ipv6: 'fd02::2' }, b2: { ipv4: '192.168.3.2', ipv6: 'fd03::2' },
  box: { ipv4: '192.168.5.254', ipv6: 'fd05::fe' }, bridge: { ipv4: '192.168.3.254', ipv6: 'fd03::fe' },
}
type Start = 'tap0' | 'tap1' | 'self'
const SOURCES: Readonly<Record<Exclude<Start, 'self'>, Readonly<Record<IpFamily, string>>>> = {
  tap0: { ipv4: '192.168.5.1', ipv6: 'fd05::1' }, tap1: { ipv4: '192.168.3.9', ipv6: 'fd03::9' },
}

/** How packets come to meet the module at a point. */
const WAYS: Readonly<Record<HookPoint, readonly [Start, End]>> = {
  prerouting: ['tap0', 'h2'], 'local-in': ['tap0', 'box'], forward: ['tap0', 'h2'], 'local-out': ['self', 'h2'], postrouting: ['tap0', 'h2'],
  'bridge-prerouting': ['tap1', 'b2'], 'bridge-local-in': ['tap1', 'bridge'], 'bridge-forward': ['tap1', 'b2'], 'bridge-local-out': ['self', 'b2'], 'bridge-postrouting': ['tap1', 'b2'],
  ingress: ['tap0', 'h2'], egress: ['tap0', 'h2'],
}

export interface PathSpec {
  at: HookPoint
  family: IpFamily
  kind: Kind
  /** A key of SINKS. */
  sink: string
  /** A rule of the table mangle; a hook that accepts and copies; one that redirects, and what it does with what is not taken. */
  by: 'rule' | 'hook' | 'redirect, else accept' | 'redirect, else drop'
}

interface Outcome {
  copies: string[]
  originals: string[]
  /** Changes of the target's counters, and of the hook's. */
  target: Record<string, number>
  hook: Record<string, number>
}

const CHAINS: Partial<Record<HookPoint, string>> = { prerouting: 'PREROUTING', 'local-in': 'INPUT', forward: 'FORWARD', 'local-out': 'OUTPUT', postrouting: 'POSTROUTING' }

const VNET_HEADER = 10
const SEGMENT = 1000
const UDP_SEGMENT = 103

/** What was counted since. */
function difference(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)] as const).filter(([, value]) => value !== 0))
}

const lost = (counts: Record<string, number>) => Object.fromEntries(LOSSES.map((name) => [name, counts[name] ?? 0] as const).filter(([, value]) => value !== 0))
const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, value) => total + value, 0)

/** What is not in another list, as often as it is there. */
function without(list: readonly string[], other: readonly string[]): string[] {
  const rest = [...other]
  return list.filter((one) => {
    const at = rest.indexOf(one)
    if (at >= 0) rest.splice(at, 1)
    return at < 0
  })
}

/** IEEE 802: for local experiments. */
const END = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5, ...new Uint8Array(46))

/** Frames with UDP or TCP, or fragments, that a host got; as hexadecimal digits, without what each packet has anew: identification and checksum of IPv4's header. */
function shownOf({ data }: CapturedFrame): string | undefined {
  const frame = Buffer.from(data)
  let at = 12
  while ([0x8100, 0x88a8].includes(frame.readUInt16BE(at))) at += 4
  const type = frame.readUInt16BE(at)
  const ip = at + 2
  if (type === 0x0800 && [6, 17].includes(frame[ip + 9]!)) {
    frame.fill(0, ip + 4, ip + 6).fill(0, ip + 10, ip + 12)
  } else if (type === 0x86dd && [6, 17, 44].includes(frame[ip + 6]!)) {
    if (frame[ip + 6] === 44) frame.fill(0, ip + 44, ip + 48)
  } else {
    return undefined
  }
  return frame.toString('hex')
}

/** What comes in at a device of a host, up to a frame that tells where the end is. */
class Tape {
  readonly #watch: Watch<{ type: string } | CapturedFrame>
  readonly #end: () => void

  constructor(host: Host, device: string, end: () => void) {
    this.#watch = host.capture(device, { promiscuous: true, direction: 'in' })
    this.#end = end
  }

  async read(): Promise<string[]> {
    this.#end()
    const frames: string[] = []
    for (;;) {
      const { value } = await this.#watch.next() as { value: CapturedFrame | { type: 'overrun' } }
      // A want of memory at the receiver; what is missing is seen by its lack.
      if (value.type !== 'frame') continue
      if (value.data[12] === END[12] && value.data[13] === END[13]) return frames.sort()
      const shown = shownOf(value)
      if (shown !== undefined) frames.push(shown)
    }
  }

  async close(): Promise<void> { await this.#watch.return!() }
}

/** A tap device: what is written to it is received in this very process. */
function openTap(host: Host, name: string): RawDescriptor {
  const TUNSETIFF = 0x400454ca
  const IFF_TAP = 0x0002
  const IFF_NO_PI = 0x1000
  const IFF_VNET_HDR = 0x4000
  const tap = checkDescriptor(addon.open('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK, 0, host.netns.fd), 'open', '/dev/net/tun')
  const request = new Uint8Array(40)
  request.set(new TextEncoder().encode(name))
  new DataView(request.buffer).setUint16(16, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true)
  check(tap.ioctl(TUNSETIFF, request, []), 'ioctl', 'TUNSETIFF')
  return tap
}

/** With struct virtio_net_hdr before it. */
function withHeader(frame: Uint8Array, family: IpFamily, large: boolean): Uint8Array {
  const bytes = new Uint8Array(VNET_HEADER + frame.length)
  bytes.set(frame, VNET_HEADER)
  if (!large) return bytes
  const view = new DataView(bytes.buffer)
  const transport = 14 + (family === 'ipv4' ? 20 : 40)
  view.setUint8(0, 1) // VIRTIO_NET_HDR_F_NEEDS_CSUM
  view.setUint8(1, family === 'ipv4' ? 1 : 4) // VIRTIO_NET_HDR_GSO_TCPV4, _TCPV6
  for (const [offset, value] of [[2, transport + 20], [4, SEGMENT], [6, transport], [8, TCP_CHECKSUM]] as const) view.setUint16(offset, value, true)
  return bytes
}

/** The network of the paths, with nothing of the module in it. */
export class FaultNetwork {
  readonly #net: HookLab
  readonly #taps: Readonly<Record<Exclude<Start, 'self'>, RawDescriptor>>
  readonly #macs: Readonly<Record<Start | End, string>>
  readonly #monitors: readonly Tape[]
  readonly #hosts: Readonly<Record<'h2' | 'b2', Tape>>
  readonly #tables: Readonly<Record<IpFamily, Netfilter>>
  readonly #sockets = new Map<string, RawDescriptor>()
  readonly #capture: ModuleDevice

  static async open(t: Test): Promise<FaultNetwork> {
    const network = new FaultNetwork(await hookLab(t))
    t.teardown(() => network.close())
    return network
  }

  private constructor(net: HookLab) {
    const { box, h2, b2, monitor, lab, device } = net
    const { netns } = box
    this.#net = net
    lab.wire({ host: box, name: 'eth5' }, { host: monitor, name: 'eth1' })
    this.#taps = { tap0: openTap(box, 'tap0'), tap1: openTap(box, 'tap1') }
    const macOf = (host: Host, name: string) => Link.get(name, { netns: host.netns }).mac!
    batch(netns, 'ip', [
      'link set tap0 addrgenmode none', 'link set tap1 addrgenmode none', 'link set tap1 master br0', 'link set tap0 up', 'link set tap1 up',
      'addr add 192.168.5.254/24 dev tap0', 'addr add fd05::fe/64 dev tap0 nodad',
      // More than that a device does not take in one piece.
      'link set eth5 gso_max_size 2000',
      'link set eth2 arp off', 'link add d0 type dummy', 'link set d0 up',
      'link add link eth2 name m0 type vlan id 9', 'link set m0 arp off up',
      // Nobody is there, but is asked for.
      'link add n0 type dummy', 'link set n0 arp on up', 'addr add 192.168.77.1/24 dev n0', 'addr add fd77::1/64 dev n0 nodad',
      ...[['h2', h2, 'eth1'], ['b2', b2, 'br0']].flatMap(([end, host, dev]) => Object.values(ADDRESSES[end as End])
        .map((address) => `neigh replace ${address} lladdr ${macOf(host as Host, 'eth0')} dev ${String(dev)} nud permanent`)),
    ])
    for (const [family, gateway] of [['-4', '192.168.77.2'], ['-6', 'fd77::2']] as const) {
      feed(netns, [
        'rule add pref 20 table local', 'rule del pref 0', ...[1, 2, 3, 4].map((mark) => `rule add pref 10 fwmark ${mark} table ${100 + mark}`),
        'route add default dev eth2 table 101', 'route add default dev m0 table 102', 'route add default dev eth2 mtu 1280 table 103', `route add default via ${gateway} dev n0 table 104`,
      ].join('\n'), 'ip', family, '-batch', '-')
    }
    this.#macs = { tap0: macOf(box, 'tap0'), tap1: macOf(box, 'tap1'), self: '', box: macOf(box, 'tap0'), h2: macOf(box, 'tap0'), b2: macOf(b2, 'eth0'), bridge: macOf(box, 'br0') }
    // Nobody answers.
    for (const host of [h2, b2]) for (const tables of ['iptables-legacy', 'ip6tables-legacy']) for (const protocol of ['udp', 'tcp']) run(host.netns, tables, '-t', 'raw', '-A', 'PREROUTING', '-p', protocol, '-j', 'DROP')
    this.#tables = { ipv4: Netfilter.open({ family: 'ipv4', netns, lock: 'off' }), ipv6: Netfilter.open({ family: 'ipv6', netns, lock: 'off' }) }
    for (const family of ['ipv4', 'ipv6'] as const) {
      this.#tables[family].updateSync('filter', (draft) => {
        for (const protocol of ['udp', 'tcp']) draft.chain('INPUT').append(`-p ${protocol} -j DROP`)
      })
    }
    const tape = (host: Host, name: string, from: string) => new Tape(host, name, () => { box.sendFrame(from, END) })
    this.#monitors = [tape(monitor, 'eth0', 'eth2'), tape(monitor, 'eth1', 'eth5')]
    this.#hosts = { h2: tape(h2, 'eth0', 'eth1'), b2: tape(b2, 'eth0', 'eth4') }
    device.setTarget(NAME, { ...targetOf(), capture: true }, OWN)
    this.#capture = ModuleDevice.open(netns)
    this.#capture.startCapture(NAME, 0, 1 << 20)
  }

  async close(): Promise<void> {
    failNoMore()
    this.#capture.close()
    for (const one of [...this.#sockets.values(), ...Object.values(this.#taps), ...Object.values(this.#tables)]) one.close()
    for (const tape of [...this.#monitors, ...Object.values(this.#hosts)]) await tape.close()
  }

  /** A socket of the box that sends to an end. */
  #socketTo(end: End, family: IpFamily, large: boolean): RawDescriptor {
    const { netns } = this.#net.box
    const address = ADDRESSES[end][family]
    const key = `${address} ${large}`
    let socket = this.#sockets.get(key)
    if (socket === undefined) {
      socket = openSocket(netns, family, SOCK_DGRAM, 0, 'UDP')
      if (large) setInteger(socket, 17, UDP_SEGMENT, SEGMENT, 'UDP')
      check(socket.connect(socketAddress(netns, parseAddress(address, 'address'), 9000)), 'connect')
      this.#sockets.set(key, socket)
    }
    return socket
  }

  #send({ at, family, kind }: PathSpec): void {
    const [start, end] = WAYS[at]
    const size = { datagram: 1400, fragments: 2500, segments: 3500 }[kind]
    if (start === 'self') {
      // A hook may answer by an error; what became of the packet is seen elsewhere.
      this.#socketTo(end, family, kind === 'segments').send(new Uint8Array(size).fill(7), 0)
      return
    }
    const options = { to: this.#macs[end], source: SOURCES[start][family], destination: ADDRESSES[end][family], size, fill: 7 }
    const frames = kind === 'datagram' ? [datagram(options)] : kind === 'fragments' ? fragments(options, 1300) : [largeSegment(options)]
    for (const frame of frames) check(this.#taps[start].write(withHeader(frame, family, kind === 'segments')), 'write')
  }

  /** Where the originals are seen: at the host that they go to, or at the last rule of the box. */
  async #originals({ at, family }: PathSpec, before: { packets: number; bytes: number }): Promise<string[]> {
    const end = WAYS[at][1]
    if (end === 'h2' || end === 'b2') return this.#hosts[end].read()
    const now = this.#input(family)
    return Array.from({ length: now.packets - before.packets }, (_, i) => (i === 0 ? `${now.bytes - before.bytes} bytes` : ''))
  }

  #input(family: IpFamily): { packets: number; bytes: number } {
    const sums = { packets: 0, bytes: 0 }
    for (const { counters: { packets, bytes } } of this.#tables[family].table('filter').chain('INPUT')!.rules) {
      sums.packets += packets
      sums.bytes += bytes
    }
    return sums
  }

  #forget({ sink }: PathSpec): void {
    if (SINKS[sink]!.reroute === 4) run(this.#net.box.netns, 'ip', 'neigh', 'flush', 'dev', 'n0')
  }

  #hookStats(spec: PathSpec): Record<string, number> {
    return spec.by === 'rule' ? {} : statsOf(this.#net.device, NAME) as Record<string, number>
  }

  /** What comes of a packet, for which something fails: from when `fail` is called until it has been copied. */
  async #once(spec: PathSpec, met: boolean, fail?: () => void): Promise<Outcome & { failed: boolean }> {
    const { box } = this.#net
    this.#forget(spec)
    const sinks = sinksOf(SINKS[spec.sink]!)
    const target = counters(box, `target:${NAME}`)
    const input = this.#input(spec.family)
    const hook = met ? this.#hookStats(spec) : {}
    const changes = () => difference(counters(box, `target:${NAME}`), target)
    const done = () => {
      const now = changes()
      return (now['sent'] ?? 0) + sum(lost(now)) === (now['seen'] ?? 0) * sinks
    }
    let failed = false
    try {
      fail?.()
      this.#send(spec)
      await until(done, 'each copy is sent, or counted by a reason')
    } catch (error) {
      throw new Error(`${JSON.stringify(changes())}, ${sinks} sinks`, { cause: error })
    } finally {
      if (fail !== undefined) failed = failNoMore()
    }
    const copies = (await Promise.all(this.#monitors.map((tape) => tape.read()))).flat()
    const originals = await this.#originals(spec, input)
    const buffer = new Uint8Array(1 << 18)
    while (this.#capture.descriptor.read(buffer, 0) > 0);
    return { failed, copies, originals, target: changes(), hook: met ? difference(this.#hookStats(spec), hook) : {} }
  }

  /** Has packets of a path meet the module, until what it answers is called. */
  #arrange({ at, family, sink, by }: PathSpec): () => void {
    const { device } = this.#net
    const destination = ADDRESSES[WAYS[at][1]][family]
    device.setTarget(NAME, SINKS[sink]!, OWN)
    if (by === 'rule') {
      const nf = this.#tables[family]
      const chain = CHAINS[at]!
      nf.updateSync('mangle', (draft) => { draft.chain(chain).append(`-d ${destination} -j CLONE --target ${NAME}`) })
      return () => { nf.updateSync('mangle', (draft) => { draft.chain(chain).delete(1) }) }
    }
    const devices = { in: at === 'ingress' ? 'tap0' : null, out: at === 'egress' ? 'eth1' : null }
    const verdict = by === 'hook' ? 'accept' : { redirect: NAME, onFail: by.endsWith('drop') ? 'drop' as const : 'accept' as const }
    device.setHook(NAME, hookAt(at, family, { ...devices, verdict, clone: by === 'hook' ? NAME : null, program: programOf({ destination }) }), OWN)
    return () => { device.deleteHook(NAME) }
  }

  /** One path: as it is, then without each thing that the module asks for, and then without memory of a kind at all. Answers how often something failed. */
  async sweep(t: Test, spec: PathSpec): Promise<number> {
    const name = `${spec.kind}, ${spec.family}, ${spec.at}, ${spec.by}: ${spec.sink}`
    const plain = (await this.#once(spec, false)).originals
    const remove = this.#arrange(spec)
    let allocations = 0
    const reasons = new Map<string, number>()
    try {
      // The first finds what is kept, as a route.
      await this.#once(spec, true)
      const whole = await this.#once(spec, true)
      const wrong = this.#check(spec, plain, whole, whole, false)
      if (wrong !== '') t.fail(`${name}: ${wrong}: ${JSON.stringify(whole)}`)
      const { devices, reroute } = SINKS[spec.sink]!
      if (whole.copies.length === 0 && sum(lost(whole.target)) === 0 && (devices.length > 0 || reroute !== null)) t.fail(`${name}: nothing was copied: ${JSON.stringify(whole)}`)
      for (let nth = 1; ; nth++) {
        const outcome = await this.#once(spec, true, () => { failLater(nth) })
        const { failed } = outcome
        for (const reason of Object.keys(failed ? lost(outcome.target) : {})) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
        const problem = this.#check(spec, plain, whole, outcome, failed)
        if (problem !== '') t.fail(`${name}: allocation ${nth}${failed ? '' : ', of which there is none,'}: ${problem}: ${JSON.stringify({ ...outcome, whole })}`)
        if (!failed) break
        allocations++
      }
      for (const kind of MEMORY) {
        const outcome = await this.#once(spec, true, () => { failAlways(kind) })
        const problem = this.#check(spec, plain, whole, outcome, true)
        if (problem !== '') t.fail(`${name}: ${kind}, all: ${problem}: ${JSON.stringify({ ...outcome, whole })}`)
      }
    } finally {
      remove()
    }
    t.pass(`${name}: ${allocations} allocations (${[...reasons].map(([reason, times]) => `${reason} ${times}`).join(', ')})`)
    return allocations
  }

  /** What is wrong with what came of a packet, or ''. */
  #check(spec: PathSpec, plain: readonly string[], whole: Outcome, outcome: Outcome, failed: boolean): string {
    const { copies, originals, target, hook } = outcome
    const damaged = without(copies, whole.copies)
    if (damaged.length > 0) return 'a copy is damaged'
    const reasons = lost(target)
    const usual = lost(whole.target)
    const strange = Object.keys(reasons).filter((reason) => usual[reason] === undefined && !(failed && WANTS.includes(reason)))
    if (strange.length > 0) return `lost for ${strange.join(', ')}`
    // What a process of the box sends is received below the hook (local_bh_enable), so that the capture lacks memory, too.
    const self = WAYS[spec.at][0] === 'self'
    if (sum(reasons) === sum(usual) && target['seen'] === whole.target['seen'] && copies.length !== whole.copies.length && !(failed && self)) return 'copies are missing'
    if (!spec.by.startsWith('redirect')) return originals.join() === plain.join() ? '' : 'the originals are not as they were'
    const { matched = 0, redirected = 0, notTaken = 0, accepted = 0, dropped = 0, noMemory = 0 } = hook
    const drop = spec.by.endsWith('drop')
    if (matched !== redirected + notTaken) return 'each packet is redirected or not'
    if (notTaken !== (drop ? dropped : accepted)) return `not taken, and not ${drop ? 'dropped' : 'accepted'}`
    const left = without(originals, plain)
    if (left.length > 0) return 'an original is damaged'
    if (matched === 1 && noMemory === 0 && originals.length !== (drop || notTaken === 0 ? 0 : plain.length)) return 'the original is neither here nor there'
    if (noMemory === 0 && drop && originals.length > 0) return 'what was not taken was not dropped'
    return ''
  }
}

