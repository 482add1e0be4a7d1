// SPDX-License-Identifier: MIT
// Clone targets of /dev/nfkit: what they do to packets, whose they are, and how they end.

import { spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import t from 'tap'
import { CloneTarget, Link, Netns } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { addon, type RawDescriptor } from '../../lib/native.js'
import {
  INFO, NFKIT_INFO, NFKIT_TARGET_DELETE, NFKIT_TARGET_GET, NFKIT_TARGET_LIST, NFKIT_TARGET_SET, OUTPUT_CONFIG, Struct, TARGET_DELETE, TARGET_GET, TARGET_LIST, TARGET_SET,
} from '../../lib/wire/module/structs.js'
import { encodeTargetSet } from '../../lib/wire/module/target.js'
import { datagram } from '../support/datagram.js'
import { MARK, type MirrorLab, mirrorLab, noModule, packetOf, until, withModule } from '../support/module.js'
import { run } from '../support/outside.js'

withModule(t)

const N = 60
const macOf = (host: Host, device = 'eth0') => Link.get(device, { netns: host.netns }).mac!
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

function watch(at: Host): { frames: Uint8Array[]; stop: () => Promise<void> } {
  const capture = at.capture('eth0', { promiscuous: true, direction: 'in', filter: ({ data }) => data[12] === 0x81 || (data[12] === 8 && data[23] === 17) })
  const frames: Uint8Array[] = []
  const reading = (async () => { for await (const item of capture) if (item.type === 'frame') frames.push(item.data.slice()) })()
  return { frames, stop: async () => { await capture.return!(); await reading } }
}

const toBox = ({ h1, box }: MirrorLab) => Array.from({ length: N }, (_, i) =>
  datagram({ to: macOf(box), from: macOf(h1), source: '192.168.1.1', destination: '192.168.1.254', fill: i, size: 20 + i }))

t.test('defined, changed and closed while a rule names it', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { h1, box, monitor } = net
  const { netns } = box
  t.equal(statSync('/dev/nfkit').mode & 0o777, 0o600)
  run(netns, 'iptables-legacy', '-A', 'INPUT', '-p', 'udp', '-j', 'CLONE', '--target', 'probe')
  const sent = toBox(net)
  const send = () => { for (const frame of sent) h1.sendFrame('eth0', frame) }
  const target = CloneTarget.create({ name: 'probe', netns, devices: [{ device: 'eth2', destination: macOf(monitor), vlan: { id: 900, priority: 3 } }] })
  t.same(CloneTarget.list(netns), ['probe'])
  const first = watch(monitor)
  send()
  await until(() => first.frames.length >= N)
  await first.stop()
  const mac = macOf(monitor).replaceAll(':', '')
  // A packet socket has the tag beside the frame, as the hardware would.
  t.same(first.frames.map((frame) => hex(frame.subarray(0, 12))), sent.map((frame) => mac + hex(frame.subarray(6, 12))), 'another destination')
  t.same(first.frames.map((frame) => hex(frame).slice(-2 * 20)), sent.map((frame) => hex(frame).slice(-2 * 20)), 'the same packet')
  t.match(target.stats(), { seen: N, cloned: N, sent: N, rules: 1, devices: [{ device: 'eth2', seen: N, sent: N, vlan: { id: 900, priority: 3, protocol: '802.1Q' } }] })

  target.set({ devices: ['eth2'], reroute: MARK, sample: 10 })
  const second = watch(monitor)
  send()
  await until(() => second.frames.length >= 2 * N / 10)
  await second.stop()
  const chosen = sent.filter((_, i) => i % 10 === 0)
  t.same(second.frames.map(packetOf).sort(), [...chosen, ...chosen].map(packetOf).sort(), 'every tenth by both sinks')
  t.match(target.stats(), { seen: 2 * N, sampledOut: N - N / 10, cloned: N + 2 * N / 10, sent: N + 2 * N / 10, reroute: MARK, sample: 10, devices: [{ sent: N + N / 10 }] })
  t.throws(() => CloneTarget.create({ name: 'probe', netns, devices: ['eth2'] }), { code: 'EEXIST' })
  t.throws(() => CloneTarget.create({ name: 'probe', netns, devices: ['eth2'], persistent: true }), { code: 'EPERM' })
  t.throws(() => CloneTarget.delete('probe', netns), { code: 'EPERM' })
  target.close()
  t.throws(() => target.stats(), { code: 'NFKIT_CLOSED' })
  t.throws(() => CloneTarget.get('probe', netns), { code: 'ENOENT' })
  t.match(netns.readProc('nfkit'), /^target:probe /m, 'the rule still names it')
})

t.test('persistent, and gone with its namespace', { skip: noModule }, async (t) => {
  const netns = Netns.create()
  CloneTarget.create({ name: 'stays', netns, reroute: 5, persistent: true }).close()
  t.match(CloneTarget.get('stays', netns), { name: 'stays', persistent: true, reroute: 5, sample: 1, devices: [] })
  CloneTarget.create({ name: 'stays', netns, reroute: 6, persistent: true }).close()
  t.equal(CloneTarget.get('stays', netns).reroute, 6)
  CloneTarget.delete('stays', netns)
  t.same(CloneTarget.list(netns), [])
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
  target.close()
})

t.test('the owner is killed', { skip: noModule }, async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const owner = spawn('nsenter', [`--net=${netns.path}`, '--', process.execPath, '--input-type=module', '-e', `
    const { CloneTarget } = await import(${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)})
    for (const name of ['a', 'b', 'c']) globalThis[name] = CloneTarget.create({ name, devices: ['eth0', 'eth1'] })
    setInterval(() => {}, 1000)`], { stdio: ['ignore', 'inherit', 'inherit'] })
  await until(() => CloneTarget.list(netns).length === 3)
  owner.kill('SIGKILL')
  await until(() => CloneTarget.list(netns).length === 0)
  t.equal(netns.readProc('nfkit').trim().split('\n').length, 1, 'nothing is left')
})

function open(netns: Netns): RawDescriptor {
  const opened = addon.open('/dev/nfkit', 2, 0, netns.fd)
  if (typeof opened === 'number') throw new Error(`open: ${opened}`)
  return opened
}

const E2BIG = -7
const EFAULT = -14
const EINVAL = -22
const ENOTTY = -25

t.test('wrong structs', { skip: noModule }, async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const fd = open(netns)
  t.teardown(() => fd.close())
  const good = () => encodeTargetSet('x', { devices: [{ device: 'eth0' }], reroute: undefined, sample: 1, random: false }, { persistent: false, create: false })
  const set = (change: (set: Struct<keyof typeof TARGET_SET.fields>, output: Struct<keyof typeof OUTPUT_CONFIG.fields>) => void) => {
    const { set: bytes, outputs } = good()
    change(new Struct(TARGET_SET, bytes), new Struct(OUTPUT_CONFIG, outputs))
    return fd.ioctl(NFKIT_TARGET_SET, bytes, [bytes, TARGET_SET.fields.outputs.offset, outputs])
  }
  const wrong: [string, Parameters<typeof set>[0]][] = [
    ['a flag', (s) => s.set('flags', 0x20)], ['no name', (s) => s.array('name').fill(0)], ['a name without end', (s) => s.array('name').fill(97)],
    ['bytes behind the name', (s) => { s.array('name')[5] = 1 }], ['a name with a space', (s) => s.setText('name', 'a b')], ['a mark without reroute', (s) => s.set('mark', 1)],
    ['random without sample', (s) => s.set('flags', 8)], ['too many outputs', (s) => s.set('output_count', 9)], ['small outputs', (s) => s.set('output_size', 31)],
    ['huge outputs', (s) => s.set('output_size', 1 << 20)], ['no sink', (s) => s.set('output_count', 0)],
    ['output: a flag', (_, o) => o.set('flags', 4)], ['output: no device', (_, o) => o.array('device').fill(0)], ['output: a device without end', (_, o) => o.array('device').fill(97)],
    ['output: bytes behind the device', (_, o) => { o.array('device')[9] = 1 }], ['output: a slash', (_, o) => o.setText('device', 'a/b')],
    ['output: VLAN without flag', (_, o) => o.set('vlan_tci', 5)], ['output: no VLAN protocol', (_, o) => o.set('flags', 1).set('vlan_protocol', 0x0800)],
    ['output: VLAN 4095', (_, o) => o.set('flags', 1).set('vlan_protocol', 0x8100).set('vlan_tci', 0xfff)], ['output: CFI', (_, o) => o.set('flags', 1).set('vlan_protocol', 0x8100).set('vlan_tci', 0x1000)],
    ['output: address without flag', (_, o) => { o.array('destination')[0] = 2 }], ['output: flag without address', (_, o) => o.set('flags', 2)],
    ['output: reserved', (_, o) => { o.array('reserved')[1] = 1 }],
  ]
  for (const [what, change] of wrong) t.equal(set(change), EINVAL, what)
  t.same(CloneTarget.list(netns), [], 'nothing was defined')
  t.equal(set(() => {}), 0)

  for (const [command, layout] of [[NFKIT_INFO, INFO], [NFKIT_TARGET_SET, TARGET_SET], [NFKIT_TARGET_DELETE, TARGET_DELETE], [NFKIT_TARGET_GET, TARGET_GET], [NFKIT_TARGET_LIST, TARGET_LIST]] as const) {
    for (let size = 0; size <= 4 * 4096; size += size < 2 * layout.size ? 1 : 509) {
      const bytes = new Uint8Array(Math.max(size, 4096))
      new DataView(bytes.buffer).setUint32(0, size, true)
      // Zeros behind the size are no name, and ask for nothing.
      const expected = size < layout.size ? [EINVAL] : size > 4096 ? [E2BIG] : command === NFKIT_INFO || command === NFKIT_TARGET_LIST ? [0] : [EINVAL]
      const got = fd.ioctl(command, bytes)
      if (!expected.includes(got)) t.fail(`${layout.name}, size ${size}: ${got}`)
      if (size > layout.size && size <= 4096) {
        bytes.fill(0)
        new DataView(bytes.buffer).setUint32(0, size, true)
        bytes[size - 1] = 1
        if (fd.ioctl(command, bytes) !== E2BIG) t.fail(`${layout.name}, size ${size}: what is unknown is not zero`)
      }
    }
  }
  const list = new Struct(TARGET_LIST).set('size', TARGET_LIST.size).set('count', 5).set('names', 8)
  t.equal(fd.ioctl(NFKIT_TARGET_LIST, list.bytes), EFAULT)
  t.equal(fd.ioctl(0xbd7f, new Uint8Array(4096)), ENOTTY)
})

t.test('random bytes', { skip: noModule }, async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const fd = open(netns)
  t.teardown(() => fd.close())
  const layouts = [INFO, TARGET_SET, TARGET_DELETE, TARGET_GET, TARGET_LIST]
  const commands = [NFKIT_INFO, NFKIT_TARGET_SET, NFKIT_TARGET_DELETE, NFKIT_TARGET_GET, NFKIT_TARGET_LIST]
  const outputs = new Uint8Array(8 * 512)
  const answers = new Map<number, number>()
  const next = random(20260101)
  for (let i = 0; i < 20_000; i++) {
    const which = next(commands.length)
    const bytes = new Uint8Array(512)
    for (let j = next(40); j > 0; j--) bytes[next(layouts[which]!.size)] = next(4) === 0 ? next(256) : next(3)
    if (next(10) > 0) new DataView(bytes.buffer).setUint32(0, layouts[which]!.size, true)
    if (next(2) > 0 && which > 0 && which < 4) bytes.set([97, ...new Uint8Array(31)], 8)
    for (let j = 0; j < 40; j++) outputs[next(outputs.length)] = next(256)
    const pointers = layouts[which] === TARGET_SET || layouts[which] === TARGET_GET ? [bytes, TARGET_SET.fields.outputs.offset, outputs] : []
    const answer = fd.ioctl(commands[which]!, bytes, pointers as never)
    answers.set(answer, (answers.get(answer) ?? 0) + 1)
  }
  t.comment(JSON.stringify([...answers]))
  for (const answer of answers.keys()) if (![0, -2, E2BIG, EFAULT, EINVAL].includes(answer)) t.fail(`answer ${answer}`)
})

/** A linear congruential generator, so that a failure can be had again. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % below
  }
}

t.test('who lacks the capability', { skip: noModule }, async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  // Root of a user namespace of its own has no capability in the network namespace's.
  t.match(run(netns, 'unshare', '--user', '--map-root-user', 'sh', '-c', '(exec 3<>/dev/nfkit) 2>&1 || true'), /not permitted|denied/i)
})
