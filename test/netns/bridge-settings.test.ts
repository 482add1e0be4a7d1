// SPDX-License-Identifier: MIT

import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { Bridge, type BridgeChanges, Netns } from '../../lib/index.js'
import { batch, bridgeJson, ipJson, lacks, run, tryRun } from '../support/outside.js'

function namespace(t: Test): Netns {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  return netns
}

/** What `ip -d link show` says of a bridge. */
const outside = (netns: Netns, name = 'br0') => ipJson(netns, 'link', 'show', name)[0]
const data = (netns: Netns, name = 'br0') => outside(netns, name).linkinfo.info_data

const vlans = lacks('vlan-filtering')

t.test('create, list, open, delete', (t) => {
  const netns = namespace(t)
  const bridge = Bridge.create('br0', { netns, stp: { enabled: true, forwardDelay: 4 }, ageingTime: 120.5, mac: '02:00:5e:10:00:01', mtu: 1400 })
  const link = outside(netns)
  t.match(link, { ifname: 'br0', address: '02:00:5e:10:00:01', mtu: 1400, ifindex: bridge.index })
  t.ok(link.flags.includes('UP'), 'up unless told otherwise')
  t.match(data(netns), { stp_state: 1, forward_delay: 400, ageing_time: 12050 })

  Bridge.create('br1', { netns, up: false }).close()
  t.notOk(outside(netns, 'br1').flags.includes('UP'))
  run(netns, 'ip', 'link', 'add', 'p0', 'type', 'veth', 'peer', 'name', 'q0')
  t.same(Bridge.list({ netns }).map(({ name }) => name), ['br0', 'br1'])
  t.equal(Bridge.open('br1', { netns }).index, outside(netns, 'br1').ifindex)
  t.equal(Bridge.open(bridge.index, { netns }).name, 'br0')

  t.throws(() => Bridge.create('br0', { netns }), { code: 'EEXIST' })
  t.throws(() => Bridge.open('p0', { netns }), { code: 'NFKIT_NOT_A_BRIDGE', message: /veth/ })
  t.throws(() => Bridge.open('nothing', { netns }), { code: 'ENODEV' })
  t.throws(() => Bridge.delete('p0', { netns }), { code: 'NFKIT_NOT_A_BRIDGE' })
  t.equal(tryRun(netns, 'ip', 'link', 'show', 'p0').status, 0, 'another kind of device is not deleted')

  bridge.delete()
  Bridge.delete('br1', { netns })
  t.same(ipJson(netns, 'link', 'show', 'type', 'bridge'), [])
  t.throws(() => bridge.status(), { code: 'ENODEV' })
  t.end()
})

t.test('dispose deletes only what was created as temporary', (t) => {
  const netns = namespace(t)
  Bridge.create('stays', { netns })[Symbol.dispose]()
  const temporary = Bridge.create('goes', { netns, temporary: true })
  temporary.close()
  t.same(Bridge.list({ netns }).map(({ name }) => name), ['stays', 'goes'], 'close lets go and no more')
  temporary[Symbol.dispose]()
  t.same(ipJson(netns, 'link', 'show', 'type', 'bridge').map(({ ifname }) => ifname), ['stays'])
  temporary[Symbol.dispose]()
  t.end()
})

t.test('a namespace by name is held open until close', (t) => {
  const name = `nfkit-test-${process.pid}`
  const netns = Netns.create(name)
  t.teardown(() => netns.close())
  try {
    const bridge = Bridge.create('br0', { netns: name, temporary: true })
    Netns.delete(name)
    t.equal(bridge.status().name, 'br0', 'the name may go')
    t.match(inspect(bridge), /Bridge \{ name: 'br0', index: \d+, netns: Netns \{ .*, temporary: true \}/)
    bridge[Symbol.dispose]()
    t.same(ipJson(netns, 'link', 'show', 'type', 'bridge'), [])
    t.throws(() => bridge.status(), { code: 'NFKIT_CLOSED' })
  } catch (error) {
    if (Netns.list().includes(name)) Netns.delete(name)
    throw error
  }
  t.end()
})

/** One setting, its value, and what `ip` calls it and says then. */
type Case = [setting: string, value: unknown, key: string, said: unknown]

const CASES: Case[] = [
  ['ageingTime', 42.5, 'ageing_time', 4250],
  ['ageingTime', 0, 'ageing_time', 0],
  ['groupForwardMask', 0x4008, 'group_fwd_mask', 0x4008],
  ['groupAddress', '01:80:c2:00:00:0e', 'group_addr', '01:80:c2:00:00:0e'],
  ['linkLocalLearning', false, 'no_linklocal_learn', 1],
  ['stp.enabled', true, 'stp_state', 1],
  ['stp.priority', 4096, 'priority', 4096],
  ['stp.maxAge', 40, 'max_age', 4000],
  ['stp.helloTime', 1, 'hello_time', 100],
  ['stp.forwardDelay', 2, 'forward_delay', 200],
  ['multicast.snooping', false, 'mcast_snooping', 0],
  ['multicast.router', 'permanent', 'mcast_router', 2],
  ['multicast.router', 'disabled', 'mcast_router', 0],
  ['multicast.querier', true, 'mcast_querier', 1],
  ['multicast.queryUseIfaddr', true, 'mcast_query_use_ifaddr', 1],
  ['multicast.hashMax', 512, 'mcast_hash_max', 512],
  ['multicast.lastMemberCount', 3, 'mcast_last_member_cnt', 3],
  ['multicast.startupQueryCount', 4, 'mcast_startup_query_cnt', 4],
  ['multicast.lastMemberInterval', 2, 'mcast_last_member_intvl', 200],
  ['multicast.membershipInterval', 300, 'mcast_membership_intvl', 30000],
  ['multicast.querierInterval', 200, 'mcast_querier_intvl', 20000],
  ['multicast.queryInterval', 100, 'mcast_query_intvl', 10000],
  ['multicast.queryResponseInterval', 5, 'mcast_query_response_intvl', 500],
  ['multicast.startupQueryInterval', 30, 'mcast_startup_query_intvl', 3000],
  ['multicast.statistics', true, 'mcast_stats_enabled', 1],
  ['multicast.igmpVersion', 3, 'mcast_igmp_version', 3],
  ['multicast.mldVersion', 2, 'mcast_mld_version', 2],
  ['netfilter.callIptables', true, 'nf_call_iptables', 1],
  ['netfilter.callIp6tables', true, 'nf_call_ip6tables', 1],
  ['netfilter.callArptables', true, 'nf_call_arptables', 1],
]
const VLAN_CASES: Case[] = [
  ['multicast.vlanSnooping', true, 'mcast_vlan_snooping', 1],
  ['vlan.filtering', true, 'vlan_filtering', 1],
  ['vlan.protocol', '802.1ad', 'vlan_protocol', '802.1ad'],
  ['vlan.defaultPvid', 77, 'vlan_default_pvid', 77],
  ['vlan.defaultPvid', 0, 'vlan_default_pvid', 0],
  ['vlan.statistics', true, 'vlan_stats_enabled', 1],
  ['vlan.statisticsPerPort', true, 'vlan_stats_per_port', 1],
]

/** All the settings at once. */
function settings(cases: readonly Case[]): BridgeChanges {
  const all: Record<string, any> = {}
  for (const [path, value] of cases) {
    const [first, second] = path.split('.')
    if (second === undefined) all[first!] = value
    else (all[first!] ??= {})[second] = value
  }
  return all
}
const at = (object: object, path: string) => path.split('.').reduce<any>((value, key) => value?.[key], object)

for (const [what, cases, options] of [['every setting', CASES, {}], ['every VLAN setting', VLAN_CASES, { skip: vlans }]] as const) {
  t.test(`${what} reaches the kernel and comes back`, options, (t) => {
    const netns = namespace(t)
    Bridge.create('plain', { netns })
    const before = data(netns, 'plain')
    // A setting with two values takes two rounds.
    for (const round of [cases.filter(([path], i) => cases.findIndex(([other]) => other === path) === i), cases.filter(([path], i) => cases.findIndex(([other]) => other === path) !== i)]) {
      if (round.length === 0) continue
      const changed = Bridge.create('changed', { netns, temporary: true })
      changed.set(settings(round))
      const created = Bridge.create('created', { netns, temporary: true, ...settings(round) })
      for (const bridge of [changed, created]) {
        const said = data(netns, bridge.name)
        const status = bridge.status()
        for (const [path, value, key, expected] of round) {
          t.ok(key in before && before[key] !== expected, `${path}: ${key} is another one by default`)
          t.same(said[key], expected, `${path} ${bridge.name}: ip says ${key} ${String(expected)}`)
          t.same(at(status, path), value, `${path} is read back`)
        }
        bridge[Symbol.dispose]()
      }
    }
    // One by one, and no other changes with it.
    for (const [path, value] of cases) {
      // The kernel wants VLAN filtering for that one.
      const bridge = Bridge.create('br0', { netns, temporary: true, ...(path === 'multicast.vlanSnooping' ? { vlan: { filtering: true } } : {}) })
      const was = bridge.status()
      bridge.set(settings([[path, value, '', '']]))
      const is = bridge.status()
      t.same(at(is, path), value, `${path} alone`)
      const others = cases.map(([other]) => other).filter((other) => other !== path && !(path.startsWith('vlan') && other.startsWith('vlan')))
      t.same(others.filter((other) => at(was, other) !== at(is, other)), [], `${path} and nothing else`)
      bridge[Symbol.dispose]()
    }
    t.end()
  })
}

t.test('every number that the kernel reports is in the status', (t) => {
  const netns = namespace(t)
  const bridge = Bridge.create('br0', { netns, mac: '02:00:5e:10:00:07' })
  const said = data(netns)
  const status = bridge.status()
  t.equal(said.bridge_id, `8000.2:0:5e:10:0:7`)
  t.match(status.stp, {
    enabled: false, mode: 'off', priority: 32768, bridgeId: { priority: 32768, mac: '02:00:5e:10:00:07' },
    designatedRoot: { priority: 32768, mac: '02:00:5e:10:00:07' }, isRoot: true, rootPathCost: 0, rootPort: 0,
    maxAge: 20, helloTime: 2, forwardDelay: 15, root: { maxAge: 20, helloTime: 2, forwardDelay: 15 }, topologyChange: false, topologyChangeDetected: false,
  })
  t.same(Object.keys(status.stp.timers), ['hello', 'tcn', 'topologyChange', 'gc'])
  t.ok(status.stp.timers.gc <= 300)
  t.match(status.multicast, { hashElasticity: said.mcast_hash_elasticity, hashMax: said.mcast_hash_max, membershipInterval: said.mcast_membership_intvl / 100 })
  t.equal(status.groupAddress, '01:80:c2:00:00:00')
  t.equal(status.unknown, undefined, 'every attribute has a name')
  t.same(JSON.parse(JSON.stringify(status)), status, 'plain')
  t.end()
})

t.test('wrong arguments are refused before anything is done', (t) => {
  const netns = namespace(t)
  const bridge = Bridge.create('br0', { netns })
  const wrong: [changes: unknown, error: { name: string; message?: RegExp }][] = [
    [{ stp: { maxAge: 5.99 } }, { name: 'RangeError', message: /stp\.maxAge: expected seconds from 6 to 40/ }],
    [{ stp: { maxAge: 41 } }, { name: 'RangeError' }],
    [{ stp: { helloTime: 0.99 } }, { name: 'RangeError', message: /stp\.helloTime/ }],
    [{ stp: { helloTime: 11 } }, { name: 'RangeError' }],
    [{ stp: { enabled: true, forwardDelay: 1.99 } }, { name: 'RangeError', message: /stp\.forwardDelay: expected seconds from 2 to 30 while STP is on/ }],
    [{ stp: { enabled: true, forwardDelay: 31 } }, { name: 'RangeError' }],
    [{ stp: { priority: 65536 } }, { name: 'RangeError' }],
    [{ stp: { priority: '1' } }, { name: 'TypeError' }],
    [{ stp: { enabled: 1 } }, { name: 'TypeError', message: /stp\.enabled: expected true or false, got 1/ }],
    [{ stp: true }, { name: 'TypeError', message: /stp: expected an object/ }],
    [{ stp: { forwarddelay: 4 } }, { name: 'TypeError', message: /stp\.forwarddelay/ }],
    [{ ageingTime: 0.001 }, { name: 'RangeError', message: /ageingTime/ }],
    [{ ageingTime: -1 }, { name: 'RangeError' }],
    [{ ageingTime: Number.NaN }, { name: 'RangeError' }],
    [{ aging: 3 }, { name: 'TypeError', message: /"aging"/ }],
    [{ groupForwardMask: 1 }, { name: 'RangeError' }],
    [{ groupAddress: '01:80:c2:00:00:01' }, { name: 'RangeError' }],
    [{ groupAddress: '02:80:c2:00:00:00' }, { name: 'RangeError' }],
    [{ vlan: { defaultPvid: 4095 } }, { name: 'RangeError' }],
    [{ vlan: { protocol: '802.1q' } }, { name: 'TypeError' }],
    [{ multicast: { router: 'always' } }, { name: 'TypeError', message: /multicast\.router: expected one of disabled, auto, permanent/ }],
    [{ multicast: { igmpVersion: 1 } }, { name: 'RangeError' }],
    [{ multicast: { queryInterval: 0.5 } }, { name: 'RangeError' }],
    [{ netfilter: { callIptables: 'yes' } }, { name: 'TypeError' }],
    [{ mac: '01:00:5e:00:00:01' }, { name: 'RangeError' }],
    [{ mac: '00:00:00:00:00:00' }, { name: 'RangeError' }],
    [{ mtu: 67 }, { name: 'RangeError' }],
    [{ mtu: 65536 }, { name: 'RangeError' }],
    [{ up: 'yes' }, { name: 'TypeError' }],
  ]
  for (const [changes, error] of wrong) {
    t.throws(() => bridge.set(changes as BridgeChanges), error, JSON.stringify(changes))
    t.throws(() => Bridge.create('br1', { netns, ...(changes as BridgeChanges) }), error)
  }
  for (const name of ['', '.', 'a b', 'a/b', 'sixteen-letters-', 'br%d']) t.throws(() => Bridge.create(name, { netns }), { name: 'TypeError' }, name)
  t.throws(() => Bridge.create('br1', { netns, temporary: 1 as never }), { name: 'TypeError' })
  t.equal(ipJson(netns, 'link', 'show', 'type', 'bridge').length, 1)
  bridge.set({ stp: { forwardDelay: 0 } })
  t.equal(data(netns).forward_delay, 0, 'without STP the kernel takes any delay')
  t.throws(() => bridge.set({ stp: { enabled: true, forwardDelay: 1 } }), { name: 'RangeError' })
  bridge.set({ stp: { enabled: true } })
  t.equal(bridge.status().stp.forwardDelay, 2, 'the kernel brings it into range when STP starts')
  t.throws(() => bridge.set({ stp: { forwardDelay: 1 } }), { name: 'RangeError' }, 'STP is on by now')
  t.end()
})

t.test('a change that the kernel refuses halfway is taken back', (t) => {
  const netns = namespace(t)
  const bridge = Bridge.create('br0', { netns })
  batch(netns, 'ip', ['link add p0 type veth peer name q0', 'link set p0 up master br0', 'link set q0 up'])
  const lasting = () => {
    const { vlan: _vlan, fdbLearned: _learned, running: _running, ...status } = bridge.status()
    return { ...status, stp: { ...status.stp, timers: null } }
  }
  const before = lasting()
  if (vlans !== false) {
    t.throws(() => bridge.set({ ageingTime: 77, stp: { enabled: true, priority: 5, maxAge: 9 }, vlan: { filtering: true } }), { code: 'NFKIT_NO_VLAN_FILTERING', message: /CONFIG_BRIDGE_VLAN_FILTERING/ })
    t.throws(() => Bridge.create('br1', { netns, vlan: { filtering: true } }), { code: 'NFKIT_NO_VLAN_FILTERING' })
    t.throws(() => bridge.set({ vlan: { defaultPvid: 7 } }), { code: 'NFKIT_NO_VLAN_FILTERING' }, 'the kernel would take it and do nothing')
    t.throws(() => Bridge.create('br1', { netns, vlan: { defaultPvid: 7 } }), { code: 'NFKIT_NO_VLAN_FILTERING' })
    t.equal(bridge.status().vlan, undefined)
  } else {
    bridge.vlans.replace({ port: 'p0', vid: 5 })
    t.throws(() => bridge.set({ ageingTime: 77, stp: { enabled: true, priority: 5, maxAge: 9 }, vlan: { statisticsPerPort: true } }), { code: 'EBUSY' })
    t.throws(() => bridge.set({ ageingTime: 77, vlan: { mst: true } }), { code: 'EBUSY' })
    bridge.set({ vlan: { mst: false, statisticsPerPort: false } })
  }
  t.same(lasting(), before)
  t.match(data(netns), { ageing_time: 30000, stp_state: 0, priority: 32768, max_age: 2000 })
  t.same(Bridge.list({ netns }).map(({ name }) => name), ['br0'])
  t.end()
})

t.test('a bridge that is root for itself and one that is not: own times and those in force', async (t) => {
  const netns = namespace(t)
  const root = Bridge.create('root', { netns, stp: { enabled: true, priority: 0, forwardDelay: 5, maxAge: 10, helloTime: 1 } })
  const leaf = Bridge.create('leaf', { netns, stp: { enabled: true, forwardDelay: 7, maxAge: 25, helloTime: 3 } })
  batch(netns, 'ip', ['link add p0 type veth peer name q0', 'link set p0 up master root', 'link set q0 up master leaf'])
  for (let i = 0; i < 100 && leaf.status().stp.isRoot; i++) await new Promise((resolve) => setTimeout(resolve, 100))
  t.match(leaf.status().stp, {
    isRoot: false, designatedRoot: root.status().stp.bridgeId, rootPort: 1, forwardDelay: 7, maxAge: 25, helloTime: 3,
    root: { forwardDelay: 5, maxAge: 10, helloTime: 1 },
  })
  t.ok(leaf.status().stp.rootPathCost > 0)
  t.match(data(netns, 'leaf'), { forward_delay: 500, max_age: 1000, hello_time: 100, root_port: 1 }, 'netlink says what is in force')
  leaf.set({ stp: { helloTime: 4 } })
  t.match(leaf.status().stp, { helloTime: 4, maxAge: 25, root: { helloTime: 1 } })
  if (vlans !== false) {
    t.throws(() => leaf.set({ stp: { helloTime: 5, forwardDelay: 9 }, vlan: { filtering: true } }), { code: 'NFKIT_NO_VLAN_FILTERING' })
    t.match(leaf.status().stp, { helloTime: 4, forwardDelay: 7 }, 'taking back restores the own times, not those in force')
  }
  leaf.removePort('q0')
  t.match(leaf.status().stp, { isRoot: true, forwardDelay: 7, root: { forwardDelay: 7, helloTime: 4 } })
})

t.test('the limit of learned addresses, where the kernel has it', (t) => {
  const netns = namespace(t)
  const bridge = Bridge.create('br0', { netns })
  if (bridge.status().fdbLearned === undefined) {
    t.throws(() => bridge.set({ fdbMaxLearned: 10 }), { code: 'NFKIT_KERNEL_TOO_OLD', message: /Linux 6\.7/ })
    t.throws(() => Bridge.create('br1', { netns, fdbMaxLearned: 10 }), { code: 'NFKIT_KERNEL_TOO_OLD' })
    t.same(Bridge.list({ netns }).map(({ name }) => name), ['br0'])
    return t.end()
  }
  bridge.set({ fdbMaxLearned: 2 })
  t.match(bridge.status(), { fdbMaxLearned: 2, fdbLearned: 0 })
  // Links that go up speak IPv6, each from its own address.
  batch(netns, 'ip', [0, 1, 2, 3].flatMap((i) => [
    `link add p${i} type veth peer name q${i} address 02:00:5e:20:00:0${i}`, `link set p${i} up master br0`, `link set q${i} up`,
  ]))
  const learned = () => bridgeJson(netns, 'fdb', 'show', 'br', 'br0').filter(({ state, mac }) => !state && mac.startsWith('02:00:5e:20')).length
  const sent = () => ipJson(netns, '-s', 'link', 'show').filter(({ ifname, stats64 }) => ifname.startsWith('q') && stats64.tx.packets > 0).length
  for (let wait = 0; wait < 100 && (learned() < 2 || sent() < 4); wait++) run(netns, 'sleep', '0.1')
  t.same([learned(), sent()], [2, 4])
  t.match(bridge.status(), { fdbLearned: 2 })
  t.end()
})
