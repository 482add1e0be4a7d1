// SPDX-License-Identifier: MIT

import t from 'tap'
import { Neighbour, type NeighbourInfo, Netns } from '../../lib/index.js'
import { feed, ipJson, run, tryRun } from '../support/outside.js'
import { replay, until } from '../support/watching.js'

type Test = { teardown(close: () => void): void }

/** Two ends of a veth in two namespaces: 10.0.0.1 on v0 here, 10.0.0.2 on v1 there. */
function pair(t: Test): [Netns, Netns] {
  const ends: [Netns, Netns] = [Netns.create(), Netns.create()]
  t.teardown(() => ends.forEach((ns) => ns.close()))
  const [here, there] = ends
  run(here, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1', 'netns', there.path)
  for (const [ns, name, address] of [[here, 'v0', '10.0.0.1/24'], [there, 'v1', '10.0.0.2/24']] as const) {
    run(ns, 'ip', 'link', 'set', name, 'addrgenmode', 'none')
    run(ns, 'ip', 'link', 'set', name, 'up')
    run(ns, 'ip', 'addr', 'add', address, 'dev', name)
  }
  return ends
}

/** Without those that IPv6 makes for its own groups. */
const ipNeighbours = (ns: Netns): any[] => ipJson(ns, 'neigh', 'show', 'nud', 'all').filter(({ dst }) => !dst.startsWith('ff02'))
const listed = (ns: Netns, options: object = {}) => Neighbour.list({ netns: ns, ...options }).filter(({ type }) => type !== 'multicast')

t.test('what ip sees of what is added, and lists of what ip adds', async (t) => {
  const [ns] = pair(t)
  Neighbour.add({ link: 'v0', address: '10.0.0.7', mac: '02:00:00:00:00:07' }, { netns: ns })
  Neighbour.add({ link: 'v0', address: 'fd00::7', mac: '02:00:00:00:00:07', state: 'reachable', flags: ['router', 'ext-learned'], protocol: 'bgp' }, { netns: ns })
  t.match(ipNeighbours(ns).find(({ dst }) => dst === '10.0.0.7'), { dev: 'v0', lladdr: '02:00:00:00:00:07', state: ['PERMANENT'] })
  t.match(run(ns, 'ip', 'neigh', 'show', 'fd00::7'), /fd00::7 dev v0 lladdr 02:00:00:00:00:07 router extern_learn REACHABLE proto bgp/)
  Neighbour.add({ link: 'v0', address: '10.0.0.9', flags: ['proxy'] }, { netns: ns })
  t.match(ipJson(ns, 'neigh', 'show', 'proxy'), [{ dst: '10.0.0.9', dev: 'v0' }])
  run(ns, 'ip', 'neigh', 'add', '10.0.0.8', 'lladdr', '02:00:00:00:00:08', 'dev', 'v0', 'nud', 'stale')
  const { ifindex } = ipJson(ns, 'link', 'show', 'v0')[0]
  t.match(Neighbour.get({ link: 'v0', address: '10.0.0.8' }, { netns: ns }), { link: ifindex, family: 'ipv4', mac: '02:00:00:00:00:08', state: 'stale', flags: [], type: 'unicast' })
  t.match(Neighbour.get({ link: 'v0', address: 'fd00::7' }, { netns: ns }), { state: 'reachable', flags: ['ext-learned', 'router'], protocol: 'bgp' })
  t.match(Neighbour.get({ link: 'v0', address: '10.0.0.9', proxy: true }, { netns: ns }), { flags: ['proxy'] })
  t.throws(() => Neighbour.get({ link: 'v0', address: '10.0.0.9' }, { netns: ns }), { code: 'ENOENT' })
  const texts = (options: object) => listed(ns, options).map(({ address }) => address).sort()
  t.same(texts({}), ['10.0.0.7', '10.0.0.8', 'fd00::7'])
  t.same(texts({ family: 'ipv6' }), ['fd00::7'])
  t.same(texts({ proxy: true }), ['10.0.0.9'])
  t.same(texts({ link: 'v0', family: 'ipv4' }), ['10.0.0.7', '10.0.0.8'])
  t.same(texts({ link: 'lo' }), [])
  run(ns, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  run(ns, 'ip', 'neigh', 'add', '10.0.0.3', 'lladdr', '02:00:00:00:00:03', 'dev', 'br0')
  run(ns, 'ip', 'link', 'set', 'v0', 'master', 'br0')
  t.same(texts({ master: 'br0', family: 'ipv4' }), ['10.0.0.7', '10.0.0.8'])
  t.throws(() => texts({ master: 'nobody' }), { code: 'ENODEV' })
  t.ok(listed(ns).every((info) => !('unknown' in info)), 'every attribute has a name')
  t.equal(listed(ns).length, ipNeighbours(ns).length)
  t.ok(JSON.parse(JSON.stringify(listed(ns))).length > 0, 'plain objects')
})

t.test('replaced and deleted', async (t) => {
  const [ns] = pair(t)
  const key = { link: 'v0', address: '10.0.0.7' }
  Neighbour.replace({ ...key, mac: '02:00:00:00:00:07' }, { netns: ns })
  Neighbour.replace({ ...key, mac: '02:00:00:00:00:08', state: 'stale' }, { netns: ns })
  t.match(ipNeighbours(ns), [{ lladdr: '02:00:00:00:00:08', state: ['STALE'] }])
  t.throws(() => Neighbour.add({ ...key, mac: '02:00:00:00:00:07' }, { netns: ns }), { code: 'EEXIST', message: /adding neighbour 10\.0\.0\.7/ })
  t.throws(() => Neighbour.add({ ...key, link: 'nobody', mac: '02:00:00:00:00:07' }, { netns: ns }), { code: 'ENODEV' })
  Neighbour.delete(Neighbour.get(key, { netns: ns }), { netns: ns })
  t.same(ipNeighbours(ns), [])
  t.throws(() => Neighbour.delete(key, { netns: ns }), { code: 'ENOENT' })
  Neighbour.add({ ...key, flags: ['proxy'] }, { netns: ns })
  Neighbour.delete(Neighbour.list({ netns: ns, proxy: true })[0]!, { netns: ns })
  t.same(ipJson(ns, 'neigh', 'show', 'proxy'), [])
})

t.test('a neighbour that answers is watched coming and going', async (t) => {
  const [here, there] = pair(t)
  const mac = ipJson(there, 'link', 'show', 'v1')[0].address
  const watch = Neighbour.watch({ netns: here, family: 'ipv4' })
  t.teardown(() => void watch.return!())
  t.equal(tryRun(here, 'ping', '-c', '1', '-W', '2', '10.0.0.2').status, 0)
  const events = await until(watch, (event) => event.type !== 'overrun' && event.neighbour.state === 'reachable')
  t.match(events[0], { type: 'added', neighbour: { address: '10.0.0.2' } })
  t.match(events.at(-1), { neighbour: { mac } })
  run(here, 'ip', 'neigh', 'replace', '10.0.0.2', 'lladdr', '02:00:00:00:00:99', 'dev', 'v0', 'nud', 'permanent')
  t.match((await until(watch, (event) => event.type === 'changed' && event.neighbour.state === 'permanent')).at(-1), { neighbour: { mac: '02:00:00:00:00:99' }, previous: { mac } })
  run(here, 'ip', 'link', 'del', 'v0')
  t.match((await until(watch, ({ type }) => type === 'removed')).at(-1), { neighbour: { address: '10.0.0.2' } })
})

t.test('a forwarding database is nobody\'s neighbour', async (t) => {
  const [ns] = pair(t)
  run(ns, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  run(ns, 'ip', 'link', 'set', 'v0', 'master', 'br0')
  const watch = Neighbour.watch({ netns: ns })
  t.teardown(() => void watch.return!())
  run(ns, 'bridge', 'fdb', 'add', '02:00:00:00:00:55', 'dev', 'v0', 'master', 'static')
  run(ns, 'ip', 'neigh', 'add', '10.0.0.3', 'lladdr', '02:00:00:00:00:03', 'dev', 'br0')
  const events = await until(watch, (event) => event.type === 'added' && event.neighbour.address === '10.0.0.3')
  t.notOk(events.some((event) => event.type !== 'overrun' && event.neighbour.mac === '02:00:00:00:00:55'))
})

t.test('a loss is announced, and made good by resync', async (t) => {
  const [ns] = pair(t)
  run(ns, 'ip', 'neigh', 'add', '10.0.9.1', 'lladdr', '02:00:00:00:00:03', 'dev', 'v0')
  const before = Neighbour.list({ netns: ns })
  const watch = Neighbour.watch({ netns: ns, maxQueue: 65536, resync: true })
  t.teardown(() => void watch.return!())
  const some = Array.from({ length: 900 }, (_, i) => `10.${i % 3}.${i >> 4}.${(i & 15) + 3}`)
  feed(ns, [
    ...some.map((address) => `neigh replace ${address} lladdr 02:00:00:00:00:07 dev v0`), ...some.slice(50).map((address) => `neigh del ${address} dev v0`),
    'neigh replace 10.0.9.1 lladdr 02:00:00:00:00:99 dev v0',
  ].join('\n'), 'ip', '-batch', '-')
  const events = await until(watch, ({ type }) => type === 'overrun')
  run(ns, 'ip', 'neigh', 'add', '10.0.0.250', 'lladdr', '02:00:00:00:00:03', 'dev', 'v0')
  events.push(...await until(watch, (event) => event.type === 'added' && event.neighbour.address === '10.0.0.250'))
  const key = ({ link, address }: NeighbourInfo) => `${link} ${address}`
  const seen = (list: Iterable<NeighbourInfo>) => [...list].filter(({ family }) => family === 'ipv4').map((info) => `${key(info)} ${info.mac}`).sort()
  t.same(seen(replay('neighbour', key, before, events).values()), seen(Neighbour.list({ netns: ns })))
  t.equal(seen(Neighbour.list({ netns: ns })).length, ipJson(ns, '-4', 'neigh', 'show', 'nud', 'all').length)
})

t.test('wrong arguments are refused before anything is asked', async (t) => {
  const nowhere = { netns: '/no/such/namespace' }
  const spec = { link: 'v0', address: '10.0.0.7', mac: '02:00:00:00:00:07' }
  const wrong: [object, 'TypeError' | 'RangeError', RegExp][] = [
    [{ ...spec, link: undefined }, 'TypeError', /link/], [{ ...spec, address: '10.0.0.0/24' }, 'TypeError', /address/], [{ ...spec, address: undefined }, 'TypeError', /address/],
    [{ ...spec, mac: undefined }, 'TypeError', /a neighbour that is permanent/], [{ ...spec, mac: '2' }, 'TypeError', /mac/], [{ ...spec, state: 'there' }, 'TypeError', /incomplete/],
    [{ ...spec, flags: ['proxi'] }, 'TypeError', /got "proxi"/], [{ ...spec, protocol: 'bpg' }, 'TypeError', /bgp/], [{ ...spec, lladdr: 'x' }, 'TypeError', /got "lladdr"/],
  ]
  for (const [value, name, message] of wrong) t.throws(() => Neighbour.replace(value as never, nowhere), { name, message })
  t.throws(() => Neighbour.get({ link: 'v0' } as never, nowhere), { name: 'TypeError' })
  t.throws(() => Neighbour.delete({ link: 'v0', address: 5 } as never, nowhere), { name: 'TypeError' })
  t.throws(() => Neighbour.list({ ...nowhere, proxy: 1 } as never), { name: 'TypeError' })
})
