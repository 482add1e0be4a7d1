// SPDX-License-Identifier: MIT
// Copies of bridged packets: with br_netfilter they meet iptables although the box has no address in their network.

import t from 'tap'
import { Bridge, Capture, CloneTarget, Hook, Link, Netfilter } from '../../lib/index.js'
import { encodeEthernet, EtherType, type Host, Lab } from '../../lib/lab/index.js'
import { Collector, hex, watch } from '../support/capture.js'
import { datagram } from '../support/datagram.js'
import { hookLab } from '../support/hooks.js'
import { arrivals, clone, cloneTo, counters, noModule, routeMirror, sorted, until, withModule } from '../support/module.js'
import { tryRun } from '../support/outside.js'

withModule(t)

const N = 40

for (const [family, source, destination] of [['ipv4', '10.0.0.1', '10.0.0.2'], ['ipv6', 'fd0a::1', 'fd0a::2']] as const) {
  t.test(`${family}: what a bridge forwards`, { skip: noModule }, async (t) => {
    const lab = await Lab.create()
    t.teardown(() => lab.close())
    const [h1, h2] = [lab.host('h1'), lab.host('h2')]
    const box = lab.box('box')
    const monitor = lab.host('monitor', { ipv6: false })
    const addresses = (n: number) => [`10.0.0.${n}/24`, `fd0a::${n}/64`]
    lab.wire({ host: box }, { host: h1, addresses: addresses(1) })
    lab.wire({ host: box }, { host: h2, addresses: addresses(2) })
    lab.wire({ host: box }, { host: monitor })
    if (tryRun(box.netns, 'test', '-e', '/proc/sys/net/bridge/bridge-nf-call-iptables').status !== 0) return t.comment('br_netfilter is not here')
    const bridge = box.bridge('br0')
    for (const port of ['eth0', 'eth1']) bridge.addPort(port, { addresses: 'drop' })
    bridge.netfilter.setNamespace({ callIptables: true, callIp6tables: true })
    routeMirror(box)
    for (const address of ['0.0.0.0', '::']) h2.listen({ protocol: 'udp', port: 9000, address, serve: 'discard' })
    clone(box, family, 'FORWARD', '-p udp')
    const to = Link.get('eth0', { netns: h2.netns }).mac!
    let originals: string[] = []
    const copies = await arrivals(box, 'eth2', monitor, async () => {
      originals = await arrivals(box, 'eth1', h2, async () => {
        for (let i = 0; i < N; i++) h1.sendFrame('eth0', datagram({ to, from: Link.get('eth0', { netns: h1.netns }).mac!, source, destination, fill: i, size: 30 + 5 * i }))
      }, () => N)
    }, () => N)
    t.equal(originals.length, N)
    t.same(sorted(copies), sorted(originals))
    t.same(counters(box), { seen: N, cloned: N, sent: N })
  })
}

/** Whose frames are only those of the test. */
const SENDER = '02:00:00:00:0f:0f'
const PPPOE_SESSION = 0x8864
const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!

/** Frames of b1: of both families, as long as the MTU allows, with a tag, and in a session of PPPoE (RFC 2516, 4). */
function framesTo(to: string, host: string): Uint8Array[] {
  const v4 = { to, from: SENDER, source: '192.168.3.1', destination: `192.168.3.${host}` }
  const v6 = { to, from: SENDER, source: 'fd03::1', destination: `fd03::${host === '254' ? 'fe' : host}` }
  const plain = [datagram({ ...v4, fill: 1 }), datagram({ ...v6, fill: 2 }), datagram({ ...v4, fill: 3, size: 1472 }), datagram({ ...v6, fill: 4, size: 1452 })]
  if (host === '254') return plain
  const frame = (packet: Uint8Array, etherType: number, ...vlans: { id: number; priority: number }[]) => encodeEthernet({ destination: to, source: SENDER, etherType, vlans, payload: packet })
  const [one, other] = [datagram({ ...v4, fill: 5 }).subarray(14), datagram({ ...v6, fill: 6 }).subarray(14)]
  const session = (packet: Uint8Array, protocol: number) => Uint8Array.of(0x11, 0, 0, 7, 0, packet.length + 2, 0, protocol, ...packet)
  return [
    ...plain, frame(one, EtherType.ipv4, { id: 5, priority: 3 }), frame(other, EtherType.ipv6, { id: 6, priority: 0 }), frame(session(one, 0x21), PPPOE_SESSION), frame(session(other, 0x57), PPPOE_SESSION),
  ]
}

const isSent = (frame: Uint8Array) => hex(frame.subarray(6, 12)) === SENDER.replaceAll(':', '')

t.test('at each point of IP, by hooks and by rules: one copy by a device and one in a capture, whole, none by the ports that the packet itself takes', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { b1, b2, box, monitor } = net
  const { netns } = box
  if (tryRun(netns, 'test', '-e', '/proc/sys/net/bridge/bridge-nf-call-iptables').status !== 0) return t.comment('br_netfilter is not here')
  Bridge.open('br0', { netns }).netfilter.setNamespace({ callIptables: true, callIp6tables: true, filterVlanTagged: true, filterPppoeTagged: true })
  const [originals, copies] = [watch(b2, isSent), watch(monitor, isSent)]
  // So that the bridge has learned where the hosts are, and floods nothing.
  await b1.ping('192.168.3.2', { count: 1, timeout: 20_000 })
  const ways = { bridged: framesTo(macOf(b2), '2'), 'to the box': framesTo(macOf(box, 'br0'), '254') }
  for (const [way, at, table, chain] of [
    ['bridged', 'prerouting', 'raw', 'PREROUTING'], ['bridged', 'forward', 'mangle', 'FORWARD'], ['bridged', 'postrouting', 'mangle', 'POSTROUTING'],
    ['to the box', 'prerouting', 'raw', 'PREROUTING'], ['to the box', 'local-in', 'mangle', 'INPUT'],
  ] as const) {
    for (const by of ['hook', 'rule'] as const) {
      const what = `${way}, ${at}, ${by}`
      const sent = ways[way]
      const N = sent.length
      // Where the packet goes is not known before it is looked up.
      const taken = ['br0', ...(at === 'local-in' ? [] : ['eth3']), ...(at === 'forward' || at === 'postrouting' ? ['eth4'] : [])]
      const target = CloneTarget.create({ name: 'probe', netns, devices: ['eth2', ...taken], capture: true })
      const capture = Capture.open({ from: 'probe', netns })
      const got = new Collector(capture)
      const hook = by === 'hook' ? Hook.create({ at, match: { protocol: 'udp' }, verdict: 'accept', clone: 'probe', netns }) : undefined
      if (by === 'rule') for (const family of ['ipv4', 'ipv6'] as const) cloneTo(box, family, chain, 'probe', '-p udp', table)
      originals.frames.length = copies.frames.length = 0
      for (const frame of sent) b1.sendFrame('eth0', frame)
      const captured = (await got.count(N)).map(({ data, vlan, link, wireLength }) => {
        t.ok(link === 'EN10MB' && wireLength === data.length)
        const tag = vlan === null ? '' : `8100${(vlan.priority << 13 | vlan.id).toString(16).padStart(4, '0')}`
        return hex(data.subarray(0, 12)) + tag + hex(data.subarray(12))
      })
      await until(() => copies.frames.length >= N && originals.frames.length >= (way === 'bridged' ? N : 0), `${what}: ${copies.frames.length} copies, ${originals.frames.length} originals`)
      t.same(sorted(copies.frames.map(hex)), sorted(sent.map(hex)), `${what}: the device's`)
      t.same(sorted(captured), sorted(sent.map(hex)), `${what}: those captured`)
      if (way === 'bridged') t.same(sorted(originals.frames.map(hex)), sorted(sent.map(hex)), `${what}: the originals`)
      const bytes = sent.reduce((sum, frame) => sum + frame.length, 0)
      for (const device of taken) t.same(counters(box, `target:probe:${device}`), { seen: N, same_device: N }, `${what}: ${device}`)
      const { bytes: counted, ...packets } = counters(box, 'target:probe')
      t.same(packets, { seen: N, cloned: 2 * N, sent: 2 * N, same_device: taken.length * N }, what)
      // A tag that was taken off is not counted.
      t.equal(counted, 2 * (bytes - 4 * sent.filter((frame) => frame[12] === 0x81).length), `${what}: bytes`)
      if (hook !== undefined) t.match(hook.stats(), { matched: N, accepted: N })
      hook?.close()
      for (const family of ['ipv4', 'ipv6'] as const) {
        if (by === 'hook') continue
        using nf = Netfilter.open({ family, netns })
        nf.updateSync(table, (draft) => { draft.chain(chain).delete(1) })
      }
      capture.close()
      target.close()
    }
  }
  for (const one of [originals, copies]) await one.stop()
})
