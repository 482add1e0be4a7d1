// SPDX-License-Identifier: MIT

import t, { type Test } from 'tap'
import { Bridge, type BridgeOptions, Netns, type VlanChange, type VlanEntry, type VlanOptions, type VlanSpec, type Watch } from '../../lib/index.js'
import { batch, bridgeJson, ipJson, lacks, run } from '../support/outside.js'

const skip = lacks('vlan-filtering')

/** A bridge that filters VLANs, with ports p0 and p1 whose peers are q0 and q1. */
function setup(t: Test, { vlan, ...options }: BridgeOptions = {}) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  netns.writeSysctl('net/ipv6/conf/default/disable_ipv6', 1)
  batch(netns, 'ip', [0, 1].flatMap((i) => [`link add p${i} type veth peer name q${i}`, `link set q${i} up`]))
  const bridge = Bridge.create('br0', { netns, vlan: { filtering: true, ...vlan }, ...options })
  for (const port of ['p0', 'p1']) bridge.addPort(port)
  return { netns, bridge }
}

/** What `bridge vlan show` says, as `port vid pvid untagged` for each VLAN. */
function outside(netns: Netns): string[] {
  return bridgeJson(netns, 'vlan', 'show').flatMap(({ ifname, vlans }) => vlans.flatMap(({ vlan, vlanEnd = vlan, flags = [] }: any) =>
    Array.from({ length: vlanEnd - vlan + 1 }, (_, i) => [ifname, vlan + i, flags.includes('PVID') ? 'pvid' : '-', flags.includes('Egress Untagged') ? 'untagged' : '-'].join(' ')))).sort()
}
const text = (entries: readonly VlanEntry[]) => entries.flatMap(({ port, vid, vidEnd, pvid, untagged }) =>
  Array.from({ length: vidEnd - vid + 1 }, (_, i) => [port, vid + i, pvid ? 'pvid' : '-', untagged ? 'untagged' : '-'].join(' '))).sort()

const kernel = (netns: Netns) => { const [, a, b] = /^(\d+)\.(\d+)/.exec(run(netns, 'uname', '-r'))!; return Number(a) * 1000 + Number(b) }

t.test('a kernel without VLAN filtering says so', { skip: skip === false && 'this kernel filters VLANs' }, (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const bridge = Bridge.create('br0', { netns })
  const expected = { code: 'NFKIT_NO_VLAN_FILTERING', message: /CONFIG_BRIDGE_VLAN_FILTERING/ }
  t.throws(() => bridge.vlans.list(), expected)
  t.throws(() => bridge.vlans.statistics(), expected)
  t.throws(() => bridge.vlans.add({ port: 'self', vid: 5 }), expected)
  t.throws(() => bridge.vlans.globals(), expected)
  t.throws(() => bridge.vlans.setGlobal(5, { multicastSnooping: true }), expected)
  t.throws(() => bridge.vlans.watch(), expected)
  t.end()
})

t.test('list, add, replace, delete', { skip }, (t) => {
  const { netns, bridge } = setup(t)
  const { vlans } = bridge
  const first = ['br0 1 pvid untagged', 'p0 1 pvid untagged', 'p1 1 pvid untagged']
  t.same(outside(netns), first)
  t.same(text(vlans.list()), first)
  vlans.add({ port: 'p0', vid: 10 })
  vlans.add([{ port: 'p0', vid: [20, 22], untagged: true }, { port: 'p1', vid: 30, pvid: true }, { port: 'self', vid: 10 }])
  const expected = [
    'br0 1 pvid untagged', 'br0 10 - -', 'p0 1 pvid untagged', 'p0 10 - -', 'p0 20 - untagged', 'p0 21 - untagged', 'p0 22 - untagged', 'p1 1 - untagged', 'p1 30 pvid -',
  ].sort()
  t.same(outside(netns), expected)
  t.same(text(vlans.list()), expected)
  t.same(vlans.list({ port: 'p0' }).map(({ vid, vidEnd }) => [vid, vidEnd]), [[1, 1], [10, 10], [20, 22]], 'a range comes as one')
  t.match(vlans.list({ port: 'self' }), [{ port: 'br0', portIndex: bridge.index, vid: 1 }, { port: 'br0', vid: 10, state: 'forwarding' }])
  t.same(vlans.list({ port: ipJson(netns, 'link', 'show', 'p1')[0].ifindex }).length, 2)
  t.equal(vlans.list().every(({ unknown }) => unknown === undefined), true, 'every attribute has a name')

  vlans.replace({ port: 'p0', vid: [20, 21] })
  vlans.replace({ port: 'p1', vid: 1, pvid: true, untagged: true })
  t.same(outside(netns).filter((line) => /^p0 2|^p1/.test(line)), ['p0 20 - -', 'p0 21 - -', 'p0 22 - untagged', 'p1 1 pvid untagged', 'p1 30 - -'])
  vlans.delete([{ port: 'p0', vid: [5, 21] }, { port: 'p1', vid: 30 }])
  t.same(outside(netns), ['br0 1 pvid untagged', 'br0 10 - -', 'p0 1 pvid untagged', 'p0 22 - untagged', 'p1 1 pvid untagged'])
  t.end()
})

t.test('all or none', { skip }, (t) => {
  const { netns, bridge } = setup(t)
  const { vlans } = bridge
  vlans.add({ port: 'p0', vid: [10, 12], untagged: true })
  const before = outside(netns)
  t.throws(() => vlans.add({ port: 'p0', vid: [9, 10] }), { code: 'EEXIST', message: /VLAN 10/ })
  t.throws(() => vlans.add([{ port: 'p1', vid: 50 }, { port: 'p0', vid: 12 }]), { code: 'EEXIST' })
  t.throws(() => vlans.delete([{ port: 'p0', vid: 10 }, { port: 'p0', vid: 40 }]), { code: 'ENOENT', message: /VLAN 40 of p0/ })
  t.throws(() => vlans.set({ port: 'p0', vid: [10, 13] }, { state: 'blocking' }), { code: 'ENOENT', message: /VLAN 13/ })
  t.same(outside(netns), before, 'seen beforehand')
  // Refused by the kernel at the last one: the bridge itself has no tunnels.
  t.throws(() => vlans.add([{ port: 'p0', vid: [60, 70] }, { port: 'p1', vid: 61, pvid: true }, { port: 'self', vid: 60, tunnelId: 7 }]), { code: 'EINVAL', message: /tunnel mapping/ })
  t.same(outside(netns), before, 'added ones go, and the PVID comes back')
  t.throws(() => vlans.replace([{ port: 'p0', vid: [10, 12], pvid: false }, { port: 'p0', vid: 11, pvid: true }, { port: 'self', vid: 60, tunnelId: 7 }]), { code: 'EINVAL' })
  t.same(outside(netns), before, 'flags come back')
  t.throws(() => vlans.add({ port: 'q0', vid: 5 }), { code: 'NFKIT_NOT_A_PORT' })
  t.throws(() => vlans.add({ port: 'nothing', vid: 5 }), { code: 'ENODEV' })
  t.end()
})

t.test('VLANs keep traffic apart, and count it', { skip }, (t) => {
  const { netns, bridge } = setup(t, { vlan: { statistics: true, statisticsPerPort: false } })
  const hosts = [0, 1].map((i) => {
    const host = Netns.create()
    t.teardown(() => host.close())
    run(netns, 'ip', 'link', 'set', `q${i}`, 'netns', host.path)
    run(host, 'sh', '-ec', `ip link set q${i} up; ip addr add 192.168.7.${i + 1}/24 dev q${i}`)
    return host
  })
  const ping = () => run(hosts[0]!, 'sh', '-c', 'ping -c 1 -W 1 192.168.7.2 || true').includes(' 0% packet loss')
  t.ok(ping(), 'both in VLAN 1')
  bridge.vlans.add({ port: 'p1', vid: 100, pvid: true, untagged: true })
  t.notOk(ping(), 'p1 is in VLAN 100')
  bridge.vlans.add({ port: 'p0', vid: 100, pvid: true, untagged: true })
  t.ok(ping(), 'both in VLAN 100')
  for (const [i, host] of hosts.entries()) run(host, 'ip', 'link', 'set', `q${i}`, 'down')
  const counted = bridge.vlans.statistics({ port: 'p0' })
  t.same(counted.map(({ vid }) => vid), [1, 100])
  const said = bridgeJson(netns, '-s', 'vlan', 'show', 'dev', 'p0')[0].vlans
  for (const { port, vid, rxBytes, rxPackets, txBytes, txPackets } of counted) {
    t.equal(port, 'p0')
    t.match(said.find(({ vlan }: any) => vlan === vid), { rx_bytes: rxBytes, rx_packets: rxPackets, tx_bytes: txBytes, tx_packets: txPackets })
  }
  t.ok(counted[1]!.rxPackets > 0 && counted[1]!.rxBytes >= 98)
  t.end()
})

t.test('state and options of VLANs', { skip }, (t) => {
  const { netns, bridge } = setup(t, { multicast: { vlanSnooping: true } })
  const { vlans } = bridge
  vlans.add({ port: 'p0', vid: [10, 14] })
  const said = (vid: number) => bridgeJson(netns, 'vlan', 'show', 'dev', 'p0')[0].vlans.find(({ vlan, vlanEnd = vlan }: any) => vlan <= vid && vid <= vlanEnd)
  vlans.set({ port: 'p0', vid: 12 }, { state: 'blocking' })
  t.match([11, 12, 13].map((vid) => said(vid).state), ['forwarding', 'blocking', 'forwarding'])
  t.match(vlans.list({ port: 'p0' }).map(({ vid, vidEnd, state }) => [vid, vidEnd, state]), [
    [1, 1, 'forwarding'], [10, 11, 'forwarding'], [12, 12, 'blocking'], [13, 14, 'forwarding'],
  ])
  vlans.set({ port: 'p0', vid: [10, 11] }, { multicastRouter: 'permanent' })
  t.equal(said(10).mcast_router, 2)
  t.equal(vlans.list({ port: 'p0' })[1]!.multicastRouter, 'permanent')
  vlans.replace({ port: 'p0', vid: 12, state: 'learning', untagged: true })
  t.match(vlans.list({ port: 'p0' })[2], { vid: 12, state: 'learning', untagged: true })

  bridge.setPort('p0', { vlanTunnel: true })
  vlans.set({ port: 'p0', vid: [13, 14] }, { tunnelId: 1000 })
  t.match(bridgeJson(netns, 'vlan', 'tunnelshow', 'dev', 'p0')[0].tunnels, [{ vlan: 13, vlanEnd: 14, tunid: 1000, tunidEnd: 1001 }])
  t.match(vlans.list({ port: 'p0' }).at(-1), { vid: 13, vidEnd: 14, tunnelId: 1000 })
  vlans.set({ port: 'p0', vid: 13 }, { tunnelId: null })
  t.match(vlans.list({ port: 'p0' }).at(-1), { vid: 14, vidEnd: 14, tunnelId: 1001 })

  const newer: [name: keyof VlanOptions, value: unknown, since: number][] = [['multicastMaxGroups', 5, 6003], ['neighbourSuppress', true, 6004]]
  for (const [name, value, since] of newer) {
    if (kernel(netns) < since) t.throws(() => vlans.set({ port: 'p0', vid: 12 }, { [name]: value }), { syscall: 'RTM_NEWVLAN' } as object as Error, name)
    else {
      vlans.set({ port: 'p0', vid: 12 }, { [name]: value })
      t.equal(vlans.list({ port: 'p0' }).find(({ vid }) => vid === 12)![name], value, name)
    }
  }
  bridge.set({ stp: { enabled: true } })
  t.throws(() => vlans.set({ port: 'p0', vid: 10 }, { state: 'blocking' }), { code: 'EBUSY', message: /kernel STP/ })
  t.end()
})

t.test('what VLANs are set to on the whole bridge', { skip }, (t) => {
  const { netns, bridge } = setup(t, { multicast: { vlanSnooping: true } })
  const { vlans } = bridge
  vlans.add([{ port: 'self', vid: [10, 13] }, { port: 'p0', vid: [10, 13] }])
  vlans.setGlobal(11, { multicastSnooping: false, multicastIgmpVersion: 3, multicastQuerierInterval: 200, multicastQuerier: false, multicastMldVersion: 2 })
  const said = bridgeJson(netns, 'vlan', 'global', 'show', 'dev', 'br0')[0].vlans.find(({ vlan }: any) => vlan === 11)
  t.match(said, { mcast_snooping: 0, mcast_igmp_version: 3, mcast_querier_interval: 20000, mcast_mld_version: 2 })
  const globals = vlans.globals()
  t.same(globals.map(({ vid, vidEnd }) => [vid, vidEnd]), [[1, 1], [10, 10], [11, 11], [12, 13]].slice(globals.length - 4), 'ranges that are alike come as one')
  t.match(globals.find(({ vid }) => vid === 11), { multicastSnooping: false, multicastIgmpVersion: 3, multicastQuerierInterval: 200, multicastMldVersion: 2 })
  t.match(globals.at(-1), { multicastSnooping: true, multicastQueryInterval: 125, multicastStartupQueryInterval: 31.24, msti: 0 })
  t.equal(globals.every(({ unknown }) => unknown === undefined), true, 'every attribute has a name')

  // Refused at the end of the range, which nobody has.
  t.throws(() => vlans.setGlobal([12, 20], { multicastLastMemberCount: 9 }), { code: 'ENOENT' })
  t.match(vlans.globals().at(-1), { vid: 12, vidEnd: 13, multicastLastMemberCount: 2 })
  t.throws(() => vlans.setGlobal(11, { multicastIgmpVersion: 4 }), { name: 'RangeError', message: /multicastIgmpVersion/ })
  t.throws(() => vlans.setGlobal(11, { vid: 4 } as object), { name: 'TypeError' })
  t.throws(() => vlans.setGlobal(11, { msti: 4096 }), { name: 'RangeError' })

  const mst = Bridge.create('br1', { netns, vlan: { filtering: true, mst: true } })
  mst.vlans.setGlobal(1, { msti: 5 })
  t.equal(mst.vlans.globals()[0]!.msti, 5)
  t.equal(mst.status().vlan!.mst, true)
  t.end()
})

t.test('wrong arguments are refused before anything is done', (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const { vlans } = Bridge.create('br0', { netns })
  const wrong: [spec: unknown, name: string][] = [
    [{ port: 'self', vid: 0 }, 'RangeError'], [{ port: 'self', vid: 4095 }, 'RangeError'], [{ port: 'self', vid: 1.5 }, 'RangeError'], [{ port: 'self', vid: '7' }, 'TypeError'],
    [{ port: 'self', vid: [7, 6] }, 'RangeError'], [{ port: 'self', vid: [7] }, 'TypeError'], [{ port: 'self', vid: [7, 8, 9] }, 'TypeError'], [{ port: 'self', vid: [0, 9] }, 'RangeError'],
    [{ port: 'self', vid: [7, 8], pvid: true }, 'TypeError'], [{ port: 'self', vid: 7, pvid: 1 }, 'TypeError'], [{ port: 'self', vid: 7, untagged: 'no' }, 'TypeError'],
    [{ port: 'self', vid: 7, state: 'up' }, 'TypeError'], [{ port: 'self', vid: 7, tunnelId: 2 ** 24 }, 'RangeError'], [{ port: 'self', vid: 7, tagged: true }, 'TypeError'],
    [{ port: 'a b', vid: 7 }, 'TypeError'], [{ vid: 7 }, 'TypeError'], [{ port: 'self' }, 'TypeError'], [null, 'TypeError'],
  ]
  for (const [spec, name] of wrong) {
    t.throws(() => vlans.add(spec as VlanSpec), { name }, JSON.stringify(spec))
    t.throws(() => vlans.replace([{ port: 'self', vid: 9 }, spec as VlanSpec]), { name })
  }
  t.throws(() => vlans.delete({ port: 'self', vid: 4095 }), { name: 'RangeError' })
  t.throws(() => vlans.set({ port: 'self', vid: 4095 }, {}), { name: 'RangeError' })
  t.throws(() => vlans.list({ port: 'a b' }), { name: 'TypeError' })
  vlans.add([])
  vlans.delete([])
  t.end()
})

async function until(watch: Watch<VlanChange>, wanted: (change: VlanChange) => boolean): Promise<VlanChange[]> {
  const seen: VlanChange[] = []
  for (;;) {
    const { done, value } = await watch.next()
    if (done === true) throw new Error(`ended after ${JSON.stringify(seen)}`)
    seen.push(value)
    if (wanted(value)) return seen
  }
}
const said = (change: VlanChange) => ('entry' in change ? `${change.type} ${change.entry.port} ${change.entry.vid}-${change.entry.vidEnd}${change.entry.pvid ? ' pvid' : ''} ${change.entry.state}` : change.type)

t.test('watch tells of VLANs', { skip }, async (t) => {
  const { netns, bridge } = setup(t)
  const watch = bridge.vlans.watch()
  batch(netns, 'bridge', ['vlan add dev p0 vid 10-14', 'vlan set dev p0 vid 12 state blocking', 'vlan add dev p0 vid 11 pvid', 'vlan add dev br0 vid 10 self', 'vlan del dev p0 vid 10-13'])
  run(netns, 'ip', 'link', 'set', 'p0', 'nomaster')
  const seen = (await until(watch, (change) => change.type === 'removed' && change.entry.vid === 14)).map(said)
  t.same(seen.filter((line) => !line.startsWith('removed')), [
    'added p0 10-14 forwarding', 'changed p0 12-12 blocking', 'changed p0 11-11 pvid forwarding', 'changed p0 1-1 forwarding', 'added br0 10-10 forwarding',
  ])
  t.same(seen.filter((line) => line.startsWith('removed')).sort(), [
    'removed p0 1-1 forwarding', 'removed p0 10-10 forwarding', 'removed p0 11-11 pvid forwarding', 'removed p0 12-12 blocking', 'removed p0 13-13 forwarding', 'removed p0 14-14 forwarding',
  ])
  run(netns, 'ip', 'link', 'set', 'p0', 'master', 'br0')
  t.match((await until(watch, (change) => change.type === 'added')).map(said), ['added p0 1-1 pvid forwarding'])
  bridge.delete()
  for await (const change of watch) t.match(said(change), /^removed/)
})
