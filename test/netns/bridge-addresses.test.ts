// SPDX-License-Identifier: MIT

import t, { type Test } from 'tap'
import { Bridge, Netns } from '../../lib/index.js'
import { batch, feed, ipJson, run } from '../support/outside.js'

/** Device p0 with addresses of every sort and routes that hang on them, p1 with one address; a bridge without ports. */
function setup(t: Test) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  batch(netns, 'ip', [0, 1].flatMap((i) => [`link add p${i} type veth peer name q${i}`, `link set p${i} up`, `link set q${i} up`]))
  // Addresses without the flag `nodad` that are in use at once.
  netns.writeSysctl('net/ipv6/conf/p0/accept_dad', 0)
  batch(netns, 'ip', [
    'addr add 192.168.7.2/24 brd + dev p0',
    'addr add 192.168.7.3/24 dev p0 label p0:x',
    'addr add 10.9.0.1 peer 10.9.0.2/32 dev p0',
    'addr add 172.31.0.1/16 dev p0 noprefixroute',
    'addr add 10.77.0.1/24 dev p1',
    'addr add 2001:db8::2/64 dev p0',
    'addr add 2001:db8::3/64 dev p0 nodad',
    'addr add 2001:db8:1::2/64 dev p0 valid_lft 1000 preferred_lft 500 nodad',
  ])
  for (let i = 0; i < 50 && run(netns, 'ip', '-6', 'addr', 'show', 'dev', 'p0', 'tentative').includes('2001:'); i++) run(netns, 'sleep', '0.1')
  batch(netns, 'ip', [
    'route add default via 192.168.7.1 dev p0 metric 300 mtu 1400',
    'route add 172.16.0.0/16 via 192.168.7.1 dev p0 table 100 proto 77',
    'route add 172.17.0.0/16 nexthop via 192.168.7.1 dev p0 weight 3 nexthop via 10.77.0.2 dev p1',
    'route add 172.18.0.0/16 via 10.77.0.2 dev p1 src 192.168.7.2',
    'route add 172.19.0.0/16 dev p0 src 192.168.7.3 scope link',
    'route add 172.20.0.0/16 via 172.30.0.1 dev p0 onlink',
    'route add 172.21.0.0/16 via 10.77.0.2 dev p1',
    'route add default via 2001:db8::1 dev p0 metric 77',
    'route add 2001:db8:99::/48 via fe80::5 dev p0 src 2001:db8::2',
    'route add 2001:db8:98::/48 via fe80::7 dev p1 src 2001:db8::2',
    'link add br0 up type bridge',
  ])
  return { netns, bridge: Bridge.open('br0', { netns }) }
}

/** Addresses in their order and routes in any, as `ip` says it; without what runs down, and the kernel's link-local ones. */
function outside(netns: Netns) {
  const [links, everyRoute] = feed(netns, 'addr show\nroute show table all\n', 'ip', '-j', '-d', '-batch', '-').trim().split('\n').map((line) => JSON.parse(line))
  const addresses = Object.fromEntries(links.map(({ ifname, addr_info }: any) => [ifname, addr_info
    .filter(({ scope }: any) => scope !== 'link')
    .map(({ valid_life_time, preferred_life_time, ...rest }: any) => ({ ...rest, finite: valid_life_time < 0xffffffff }))]))
  const flags = Object.fromEntries(links.filter(({ ifname }: any) => /^p/.test(ifname)).map(({ ifname, flags, master = 'none' }: any) =>
    [ifname, `${flags.filter((flag: string) => ['UP', 'PROMISC'].includes(flag)).join()} ${master}`]))
  const routes = everyRoute
    .filter(({ dst, type, table }: any) => type !== 'multicast' && table !== 'local' && !/^f[ef]/.test(dst))
    .map(({ expires, flags, used, cache: _cache, ...rest }: any) => ({
      ...rest, flags: flags.filter((flag: string) => flag !== 'linkdown'), expires: expires !== undefined,
      ...(rest.nexthops === undefined ? {} : { nexthops: rest.nexthops.map(({ flags: _flags, ...nexthop }: any) => nexthop) }),
    }))
    .map((route: object) => JSON.stringify(route)).sort()
  return { addresses, routes, flags }
}

/** The same as `of` but on another device. */
function moved(of: ReturnType<typeof outside>, from: string, to: string): ReturnType<typeof outside> {
  const text = (value: unknown) => JSON.stringify(value).replaceAll(`"${from}"`, `"${to}"`).replaceAll(`"${from}:`, `"${to}:`)
  const { [from]: addresses, ...others } = of.addresses
  return {
    addresses: { ...others, [from]: [], [to]: JSON.parse(text(addresses)) },
    routes: of.routes.map((route: string) => JSON.stringify(JSON.parse(text(JSON.parse(route))))).sort(),
    flags: { ...of.flags, [from]: `PROMISC,UP ${to}` },
  }
}

t.test('a device with addresses is refused', (t) => {
  const { netns, bridge } = setup(t)
  const before = outside(netns)
  t.throws(() => bridge.addPort('p0'), {
    code: 'NFKIT_PORT_HAS_ADDRESSES', message: /p0 has addresses.*192\.168\.7\.2\/24.*2001:db8::2\/64.*'move'.*'drop'.*'keep'/,
  })
  t.same(outside(netns), before)
  run(netns, 'ip', 'addr', 'flush', 'dev', 'p1', 'scope', 'global')
  t.match(bridge.addPort('p1'), { addressesDropped: [] }, 'IPv6 link-local addresses do not count')
  t.end()
})

t.test('keep leaves them where they are', (t) => {
  const { netns, bridge } = setup(t)
  const before = outside(netns)
  t.match(bridge.addPort('p0', { addresses: 'keep' }), { addressesMoved: [], addressesDropped: [], routesMoved: [] })
  t.same(outside(netns), { ...before, flags: { ...before.flags, p0: 'PROMISC,UP br0' } })
  t.end()
})

t.test('move gives the bridge the addresses and their routes, and restore gives them back', (t) => {
  const { netns, bridge } = setup(t)
  const before = outside(netns)
  const added = bridge.addPort('p0', { addresses: 'move' })
  t.same(outside(netns), moved(before, 'p0', 'br0'))
  t.same(added.addressesMoved.map(({ address }) => address).sort(), [
    '10.9.0.1/32', '172.31.0.1/16', '192.168.7.2/24', '192.168.7.3/24', '2001:db8:1::2/64', '2001:db8::2/64', '2001:db8::3/64',
  ])
  t.same(added.routesMoved.map(({ destination }) => destination).sort(), [
    '172.16.0.0/16', '172.17.0.0/16', '172.18.0.0/16', '172.19.0.0/16', '172.20.0.0/16', '2001:db8:98::/48', '2001:db8:99::/48', 'default', 'default',
  ])
  t.same(added.addressesDropped, [])
  t.same(JSON.parse(JSON.stringify(added)), added, 'plain')

  bridge.removePort('p0', { restore: JSON.parse(JSON.stringify(added)) })
  t.same(outside(netns), before)
  t.end()
})

t.test('drop takes them away, and restore gives them back', (t) => {
  const { netns, bridge } = setup(t)
  const before = outside(netns)
  const added = bridge.addPort('p0', { addresses: 'drop' })
  const { addresses, routes } = outside(netns)
  t.same(addresses['p0'], [])
  t.same(addresses['br0'], [])
  t.same(routes.map((route: string) => JSON.parse(route).dst).sort(), ['10.77.0.0/24', '172.21.0.0/16', '2001:db8:98::/48'], 'what does not hang on them stays')
  t.match([added.addressesDropped.length, added.addressesMoved.length], [7, 0])
  bridge.removePort('p0', { restore: added })
  t.same(outside(netns), before)
  t.end()
})

t.test('any step that fails leaves everything as it was', (t) => {
  const { netns, bridge } = setup(t)
  const cases: [what: string, prepare: string, undo: string, options: object, code: string][] = [
    // Refused when the last address is added: the bridge has it.
    ['an address of the bridge', 'addr add 2001:db8::3/64 dev br0 nodad', 'addr del 2001:db8::3/64 dev br0', {}, 'EEXIST'],
    // Refused when the first address is added.
    ['the first address', 'addr add 192.168.7.2/24 dev br0', 'addr del 192.168.7.2/24 dev br0', {}, 'EEXIST'],
    // Refused when routes are added: the bridge is down.
    ['routes through a bridge that is down', 'link set br0 down', 'link set br0 up', {}, 'ENETDOWN'],
    ['a port setting', 'link set br0 type bridge stp_state 1', 'link set br0 type bridge stp_state 0', { state: 'forwarding' }, 'EBUSY'],
  ]
  for (const [what, prepare, undo, options, code] of cases) {
    run(netns, 'ip', ...prepare.split(' '))
    const before = outside(netns)
    t.throws(() => bridge.addPort('p0', { addresses: 'move', ...options }), { code }, what)
    t.same(outside(netns), before, what)
    run(netns, 'ip', ...undo.split(' '))
  }
  t.end()
})

t.test('routes with nexthop objects are refused before anything is done', (t) => {
  const { netns, bridge } = setup(t)
  batch(netns, 'ip', ['nexthop add id 7 via 192.168.7.1 dev p0', 'route add 172.30.0.0/16 nhid 7'])
  const before = outside(netns)
  t.throws(() => bridge.addPort('p0', { addresses: 'move' }), { code: 'NFKIT_ROUTE_NOT_MOVABLE', message: /172\.30\.0\.0\/16.*7/ })
  t.same(outside(netns), before)
  t.end()
})

t.test('an address that was in use stays in use: it answers at once', (t) => {
  const netns = Netns.create()
  const far = Netns.create()
  t.teardown(() => { netns.close(); far.close() })
  batch(netns, 'ip', [`link add p0 type veth peer name q0 netns ${far.path}`, 'link set p0 up'])
  batch(far, 'ip', ['link set q0 up', 'addr add 192.168.7.1/24 dev q0', 'addr add 2001:db8::1/64 dev q0 nodad'])
  netns.writeSysctl('net/ipv6/conf/p0/accept_dad', 0)
  batch(netns, 'ip', ['addr add 192.168.7.2/24 dev p0', 'addr add 2001:db8::2/64 dev p0'])
  t.equal(run(far, 'ping', '-c', '1', '-W', '3', '192.168.7.2').includes(' 0% packet loss'), true)
  const bridge = Bridge.create('br0', { netns, stp: { enabled: false, forwardDelay: 0 } })
  bridge.addPort('p0', { addresses: 'move' })
  t.notOk(ipJson(netns, 'addr', 'show', 'dev', 'br0')[0].addr_info.some((address: any) => address.tentative && address.scope === 'global'))
  t.equal(run(far, 'ping', '-c', '1', '-W', '3', '192.168.7.2').includes(' 0% packet loss'), true)
  t.equal(run(far, 'ping', '-6', '-c', '1', '-W', '3', '2001:db8::2').includes(' 0% packet loss'), true)
  t.end()
})

t.test('addresses of the bridge', (t) => {
  const { netns, bridge } = setup(t)
  bridge.addAddress('192.168.0.1/24', { broadcast: 'auto' })
  bridge.addAddress('2001:db8:5::1/64', { flags: ['nodad'] })
  t.match(ipJson(netns, 'addr', 'show', 'dev', 'br0')[0].addr_info, [
    { local: '192.168.0.1', prefixlen: 24, broadcast: '192.168.0.255' }, { local: '2001:db8:5::1', prefixlen: 64 },
  ])
  t.match(bridge.addresses(), [{ address: '192.168.0.1/24', link: bridge.index }, { address: '2001:db8:5::1/64' }])
  t.throws(() => bridge.addAddress('192.168.0.1/24'), { code: 'EEXIST' })
  t.throws(() => bridge.addAddress('192.168.0.1/33'), { name: 'TypeError' })
  bridge.removeAddress('192.168.0.1/24')
  t.throws(() => bridge.removeAddress('192.168.0.1/24'), { code: 'EADDRNOTAVAIL' })
  t.same(ipJson(netns, 'addr', 'show', 'dev', 'br0')[0].addr_info.filter(({ family }: any) => family === 'inet'), [])
  t.end()
})
