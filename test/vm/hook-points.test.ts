// SPDX-License-Identifier: MIT
// What every verdict does to real packets at every hook point, IPv4 and IPv6, as the receivers see it.

import t from 'tap'
import { Capture, Link, PacketQueue, Route, Rule } from '../../lib/index.js'
import { ModuleDevice } from '../../lib/clone/device.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { HOOK_POINTS, type HookPoint } from '../../lib/wire/module/hook-points.js'
import type { HookConfig } from '../../lib/wire/module/hook.js'
import { Collector, hex } from '../support/capture.js'
import { FAMILIES, hookAt, type HookLab, hookLab, programOf, PORT, statsOf, Stream, targetOf, WAYS } from '../support/hooks.js'
import { counters, noModule, until, withModule } from '../support/module.js'

withModule(t)

const N = 5
const POINTS = Object.keys(HOOK_POINTS) as HookPoint[]

/** One after another, all in one lab: each with a hook of its own. */
async function each(net: HookLab, run: (at: HookPoint, family: IpFamily, stream: Stream, set: (changes?: Partial<HookConfig>) => void) => Promise<void>, points = POINTS) {
  for (const at of points) {
    for (const family of FAMILIES) {
      const stream = await Stream.open(net, WAYS[at], family)
      try {
        await run(at, family, stream, (changes) => net.device.setHook('h', hookAt(at, family, changes), { persistent: false, create: true }))
      } finally {
        net.device.deleteHook('h')
        stream.close()
      }
    }
  }
}

t.test('verdicts at every point', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { device, monitor } = net
  const stats = () => statsOf(device, 'h')

  await t.test('accept', async (t) => {
    await each(net, async (at, family, stream, set) => {
      set()
      t.equal(await stream.pass(N, N), N, `${at} ${family}`)
      t.match(stats(), { matched: N, accepted: N }, `${at} ${family}`)
    })
  })

  await t.test('drop', async (t) => {
    await each(net, async (at, family, stream, set) => {
      set({ verdict: 'drop' })
      t.equal(await stream.pass(N, 0), 0, `${at} ${family}`)
      t.match(stats(), { matched: N, dropped: N }, `${at} ${family}`)
      t.equal(stats().accepted, undefined)
    })
  })

  await t.test('repeat: until the mark no longer matches, or the limit is reached', async (t) => {
    await each(net, async (at, family, stream, set) => {
      const match = { family, protocol: 'udp', destinationPort: PORT } as const
      set({ verdict: { repeat: 3 }, mark: { value: 7, mask: 0xff }, program: programOf({ ...match, mark: 0 }) })
      t.equal(await stream.pass(N, N), N, `${at} ${family}`)
      t.match(stats(), { matched: N, accepted: N, repeated: N }, `${at} ${family}`)
      t.equal(stats().unfinished, undefined)
      device.setHook('h', hookAt(at, family, { verdict: { repeat: 3 }, mark: { value: 7, mask: 0xff } }), { persistent: false, create: false })
      t.equal(await stream.pass(N, N), N)
      t.match(stats(), { matched: 2 * N, accepted: 2 * N, repeated: N + 3 * N, unfinished: N }, `${at} ${family}`)
    })
  })

  await t.test('queue: a program decides; without one the packet is dropped, or with bypass accepted', async (t) => {
    const points = POINTS.filter((at) => HOOK_POINTS[at].queue)
    const queue = PacketQueue.open(77, { netns: net.box.netns })
    t.teardown(() => queue.close())
    let taken = 0
    const reading = (async () => { for await (const packet of queue) if (taken++ % 2 === 0) packet.accept(); else packet.drop() })()
    await each(net, async (at, family, stream, set) => {
      taken = 0
      set({ verdict: { queue: 77 } })
      t.equal(await stream.pass(2 * N, N), N, `${at} ${family}: every other packet`)
      // The last, which is dropped, too: a verdict that comes while a hook goes is a warning of older kernels (nf_reinject).
      await until(() => taken >= 2 * N)
      t.equal(taken, 2 * N)
      t.match(stats(), { matched: 2 * N, queued: 2 * N }, `${at} ${family}`)
    }, points)
    queue.close()
    await reading
    const again = PacketQueue.open(77, { netns: net.box.netns })
    t.teardown(() => again.close())
    const repeating = (async () => { for await (const packet of again) packet.repeat({ mark: 1 }) })()
    await each(net, async (at, family, stream, set) => {
      set({ verdict: { queue: 77 }, program: programOf({ family, protocol: 'udp', destinationPort: PORT, mark: 0 }) })
      t.equal(await stream.pass(N, N), N, `${at} ${family}: the consumer has it meet the hook again, with a mark`)
      t.match(stats(), { matched: N, queued: N })
    }, ['forward'])
    again.close()
    await repeating
    await each(net, async (at, family, stream, set) => {
      set({ verdict: { queue: 77 } })
      t.equal(await stream.pass(N, 0), 0, `${at} ${family}: nobody listens`)
      device.setHook('h', hookAt(at, family, { verdict: { queue: 77, bypass: true } }), { persistent: false, create: false })
      t.equal(await stream.pass(N, N), N, `${at} ${family}: bypass`)
      t.match(stats(), { matched: 2 * N, queued: 2 * N }, `${at} ${family}`)
    }, points)
  })

  await t.test('what waits in a queue stays there while hooks are made anew, and goes when one is taken away', async (t) => {
    const queue = PacketQueue.open(78, { netns: net.box.netns })
    t.teardown(() => queue.close())
    const held: { accept: () => void }[] = []
    const reading = (async () => { for await (const packet of queue) held.push(packet) })()
    const stream = await Stream.open(net, WAYS.forward, 'ipv4')
    const owned = { persistent: false, create: false }
    device.setHook('other', hookAt('local-in', 'ipv4'), owned)
    device.setHook('h', hookAt('forward', 'ipv4', { verdict: { queue: 78 } }), owned)
    await stream.send(2 * N)
    await until(() => held.length === 2 * N)
    for (const name of ['h', 'other']) device.setHook(name, hookAt(name === 'h' ? 'forward' : 'local-in', 'ipv4', { mark: { value: 1, mask: 1 } }), owned)
    for (const packet of held.slice(0, N)) packet.accept()
    await until(() => stream.received === N)
    device.deleteHook('other')
    for (const packet of held.slice(N)) packet.accept()
    t.equal(await stream.pass(N, N), N)
    t.equal(stream.received, 2 * N, 'the kernel empties all queues of a namespace where a hook is unregistered (nf_queue_nf_hook_drop)')
    device.deleteHook('h')
    stream.close()
    queue.close()
    await reading
  })

  await t.test('redirect: to the monitor instead of on its way; and a clone with accept and drop', async (t) => {
    const watch = monitor.capture('eth0', { promiscuous: true, direction: 'in', filter: ({ packet }) => packet?.udp?.destinationPort === PORT })
    let copies = 0
    const reading = (async () => { for await (const item of watch) if (item.type === 'frame') copies++ })()
    await each(net, async (at, family, stream, set) => {
      set({ verdict: { redirect: 'mon', onFail: 'drop' } })
      t.equal(await stream.pass(N, 0), 0, `${at} ${family}: no such target, dropped`)
      device.setHook('h', hookAt(at, family, { verdict: { redirect: 'mon' } }), { persistent: false, create: false })
      t.equal(await stream.pass(N, N), N, `${at} ${family}: no such target, accepted`)
      t.match(stats(), { matched: 2 * N, notTaken: 2 * N, dropped: N, accepted: N }, `${at} ${family}`)
      device.setTarget('mon', targetOf('eth2'), { persistent: false, create: true })
      copies = 0
      t.equal(await stream.pass(N, 0), 0, `${at} ${family}: redirected`)
      await until(() => copies >= N, `${at} ${family}: ${copies} of ${N} at the monitor`)
      t.match(stats(), { matched: 3 * N, redirected: N }, `${at} ${family}`)
      device.setHook('h', hookAt(at, family, { clone: 'mon' }), { persistent: false, create: false })
      t.equal(await stream.pass(N, N), N, `${at} ${family}: cloned and accepted`)
      device.setHook('h', hookAt(at, family, { clone: 'mon', verdict: 'drop' }), { persistent: false, create: false })
      t.equal(await stream.pass(N, 0), 0, `${at} ${family}: cloned and dropped`)
      await until(() => copies >= 3 * N, `${at} ${family}: ${copies} of ${3 * N} at the monitor`)
      t.equal(copies, 3 * N)
      device.deleteTarget('mon')
    })
    await watch.return!()
    await reading
  })

  const PAYLOADS = Array.from({ length: N }, (_, i) => Buffer.alloc(20, i).toString('hex'))
  const payloads = (packets: readonly Uint8Array[]) => packets.map((data) => hex(data.subarray(-20)))
  /** Without what other packets, such as those of ARP, are counted by. */
  const verdicts = () => Object.fromEntries(Object.entries(stats()).filter(([name]) => name !== 'seen' && name !== 'noHeader'))
  const redirected = (to: string, onFail: 'accept' | 'drop'): Partial<HookConfig> => ({ verdict: { redirect: to, onFail } })

  await t.test('redirect into a capture; what nobody reads, or has no room for, is accepted or dropped', async (t) => {
    for (const name of ['read', 'full']) device.setTarget(name, { ...targetOf(), capture: true }, { persistent: false, create: true })
    const full = ModuleDevice.open(net.box.netns)
    t.teardown(() => full.close())
    full.startCapture('full', 0, 65536)
    await filled(net)
    await each(net, async (at, family, stream, set) => {
      const before = counters(net.box, 'target:read')['no_reader'] ?? 0
      set(redirected('read', 'accept'))
      t.equal(await stream.pass(N, N), N, `${at} ${family}: nobody reads, accepted`)
      t.equal(counters(net.box, 'target:read')['no_reader'], before + N)
      t.same(verdicts(), { matched: N, notTaken: N, accepted: N }, `${at} ${family}`)

      const capture = Capture.open({ from: 'read', netns: net.box.netns })
      const got = new Collector(capture)
      t.equal(await stream.pass(N, 0), 0, `${at} ${family}: captured`)
      const packets = await got.count(N)
      t.same(payloads(packets.map(({ data }) => data)), PAYLOADS, `${at} ${family}: what was captured`)
      t.ok(packets.every(({ point, byRule }) => point === at && !byRule))
      t.same(verdicts(), { matched: 2 * N, redirected: N, notTaken: N, accepted: N }, `${at} ${family}`)
      capture.close()

      const lost = counters(net.box, 'target:full')['buffer_full']!
      device.setHook('h', hookAt(at, family, redirected('full', 'drop')), { persistent: false, create: false })
      t.equal(await stream.pass(N, 0), 0, `${at} ${family}: no room, dropped`)
      t.equal(counters(net.box, 'target:full')['buffer_full'], lost + N)
      t.same(verdicts(), { matched: 3 * N, redirected: N, notTaken: 2 * N, accepted: N, dropped: N }, `${at} ${family}`)
    })
    for (const name of ['read', 'full']) device.deleteTarget(name)
  })

  await t.test('redirect by a mark: to the host behind its route; what has none is accepted or dropped', async (t) => {
    const { netns } = net.box
    Link.set('eth2', { arp: false }, { netns })
    for (const family of FAMILIES) {
      for (const [fwmark, table, route] of [[1, 101, { link: 'eth2' }], [2, 102, { type: 'unreachable' }]] as const) {
        Rule.add({ family, priority: 10, fwmark, table }, { netns })
        Route.add({ destination: family === 'ipv4' ? 'default' : '::/0', table, ...route }, { netns })
      }
      Rule.add({ family, priority: 20, table: 'local' }, { netns })
      Rule.delete({ family, priority: 0, table: 'local' }, { netns })
    }
    for (const [name, reroute] of [['route', 1], ['none', 2]] as const) device.setTarget(name, { ...targetOf(), reroute }, { persistent: false, create: true })
    const watch = monitor.capture('eth0', { promiscuous: true, direction: 'in', filter: ({ packet }) => packet?.udp?.destinationPort === PORT })
    let came: Uint8Array[] = []
    const reading = (async () => { for await (const item of watch) if (item.type === 'frame') came.push(item.data.slice()) })()
    await each(net, async (at, family, stream, set) => {
      came = []
      set(redirected('route', 'drop'))
      t.equal(await stream.pass(N, 0), 0, `${at} ${family}: redirected`)
      await until(() => came.length >= N, `${at} ${family}: ${came.length} of ${N} at the monitor`)
      t.same(payloads(came).sort(), PAYLOADS, `${at} ${family}: what came there`)
      t.same(verdicts(), { matched: N, redirected: N }, `${at} ${family}`)
      const before = counters(net.box, 'target:none')['unroutable'] ?? 0
      for (const [onFail, expected] of [['drop', 0], ['accept', N]] as const) {
        device.setHook('h', hookAt(at, family, redirected('none', onFail)), { persistent: false, create: false })
        t.equal(await stream.pass(N, expected), expected, `${at} ${family}: no route: ${onFail}`)
      }
      t.equal(counters(net.box, 'target:none')['unroutable'], before + 2 * N)
      t.same(verdicts(), { matched: 3 * N, redirected: N, notTaken: 2 * N, accepted: N, dropped: N }, `${at} ${family}`)
      t.equal(came.length, N, 'no more came')
    }, POINTS.filter((at) => HOOK_POINTS[at].reroute))
    await watch.return!()
    await reading
  })
})

/** Has the capture of the target `full`, of which nobody reads, lose even the smallest packets of the tests. */
async function filled(net: HookLab): Promise<void> {
  const stream = await Stream.open(net, WAYS['local-in'], 'ipv4')
  net.device.setHook('filler', hookAt('local-in', 'ipv4', { clone: 'full' }), { persistent: false, create: true })
  const lost = () => counters(net.box, 'target:full')['buffer_full'] ?? 0
  // 64 KiB, less than a hundred bytes of which are left where a packet of one does not fit.
  for (const [size, most] of [[1400, 60], [1, 20]] as const) {
    const before = lost()
    for (let sent = 0; lost() === before; sent++) {
      if (sent === most) throw new Error(`the capture takes ${most} packets of ${size} bytes and more`)
      await stream.pass(1, 1, size)
    }
  }
  net.device.deleteHook('filler')
  stream.close()
}
