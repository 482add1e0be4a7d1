// SPDX-License-Identifier: MIT

import t, { type Test } from 'tap'
import { Bridge, type BridgeOptions, Link, Netns, type PortSettings } from '../../lib/index.js'
import { batch, bridgeJson, ipJson, run, waitUntilUp } from '../support/outside.js'

/** A bridge, and devices p0, p1, p2 whose peers q0, q1, q2 are up. */
function setup(t: Test, options: BridgeOptions = {}) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  batch(netns, 'ip', [0, 1, 2].flatMap((i) => [`link add p${i} type veth peer name q${i}`, `link set q${i} up`]))
  return { netns, bridge: Bridge.create('br0', { netns, ...options }) }
}

const outside = (netns: Netns, name: string) => ipJson(netns, 'link', 'show', name)[0]
/** What `ip -d link show` says of a port, without its timers. */
const data = (netns: Netns, name: string) =>
  Object.fromEntries(Object.entries<unknown>(outside(netns, name).linkinfo.info_slave_data).filter(([key]) => !key.endsWith('_timer')))

t.test('addPort does what brctl addif and ifconfig promisc up did, and says what it changed', (t) => {
  const { netns, bridge } = setup(t)
  run(netns, 'ip', 'link', 'set', 'p1', 'up', 'promisc', 'on')
  const index = outside(netns, 'p0').ifindex
  const nothing = { addressesMoved: [], addressesDropped: [], routesMoved: [], routesDropped: [] }
  t.same(bridge.addPort('p0'), { port: 'p0', index, wasUp: false, wasPromiscuous: false, ...nothing })
  t.match(bridge.addPort(outside(netns, 'p1').ifindex), { port: 'p1', wasUp: true, wasPromiscuous: true, ...nothing })
  for (const name of ['p0', 'p1']) {
    const link = outside(netns, name)
    t.equal(link.master, 'br0')
    t.ok(link.flags.includes('UP') && link.flags.includes('PROMISC'), `${name}: ${link.flags}`)
  }
  bridge.addPort('p2', { up: false, promiscuous: false })
  t.equal(outside(netns, 'p2').master, 'br0')
  t.notOk(['UP', 'PROMISC'].some((flag) => outside(netns, 'p2').flags.includes(flag)))

  bridge.removePort('p0')
  t.equal(outside(netns, 'p0').master, undefined)
  t.ok(outside(netns, 'p0').flags.includes('UP'), 'otherwise it stays as it is')
  const added = bridge.addPort('p0', { up: false })
  t.equal(added.wasUp, true)
  run(netns, 'ip', 'link', 'set', 'p0', 'promisc', 'off')
  bridge.removePort('p0', { restore: { ...added, wasUp: false, wasPromiscuous: true } })
  const { flags } = outside(netns, 'p0')
  t.ok(flags.includes('PROMISC') && !flags.includes('UP'), 'restore says what it was')
  t.same(bridge.ports().map(({ name }) => name), ['p1', 'p2'])
  t.end()
})

t.test('what cannot be a port is refused and left as it was', (t) => {
  const { netns, bridge } = setup(t)
  const other = Bridge.create('br1', { netns })
  other.addPort('p0')
  t.throws(() => bridge.addPort('p0'), { code: 'EBUSY', message: /another master/ })
  t.equal(outside(netns, 'p0').master, 'br1', 'the kernel would have moved it')
  t.throws(() => other.addPort('p0'), { code: 'EBUSY', message: /already/ })
  t.throws(() => bridge.addPort('nothing'), { code: 'ENODEV' })
  t.throws(() => bridge.addPort('br1'), { code: 'ELOOP' })
  t.throws(() => bridge.addPort('lo', { addresses: 'keep' }), { code: 'EINVAL' })
  t.notOk(outside(netns, 'lo').flags.includes('UP'))
  t.throws(() => bridge.removePort('p0'), { code: 'NFKIT_NOT_A_PORT' })
  t.throws(() => bridge.setPort('p1', { cost: 4 }), { code: 'NFKIT_NOT_A_PORT' })
  t.throws(() => bridge.setPort('nothing', { cost: 4 }), { code: 'ENODEV' })
  for (const [wrong, name] of [[undefined, 'TypeError'], ['', 'TypeError'], [0, 'RangeError'], ['a b', 'TypeError'], [{}, 'TypeError']] as const) {
    t.throws(() => bridge.addPort(wrong as never), { name })
    t.throws(() => bridge.removePort(wrong as never), { name })
  }
  t.same(bridge.ports(), [])
  t.end()
})

t.test('addPort that fails on its last step leaves the device as it was', (t) => {
  // The kernel runs STP, so it refuses to have a state set: after it is a port, up and promiscuous.
  const { netns, bridge } = setup(t, { stp: { enabled: true } })
  const before = outside(netns, 'p0')
  t.throws(() => bridge.addPort('p0', { cost: 7, state: 'forwarding' }), { code: 'EBUSY', message: /runs STP/ })
  const after = outside(netns, 'p0')
  for (const said of [before, after]) for (const key of ['qdisc', 'operstate']) delete said[key]
  t.same(after, before)
  t.same(bridge.ports(), [])
  t.end()
})

const compare = (release: string, since: string) => {
  const [a, b] = [release, since].map((text) => text.split('.').slice(0, 2).map(Number))
  return a![0]! > b![0]! || (a![0] === b![0] && a![1]! >= b![1]!)
}

/** One setting, its value, and what `ip` calls it and says then. */
const CASES: [setting: keyof PortSettings, value: unknown, key: string, said: unknown][] = [
  ['state', 'disabled', 'state', 'disabled'],
  ['priority', 63, 'priority', 63],
  ['cost', 65535, 'cost', 65535],
  ['hairpin', true, 'hairpin', true],
  ['guard', true, 'guard', true],
  ['protect', true, 'root_block', true],
  ['fastLeave', true, 'fastleave', true],
  ['learning', false, 'learning', false],
  ['unicastFlood', false, 'flood', false],
  ['multicastFlood', false, 'mcast_flood', false],
  ['broadcastFlood', false, 'bcast_flood', false],
  ['multicastToUnicast', true, 'mcast_to_unicast', true],
  ['multicastRouter', 'permanent', 'multicast_router', 2],
  ['multicastRouter', 'temporary', 'multicast_router', 3],
  ['multicastRouter', 'disabled', 'multicast_router', 0],
  ['proxyarp', true, 'proxy_arp', true],
  ['proxyarpWifi', true, 'proxy_arp_wifi', true],
  ['neighbourSuppress', true, 'neigh_suppress', true],
  ['vlanTunnel', true, 'vlan_tunnel', true],
  ['isolated', true, 'isolated', true],
  ['locked', true, 'locked', true],
  ['groupForwardMask', 0xfffd, 'group_fwd_mask', '0xfffd'],
]

t.test('every setting reaches the kernel and comes back', (t) => {
  const { netns, bridge } = setup(t)
  bridge.addPort('p2')
  const before = data(netns, 'p2')
  // A carrier that comes makes a port forward, whatever its state was (br_port_carrier_check, net/bridge/br_if.c).
  batch(netns, 'ip', ['link set p0 up', 'link set p1 up'])
  waitUntilUp(netns, 'p0', 'p1')
  // A setting with several values takes several rounds.
  const roundOf = (i: number) => CASES.slice(0, i).filter(([name]) => name === CASES[i]![0]).length
  for (const round of [0, 1, 2]) {
    const cases = CASES.filter((_case, i) => roundOf(i) === round)
    const settings = Object.fromEntries(cases.map(([name, value]) => [name, value]))
    bridge.addPort('p0', settings)
    bridge.addPort('p1')
    bridge.setPort('p1', settings)
    for (const port of ['p0', 'p1']) {
      const said = data(netns, port)
      const listed = bridge.ports().find(({ name }) => name === port)!
      for (const [name, value, key, expected] of cases) {
        t.ok(key in before && before[key] !== expected, `${name}: ${key} is another one by default`)
        t.same(said[key], expected, `${name}: ip says ${key} ${String(expected)}`)
        t.same(listed[name], value, `${name} is read back`)
      }
      bridge.removePort(port)
    }
  }
  // One by one, and no other changes with it.
  bridge.addPort('p0')
  for (const [name, value] of CASES) {
    const was = bridge.ports().at(-1)!
    bridge.setPort('p0', { [name]: value })
    const is = bridge.ports().at(-1)!
    t.same(is[name], value, `${name} alone`)
    t.same(CASES.filter(([other]) => other !== name && was[other] !== is[other]), [], `${name} and nothing else`)
    bridge.setPort('p0', { [name]: was[name] })
    t.same(bridge.ports().at(-1)![name], was[name], `${name} back`)
  }
  t.end()
})

t.test('settings of newer kernels: taken, or refused by name', (t) => {
  const { netns, bridge } = setup(t)
  bridge.addPort('p0', { locked: true })
  const port = () => bridge.ports()[0]!
  for (const [name, value, since] of [['mab', true, '6.2'], ['multicastMaxGroups', 9, '6.3'], ['neighbourVlanSuppress', true, '6.4'], ['backupNexthop', 7, '6.6']] as const) {
    const known = name === 'backupNexthop' ? port().neighbourVlanSuppress !== undefined && compare(run(netns, 'uname', '-r'), since) : port()[name] !== undefined
    if (known) {
      bridge.setPort('p0', { [name]: value })
      t.equal(port()[name], value, name)
    } else t.throws(() => bridge.setPort('p0', { [name]: value }), { code: 'NFKIT_KERNEL_TOO_OLD', message: new RegExp(`Linux ${since.replace('.', '\\.')}`) }, name)
  }
  bridge.setPort('p0', { multicastEhtHostsLimit: 33 })
  t.equal(port().multicastEhtHostsLimit, 33)
  t.end()
})

t.test('the backup port by name', (t) => {
  const { netns, bridge } = setup(t)
  for (const name of ['p0', 'p1']) bridge.addPort(name)
  bridge.setPort('p0', { backupPort: 'p1' })
  t.equal(data(netns, 'p0').backup_port, 'p1')
  t.equal(bridge.ports()[0]!.backupPort, 'p1')
  bridge.setPort('p0', { backupPort: null })
  t.equal(data(netns, 'p0').backup_port, undefined)
  t.equal(bridge.ports()[0]!.backupPort, undefined)
  t.throws(() => bridge.setPort('p0', { backupPort: 'nothing' }), { code: 'ENODEV' })
  t.end()
})

t.test('a setting that the kernel refuses takes the others back', (t) => {
  const { netns, bridge } = setup(t)
  bridge.addPort('p0', { hairpin: true, cost: 9, isolated: true })
  const before = data(netns, 'p0')
  // Refused at its end: the port is no port of this bridge that could back it up.
  t.throws(() => bridge.setPort('p0', { hairpin: false, cost: 10, isolated: false, learning: false, priority: 1, state: 'disabled', backupPort: 'q2' }), { code: 'ENOENT' })
  t.same(data(netns, 'p0'), before)
  t.throws(() => bridge.setPort('p0', { cost: 10, state: 'blocking' }), { code: 'NFKIT_STATE_NOT_KEPT', message: /from blocking to forwarding/ })
  t.match(data(netns, 'p0'), { cost: 9, state: 'forwarding' })
  run(netns, 'ip', 'link', 'set', 'q0', 'down')
  // The kernel notices a lost carrier a little later.
  for (let i = 0; i < 50 && outside(netns, 'p0').operstate === 'UP'; i++) run(netns, 'sleep', '0.1')
  t.throws(() => bridge.setPort('p0', { cost: 11, state: 'forwarding' }), { code: 'ENETDOWN', message: /carrier/ })
  t.match(data(netns, 'p0'), { cost: 9 })
  t.end()
})

t.test('wrong settings are refused before anything is done', (t) => {
  const { netns, bridge } = setup(t)
  bridge.addPort('p0')
  const wrong: [settings: unknown, error: { name: string; message?: RegExp }][] = [
    [{ state: 'on' }, { name: 'TypeError', message: /state: expected one of disabled, listening, learning, forwarding, blocking, got "on"/ }],
    [{ priority: 64 }, { name: 'RangeError', message: /priority: expected an integer from 0 to 63, got 64/ }],
    [{ cost: 0 }, { name: 'RangeError', message: /cost: expected an integer from 1 to 65535/ }],
    [{ cost: 65536 }, { name: 'RangeError' }],
    [{ cost: 1.5 }, { name: 'RangeError' }],
    [{ cost: '7' }, { name: 'TypeError' }],
    [{ hairpin: 1 }, { name: 'TypeError', message: /hairpin: expected true or false/ }],
    [{ groupForwardMask: 2 }, { name: 'RangeError' }],
    [{ multicastEhtHostsLimit: 0 }, { name: 'RangeError' }],
    [{ multicastRouter: 'yes' }, { name: 'TypeError' }],
    [{ backupPort: '' }, { name: 'TypeError' }],
    [{ backupPort: -1 }, { name: 'RangeError' }],
    [{ hairPin: true }, { name: 'TypeError', message: /"hairPin"/ }],
    [{ number: 3 }, { name: 'TypeError' }],
  ]
  const before = data(netns, 'p0')
  for (const [settings, error] of wrong) {
    t.throws(() => bridge.setPort('p0', settings as PortSettings), error, JSON.stringify(settings))
    t.throws(() => bridge.addPort('p1', settings as PortSettings), error)
  }
  t.throws(() => bridge.addPort('p1', { addresses: 'remove' as never }), { name: 'TypeError', message: /move, drop or keep/ })
  t.throws(() => bridge.addPort('p1', { promiscuous: 1 as never }), { name: 'TypeError' })
  t.throws(() => bridge.addPort('p1', null as never), { name: 'TypeError' })
  t.same(data(netns, 'p0'), before)
  t.equal(outside(netns, 'p1').master, undefined)
  t.end()
})

t.test('ports are listed with everything that the kernel reports', (t) => {
  const { netns, bridge } = setup(t, { stp: { enabled: true, forwardDelay: 4 }, mac: '02:00:5e:10:00:07' })
  bridge.addPort('p1')
  bridge.addPort('p0', { cost: 12 })
  const [first, second, ...rest] = bridge.ports()
  t.same([first!.name, second!.name, rest.length], ['p1', 'p0', 0], 'in the order of their numbers')
  const said = data(netns, 'p0')
  const link = outside(netns, 'p0')
  t.match(second, {
    index: link.ifindex, mac: link.address, up: true, running: true, promiscuous: true, promiscuity: 2, number: 2, id: 0x8002, state: said.state,
    cost: 12, priority: 32, designatedPort: said.designated_port, designatedCost: said.designated_cost,
    designatedRoot: { priority: 32768, mac: '02:00:5e:10:00:07' }, designatedBridge: { priority: 32768, mac: '02:00:5e:10:00:07' },
    topologyChangeAck: false, configPending: said.config_pending === 1,
  })
  t.ok(second!.timers.forwardDelay > 0 && second!.timers.forwardDelay <= 4, `forward delay timer ${second!.timers.forwardDelay}`)
  t.equal(second!.unknown, undefined, 'every attribute has a name')
  t.same(JSON.parse(JSON.stringify(second)), second, 'plain')
  t.same(bridgeJson(netns, 'link', 'show').map(({ ifname, state }) => [ifname, state]).sort(), [['p0', 'listening'], ['p1', 'listening']])
  const other = Bridge.create('br1', { netns })
  other.addPort('p2')
  t.same(bridge.ports().length, 2, 'not the ports of others')
  Link.delete('p1', { netns })
  t.same(bridge.ports().map(({ name }) => name), ['p0'])
  t.end()
})
