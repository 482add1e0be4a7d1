// SPDX-License-Identifier: MIT
// What a clone target's devices send: tags, addresses, lengths, segments and fragments, as the receivers see them.

import t from 'tap'
import { CloneTarget, Hook, Link } from '../../lib/index.js'
import { encodeEthernet, EtherType, type Host } from '../../lib/lab/index.js'
import { internetChecksum, transportChecksum } from '../../lib/wire/checksum.js'
import { watch } from '../support/capture.js'
import { datagram, fragments, IPV4_OPTIONS } from '../support/datagram.js'
import { arrivals, cloneTo, counters, type MirrorLab, mirrorLab, noModule, sorted, until, withModule } from '../support/module.js'
import { run, tryRun } from '../support/outside.js'

withModule(t)

const N = 40
const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const plain = (mac: string) => mac.replaceAll(':', '')
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const lengthOf = (frames: readonly string[]) => frames.reduce((sum, text) => sum + text.length / 2, 0)

const frames = ({ h1, box }: MirrorLab, destination: string) => Array.from({ length: N }, (_, i) =>
  datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination, fill: i, size: 20 + 9 * i }))

const isUdp = (data: Uint8Array) => (data[12] === 8 && data[23] === 17) || (data[12] === 0x81 && data[27] === 17) || (data[12] === 0x88 && data[27] === 17)

for (const [chain, destination] of [['INPUT', '192.168.1.254'], ['FORWARD', '192.168.2.2']] as const) {
  for (const defer of [false, true]) {
    t.test(`${chain}, ${defer ? 'queued' : 'at once'}: a tag, an address, and both, each by its device`, { skip: noModule }, async (t) => {
      const net = await mirrorLab(t)
      const { lab, h1, h2, box, monitor } = net
      const others = ['second', 'third', 'fourth'].map((name) => lab.host(name, { ipv6: false }))
      for (const [i, host] of others.entries()) lab.wire({ host: box, name: `eth${3 + i}` }, { host })
      for (const host of [h2, box]) host.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
      cloneTo(box, 'ipv4', chain, 'probe', '-p udp')
      const target = CloneTarget.create({
        name: 'probe', netns: box.netns, defer,
        devices: ['eth2', { device: 'eth3', vlan: { id: 900, priority: 5 } }, { device: 'eth4', destination: '02:00:00:00:00:aa' },
          { device: 'eth5', vlan: { id: 7, protocol: '802.1ad' }, destination: '03:00:00:00:00:bb' }],
      })
      const watches = [monitor, ...others].map((host) => watch(host, isUdp))
      const sent = frames(net, destination)
      for (const frame of sent) h1.sendFrame('eth0', frame)
      await until(() => watches.every(({ frames }) => frames.length >= N), `frames: ${watches.map(({ frames }) => frames.length).join(' ')}`)
      for (const { stop } of watches) await stop()
      const [asIs, tagged, addressed, both] = watches.map(({ frames }) => sorted(frames.map(hex)))
      t.same(asIs!.map((text) => text.slice(0, 28)), sent.map((frame) => hex(frame.subarray(0, 14))))
      if (chain === 'INPUT') t.same(asIs, sorted(sent.map(hex)))
      t.same(tagged, sorted(asIs!.map((text) => `${text.slice(0, 24)}8100a384${text.slice(24)}`)))
      t.same(addressed, sorted(asIs!.map((text) => `0200000000aa${text.slice(12)}`)))
      t.same(both, sorted(asIs!.map((text) => `0300000000bb${text.slice(12, 24)}88a80007${text.slice(24)}`)))
      // Those that the hardware sets count for nothing.
      const bytes = lengthOf(asIs!)
      for (const device of ['eth2', 'eth3', 'eth4', 'eth5']) t.same(counters(box, `target:probe:${device}`), { seen: N, cloned: N, sent: N, bytes }, device)
      t.same(counters(box, 'target:probe'), { seen: N, cloned: 4 * N, sent: 4 * N, bytes: 4 * bytes })
      target.close()
    })
  }
}

for (const [chain, destination] of [['INPUT', '192.168.1.254'], ['FORWARD', '192.168.2.2']] as const) {
  t.test(`${chain}: frames are cut`, { skip: noModule }, async (t) => {
    const net = await mirrorLab(t)
    const { h1, h2, box, monitor } = net
    for (const host of [h2, box]) host.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
    cloneTo(box, 'ipv4', chain, 'probe', '-p udp')
    const target = CloneTarget.create({ name: 'probe', netns: box.netns, devices: ['eth2'], snaplen: 100 })
    // What is cut fits, however long it was.
    Link.set('eth2', { mtu: 86 }, { netns: box.netns })
    const sent = frames(net, destination)
    const copies = await arrivals(box, 'eth2', monitor, async () => { for (const frame of sent) h1.sendFrame('eth0', frame) }, () => N, { whole: true })
    t.same(sorted(copies.map((text) => `${text.slice(0, 28)}${text.length / 2}`)), sorted(sent.map((frame) => `${hex(frame.subarray(0, 14))}${Math.min(100, frame.length)}`)))
    if (chain === 'INPUT') t.same(sorted(copies), sorted(sent.map((frame) => hex(frame.subarray(0, 100)))))
    t.same(counters(box, 'target:probe'), { seen: N, cloned: N, sent: N, bytes: lengthOf(copies) })
    target.set({ devices: ['eth2'], snaplen: 60 })
    const optioned = [['nothing, ten words of it', 0], ['nothing, ten words of it', 100], ['router alert', 100]] as const
    let originals: string[] = []
    const short = await arrivals(box, 'eth2', monitor, async () => {
      const [from, device, to] = chain === 'INPUT' ? [h1, 'eth0', box] : [box, 'eth1', h2]
      originals = await arrivals(from, device, to, async () => {
        for (const [name, size] of optioned) h1.sendFrame('eth0', datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination, options: IPV4_OPTIONS[name], size }))
      }, () => optioned.length)
    }, () => optioned.length, { whole: true })
    t.same(sorted(short), sorted(originals.map((text) => `${hex(sent[0]!.subarray(0, 14))}${text.slice(0, 2 * (60 - 14))}`)), 'within the options')
    target.close()
  })
}

for (const [family, chain, address] of [['ipv4', 'FORWARD', '192.168.2.2'], ['ipv6', 'INPUT', 'fd01::fe'], ['ipv4', 'OUTPUT', '192.168.2.2']] as const) {
  for (const snaplen of [0, 120]) {
    t.test(`TCP over ${family} with segmentation offload, ${chain}: ${snaplen === 0 ? 'whole' : 'cut after it is segmented'}`, { skip: noModule }, async (t) => {
      const { h1, h2, box, monitor } = await mirrorLab(t)
      cloneTo(box, family, chain, 'probe', '-p tcp --dport 8080')
      const target = CloneTarget.create({ name: 'probe', netns: box.netns, devices: ['eth2'], snaplen })
      const bytes = 1 << 17
      const SHORT = 7
      const data = Buffer.alloc(bytes)
      for (let i = 0; i < bytes; i++) data[i] = (i * 7 + (i >> 8)) & 0xff
      const seen = watch(monitor, (frame) => frame[12] === (family === 'ipv4' ? 0x08 : 0x86) && frame[family === 'ipv4' ? 23 : 20] === 6)
      const [to, from] = [chain === 'INPUT' ? box : h2, chain === 'OUTPUT' ? box : h1]
      const server = to.listen({ port: 8080, address, serve: 'discard' })
      const connection = await from.connect({ address, port: 8080 })
      await connection.write(data.subarray(0, -SHORT))
      const ipLength = family === 'ipv4' ? 20 : 40
      const covered = new Uint8Array(bytes)
      let missing = bytes
      let first = 0
      const wrong: string[] = []
      let parsed = 0
      const parse = () => {
        for (; parsed < seen.frames.length; parsed++) {
          const frame = seen.frames[parsed]!
          const view = new DataView(frame.buffer, frame.byteOffset)
          const whole = family === 'ipv4' ? view.getUint16(16) : view.getUint16(18) + 40
          const tcp = 14 + ipLength
          const offset = (frame[tcp + 12]! >> 4) * 4
          const length = whole - ipLength - offset
          if ((frame[tcp + 13]! & 2) !== 0) first = view.getUint32(tcp + 4) + 1
          const at = (view.getUint32(tcp + 4) - first) >>> 0
          if (frame.length !== (snaplen === 0 ? 14 + whole : Math.min(snaplen, 14 + whole))) wrong.push(`${frame.length} bytes of a packet of ${whole}`)
          if (length > 0 && length <= bytes) {
            for (let i = at; i < at + length; i++) if (covered[i] === 0) { covered[i] = 1; missing-- }
            // What is not cut keeps the checksum as it is, and one that the hardware is to fill in is not filled in here.
            if (frame.length < 14 + whole) {
              if (whole > 1500) wrong.push(`a segment of ${whole} bytes`)
              // The part that was cut off is known, so the checksums of what was sent can be checked.
              const message = Buffer.concat([frame.subarray(tcp, tcp + offset), data.subarray(at, at + length)])
              const [source, destination] = family === 'ipv4' ? [frame.subarray(26, 30), frame.subarray(30, 34)] : [frame.subarray(22, 38), frame.subarray(38, 54)]
              if (family === 'ipv4' && internetChecksum(frame.subarray(14, 34)) !== 0) wrong.push('checksum of IPv4')
              if (transportChecksum(source, destination, 6, message) !== 0) wrong.push(`checksum of ${length} bytes from ${at} on: ${hex(frame)}`)
              const kept = Buffer.from(frame.subarray(tcp + offset))
              if (!kept.equals(data.subarray(at, at + Math.min(length, kept.length)))) wrong.push(`bytes from ${at} on`)
            }
          }
        }
      }
      await until(() => { parse(); return missing === SHORT }, `${missing} bytes are missing`)
      // The last segment is too short to be cut, as one may be at the end of the receiver's window.
      await connection.write(data.subarray(-SHORT))
      await connection.close()
      await until(() => { parse(); return missing === 0 }, `${missing} bytes are missing`)
      server.close()
      await until(() => { const { seen: met, sent } = counters(box, 'target:probe'); return met === sent })
      await until(() => seen.frames.reduce((sum, frame) => sum + frame.length, 0) === counters(box, 'target:probe')['bytes'], 'as many bytes came as were counted')
      await seen.stop()
      t.same(wrong, [], 'lengths, checksums and bytes')
      const { seen: met, cloned, sent, bytes: _bytes, ...other } = counters(box, 'target:probe')
      t.same(other, {}, 'nothing was dropped')
      t.ok(met! > 0 && met === cloned && cloned === sent)
      if (snaplen !== 0) t.ok(seen.frames.length > met!, `${met} packets left in ${seen.frames.length} frames`)
      target.close()
    })
  }
}

t.test('fragments as they come, before they are put together', { skip: noModule }, async (t) => {
  const { h1, h2, box, monitor } = await mirrorLab(t)
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  cloneTo(box, 'ipv4', 'PREROUTING', 'probe', '-s 192.168.1.1', 'raw')
  const target = CloneTarget.create({ name: 'probe', netns: box.netns, devices: ['eth2'] })
  const sent = fragments({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination: '192.168.2.2', size: 4000, fill: 0x5a }, 1500)
  const copies = await arrivals(box, 'eth2', monitor, async () => { for (const frame of sent) h1.sendFrame('eth0', frame) }, () => sent.length, { whole: true })
  t.same(copies, sent.map(hex))
  target.close()
})

t.test('a tag that the hardware took off a bridged frame is sent with it, inside of one that is added', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { lab, h1, h2, box, monitor } = net
  const second = lab.host('second', { ipv6: false })
  lab.wire({ host: box, name: 'eth3' }, { host: second })
  if (tryRun(box.netns, 'test', '-e', '/proc/sys/net/bridge/bridge-nf-call-iptables').status !== 0) return t.comment('br_netfilter is not here')
  const bridge = box.bridge('br0')
  for (const port of ['eth0', 'eth1']) bridge.addPort(port, { addresses: 'drop' })
  bridge.netfilter.setNamespace({ callIptables: true, filterVlanTagged: true })
  cloneTo(box, 'ipv4', 'FORWARD', 'probe', '-p udp')
  const target = CloneTarget.create({ name: 'probe', netns: box.netns, devices: ['eth2', { device: 'eth3', vlan: { id: 900 } }] })
  const tagged = Array.from({ length: N }, (_, i) => {
    const frame = datagram({ to: macOf(h2), from: macOf(h1), source: '192.168.1.1', destination: '192.168.2.2', fill: i, size: 20 + 9 * i })
    return Buffer.concat([frame.subarray(0, 12), new Uint8Array([0x81, 0, 0x60, 42]), frame.subarray(12)])
  })
  const [plainOnes, outer] = [watch(monitor, (data) => data[12] === 0x81), watch(second, (data) => data[12] === 0x81)]
  for (const frame of tagged) h1.sendFrame('eth0', frame)
  await until(() => plainOnes.frames.length >= N && outer.frames.length >= N, `${plainOnes.frames.length} and ${outer.frames.length} frames, ${JSON.stringify(counters(box, 'target:probe'))}`)
  for (const one of [plainOnes, outer]) await one.stop()
  t.same(sorted(plainOnes.frames.map(hex)), sorted(tagged.map(hex)))
  t.same(sorted(outer.frames.map(hex)), sorted(tagged.map((frame) => `${hex(frame.subarray(0, 12))}81000384${hex(frame.subarray(12))}`)))
  t.equal(plain(macOf(h2)), hex(tagged[0]!.subarray(0, 6)))
  target.close()
})

t.test('a frame as long as the MTU allows, at the points of a device: the MTU does not count its MAC header', { skip: noModule }, async (t) => {
  const { h1, h2, box, monitor } = await mirrorLab(t)
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  const whole = datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination: '192.168.2.2', size: 1500 - 28 })
  for (const [at, devices] of [['ingress', { in: 'eth0' }], ['egress', { out: 'eth1' }]] as const) {
    const target = CloneTarget.create({ name: 'probe', netns: box.netns, devices: ['eth2'] })
    const hook = Hook.create({ at, ...devices, match: { protocol: 'udp' }, verdict: { redirect: 'probe', onFail: 'drop' }, netns: box.netns })
    const copies = await arrivals(box, 'eth2', monitor, async () => h1.sendFrame('eth0', whole), () => 1, { whole: true })
    t.equal(copies.length, 1, at)
    t.equal(copies[0]?.length, 2 * 1514)
    t.match(hook.stats(), { redirected: 1, notTaken: 0 })
    hook.close()
    target.close()
  }
})

t.test('a frame with two tags may be longer by the inner one, as for the bridge', { skip: noModule }, async (t) => {
  const { h1, h2, box, monitor } = await mirrorLab(t, { routed: false })
  const bridge = box.bridge('br0')
  for (const port of ['eth0', 'eth1']) bridge.addPort(port, { addresses: 'drop' })
  // A sender whose hardware adds the outer tag.
  run(h1.netns, 'sh', '-ec', 'ip link add link eth0 name outer type vlan proto 802.1ad id 6; ip link set outer up')
  const payload = datagram({ to: macOf(h2), source: '192.168.1.1', destination: '192.168.2.2', size: 1500 - 28 }).subarray(14)
  const frame = (...vlans: { protocol?: number; id: number }[]) => encodeEthernet({ destination: macOf(h2), source: macOf(h1), etherType: EtherType.ipv4, vlans, payload })
  const target = CloneTarget.create({ name: 'probe', netns: box.netns, devices: ['eth2'] })
  const hook = Hook.create({ at: 'bridge-forward', verdict: 'accept', clone: 'probe', netns: box.netns, match: { sourceMac: macOf(h1) } })
  const [originals, copies] = [h2, monitor].map((host) => watch(host, (data) => data[12] === 0x88 && data[16] === 0x81)) as [ReturnType<typeof watch>, ReturnType<typeof watch>]
  h1.sendFrame('outer', frame({ id: 5 }))
  await until(() => originals.frames.length > 0)
  t.equal(counters(box, 'target:probe')['too_big'], undefined)
  await until(() => copies.frames.length > 0)
  for (const one of [originals, copies]) {
    await one.stop()
    t.same(one.frames.map(hex), [hex(frame({ protocol: 0x88a8, id: 6 }, { id: 5 }))])
  }
  hook.close()
  target.close()
})
