// SPDX-License-Identifier: MIT
// What is lost is counted and told; memory is bounded; read(2) and poll(2) of the device; how captures end.

import { spawn } from 'node:child_process'
import { getEventListeners } from 'node:events'
import t, { type Test } from 'tap'
import { Capture, CloneTarget, Link, Netns } from '../../lib/index.js'
import { ModuleDevice } from '../../lib/clone/device.js'
import { Readiness } from '../../lib/events.js'
import { Poll } from '../../lib/native.js'
import { inputOf } from '../../lib/wire/bytes.js'
import { encodeCapture } from '../../lib/wire/module/device.js'
import { COMMAND } from '../../lib/wire/module/constants.js'
import { RECORD_TYPE, RecordCursor } from '../../lib/wire/module/record.js'
import { cloneRule, Collector } from '../support/capture.js'
import { datagram } from '../support/datagram.js'
import { mirrorLab, noModule, until, withModule } from '../support/module.js'
import { run } from '../support/outside.js'

withModule(t)

const EAGAIN = -11
const EINVAL = -22
const EBUSY = -16
const ENOSPC = -28
const EMSGSIZE = -90
const ENETDOWN = -100
/** Of struct nfkit_packet_record. */
const HEADER = 56

/** A box whose INPUT hands UDP to the target, and a way to send it frames of so many bytes each. */
async function box(t: Test) {
  const { h1, box: host } = await mirrorLab(t, { routed: false })
  const { netns } = host
  host.listen({ protocol: 'udp', port: 9000, serve: 'discard' })
  cloneRule(netns, 'ipv4', 'filter', 'INPUT', 'probe')
  const target = CloneTarget.create({ name: 'probe', netns, capture: true })
  t.teardown(() => target.close())
  const to = Link.get('eth0', { netns }).mac!
  let sent = 0
  const send = async (count: number, size: number) => {
    const frame = datagram({ to, source: '192.168.1.1', destination: '192.168.1.254', size: size - 42 })
    for (let i = 0; i < count; i++) h1.sendFrame('eth0', frame)
    sent += count
    await until(() => target.stats().seen >= sent, 'not all of it came')
  }
  return { netns, target, send }
}

function open(t: Test, netns: Netns): ModuleDevice {
  const device = ModuleDevice.open(netns)
  t.teardown(() => device.close())
  return device
}

const cursorOf = (bytes: Uint8Array) => new RecordCursor(inputOf(bytes), 0, bytes.length)

t.test('who does not read loses packets, and is told how many and where', { skip: noModule }, async (t) => {
  const { netns, target, send } = await box(t)
  const device = open(t, netns)
  device.startCapture('probe', 0, 65536)
  // 1024 bytes each in the buffer, which never runs quite full.
  const room = 63
  await send(100, 1024 - HEADER)
  t.same(device.captureCounters(), { captured: room, lost: 100 - room, used: room * 1024, buffer: 65536 })
  t.match(target.stats(), { seen: 100, cloned: room, lost: { bufferFull: 100 - room } })

  const bytes = new Uint8Array(1 << 20)
  let got = device.descriptor.read(bytes.subarray(0, 10 * 1024 + 100), 0)
  t.equal(got, 10 * 1024, 'whole records')
  t.equal(device.captureCounters().used, (room - 10) * 1024)
  // Now there is room for ten more, the first of which says what is missing.
  await send(20, 1024 - HEADER)
  t.match(device.captureCounters(), { captured: room + 10, lost: 100 - room + 10 })
  got = device.descriptor.read(bytes, 0)
  const lost: number[] = []
  const types: number[] = []
  for (const cursor = cursorOf(bytes.subarray(0, got)); cursor.next();) { lost.push(cursor.lost); types.push(cursor.type) }
  t.same(lost, [...new Array(room - 10).fill(0), 100 - room, ...new Array(9).fill(0), 10], 'where it is missing, and behind the last')
  t.same([...new Set(types.slice(0, -1))], [RECORD_TYPE.packet])
  t.equal(types.at(-1), RECORD_TYPE.packetsLost)
  t.equal(device.descriptor.read(bytes, 0), EAGAIN)
  t.match(device.captureCounters(), { used: 0 })
  await send(1, 100)
  got = device.descriptor.read(bytes, 0)
  const cursor = cursorOf(bytes.subarray(0, got))
  t.ok(cursor.next())
  t.equal(cursor.lost, 0, 'told once')
})

t.test('a capture that nobody iterates over', { skip: noModule }, async (t) => {
  const { netns, send } = await box(t)
  const capture = Capture.open({ from: 'probe', netns, buffer: 65536 })
  t.teardown(() => capture.close())
  const count = 3500
  await send(count, 1400)
  const { captured, lost, used, delivered } = capture.stats()
  t.equal(captured + lost, count)
  t.ok(lost > 0, `${lost} of ${count} lost`)
  t.ok(used <= 65536 && captured * 1400 < 4 << 20, `${captured} captured`)
  t.equal(delivered, 0)
  const got = new Collector(capture)
  capture.stop()
  await got.end()
  t.equal(got.packets.length, captured, 'all that was captured is given')
  t.equal(got.lost, lost, 'and all that was lost is told')
  t.match(capture.stats(), { captured, lost, delivered: captured })
  t.ok(capture.closed)
})

t.test('stop: what came before is given, what comes later is not', { skip: noModule }, async (t) => {
  const { netns, send } = await box(t)
  const capture = Capture.open({ from: 'probe', netns })
  t.teardown(() => capture.close())
  await send(10, 100)
  capture.stop()
  capture.stop()
  const got = new Collector(capture)
  await got.end()
  t.equal(got.packets.length, 10)
  const idle = Capture.open({ from: 'probe', netns })
  const waiting = idle.next()
  idle.stop()
  t.same(await waiting, { done: true, value: undefined })
  const controller = new AbortController()
  const aborted = Capture.open({ from: 'probe', netns, signal: controller.signal })
  await send(3, 100)
  for (let came = 0; came < 3;) came += (await aborted.next()).value!.length
  const pending = aborted.next()
  controller.abort(new Error('enough'))
  await t.rejects(pending, { message: 'enough' })
  t.match(aborted.stats(), { captured: 3, lost: 0 }, 'counters stay')
  t.throws(() => Capture.open({ from: 'probe', netns, signal: controller.signal }), { message: 'enough' })
  const { signal } = new AbortController()
  const many = Array.from({ length: 5 }, () => Capture.open({ from: 'probe', netns, signal }))
  for (const each of many) each.close()
  t.equal(getEventListeners(signal, 'abort').length, 0, 'a signal holds no capture that is closed')
  for (const open of [(signal: AbortSignal) => Capture.open({ from: 'probe', netns, signal }), (signal: AbortSignal) => CloneTarget.watch({ netns, signal })]) {
    t.throws(() => open({} as AbortSignal), { message: 'signal: expected an AbortSignal, got an object' })
  }
})

t.test('read and poll', { skip: noModule }, async (t) => {
  const { netns, send } = await box(t)
  const device = open(t, netns)
  const { descriptor } = device
  const bytes = new Uint8Array(65536)
  t.equal(descriptor.read(bytes, 0), EINVAL, 'nothing was asked for')
  const readiness = new Readiness(descriptor)
  const early = readiness.wait(Poll.in)
  device.startCapture('probe', 100, 0)
  t.equal(descriptor.read(bytes, 0), EAGAIN)
  await send(1, 500)
  t.equal(await early, Poll.in, 'who polled before is told')
  t.equal(await readiness.wait(Poll.in), Poll.in, 'and again as long as there is something')
  for (const size of [1, 8, 23]) t.equal(descriptor.read(bytes.subarray(0, size), 0), EMSGSIZE, `${size} bytes`)
  t.equal(descriptor.read(bytes.subarray(0, HEADER + 99), 0), EMSGSIZE, 'a byte too few')
  t.equal(descriptor.read(bytes.subarray(0, HEADER + 100), 0), HEADER + 100, 'without what aligns the next one')
  t.equal(descriptor.read(bytes, 0), EAGAIN)
  const next = readiness.wait(Poll.in)
  await send(3, 500)
  await next
  await until(() => device.captureCounters().used === 3 * 160)
  t.equal(descriptor.read(bytes, 0), 3 * 160, 'each aligned')
  readiness.close()

  t.equal(descriptor.ioctl(COMMAND.capture, encodeCapture('probe', 0, 0)), EBUSY)
  for (const [what, snaplen, buffer] of [['snaplen', 262145, 0], ['a small buffer', 0, 65535], ['a large one', 0, (64 << 20) + 1]] as const) {
    t.equal(open(t, netns).descriptor.ioctl(COMMAND.capture, encodeCapture('probe', snaplen, buffer)), EINVAL, what)
  }
  for (const change of [(b: Uint8Array) => { b[4] = 1 }, (b: Uint8Array) => { b.fill(0, 8, 40) }, (b: Uint8Array) => { b[39] = 1 }]) {
    const capture = encodeCapture('probe', 0, 0)
    change(capture)
    t.equal(open(t, netns).descriptor.ioctl(COMMAND.capture, capture), EINVAL)
  }
  t.equal(open(t, netns).descriptor.ioctl(COMMAND.captureStats, Uint8Array.from([40, ...new Array(39).fill(0)])), -2)
})

t.test('as many as a namespace may have', { skip: noModule }, async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const devices = Array.from({ length: 65 }, () => open(t, netns))
  for (const device of devices.slice(0, 64)) device.startCapture('probe', 0, 65536)
  t.equal(devices[64]!.descriptor.ioctl(COMMAND.capture, encodeCapture('probe', 0, 65536)), ENOSPC)
  t.equal(devices[0]!.info().captures, 64)
  for (const device of devices.slice(0, 10)) device.close()
  devices[64]!.startCapture('probe', 0, 65536)
  t.equal(devices[64]!.info().captures, 55)
  for (const device of devices) device.close()
  // Buffers of a namespace together: pages that are not used cost memory, too.
  const large = Array.from({ length: 4 }, () => open(t, netns))
  for (const device of large.slice(0, 3)) device.startCapture('probe', 0, 64 << 20)
  const rest = open(t, netns)
  rest.startEvents()
  t.equal(large[3]!.descriptor.ioctl(COMMAND.capture, encodeCapture('probe', 0, 64 << 20)), ENOSPC)
  rest.close()
  large[3]!.startCapture('probe', 0, 64 << 20)
})

t.test('events', { skip: noModule }, async (t) => {
  const { netns } = (await mirrorLab(t, { routed: false })).box
  const watch = CloneTarget.watch({ netns })
  t.teardown(() => watch.return!())
  const expect = async (expected: readonly (readonly [string, string?])[], what: string) => {
    const got: [string, string, string | undefined][] = []
    while (got.length < expected.length) {
      const { value } = await watch.next()
      if (value.type !== 'event') throw new Error(JSON.stringify(value))
      got.push([value.event as string, value.target, value.device?.name])
    }
    t.same(got, expected.map(([event, device]) => [event, 'probe', device]), what)
  }
  const target = CloneTarget.create({ name: 'probe', netns, devices: ['eth2', 'absent'] })
  await expect([['target-new']], 'defined')
  target.set({ devices: ['eth2', 'eth3'] })
  await expect([['target-changed']], 'changed')
  Link.set('eth2', { up: false }, { netns })
  Link.set('eth2', { name: 'other' }, { netns })
  await expect([['device-gone', 'eth2'], ['target-paused']], 'the only device has another name')
  Link.set('other', { name: 'eth2' }, { netns })
  await expect([['device-back', 'eth2'], ['target-resumed']], 'it is back')
  Link.delete('eth2', { netns })
  await expect([['device-gone', 'eth2'], ['target-paused']], 'deleted')
  target.set({ devices: ['eth0'] })
  await expect([['target-changed'], ['target-resumed']], 'another device')
  target.close()
  await expect([['target-deleted']], 'deleted with its handle')
  await watch.return!()

  const second = CloneTarget.watch({ netns })
  // The device reads on while nobody iterates: events that this process has no room for stay in the kernel.
  const changed = CloneTarget.create({ name: 'probe', netns, capture: true })
  for (let i = 0; i < 20; i++) changed.set({ capture: true })
  changed.close()
  const names: string[] = []
  for await (const item of second) {
    if (item.type !== 'event') throw new Error(JSON.stringify(item))
    names.push(item.event as string)
    if (item.event === 'target-deleted') break
  }
  t.same(names, ['target-new', ...new Array(20).fill('target-changed'), 'target-deleted'])

  const device = open(t, netns)
  device.startEvents()
  t.equal(device.descriptor.ioctl(COMMAND.events, Uint8Array.from([8, 0, 0, 0, 0, 0, 0, 0])), EBUSY)
  t.equal(open(t, netns).descriptor.ioctl(COMMAND.events, Uint8Array.from([8, 0, 0, 0, 1, 0, 0, 0])), EINVAL)
  // A device that goes pauses each of them, one that comes resumes it: two events each.
  const many = Array.from({ length: 63 }, (_, i) => CloneTarget.create({ name: `many-${i}`, netns, devices: ['d0'] }))
  t.teardown(() => { for (const target of many) target.close() })
  run(netns, 'sh', '-c', 'for i in 1 2 3 4; do ip link add d0 type veth peer name d1; ip link del d0; done; ip link add d0 type veth peer name d1')
  const changes = 63 + 9 * 2 * 63
  let told = 0
  let lost = 0
  const bytes = new Uint8Array(8192)
  for (let got = 1; (got = device.descriptor.read(bytes, 0)) > 0;) {
    for (const cursor = cursorOf(bytes.subarray(0, got)); cursor.next();) {
      if (cursor.type === RECORD_TYPE.event) told++
      lost += cursor.lost
    }
  }
  t.ok(told >= 1024, `${told} events`)
  t.equal(told + lost, changes, 'and the others are told as lost')
})

t.test('the namespace goes', { skip: noModule }, async (t) => {
  const netns = Netns.create()
  const device = open(t, netns)
  device.startCapture('probe', 0, 0)
  const readiness = new Readiness(device.descriptor)
  const told = readiness.wait(Poll.in)
  const idle = open(t, netns)
  const idleReadiness = new Readiness(idle.descriptor)
  const idleTold = idleReadiness.wait(Poll.in)
  const capture = Capture.open({ from: 'probe', netns })
  const next = capture.next()
  const events = CloneTarget.watch({ netns })
  const event = events.next()
  netns.close()
  await t.rejects(next, { code: 'ENETDOWN' })
  await t.rejects(event, { code: 'ENETDOWN' })
  t.equal(await told, Poll.error | Poll.hangUp)
  t.equal(await idleTold, Poll.error | Poll.hangUp, 'also of one that reads nothing')
  t.equal(device.descriptor.read(new Uint8Array(100), 0), ENETDOWN)
  t.throws(() => device.captureCounters(), { code: 'ENETDOWN' })
  t.ok(capture.closed)
  readiness.close()
  idleReadiness.close()
})

t.test('its process is killed', { skip: noModule }, async (t) => {
  const { netns, send } = await box(t)
  const child = spawn('nsenter', [`--net=${netns.path}`, '--', process.execPath, '--input-type=module', '-e', `
    const { Capture } = await import(${JSON.stringify(new URL('../../lib/clone/capture.js', import.meta.url).href)})
    const capture = Capture.open({ from: 'probe' })
    for await (const batch of capture) if (batch.length === 0) break`], { stdio: ['ignore', 'inherit', 'inherit'] })
  await until(() => CloneTarget.get('probe', netns).captures === 1)
  await send(50, 500)
  child.kill('SIGKILL')
  await until(() => CloneTarget.get('probe', netns).captures === 0, 'the capture is still there')
  await send(1, 500)
  t.match(CloneTarget.get('probe', netns), { lost: { noReader: 1 } })
})
