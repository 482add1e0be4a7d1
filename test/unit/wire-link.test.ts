// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import { inputOf, Writer } from '../../lib/wire/bytes.js'
import { addrGenModeOf, decodeLink, encodeLink, IFF, type LinkRequest, linkShape, linkStatistics } from '../../lib/wire/link.js'
import { linkKinds } from '../../lib/wire/link-kinds/registry.js'
import { message, messageAt } from '../../lib/wire/netlink.js'
import { CAPTURED_LINK } from './captured-link.js'
import { bytesOf, hexOf, mutations } from './support.js'

const decode = (bytes: Uint8Array) => decodeLink(inputOf(bytes), messageAt(inputOf(bytes), 0, bytes.length))

function request(value: LinkRequest): Uint8Array {
  const w = new Writer()
  message(w, 16, 0, () => encodeLink(w, value))
  return w.finish().slice()
}
/** Without the message header, whose sequence number differs. */
const body = (bytes: Uint8Array) => hexOf(bytes.subarray(16))

t.test('every attribute of a real link has a name', async (t) => {
  const link = decode(bytesOf(CAPTURED_LINK))
  t.equal(link.family, 0)
  t.equal(link.hardwareType, 1)
  t.equal(link.index, 3)
  t.equal(link.flags & IFF.up, IFF.up)
  const { attributes } = link
  t.notOk('unknown' in attributes, 'nothing is unknown')
  t.match(attributes, {
    name: 'v0', alias: 'to the west', mac: '02:00:00:00:00:01', broadcast: 'ff:ff:ff:ff:ff:ff', mtu: 1500, minMtu: 68, maxMtu: 65535, link: 2, master: 4,
    qdisc: 'noqueue', txQueueLength: 1000, operationalState: 'up', linkMode: 'default', group: 0, promiscuity: 1, carrier: true,
    alternativeNames: ['long-name-for-v0'], carrierUpCount: 1, protocolDown: false, netnsImmutable: false,
    kindInfo: { kind: 'veth', masterKind: 'bridge' },
  })
  t.match(attributes.kindInfo?.masterData, { learning: true })
  t.equal(addrGenModeOf(attributes.familySpec!), 'eui64')
})

t.test('counters are exact as BigInt', async (t) => {
  const { statistics } = decode(bytesOf(CAPTURED_LINK)).attributes
  t.equal(statistics!.length, 25 * 8)
  t.equal(linkStatistics(statistics!).rxPackets, 1)
  t.equal(linkStatistics(statistics!).txPackets > 0, true)
  const huge = new Uint8Array(25 * 8)
  new DataView(huge.buffer).setBigUint64(2 * 8, 2n ** 60n + 1n, true)
  t.equal(linkStatistics(huge, true).rxBytes, 2n ** 60n + 1n)
  t.equal(linkStatistics(huge).rxBytes, 2 ** 60)
  // Linux before 5.19 has one counter less, before 4.6 two.
  t.notOk('rxOtherHostDropped' in linkStatistics(huge.subarray(0, 24 * 8)))
})

t.test('requests are those of iproute2', async (t) => {
  // ip link add v2 address 02:00:00:00:00:03 mtu 1400 type veth peer name v3 address 02:00:00:00:00:04
  const veth = decode(bytesOf(
    '7400000010000506c4aa036b00000000000000000000000000000000000000000a0001000200000000030000080004007805000007000300763200003800120008000100' +
    '766574682c00020028000100000000000000000000000000000000000a00010002000000000400000700030076330000',
  ))
  const wanted = {
    name: 'v2', mac: '02:00:00:00:00:03', mtu: 1400,
    kindInfo: { kind: 'veth', data: { peer: { index: 0, flags: 0, change: 0, attributes: { name: 'v3', mac: '02:00:00:00:00:04' } } } },
  }
  t.same(veth.attributes, wanted)
  t.same(decode(request({ attributes: wanted })).attributes, wanted)
  t.equal(request({ attributes: wanted }).length, 0x74 + 4, 'four more: the kind ends with a NUL')

  // ip link add link v0 name v5 type vlan proto 802.1ad id 5 reorder_hdr off gvrp on ingress-qos-map 1:2 egress-qos-map 9:3
  const vlan = bytesOf(
    '7c00000010000506e3aa036b0000000000000000000000000000000000000000080005000300000007000300763500004c00120008000100766c616e4000020006000500' +
    '88a800000600010005000000100004000c0001000100000002000000100003000c00010009000000030000000c0002000200000003000000',
  )
  t.same(decode(vlan).attributes, {
    name: 'v5', link: 3,
    kindInfo: {
      kind: 'vlan',
      data: {
        id: 5, protocol: '802.1ad', ingressQos: [{ from: 1, to: 2 }], egressQos: [{ from: 9, to: 3 }],
        flags: { reorderHeader: false, gvrp: true, looseBinding: false, mvrp: false, bridgeBinding: false },
      },
    },
  })
  const flags = { reorderHeader: false, gvrp: true }
  const again = request({ attributes: { name: 'v5', link: 3, kindInfo: { kind: 'vlan', data: { id: 5, flags } } } })
  t.match(hexOf(again), /0c00020002000000 03000000/.source.replace(' ', ''), 'the flags and which of them are meant')

  // ip link add link v0 name m0 type macvlan mode passthru nopromisc
  const macvlan = bytesOf(
    '5400000010000506e3aa036b00000000000000000000000000000000000000000800050003000000070003006d300000240012000b0001006d6163766c616e0014000200' +
    '08000100080000000600020001000000',
  )
  t.same(decode(macvlan).attributes, { name: 'm0', link: 3, kindInfo: { kind: 'macvlan', data: { mode: 'passthru', flags: ['nopromisc'] } } })
  t.same(decode(request({ attributes: decode(macvlan).attributes })).attributes, decode(macvlan).attributes)

  // ip link set v0 addrgenmode none; nested attributes carry the flag that says so, which ip leaves out
  const addrgenmode = '3000000010000500e4aa036b000000000000000003000000000000000000000010001a000c000a000500080001000000'
  t.equal(body(request({ index: 3, addrGenMode: 'none' })), body(bytesOf(addrgenmode)).replace('10001a00', '10001a80').replace('0c000a00', '0c000a80'))

  // ip link set v0 down promisc on arp off alias hi txqueuelen 5
  const set = '3000000010000500e4aa036b0000000000000000030000008001000081010000060014006869000008000d0005000000'
  const ours = request({
    index: 3, flags: IFF.promiscuous | IFF.noArp, change: IFF.up | IFF.promiscuous | IFF.noArp, attributes: { alias: 'hi', txQueueLength: 5 },
  })
  t.equal(body(ours).slice(0, 32), body(bytesOf(set)).slice(0, 32), 'flags and which of them are meant')
  t.match(body(ours), '08000d0005000000')
})

t.test('refused attributes have their names', async (t) => {
  const bytes = request({ attributes: { name: 'v0', mtu: 9, kindInfo: { kind: 'veth', data: { peer: { attributes: { mtu: 7 } } } } } })
  const names = new Set<string>()
  for (let offset = 32; offset < bytes.length; offset += 4) {
    const name = linkShape.table.locate(inputOf(bytes), 32, bytes.length, offset)
    if (name !== undefined) names.add(name)
  }
  t.same([...names].sort(), ['kindInfo', 'kindInfo.data', 'kindInfo.kind', 'kindInfo.peer', 'kindInfo.peer.mtu', 'mtu', 'name'])
})

t.test('wrong values are refused', async (t) => {
  const data = (kind: string, value: object) => () => request({ attributes: { kindInfo: { kind, data: value } } })
  t.throws(data('vlan', { id: 4095 }), { name: 'RangeError', message: /id: expected an integer from 0 to 4094, got 4095/ })
  t.throws(data('vlan', { id: '5' }), { name: 'TypeError' })
  t.throws(data('vlan', { protocol: 'qinq' }), { name: 'TypeError', message: /802\.1ad/ })
  t.throws(data('vlan', { flags: { gvpr: true } }), { name: 'TypeError', message: /gvrp.*got "gvpr"/ })
  t.throws(data('vlan', { flags: { gvrp: 1 } }), { name: 'TypeError', message: /flags\.gvrp/ })
  t.throws(data('vlan', { egressQos: [{ from: 1, to: 8 }] }), { name: 'RangeError', message: /egressQos\[0\]\.to/ })
  t.throws(data('vlan', { egressQos: [null] as unknown as object[] }), { name: 'TypeError' })
  t.throws(data('macvlan', { mode: 'bridged' }), { name: 'TypeError', message: /private, vepa/ })
  t.throws(data('macvlan', { flags: ['nopromiscuous'] }), { name: 'TypeError' })
  t.throws(data('macvlan', { macAddressCount: 1 }), { name: 'TypeError', message: /read-only/ })
  t.throws(data('dummy', { anything: 1 }), { name: 'TypeError', message: /no table for this kind/ })
  t.throws(data('constructor', { anything: 1 }), { name: 'TypeError', message: /no table for this kind/ })
  t.throws(() => request({ attributes: { kindInfo: { kind: 'a kind' } } }), { name: 'TypeError' })
})

t.test('attributes of unknown kinds are bytes, both ways', async (t) => {
  const data = bytesOf('0800010005000000')
  const attributes = { kindInfo: { kind: 'wormhole', data, unknown: [{ type: 3, data: bytesOf('01020304') }] } }
  t.same(decode(request({ attributes })).attributes, attributes)
})

t.test('any bytes are a link or a typed error', async () => {
  const readAll = (bytes: Uint8Array) => {
    try {
      const { attributes: { familySpec, statistics } } = decode(bytes)
      if (familySpec !== undefined) addrGenModeOf(familySpec)
      if (statistics !== undefined) linkStatistics(statistics, true)
    } catch (error) {
      if (!(error instanceof NfkitError && error.code === 'EBADMSG')) throw error
    }
  }
  fc.assert(fc.property(mutations(bytesOf(CAPTURED_LINK)), readAll), { numRuns: 2000 })
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (payload) => {
    const w = new Writer()
    message(w, 16, 0, () => w.raw(payload))
    readAll(w.finish().slice())
  }), { numRuns: 2000 })
})

t.test('kinds have one table each', async (t) => {
  const kinds = linkKinds({ decode: () => undefined, encode: () => {} })
  t.same([...kinds.keys()].sort(), ['bridge', 'macvlan', 'veth', 'vlan'])
})
