// SPDX-License-Identifier: MIT

import t, { type Test } from 'tap'
import { Bridge, type BridgeOptions, type MdbChange, type MdbEntry, type MdbSpec, Netns, type Watch } from '../../lib/index.js'
import { batch, bridgeJson, run } from '../support/outside.js'

/** A bridge with ports p0 and p1, up, without IPv6's own groups on any device. */
function setup(t: Test, options: BridgeOptions = {}) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  netns.writeSysctl('net/ipv6/conf/default/disable_ipv6', 1)
  batch(netns, 'ip', [0, 1].flatMap((i) => [`link add p${i} type veth peer name q${i}`, `link set q${i} up`]))
  const bridge = Bridge.create('br0', { netns, ...options })
  for (const port of ['p0', 'p1']) bridge.addPort(port)
  return { netns, bridge }
}

const major = (release: string) => Number(/^(\d+)\.(\d+)/.exec(release)![1]) * 1000 + Number(/^(\d+)\.(\d+)/.exec(release)![2])

/** What `bridge -d mdb show` says, as `port group source state`. */
function outside(netns: Netns, name = 'br0'): string[] {
  return (bridgeJson(netns, 'mdb', 'show', 'dev', name)[0]?.mdb ?? []).map((entry: any) =>
    [entry.port, entry.grp, entry.src ?? '-', entry.state === 'permanent' ? 'permanent' : 'temporary'].join(' ')).sort()
}
const text = (entries: readonly MdbEntry[]) => entries.map(({ port, group, source, state }) => [port, group, source ?? '-', state].join(' ')).sort()

t.test('entries of every sort are added, listed and deleted', (t) => {
  const { netns, bridge } = setup(t)
  const { mdb } = bridge
  mdb.add({ port: 'p0', group: '239.1.1.1' })
  mdb.add([
    { port: 'p1', group: '239.1.1.1', state: 'temporary' },
    { port: 'p0', group: 'ff15:0:0::1' },
    { port: 'p1', group: '01-00-5E-0A-0B-0C' },
    { port: 'self', group: '239.1.1.2' },
    { port: 'p0', group: '239.1.1.3', source: '10.0.0.7' },
  ])
  const expected = [
    'br0 239.1.1.2 - temporary', 'p0 239.1.1.1 - permanent', 'p0 239.1.1.3 10.0.0.7 permanent', 'p0 ff15::1 - permanent',
    'p1 01:00:5e:0a:0b:0c - permanent', 'p1 239.1.1.1 - temporary',
  ]
  t.same(outside(netns), expected)
  t.same(text(mdb.list()), expected)
  t.match(mdb.list({ group: '239.1.1.1' }).map(({ port }) => port).sort(), ['p0', 'p1'])
  t.match(mdb.list({ port: 'self' }), [{ port: 'br0', portIndex: bridge.index, group: '239.1.1.2', family: 'ipv4', vlan: null, flags: [] }])
  t.same(mdb.list({ port: 'p1', group: '239.1.1.2' }), [])
  t.same(mdb.list({ vlan: 7 }), [])
  const [temporary] = mdb.list({ port: 'p1', group: '239.1.1.1' })
  t.ok(temporary!.timer > 250 && temporary!.timer <= 260, `the timer runs: ${temporary!.timer} s`)
  t.equal(mdb.list({ port: 'p0', group: 'FF15::1' })[0]!.timer, 0)
  const list = mdb.list()
  t.same(JSON.parse(JSON.stringify(list)), list, 'plain')

  mdb.delete({ port: 'p0', group: '239.1.1.3', source: '10.0.0.7' })
  mdb.delete([{ port: 'p0', group: '239.1.1.1' }, { port: 'br0', group: '239.1.1.2' }, { port: 'p1', group: '01:00:5e:0a:0b:0c' }])
  t.same(outside(netns), ['p0 ff15::1 - permanent', 'p1 239.1.1.1 - temporary'])
  t.end()
})

t.test('all or none', (t) => {
  const { netns, bridge } = setup(t)
  const { mdb } = bridge
  mdb.add([{ port: 'p0', group: '239.1.1.1' }, { port: 'p1', group: '239.1.1.2', state: 'temporary' }])
  const before = outside(netns)
  t.throws(() => mdb.add([{ port: 'p0', group: '239.1.1.9' }, { port: 'p1', group: '239.1.1.9' }, { port: 'p0', group: '239.1.1.1' }]), { code: 'EEXIST' })
  t.same(outside(netns), before)
  t.throws(() => mdb.delete([{ port: 'p0', group: '239.1.1.1' }, { port: 'p1', group: '239.1.1.1' }]), { code: 'ENOENT', message: /239\.1\.1\.1 at p1/ })
  t.same(outside(netns), before)
  t.throws(() => mdb.delete({ port: 'p0', group: '239.1.1.1', source: '10.0.0.1' }), { code: 'ENOENT' })
  t.throws(() => mdb.add([{ port: 'p0', group: '239.1.1.9' }, { port: 'q0', group: '239.1.1.9' }]), { code: 'NFKIT_NOT_A_PORT' })
  t.throws(() => mdb.add({ port: 'nothing', group: '239.1.1.9' }), { code: 'ENODEV' })
  t.same(outside(netns), before)
  bridge.set({ multicast: { snooping: false } })
  t.throws(() => mdb.add({ port: 'p0', group: '239.1.1.9' }), { code: 'EINVAL', message: /multicast processing is disabled/ })
  t.end()
})

t.test('replace changes an entry that is there', (t) => {
  const { netns, bridge } = setup(t)
  const { mdb } = bridge
  mdb.add([{ port: 'p0', group: '239.1.1.1' }, { port: 'p1', group: '239.1.1.1' }])
  mdb.replace([{ port: 'p0', group: '239.1.1.1', state: 'temporary' }, { port: 'p0', group: '239.1.1.2' }])
  t.same(outside(netns), ['p0 239.1.1.1 - temporary', 'p0 239.1.1.2 - permanent', 'p1 239.1.1.1 - permanent'])
  const before = outside(netns)
  t.throws(() => mdb.replace([{ port: 'p0', group: '239.1.1.1', state: 'permanent' }, { port: 'self', group: '239.1.1.5', state: 'permanent' }]), { code: 'EINVAL' })
  t.same(outside(netns), before)
  t.end()
})

t.test('sources and filter mode', (t) => {
  const { netns, bridge } = setup(t, { multicast: { igmpVersion: 3, mldVersion: 2 } })
  const { mdb } = bridge
  const specs: MdbSpec[] = [
    { port: 'p0', group: '239.1.1.1', filterMode: 'include', sources: ['10.0.0.1', '10.0.0.2'], protocol: 77 },
    { port: 'p1', group: 'ff15::1', filterMode: 'exclude', sources: ['2001:db8::1'] },
  ]
  if (major(run(netns, 'uname', '-r')) < 6002) {
    t.throws(() => mdb.add(specs), { code: 'EINVAL' })
    t.same(outside(netns), [])
    return t.end()
  }
  mdb.add(specs)
  const [first] = bridgeJson(netns, 'mdb', 'show', 'dev', 'br0')[0].mdb.filter((entry: any) => entry.source_list !== undefined && entry.grp === '239.1.1.1')
  t.match([first.filter_mode, first.source_list.map(({ address }: any) => address).sort()], ['include', ['10.0.0.1', '10.0.0.2']])
  const listed = mdb.list({ group: '239.1.1.1' }).find(({ source }) => source === undefined)!
  t.match(listed, { filterMode: 'include', protocol: 77, port: 'p0', state: 'permanent' })
  t.same(listed.sources!.map(({ address }) => address).sort(), ['10.0.0.1', '10.0.0.2'])
  t.match(mdb.list({ group: 'ff15::1' }).find(({ source }) => source === undefined), { filterMode: 'exclude', sources: [{ address: '2001:db8::1' }], protocol: 4 })
  t.match(mdb.list({ group: 'ff15::1' }).find(({ source }) => source !== undefined), { flags: ['blocked'] })
  mdb.replace({ port: 'p0', group: '239.1.1.1', filterMode: 'include', sources: ['10.0.0.3'] })
  t.same(mdb.list({ group: '239.1.1.1' }).find(({ source }) => source === undefined)!.sources!.map(({ address }) => address), ['10.0.0.3'])
  t.end()
})

t.test('flush by port and state', (t) => {
  const { netns, bridge } = setup(t)
  const { mdb } = bridge
  const fill = () => mdb.replace([
    { port: 'p0', group: '239.1.1.1' }, { port: 'p1', group: '239.1.1.1' }, { port: 'p1', group: '239.1.1.2', state: 'temporary' }, { port: 'self', group: '239.1.1.3' },
  ])
  fill()
  mdb.flush({ port: 'p1' })
  t.same(outside(netns), ['br0 239.1.1.3 - temporary', 'p0 239.1.1.1 - permanent'])
  fill()
  mdb.flush({ state: 'temporary' })
  t.same(outside(netns), ['p0 239.1.1.1 - permanent', 'p1 239.1.1.1 - permanent'])
  fill()
  mdb.flush({ port: 'p1', state: 'permanent' })
  t.same(outside(netns), ['br0 239.1.1.3 - temporary', 'p0 239.1.1.1 - permanent', 'p1 239.1.1.2 - temporary'])
  mdb.flush()
  t.same(outside(netns), [])
  t.end()
})

t.test('router ports', (t) => {
  const { netns, bridge } = setup(t)
  t.same(bridge.mdb.routers(), [])
  bridge.setPort('p1', { multicastRouter: 'permanent' })
  t.match(bridge.mdb.routers(), [{ port: 'p1', vlan: null, type: 'permanent', timer: 0 }])
  bridge.setPort('p0', { multicastRouter: 'temporary' })
  const temporary = bridge.mdb.routers().find(({ port }) => port === 'p0')!
  t.equal(temporary.type, 'temporary')
  t.ok(temporary.timer! > 250, `${temporary.timer}`)
  t.same((bridgeJson(netns, 'mdb', 'show', 'dev', 'br0')[0].router.br0 ?? []).map(({ port }: any) => port).sort(), ['p0', 'p1'])
  t.end()
})

t.test('other bridges are none of its business', (t) => {
  const { netns, bridge } = setup(t)
  batch(netns, 'ip', ['link add br1 up type bridge', 'link add r0 up master br1 type veth peer name s0', 'link set s0 up'])
  run(netns, 'bridge', 'mdb', 'add', 'dev', 'br1', 'port', 'r0', 'grp', '239.1.1.1', 'permanent')
  t.same(bridge.mdb.list(), [])
  t.same(text(Bridge.open('br1', { netns }).mdb.list()), ['r0 239.1.1.1 - permanent'])
  t.throws(() => bridge.mdb.add({ port: 'r0', group: '239.1.1.1' }), { code: 'NFKIT_NOT_A_PORT' })
  t.end()
})

t.test('wrong arguments are refused before anything is done', (t) => {
  const { netns, bridge } = setup(t)
  const wrong: [spec: unknown, name: string][] = [
    [{ port: 'p0', group: '10.0.0.1' }, 'RangeError'], [{ port: 'p0', group: '224.0.0.1' }, 'RangeError'], [{ port: 'p0', group: 'ff02::1' }, 'RangeError'],
    [{ port: 'p0', group: '2001:db8::1' }, 'RangeError'], [{ port: 'p0', group: '02:00:00:00:00:01' }, 'RangeError'], [{ port: 'p0', group: 'group' }, 'TypeError'],
    [{ port: 'p0' }, 'TypeError'], [{ group: '239.1.1.1' }, 'TypeError'], [{ port: 'a b', group: '239.1.1.1' }, 'TypeError'],
    [{ port: 'p0', group: '239.1.1.1', vlan: 4095 }, 'RangeError'], [{ port: 'p0', group: '239.1.1.1', vlan: '7' }, 'TypeError'],
    [{ port: 'p0', group: '239.1.1.1', state: 'static' }, 'TypeError'], [{ port: 'p0', group: '01:00:5e:00:00:09', state: 'temporary' }, 'TypeError'],
    [{ port: 'p0', group: '239.1.1.1', source: '2001:db8::1' }, 'TypeError'], [{ port: 'p0', group: '239.1.1.1', filterMode: 'include' }, 'TypeError'],
    [{ port: 'p0', group: '239.1.1.1', source: '10.0.0.1', sources: ['10.0.0.2'] }, 'TypeError'], [{ port: 'p0', group: '239.1.1.1', sources: Array(32).fill('10.0.0.1') }, 'TypeError'],
    [{ port: 'p0', group: '239.1.1.1', protocol: 3 }, 'RangeError'], [undefined, 'TypeError'],
  ]
  for (const [spec, name] of wrong) {
    t.throws(() => bridge.mdb.add(spec as MdbSpec), { name }, JSON.stringify(spec))
    t.throws(() => bridge.mdb.replace([{ port: 'p1', group: '239.9.9.9' }, spec as MdbSpec]), { name })
  }
  t.throws(() => bridge.mdb.flush({ state: 'all' as never }), { name: 'TypeError' })
  t.throws(() => bridge.mdb.list({ group: '10.0.0.1' }), { name: 'RangeError' })
  t.throws(() => bridge.mdb.list({ vlan: 0 }), { name: 'RangeError' })
  t.same(outside(netns), [])
  bridge.mdb.add([])
  bridge.mdb.delete([])
  t.end()
})

async function until(watch: Watch<MdbChange>, wanted: (change: MdbChange) => boolean): Promise<MdbChange[]> {
  const seen: MdbChange[] = []
  for (;;) {
    const { done, value } = await watch.next()
    if (done === true) throw new Error(`ended after ${JSON.stringify(seen)}`)
    seen.push(value)
    if (wanted(value)) return seen
  }
}
const said = (change: MdbChange) => ('entry' in change ? `${change.type} ${change.entry.port} ${change.entry.group}` : 'router' in change ? `${change.type} ${change.router.port}` : change.type)

t.test('watch tells of groups and routers', async (t) => {
  const { netns, bridge } = setup(t)
  const watch = bridge.mdb.watch()
  batch(netns, 'bridge', ['mdb add dev br0 port p0 grp 239.1.1.1 permanent', 'mdb add dev br0 port p1 grp 239.1.1.1 temp',
    'mdb add dev br0 port br0 grp 239.1.1.2', 'link set dev p1 mcast_router 2', 'link set dev p1 mcast_router 0', 'mdb del dev br0 port p0 grp 239.1.1.1'])
  run(netns, 'ip', 'link', 'set', 'p1', 'nomaster')
  const seen = await until(watch, (change) => change.type === 'removed' && change.entry.port === 'p1')
  t.same(seen.map(said), [
    'added p0 239.1.1.1', 'added p1 239.1.1.1', 'added br0 239.1.1.2', 'router-added p1', 'router-removed p1', 'removed p0 239.1.1.1', 'removed p1 239.1.1.1',
  ])
  t.match(seen[1], { entry: { state: 'temporary', portIndex: Number } })
  bridge.delete()
  for await (const change of watch) t.match(said(change), /^removed br0/)
})

t.test('losses are announced, and made good with resync', async (t) => {
  const { netns, bridge } = setup(t)
  bridge.mdb.add({ port: 'p0', group: '239.0.1.1' })
  const watch = bridge.mdb.watch({ maxQueue: 65536, resync: true })
  const lines = Array.from({ length: 1500 }, (_, i) => `mdb add dev br0 port p1 grp 239.2.${i >> 8}.${i & 255} permanent`)
  // The loop is blocked by this: nobody consumes.
  batch(netns, 'bridge', ['mdb del dev br0 port p0 grp 239.0.1.1 permanent', ...lines, 'mdb del dev br0 port p1 grp 239.2.0.0 permanent'])
  const known = new Set(['p0 239.0.1.1'])
  const key = ({ port, group }: MdbEntry) => `${port} ${group}`
  let overruns = 0
  const learn = (change: MdbChange) => {
    if (change.type === 'overrun') overruns++
    else if (change.type === 'added') known.add(key(change.entry))
    else if (change.type === 'removed') known.delete(key(change.entry))
  }
  for (const change of await until(watch, ({ type }) => type === 'overrun')) learn(change)
  run(netns, 'bridge', 'mdb', 'add', 'dev', 'br0', 'port', 'p0', 'grp', '239.255.1.1', 'permanent')
  for (const change of await until(watch, (one) => one.type === 'added' && one.entry.group === '239.255.1.1')) learn(change)
  t.ok(overruns > 0, `${overruns} overruns`)
  t.same([...known].sort(), bridge.mdb.list().map(key).sort())
  t.equal(known.size, 1500)
  await watch.return!()
})
