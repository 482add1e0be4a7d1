// SPDX-License-Identifier: MIT
// Records of packets that rules hand over: equal to what was sent, wherever it was met.

import t, { type Test } from 'tap'
import { Capture, type CaptureOptions, CloneTarget, Link } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { cloneRule, Collector, hex } from '../support/capture.js'
import { datagram, fragments } from '../support/datagram.js'
import { arrivals, type MirrorLab, mirrorLab, noModule, until, withModule } from '../support/module.js'

withModule(t)

const N = 30
const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const device = (host: Host, name: string) => ({ index: Link.get(name, { netns: host.netns }).index, name })
const FAMILIES = [['ipv4', '192.168.1.1', '192.168.1.254', '192.168.2.2'], ['ipv6', 'fd01::1', 'fd01::fe', 'fd02::2']] as const

/** Frames of h1, with numbers in them. */
const frames = ({ h1, box }: MirrorLab, source: string, destination: string) =>
  Array.from({ length: N }, (_, i) => datagram({ to: macOf(box), from: macOf(h1), source, destination, fill: i, size: 20 + 40 * i }))

/** A target with no other sink, and a capture of it. */
function captureOf(t: Test, { netns }: Host, name: string, options: Partial<CaptureOptions> = {}): Capture {
  const target = CloneTarget.create({ name, netns, capture: true })
  const capture = Capture.open({ from: name, netns, ...options })
  t.teardown(() => { capture.close(); target.close() })
  return capture
}

for (const [family, h1Address, boxAddress, h2Address] of FAMILIES) {
  t.test(`${family}: what a box receives and forwards`, { skip: noModule }, async (t) => {
    const net = await mirrorLab(t, { routed: false })
    const { h1, h2, box } = net
    const { netns } = box
    for (const host of [h2, box]) host.listen({ protocol: 'udp', port: 9000, address: family === 'ipv4' ? '0.0.0.0' : '::', serve: 'discard' })
    for (const [table, chain, point] of [['raw', 'PREROUTING', 'prerouting'], ['filter', 'INPUT', 'local-in'], ['filter', 'FORWARD', 'forward'], ['mangle', 'POSTROUTING', 'postrouting']] as const) {
      const capture = captureOf(t, box, chain)
      cloneRule(netns, family, table, chain, chain, '-p udp --dport 9000')
      const got = new Collector(capture)
      const isForwarded = chain === 'FORWARD' || chain === 'POSTROUTING'
      const sent = frames(net, h1Address, isForwarded ? h2Address : boxAddress)
      const send = async () => { for (const frame of sent) h1.sendFrame('eth0', frame) }
      let expected = sent.map(hex)
      if (isForwarded) expected = (await arrivals(box, 'eth1', h2, send, () => N)).map((packet, i) => hex(sent[i]!.subarray(0, 14)) + packet)
      else await send()
      const packets = await got.count(N)
      t.same(packets.map(({ data }) => hex(data)), expected, `${chain}: as they came in, with the packet as it is there`)
      const odd = packets.filter(({ wireLength, data, link, byRule, lost, vlan, mark, checksumPartial, segmentSize }) =>
        wireLength !== data.length || link !== 'EN10MB' || !byRule || lost !== 0 || vlan !== null || mark !== 0 || checksumPartial || segmentSize !== 0)
      t.same(odd, [], `${chain}: what is told beside`)
      t.same([...new Set(packets.map((packet) => packet.point))], [point])
      if (chain !== 'POSTROUTING') t.same(packets[0]!.in?.toJSON(), device(box, 'eth0'))
      t.same(packets[0]!.out?.toJSON() ?? null, isForwarded ? device(box, 'eth1') : null)
      const times = packets.map(({ timestamp }) => timestamp)
      t.same(times, [...times].sort(), `${chain}: in the order of time`)
      t.ok(Math.abs(Number(times[0]! / 1_000_000n) - Date.now()) < 600_000, 'by the clock')
      t.match(capture.stats(), { captured: N, delivered: N, lost: 0, used: 0, buffer: 4 << 20 })
      t.match(CloneTarget.get(chain, netns), { seen: N, cloned: N, sent: N, bytes: sent.reduce((sum, { length }) => sum + length, 0), captures: 1, rules: 1 })
      capture.close()
      await got.end()
      t.equal(CloneTarget.get(chain, netns).captures, 0)
    }
  })

  t.test(`${family}: what it sends itself has no MAC header yet`, { skip: noModule }, async (t) => {
    const { h1, box } = await mirrorLab(t, { routed: false })
    h1.listen({ protocol: 'udp', port: 9000, address: family === 'ipv4' ? '0.0.0.0' : '::', serve: 'discard' })
    const capture = captureOf(t, box, 'probe')
    cloneRule(box.netns, family, 'mangle', 'OUTPUT', 'probe')
    const got = new Collector(capture)
    const socket = await box.connect({ protocol: 'udp', address: h1Address, port: 9000 })
    const originals = await arrivals(box, 'eth0', h1, async () => { for (let i = 0; i < N; i++) await socket.send(new Uint8Array(10 + i).fill(i)) }, () => N)
    const packets = await got.count(N)
    t.same(packets.map(({ data }) => data.length), originals.map((text) => text.length / 2))
    // Checksums of the transport header may be left to the device.
    t.same(packets.map(({ data }) => hex(data).slice(-2 * 10)), originals.map((text) => text.slice(-2 * 10)))
    t.ok(packets.every(({ link, point, out, in: by }) => link === 'RAW' && point === 'local-out' && out?.name === 'eth0' && by === null))
  })
}

t.test('several captures of a target, each with its own snaplen, and the target\'s', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t, { routed: false })
  const { h1, box } = net
  const { netns } = box
  box.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  cloneRule(netns, 'ipv4', 'filter', 'INPUT', 'probe')
  const target = CloneTarget.create({ name: 'probe', netns, capture: true, snaplen: 500 })
  t.teardown(() => target.close())
  const snaplens = [undefined, 1, 14, 100, 499, 501, 262144]
  const captures = snaplens.map((snaplen) => Capture.open({ from: 'probe', netns, ...(snaplen === undefined ? {} : { snaplen }) }))
  t.teardown(() => { for (const capture of captures) capture.close() })
  const got = captures.map((capture) => new Collector(capture))
  const sent = frames(net, '192.168.1.1', '192.168.1.254')
  for (const frame of sent) h1.sendFrame('eth0', frame)
  for (const [i, collector] of got.entries()) {
    const packets = await collector.count(N)
    const most = Math.min(snaplens[i] ?? 500, 500)
    t.same(packets.map(({ data, wireLength }) => [hex(data), wireLength]), sent.map((frame) => [hex(frame.subarray(0, most)), frame.length]), `snaplen ${snaplens[i]}`)
  }
  t.match(target.stats(), { seen: N, cloned: N, sent: N, captures: snaplens.length, bytes: sent.reduce((sum, { length }) => sum + Math.min(500, length), 0) })
})

t.test('fragments as they come, and put together', { skip: noModule }, async (t) => {
  const { h1, box } = await mirrorLab(t, { routed: false })
  box.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  const before = new Collector(captureOf(t, box, 'before'))
  const after = new Collector(captureOf(t, box, 'after'))
  cloneRule(box.netns, 'ipv4', 'raw', 'PREROUTING', 'before', '-s 192.168.1.1')
  cloneRule(box.netns, 'ipv4', 'filter', 'INPUT', 'after')
  const options = { to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination: '192.168.1.254', fill: 0x5a, size: 4000 }
  const pieces = fragments(options, 1300)
  for (const piece of pieces) h1.sendFrame('eth0', piece)
  t.same((await before.count(pieces.length)).map(({ data }) => hex(data)), pieces.map(hex))
  const [whole] = await after.count(1)
  t.equal(whole!.wireLength, 14 + 20 + 8 + 4000)
  t.same(hex(whole!.data.subarray(0, 14)), hex(pieces[0]!.subarray(0, 14)))
  t.same(hex(whole!.data.subarray(34)), hex(datagram(options).subarray(34)), 'the datagram')
})

t.test('TCP in large segments is one record each', { skip: noModule }, async (t) => {
  const { h1, box } = await mirrorLab(t, { routed: false })
  const listener = box.listen({ protocol: 'tcp', port: 9001, serve: 'discard' })
  t.teardown(() => { listener.close() })
  const got = new Collector(captureOf(t, box, 'probe', { snaplen: 120 }))
  cloneRule(box.netns, 'ipv4', 'filter', 'INPUT', 'probe', '-p tcp --dport 9001')
  const connection = await h1.connect({ protocol: 'tcp', address: '192.168.1.254', port: 9001 })
  const bytes = 400_000
  await connection.write(new Uint8Array(bytes).fill(7))
  const payloadOf = ({ wireLength, data }: { wireLength: number; data: Uint8Array }) => wireLength - 14 - 20 - ((data[14 + 20 + 12]! >> 4) * 4)
  const sum = () => got.packets.reduce((total, packet) => total + payloadOf(packet), 0)
  await until(() => sum() >= bytes, 'not all of it came')
  const large = got.packets.filter(({ segmentSize }) => segmentSize > 0)
  t.ok(large.length > 0, `${large.length} of ${got.packets.length} are large`)
  t.ok(large.every(({ wireLength, data, segmentSize, checksumPartial }) => wireLength > 1514 && data.length === 120 && segmentSize <= 1460 && checksumPartial))
  connection.close()
})
