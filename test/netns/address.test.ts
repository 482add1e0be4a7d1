// SPDX-License-Identifier: MIT

import t from 'tap'
import { Address, type AddressInfo, Netns, NfkitError } from '../../lib/index.js'
import { feed, ipJson, run, tryRun } from '../support/outside.js'
import { replay, until } from '../support/watching.js'

type Test = { teardown(close: () => void): void }

/** A namespace with a veth that is up, without IPv6 addresses of the kernel's own. */
function netns(t: Test): Netns {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  run(ns, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  for (const name of ['v0', 'v1']) {
    run(ns, 'ip', 'link', 'set', name, 'addrgenmode', 'none')
    run(ns, 'ip', 'link', 'set', name, 'up')
  }
  return ns
}

/** The addresses of v0 as ip has them. */
const ipAddresses = (ns: Netns): any[] => ipJson(ns, 'addr', 'show', 'dev', 'v0')[0].addr_info

t.test('addresses are added as ip sees them', async (t) => {
  const ns = netns(t)
  const add = (spec: Omit<Parameters<typeof Address.add>[0], 'link'>) => Address.add({ link: 'v0', ...spec }, { netns: ns })
  add({ address: '192.168.0.1/24', broadcast: 'auto', label: 'v0:lan', flags: ['noprefixroute'], priority: 7 })
  add({ address: '192.168.9.2/24', preferredLifetime: 50, validLifetime: 100, scope: 'link' })
  add({ address: '10.1.0.1/30', peer: '10.2.0.1', broadcast: '10.2.0.3' })
  add({ address: '10.3.0.1' })
  add({ address: 'fd00::1/64', flags: ['nodad'], priority: 9 })
  add({ address: 'FD00:0:0:1::1/64', peer: 'fd00:0:0:2::1', validLifetime: 1000, flags: ['nodad'] })
  const found = ipAddresses(ns)
  const of = (local: string) => found.find((address) => address.local === local)
  t.match(of('192.168.0.1'), { prefixlen: 24, broadcast: '192.168.0.255', label: 'v0:lan', noprefixroute: true, metric: 7, scope: 'global', valid_life_time: 2 ** 32 - 1 })
  t.match(of('192.168.9.2'), { prefixlen: 24, scope: 'link', label: 'v0', dynamic: true })
  t.ok(of('192.168.9.2').valid_life_time > 90 && of('192.168.9.2').valid_life_time <= 100)
  t.ok(of('192.168.9.2').preferred_life_time > 40 && of('192.168.9.2').preferred_life_time <= 50)
  t.match(of('10.1.0.1'), { address: '10.2.0.1', prefixlen: 30, broadcast: '10.2.0.3' })
  t.match(of('10.3.0.1'), { prefixlen: 32 })
  t.notOk('broadcast' in of('10.3.0.1'), 'none unless told')
  t.match(of('fd00::1'), { prefixlen: 64, metric: 9, nodad: true })
  t.match(of('fd00:0:0:1::1'), { address: 'fd00:0:0:2::1', prefixlen: 64 })
  add({ address: '127.1.2.3/8' })
  t.equal(ipAddresses(ns).find((address) => address.local === '127.1.2.3').scope, 'host')
  t.notMatch(run(ns, 'ip', 'route', 'show', 'table', 'main'), /192\.168\.0\.0\/24 dev v0.* src 192\.168\.0\.1/, 'no route to the prefix')
})

t.test('lists hold everything and are filtered', async (t) => {
  const ns = netns(t)
  for (const address of ['192.168.0.1/24 dev v0 label v0:a brd +', '192.168.0.2/24 dev v0', '10.0.0.1/8 dev v1 valid_lft 100 preferred_lft 50', '10.1.0.1 peer 10.2.0.0/16 dev v1', 'fd00::1/64 dev v0 nodad', 'fd01::1/64 dev v1 nodad']) {
    run(ns, 'ip', 'addr', 'add', ...address.split(' '))
  }
  const list = (options: object = {}) => Address.list({ netns: ns, ...options })
  const texts = (options: object = {}) => list(options).map(({ address }) => address).sort()
  t.same(texts(), ['10.0.0.1/8', '10.1.0.1/16', '192.168.0.1/24', '192.168.0.2/24', 'fd00::1/64', 'fd01::1/64'])
  t.same(texts({ link: 'v0' }), ['192.168.0.1/24', '192.168.0.2/24', 'fd00::1/64'])
  t.same(texts({ family: 'ipv6' }), ['fd00::1/64', 'fd01::1/64'])
  t.same(texts({ link: list({ link: 'v1' })[0]!.link, family: 'ipv4' }), ['10.0.0.1/8', '10.1.0.1/16'])
  t.same(texts({ link: 'lo' }), [])
  t.throws(() => list({ link: 'nobody' }), { code: 'ENODEV' })
  t.throws(() => list({ link: 999 }), { code: 'ENODEV' })
  const one = (address: string) => list().find((info) => info.address === address)!
  t.match(one('192.168.0.1/24'), { label: 'v0:a', broadcast: '192.168.0.255', scope: 'global', flags: ['permanent'], family: 'ipv4', link: ipJson(ns, 'link', 'show', 'v0')[0].ifindex })
  t.match(one('192.168.0.2/24').flags, ['secondary', 'permanent'])
  t.notOk('validLifetime' in one('192.168.0.1/24'), 'for ever')
  t.match(one('10.1.0.1/16'), { peer: '10.2.0.0' })
  const { validLifetime, preferredLifetime, created } = one('10.0.0.1/8')
  t.ok(validLifetime! > 90 && validLifetime! <= 100 && preferredLifetime! <= 50)
  t.ok(created! > 0)
  const plain = list()
  t.same(JSON.parse(JSON.stringify(plain)), plain, 'plain objects')
  t.ok(list().every((info) => !('unknown' in info)), 'every attribute has a name')
  // What was listed can be given back.
  const before = list().map(({ created: _, updated: _updated, ...address }) => address)
  for (const address of list().reverse()) Address.delete(address, { netns: ns })
  t.same(list(), [])
  for (const address of before) Address.add(address, { netns: ns })
  t.same(list().map(({ created: _, updated: _updated, ...address }) => address), before)
})

t.test('replace changes what the kernel lets it', async (t) => {
  const ns = netns(t)
  const replace = (spec: Omit<Parameters<typeof Address.replace>[0], 'link'>) => Address.replace({ link: 'v0', ...spec }, { netns: ns })
  replace({ address: '10.0.0.1/24', label: 'v0:a' })
  replace({ address: '10.0.0.1/24', validLifetime: 100, priority: 5 })
  t.match(ipAddresses(ns), [{ local: '10.0.0.1', label: 'v0:a', metric: 5, dynamic: true }])
  replace({ address: '10.0.0.1/24', priority: 5 })
  t.match(ipAddresses(ns), [{ valid_life_time: 2 ** 32 - 1 }])
  replace({ address: 'fd00::1/64', flags: ['nodad'] })
  replace({ address: 'fd00::1/64', flags: ['nodad', 'noprefixroute'], peer: 'fd00::2' })
  t.match(ipAddresses(ns).find((address) => address.family === 'inet6'), { local: 'fd00::1', address: 'fd00::2', noprefixroute: true })
  const before = ipAddresses(ns)
  for (const change of [
    { address: '10.0.0.1/24', label: 'v0:b' }, { address: '10.0.0.1/24', broadcast: 'auto' as const }, { address: '10.0.0.1/24', scope: 'link' as const },
    { address: '10.0.0.1/24', flags: ['noprefixroute' as const] }, { address: 'fd00::1/48' },
  ]) {
    t.throws(() => replace(change), { code: 'EOPNOTSUPP', message: /the kernel does not change the (label|broadcast|scope|flags|prefix length) of an address/ })
  }
  t.same(ipAddresses(ns), before, 'nothing was changed')
})

t.test('the kernel\'s refusals', async (t) => {
  const ns = netns(t)
  Address.add({ link: 'v0', address: '10.0.0.1/24' }, { netns: ns })
  t.throws(() => Address.add({ link: 'v0', address: '10.0.0.1/24' }, { netns: ns }), { code: 'EEXIST', syscall: 'RTM_NEWADDR', message: /adding address 10\.0\.0\.1\/24/ })
  t.throws(() => Address.add({ link: 'nobody', address: '10.0.0.1/24' }, { netns: ns }), { code: 'ENODEV' })
  t.throws(() => Address.delete({ link: 'v0', address: '10.0.0.1/25' }, { netns: ns }), { code: 'EADDRNOTAVAIL' })
  t.throws(() => Address.delete({ link: 'v0', address: 'fd00::9/64' }, { netns: ns }), NfkitError)
  Address.delete({ link: 'v0', address: '10.0.0.1/24' }, { netns: ns })
  t.same(ipAddresses(ns), [])
})

t.test('wrong arguments are refused before anything is asked', async (t) => {
  const nowhere = { netns: '/no/such/namespace' }
  const spec = { link: 'v0', address: '10.0.0.1/24' }
  const wrong: [object, 'TypeError' | 'RangeError', RegExp][] = [
    [{ address: '10.0.0.1/24' }, 'TypeError', /link/], [{ link: 'v0' }, 'TypeError', /address/], [{ ...spec, address: '10.0.0.1/33' }, 'TypeError', /0 to 32/],
    [{ ...spec, address: '10.0.0.256/24' }, 'TypeError', /IPv4/], [{ ...spec, family: 'ipv6' }, 'TypeError', /IPv6/], [{ ...spec, family: 'inet' }, 'TypeError', /address/],
    [{ ...spec, peer: 'fd00::1' }, 'TypeError', /peer: expected an IPv4/], [{ ...spec, broadcast: 'all' }, 'TypeError', /broadcast/], [{ ...spec, label: 'x'.repeat(16) }, 'RangeError', /label/],
    [{ ...spec, address: 'fd00::1/64', label: 'v0:a' }, 'TypeError', /none for an IPv6/], [{ ...spec, address: 'fd00::1/64', broadcast: 'auto' }, 'TypeError', /none for an IPv6/],
    [{ ...spec, scope: 'galaxy' }, 'TypeError', /global, site/], [{ ...spec, scope: 256 }, 'RangeError', /scope/], [{ ...spec, flags: ['nodda'] }, 'TypeError', /got "nodda"/], [{ ...spec, flags: 'nodad' }, 'TypeError', /array/],
    [{ ...spec, validLifetime: 0 }, 'RangeError', /validLifetime/], [{ ...spec, validLifetime: Infinity }, 'RangeError', /validLifetime/], [{ ...spec, validLifetime: 10, preferredLifetime: 11 }, 'RangeError', /at most the valid lifetime 10/],
    [{ ...spec, priority: -1 }, 'RangeError', /priority/], [{ ...spec, protocol: 256 }, 'RangeError', /protocol/], [{ ...spec, adress: 1 }, 'TypeError', /got "adress"/],
  ]
  for (const [value, name, message] of wrong) {
    for (const call of [Address.add, Address.replace]) t.throws(() => call(value as never, nowhere), { name, message })
  }
  t.throws(() => Address.list({ ...nowhere, family: 'ipx' } as never), { name: 'TypeError', message: /ipv4/ })
  t.throws(() => Address.list({ ...nowhere, link: 1.5 }), { name: 'RangeError' })
  t.throws(() => Address.delete({ link: 'v0', address: 'x' }, nowhere), { name: 'TypeError' })
})

t.test('a watch tells what happens', async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'addr', 'add', '10.9.0.1/24', 'dev', 'v0')
  const watch = Address.watch({ netns: ns })
  const v1 = Address.watch({ netns: ns, link: 'v1', family: 'ipv6' })
  t.teardown(() => { void watch.return!(); void v1.return!() })
  run(ns, 'ip', 'addr', 'add', '10.0.0.1/24', 'dev', 'v0')
  run(ns, 'ip', 'addr', 'change', '10.0.0.1/24', 'dev', 'v0', 'valid_lft', '100', 'preferred_lft', '100')
  run(ns, 'ip', 'addr', 'add', 'fd00::1/64', 'dev', 'v0', 'nodad')
  run(ns, 'ip', 'addr', 'del', '10.0.0.1/24', 'dev', 'v0')
  run(ns, 'ip', 'addr', 'add', '10.0.0.1/24', 'dev', 'v0')
  run(ns, 'ip', 'addr', 'add', '10.1.0.1/24', 'dev', 'v1')
  run(ns, 'ip', 'addr', 'add', 'fd01::1/64', 'dev', 'v1', 'nodad')
  // IPv6 announces an address once it has looked for duplicates, in a work of its own: the end of the link can be faster.
  const fd01 = (event: Address.AddressChange) => event.type === 'added' && event.address.address === 'fd01::1/64'
  const events = await until(watch, fd01)
  run(ns, 'ip', 'link', 'del', 'v1')
  events.push(...await until(watch, (event) => event.type === 'removed' && event.address.address === '10.1.0.1/24'))
  const told = events.map((event) => (event.type === 'overrun' ? event.type : `${event.type} ${event.address.address}`))
  t.same(told.filter((event) => event.endsWith(' 10.0.0.1/24')), ['added', 'changed', 'removed', 'added'].map((type) => `${type} 10.0.0.1/24`))
  const changed = events.find((event) => event.type === 'changed')
  t.ok(changed?.type === 'changed' && changed.previous.validLifetime === undefined && changed.address.validLifetime === 100)
  for (const event of ['added fd00::1/64', 'added 10.1.0.1/24', 'removed 10.1.0.1/24']) t.ok(told.includes(event), event)
  t.same(told.filter((event) => event.startsWith('added 10.9')), [], 'what was there before is not new')
  t.same(await until(v1, ({ type }) => type === 'removed').then((few) => few.map(({ type }) => type)), ['added', 'removed'], 'only what was asked for')
})

t.test('a loss is announced, and made good by resync', async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'addr', 'add', '10.9.0.1/24', 'dev', 'v0')
  run(ns, 'ip', 'addr', 'add', '10.8.0.1/24', 'dev', 'v0')
  const before = Address.list({ netns: ns })
  const watch = Address.watch({ netns: ns, maxQueue: 65536, resync: true })
  t.teardown(() => void watch.return!())
  const some = Array.from({ length: 800 }, (_, i) => `10.${i % 4}.${i >> 2}.1/24`)
  const batch = [...some.map((address) => `addr add ${address} dev v0`), ...some.slice(100).map((address) => `addr del ${address} dev v0`), 'addr del 10.9.0.1/24 dev v0', 'addr change 10.8.0.1/24 dev v0 metric 7']
  feed(ns, batch.join('\n'), 'ip', '-batch', '-')
  const events = await until(watch, ({ type }) => type === 'overrun')
  run(ns, 'ip', 'addr', 'add', '172.16.0.1/24', 'dev', 'v1')
  events.push(...await until(watch, (event) => event.type === 'added' && event.address.address === '172.16.0.1/24'))
  const key = ({ link, address }: AddressInfo) => `${link} ${address}`
  const seen = (list: Iterable<AddressInfo>) => [...list].map((info) => `${key(info)} ${info.priority}`).sort()
  t.same(seen(replay('address', key, before, events).values()), seen(Address.list({ netns: ns })))
  t.equal(Address.list({ netns: ns }).length, tryRun(ns, 'ip', '-o', 'addr').stdout.trim().split('\n').length)
})
