// SPDX-License-Identifier: MIT
// What is bounded and refused: the queue, loops, and structs that are not what they should be.

import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Link, Route, Rule } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { XtablesSocket } from '../../lib/sockopt/xtables.js'
import { entryLayouts } from '../../lib/wire/xtables/entry.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { assembleTable } from '../../lib/wire/xtables/assemble.js'
import { spliceRules, TableImage } from '../../lib/wire/xtables/table.js'
import { datagram } from '../support/datagram.js'
import { arrivals, clone, counters, MARK, mirrorLab, noModule, queueMirror, TABLE, until, withModule } from '../support/module.js'
import { run, tryRun } from '../support/outside.js'
import { systemNames, wordsOf } from '../support/xtables.js'

withModule(t)

const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const forwarded = (box: Host, fill: number) => datagram({ to: macOf(box), source: '192.168.1.1', destination: '192.168.2.2', fill })
const LIMIT = 'net/nfkit/queue_limit'

t.test('the queue takes as many as the sysctl says, counts the rest, and the originals do not notice', { skip: noModule }, async (t) => {
  const { h1, h2, box, monitor } = await mirrorLab(t)
  queueMirror(box)
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  if (tryRun(h1.netns, 'tc', 'qdisc', 'add', 'dev', 'eth0', 'root', 'netem', 'delay', '1s', 'limit', '1000').status !== 0) {
    t.comment('without netem no bursts: only a limit of zero is tried')
  } else {
    clone(box, 'ipv4', 'FORWARD', '-p udp')
    box.netns.writeSysctl(LIMIT, 1)
    const N = 300
    const frames = Array.from({ length: N }, (_, i) => forwarded(box, i & 0xff))
    // They are let go together, and the box meets many before it comes to its queue; on a busy machine not at each attempt.
    for (let burst = 1; burst <= 10; burst++) {
      const before = counters(box)['sent'] ?? 0
      let originals: string[] = []
      const copies = await arrivals(box, 'eth2', monitor, async () => {
        originals = await arrivals(box, 'eth1', h2, async () => { for (const frame of frames) h1.sendFrame('eth0', frame) }, () => N)
      }, () => (counters(box)['sent'] ?? 0) - before)
      t.same(originals.map((text) => Number.parseInt(text.slice(8, 12), 16)), frames.map((_, i) => i & 0xff), 'every original, in order')
      const { seen, cloned, sent, queue_full: full = 0, ...others } = counters(box)
      t.same(others, {})
      t.equal(seen, N * burst)
      t.equal(cloned! + full, N * burst, 'each was cloned or counted')
      t.equal(sent, cloned, 'what was queued was sent')
      t.equal(copies.length, sent! - before, 'and came')
      if (full > 0) break
    }
    t.ok((counters(box)['queue_full'] ?? 0) > 0, 'some found the queue full')
    run(h1.netns, 'tc', 'qdisc', 'del', 'dev', 'eth0', 'root')
  }
  box.netns.writeSysctl(LIMIT, 0)
  Rule.add({ family: 'ipv4', priority: 10, fwmark: 3, table: TABLE }, { netns: box.netns })
  clone(box, 'ipv4', 'FORWARD', '-p udp', { mark: 3 })
  const got = await arrivals(box, 'eth1', h2, async () => { for (let i = 0; i < 20; i++) h1.sendFrame('eth0', forwarded(box, i)) }, () => 20)
  t.equal(got.length, 20)
  t.same(counters(box, 3), { seen: 20, queue_full: 20 })

  // A veth gets them at once.
  Route.replace({ destination: 'default', link: 'eth2', table: TABLE }, { netns: box.netns })
  const each = counters(box)['seen'] === undefined ? 20 : 40
  const copies = await arrivals(box, 'eth2', monitor, async () => { for (let i = 0; i < 20; i++) h1.sendFrame('eth0', forwarded(box, i)) }, () => each)
  t.equal(copies.length, each)
  t.match(counters(box, 3), { seen: 40, sent: 20, queue_full: 20 }, 'what does not wait is not bounded')
})

t.test('the sysctl of a namespace goes as far as that of the initial one', { skip: noModule }, async (t) => {
  const { h1, h2, box } = await mirrorLab(t)
  const initial = `/proc/sys/${LIMIT}`
  const former = readFileSync(initial, 'utf8')
  t.teardown(() => writeFileSync(initial, former))
  t.equal(former, '1000\n')
  t.equal(box.netns.readSysctl(LIMIT), '1000')
  box.netns.writeSysctl(LIMIT, 999)
  t.equal(readFileSync(initial, 'utf8'), '1000\n', 'each namespace has its own')
  t.throws(() => box.netns.writeSysctl(LIMIT, 1001), { code: 'EINVAL' })
  t.throws(() => box.netns.writeSysctl(LIMIT, -1), { code: 'EINVAL' })
  t.throws(() => writeFileSync(initial, '1000001'), { code: 'EINVAL' })
  // Root of a user namespace owns its network namespaces, and is bound all the same.
  const owned = tryRun(box.netns, 'unshare', '--user', '--map-root-user', '--net', 'sh', '-c', `cd /proc/sys/net/nfkit && echo 5 >queue_limit && cat queue_limit && echo 2000 >queue_limit`)
  t.equal(owned.stdout, '5\n')
  t.not(owned.status, 0, 'more than the initial namespace has is refused')
  // What is set lower later holds at once.
  writeFileSync(initial, '0')
  queueMirror(box)
  clone(box, 'ipv4', 'FORWARD', '-p udp')
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  await arrivals(box, 'eth1', h2, async () => h1.sendFrame('eth0', forwarded(box, 1)), () => 1)
  t.same(counters(box), { seen: 1, queue_full: 1 })
})

t.test('loops: one copy for each rule that a packet meets, none of a copy', { skip: noModule }, async (t) => {
  const { lab, h1, h2, box, monitor } = await mirrorLab(t)
  const N = 30
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  for (const [chain, mark] of [['FORWARD', MARK], ['POSTROUTING', MARK], ['OUTPUT', 5]] as const) clone(box, 'ipv4', chain, '-p udp', { mark })
  const copies = await arrivals(box, 'eth2', monitor, async () => {
    for (let i = 0; i < N; i++) h1.sendFrame('eth0', forwarded(box, i))
  }, () => 2 * N)
  t.equal(copies.length, 2 * N, 'one from FORWARD and one from POSTROUTING')
  t.same(counters(box), { seen: 2 * N, cloned: 2 * N, sent: 2 * N })
  t.same(counters(box, 5), {}, 'no copy in OUTPUT')

  // What comes in by the mirror port is not sent back by it, nor what leaves by it.
  await arrivals(box, 'eth1', h2, async () => {
    for (let i = 0; i < N; i++) monitor.sendFrame('eth0', datagram({ to: macOf(box, 'eth2'), source: '192.168.1.1', destination: '192.168.2.2', fill: i }))
  }, () => 0)
  await until(() => (counters(box)['seen'] ?? 0) === 4 * N)
  t.match(counters(box), { cloned: 2 * N, same_device: 2 * N })

  // A mirror port that is plugged into the box itself: what the copies are addressed to is not the other port.
  lab.wire({ host: box, name: 'loop0' }, { host: box, name: 'loop1' })
  Link.set('loop0', { arp: false }, { netns: box.netns })
  Route.replace({ destination: 'default', link: 'loop0', table: TABLE }, { netns: box.netns })
  const before = counters(box)['seen']!
  await arrivals(box, 'eth1', h2, async () => { for (let i = 0; i < N; i++) h1.sendFrame('eth0', forwarded(box, i)) }, () => N)
  await until(() => (counters(box)['sent'] ?? 0) === 4 * N)
  t.equal(counters(box)['seen'], before + 2 * N, 'no copy was seen again')
})

t.test('a mirror port that is a tunnel: the packets that carry the copies are not copied', { skip: noModule }, async (t) => {
  const { h1, h2, box } = await mirrorLab(t)
  const tunnel = tryRun(box.netns, 'ip', 'link', 'add', 'tun0', 'type', 'gre', 'local', '192.168.2.254', 'remote', '192.168.2.2')
  if (tunnel.status !== 0) return t.comment(`no GRE here: ${tunnel.stderr}`)
  const N = 20
  Link.set('tun0', { up: true }, { netns: box.netns })
  Route.replace({ destination: 'default', link: 'tun0', table: TABLE }, { netns: box.netns })
  h2.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  clone(box, 'ipv4', 'FORWARD', '-p udp')
  clone(box, 'ipv4', 'OUTPUT', '')
  const seen = await arrivals(box, 'eth1', h2, async () => { for (let i = 0; i < N; i++) h1.sendFrame('eth0', forwarded(box, i)) }, () => 2 * N)
  t.equal(seen.filter((text) => text.slice(18, 20) === '11').length, N, 'the originals')
  t.equal(seen.filter((text) => text.slice(18, 20) === '2f').length, N, 'the copies in GRE')
  const counted = counters(box)
  t.equal(counted['sent'], N)
  t.equal(counted['loop'], N)
})

for (const family of ['ipv4', 'ipv6'] as const) {
  t.test(`${family}: wrong sizes and revisions by SET_REPLACE are refused, and the table stays`, { skip: noModule }, async (t) => {
    const { box } = await mirrorLab(t)
    const socket = XtablesSocket.open(family, box.netns.fd)
    t.teardown(() => socket.close())
    const layout = entryLayouts[family]
    const rule = parseRule(wordsOf('-j CLONE --mark 5'), { family, resolver: systemNames, isChain: () => false }).rules[0]!
    /** Replaces the table by one with a rule of these bytes in INPUT. */
    const put = (bytes: Uint8Array) => {
      const info = socket.info('filter')
      const image = new TableImage(family, info, socket.entries(info)!)
      spliceRules(image.chains[0]!, 0, 0, [{ ...rule, bytes }])
      socket.replace('filter', assembleTable(image, image.chains), info.entries)
    }
    const altered = (more: number, change: (view: DataView, target: number) => void): Uint8Array => {
      const bytes = new Uint8Array(rule.bytes.length + more)
      bytes.set(rule.bytes.subarray(0, bytes.length))
      const view = new DataView(bytes.buffer)
      const target = view.getUint16(layout.targetOffset, true)
      view.setUint16(layout.nextOffset, bytes.length, true)
      view.setUint16(target, bytes.length - target, true)
      change(view, target)
      return bytes
    }
    const save = () => run(box.netns, family === 'ipv4' ? 'iptables-legacy-save' : 'ip6tables-legacy-save', '-t', 'filter').replace(/^#.*$|\[\d+:\d+\]/gm, '')
    const before = save()
    for (const more of [-8, 8, 16, 256, 4096]) t.throws(() => put(altered(more, () => {})), { code: 'EINVAL' }, `${more} bytes more`)
    for (const revision of [2, 7, 255]) {
      t.throws(() => put(altered(0, (view, target) => view.setUint8(target + 31, revision))), { code: /ENOENT|EPROTONOSUPPORT|EINVAL/ }, `revision ${revision}`)
    }
    t.equal(save(), before)
    put(altered(0, () => {}))
    t.match(save(), /-A INPUT -j CLONE --mark 0x5/)
    await until(() => /^nfkit \d+ 1 /m.test(readFileSync('/proc/modules', 'utf8')), 'one rule holds the module')
  })
}
