// SPDX-License-Identifier: MIT
// Clone targets by name: defined, changed and deleted while rules name them, and whose they are.

import { statSync } from 'node:fs'
import t from 'tap'
import { Capture, CloneTarget, Hook, Link, Netns } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { datagram } from '../support/datagram.js'
import { arrivals, cloneTo, counters, MARK, type MirrorLab, mirrorLab, noModule, packetOf, sorted, until, withModule } from '../support/module.js'
import { tryRun } from '../support/outside.js'

withModule(t)

const N = 60
const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

/** Frames of h1 to the box, each another. */
const toBox = ({ h1, box }: MirrorLab) => Array.from({ length: N }, (_, i) =>
  datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination: '192.168.1.254', fill: i, size: 20 + i }))

t.test('defined, changed and closed while a rule names it', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { h1, box, monitor } = net
  const { netns } = box
  const sent = toBox(net)
  const send = async () => { for (const frame of sent) h1.sendFrame('eth0', frame) }
  t.equal(statSync('/dev/nfkit').mode & 0o777, 0o600)
  cloneTo(box, 'ipv4', 'INPUT', 'probe', '-p udp')

  await send()
  await until(() => counters(box, 'target:probe')['seen'] === N)
  t.same(counters(box, 'target:probe'), { seen: N, no_target: N }, 'before it is defined')
  const target = CloneTarget.create({ name: 'probe', netns, devices: ['eth2'] })
  t.same(CloneTarget.list(netns), ['probe'])
  const first = await arrivals(box, 'eth2', monitor, send, () => N, { whole: true })
  t.same(sorted(first), sorted(sent.map(hex)), 'the frames')
  const bytes = sent.reduce((sum, frame) => sum + frame.length, 0)
  t.same(counters(box, 'target:probe'), { seen: 2 * N, no_target: N, cloned: N, sent: N, bytes })
  t.same(counters(box, 'target:probe:eth2'), { seen: N, cloned: N, sent: N, bytes })

  target.set({ devices: ['eth2'], reroute: MARK, sample: 10 })
  const second = await arrivals(box, 'eth2', monitor, send, () => 2 * N / 10)
  const chosen = sent.filter((_, i) => i % 10 === 0)
  t.same(sorted(second), sorted([...chosen, ...chosen].map(packetOf)), 'every tenth by both sinks')
  t.same(counters(box, 'target:probe:eth2')['sent'], N + N / 10, 'its device goes on counting')
  t.match(target.stats(), { seen: 3 * N, sampledOut: N - N / 10, cloned: N + 2 * N / 10, sent: N + 2 * N / 10, reroute: MARK, sample: 10, rules: 1 })

  t.throws(() => CloneTarget.create({ name: 'probe', netns, devices: ['eth2'] }), { code: 'EEXIST' })
  t.throws(() => CloneTarget.create({ name: 'probe', netns, devices: ['eth2'], persistent: true }), { code: 'EPERM' })
  t.throws(() => CloneTarget.delete('probe', netns), { code: 'EPERM' })
  target.close()
  t.throws(() => target.stats(), { code: 'NFKIT_CLOSED' })
  t.throws(() => CloneTarget.get('probe', netns), { code: 'ENOENT' })
  await send()
  await until(() => counters(box, 'target:probe')['seen'] === 4 * N)
  t.equal(counters(box, 'target:probe')['no_target'], 2 * N, 'the rule still names it')
})

t.test('persistent, and gone with its namespace', { skip: noModule }, async (t) => {
  const netns = Netns.create()
  CloneTarget.create({ name: 'stays', netns, reroute: 5, persistent: true }).close()
  t.match(CloneTarget.get('stays', netns), { name: 'stays', persistent: true, reroute: 5, sample: 1, devices: [] })
  CloneTarget.create({ name: 'stays', netns, reroute: 6, persistent: true }).close()
  t.equal(CloneTarget.get('stays', netns).reroute, 6)
  CloneTarget.delete('stays', netns)
  t.same(CloneTarget.list(netns), [])
  t.throws(() => CloneTarget.delete('stays', netns), { code: 'ENOENT' })
  CloneTarget.create({ name: 'stays', netns, reroute: 6, persistent: true }).close()
  const target = CloneTarget.create({ name: 'mine', netns, reroute: 5 })
  netns.close()
  await until(() => {
    try {
      target.stats()
      return false
    } catch (error) {
      return (error as { code: string }).code === 'ENETDOWN'
    }
  })
  t.throws(() => target.set({ reroute: 7 }), { code: 'ENETDOWN' })
  target.close()
})

t.test('one name in three namespaces at once is three targets', { skip: noModule }, async (t) => {
  const labs = [await mirrorLab(t, { routed: false }), await mirrorLab(t, { routed: false })] as const
  const [first, second] = labs
  const third = Netns.create()
  t.teardown(() => third.close())
  // The same rules, but what goes by the name is another thing in each.
  for (const { box } of labs) cloneTo(box, 'ipv4', 'INPUT', 'probe', '-p udp')
  const one = CloneTarget.create({ name: 'probe', netns: first.box.netns, devices: ['eth2'] })
  const two = CloneTarget.create({ name: 'probe', netns: second.box.netns, devices: ['eth2'], capture: true, snaplen: 60, sample: 2 })
  CloneTarget.create({ name: 'probe', netns: third, reroute: 5, persistent: true }).close()
  CloneTarget.create({ name: 'only', netns: first.box.netns, devices: ['eth2'], persistent: true }).close()
  Hook.create({ name: 'only', netns: first.box.netns, at: 'forward', verdict: 'drop', persistent: true }).close()
  const hook = Hook.create({ name: 'probe', netns: first.box.netns, at: 'local-in', match: { protocol: 'udp' }, verdict: 'accept', clone: 'probe' })
  const captures = labs.map(({ box }) => Capture.open({ from: 'probe', netns: box.netns }))
  const events = CloneTarget.watch({ netns: second.box.netns })

  const sent = labs.map(toBox)
  const copies = await Promise.all(labs.map((net, i) => arrivals(net.box, 'eth2', net.monitor, async () => {
    for (const frame of sent[i]!) net.h1.sendFrame('eth0', frame)
  }, () => (i === 0 ? 2 * N : N / 2), { whole: true })))
  t.same(sorted(copies[0]!), sorted([...sent[0]!, ...sent[0]!].map(hex)), 'by a rule and by a hook')
  t.same(sorted(copies[1]!), sorted(sent[1]!.filter((_, i) => i % 2 === 0).map((frame) => hex(frame.subarray(0, 60)))), 'every other, cut')
  t.match(one.stats(), { seen: 2 * N, sent: 2 * N, sampledOut: 0, rules: 1, hooks: 1, captures: 1, capture: false })
  t.match(two.stats(), { seen: N, sent: N, cloned: N, sampledOut: N / 2, rules: 1, hooks: 0, captures: 1, capture: true })
  t.match(CloneTarget.get('probe', third), { seen: 0, sent: 0, reroute: 5, rules: 0, hooks: 0, captures: 0 })
  t.same(counters(second.box, 'target:probe')['seen'], N)
  t.match(captures.map((capture) => capture.stats()), [{ captured: 0, lost: 0 }, { captured: N / 2, lost: 0 }])

  // What another namespace has is not there.
  for (const netns of [second.box.netns, third]) {
    t.same([CloneTarget.list(netns), Hook.list(netns)], [['probe'], []])
    t.throws(() => CloneTarget.get('only', netns), { code: 'ENOENT' })
    t.throws(() => CloneTarget.delete('only', netns), { code: 'ENOENT' })
    for (const name of ['only', 'probe']) t.throws(() => Hook.get(name, netns), { code: 'ENOENT' })
    t.throws(() => Hook.delete('only', netns), { code: 'ENOENT' })
    t.notMatch(netns.readProc('nfkit'), /only/)
  }
  t.same([CloneTarget.list(first.box.netns), Hook.list(first.box.netns)], [['only', 'probe'], ['only', 'probe']])
  one.set({ devices: ['eth1'] })
  hook.close()
  one.close()
  CloneTarget.delete('only', first.box.netns)
  t.match(two.stats(), { devices: [{ device: 'eth2' }], sample: 2, seen: N })
  t.match(CloneTarget.get('probe', third), { reroute: 5 })
  two.set({ devices: ['eth2'] })
  t.match(await events.next(), { value: { type: 'event', event: 'target-changed', target: 'probe' } }, 'the first that happened in this one')
  await events.return!()
  two.close()
  CloneTarget.delete('probe', third)
  for (const capture of captures) capture.close()
})

t.test('who has no power over the namespace', { skip: noModule }, async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const shell = (...command: string[]) => {
    const { stdout, stderr } = tryRun(netns, ...command as [string, ...string[]])
    return `${stdout}${stderr}`
  }
  const open = 'exec 3<>/dev/nfkit && echo opened'
  const drop = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin']
  t.match(shell('sh', '-c', open), 'opened')
  t.match(shell(...drop, 'sh', '-c', open), /not permitted/, 'root without CAP_NET_ADMIN')
  t.match(shell('setpriv', '--reuid', '65534', '--clear-groups', 'sh', '-c', open), /denied/i, 'nobody')
  // Root of a user namespace has nothing to say in the network namespace of another, and all in its own.
  t.match(shell('unshare', '--user', '--map-root-user', 'sh', '-c', open), /not permitted/)
  t.match(shell('unshare', '--user', '--map-root-user', '--net', 'sh', '-c', open), 'opened')
  // A descriptor that is handed on is useless to who has no power: with it, nothing was asked for that could be read.
  const read = (...by: string[]) => shell('sh', '-c', `exec 3<>/dev/nfkit; exec ${[...by, 'cat'].join(' ')} <&3`)
  t.match(read(), /Invalid argument/)
  t.match(read(...drop), /not permitted/)
  t.match(read('unshare', '--user', '--map-root-user'), /not permitted/)
})
