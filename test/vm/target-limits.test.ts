// SPDX-License-Identifier: MIT
// How many copies a clone target makes: by chance, by a rate, by its queue; loops; and definitions that change under traffic.

import t from 'tap'
import { CloneTarget, Hook, Link, Netns } from '../../lib/index.js'
import { type Host, Lab } from '../../lib/lab/index.js'
import { datagram } from '../support/datagram.js'
import { counted as received, isIpv4 } from '../support/flood.js'
import { kernelBytes } from '../support/kernel-memory.js'
import { snmp } from '../support/lab.js'
import type { CloneTargetState } from '../../lib/wire/module/target.js'
import { arrivals, cloneTo, counters, type MirrorLab, mirrorLab, noModule, sorted, until, withModule } from '../support/module.js'
import { run, tryRun } from '../support/outside.js'

withModule(t)

const N = 200
/** NFKIT_MODULE_CYCLES=10000 for the long form. */
const CHANGES = Number(process.env['NFKIT_MODULE_CYCLES'] ?? 400)
/** From so many on what one definition takes, at least so many bytes, would stand out if it were lost. */
const [LONG, LEAST] = [10_000, 256]
const UDP = 17
const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

const frames = ({ h1, box }: Pick<MirrorLab, 'h1' | 'box'>, count = N, destination = '192.168.1.254') => Array.from({ length: count }, (_, i) =>
  datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination, fill: i & 0xff, size: 20 + (i >> 8) }))

const NOT_CLONED = ['no_route', 'loop', 'no_device', 'unroutable', 'local', 'same_device', 'too_big', 'queue_full', 'no_memory', 'no_reader', 'buffer_full']
const NOT_SENT = ['unresolved', 'device_down', 'refused', 'flushed', 'dropped_oldest', 'queued']
const sum = (counted: Record<string, number>, names: readonly string[]) => names.reduce((total, name) => total + (counted[name] ?? 0), 0)

t.test('by chance, and by a rate', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { h1, box, monitor } = net
  box.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  cloneTo(box, 'ipv4', 'INPUT', 'probe', '-p udp')
  const target = CloneTarget.create({ name: 'probe', netns: box.netns, devices: ['eth2'], sample: 4, random: true })
  const sent = frames(net)
  const send = async () => { for (const frame of sent) h1.sendFrame('eth0', frame) }
  const copies = await arrivals(box, 'eth2', monitor, send, () => counters(box, 'target:probe')['seen'] === N ? counters(box, 'target:probe')['sent'] ?? 0 : N, { whole: true })
  const chance = counters(box, 'target:probe')
  // Of 200 with one in four, fewer than 15 or more than 95 come once in 10^9 times.
  t.ok(copies.length >= 15 && copies.length <= 95, `${copies.length} of ${N}`)
  t.equal(chance['sent'], copies.length)
  t.equal(chance['sampled_out'], N - copies.length)

  const before = Date.now()
  target.set({ devices: ['eth2'], rate: 2, burst: 10 })
  const limited = await arrivals(box, 'eth2', monitor, send, () => counters(box, 'target:probe')['seen'] === 2 * N ? counters(box, 'target:probe')['sent']! - copies.length : N, { whole: true })
  const most = 10 + 2 * Math.ceil((Date.now() - before) / 1000) + 1
  t.ok(limited.length >= 10 && limited.length <= most, `${limited.length}, at most ${most}`)
  t.same(limited.slice(0, 10), sent.slice(0, 10).map(hex), 'the first ones')
  t.equal(counters(box, 'target:probe')['limited'], N - limited.length)
  target.close()
})

t.test('a queue of its own: the newest or the oldest copy is dropped', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { lab, h1, box } = net
  box.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  const devices = ['eth2', 'eth3', 'eth4', 'eth5', 'eth6']
  for (const name of devices.slice(1)) lab.wire({ host: box, name }, { host: lab.host(`${name}-monitor`, { ipv6: false }) })
  cloneTo(box, 'ipv4', 'INPUT', 'probe', '-p udp')
  // The copies of one packet wait together.
  const one = (expected: Record<string, Record<string, number>>, what: string) => async (target: CloneTarget) => {
    h1.sendFrame('eth0', frames(net, 1)[0]!)
    for (const [device, counted] of Object.entries(expected)) {
      await until(() => JSON.stringify(without(counters(box, `target:probe:${device}`))) === JSON.stringify(counted), `${what}, ${device}: ${JSON.stringify(counters(box, `target:probe:${device}`))}`)
    }
    t.pass(what)
    target.close()
  }
  const without = ({ bytes: _bytes, ...rest }: Record<string, number>) => rest
  const sent = { seen: 1, cloned: 1, sent: 1 }
  const create = (more: object) => CloneTarget.create({ name: 'probe', netns: box.netns, devices, defer: true, ...more })
  await one({ eth2: sent, eth3: sent, eth4: sent, eth5: { seen: 1, queue_full: 1 }, eth6: { seen: 1, queue_full: 1 } }, 'the newest')(create({ queueLimit: 3 }))
  await one({ eth2: { seen: 1, cloned: 1, dropped_oldest: 1 }, eth3: { seen: 1, cloned: 1, dropped_oldest: 1 }, eth4: sent, eth5: sent, eth6: sent }, 'the oldest')(create({ queueLimit: 3, dropOldest: true }))
  box.netns.writeSysctl('net/nfkit/queue_limit', 1)
  await one({ eth2: { seen: 1, cloned: 1, dropped_oldest: 1 }, eth5: { seen: 1, cloned: 1, dropped_oldest: 1 }, eth6: sent }, 'the oldest, by the limit of the namespace')(create({ queueLimit: 3, dropOldest: true }))
  box.netns.writeSysctl('net/nfkit/queue_limit', 0)
  await one({ eth2: { seen: 1, queue_full: 1 }, eth6: { seen: 1, queue_full: 1 } }, 'none may wait')(create({ dropOldest: true }))
  await one({ eth2: sent, eth6: sent }, 'and none has to')(create({ dropOldest: true, defer: false }))
})

t.test('loops: by the device that it copies from, and inside a bridge', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { h1, h2, box, monitor } = net
  box.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  cloneTo(box, 'ipv4', 'INPUT', 'probe', '-p udp')
  const target = CloneTarget.create({ name: 'probe', netns: box.netns, devices: ['eth0'] })
  for (const frame of frames(net)) h1.sendFrame('eth0', frame)
  await until(() => counters(box, 'target:probe')['seen'] === N)
  t.same(counters(box, 'target:probe'), { seen: N, same_device: N })

  // Copies by a VLAN wait in the queue, and leave by its port, where a hook meets them.
  run(box.netns, 'sh', '-ec', 'ip link add link eth1 name eth1.7 type vlan id 7; ip link set eth1.7 up')
  target.set({ devices: ['eth1.7', 'eth2'] })
  const hook = Hook.create({ at: 'egress', out: 'eth1', match: { protocol: 'udp' }, verdict: 'accept', clone: 'probe', netns: box.netns })
  const sent = frames(net)
  const once = await arrivals(box, 'eth2', monitor, async () => { for (const frame of sent) h1.sendFrame('eth0', frame) }, () => counters(box, 'target:probe')['seen'] === 3 * N ? N : Infinity, { whole: true })
  t.same(sorted(once), sorted(sent.map(hex)), 'no copy of a copy')
  t.same(counters(box, 'target:probe:eth2'), { seen: 2 * N, cloned: N, sent: N, loop: N, bytes: counters(box, 'target:probe:eth2')['bytes'] })
  hook.close()
  target.close()
  if (tryRun(box.netns, 'test', '-e', '/proc/sys/net/bridge/bridge-nf-call-iptables').status !== 0) return t.comment('br_netfilter is not here')
  const bridge = box.bridge('br0')
  for (const port of ['eth0', 'eth1']) bridge.addPort(port, { addresses: 'drop' })
  bridge.netfilter.setNamespace({ callIptables: true })
  cloneTo(box, 'ipv4', 'FORWARD', 'inside', '-p udp')
  cloneTo(box, 'ipv4', 'POSTROUTING', 'inside', '-p udp')
  bridge.addPort('eth2')
  run(box.netns, 'bridge', 'fdb', 'replace', macOf(h2), 'dev', 'eth1', 'master', 'static')
  const inside = CloneTarget.create({ name: 'inside', netns: box.netns, devices: ['br0', 'eth1', 'eth2'] })
  const bridged = Array.from({ length: N }, (_, i) => datagram({ to: macOf(h2), from: macOf(h1), source: '192.168.1.1', destination: '192.168.2.2', fill: i & 0xff }))
  let originals: string[] = []
  const copies = await arrivals(box, 'eth2', monitor, async () => {
    originals = await arrivals(box, 'eth1', h2, async () => { for (const frame of bridged) h1.sendFrame('eth0', frame) }, () => N, { whole: true })
  }, () => 2 * N, { whole: true })
  t.same(sorted(originals), sorted(bridged.map(hex)))
  t.same(sorted(copies), sorted([...bridged, ...bridged].map(hex)), 'another port sends a copy at each of two hooks')
  t.match(counters(box, 'target:inside'), { seen: 2 * N, same_device: 4 * N, cloned: 2 * N, sent: 2 * N })
  inside.close()
})

t.test('two boxes that mirror into each other by three wires: as much as their rates allow, then it ends', { skip: noModule }, async (t) => {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const [a, b] = [lab.box('a', { ipv6: false }), lab.box('b', { ipv6: false })]
  const source = lab.host('source', { ipv6: false })
  lab.wire({ host: a }, { host: source })
  const wires = ['w0', 'w1', 'w2']
  for (const name of wires) lab.wire({ host: a, name }, { host: b, name })
  const [rate, burst] = [20, 100]
  const before = Date.now()
  // A copy that comes by one wire leaves by the two others: without a limit each makes two, four, eight.
  const targets = [a, b].map((box, i) => CloneTarget.create({
    name: 'probe', netns: box.netns, rate, burst, defer: i === 1, devices: wires.map((device) => ({ device, destination: macOf(i === 0 ? b : a, device) })),
  }))
  const hooks = ['eth0', ...wires].map((name) => Hook.create({ at: 'ingress', in: name, verdict: 'accept', clone: 'probe', match: { protocol: 'udp' }, netns: a.netns }))
  cloneTo(b, 'ipv4', 'PREROUTING', 'probe', '-p udp', 'raw')
  // One packet from outside is enough.
  source.sendFrame('eth0', frames({ h1: source, box: a }, 1, '192.168.9.9')[0]!)
  const stats = () => targets.map((target) => target.stats())
  const isOver = ([one, two]: CloneTargetState[]) => one!.seen === 1 + two!.sent && two!.seen === one!.sent && one!.queued + two!.queued === 0
  // It is over when nothing has moved since the last look.
  let last = stats()
  await until(() => {
    const now = stats()
    const same = now.every(({ seen }, i) => seen === last[i]!.seen) && isOver(now)
    last = now
    return same
  }, 'it does not end')
  const seconds = Math.ceil((Date.now() - before) / 1000)
  const chosen = last.map(({ seen, limited }) => seen - limited)
  t.ok(chosen.every((count) => count <= burst + rate * seconds + 1), `${chosen} packets were copied in ${seconds} s`)
  t.ok(chosen.some((count) => count >= burst), 'until there was no more credit')
  t.ok(last.some(({ limited }) => limited > 0))
  // Each packet leaves by all wires but the one that it came by.
  for (const [i, outside] of [1, 0].entries()) {
    const count = chosen[i]! - outside
    t.match(last[i], { sampledOut: 0, cloned: 2 * count + 3 * outside, sent: 2 * count + 3 * outside, lost: { sameDevice: count } }, `box ${i}`)
  }
  for (const one of [...targets, ...hooks]) one.close()
})

t.test(`${CHANGES} definitions while packets pass`, { skip: noModule, timeout: 3_600_000 }, async (t) => {
  const net = await mirrorLab(t)
  const { lab, h1, box, monitor } = net
  const second = lab.host('second', { ipv6: false })
  lab.wire({ host: box, name: 'eth3' }, { host: second })
  box.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  cloneTo(box, 'ipv4', 'INPUT', 'probe', '-p udp')
  const copies = [monitor, second].map((host) => received(host, isIpv4(UDP)))
  const came = () => copies.reduce((sum, { count }) => sum + count, 0)
  const sent = frames(net, 4)
  const target = CloneTarget.create({ name: 'probe', netns: box.netns, devices: ['eth2'] })
  const forms = [{ devices: ['eth2'] }, { devices: ['eth3'], defer: true }, { devices: ['eth3', 'eth2'], sample: 2, defer: true }, { devices: ['eth2', 'gone'], rate: 1000, burst: 5 }, { devices: ['eth3'], snaplen: 60 }]
  let early = 0
  for (let i = 0; i < CHANGES; i++) {
    for (const frame of sent) h1.sendFrame('eth0', frame)
    target.set(forms[i % forms.length]!)
    if (i === Math.floor(CHANGES / 10)) early = kernelBytes()
  }
  const grown = kernelBytes() - early
  if (CHANGES < LONG || process.env['NFKIT_SANITIZE'] !== undefined) t.comment(`memory: ${grown} bytes more in ${0.9 * CHANGES} definitions`)
  else t.ok(grown < CHANGES * LEAST, `memory: ${grown} bytes more in ${0.9 * CHANGES} definitions`)
  const total = 4 * CHANGES
  await until(() => target.stats().seen === total && target.stats().queued === 0, 'all were met')
  const counted = counters(box, 'target:probe')
  t.equal(counted['no_target'], undefined, 'each met a definition')
  t.equal(counted['cloned'], sum(counted, ['sent', ...NOT_SENT]), `each copy was sent or counted: ${JSON.stringify(counted)}`)
  t.ok(counted['cloned']! + sum(counted, NOT_CLONED) >= total - sum(counted, ['sampled_out', 'limited']), 'each packet was copied or counted')
  await until(() => came() >= counted['sent']!)
  t.equal(came(), counted['sent'], 'and what was sent came')
  for (const one of copies) await one.stop()
  // What came to the socket, and what found no room there.
  const originals = () => ['InDatagrams', 'RcvbufErrors'].reduce((sum, name) => sum + snmp(box, 'Udp', name), 0)
  await until(() => originals() === total, `${originals()} of ${total} originals came`)

  // Devices come and go, too, and the target with them.
  for (let i = 0; i < 20; i++) {
    for (const frame of sent) h1.sendFrame('eth0', frame)
    Link.delete('eth3', { netns: box.netns })
    for (const frame of sent) h1.sendFrame('eth0', frame)
    lab.wire({ host: box, name: 'eth3' }, { host: second, name: 'eth0' })
    target.set({ devices: ['eth3', 'eth2'], defer: i % 2 === 0 })
  }
  await until(() => target.stats().seen === total + 160)
  target.close()
  const netns = Netns.create()
  for (let i = 0; i < 20; i++) {
    const persistent = CloneTarget.create({ name: `p${i}`, netns, devices: ['lo', 'eth0'], persistent: true })
    if (i % 2 === 0) persistent.close()
  }
  run(netns, 'ip', 'link', 'add', 'eth0', 'type', 'dummy')
  t.not(CloneTarget.get('p3', netns).devices[1]!.index, null)
  netns.close()
})
