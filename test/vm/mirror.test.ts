// SPDX-License-Identifier: MIT
// Mirror via reroute: copies at the monitor, and everything as before when it is gone.

import { readdirSync } from 'node:fs'
import { inspect } from 'node:util'
import t from 'tap'
import { type CloneCounters, Link, Mirror } from '../../lib/index.js'
import { decodePacket, type Host } from '../../lib/lab/index.js'
import { nfkit, nfkitJson } from '../support/cli.js'
import { datagram } from '../support/datagram.js'
import { everything, preparedLab } from '../support/mirror.js'
import { arrivals, counters, type MirrorLab, noModule, withModule } from '../support/module.js'
import { run, waitUntilUp } from '../support/outside.js'

withModule(t)
t.setTimeout(600_000)

const N = 40
const FROM = { chain: 'INPUT', protocol: 'udp' } as const
const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!

/** Datagrams from h1 through the box, to it, or from it; what came where they went and what came to the monitor. */
async function traffic({ h1, h2, box, monitor }: MirrorLab, way: 'FORWARD' | 'INPUT' | 'OUTPUT', family: 'ipv4' | 'ipv6', expected = N) {
  const [source, through, own] = family === 'ipv4' ? ['192.168.1.1', '192.168.2.2', '192.168.1.254'] : ['fd01::1', 'fd02::2', 'fd01::fe']
  let originals: string[] = []
  const copies = await arrivals(box, 'eth2', monitor, async () => {
    if (way === 'OUTPUT') {
      h1.listen({ protocol: 'udp', port: 9000, address: family === 'ipv4' ? '0.0.0.0' : '::', serve: 'discard' })
      const socket = await box.connect({ protocol: 'udp', address: source, port: 9000 })
      originals = await arrivals(box, 'eth0', h1, async () => { for (let i = 0; i < N; i++) await socket.send(new Uint8Array(10 + 7 * i).fill(i)) }, () => N)
      return
    }
    const destination = way === 'FORWARD' ? through : own
    const send = async () => {
      for (let i = 0; i < N; i++) h1.sendFrame('eth0', datagram({ to: macOf(box), from: macOf(h1), source, destination, fill: i, size: 20 + 3 * i }))
    }
    originals = way === 'FORWARD' ? await arrivals(box, 'eth1', h2, send, () => N) : await arrivals(h1, 'eth0', box, send, () => N)
  }, () => expected)
  return { originals, copies }
}

for (const chain of ['FORWARD', 'INPUT', 'OUTPUT'] as const) {
  t.test(`${chain}: every packet is copied to the monitor, and then all is as before`, { skip: noModule }, async (t) => {
    const net = await preparedLab(t)
    const { box, place, before } = net
    const mirror = await Mirror.create({ ...place, via: 'reroute', name: 'one', from: { chain, protocol: 'udp' }, to: 'eth2' })
    t.match(mirror.info(), { name: 'one', state: 'up', families: ['ipv4', 'ipv6'], from: { table: 'filter', chain, rules: ['-p udp'] }, to: ['eth2'], persistent: false, abandoned: false, pid: process.pid })
    t.match(run(box.netns, 'iptables-legacy-save', '-t', 'filter'), new RegExp(`:OUTPUT .*\\n(-A (?!${chain}).*\\n)*-A ${chain} -p udp -m comment --comment "?nfkit:one"? -j CLONE --mark 0x`), 'in front of the chain')
    for (const family of ['ipv4', 'ipv6'] as const) {
      const { originals, copies } = await traffic(net, chain, family)
      t.equal(originals.length, N, `${family} originals`)
      t.same(copies, originals, `${family} copies`)
    }
    t.match(mirror.stats(), { seen: 2 * N, cloned: 2 * N, sent: 2 * N })
    t.same(mirror.stats().lost, {})
    await mirror.close()
    await mirror.close()
    t.equal(everything(box), before)
    t.same(counters(box, mirror.mark), {})
    t.same(readdirSync(place.journal), ['lock'])
  })
}

t.test('two mirrors side by side, in either order of going', { skip: noModule }, async (t) => {
  const net = await preparedLab(t)
  const { box, place, before } = net
  for (const order of [[0, 1], [1, 0]]) {
    const mirrors = [
      await Mirror.create({ ...place, via: 'reroute', from: 'INPUT -p udp', to: 'eth2' }),
      await Mirror.create({ ...place, via: 'reroute', from: { chain: 'FORWARD', protocol: 'udp' }, to: ['eth2'] }),
    ]
    t.same(mirrors.map(({ name }) => name), ['mirror1', 'mirror2'])
    t.equal(new Set(mirrors.map(({ mark }) => mark)).size, 2)
    t.equal(new Set(mirrors.map(({ table }) => table)).size, 2)
    for (const way of ['INPUT', 'FORWARD'] as const) {
      const { originals, copies } = await traffic(net, way, 'ipv4')
      t.equal(originals.length, N)
      t.same(copies, originals, way)
    }
    const [first, second] = order as [number, number]
    await mirrors[first]!.close()
    t.equal(Link.get('eth2', { netns: box.netns }).arp, false, 'the other one still needs it')
    const way = first === 0 ? 'FORWARD' : 'INPUT'
    const { originals, copies } = await traffic(net, way, 'ipv4')
    t.same(copies, originals, `${way} goes on`)
    t.match(mirrors[second]!.stats(), { sent: 2 * N })
    await mirrors[second]!.close()
    t.equal(everything(box), before)
  }
})

t.test('four made at the same moment', { skip: noModule }, async (t) => {
  const { box, place, before } = await preparedLab(t)
  const mirrors = await Promise.all(Array.from({ length: 4 }, () => Mirror.create({ ...place, via: 'reroute', from: FROM, to: 'eth2' })))
  t.same(mirrors.map(({ name }) => name).sort(), ['mirror1', 'mirror2', 'mirror3', 'mirror4'])
  t.equal(new Set(mirrors.map(({ mark }) => mark)).size, 4)
  await Promise.all(mirrors.map((mirror) => mirror.close()))
  t.equal(everything(box), before)
})

t.test('persistent, open, the command line', { skip: noModule }, async (t) => {
  const net = await preparedLab(t)
  const { box, place, before } = net
  const env = { NFKIT_MIRROR_DIR: place.journal }
  process.env['NFKIT_MIRROR_DIR'] = place.journal
  t.teardown(() => { delete process.env['NFKIT_MIRROR_DIR'] })
  {
    await using mirror = await Mirror.create({ ...place, via: 'reroute', name: 'kept', from: FROM, to: 'eth2', persistent: true })
    t.equal(mirror.info().persistent, true)
  }
  await t.rejects(Mirror.create({ ...place, via: 'reroute', name: 'kept', from: FROM, to: 'eth2' }), { code: 'NFKIT_MIRROR_EXISTS' })
  const { originals, copies } = await traffic(net, 'INPUT', 'ipv6')
  t.same(copies, originals, 'it goes on')
  const again = Mirror.open('kept', place)
  t.match(again.stats(), { seen: N, sent: N })
  await again.close()
  t.not(everything(box), before, 'closing leaves it')
  t.match(await nfkitJson(box.netns, 'mirror', 'list'), [{ name: 'kept', state: 'up', to: ['eth2'], counters: { sent: N } }])
  const added = await nfkitJson(box.netns, 'mirror', 'add', '--via', 'reroute', '--from', 'FORWARD -p tcp --dport 80', '--to', 'eth2', '--name', 'web', '--ipv4', '--persistent')
  t.match(added, { name: 'web', state: 'up', families: ['ipv4'], from: { chain: 'FORWARD', rules: ['-p tcp -m tcp --dport 80'] }, persistent: true })
  const list = await nfkit(box.netns, ['mirror', 'list'], env)
  t.match(list.stdout, /^kept +up +INPUT -p udp +eth2 .*\nweb +up +FORWARD -p tcp -m tcp --dport 80 +eth2 /m)
  t.match((await nfkit(box.netns, ['mirror', 'show', 'web'])).stdout, /policy|rule/)
  t.match(await nfkit(box.netns, ['mirror', 'add', '--via', 'reroute', '--from', 'FORWARD', '--to', 'eth2', '--name', 'web']), { status: 1, stderr: /NFKIT_MIRROR_EXISTS/ })
  t.equal((await nfkit(box.netns, ['mirror', 'remove', 'web'])).status, 0)
  t.equal((await nfkit(box.netns, ['mirror', 'remove', 'kept'])).status, 0)
  t.match(await nfkit(box.netns, ['mirror', 'remove', 'kept']), { status: 1, stderr: /NFKIT_NO_SUCH_MIRROR/ })
  t.equal(everything(box), before)
})

t.test('what others did since is left alone', { skip: noModule }, async (t) => {
  const { box, place, before } = await preparedLab(t)
  const mirror = await Mirror.create({ ...place, via: 'reroute', from: FROM, to: 'eth2' })
  run(box.netns, 'sh', '-ec', 'iptables-legacy -F INPUT; ip link set eth2 arp on; ip -6 rule add pref 50 table 77')
  t.throws(() => Mirror.open(mirror.name, place) && run(box.netns, 'ip6tables-legacy', '-F', 'INPUT') === '' && mirror.stats(), { code: 'NFKIT_MIRROR_RULE_GONE' })
  t.match(await mirror.remove(), [{ step: /ipv6 rule in filter INPUT/, result: 'gone' }, { step: /ipv4 rule in filter INPUT/, result: 'gone' }])
  run(box.netns, 'sh', '-ec', `ip -6 rule del pref 50; iptables-legacy -A INPUT -p tcp --dport 22 -j ACCEPT; ip6tables-legacy -A INPUT -p tcp --dport 22 -j ACCEPT`)
  t.equal(everything(box), before)
})

t.test('a port that is set down: copies leave nowhere, and by the port again once its routes are repaired', { skip: noModule }, async (t) => {
  const net = await preparedLab(t)
  const { box, place } = net
  // Where the copies would go: to a host beside the mirror port that hears everything.
  const aside = net.lab.host('aside', { ipv6: false })
  net.lab.wire({ host: box }, { host: aside })
  run(box.netns, 'sh', '-ec', `ip link set eth3 arp off; for family in -4 -6; do ip $family route add default dev eth3; done
    ip rule add pref 1 iif eth0 lookup 50; ip -6 rule add pref 1 iif eth0 lookup 50; ip route add 192.168.2.2 dev eth1 table 50; ip -6 route add fd02::2 dev eth1 table 50
    ip route del 192.168.2.0/24 dev eth1; ip -6 route del fd02::/64 dev eth1`)
  // Without the routes that the kernel makes once more, in an order of its own, when the port is set up.
  const look = () => everything(box).replace(/^\S+ (fe80|ff00):.* dev eth2 .*\n/gm, '')
  const before = look()
  const mirror = await Mirror.create({ ...place, via: 'reroute', from: { chain: 'FORWARD', protocol: 'udp' }, to: 'eth2' })
  let strayed: string[] = []
  const both = async (copies: number) => {
    const results: Awaited<ReturnType<typeof traffic>>[] = []
    strayed = await arrivals(box, 'eth3', aside, async () => {
      for (const family of ['ipv4', 'ipv6'] as const) results.push(await traffic(net, 'FORWARD', family, copies))
    }, () => 0)
    for (const { originals } of results) t.equal(originals.length, N, 'originals')
    return results
  }
  for (const { originals, copies } of await both(N)) t.same(copies, originals)
  t.same(strayed, [])
  run(box.netns, 'sh', '-ec', 'ip link set eth2 down; ip link set eth2 up')
  waitUntilUp(box.netns, 'eth2')
  for (const { copies } of await both(0)) t.same(copies, [], 'nothing at the monitor')
  t.same(strayed, [], 'nor elsewhere')
  t.match(mirror.stats(), { seen: 4 * N, cloned: 2 * N, sent: 2 * N, lost: { unroutable: 2 * N } })
  t.match(await mirror.repair(), [/ipv4 default route/, /ipv6 default route/])
  for (const { originals, copies } of await both(N)) t.same(copies, originals, 'again')
  t.same(strayed, [])
  t.match(mirror.stats(), { sent: 4 * N, lost: { unroutable: 2 * N } })
  await mirror.close()
  t.equal(look(), before)
})

t.test('the wire of the sender has the same messages and resets with a mirror as without', { skip: noModule }, async (t) => {
  const net = await preparedLab(t)
  const { h1, h2, box, place } = net
  // Closed ports answer; how often is not to depend on the time.
  for (const { netns } of [box, h2]) run(netns, 'sysctl', '-qw', 'net.ipv4.icmp_ratelimit=0', 'net.ipv6.icmp.ratelimit=0')
  const mac = macOf(box)
  const heard = async () => {
    const frames = await arrivals(box, 'eth0', h1, async () => {
      for (const [source, through, own] of [['192.168.1.1', '192.168.2.2', '192.168.1.254'], ['fd01::1', 'fd02::2', 'fd01::fe']] as const) {
        for (const destination of [through, own]) {
          for (const size of [30, 1400]) for (let i = 0; i < 5; i++) h1.sendFrame('eth0', datagram({ to: mac, from: macOf(h1), source, destination, size, fill: i, dontFragment: true }))
          await t.rejects(h1.connect({ address: destination, port: 7 }), { code: 'ECONNREFUSED' })
          const host = destination === own ? box : h2
          const server = host.listen({ port: 8080, address: destination, serve: 'echo' })
          const connection = await h1.connect({ address: destination, port: 8080 })
          await connection.write('hello')
          t.equal(Buffer.from(await connection.read() ?? []).toString(), 'hello')
          await connection.close()
          server.close()
        }
      }
    }, () => 4 * 10 + 4, { whole: true })
    const words: string[] = []
    for (const frame of frames) {
      const { ipv4, ipv6, icmp, icmpv6, tcp } = decodePacket(Buffer.from(frame, 'hex'))
      const from = ipv4?.source ?? ipv6?.source
      if (icmp !== undefined) words.push(`${from} ICMP ${icmp.type} ${icmp.code}`)
      if (icmpv6 !== undefined) words.push(`${from} ICMPv6 ${icmpv6.type} ${icmpv6.code}`)
      if (tcp?.flags.includes('rst') === true) words.push(`${from} RST from ${tcp.sourcePort}`)
    }
    return words.sort()
  }
  const without = await heard()
  t.equal(without.filter((word) => word.includes('ICMP')).length, 4 * 10, 'a port unreachable for each datagram')
  t.equal(without.filter((word) => word.includes('RST')).length, 4, 'a reset for each connection to a closed port')
  const mirrors = [await Mirror.create({ ...place, via: 'reroute', from: { chain: 'FORWARD' }, to: 'eth2' }), await Mirror.create({ ...place, via: 'reroute', from: { chain: 'INPUT' }, to: 'eth2' })]
  const trials: [name: string, prepare: string, counts: (lost: CloneCounters['lost']) => boolean][] = [
    ['copies arrive', ':', (lost) => Object.keys(lost).length === 0],
    ['the MTU of the port is too small', 'ip link set eth2 mtu 1300', ({ tooBig = 0 }) => tooBig > 0],
    ['the monitor is unplugged', 'ip link set eth2 mtu 1500', ({ deviceDown = 0 }) => deviceDown > 0],
    ['the port was set down', 'ip link set eth2 down; ip link set eth2 up', ({ unroutable = 0 }) => unroutable > 0],
    ['the port is down', 'ip link set eth2 down', ({ unroutable = 0 }) => unroutable > 0],
  ]
  for (const [name, prepare, counts] of trials) {
    run(box.netns, 'sh', '-ec', prepare)
    run(net.monitor.netns, 'ip', 'link', 'set', 'eth0', name === 'the monitor is unplugged' ? 'down' : 'up')
    if (name !== 'the monitor is unplugged' && name !== 'the port is down') waitUntilUp(box.netns, 'eth2')
    t.same(await heard(), without, name)
    for (const mirror of mirrors) t.ok(counts(mirror.stats().lost), `${name}: ${inspect(mirror.stats())}`)
  }
  for (const mirror of mirrors) await mirror.close()
})

t.test('a port that goes while it is mirrored to', { skip: noModule }, async (t) => {
  const { box, place } = await preparedLab(t)
  const mirror = await Mirror.create({ ...place, via: 'reroute', from: FROM, to: 'eth2' })
  run(box.netns, 'sh', '-ec', 'ip link del eth2')
  const undone = await mirror.remove()
  t.equal(undone.filter(({ result }) => result === 'gone').length, 3, 'ARP, both routes')
  t.notMatch(everything(box), /nfkit|lookup 20243/)
})

t.test('a port that is down, a chain or port that is not there', { skip: noModule }, async (t) => {
  const { box, place, before } = await preparedLab(t)
  await t.rejects(Mirror.create({ ...place, via: 'reroute', from: FROM, to: 'eth9' }), { code: 'ENODEV' })
  await t.rejects(Mirror.create({ ...place, via: 'reroute', from: FROM, to: 'lo' }), { code: 'NFKIT_MIRROR_PORT' })
  await t.rejects(Mirror.create({ ...place, via: 'reroute', from: { chain: 'nowhere' }, to: 'eth2' }), { code: 'NFKIT_NO_SUCH_CHAIN' })
  await t.rejects(Mirror.create({ ...place, via: 'reroute', from: FROM, to: 'eth2', table: 1234 }), { name: 'RangeError' })
  await t.rejects(Mirror.create({ ...place, via: 'reroute', from: FROM, to: 'eth2', mark: 7 }), { name: 'RangeError' })
  t.equal(everything(box), before)
  run(box.netns, 'ip', 'link', 'set', 'eth2', 'down')
  await t.rejects(Mirror.create({ ...place, via: 'reroute', from: FROM, to: 'eth2' }), { code: 'ENETDOWN' })
})
