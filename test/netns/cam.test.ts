// SPDX-License-Identifier: MIT

import t, { type Test } from 'tap'
import { Cam } from '../../lib/bridge/cam.js'
import { type CamChange, Link, Netns } from '../../lib/index.js'
import { bridgeJson, feed, lacks, run, tryRun } from '../support/outside.js'

const MAC = (n: number) => `02:00:5e:10:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`

/** A bridge with three ports whose peers are up; made from outside. */
function setup(t: Test, bridgeOptions = '') {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  // A kernel with VLANs gives every port VLAN 1, filtering or not, and then adds entries for it, too.
  run(netns, 'sh', '-ec', `ip link add br0 type bridge ${bridgeOptions}; ip link set br0 type bridge vlan_default_pvid 0 2>/dev/null || true; ip link set br0 up
    for i in 0 1 2; do ip link add p$i type veth peer name q$i; ip link set p$i up master br0; ip link set q$i up; done`)
  const { index } = Link.get('br0', { netns })
  const cam = new Cam({ name: 'br0', index, netns })
  waitForwarding(netns)
  return { netns, cam }
}

function waitForwarding(netns: Netns) {
  for (let i = 0; i < 100; i++) {
    if (bridgeJson(netns, 'link', 'show').every((link) => link.state === 'forwarding')) return
    run(netns, 'sleep', '0.02')
  }
  throw new Error('ports do not forward')
}

/** What `bridge fdb` says, in the form of this library. */
function outside(netns: Netns, ...args: string[]) {
  return bridgeJson(netns, '-s', 'fdb', 'show', ...args)
    .filter((entry) => entry.master !== undefined)
    .map((entry) => ({
      mac: entry.mac, port: entry.ifname, vlan: entry.vlan ?? null,
      state: entry.state === 'permanent' ? 'permanent' : entry.state === 'static' ? 'static' : entry.state === 'stale' ? 'stale' : 'learned',
    }))
    .sort(byText)
}

const seen = (cam: Cam, filter = {}) => cam.entries(filter).map(({ mac, port, vlan, state }) => ({ mac, port, vlan, state })).sort(byText)
const byText = (a: object, b: object) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)

async function take(watch: AsyncIterator<CamChange>, count: number): Promise<CamChange[]> {
  const changes: CamChange[] = []
  while (changes.length < count) {
    const { value, done } = await watch.next()
    if (done === true) break
    // The peers' own traffic is learned too.
    if (value.type === 'overrun' || value.entry.mac.startsWith('02:00:5e:10')) changes.push(value)
  }
  return changes
}
const brief = (change: CamChange) => (change.type === 'overrun' ? 'overrun' : `${change.type} ${change.entry.mac} ${change.entry.port}`)

t.test('entries are what bridge(8) shows', async (t) => {
  const { netns, cam } = setup(t)
  run(netns, 'sh', '-ec', `bridge fdb add ${MAC(1)} dev p0 master static; bridge fdb add ${MAC(2)} dev p1 master dynamic
    bridge fdb add ${MAC(3)} dev p2 master static sticky; bridge fdb add ${MAC(4)} dev p2 master permanent; bridge fdb add ${MAC(5)} dev p2 self`)
  t.same(seen(cam), outside(netns, 'br', 'br0'))
  t.same(cam.lookup(MAC(3))?.flags, ['sticky'])
  t.match(cam.lookup(MAC(4)), { state: 'permanent', isLocal: true, via: 'master', port: 'p2' })
  t.equal(cam.lookup(MAC(5)), undefined, 'a self entry is not in the bridge')
  t.match(cam.entries({ via: 'self', port: 'p2' }).find((entry) => entry.mac === MAC(5)), { via: 'self', age: null, isLocal: false })
  t.ok(cam.entries({ via: 'any' }).length > cam.entries().length)
  t.equal(cam.lookup(MAC(99)), undefined)
  t.match(cam.lookupAll(MAC(2).toUpperCase()), [{ mac: MAC(2), port: 'p1', state: 'learned' }])
  t.ok(cam.lookup(MAC(2))!.age! < 5)
})

t.test('filters by port and state', async (t) => {
  const { netns, cam } = setup(t)
  run(netns, 'sh', '-ec', `bridge fdb add ${MAC(1)} dev p0 master static; bridge fdb add ${MAC(2)} dev p1 master dynamic`)
  // bridge(8) leaves the name out when it is asked for one port.
  t.same(seen(cam, { port: 'p0' }), outside(netns, 'brport', 'p0').map((entry) => ({ ...entry, port: 'p0' })).sort(byText))
  t.same(cam.entries({ state: 'static' }).map((entry) => entry.mac), [MAC(1)])
  t.ok(cam.entries({ state: ['learned', 'stale'] }).every((entry) => entry.state === 'learned' || entry.state === 'stale'))
  t.same(cam.entries({ vlan: 5 }), [])
})

t.test('learning from real frames, and moving', async (t) => {
  const { netns, cam } = setup(t)
  const watch = cam.watch()
  t.teardown(() => watch.return!())
  for (const port of ['q0', 'q1']) {
    run(netns, 'sh', '-ec', `ip link set ${port} address ${MAC(9)}; ip addr add 192.0.2.9/24 dev ${port}; ping -c1 -W1 -I ${port} -b 192.0.2.255 >/dev/null 2>&1 || true; ip addr del 192.0.2.9/24 dev ${port}`)
    run(netns, 'ip', 'link', 'set', port, 'address', MAC(port === 'q0' ? 100 : 101))
  }
  const found: string[] = []
  for await (const change of watch) {
    if (change.type !== 'overrun' && change.entry.mac === MAC(9)) found.push(change.type === 'moved' ? `${brief(change)} from ${change.from}` : brief(change))
    if (found.length === 2) break
  }
  t.same(found, [`learned ${MAC(9)} p0`, `moved ${MAC(9)} p1 from p0`])
  t.match(outside(netns).find((entry) => entry.mac === MAC(9)), { port: 'p1', state: 'learned' })
})

t.test('add, replace and delete, checked from outside', async (t) => {
  const { netns, cam } = setup(t)
  const get = (n: number) => bridgeJson(netns, 'fdb', 'show', 'br', 'br0').find((entry) => entry.mac === MAC(n) && entry.master === 'br0')
  cam.add({ mac: MAC(1), port: 'p0' })
  t.match(get(1), { ifname: 'p0', state: 'static' })
  cam.add({ mac: MAC(2), port: 'p0', state: 'permanent' })
  t.match(get(2), { ifname: 'p0', state: 'permanent' })
  cam.add({ mac: MAC(3), port: 'p1', state: 'dynamic', externLearned: true })
  t.match(get(3), { ifname: 'p1', flags: ['extern_learn'] })
  cam.replace({ mac: MAC(1), port: 'p2', sticky: true })
  t.match(get(1), { ifname: 'p2', flags: ['sticky'], state: 'static' })
  t.throws(() => cam.add({ mac: MAC(1), port: 'p0' }), { code: 'EEXIST' })
  cam.delete({ mac: MAC(1) })
  t.equal(get(1), undefined)
  cam.delete({ mac: MAC(2), port: 'p0' })
  t.equal(get(2), undefined)
  t.throws(() => cam.delete({ mac: MAC(2) }), { code: 'ENOENT' })
  t.throws(() => cam.delete({ mac: MAC(2), port: 'p0' }), { code: 'ENOENT' })
  cam.add({ mac: MAC(6), port: 'p0', via: 'self' })
  t.ok(bridgeJson(netns, 'fdb', 'show', 'dev', 'p0').find((entry) => entry.mac === MAC(6) && entry.flags.includes('self')))
  cam.add({ mac: MAC(7), port: 'br0', state: 'permanent' })
  t.match(get(7), { ifname: 'br0', state: 'permanent' })
  cam.delete({ mac: MAC(7), port: 'br0' })
  t.equal(get(7), undefined)
})

t.test('many in one call: all or none', async (t) => {
  const { netns, cam } = setup(t)
  const specs = Array.from({ length: 1000 }, (_, i) => ({ mac: MAC(i + 1), port: `p${i % 3}` }))
  cam.add(specs)
  const before = outside(netns, 'br', 'br0')
  t.equal(before.filter((entry) => entry.state === 'static').length, 1000)
  t.throws(() => cam.add([...Array.from({ length: 300 }, (_, i) => ({ mac: MAC(i + 2000), port: 'p0' })), specs[500]!]), { code: 'EEXIST', message: new RegExp(specs[500]!.mac) })
  t.same(outside(netns, 'br', 'br0'), before, 'a failed add leaves nothing behind')
  t.throws(() => cam.replace([{ mac: MAC(1), port: 'p2' }, { mac: MAC(5000), port: 'p2' }, { mac: MAC(2), port: 'q0' }]), { name: 'NfkitError' })
  t.same(outside(netns, 'br', 'br0'), before, 'a failed replace puts the old entries back')
  t.throws(() => cam.delete([{ mac: MAC(1) }, { mac: MAC(2), port: 'p0' }]), { code: 'ENOENT' })
  t.same(outside(netns, 'br', 'br0'), before, 'a failed delete puts the deleted ones back')
  cam.delete(specs.map(({ mac }) => ({ mac })))
  t.equal(outside(netns, 'br', 'br0').filter((entry) => entry.state === 'static').length, 0)
  cam.add([])
})

t.test('scan gives the same table in batches', async (t) => {
  const { netns, cam } = setup(t)
  cam.add(Array.from({ length: 5000 }, (_, i) => ({ mac: MAC(i + 1), port: `p${i % 3}` })))
  const batches = []
  for await (const batch of cam.scan({ state: 'static' })) batches.push(batch)
  t.ok(batches.length > 1)
  t.same(new Set(batches.flat().map((entry) => `${entry.mac} ${entry.port}`)), new Set(outside(netns).filter((entry) => entry.state === 'static').map((entry) => `${entry.mac} ${entry.port}`)))
  const one = []
  for await (const batch of cam.scan({ port: 'p1', state: 'static' })) one.push(...batch)
  t.equal(one.length, 1667)
  for await (const batch of cam.scan()) { t.ok(batch.length > 0); break }
  const controller = new AbortController()
  const scan = cam.scan({ signal: controller.signal })
  controller.abort()
  await t.rejects(scan.next(), { name: 'AbortError' })
})

t.test('flush', async (t) => {
  const { netns, cam } = setup(t)
  const fill = () => cam.replace([
    { mac: MAC(1), port: 'p0', state: 'dynamic' }, { mac: MAC(2), port: 'p1', state: 'dynamic' }, { mac: MAC(3), port: 'p1' }, { mac: MAC(4), port: 'p2', state: 'permanent' },
  ])
  const left = () => outside(netns).filter((entry) => entry.mac.startsWith('02:00:5e:10')).map((entry) => entry.mac)
  for (const flush of [cam.flush.bind(cam), cam.flushByDeleting.bind(cam)]) {
    fill()
    flush({ port: 'p0' })
    t.same(left(), [MAC(2), MAC(3), MAC(4)])
    fill()
    flush()
    t.same(left(), [MAC(3), MAC(4)], 'learned entries only')
    fill()
    flush({ state: 'static' })
    t.same(left(), [MAC(1), MAC(2), MAC(4)])
    fill()
    flush({ state: 'all', port: 'p1' })
    t.same(left(), [MAC(1), MAC(4)])
    flush({ state: 'all' })
    t.same(left(), [MAC(4)], 'addresses of the box stay')
  }
})

t.test('VLANs', { skip: lacks('vlan-filtering') }, async (t) => {
  const { netns, cam } = setup(t, 'vlan_filtering 1')
  run(netns, 'sh', '-ec', 'for v in 10 20; do for p in p0 p1 p2; do bridge vlan add dev $p vid $v; done; done')
  cam.add([{ mac: MAC(1), port: 'p0', vlan: 10 }, { mac: MAC(1), port: 'p1', vlan: 20 }, { mac: MAC(2), port: 'p2', vlan: 20, state: 'dynamic' }])
  t.same(seen(cam), outside(netns, 'br', 'br0'))
  t.match(cam.lookup(MAC(1), { vlan: 20 }), { port: 'p1', vlan: 20 })
  t.equal(cam.lookup(MAC(1)), undefined, 'the kernel compares the VLAN exactly')
  t.same(cam.lookupAll(MAC(1)).map((entry) => entry.vlan).sort(), [10, 20])
  t.same(cam.entries({ vlan: 10, state: 'static' }).map((entry) => entry.mac), [MAC(1)])
  cam.flush({ vlan: 20, state: 'all' })
  t.same(cam.entries({ vlan: 20, state: ['static', 'learned'] }), [])
  t.equal(cam.entries({ vlan: 10, state: 'static' }).length, 1)
  cam.delete({ mac: MAC(1), vlan: 10 })
  t.same(seen(cam), outside(netns, 'br', 'br0'))
})

t.test('watch', async (t) => {
  const { netns, cam } = setup(t)
  const watch = cam.watch()
  run(netns, 'sh', '-ec', `bridge fdb add ${MAC(1)} dev p0 master static; bridge fdb add ${MAC(2)} dev p1 master dynamic
    bridge fdb replace ${MAC(1)} dev p2 master static; bridge fdb replace ${MAC(1)} dev p2 master static sticky`)
  // Older kernels rename a device only while it is down, which would flush the port.
  const port = tryRun(netns, 'ip', 'link', 'set', 'p1', 'name', 'renamed').status === 0 ? 'renamed' : 'p1'
  run(netns, 'sh', '-ec', `bridge fdb del ${MAC(2)} dev ${port} master; bridge fdb del ${MAC(1)} dev p2 master`)
  t.same((await take(watch, 6)).map(brief), [
    `added ${MAC(1)} p0`, `learned ${MAC(2)} p1`, `moved ${MAC(1)} p2`, `changed ${MAC(1)} p2`, `removed ${MAC(2)} ${port}`, `removed ${MAC(1)} p2`,
  ])
  run(netns, 'ip', 'link', 'del', 'br0')
  let rest = 0
  for await (const change of watch) { t.not(change.type, 'overrun'); rest++ }
  t.ok(rest > 0, 'the addresses of the ports were removed, then the watch ended with the bridge')
})

t.test('ageing is told from removal', { timeout: 60000 }, async (t) => {
  const { netns, cam } = setup(t, 'ageing_time 100')
  const watch = cam.watch()
  t.teardown(() => watch.return!())
  run(netns, 'bridge', 'fdb', 'add', MAC(1), 'dev', 'p0', 'master', 'dynamic')
  const types: string[] = []
  for await (const change of watch) {
    if (change.type !== 'overrun' && change.entry.mac === MAC(1)) types.push(change.type)
    if (types.at(-1) === 'aged' || types.at(-1) === 'removed') break
  }
  t.same([types[0], types.at(-1)], ['learned', 'aged'])
})

t.test('an overrun is announced and a resync brings the same table', async (t) => {
  const { netns, cam } = setup(t)
  const watch = cam.watch({ maxQueue: 65536, resync: true })
  t.teardown(() => watch.return!())
  const lines = Array.from({ length: 8000 }, (_, i) => `fdb add ${MAC(i)} dev p${i % 3} master static`).join('\n')
  // The main thread is blocked while the kernel notifies 8000 times.
  feed(netns, lines, 'bridge', '-b', '-')
  const table = new Map<string, string>()
  let overruns = 0
  const started = Date.now()
  while (table.size < 8000 && Date.now() - started < 20000) {
    const { value: change } = await watch.next()
    if (change === undefined) break
    if (change.type === 'overrun') overruns++
    else if (!change.entry.mac.startsWith('02:00:5e:10')) continue
    else if (change.type === 'removed' || change.type === 'aged') table.delete(change.entry.mac)
    else table.set(change.entry.mac, change.entry.port)
  }
  t.ok(overruns > 0)
  t.same([...table].sort(), outside(netns).filter((entry) => entry.state === 'static').map((entry) => [entry.mac, entry.port]).sort())
})

t.test('a deletion of the bridge that is lost in an overrun ends the watch', async (t) => {
  for (const resync of [false, true]) {
    const { netns, cam } = setup(t)
    const watch = cam.watch({ maxQueue: 65536, resync })
    t.teardown(() => watch.return!())
    const lines = Array.from({ length: 4000 }, (_, i) => `fdb add ${MAC(i)} dev p${i % 3} master static`).join('\n')
    // The main thread is blocked until the bridge is gone.
    feed(netns, lines, 'bridge', '-b', '-')
    run(netns, 'ip', 'link', 'delete', 'br0')
    const left = new Set<string>()
    const end = (async () => {
      for await (const change of watch) {
        if (change.type === 'overrun') continue
        if (change.type === 'removed' || change.type === 'aged') left.delete(change.entry.mac)
        else left.add(change.entry.mac)
      }
      return 'ended'
    })()
    const late = new Promise((resolve) => { setTimeout(resolve, 10_000, 'still waiting').unref() })
    t.equal(await Promise.race([end, late]), 'ended', `resync ${resync}`)
    if (resync) t.equal(left.size, 0, 'everything is reported as removed')
  }
})

t.test('a signal ends a watch', async (t) => {
  const { cam } = setup(t)
  const controller = new AbortController()
  const watch = cam.watch({ signal: controller.signal })
  setTimeout(() => controller.abort(), 20)
  await t.rejects((async () => { for await (const change of watch) t.type(change.type, 'string') })(), { name: 'AbortError' })
  t.throws(() => cam.watch({ signal: AbortSignal.abort() }), { name: 'AbortError' })
})

t.test('wrong arguments are refused before any system call', async (t) => {
  // No such bridge and namespace handle closed: any system call would fail in another way.
  const netns = Netns.create()
  const cam = new Cam({ name: 'br0', index: 999, netns })
  netns.close()
  t.throws(() => cam.add({ mac: '02:00:5e:10:00', port: 'p0' }), { name: 'TypeError', message: /mac: expected a MAC address/ })
  t.throws(() => cam.add({ mac: '01:00:5e:00:00:01', port: 'p0' }), { name: 'TypeError', message: /unicast/ })
  t.throws(() => cam.add({ mac: MAC(1), port: 'a-name-that-is-too-long' }), { name: 'TypeError', message: /interface name/ })
  for (const vlan of [0, 4095, 1.5, -1]) t.throws(() => cam.add({ mac: MAC(1), port: 'p0', vlan }), { name: 'RangeError', message: /1 to 4094/ })
  t.throws(() => cam.add({ mac: MAC(1), port: 'p0', vlan: '10' as unknown as number }), { name: 'TypeError' })
  t.throws(() => cam.add({ mac: MAC(1), port: 'p0', state: 'learned' as 'static' }), { name: 'TypeError', message: /static, permanent or dynamic/ })
  t.throws(() => cam.lookup('x'), { name: 'TypeError' })
  t.throws(() => cam.delete([{ mac: MAC(1) }, { mac: 'x' }]), { name: 'TypeError' })
  t.throws(() => cam.flush({ vlan: 4095 }), { name: 'RangeError' })
  t.throws(() => cam.flush({ state: 'permanent' as 'all' }), { name: 'TypeError' })
  t.throws(() => cam.entries({ state: 'old' as 'learned' }), { name: /TypeError|NfkitError/ })
  t.throws(() => cam.watch({ maxQueue: 1 }), { name: 'TypeError' })
})

t.test('a missing port or bridge is a typed error', async (t) => {
  const { netns, cam } = setup(t)
  t.throws(() => cam.add({ mac: MAC(1), port: 'nope' }), { code: 'ENODEV', message: /nope/ })
  t.throws(() => cam.entries({ port: 'nope' }), { code: 'ENODEV' })
  run(netns, 'ip', 'link', 'del', 'br0')
  t.throws(() => cam.entries(), { name: 'NfkitError' })
})
