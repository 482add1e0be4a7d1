// SPDX-License-Identifier: MIT
// Copies that leave by devices, revision 1 of CLONE: whole frames, with the MAC header that the packet came with.

import { readFileSync } from 'node:fs'
import t from 'tap'
import { CloneTarget, Link, Netns } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { datagram } from '../support/datagram.js'
import { arrivals, counters, MARK, type MirrorLab, mirrorLab, noModule, packetOf, sorted, until, withModule } from '../support/module.js'
import { ipJson, run } from '../support/outside.js'
import { devicesInfo, INFO_V1_SIZE, insertClone } from '../support/raw-rule.js'

withModule(t)

const N = 40
const SENT = { seen: N, cloned: N, sent: N }
const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const hex = (mac: string) => mac.replaceAll(':', '')
/** Without the bytes that were sent, which are those of the frames. */
const packetsOf = (host: Host, of: string) => {
  const { bytes: _bytes, ...packets } = counters(host, of)
  return packets
}
const FAMILIES = [['ipv4', '192.168.1.1', '192.168.1.254', '192.168.2.2'], ['ipv6', 'fd01::1', 'fd01::fe', 'fd02::2']] as const

/** Frames of h1, with numbers in them. */
const frames = ({ h1, box }: MirrorLab, source: string, destination: string) =>
  Array.from({ length: N }, (_, i) => datagram({ to: macOf(box), from: macOf(h1), source, destination, fill: i, size: 20 + 9 * i }))

for (const [family, h1Address, boxAddress, h2Address] of FAMILIES) {
  for (const [table, chain] of [['filter', 'FORWARD'], ['mangle', 'POSTROUTING'], ['filter', 'INPUT'], ['raw', 'PREROUTING']] as const) {
    t.test(`${family} ${chain}: the frame as it came in, while its original gets another header`, { skip: noModule }, async (t) => {
      const net = await mirrorLab(t)
      const { h1, h2, box, monitor } = net
      for (const host of [h2, box]) host.listen({ protocol: 'udp', port: 9000, address: family === 'ipv4' ? '0.0.0.0' : '::', serve: 'discard' })
      insertClone(box, family, table, chain, '-p udp', 1, devicesInfo(['eth2']))
      const toBox = chain === 'INPUT'
      const sent = frames(net, h1Address, toBox ? boxAddress : h2Address)
      let originals: string[] = []
      const send = async () => { for (const frame of sent) h1.sendFrame('eth0', frame) }
      const copies = await arrivals(box, 'eth2', monitor, async () => {
        if (toBox) await send()
        else originals = await arrivals(box, 'eth1', h2, send, () => N)
      }, () => N, { whole: true })
      t.same(copies.map((text) => text.slice(0, 28)), sent.map((frame) => Buffer.from(frame.subarray(0, 14)).toString('hex')), 'the MAC headers')
      // Where the rule is decides whether the packet was forwarded yet.
      const asSent = toBox || chain === 'PREROUTING'
      t.same(sorted(copies.map((text) => text.slice(28))), sorted(asSent ? sent.map(packetOf) : originals), 'the packets')
      if (!toBox) t.equal(originals.length, N)
      t.same(counters(box, 'dev:eth2'), { ...SENT, bytes: sent.reduce((sum, frame) => sum + frame.length, 0) })
    })
  }

  t.test(`${family} OUTPUT: what the box makes has no header yet`, { skip: noModule }, async (t) => {
    const { h1, box, monitor } = await mirrorLab(t)
    h1.listen({ protocol: 'udp', port: 9000, address: family === 'ipv4' ? '0.0.0.0' : '::', serve: 'discard' })
    insertClone(box, family, 'filter', 'OUTPUT', '-p udp', 1, devicesInfo(['eth2']))
    const socket = await box.connect({ protocol: 'udp', address: h1Address, port: 9000 })
    let originals: string[] = []
    const copies = await arrivals(box, 'eth2', monitor, async () => {
      originals = await arrivals(box, 'eth0', h1, async () => { for (let i = 0; i < N; i++) await socket.send(new Uint8Array(10 + i).fill(i)) }, () => N)
    }, () => N, { whole: true })
    const header = `000000000000${hex(macOf(box))}${family === 'ipv4' ? '0800' : '86dd'}`
    t.same(sorted(copies), sorted(originals.map((text) => header + text)))
    t.same(packetsOf(box, 'dev:eth2'), SENT)
  })
}

t.test('several devices, each with its counters', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { lab, h1, h2, box, monitor } = net
  const second = lab.host('second', { ipv6: false })
  lab.wire({ host: box, name: 'eth3' }, { host: second })
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  insertClone(box, 'ipv4', 'filter', 'FORWARD', '-p udp', 1, devicesInfo(['eth2', 'absent', 'eth3', 'eth1', 'eth0', 'lo']))
  const sent = frames(net, '192.168.1.1', '192.168.2.2')
  let first: string[] = []
  const other = await arrivals(box, 'eth3', second, async () => {
    first = await arrivals(box, 'eth2', monitor, async () => { for (const frame of sent) h1.sendFrame('eth0', frame) }, () => N, { whole: true })
  }, () => N, { whole: true })
  t.equal(first.length, N)
  t.same(sorted(other), sorted(first))
  for (const [name, expected] of Object.entries({
    eth2: SENT, eth3: SENT, absent: { seen: N, no_device: N }, lo: { seen: N, no_device: N }, eth0: { seen: N, same_device: N }, eth1: { seen: N, same_device: N },
  })) t.same(packetsOf(box, `dev:${name}`), expected, name)
})

t.test('a device that is renamed, deleted, made again; one that is too small, or down', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { lab, h1, h2, box, monitor } = net
  const { netns } = box
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  insertClone(box, 'ipv4', 'filter', 'FORWARD', '-p udp', 1, devicesInfo(['eth2']))
  let total: Record<string, number> = {}
  const pass = async (expected: Record<string, number>, what: string) => {
    for (const frame of frames(net, '192.168.1.1', '192.168.2.2')) h1.sendFrame('eth0', frame)
    for (const [name, by] of Object.entries(expected)) total = { ...total, [name]: (total[name] ?? 0) + by }
    await until(() => JSON.stringify(Object.entries(packetsOf(box, 'dev:eth2')).sort()) === JSON.stringify(Object.entries(total).sort()),
      `${what}: ${JSON.stringify(packetsOf(box, 'dev:eth2'))}`)
    t.pass(what)
  }
  await pass(SENT, 'as it is')
  Link.set('eth2', { up: false }, { netns })
  await pass({ seen: N, cloned: N, device_down: N }, 'down')
  Link.set('eth2', { name: 'other' }, { netns })
  await pass({ seen: N, no_device: N }, 'under another name')
  Link.set('other', { name: 'eth2', up: true }, { netns })
  await until(() => Link.get('eth2', { netns }).operationalState === 'up')
  await pass(SENT, 'with its name again')
  Link.set('eth2', { mtu: 200 }, { netns })
  const fitting = frames(net, '192.168.1.1', '192.168.2.2').filter((frame) => frame.length - 14 <= 200).length
  await pass({ seen: N, cloned: fitting, sent: fitting, too_big: N - fitting }, 'with a smaller MTU')
  Link.delete('eth2', { netns })
  await pass({ seen: N, no_device: N }, 'deleted')
  lab.wire({ host: box, name: 'eth2' }, { host: monitor, name: 'eth0' })
  await pass(SENT, 'made again')
})

t.test('a bond that is Ethernet, then of the kind of its port, then Ethernet again', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  const ip = (line: string) => run(netns, 'ip', ...line.split(' '))
  for (const line of ['link add bond0 type bond mode active-backup', 'link add g0 type gre local 192.0.2.1 remote 192.0.2.2', 'link add d0 type dummy']) ip(line)
  using target = CloneTarget.create({ name: 'bonded', netns, devices: ['bond0'] })
  const events = CloneTarget.watch({ netns, signal: AbortSignal.timeout(60_000) })[Symbol.asyncIterator]()
  const next = async () => (await events.next()).value
  const { index } = Link.get('bond0', { netns })
  t.match(target.stats().devices, [{ device: 'bond0', index }])
  for (const [port, there] of [['g0', false], ['d0', true]] as const) {
    ip(`link set ${port} master bond0`)
    t.equal(ipJson(netns, 'link', 'show', 'bond0')[0].link_type, there ? 'ether' : 'gre')
    t.match(target.stats().devices, [{ device: 'bond0', index: there ? index : null }])
    t.match([await next(), await next()], there ? [{ event: 'device-back', device: { index } }, { event: 'target-resumed' }] : [{ event: 'device-gone', device: { index } }, { event: 'target-paused' }])
    ip(`link set ${port} nomaster`)
  }
  await events.return!()
})

t.test('structs that are not as they should be are refused', { skip: noModule }, async (t) => {
  const { box } = await mirrorLab(t)
  const put = (info: Uint8Array, table = 'filter', chain = 'INPUT') => insertClone(box, 'ipv4', table, chain, '', 1, info)
  const changed = (info: Uint8Array, change: (info: Uint8Array) => void) => { change(info); return info }
  const mark = (value: number) => changed(new Uint8Array(INFO_V1_SIZE), (info) => new DataView(info.buffer).setUint32(4, value, true))
  const bad: [string, Uint8Array][] = [
    ['no device', devicesInfo([])],
    ['an empty name before another', devicesInfo(['', 'eth2'])],
    ['a gap', devicesInfo(['eth2', '', 'eth3'])],
    ['a device twice', devicesInfo(['eth2', 'eth3', 'eth2'])],
    ['a name with a slash', devicesInfo(['a/b'])],
    ['a name without an end', changed(devicesInfo(['eth2']), (info) => info.fill(0x61, 4, 20))],
    ['bytes behind a name', changed(devicesInfo(['eth2']), (info) => { info[10] = 1 })],
    ['bytes behind the last name', changed(devicesInfo(['eth2']), (info) => { info[131] = 1 })],
    ['bytes behind the mark', changed(mark(5), (info) => { info[8] = 1 })],
    ['a target without a name', changed(mark(0), (info) => { info[0] = 2 })],
    ['a target with a space', changed(mark(0), (info) => { info[0] = 2; info.set([0x61, 0x20, 0x61], 4) })],
    ['bytes behind a target', changed(mark(0), (info) => { info[0] = 2; info.set([0x61, 0, 0x61], 4) })],
    ['a target without an end', changed(mark(0), (info) => { info[0] = 2; info.fill(0x61, 4, 36) })],
    ['bytes behind the field of a target', changed(mark(0), (info) => { info[0] = 2; info[4] = 0x61; info[36] = 1 })],
    ['an unknown kind', changed(mark(5), (info) => { info[0] = 3 })],
    ['another unknown kind', changed(mark(5), (info) => { info[3] = 0x80 })],
  ]
  for (const [name, info] of bad) t.throws(() => put(info), { code: 'EINVAL' }, name)
  for (const more of [-8, 8, 4096]) t.throws(() => put(new Uint8Array(INFO_V1_SIZE + more)), { code: 'EINVAL' }, `${more} bytes more`)
  t.throws(() => put(mark(5), 'raw', 'PREROUTING'), { code: 'EINVAL' }, 'a mark in PREROUTING')
  await until(() => /^nfkit \d+ 0 /m.test(readFileSync('/proc/modules', 'utf8')), 'nothing is held')
  t.equal(box.netns.readProc('nfkit').split('\n').length, 1, 'nothing is left')
  put(changed(devicesInfo(Array.from({ length: 8 }, (_, i) => `d${i}`)), (info) => info.fill(0xff, 136)))
  put(mark(MARK))
  t.equal(box.netns.readProc('nfkit').split('\n').length, 10, 'eight devices and a mark')
})
