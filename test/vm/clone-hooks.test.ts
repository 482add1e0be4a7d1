// SPDX-License-Identifier: MIT
// Copies at each hook: what comes to the box, what it sends, what passes; to one, to a group, to all.

import t from 'tap'
import { Link, Rule } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { datagram } from '../support/datagram.js'
import { arrivals, clone, counters, MARK, type MirrorLab, mirrorLab, noModule, sorted, until, withModule } from '../support/module.js'
import { run, tryRun } from '../support/outside.js'

withModule(t)

const N = 50
const COMMAND = { ipv4: 'iptables-legacy', ipv6: 'ip6tables-legacy' } as const
const COUNTED = { seen: N, cloned: N, sent: N }

const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const sendAll = (host: Host, device: string, frame: (i: number) => Uint8Array) => {
  for (let i = 0; i < N; i++) host.sendFrame(device, frame(i))
}

/** What came to the box from h1, and what came to the monitor. */
async function toBox({ h1, box, monitor }: MirrorLab, frame: (i: number) => Uint8Array, expected = N): Promise<{ originals: string[]; copies: string[] }> {
  let originals: string[] = []
  const copies = await arrivals(box, 'eth2', monitor, async () => {
    originals = await arrivals(h1, 'eth0', box, async () => { sendAll(h1, 'eth0', frame) }, () => N)
  }, () => expected)
  return { originals, copies }
}

const GROUPS: Record<string, { to: string; source: string; destination: string }> = {
  'unicast, IPv4': { to: '', source: '192.168.1.1', destination: '192.168.1.254' },
  'multicast, IPv4': { to: '01:00:5e:00:00:01', source: '192.168.1.1', destination: '224.0.0.1' },
  'broadcast of the network': { to: 'ff:ff:ff:ff:ff:ff', source: '192.168.1.1', destination: '192.168.1.255' },
  'limited broadcast': { to: 'ff:ff:ff:ff:ff:ff', source: '192.168.1.1', destination: '255.255.255.255' },
  'without a source, as DHCP': { to: 'ff:ff:ff:ff:ff:ff', source: '0.0.0.0', destination: '255.255.255.255' },
  'unicast, IPv6': { to: '', source: 'fd01::1', destination: 'fd01::fe' },
  'multicast, IPv6': { to: '33:33:00:00:00:01', source: 'fe80::1:2', destination: 'ff02::1' },
}

t.test('INPUT: packets to the box itself leave by the mirror port', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { h1, box } = net
  for (const family of ['ipv4', 'ipv6'] as const) clone(box, family, 'INPUT', '-p udp')
  for (const [name, { to, ...addresses }] of Object.entries(GROUPS)) {
    const before = counters(box)
    const { originals, copies } = await toBox(net, (i) => datagram({ to: to === '' ? macOf(box) : to, from: macOf(h1), ...addresses, fill: i, size: 20 + 3 * i }))
    t.equal(originals.length, N, name)
    t.same(sorted(copies), sorted(originals), `${name}: the copies are the packets`)
    t.same(counters(box), Object.fromEntries(Object.keys(COUNTED).map((key) => [key, (before[key] ?? 0) + N])), `${name}: counters`)
  }
  // What the stack made of the copies of groups: nothing came back to the box itself.
  t.match(run(box.netns, 'sh', '-c', 'grep -w ^Udp: /proc/net/snmp | tail -1'), /^Udp: 0 /)
})

t.test('INPUT with the rule for table local in its usual place: the copy would come back, and is counted', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { h1, box } = net
  const { netns } = box
  Rule.add({ family: 'ipv4', table: 'local', priority: 0 }, { netns })
  clone(box, 'ipv4', 'INPUT', '-p udp')
  await toBox(net, (i) => datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination: '192.168.1.254', fill: i }), 0)
  t.same(counters(box), { seen: N, local: N })
})

for (const [family, chain, address] of [
  ['ipv4', 'OUTPUT', '192.168.1.1'], ['ipv4', 'POSTROUTING', '192.168.1.1'], ['ipv6', 'OUTPUT', 'fd01::1'], ['ipv6', 'POSTROUTING', 'fd01::1'],
] as const) {
  t.test(`${family} ${chain}: packets of the box itself`, { skip: noModule }, async (t) => {
    const { h1, box, monitor } = await mirrorLab(t)
    clone(box, family, chain, '-p udp')
    const sink = h1.listen({ protocol: 'udp', port: 9000, address: family === 'ipv4' ? '0.0.0.0' : '::', serve: 'discard' })
    const socket = await box.connect({ protocol: 'udp', address, port: 9000 })
    let originals: string[] = []
    const copies = await arrivals(box, 'eth2', monitor, async () => {
      originals = await arrivals(box, 'eth0', h1, async () => {
        for (let i = 0; i < N; i++) await socket.send(new Uint8Array(10 + 7 * i).fill(i))
      }, () => N)
    }, () => N)
    t.equal(originals.length, N)
    t.same(sorted(copies), sorted(originals))
    t.same(counters(box), COUNTED)
    t.equal(sink.port, 9000)
  })
}

t.test('POSTROUTING of what is forwarded, and no entry of connection tracking for a copy', { skip: noModule }, async (t) => {
  const { h1, h2, box, monitor } = await mirrorLab(t)
  run(box.netns, 'iptables-legacy', '-t', 'mangle', '-A', 'PREROUTING', '-m', 'conntrack', '--ctstate', 'NEW')
  // A copy that went through the chains would meet these.
  run(box.netns, 'sh', '-ec', 'iptables-legacy -A OUTPUT -p udp; iptables-legacy -t mangle -A POSTROUTING -o eth2')
  clone(box, 'ipv4', 'POSTROUTING', '-p udp')
  let originals: string[] = []
  const copies = await arrivals(box, 'eth2', monitor, async () => {
    originals = await arrivals(box, 'eth1', h2, async () => {
      sendAll(h1, 'eth0', (i) => datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination: '192.168.2.2', fill: i }))
    }, () => N)
  }, () => N)
  t.equal(originals.length, N)
  t.same(sorted(copies), sorted(originals))
  t.same(counters(box), COUNTED)
  t.equal(box.netns.readSysctl('net/netfilter/nf_conntrack_count'), '1', 'the flow of the originals')
  t.match(run(box.netns, 'iptables-legacy-save', '-c', '-t', 'filter'), /\[0:0\] -A OUTPUT -p udp/, 'no copy in OUTPUT')
  t.match(run(box.netns, 'iptables-legacy-save', '-c', '-t', 'mangle'), /\[0:0\] -A POSTROUTING -o eth2/, 'no copy in POSTROUTING')
})

t.test('PREROUTING is refused', { skip: noModule }, async (t) => {
  const { box } = await mirrorLab(t)
  for (const family of ['ipv4', 'ipv6'] as const) {
    for (const table of ['raw', 'mangle', 'nat']) {
      const { status, stderr } = tryRun(box.netns, COMMAND[family], '-t', table, '-A', 'PREROUTING', '-j', 'CLONE', '--mark', String(MARK))
      t.not(status, 0, `${family} ${table}`)
      t.match(stderr, /Invalid argument/)
    }
    t.equal(tryRun(box.netns, COMMAND[family], '-t', 'raw', '-A', 'OUTPUT', '-j', 'CLONE', '--mark', String(MARK)).status, 0)
  }
  // A user chain that PREROUTING leads to is refused too.
  run(box.netns, 'sh', '-ec', `iptables-legacy -t raw -N copy; iptables-legacy -t raw -A copy -j CLONE --mark ${MARK}`)
  t.match(tryRun(box.netns, 'iptables-legacy', '-t', 'raw', '-A', 'PREROUTING', '-j', 'copy').stderr, /Invalid argument/)
  for (const command of Object.values(COMMAND)) t.notMatch(run(box.netns, `${command}-save`), /-A PREROUTING/, 'no rule was made')
})

t.test('nf_tables: user chains and jumps that come later, and PREROUTING by that way', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { h1, h2, box, monitor } = net
  run(box.netns, 'sh', '-ec', `iptables-nft -N copy; iptables-nft -A copy -p udp -j CLONE --mark ${MARK}; iptables-nft -A FORWARD -j copy
    iptables-nft -t raw -N early; iptables-nft -t raw -A early -p udp -j CLONE --mark 7; iptables-nft -t raw -A PREROUTING -i eth0 -j early
    ip6tables-nft -A FORWARD -p udp -j CLONE --mark ${MARK}`)
  t.match(run(box.netns, 'iptables-nft-save'), /-A copy -p udp -j CLONE --mark 0xc10e/)
  for (const [source, destination] of [['192.168.1.1', '192.168.2.2'], ['fd01::1', 'fd02::2']] as const) {
    const before = counters(box)
    let originals: string[] = []
    const copies = await arrivals(box, 'eth2', monitor, async () => {
      originals = await arrivals(box, 'eth1', h2, async () => {
        sendAll(h1, 'eth0', (i) => datagram({ to: macOf(box), from: macOf(h1), source, destination, fill: i }))
      }, () => N)
    }, () => N)
    t.equal(originals.length, N)
    t.same(sorted(copies), sorted(originals), destination)
    t.equal(counters(box)['sent']! - (before['sent'] ?? 0), N)
  }
  t.same(counters(box, 7), { seen: N, no_route: N }, 'in PREROUTING there is no route yet')
  run(box.netns, 'sh', '-ec', 'iptables-nft -F; iptables-nft -t raw -F; ip6tables-nft -F')
  await until(() => box.netns.readProc('nfkit').split('\n').length === 1, 'the targets go with their rules')
})
