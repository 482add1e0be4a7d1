// SPDX-License-Identifier: MIT
// Every hook point with every sink and kind of packet: a hook's copies by a device, by a route and in a capture are the same packet, byte for byte, and
// as many as are counted, and the packet itself goes on.

import t from 'tap'
import { Capture, CloneTarget, Hook, Link, Route, Rule } from '../../lib/index.js'
import { encodeEthernet, encodeIpv6, encodeUdp, EtherType, type Host, IpProtocol } from '../../lib/lab/index.js'
import { internetChecksum } from '../../lib/wire/checksum.js'
import { HOOK_POINTS, type HookPoint } from '../../lib/wire/module/hook-points.js'
import { openSocket, parseAddress, SOCK_DGRAM, SOL_IP, socketAddress } from '../../lib/lab/socket.js'
import { check } from '../../lib/native.js'
import { Collector, hex } from '../support/capture.js'
import { datagram, fragments, IPV4_OPTIONS } from '../support/datagram.js'
import { hookLab, PORT, WAYS } from '../support/hooks.js'
import { arrivals, MARK, noModule, sorted, TABLE, withModule } from '../support/module.js'

withModule(t)

const IP_OPTIONS = 4

const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const isEthernet = (at: HookPoint) => at.startsWith('bridge') || !HOOK_POINTS[at].families

/** Frames of h1 or b1: both families, as long as the MTU allows, fragments, an extension header; and with tags, for what sees frames. */
function framesFor(at: HookPoint, from: string, to: string, source: Record<'ipv4' | 'ipv6', string>, destination: Record<'ipv4' | 'ipv6', string>): Uint8Array[] {
  const v4 = { to, from, source: source.ipv4, destination: destination.ipv4, port: PORT }
  const v6 = { ...v4, source: source.ipv6, destination: destination.ipv6 }
  const udp = encodeUdp({ sourcePort: 9001, destinationPort: PORT, payload: new Uint8Array(20).fill(7) }, { source: v6.source, destination: v6.destination })
  const options = [IpProtocol.udp, 0, 1, 4, 0, 0, 0, 0]
  const extended = encodeIpv6({ source: v6.source, destination: v6.destination, nextHeader: 60, payload: Uint8Array.from([...options, ...udp]) })
  const frames = [
    datagram({ ...v4, fill: 1 }), datagram({ ...v6, fill: 2 }), datagram({ ...v4, fill: 3, size: 1472 }), datagram({ ...v6, fill: 4, size: 1452 }),
    ...Object.values(IPV4_OPTIONS).map((options, i) => datagram({ ...v4, options, fill: 8 + i })),
    ...fragments({ ...v4, size: 1000, fill: 5 }, 500), encodeEthernet({ destination: to, source: from, etherType: EtherType.ipv6, payload: extended }),
  ]
  // Those of the box itself belong to a VLAN that it does not have.
  if (!isEthernet(at) || at === 'bridge-local-in' || at === 'egress') return frames
  const payload = datagram({ ...v4, fill: 6 }).subarray(14)
  for (const vlans of [[{ id: 5, priority: 3 }], [{ protocol: 0x88a8, id: 6 }, { id: 7 }]]) frames.push(encodeEthernet({ destination: to, source: from, etherType: EtherType.ipv4, vlans, payload }))
  return frames
}

/** Whether the checksum of a header is wrong, if it is one of IPv4. */
function isWrong4(packet: string): boolean {
  const bytes = Buffer.from(packet, 'hex')
  return bytes[0]! >> 4 === 4 && internetChecksum(bytes.subarray(0, 4 * (bytes[0]! & 15))) !== 0
}

t.test('copies at every point', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { lab, box, monitor } = net
  const { netns } = box
  const second = lab.host('second', { ipv6: false })
  lab.wire({ host: box, name: 'eth5' }, { host: second })
  Link.set('eth5', { arp: false }, { netns })
  for (const family of ['ipv4', 'ipv6'] as const) {
    Rule.add({ family, priority: 10, fwmark: MARK, table: TABLE }, { netns })
    Rule.add({ family, priority: 20, table: 'local' }, { netns })
    Rule.delete({ family, priority: 0, table: 'local' }, { netns })
    Route.add({ destination: family === 'ipv4' ? 'default' : '::/0', link: 'eth5', table: TABLE }, { netns })
  }
  for (const host of [box, net.h2, net.b2]) for (const address of ['0.0.0.0', '::']) host.listen({ protocol: 'udp', port: PORT, address, serve: 'discard' })
  const ends = { h1: net.h1, b1: net.b1, h2: net.h2, b2: net.b2, box }

  for (const at of Object.keys(HOOK_POINTS) as HookPoint[]) {
    // What goes out of a device is forwarded here.
    const way = at === 'egress' ? WAYS.forward : WAYS[at]
    const { reroute } = HOOK_POINTS[at]
    const host = way.to === 'box' ? 254 : 2
    const addresses = (net: number, host: number) => ({ ipv4: `192.168.${net}.${host}`, ipv6: `fd0${net}::${host === 254 ? 'fe' : host}` })
    const destination = addresses(way.net, host)
    const target = CloneTarget.create({ name: 'probe', netns, devices: ['eth2'], capture: true, reroute: reroute ? MARK : null })
    const capture = Capture.open({ from: 'probe', netns })
    const got = new Collector(capture)
    const hook = Hook.create({ at, ...(at === 'ingress' ? { in: 'eth0' } : at === 'egress' ? { out: 'eth1' } : {}), match: { protocol: 'udp' }, verdict: 'accept', clone: 'probe', netns })
    const frames = way.from === 'box' ? [] : framesFor(at, macOf(ends[way.from]), macOf(way.to === 'b2' ? net.b2 : box, way.to === 'b2' ? 'eth0' : way.net === 3 ? 'br0' : 'eth0'), addresses(way.from === 'h1' ? 1 : 3, 1), destination)
    // Fragments are put together before LOCAL_IN.
    const count = frames.length === 0 ? 5 : frames.length - (at === 'local-in' ? 2 : 0)
    let routed: string[] = []
    const send = async () => {
      for (const frame of frames) ends[way.from].sendFrame('eth0', frame)
      if (frames.length > 0) return
      for (const address of Object.values(destination)) {
        const socket = await box.connect({ protocol: 'udp', address, port: PORT })
        for (const size of [30, 1400]) await socket.send(new Uint8Array(size).fill(size))
        socket.close()
      }
      const socket = openSocket(netns, 'ipv4', SOCK_DGRAM, 0, 'UDP')
      check(socket.setOption(SOL_IP, IP_OPTIONS, IPV4_OPTIONS['record route']), 'setsockopt')
      check(socket.connect(socketAddress(netns, parseAddress(destination.ipv4, 'address'), PORT)), 'connect')
      check(socket.send(new Uint8Array(30), 0), 'send')
      socket.close()
    }
    const whole = await arrivals(box, 'eth2', monitor, async () => {
      routed = await arrivals(box, 'eth5', second, send, () => (reroute ? count : 0))
    }, () => count, { whole: true })
    const packets = await got.count(count)
    const captured = packets.map(({ data, vlan }) => {
      if (vlan === null) return hex(data)
      const tag = Buffer.alloc(4)
      tag.writeUInt16BE(vlan.protocol)
      tag.writeUInt16BE(vlan.priority << 13 | vlan.id, 2)
      return hex(data.subarray(0, 12)) + tag.toString('hex') + hex(data.subarray(12))
    })
    const raw = packets.some(({ link }) => link === 'RAW')
    t.same(sorted(whole.map((text) => text.slice(raw ? 28 : 0))), sorted(captured), `${at}: the device's are those captured`)
    t.same(captured.map((text) => text.slice(raw ? 0 : 28)).filter(isWrong4), [], `${at}: checksums of IPv4's header`)
    if (frames.length > 0 && !['local-in', 'forward', 'postrouting', 'egress'].includes(at)) t.same(sorted(captured), sorted(frames.map(hex)), `${at}: as they were sent`)
    if (reroute) {
      const ip = sorted(captured.map((text) => text.slice(raw ? 0 : 28)))
      // What was put together leaves in fragments again.
      const apart = at === 'local-in' ? ip.filter((text) => text.length !== 2 * 1028) : ip
      t.same(sorted(routed).filter((text) => apart.includes(text)), apart, `${at}: the routed ones too`)
    }
    const bytes = packets.reduce((sum, { data }) => sum + data.length, 0)
    const { seen, cloned, sent, bytes: counted } = target.stats()
    const sinks = reroute ? 3 : 2
    t.same({ seen, cloned, sent, counted }, { seen: count, cloned: sinks * count, sent: sinks * count, counted: 2 * bytes + (raw ? 14 * count : 0) }, `${at}: counted`)
    t.match(hook.stats(), { matched: count, accepted: count, dropped: 0 }, at)
    hook.close()
    capture.close()
    target.close()
  }
})
