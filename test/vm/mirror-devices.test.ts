// SPDX-License-Identifier: MIT
// Mirror via devices: whole frames at every monitor, changed while traffic flows, and everything as before when it is gone.

import t from 'tap'
import { CloneTarget, Hook, KernelModule, Link, Mirror, type MirrorOptions } from '../../lib/index.js'
import { type Host, Lab } from '../../lib/lab/index.js'
import { nfkit, nfkitJson, Running } from '../support/cli.js'
import { datagram } from '../support/datagram.js'
import { everythingOf, journalDirectory, type TwoMonitors, twoMonitors } from '../support/mirror.js'
import { arrivals, noModule, sorted, withModule } from '../support/module.js'
import { run } from '../support/outside.js'

withModule(t)
t.setTimeout(600_000)

const N = 20
const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const digits = (mac: string) => mac.replaceAll(':', '')
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const FORWARD = { chain: 'FORWARD', protocol: 'udp' } as const
/** As digits: addresses, then type and packet. */
const ADDRESSES = 24

/** Datagrams of h1 to h2, or to the box itself. */
function frames({ h1, box }: TwoMonitors, family: 'ipv4' | 'ipv6', to: 'h2' | 'box' = 'h2'): Uint8Array[] {
  const [source, through, own] = family === 'ipv4' ? ['192.168.1.1', '192.168.2.2', '192.168.1.254'] : ['fd01::1', 'fd02::2', 'fd01::fe']
  return Array.from({ length: N }, (_, i) => datagram({ to: macOf(box), from: macOf(h1), source, destination: to === 'h2' ? through : own, fill: i, size: 20 + 9 * i }))
}

/** Sends frames by h1; what came to h2, and to the two monitors, whole. */
async function traffic({ h1, h2, box, monitor, second }: TwoMonitors, sent: readonly Uint8Array[], expected: { h2?: number; first?: number; second?: number } = {}) {
  const got = { originals: [] as string[], first: [] as string[], second: [] as string[] }
  got.second = await arrivals(box, 'eth3', second, async () => {
    got.first = await arrivals(box, 'eth2', monitor, async () => {
      got.originals = await arrivals(box, 'eth1', h2, async () => { for (const frame of sent) h1.sendFrame('eth0', frame) }, () => expected.h2 ?? N, { whole: true })
    }, () => expected.first ?? N, { whole: true })
  }, () => expected.second ?? N, { whole: true })
  return got
}

t.test('two ports, MAC headers kept at FORWARD, IPv4 and IPv6, changed meanwhile; then all is as before', { skip: noModule }, async (t) => {
  const net = await twoMonitors(t)
  const { box, h1, place, before, second } = net
  const mirror = await Mirror.create({ ...place, name: 'one', from: FORWARD, to: ['eth2', 'eth3'] })
  t.match(mirror.info(), {
    name: 'one', state: 'up', via: 'devices', target: 'mirror.one', families: ['ipv4', 'ipv6'], from: { table: 'filter', chain: 'FORWARD', rules: ['-p udp'] }, to: ['eth2', 'eth3'],
    persistent: false, abandoned: false, pid: process.pid, steps: ['clone target mirror.one: eth2, eth3', 'ipv4 rule in filter FORWARD', 'ipv6 rule in filter FORWARD'],
  })
  t.same(CloneTarget.list(box.netns), ['mirror.one'])
  const rules = () => run(box.netns, 'iptables-legacy-save', '-t', 'filter').match(/^-A FORWARD.*$/gm)
  t.match(rules()![0], /^-A FORWARD -p udp -m comment --comment "?nfkit:one"? -j CLONE --target mirror\.one$/, 'in front of the chain')
  const link = run(box.netns, 'sh', '-c', 'ip -j link; ip rule; ip route show table all')
  for (const family of ['ipv4', 'ipv6'] as const) {
    const sent = frames(net, family)
    const { originals, first, second } = await traffic(net, sent)
    t.equal(originals.length, N)
    t.same(first.map((text) => text.slice(0, ADDRESSES)), sent.map((frame) => hex(frame.subarray(0, 12))), `${family}: the MAC header as h1 sent it`)
    t.same(sorted(first.map((text) => text.slice(ADDRESSES))), sorted(originals.map((text) => text.slice(ADDRESSES))), `${family}: the packet as it was forwarded`)
    t.same(sorted(second), sorted(first))
  }
  t.match(mirror.stats(), { seen: 2 * N, cloned: 4 * N, sent: 4 * N, lost: {}, outputs: [{ device: 'eth2', seen: 2 * N, sent: 2 * N, lost: {} }, { device: 'eth3', sent: 2 * N }] })
  t.equal(mirror.stats().outputs[0]!.index, Link.get('eth2', { netns: box.netns }).index)

  // Other ports and limits: no rule is touched.
  const text = rules()
  const destination = macOf(second)
  await mirror.set({ to: [{ device: 'eth3', vlan: { id: 900, priority: 3 }, destination }], snaplen: 64, sample: 4 })
  t.same(rules(), text)
  t.match(mirror.info(), { to: ['eth3'], steps: [/eth3$/, /./, /./] })
  const sent = frames(net, 'ipv4')
  const changed = await traffic(net, sent, { first: 0, second: N / 4 })
  t.same(changed.first, [])
  t.same(changed.second.map((text) => text.slice(0, 24 + 8)), sent.filter((_, i) => i % 4 === 0).map((frame) => `${digits(destination)}${digits(macOf(h1))}81006384${hex(frame.subarray(12, 12))}`), 'RSPAN tag, destination')
  // The tag that the receiver's kernel puts back is beside the frame on the way.
  t.ok(changed.second.every((text) => text.length / 2 <= 64 + 4), 'snaplen')
  t.match(mirror.stats(), { seen: 3 * N, sampledOut: N - N / 4, outputs: [{ device: 'eth3', vlan: { id: 900, priority: 3 }, destination, sent: 2 * N + N / 4 }] })
  await mirror.set({ sample: 1 })
  t.match(CloneTarget.get('mirror.one', box.netns), { sample: 1, snaplen: 64, devices: [{ device: 'eth3', vlan: { id: 900 } }] }, 'what is not given stays')
  await t.rejects(mirror.set({ to: 'eth9' }), { code: 'ENODEV' })
  await t.rejects(mirror.set({ random: true }), RangeError)
  t.match(Mirror.list(place), [{ to: ['eth3'] }])

  t.equal(run(box.netns, 'sh', '-c', 'ip -j link; ip rule; ip route show table all'), link, 'no route, rule or port was touched')
  await mirror.close()
  await mirror.close()
  t.equal(everythingOf(box), before)
})

t.test('PREROUTING, where the packet is as it came; a port that packets come by; a port that is down, goes and comes', { skip: noModule }, async (t) => {
  const net = await twoMonitors(t)
  const { box, lab, second, place } = net
  run(box.netns, 'ip', 'link', 'set', 'eth3', 'down')
  await using mirror = await Mirror.create({ ...place, from: 'PREROUTING -p udp', to: ['eth0', 'eth2', 'eth3'] })
  t.match(run(box.netns, 'iptables-legacy-save', '-t', 'mangle'), /-A PREROUTING -p udp -m comment --comment "?nfkit:mirror1"? -j CLONE --target mirror\.mirror1/)
  const sent = frames(net, 'ipv4')
  run(box.netns, 'ip', 'link', 'set', 'eth3', 'up')
  const { first } = await traffic(net, sent)
  t.same(first, sent.map(hex), 'byte for byte')
  t.match(mirror.stats(), { seen: N, sent: 2 * N, lost: { sameDevice: N }, outputs: [{ device: 'eth0', sent: 0, lost: { sameDevice: N } }, { sent: N }, { sent: N }] })
  run(box.netns, 'ip', 'link', 'del', 'eth3')
  t.equal((await arrivals(box, 'eth2', net.monitor, async () => { for (const frame of sent) net.h1.sendFrame('eth0', frame) }, () => N)).length, N)
  t.match(mirror.stats().outputs[2], { device: 'eth3', index: null, seen: 2 * N, sent: N, lost: { noDevice: N } })
  lab.wire({ host: box, name: 'eth3' }, { host: second, name: 'eth0' })
  const again = await traffic(net, sent)
  t.equal(again.second.length, N, 'it goes on by the new one of that name')
  t.match(mirror.stats().outputs[2], { sent: 2 * N, lost: { noDevice: N } })
  await mirror.close()
  t.same(CloneTarget.list(box.netns), [])
  t.notMatch(everythingOf(box), /nfkit:/)
})

t.test('hook points', { skip: noModule }, async (t) => {
  const net = await twoMonitors(t)
  const { box, place, before } = net
  const { features } = KernelModule.info(box.netns)
  const cases: { from: MirrorOptions['from'] & { at: string }; to: 'h2' | 'box'; asSent: boolean }[] = [
    { from: { at: 'ingress', in: 'eth0', match: { protocol: 'udp' } }, to: 'h2', asSent: true },
    { from: { at: 'prerouting', in: 'eth0', family: 'ipv4', match: { protocol: 'udp' } }, to: 'h2', asSent: true },
    { from: { at: 'local-in', match: { protocol: 'udp', destinationPort: 9000 } }, to: 'box', asSent: true },
    { from: { at: 'forward', in: 'eth0', out: 'eth1', match: { protocol: 'udp' }, priority: -10 }, to: 'h2', asSent: false },
    { from: { at: 'egress', out: 'eth1', match: { protocol: 'udp' } }, to: 'h2', asSent: false },
  ]
  for (const { from, to, asSent } of cases) {
    const missing = (from.at === 'ingress' && !features.includes('hooksIngress')) || (from.at === 'egress' && !features.includes('hooksEgress'))
    if (missing) {
      await t.rejects(Mirror.create({ ...place, name: 'one', from, to: ['eth2', 'eth3'] }), { code: 'EOPNOTSUPP' })
      t.equal(everythingOf(box), before, from.at)
      continue
    }
    const mirror = await Mirror.create({ ...place, name: 'one', from, to: ['eth2', 'eth3'] })
    t.match(mirror.info(), { from, target: 'mirror.one', families: from.at === 'ingress' || from.at === 'egress' ? [] : 'family' in from ? ['ipv4'] : ['ipv4', 'ipv6'] })
    t.match([CloneTarget.list(box.netns), Hook.list(box.netns)], [['mirror.one'], ['mirror.one']])
    for (const family of from.at === 'prerouting' ? ['ipv4'] as const : ['ipv4', 'ipv6'] as const) {
      const sent = frames(net, family, to)
      const { originals, first, second } = await traffic(net, sent, to === 'box' ? { h2: 0 } : {})
      // At egress the frame has the header that it leaves with.
      const expected = asSent ? sent.map(hex) : from.at === 'egress' ? originals : sent.map((frame, i) => `${hex(frame.subarray(0, 12))}${originals[i]!.slice(ADDRESSES)}`)
      t.same(sorted(first), sorted(expected), `${from.at} ${family}`)
      t.same(sorted(second), sorted(first))
    }
    const count = from.at === 'prerouting' ? N : 2 * N
    t.match(mirror.stats(), { seen: count, sent: 2 * count, lost: {} }, from.at)
    t.match(Hook.get('mirror.one', box.netns), { matched: count, accepted: count })
    await mirror.close()
    t.equal(everythingOf(box), before, from.at)
  }
})

t.test('bridge-forward, in a namespace with a bridge and another that has a mirror of that name', { skip: noModule }, async (t) => {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const [h1, h2, monitor, box, other] = [lab.host('h1'), lab.host('h2'), lab.host('monitor', { ipv6: false }), lab.box('box'), lab.box('other')]
  lab.wire({ host: box }, { host: h1, addresses: ['10.0.0.1/24'] })
  lab.wire({ host: box }, { host: h2, addresses: ['10.0.0.2/24'] })
  lab.wire({ host: box }, { host: monitor })
  lab.wire({ host: other, name: 'eth2' }, { host: lab.host('nobody') })
  const bridge = box.bridge('br0')
  for (const port of ['eth0', 'eth1']) bridge.addPort(port, { addresses: 'drop' })
  if (!KernelModule.info(box.netns).features.includes('hooksBridge')) return t.comment('this kernel has no hooks of the bridge')
  const journal = journalDirectory(t)
  const place = { netns: box.netns, journal }
  const from = { at: 'bridge-forward', in: 'eth0', match: { etherType: 'ipv4', protocol: 'udp' } } as const
  const mirror = await Mirror.create({ ...place, name: 'one', from, to: ['eth2', 'eth1'] })
  const elsewhere = await Mirror.create({ netns: other.netns, journal, name: 'one', from: { chain: 'FORWARD' }, to: 'eth2' })
  const sent = Array.from({ length: N }, (_, i) => datagram({ to: macOf(h2), from: macOf(h1), source: '10.0.0.1', destination: '10.0.0.2', fill: i, size: 40 + i }))
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  let originals: string[] = []
  const copies = await arrivals(box, 'eth2', monitor, async () => {
    originals = await arrivals(box, 'eth1', h2, async () => { for (const frame of sent) h1.sendFrame('eth0', frame) }, () => N, { whole: true })
  }, () => N, { whole: true })
  t.same(sorted(originals), sorted(sent.map(hex)))
  t.same(copies.map((text) => text), sent.map(hex))
  t.match(mirror.stats(), { seen: N, sent: N, lost: { sameDevice: N } }, 'the port that the frame leaves by gets no copy')
  t.match(elsewhere.stats(), { seen: 0, sent: 0 })
  await elsewhere.close()
  t.same([CloneTarget.list(other.netns), CloneTarget.list(box.netns)], [[], ['mirror.one']])
  await mirror.close()
  t.same([CloneTarget.list(box.netns), Hook.list(box.netns)], [[], []])
})

t.test('what is refused, and what others did since', { skip: noModule }, async (t) => {
  const { box, place, before } = await twoMonitors(t)
  const { netns } = box
  await t.rejects(Mirror.create({ ...place, from: FORWARD, to: ['eth2', 'eth9'] }), { code: 'ENODEV' })
  await t.rejects(Mirror.create({ ...place, from: FORWARD, to: 'lo' }), { code: 'NFKIT_MIRROR_PORT' })
  await t.rejects(Mirror.create({ ...place, from: { chain: 'nowhere' }, to: 'eth2' }), { code: 'NFKIT_NO_SUCH_CHAIN' })
  CloneTarget.create({ name: 'mirror.one', devices: ['eth2'], persistent: true, netns }).close()
  await t.rejects(Mirror.create({ ...place, name: 'one', from: FORWARD, to: 'eth3' }), { code: 'EEXIST', message: /clone target mirror\.one/ })
  t.match(CloneTarget.get('mirror.one', netns), { devices: [{ device: 'eth2' }] }, 'it is somebody else\'s')
  CloneTarget.delete('mirror.one', netns)
  t.equal(everythingOf(box), before)

  const mirror = await Mirror.create({ ...place, name: 'one', from: { at: 'forward' }, to: 'eth2' })
  Hook.delete('mirror.one', netns)
  t.throws(() => mirror.stats(), { code: 'NFKIT_MIRROR_RULE_GONE', message: /no hook of its is left at forward/ })
  t.same(await mirror.repair(), ['hook mirror.one at forward'])
  t.same(await mirror.repair(), [])
  t.match(mirror.stats(), { seen: 0 })
  Hook.delete('mirror.one', netns)
  CloneTarget.delete('mirror.one', netns)
  t.throws(() => mirror.stats(), { code: 'NFKIT_MIRROR_RULE_GONE', message: /its clone target mirror\.one is gone/ })
  await t.rejects(mirror.set({ sample: 2 }), { code: 'ENOENT' })
  // One that belongs to a program is not ours to delete.
  const theirs = CloneTarget.create({ name: 'mirror.one', devices: ['eth3'], netns })
  t.match(await mirror.remove(), [{ step: /hook/, result: 'gone' }, { step: /clone target/, result: 'gone' }])
  t.same(CloneTarget.list(netns), ['mirror.one'])
  theirs.close()
  const rerouted = await Mirror.create({ ...place, via: 'reroute', from: FORWARD, to: 'eth2' })
  await t.rejects(rerouted.set({ to: 'eth3' }), { code: 'EOPNOTSUPP' })
  await rerouted.close()
  t.equal(everythingOf(box), before)
})

t.test('the command line', { skip: noModule }, async (t) => {
  const net = await twoMonitors(t)
  const { box, place, before } = net
  process.env['NFKIT_MIRROR_DIR'] = place.journal
  t.teardown(() => { delete process.env['NFKIT_MIRROR_DIR'] })
  const ok = async (...args: string[]) => {
    const { status, stdout, stderr } = await nfkit(box.netns, ['mirror', ...args])
    t.equal(status, 0, `${args.join(' ')}: ${stderr}`)
    return stdout
  }
  t.equal(await ok('add', '--from', 'FORWARD -p udp', '--to', 'eth2,eth3/vlan=77', '--name', 'web', '--snaplen', '128', '--persistent'), 'web: clone target mirror.web\n')
  t.match(await nfkitJson(box.netns, 'mirror', 'add', '--at', 'forward', '--in', 'eth0', '--match', '{"protocol":"udp"}', '--priority=-5', '--to', 'eth2', '--name', 'probe'),
    { name: 'probe', via: 'devices', from: { at: 'forward', in: 'eth0', priority: -5, match: { protocol: 'udp' } } })
  t.equal(await ok('set', 'web', '--to', 'eth3', '--no-random', '--rate', '1000000', '--burst', '1000'), '')
  t.match(CloneTarget.get('mirror.web', box.netns), { snaplen: 128, rate: 1_000_000, burst: 1000, devices: [{ device: 'eth3' }] })
  await traffic(net, frames(net, 'ipv4'))
  t.match(await ok('list'), /^probe +up +forward priority -5 in eth0 \{"protocol":"udp"\} +eth2 +devices +20 +20 +0 +process \d+\nweb +up +FORWARD -p udp +eth3 +devices +20 +20 +0 +itself/m)
  t.match(await ok('show', 'web'), /^ {2}via +devices\n {2}target +mirror\.web\n[^]*^by eth3\n +seen +20\n/m)
  const watch = new Running(box.netns, ['mirror', 'watch', 'web', '--json', '--interval', '0.2'], { env: { NFKIT_MIRROR_DIR: place.journal } })
  t.teardown(() => watch.stop())
  await watch.until('two readings', (text) => text.split('\n').length > 2)
  t.match(watch.objects[0], { name: 'web', state: 'up', counters: { seen: N, sent: N, outputs: [{ device: 'eth3', sent: N }] } })
  await ok('remove', 'web')
  t.match(await watch.ended, { status: 0 })
  t.match(watch.stderr, /mirror web was removed/)
  await ok('remove', 'probe')
  t.equal(everythingOf(box), before)
})
