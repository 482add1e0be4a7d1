// SPDX-License-Identifier: MIT
// Addresses, neighbours, routes and rules: captured messages both ways. The requests are those that ip of iproute2 6.1 sent,
// the answers those of Linux 6.18.

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import { type AddressMessage, decodeAddress, encodeAddress, FOREVER } from '../../lib/wire/address.js'
import { type Input, inputOf, Writer } from '../../lib/wire/bytes.js'
import { decodeNeighbour, encodeNeighbour } from '../../lib/wire/neighbour.js'
import { message, messageAt, type NetlinkMessage } from '../../lib/wire/netlink.js'
import { decodeRoute, encodeRoute, routeShape } from '../../lib/wire/route.js'
import { decodeRule, encodeRule } from '../../lib/wire/rule.js'
import { bytesOf, hexOf, mutations } from './support.js'

function reader<T>(decode: (input: Input, msg: NetlinkMessage) => T) {
  return (bytes: Uint8Array): T => decode(inputOf(bytes), messageAt(inputOf(bytes), 0, bytes.length))
}
function writer<T>(encode: (w: Writer, value: T) => void) {
  return (value: T): Uint8Array => {
    const w = new Writer(16)
    message(w, 0, 0, () => encode(w, value))
    return w.finish().slice()
  }
}
/** Without the message header, whose type, flags and sequence number are the socket's business. */
const body = (bytes: Uint8Array) => hexOf(bytes.subarray(16))

const address = { read: reader(decodeAddress), write: writer<AddressMessage>(encodeAddress) }
const neighbour = { read: reader(decodeNeighbour), write: writer(encodeNeighbour) }
const route = { read: reader(decodeRoute), write: writer(encodeRoute) }
const rule = { read: reader(decodeRule), write: writer(encodeRule) }

// ip addr add 10.0.0.1/24 broadcast 10.0.0.255 label v0:a dev v0 valid_lft 100 preferred_lft 50 metric 7 noprefixroute; ip addr show dev v0
const ADDRESS_V4 = bytesOf(
  '6000000014002200bdaa036b752300000218000003000000080001000a000001080002000a000001080004000a0000ff0900030076303a61000000000800080000020000' +
  '0800090007000000140006003200000064000000d0e30500d0e30500',
)
// ip addr add fd00::1 peer fd00::2/64 dev v0 nodad; ip -6 addr show dev v0
const ADDRESS_V6 = bytesOf(
  '5c00000014002200dcaa036be32c00000a4082000300000014000200fd00000000000000000000000000000114000100fd00000000000000000000000000000214000600' +
  'ffffffffffffffffd7ef0500d7ef05000800080082000000',
)
// ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev v0 nud reachable router extern_learn proto bgp; ip neigh get 10.0.0.7 dev v0
const NEIGHBOUR = bytesOf(
  '540000001c000000dfaa036b332f0000020000000300000002009001080001000a0000070a00020002000000000700000800040000000000140003000800000008000000' +
  '080000000200000005000c00ba000000',
)
// ip route add 10.9.0.0/16 via inet6 fd00::9 dev v0 table 1000 metric 5 mtu lock 1400 rtt 10ms hoplimit 5 congctl cubic features ecn proto bird
// ip route show table 1000
const ROUTE_METRICS = bytesOf(
  '8c00000018002200ddaa036b402e000002100000fc0c00010000000008000f00e8030000080001000a090000080006000500000038000800080001000400000008000200' +
  '78050000080004005000000008000a000500000008000c00010000000a0010006375626963000000160012000a00fd00000000000000000000000000000900000800040003000000',
)
// ip route add 10.8.0.0/16 proto static nexthop via 10.0.0.3 dev v0 weight 2 nexthop via 192.168.5.5 dev v0 onlink; ip route show
const ROUTE_MULTIPATH = bytesOf(
  '5000000018002200beaa036bf824000002100000fe0400010000000008000f00fe000000080001000a080000240009001000000103000000080005000a00000310000400' +
  '0300000008000500c0a80505',
)
// ip -6 route add fd01::/64 via fd00::2 expires 100 pref high metric 3; ip -6 route show
const ROUTE_V6 = bytesOf(
  '8800000018002200dcaa036b932d00000a400000fe0300010000000008000f00fe00000014000100fd010000000000000000000000000000080006000300000014000500' +
  'fd000000000000000000000000000002080004000300000024000c0000000000000000000d27000000000000000000000000000000000000000000000500140001000000',
)
// ip rule add not prio 100 fwmark 1/0xff from 10.0.0.0/8 to 10.1.2.3 iif v0 tos 0x10 table 1000 uidrange 5-6 ipproto tcp sport 80
//   dport 1-1024 suppress_prefixlength 0 protocol bgp; ip rule show
const RULE = bytesOf(
  '9000000020000200c4aa036b0a27000002200810fc0000010200000008000f00e803000008000e000000000005001500ba00000007000300763000000800060064000000' +
  '08000a000100000008001000ff0000000c0014000500000006000000080017005000500006001c00ffff000008001800010000040500160006000000080001000a010203' +
  '080002000a000000',
)

t.test('addresses', async (t) => {
  t.same(address.read(ADDRESS_V4), {
    family: 2, prefixLength: 24, flags: 0x200, scope: 0, index: 3,
    attributes: {
      address: '10.0.0.1', local: '10.0.0.1', broadcast: '10.0.0.255', label: 'v0:a', flags: 0x200, priority: 7,
      cacheInfo: { preferredLifetime: 50, validLifetime: 100, created: 3860, updated: 3860 },
    },
  })
  t.same(address.read(ADDRESS_V6).attributes, {
    local: 'fd00::1', address: 'fd00::2', flags: 0x82, cacheInfo: { preferredLifetime: FOREVER, validLifetime: FOREVER, created: 3890.79, updated: 3890.79 },
  })
  for (const bytes of [ADDRESS_V4, ADDRESS_V6]) {
    const { attributes: { cacheInfo: _, ...attributes }, ...header } = address.read(bytes)
    const again = address.read(address.write({ ...header, attributes }))
    t.same(again, { ...header, attributes })
  }
  // ip -6 addr add fd00::1 peer fd00::2/64 dev v0 nodad; the flags are in the attribute here, in the header there
  const request = '4000000014000506dbaa036b000000000a4002000300000014000200fd00000000000000000000000000000114000100fd000000000000000000000000000002'
  const ours = address.write({ family: 10, prefixLength: 64, flags: 0, scope: 0, index: 3, attributes: { local: 'fd00::1', address: 'fd00::2' } })
  t.equal(body(ours), body(bytesOf(request)).replace('0a4002', '0a4000'))
  t.same(address.read(address.write({
    family: 2, prefixLength: 24, flags: 0, scope: 253, index: 3,
    attributes: { local: '10.0.0.1', cacheInfo: { preferredLifetime: 50, validLifetime: 100, created: 0, updated: 0 }, protocol: 'kernel-ra', flags: 0x200 },
  })).attributes, { local: '10.0.0.1', cacheInfo: { preferredLifetime: 50, validLifetime: 100, created: 0, updated: 0 }, protocol: 'kernel-ra', flags: 0x200 })
})

t.test('neighbours', async (t) => {
  t.same(neighbour.read(NEIGHBOUR), {
    family: 2, index: 3, state: 2, flags: 0x90, type: 1,
    attributes: {
      address: '10.0.0.7', mac: '02:00:00:00:00:07', probes: 0, protocol: 'bgp', cacheInfo: { confirmed: 0.08, used: 0.08, updated: 0.08, references: 2 },
    },
  })
  // ip neigh add 10.0.0.7 lladdr 02:00:00:00:00:07 dev v0 nud reachable router extern_learn proto bgp
  const added = neighbour.read(bytesOf('380000001c000506e0aa036b0000000002000000030000000200900005000c00ba000000080001000a0000070a0002000200000000070000'))
  t.same(added, { family: 2, index: 3, state: 2, flags: 0x90, type: 0, attributes: { address: '10.0.0.7', mac: '02:00:00:00:00:07', protocol: 'bgp' } })
  t.same(neighbour.read(neighbour.write(added)), added)
  // ip neigh add proxy 10.0.0.9 dev v0
  t.equal(
    body(neighbour.write({ family: 2, index: 3, state: 0x80, flags: 8, attributes: { address: '10.0.0.9' } })),
    body(bytesOf('240000001c000506e1aa036b00000000020000000300000080000800080001000a000009')),
  )
  // ip neigh add fd00::9 dev v0 managed
  t.equal(
    body(neighbour.write({ family: 10, index: 3, flags: 0x100, attributes: { address: 'fd00::9' } })),
    body(bytesOf('380000001c000506e2aa036b000000000a000000030000000000000014000100fd00000000000000000000000000000908000f0001000000')),
  )
})

t.test('routes', async (t) => {
  t.same(route.read(ROUTE_METRICS), {
    family: 2, destinationLength: 16, sourceLength: 0, tos: 0, table: 1000, protocol: 12, scope: 0, type: 1, flags: 0,
    attributes: {
      table: 1000, destination: '10.9.0.0', priority: 5, via: 'fd00::9', link: 3,
      metrics: { lock: ['mtu'], mtu: 1400, rtt: 10, hoplimit: 5, features: ['ecn'], ccAlgo: 'cubic' },
    },
  })
  t.same(route.read(ROUTE_MULTIPATH).attributes.nexthops, [
    { flags: 0, hops: 1, index: 3, attributes: { gateway: '10.0.0.3' } }, { flags: 4, hops: 0, index: 3, attributes: { gateway: '192.168.5.5' } },
  ])
  const { cacheInfo, ...v6 } = route.read(ROUTE_V6).attributes
  t.same(v6, { table: 254, destination: 'fd01::', priority: 3, gateway: 'fd00::2', link: 3, pref: 'high' })
  t.same(cacheInfo, { lastUse: 0, expires: 99.97, error: 0, used: 0 })
  for (const bytes of [ROUTE_METRICS, ROUTE_MULTIPATH]) {
    t.same(route.read(route.write(route.read(bytes))), route.read(bytes))
    t.equal(route.write(route.read(bytes)).length, bytes.length)
  }
  // ip route get 8.8.8.8 mark 7
  t.equal(
    body(route.write({ family: 2, destinationLength: 32, flags: 0x1000, attributes: { destination: '8.8.8.8', mark: 7 } })),
    body(bytesOf('2c0000001a000100deaa036b0000000002200000000000000010000008000100080808080800100007000000')),
  )
  // ip -6 route show table main: the same filter, where tables below 256 are in the header
  t.equal(body(route.write({ family: 10, table: 254 })), '0a000000fe00000000000000')
  t.equal(body(route.write({ family: 10, table: 1000 })), '0a0000000000000000000000' + '08000f00e8030000')
})

t.test('wrong values of routes are refused', async (t) => {
  const metrics = (value: object) => () => route.write({ family: 2, attributes: { metrics: value } })
  t.throws(metrics({ mtu: 65521 }), { name: 'RangeError', message: /route\.metrics\.mtu: expected an integer from 0 to 65520/ })
  t.throws(metrics({ rtt: 0.1 }), { name: 'RangeError', message: /multiple of 1\/8/ })
  t.throws(metrics({ lock: ['tmu'] }), { name: 'TypeError', message: /lock.*got "tmu"/ })
  t.throws(metrics({ hoplimit: 256 }), { name: 'RangeError' })
  t.throws(() => route.write({ family: 2, tos: 256 }), { name: 'RangeError', message: /tos/ })
  t.throws(() => route.write({ family: 2, attributes: { nexthops: [] } }), { name: 'TypeError', message: /one nexthop or more/ })
  t.throws(() => route.write({ family: 2, attributes: { encapType: 'vxlan' as 'ip' } }), { name: 'TypeError', message: /mpls/ })
  const bytes = route.write({ family: 2, attributes: { metrics: { mtu: 1400, hoplimit: 3 } } })
  t.equal(routeShape.table.locate(inputOf(bytes), 28, bytes.length, 40), 'metrics.hoplimit')
})

t.test('rules', async (t) => {
  t.same(rule.read(RULE), {
    family: 2, toLength: 32, fromLength: 8, tos: 0x10, table: 1000, action: 1, flags: 2,
    attributes: {
      table: 1000, suppressPrefixLength: 0, protocol: 'bgp', iif: 'v0', priority: 100, fwmark: 1, fwmask: 255, uidRange: [5, 6],
      sourcePorts: [80, 80], sourcePortMask: 0xffff, destinationPorts: [1, 1024], ipProtocol: 'tcp', to: '10.1.2.3', from: '10.0.0.0',
    },
  })
  t.same(rule.read(rule.write(rule.read(RULE))), rule.read(RULE))
  // The request for it, and ip -6 rule add prio 101 from fd00::/8 goto 200
  const requests = [
    '8800000020000506e1aa036b00000000022008100000000102000000080006006400000008000a000100000008001000ff000000080002000a000000080001000a010203' +
    '070003007630000008000f00e80300000c001400050000000600000005001600060000000800170050005000080018000100000408000e000000000005001500ba000000',
    '4000000020000506e2aa036b000000000a0008000000000200000000080006006500000014000200fd00000000000000000000000000000008000400c8000000',
  ].map(bytesOf)
  for (const bytes of requests) {
    t.same(rule.read(rule.write(rule.read(bytes))), rule.read(bytes))
    t.equal(rule.write(rule.read(bytes)).length, bytes.length)
  }
  const attributes = { tunnelId: 2 ** 40 + 5, dscp: 10, flowLabel: 0xfffff, l3mdev: true, suppressInterfaceGroup: 3 }
  t.same(rule.read(rule.write({ family: 10, attributes })).attributes, attributes)
  t.match(body(rule.write({ family: 10, attributes: { tunnelId: 2 ** 40 + 5 } })), '0c000c00' + '0000010000000005')
})

t.test('wrong values of rules are refused', async (t) => {
  const write = (attributes: object) => () => rule.write({ family: 2, attributes })
  t.throws(write({ sourcePorts: [0, 5] }), { name: 'RangeError', message: /sourcePorts\[0\].*1 to 65534/ })
  t.throws(write({ sourcePorts: [9, 5] }), { name: 'RangeError', message: /sourcePorts\[1\]/ })
  t.throws(write({ sourcePorts: 80 }), { name: 'TypeError', message: /first and the last/ })
  t.throws(write({ uidRange: [0, 2 ** 32] }), { name: 'RangeError' })
  t.throws(write({ ipProtocol: 'tpc' }), { name: 'TypeError', message: /got "tpc"/ })
  t.throws(write({ ipProtocol: 256 }), { name: 'RangeError' })
  t.throws(write({ dscp: 64 }), { name: 'RangeError' })
  t.throws(write({ tunnelId: 2 ** 53 }), { name: 'RangeError' })
  t.throws(write({ iif: 'a name that is too long' }), { name: 'TypeError' })
})

t.test('any bytes are an object or a typed error', async () => {
  const survives = (read: (bytes: Uint8Array) => unknown) => (bytes: Uint8Array) => {
    try { read(bytes) } catch (error) {
      if (!(error instanceof NfkitError && error.code === 'EBADMSG')) throw error
    }
  }
  const captured: [(bytes: Uint8Array) => unknown, Uint8Array][] = [
    [address.read, ADDRESS_V4], [address.read, ADDRESS_V6], [neighbour.read, NEIGHBOUR], [route.read, ROUTE_METRICS], [route.read, ROUTE_MULTIPATH],
    [route.read, ROUTE_V6], [rule.read, RULE],
  ]
  for (const [read, bytes] of captured) fc.assert(fc.property(mutations(bytes), survives(read)), { numRuns: 2000 })
  for (const { read } of [address, neighbour, route, rule]) {
    const write = writer<Uint8Array>((w, payload) => w.raw(payload))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (payload) => survives(read)(write(payload))), { numRuns: 2000 })
  }
})

t.test('what comes with a length or a number that nobody expects is kept and written back', async (t) => {
  // The priority in two bytes, an attribute 99, and a table of next hops that runs over its end.
  const odd = '06000600aabb0000' + '08006300' + '01020304' + '0c00090040000001' + '03000000'
  const bytes = writer<Uint8Array>((w, payload) => w.raw(payload))(bytesOf('020000000000000000000000' + odd))
  const { attributes } = route.read(bytes)
  t.same(attributes, {
    unknown: [{ type: 6, data: bytesOf('aabb') }, { type: 99, data: bytesOf('01020304') }, { type: 9, data: bytesOf('4000000103000000') }],
  })
  t.equal(body(route.write({ family: 2, attributes })), body(bytes))
})
