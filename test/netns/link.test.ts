// SPDX-License-Identifier: MIT

import { release } from 'node:os'
import t from 'tap'
import { Link, type LinkInfo, Netns, NfkitError } from '../../lib/index.js'
import { feed, ipJson, lacks, run, tryRun, waitUntilUp } from '../support/outside.js'
import { replay, until } from '../support/watching.js'

type Test = { teardown(close: () => void): void }

function netns(t: Test): Netns {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  return ns
}

/** What ip says of one link, without what counts. */
function ipLink(ns: Netns, name: string): any {
  return ipJson(ns, 'link', 'show', 'dev', name)[0]
}

t.test('a veth comes with both ends in their namespaces', async (t) => {
  const [here, there] = [netns(t), netns(t)]
  const made = Link.add({
    kind: 'veth', name: 'west', up: true, mtu: 1400, mac: '02:00:00:00:00:01', alias: 'to the east', group: 7, txQueueLength: 5, txQueues: 3, arp: false,
    peer: { name: 'east', netns: there, up: true, mtu: 1300, mac: '02:00:00:00:00:02', alias: 'to the west', addrGenMode: 'none', promiscuous: true },
  }, { netns: here })
  waitUntilUp(here, 'west')
  waitUntilUp(there, 'east')
  t.match(ipLink(here, 'west'), {
    ifindex: made.index, mtu: 1400, address: '02:00:00:00:00:01', ifalias: 'to the east', group: '7', txqlen: 5, num_tx_queues: 3, operstate: 'UP', linkinfo: { info_kind: 'veth' },
    inet6_addr_gen_mode: 'eui64',
  })
  t.ok(ipLink(here, 'west').flags.includes('NOARP'))
  t.match(ipLink(there, 'east'), { mtu: 1300, address: '02:00:00:00:00:02', ifalias: 'to the west', operstate: 'UP', inet6_addr_gen_mode: 'none', promiscuity: 1 })
  t.ok(ipLink(there, 'east').flags.includes('PROMISC'))
  t.same(run(there, 'ip', '-6', 'addr', 'show', 'dev', 'east'), '', 'no link-local address where none was to be made')
  t.match(made, { name: 'west', kind: 'veth', up: true, mtu: 1400, arp: false, alias: 'to the east', linkNetnsId: 0 })
  t.equal(Link.get('east', { netns: there }).link, made.index)
  t.notOk('unknown' in made, 'every attribute has a name')
})

t.test('a link is made in another namespace than that of the call', async (t) => {
  const [here, there] = [netns(t), netns(t)]
  run(there, 'ip', 'link', 'add', 'br7', 'type', 'bridge')
  const made = Link.add({ kind: 'veth', name: 'a', netns: there, master: 'br7', up: true, peer: { name: 'b' } }, { netns: here })
  t.equal(ipLink(there, 'a').master, 'br7')
  t.equal(made.index, ipLink(there, 'a').ifindex)
  t.match(ipJson(here, 'link').map((link) => link.ifname), ['lo', 'b'])
  t.same(Link.list({ netns: there }).map(({ name }) => name), ipJson(there, 'link').map((link) => link.ifname))
})

t.test('what cannot be completed is not there at all', async (t) => {
  const [here, there] = [netns(t), netns(t)]
  run(there, 'ip', 'link', 'add', 'taken', 'type', 'bridge')
  const untouched = () => t.same([...ipJson(here, 'link'), ...ipJson(there, 'link')].map((link) => link.ifname), ['lo', 'lo', 'taken'])
  t.throws(() => Link.add({ kind: 'veth', name: 'a', peer: { name: 'taken', netns: there } }, { netns: here }), { code: 'EEXIST', syscall: 'RTM_NEWLINK' })
  untouched()
  t.throws(() => Link.add({ kind: 'veth', name: 'a', up: true, alias: 'x', peer: { name: 'b', netns: there, up: true, master: 'nobody' } }, { netns: here }), { code: 'ENODEV' })
  untouched()
  // Only ports of a bridge and other devices that can be locked take it; refused by the second request.
  t.throws(() => Link.add({ kind: 'veth', name: 'a', up: true, carrier: false }, { netns: here }), { code: 'EOPNOTSUPP' })
  untouched()
  t.throws(() => Link.add({ kind: 'bridge', name: 'a', mtu: 20 }, { netns: here }), NfkitError)
  untouched()
  t.throws(() => Link.add({ kind: 'ifb', name: 'taken', netns: there }, { netns: here }), { code: 'EEXIST' })
  // @ts-expect-error: no such kind
  t.throws(() => Link.add({ kind: 'wormhole', name: 'a' }, { netns: here }), { code: 'EOPNOTSUPP', hint: /no links of kind wormhole/ })
  untouched()
})

t.test('everything that can be changed, seen by ip', async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  run(ns, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  const set = (changes: Parameters<typeof Link.set>[1]) => { Link.set('v0', changes, { netns: ns }); return ipLink(ns, 'v0') }
  const flags = (changes: Parameters<typeof Link.set>[1]) => set(changes).flags as string[]
  t.ok(flags({ up: true }).includes('UP'))
  t.equal(set({ mtu: 1280 }).mtu, 1280)
  t.equal(set({ mac: '02-0A-00-00-00-01' }).address, '02:0a:00:00:00:01')
  t.equal(set({ broadcast: 'ff:ff:ff:ff:00:00' }).broadcast, 'ff:ff:ff:ff:00:00')
  t.ok(flags({ arp: false }).includes('NOARP'))
  t.notOk(flags({ arp: true }).includes('NOARP'))
  t.ok(flags({ promiscuous: true }).includes('PROMISC'))
  t.equal(Link.get('v0', { netns: ns }).promiscuity, 1)
  t.notOk(flags({ promiscuous: false }).includes('PROMISC'))
  t.ok(flags({ allMulticast: true }).includes('ALLMULTI'))
  t.notOk(flags({ multicast: false }).includes('MULTICAST'))
  t.equal(set({ master: 'br0' }).master, 'br0')
  t.match(Link.get('v0', { netns: ns }), { masterKind: 'bridge', master: ipLink(ns, 'br0').ifindex, masterData: { learning: true } })
  t.equal(set({ master: null }).master, undefined)
  t.equal(set({ alias: 'uplink — west' }).ifalias, 'uplink — west')
  t.equal(set({ alias: '' }).ifalias, undefined)
  t.equal(set({ group: 12 }).group, '12')
  t.equal(set({ txQueueLength: 17 }).txqlen, 17)
  t.equal(set({ addrGenMode: 'none' }).inet6_addr_gen_mode, 'none')
  t.equal(set({ addrGenMode: 'random' }).inet6_addr_gen_mode, 'random')
  t.equal(set({ linkMode: 'dormant' }).linkmode, 'DORMANT')
  t.notOk(flags({ up: false }).includes('UP'))
  t.ok(flags({}).length > 0, 'nothing asked, nothing done')
  const { index } = Link.get('v0', { netns: ns })
  Link.set(index, { name: 'renamed', up: true }, { netns: ns })
  t.match(ipLink(ns, 'renamed'), { ifindex: index, mtu: 1280 })
})

t.test('a refused set changes nothing', async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'link', 'add', 'v0', 'address', '02:00:00:00:00:01', 'type', 'veth', 'peer', 'name', 'v1')
  run(ns, 'ip', 'link', 'add', 'br0', 'type', 'bridge')
  run(ns, 'ip', 'link', 'set', 'v0', 'master', 'br0', 'alias', 'before', 'txqueuelen', '11')
  const before = ipLink(ns, 'v0')
  // The kernel does mac and mtu, fails at the name, and leaves it at that.
  const error = (() => { try { Link.set('v0', { mac: '02:00:00:00:00:09', mtu: 1300, name: 'br0' }, { netns: ns }) } catch (error) { return error as NfkitError } })()
  t.match(error, { code: 'EEXIST', syscall: 'RTM_NEWLINK' })
  t.same(ipLink(ns, 'v0'), before)
  t.throws(() => Link.set('v0', { alias: 'after', master: null, txQueueLength: 12, carrier: true }, { netns: ns }), NfkitError)
  t.same(ipLink(ns, 'v0'), before)
  t.throws(() => Link.set('nobody', { up: true }, { netns: ns }), { code: 'ENODEV' })
})

t.test('wrong arguments are refused before anything is asked', async (t) => {
  // Were the namespace looked for first, the error would be ENOENT.
  const nowhere = { netns: '/no/such/namespace' }
  t.throws(() => Link.get('lo', nowhere), { code: 'ENOENT' })
  const wrong: [() => unknown, 'TypeError' | 'RangeError', RegExp][] = [
    [() => Link.add(undefined as never, nowhere), 'TypeError', /link: expected an object/],
    [() => Link.add({ kind: 'veth' } as never, nowhere), 'TypeError', /name/],
    [() => Link.add({ name: 'a' } as never, nowhere), 'TypeError', /kind/],
    [() => Link.add({ kind: 'veth', name: 'veth%d' }, nowhere), 'TypeError', /percent/],
    [() => Link.add({ kind: 'veth', name: 'a', mtuu: 5 } as never, nowhere), 'TypeError', /only .*mtu.*got "mtuu"/],
    [() => Link.add({ kind: 'veth', name: 'a', peer: { nmae: 'b' } as never }, nowhere), 'TypeError', /peer: expected only/],
    [() => Link.add({ kind: 'veth', name: 'a', peer: { name: 'b'.repeat(16) } }, nowhere), 'TypeError', /1 to 15 bytes/],
    [() => Link.add({ kind: 'bridge', name: 'a', peer: {} } as never, nowhere), 'TypeError', /only a veth/],
    [() => Link.add({ kind: 'vlan', name: 'a', link: 'b', data: { id: 5000 } }, nowhere), 'RangeError', /0 to 4094/],
    [() => Link.add({ kind: 'vlan', name: 'a', link: 'b c', data: { id: 5 } }, nowhere), 'TypeError', /link/],
    [() => Link.add({ kind: 'veth', name: 'a', txQueues: 0 }, nowhere), 'RangeError', /txQueues/],
    [() => Link.set('a', { up: 1 as never }, nowhere), 'TypeError', /up: expected true or false/],
    [() => Link.set('a', { mtu: -1 }, nowhere), 'RangeError', /mtu/],
    [() => Link.set('a', { mac: '02:00' }, nowhere), 'TypeError', /mac/],
    [() => Link.set('a', { master: {} as never }, nowhere), 'TypeError', /master/],
    [() => Link.set('a', { alias: 'x'.repeat(256) }, nowhere), 'RangeError', /255/],
    [() => Link.set('a', { addrGenMode: 'eui-64' as never }, nowhere), 'TypeError', /eui64/],
    [() => Link.set(2 ** 32 + 1, { up: true }, nowhere), 'RangeError', /index from 1/],
    [() => Link.set('', { up: true }, nowhere), 'TypeError', /link/],
    [() => Link.get(0, nowhere), 'RangeError', /index/],
    [() => Link.get(null as never, nowhere), 'TypeError', /name or an index/],
    [() => Link.list({ ...nowhere, mastre: 'x' } as never), 'TypeError', /got "mastre"/],
    [() => Link.list({ ...nowhere, master: 'a/b' }), 'TypeError', /master/],
    [() => Link.delete('a b', nowhere), 'TypeError', /link/],
    [() => Link.setKind('a', 'vlan', { id: -1 }, nowhere), 'RangeError', /id/],
    [() => Link.watch({ ...nowhere, maxQueue: 1 }), 'TypeError', /maxQueue/],
  ]
  // The queue's limit is looked at where the subscription is made.
  for (const [call, name, message] of wrong.slice(0, -1)) t.throws(call, { name, message })
  t.throws(() => Link.watch({ netns: netns(t), maxQueue: 1 }), { name: 'TypeError', message: /maxQueue/ })
})

t.test('lists are filtered', async (t) => {
  const ns = netns(t)
  for (const args of ['br0 type bridge', 'br1 type bridge', 'v0 master br0 type veth peer name v1', 'v2 master br1 type veth peer name v3', 'i0 type ifb']) {
    run(ns, 'ip', 'link', 'add', ...args.split(' '))
  }
  const names = (options: object) => Link.list({ netns: ns, ...options }).map(({ name }) => name).sort()
  t.same(names({}), ['br0', 'br1', 'i0', 'lo', 'v0', 'v1', 'v2', 'v3'])
  t.same(names({ kind: 'bridge' }), ['br0', 'br1'])
  t.same(names({ master: 'br0' }), ['v0'])
  t.same(names({ master: Link.get('br1', { netns: ns }).index, kind: 'veth' }), ['v2'])
  t.same(names({ master: 'br1', kind: 'bridge' }), [])
  t.same(names({ kind: 'no-such-kind' }), [], 'a kernel without the kind does not filter')
  t.throws(() => names({ master: 'nobody' }), { code: 'ENODEV' })
  const [bridge] = Link.list({ netns: ns, kind: 'bridge' })
  t.equal(typeof bridge!.kindData.ageingTime, 'number', 'typed by the kind')
  t.ok(Link.isKind(bridge as LinkInfo, 'bridge'))
  const plain = Link.list({ netns: ns })
  t.same(JSON.parse(JSON.stringify(plain)), plain, 'plain objects')
})

t.test('counters are those of ip', async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'link', 'set', 'lo', 'up')
  for (let i = 0; i < 3; i++) tryRun(ns, 'ping', '-c', '1', '-W', '1', '127.0.0.1')
  // Everything is quiet now on the loopback.
  const { stats64 } = JSON.parse(run(ns, 'ip', '-s', '-s', '-j', 'link', 'show', 'dev', 'lo'))[0]
  const { statistics } = Link.get('lo', { netns: ns })
  t.match(statistics, {
    rxPackets: stats64.rx.packets, rxBytes: stats64.rx.bytes, txPackets: stats64.tx.packets, txBytes: stats64.tx.bytes, rxDropped: stats64.rx.dropped, rxErrors: 0,
  })
  t.ok(statistics!.rxPackets >= 0)
  const big = Link.get('lo', { netns: ns, bigint: true }).statistics!
  t.equal(typeof big.rxBytes, 'bigint')
  t.equal(Number(big.rxBytes), statistics!.rxBytes)
  t.equal(Link.list({ netns: ns, bigint: true })[0]!.statistics!.txPackets, BigInt(statistics!.txPackets))
})

t.test('links move between namespaces', async (t) => {
  const [here, there] = [netns(t), netns(t)]
  run(here, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  run(here, 'ip', 'link', 'set', 'v0', 'up', 'alias', 'traveller')
  run(there, 'ip', 'link', 'add', 'taken', 'type', 'bridge')
  t.throws(() => Link.move('v0', there, { netns: here, name: 'taken' }), { code: 'EEXIST', hint: /has a link taken already/ })
  t.equal(ipLink(here, 'v0').ifalias, 'traveller', 'still here')
  const moved = Link.move('v0', there, { netns: here, name: 'e0' })
  t.match(moved, { name: 'e0', up: false, alias: 'traveller' })
  t.equal(ipLink(there, 'e0').ifindex, moved.index)
  t.not(tryRun(here, 'ip', 'link', 'show', 'v0').status, 0)
  t.match(Link.move(moved.index, here, { netns: there }), { name: 'e0' })
  t.equal(ipLink(here, 'e0').ifalias, 'traveller')
  t.throws(() => Link.move('lo', there, { netns: here }), NfkitError)
})

t.test('links are deleted', async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  Link.delete('v0', { netns: ns })
  t.same(ipJson(ns, 'link').map((link) => link.ifname), ['lo'])
  t.throws(() => Link.delete('v0', { netns: ns }), { code: 'ENODEV', syscall: 'RTM_GETLINK' })
  t.throws(() => Link.delete(999, { netns: ns }), { code: 'ENODEV', syscall: 'RTM_DELLINK' })
  t.throws(() => Link.delete('lo', { netns: ns }), NfkitError)
})

t.test('a watch tells what happens', async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'link', 'add', 'old', 'type', 'bridge')
  const watch = Link.watch({ netns: ns })
  t.teardown(() => void watch.return!())
  run(ns, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  run(ns, 'ip', 'link', 'set', 'v0', 'mtu', '1300')
  run(ns, 'ip', 'link', 'set', 'v0', 'master', 'old')
  run(ns, 'ip', 'link', 'set', 'v0', 'type', 'bridge_slave', 'learning', 'off')
  run(ns, 'ip', 'link', 'set', 'v0', 'nomaster')
  run(ns, 'ip', 'link', 'del', 'v1')
  run(ns, 'ip', 'link', 'set', 'old', 'up', 'alias', 'the end')
  const events = await until(watch, (event) => event.type === 'changed' && event.link.alias === 'the end')
  const told = events.filter((event) => event.type !== 'overrun' && event.link.name === 'v0') as Exclude<typeof events[number], { type: 'overrun' }>[]
  t.equal(told[0]!.type, 'added')
  t.equal(told.at(-1)!.type, 'removed')
  t.ok(told.some((event) => event.type === 'changed' && event.previous.mtu === 1500 && event.link.mtu === 1300))
  const master = ipLink(ns, 'old').ifindex
  t.ok(told.some((event) => event.type === 'changed' && event.link.master === master), 'joined the bridge')
  t.ok(told.some((event) => event.type === 'changed' && (event.link.masterData as any)?.learning === false), 'a setting of the port')
  t.ok(told.some((event) => event.type === 'changed' && event.previous.master === master && event.link.master === undefined), 'left the bridge: no deletion')
  t.equal(told.filter(({ type }) => type === 'added').length, 1)
  t.equal(told.filter(({ type }) => type === 'removed').length, 1)
  t.ok(events.every((event) => event.type !== 'overrun'))
  t.notOk(events.some((event) => event.type === 'added' && event.link.name === 'old'), 'what was there before is not new')
})

t.test('a watch ends', async (t) => {
  const ns = netns(t)
  const controller = new AbortController()
  const watch = Link.watch({ netns: ns, signal: controller.signal })
  const waiting = watch.next()
  controller.abort()
  await t.rejects(waiting, { name: 'AbortError' })
  t.same(await watch.next(), { done: true, value: undefined })
  t.throws(() => Link.watch({ netns: ns, signal: AbortSignal.abort() }), { name: 'AbortError' })
  await using other = Link.watch({ netns: ns })
  t.ok(other)
})

t.test('a loss is announced, and made good by resync', async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  run(ns, 'ip', 'link', 'set', 'v0', 'up')
  run(ns, 'ip', 'link', 'add', 'goes', 'type', 'bridge')
  const before = Link.list({ netns: ns })
  const watch = Link.watch({ netns: ns, maxQueue: 65536, resync: true })
  const plain = Link.watch({ netns: ns, maxQueue: 65536 })
  t.teardown(() => { void watch.return!(); void plain.return!() })
  // The loop is blocked meanwhile, and this is several times what may wait.
  const batch = Array.from({ length: 200 }, (_, i) => `link set v0 alias number-${i}`)
  batch.push('link set v1 mtu 1281', 'link add comes type bridge', 'link del goes')
  feed(ns, batch.join('\n'), 'ip', '-batch', '-')
  const marker = (event: { type: string; link?: LinkInfo }) => event.type === 'added' && event.link?.name === 'marker'
  const events = await until(watch, ({ type }) => type === 'overrun')
  run(ns, 'ip', 'link', 'add', 'marker', 'type', 'bridge')
  events.push(...await until(watch, marker))
  const key = ({ index }: LinkInfo) => String(index)
  const model = replay('link', key, before, events)
  const seen = (links: Iterable<LinkInfo>) => [...links].map(({ name, alias, mtu }) => ({ name, alias, mtu })).sort((a, b) => a.name.localeCompare(b.name))
  t.same(seen(model.values()), seen(Link.list({ netns: ns })), 'the same links as there are')
  // Without resync only the loss is told of, and what comes once there is room again.
  const others = await until(plain, ({ type }) => type === 'overrun')
  run(ns, 'ip', 'link', 'set', 'v0', 'alias', 'after')
  others.push(...await until(plain, (event) => event.type === 'changed' && event.link.alias === 'after'))
  t.notOk(others.some(({ type }) => type === 'removed'), 'the deletion was lost')
})

t.test('ifb', { skip: lacks('ifb') }, async (t) => {
  const ns = netns(t)
  Link.add({ kind: 'ifb', name: 'ifb0', up: true, mtu: 1400 }, { netns: ns })
  t.match(ipLink(ns, 'ifb0'), { mtu: 1400, linkinfo: { info_kind: 'ifb' } })
})

t.test('dummy', { skip: lacks('dummy') }, async (t) => {
  const ns = netns(t)
  Link.add({ kind: 'dummy', name: 'd0', up: true, mac: '02:00:00:00:00:05', carrier: false }, { netns: ns })
  t.match(ipLink(ns, 'd0'), { address: '02:00:00:00:00:05', linkinfo: { info_kind: 'dummy' } })
  t.equal(Link.get('d0', { netns: ns }).carrier, false)
})

t.test('vlan', { skip: lacks('vlan') }, async (t) => {
  const ns = netns(t)
  run(ns, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  const made = Link.add({
    kind: 'vlan', name: 'v0.5', link: 'v0',
    data: { id: 5, protocol: '802.1ad', flags: { reorderHeader: false, looseBinding: true }, ingressQos: [{ from: 1, to: 9 }], egressQos: [{ from: 2, to: 3 }] },
  }, { netns: ns })
  t.match(ipLink(ns, 'v0.5'), {
    link: 'v0',
    linkinfo: { info_kind: 'vlan', info_data: { protocol: '802.1ad', id: 5, flags: ['LOOSE_BINDING'], ingress_qos: [{ from: 1, to: 9 }], egress_qos: [{ from: 2, to: 3 }] } },
  })
  if (!Link.isKind(made, 'vlan')) return t.fail('not a vlan')
  t.match(made.kindData, { id: 5, protocol: '802.1ad', flags: { reorderHeader: false, looseBinding: true, gvrp: false } })
  Link.setKind('v0.5', 'vlan', { flags: { reorderHeader: true } }, { netns: ns })
  t.same(ipLink(ns, 'v0.5').linkinfo.info_data.flags.sort(), ['LOOSE_BINDING', 'REORDER_HDR'])
  t.throws(() => Link.add({ kind: 'vlan', name: 'again', link: 'v0', data: { id: 5, protocol: '802.1ad' } }, { netns: ns }), { code: 'EEXIST' })
})

t.test('macvlan', { skip: lacks('macvlan') }, async (t) => {
  const [here, there] = [netns(t), netns(t)]
  run(here, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  const made = Link.add({ kind: 'macvlan', name: 'm0', link: 'v0', netns: there, up: false, data: { mode: 'bridge', broadcastQueueLength: 500 } }, { netns: here })
  t.match(ipLink(there, 'm0').linkinfo, { info_kind: 'macvlan', info_data: { mode: 'bridge', bcqueuelen: 500 } })
  t.equal(made.link, ipLink(here, 'v0').ifindex)
  Link.setKind('m0', 'macvlan', { mode: 'private' }, { netns: there })
  t.equal(ipLink(there, 'm0').linkinfo.info_data.mode, 'private')
  const source = { mode: 'source', macAddressMode: 'set', macAddressData: ['02:00:00:00:00:0a', '02:00:00:00:00:0b'] } as const
  const filter = Link.add({ kind: 'macvlan', name: 'm1', link: 'v0', data: { ...source, macAddressData: [...source.macAddressData] } }, { netns: here })
  t.match(filter.kindData, { mode: 'source', macAddressCount: 2 })
  t.same([...(filter.kindData as { macAddressData: string[] }).macAddressData].sort(), ['02:00:00:00:00:0a', '02:00:00:00:00:0b'])
  const cutoff = () => Link.add({ kind: 'macvlan', name: 'm2', link: 'v0', data: { broadcastCutoff: 4 } }, { netns: here })
  const [major, minor] = release().split('.').map(Number) as [number, number]
  if (major > 6 || (major === 6 && minor >= 4)) t.match(cutoff().kindData, { broadcastCutoff: 4 })
  else {
    t.throws(cutoff, { code: 'NFKIT_KERNEL_TOO_OLD', attribute: 'broadcastCutoff' })
    t.not(tryRun(here, 'ip', 'link', 'show', 'm2').status, 0, 'and it is not there')
  }
})
