// SPDX-License-Identifier: MIT
// CloneTarget and `nfkit targets` with the module: every option as it is told, whose a target is, how it ends.

import { spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import t from 'tap'
import { CloneTarget, type CloneTargetConfig, type CloneTargetState, KernelModule, Netns } from '../../lib/index.js'
import { nfkit, Running } from '../support/cli.js'
import { noModule, until, withModule } from '../support/module.js'
import { ipJson, run } from '../support/outside.js'

withModule(t)

const nothing = { seen: 0, sampledOut: 0, limited: 0, cloned: 0, sent: 0, bytes: 0, queued: 0, lost: {} }
const least: CloneTargetState = {
  name: 'x', persistent: false, own: true, rules: 0, hooks: 0, captures: 0, devices: [], reroute: null, capture: false, snaplen: 0, sample: 1, random: false, rate: 0, burst: 0,
  queueLimit: 0, dropOldest: false, defer: false, ...nothing,
}

t.test('every option, and defined anew', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  run(netns, 'ip', 'link', 'add', 'there', 'type', 'veth', 'peer', 'name', 'peer')
  const index = ipJson(netns, 'link', 'show', 'there')[0].ifindex as number
  const plain = { vlan: { id: 0, priority: 0, protocol: '802.1Q' } as const }
  const told: [CloneTargetConfig, Partial<CloneTargetState>][] = [
    [{ reroute: 0 }, { reroute: 0 }], [{ reroute: 0xffffffff }, { reroute: 0xffffffff }], [{ capture: true }, { capture: true }],
    [{ devices: ['there', { device: 'never', vlan: { id: 0 } }, { device: 'c', vlan: { id: 4094, priority: 7, protocol: '802.1ad' }, destination: '02:00:5E:00:00:01' }] }, {
      devices: [
        { device: 'there', index, ...nothing }, { device: 'never', index: null, ...plain, ...nothing },
        { device: 'c', index: null, vlan: { id: 4094, priority: 7, protocol: '802.1ad' }, destination: '02:00:5e:00:00:01', ...nothing },
      ],
    }],
    [{ devices: [...'abcdefgh'] }, { devices: [...'abcdefgh'].map((device) => ({ device, index: null, ...nothing })) }],
    [{ capture: true, snaplen: 60 }, { capture: true, snaplen: 60 }], [{ capture: true, snaplen: 65535 }, { capture: true, snaplen: 65535 }],
    [{ capture: true, sample: 0xffffffff }, { capture: true, sample: 0xffffffff }], [{ capture: true, sample: 2, random: true }, { capture: true, sample: 2, random: true }],
    [{ capture: true, rate: 1 }, { capture: true, rate: 1, burst: 1 }], [{ capture: true, rate: 0xffffffff }, { capture: true, rate: 0xffffffff, burst: 429496730 }],
    [{ capture: true, rate: 5, burst: 1_000_000 }, { capture: true, rate: 5, burst: 1_000_000 }], [{ capture: true, rate: 2_000_000, burst: 2_000_000 }, { capture: true, rate: 2_000_000, burst: 2_000_000 }],
    [{ capture: true, queueLimit: 7, dropOldest: true, defer: true }, { capture: true, queueLimit: 7, dropOldest: true, defer: true }],
  ]
  {
    using target = CloneTarget.create({ name: 'x', capture: true, netns })
    for (const [config, state] of told) {
      target.set(config)
      t.same(target.stats(), { ...least, ...state }, JSON.stringify(config))
    }
    t.equal(String(KernelModule.info(netns).targets), '1')
  }
  t.same(CloneTarget.list(netns), [])
  for (const [config, state] of told) {
    using _target = CloneTarget.create({ name: 'x', ...config, netns })
    t.same(CloneTarget.get('x', netns), { ...least, ...state, own: false })
  }
})

t.test('whose it is', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  t.equal(statSync('/dev/nfkit').mode & 0o777, 0o600)
  const mine = CloneTarget.create({ name: 'mine', capture: true, netns })
  const create = (options: object) => () => CloneTarget.create({ name: 'mine', capture: true, netns, ...options })
  t.throws(create({}), { code: 'EEXIST', errno: 17, syscall: 'ioctl' })
  t.throws(create({ persistent: true }), { code: 'EPERM', message: /belongs to another program/ })
  t.throws(() => CloneTarget.delete('mine', netns), { code: 'EPERM' })
  t.throws(() => CloneTarget.delete('other', netns), { code: 'ENOENT' })
  t.throws(() => CloneTarget.get('other', netns), { code: 'ENOENT' })
  create({ name: 'stays', reroute: 5, persistent: true })().close()
  t.match(CloneTarget.get('stays', netns), { persistent: true, own: false, reroute: 5 })
  t.throws(create({ name: 'stays' }), { code: 'EEXIST' })
  const again = create({ name: 'stays', reroute: 6, persistent: true })()
  t.match(again.stats(), { persistent: true, reroute: 6 })
  again.set({ devices: ['a'] })
  again.close()
  t.same(CloneTarget.list(netns), ['mine', 'stays'])
  CloneTarget.delete('stays', netns)
  mine.close()
  mine.close()
  t.same(CloneTarget.list(netns), [])
  t.throws(() => mine.stats(), { code: 'NFKIT_CLOSED' })
  t.throws(() => mine.set({ capture: true }), { code: 'NFKIT_CLOSED' })
})

t.test('a namespace that goes', { skip: noModule }, async () => {
  const netns = Netns.create()
  const target = CloneTarget.create({ name: 'mine', reroute: 5, netns })
  netns.close()
  await until(() => {
    try {
      target.stats()
      return false
    } catch (error) {
      return (error as { code: string }).code === 'ENETDOWN'
    }
  })
  target.close()
})

t.test('the owner is killed', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  const owner = spawn('nsenter', [`--net=${netns.path}`, '--', process.execPath, '--input-type=module', '-e', `
    const { CloneTarget } = await import(${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)})
    globalThis.kept = [...'abc'].map((name) => CloneTarget.create({ name, devices: ['eth0', 'eth1'] }))
    setInterval(() => {}, 1000)`], { stdio: ['ignore', 'inherit', 'inherit'] })
  t.teardown(() => owner.kill('SIGKILL'))
  await until(() => KernelModule.info(netns).targets === 3)
  owner.kill('SIGKILL')
  await until(() => KernelModule.info(netns).targets === 0)
  t.equal(netns.readProc('nfkit').trim().split('\n').length, 1, 'nothing is left')
})

t.test('as many as there may be', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  const { maxTargets } = KernelModule.info(netns)
  for (let i = 0; i < maxTargets; i++) CloneTarget.create({ name: `t${i}`, capture: true, persistent: true, netns }).close()
  t.throws(() => CloneTarget.create({ name: 'more', capture: true, netns }), { code: 'ENOSPC' })
  t.match(await nfkit(netns, ['module', 'info']), { status: 0, stdout: new RegExp(`^features  targets reroute .*\\ntargets   ${maxTargets} of ${maxTargets}, each with up to 8 devices\\nhooks     0 of 256\\ncaptures  0 of 64\\n$`) })
  t.same(JSON.parse((await nfkit(netns, ['module', 'info', '--json'])).stdout), KernelModule.info(netns))
  t.same(CloneTarget.list(netns), Array.from({ length: maxTargets }, (_, i) => `t${i}`).sort())
  CloneTarget.delete('t5', netns)
  CloneTarget.create({ name: 'more', capture: true, netns }).close()
})

t.test('nfkit targets', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  run(netns, 'ip', 'link', 'add', 'eth5', 'type', 'veth', 'peer', 'name', 'peer')
  const say = async (...args: string[]) => {
    const { status, stdout, stderr } = await nfkit(netns, ['targets', ...args])
    if (status !== 0) throw new Error(stderr)
    return stdout
  }
  t.equal(await say('list'), '')
  t.equal(await say('set', 'probe', '--devices', 'eth5,eth6/vlan=900/priority=3', '--sample', '10', '--random', '--rate', '1000', '--drop-oldest'), '')
  t.equal(await say('list'),
    'NAME   TO                     LIMITS                                            KEPT BY  RULES  HOOKS  CAPTURES  SEEN  SENT  BYTES  LOST\n' +
    'probe  eth5 eth6 (not there)  1 of 10 by chance, 1000/s burst 100, drop oldest  itself       0      0         0     0     0      0     0\n')
  t.match(await say('show', 'probe'), /^probe\n {2}to +eth5 eth6 \(not there\)\n[^]*\n {2}seen +0\n[^]*\neth6\/vlan=900\/priority=3\n {2}seen +0\n/)
  t.match(JSON.parse(await say('list', '--json')), [{ name: 'probe', sample: 10, devices: [{ device: 'eth5' }, { device: 'eth6' }] }])
  t.match(JSON.parse(await say('set', 'probe', '--capture', '--json')), { name: 'probe', capture: true, devices: [], sample: 1 })
  const lines = (await say('watch', '--interval', '0.1', '--count', '2', '--json')).trim().split('\n').map((line) => JSON.parse(line) as object)
  t.match(lines, [{ time: String, name: 'probe', seen: 0 }, { time: String, name: 'probe' }])
  t.match(await say('watch', 'probe', '--count', '1'), /^\S+Z {2}probe {2}seen 0 {2}sent 0 {2}bytes 0 {2}lost 0\n$/)
  t.equal(await say('delete', 'probe'), '')
  t.match(await nfkit(netns, ['targets', 'show', 'probe']), { status: 1, stderr: /ENOENT/ })
})

t.test('nfkit targets events', { skip: noModule }, async (t) => {
  using netns = Netns.create()
  run(netns, 'ip', 'link', 'add', 'eth5', 'type', 'veth', 'peer', 'name', 'peer')
  using probe = CloneTarget.create({ name: 'probe', devices: ['eth5'], netns })
  using other = CloneTarget.create({ name: 'other', capture: true, netns })
  // One of all clone targets, as JSON.
  const follower = new Running(netns, ['targets', 'events', '--initial', '--json', '--count', '4'])
  t.teardown(() => follower.stop())
  await follower.until('the clone targets that are there', (text) => text.includes('ready'), 60_000)
  const since = Date.now()
  other.set({ devices: ['nothing'] })
  run(netns, 'ip', 'link', 'delete', 'eth5')
  probe.close()
  await follower.until('the events', (text) => text.trim().split('\n').length === 7, 60_000)
  t.match(await follower.ended, { status: 0 })
  const [first, second, ready, ...events] = follower.objects
  t.match([first, second, ready], [{ type: 'present', target: 'other' }, { type: 'present', target: 'probe' }, { type: 'ready' }])
  t.match(events, [
    { type: 'event', event: 'target-changed', target: 'other', device: null },
    { type: 'event', event: 'device-gone', target: 'probe', device: { name: 'eth5', index: Number } }, { type: 'event', event: 'target-paused', target: 'probe' },
    { type: 'event', event: 'target-deleted', target: 'probe' },
  ])
  for (const { time, timestamp } of events) {
    t.equal(new Date(time as string).getTime(), Number(BigInt(timestamp as string) / 1_000_000n), 'when it was')
    t.ok(new Date(time as string).getTime() >= since - 1, 'since then')
  }
  // Of one, as text: the others pass by.
  let over = false
  const told = nfkit(netns, ['targets', 'events', 'later', '--count', '1']).finally(() => { over = true })
  await until(() => {
    other.set({ devices: ['nothing', 'more'] })
    CloneTarget.create({ name: 'later', capture: true, netns }).close()
    return over
  })
  const { status, stdout } = await told
  t.equal(status, 0)
  t.match(stdout, /^\S+Z {2}target-(new|deleted) +later\n$/)
})
