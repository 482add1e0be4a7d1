// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import { decodeBridgeInfo } from '../../lib/wire/bridge-info.js'
import { encodeBridgePort, portAttributes } from '../../lib/wire/bridge-port.js'
import { inputOf, Writer } from '../../lib/wire/bytes.js'
import { type BridgeAttributes, bridgeAttributes } from '../../lib/wire/link-kinds/bridge.js'
import { type BridgePortAttributes, bridgePortAttributes } from '../../lib/wire/link-kinds/bridge-port.js'
import { decodeLink } from '../../lib/wire/link.js'
import { message, messageAt } from '../../lib/wire/netlink.js'

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const bridge = (bytes: Uint8Array) => bridgeAttributes.decode(inputOf(bytes), 0, bytes.length)
const port = (bytes: Uint8Array) => bridgePortAttributes.decode(inputOf(bytes), 0, bytes.length)
const encoded = (write: (w: Writer) => void) => { const w = new Writer(); write(w); return w.finish() }

// Captured from Linux 6.18, the payload of IFLA_INFO_DATA of br0 and of IFLA_INFO_SLAVE_DATA of p0:
//   ip link add br0 address 02:00:5e:10:00:01 up type bridge stp_state 1 forward_delay 400 mcast_igmp_version 3 mcast_querier 1
//   ip link add p0 address 02:00:5e:10:00:02 type veth peer name q0; ip link set q0 up; ip link set p0 up master br0
//   ip link set p0 type bridge_slave cost 7 hairpin on
const BRIDGE =
  '0c001000be000000000000000c00110000000000000000000c00120000000000000000000c0013000000000000000000080001009001000008000200c800000008000300d007000008000400' +
  '3075000008000500010000000600060000800000050007000000000006000900000000000c000b00800002005e1000010c000a00800002005e10000106000c000000000008000d0000000000' +
  '05000e000000000005000f00000000000a0014000180c200000000000c002e00000000001f0000000800300000000000080031000000000005001600010000000500170001000000050018' +
  '0000000000050019000100000005002a000000000008001a001000000008001b000010000008001c000200000008001d000200000005002b000300000020002f8008000100000000001400' +
  '05000000000000000000000000000000000005002c00010000000c001e0064000000000000000c001f0090650000000000000c0020009c630000000000000c002100d4300000000000000c' +
  '002200e8030000000000000c002300340c000000000000050024000000000005002500000000000500260000000000'
const PORT =
  '050001000100000006000200200000000800030007000000050004000100000005000500000000000500060000000000050007000000000005001c0000000000050008000100000005000900' +
  '0100000005001b000100000005001e000100000005000a000000000005000c00000000000c000d00800002005e1000010c000e00800002005e10000106000f000180000006001000000000' +
  '00060011000180000006001200010000000500130000000000050014000000000005001d000000000006001f00000000000500200000000000050023000000000005002400000000000500' +
  '2100000000000500270000000000050028000000000005002b00000000000c00150000000000000000000c0016008f010000000000000c0017000000000000000000050019000100000008' +
  '002500000200000800260000000000080029000000000008002a0000000000'

t.test('a bridge captured from the kernel', async (t) => {
  const id = { priority: 32768, mac: '02:00:5e:10:00:01' }
  t.same(bridge(hex(BRIDGE)), {
    helloTimer: 1.9, tcnTimer: 0, topologyChangeTimer: 0, gcTimer: 0, forwardDelay: 4, helloTime: 2, maxAge: 20, ageingTime: 300, stpState: 'kernel', priority: 32768,
    vlanFiltering: false, groupForwardMask: 0, bridgeId: id, rootId: id, rootPort: 0, rootPathCost: 0, topologyChange: false, topologyChangeDetected: false,
    groupAddress: '01:80:c2:00:00:00',
    switches: { noLinkLocalLearn: false, multicastVlanSnooping: false, mst: false, mdbOffloadFailNotification: false, fdbLocalVlan0: false },
    fdbLearned: 0, fdbMaxLearned: 0, multicastRouter: 'auto', multicastSnooping: true, multicastQueryUseIfaddr: false, multicastQuerier: true,
    multicastStatsEnabled: false, multicastHashElasticity: 16, multicastHashMax: 4096, multicastLastMemberCount: 2, multicastStartupQueryCount: 2,
    multicastIgmpVersion: 3, querierState: { ipv4Address: '0.0.0.0', ipv6Address: '::' }, multicastMldVersion: 1, multicastLastMemberInterval: 1,
    multicastMembershipInterval: 260, multicastQuerierInterval: 255, multicastQueryInterval: 125, multicastQueryResponseInterval: 10,
    multicastStartupQueryInterval: 31.24, nfCallIptables: false, nfCallIp6tables: false, nfCallArptables: false,
  })
})

t.test('a port captured from the kernel', async (t) => {
  const id = { priority: 32768, mac: '02:00:5e:10:00:01' }
  t.same(port(hex(PORT)), {
    state: 'listening', priority: 32, cost: 7, hairpin: true, guard: false, protect: false, fastLeave: false, multicastToUnicast: false, learning: true,
    unicastFlood: true, multicastFlood: true, broadcastFlood: true, proxyarp: false, proxyarpWifi: false, rootId: id, bridgeId: id, designatedPort: 0x8001,
    designatedCost: 0, id: 0x8001, number: 1, topologyChangeAck: false, configPending: false, vlanTunnel: false, groupForwardMask: 0, neighbourSuppress: false,
    mrpRingOpen: false, mrpInOpen: false, isolated: false, locked: false, mab: false, neighbourVlanSuppress: false, messageAgeTimer: 0, forwardDelayTimer: 3.99,
    holdTimer: 0, multicastRouter: 'auto', multicastEhtHostsLimit: 512, multicastEhtHostsCount: 0, multicastGroups: 0, multicastMaxGroups: 0,
  })
})

t.test('padding, unknown attributes and unknown values', async (t) => {
  // IFLA_BR_PAD is empty and means nothing; IFLA_BR_STP_STATE 9 has no name; type 99 is not known.
  const bytes = hex('040028000800050009000000080063000100000008000c0000000000')
  t.same(bridge(bytes), { unknown: [{ type: 5, data: hex('09000000') }, { type: 99, data: hex('01000000') }, { type: 12, data: hex('00000000') }] })
  t.same(port(hex('04001a0005000100ff000000')), { unknown: [{ type: 1, data: hex('ff') }] })
  t.same(encoded((w) => bridgeAttributes.encode(w, bridge(bytes), 'bridge')), bytes.subarray(4), 'what is not known is written back as it came')
  t.same(bridge(hex('0c002e002000000060000000')).switches, { unknown: { values: 32, mask: 96 } }, 'switches of a newer kernel')
  t.same(encoded((w) => bridgeAttributes.encode(w, { switches: { noLinkLocalLearn: true, mst: false, unknown: { values: 32, mask: 96 } } }, 'bridge')), hex('0c002e002100000065000000'))
})

t.test('a port request', async (t) => {
  // struct ifinfomsg (AF_BRIDGE, index 4), IFLA_PROTINFO with the nested flag, IFLA_BRPORT_COST, IFLA_BRPORT_LEARNING
  const bytes = encoded((w) => encodeBridgePort(w, 4, { cost: 9, learning: false }))
  t.same(bytes, hex('07000000040000000000000000000000' + '14000c80' + '0800030009000000' + '0500080000000000'))
  const input = inputOf(encoded((w) => message(w, 16, 0, () => encodeBridgePort(w, 4, { cost: 9, learning: false }))))
  const link = decodeLink(input, messageAt(input, 0, input.bytes.length))
  t.same(portAttributes(link), { cost: 9, learning: false })
  t.equal(portAttributes({ ...link, attributes: {} }), undefined)
  t.throws(() => encoded((w) => encodeBridgePort(w, 4, { number: 3 })), { message: 'port.number is read-only' })
})

t.test('the answer of the old ioctl', async (t) => {
  // BRCTL_GET_BRIDGE_INFO on Linux 6.18 (250 Hz): in force 10 s, 1 s, 4.5 s; own 25 s, 3 s, 7.25 s.
  const bytes = new Uint8Array(72)
  const view = new DataView(bytes.buffer)
  for (const [at, value] of [[20, 1000], [24, 100], [28, 1125], [32, 6250], [36, 750], [40, 724]] as const) view.setUint32(at, value, true)
  t.same(decodeBridgeInfo(bytes), { forwardDelay: 1125, bridgeMaxAge: 6250, bridgeHelloTime: 750, bridgeForwardDelay: 724 })
})

const ticks = (min: number, max: number) => fc.integer({ min: min * 100, max: max * 100 }).map((value) => value / 100)
const settable: fc.Arbitrary<Partial<BridgeAttributes>> = fc.record({
  forwardDelay: ticks(0, 100), helloTime: ticks(1, 10), maxAge: ticks(6, 40), ageingTime: ticks(0, 1000000), stpState: fc.constantFrom('off', 'kernel', 'user'),
  priority: fc.nat(65535), vlanFiltering: fc.boolean(), vlanProtocol: fc.constantFrom('802.1Q', '802.1ad'), groupForwardMask: fc.nat(65535).map((mask) => mask & ~7),
  groupAddress: fc.constantFrom('01:80:c2:00:00:00', '01:80:c2:00:00:0e'), multicastRouter: fc.constantFrom('disabled', 'auto', 'permanent'),
  multicastSnooping: fc.boolean(), multicastHashMax: fc.nat(), multicastQueryInterval: ticks(1, 86400), vlanDefaultPvid: fc.nat(4094),
  multicastIgmpVersion: fc.constantFrom(2, 3), fdbMaxLearned: fc.nat(),
  switches: fc.record({ noLinkLocalLearn: fc.boolean(), mst: fc.boolean(), multicastVlanSnooping: fc.boolean() }, { requiredKeys: [] }),
}, { requiredKeys: [] }) as fc.Arbitrary<Partial<BridgeAttributes>>
const settablePort: fc.Arbitrary<Partial<BridgePortAttributes>> = fc.record({
  state: fc.constantFrom('disabled', 'listening', 'learning', 'forwarding', 'blocking'), priority: fc.nat(63), cost: fc.integer({ min: 1, max: 65535 }), hairpin: fc.boolean(),
  multicastRouter: fc.constantFrom('disabled', 'auto', 'permanent', 'temporary'), groupForwardMask: fc.nat(65535).map((mask) => mask & ~2), backupPort: fc.nat(), mab: fc.boolean(),
}, { requiredKeys: [] }) as fc.Arbitrary<Partial<BridgePortAttributes>>

t.test('what is written is read back', async (t) => {
  fc.assert(fc.property(settable, (attributes) => {
    const back = bridge(encoded((w) => bridgeAttributes.encode(w, attributes, 'bridge')))
    const { switches, ...rest } = attributes
    t.same(back, switches === undefined ? rest : { ...rest, switches })
  }))
  fc.assert(fc.property(settablePort, (attributes) => { t.same(port(encoded((w) => bridgePortAttributes.encode(w, attributes, 'port'))), attributes) }))
})

/** Runs a decoder over bytes: anything but an answer or the typed error fails. */
function survives(decode: () => unknown): void {
  try {
    decode()
  } catch (error) {
    if (!(error instanceof NfkitError) || error.code !== 'EBADMSG') throw error
  }
}

t.test('decoders survive arbitrary bytes', async () => {
  const damaged = (text: string) => fc.tuple(fc.nat(text.length / 2 - 1), fc.nat(255), fc.nat(text.length / 2)).map(([at, value, length]) => {
    const bytes = hex(text)
    bytes[at] = value
    return bytes.subarray(0, length)
  })
  const arbitrary = fc.uint8Array({ maxLength: 200 })
  for (const bytes of [arbitrary, damaged(BRIDGE)]) fc.assert(fc.property(bytes, (data) => survives(() => bridge(data))), { numRuns: 2000 })
  for (const bytes of [arbitrary, damaged(PORT)]) fc.assert(fc.property(bytes, (data) => survives(() => port(data))), { numRuns: 2000 })
  fc.assert(fc.property(arbitrary, (protocolInfo) => survives(() => portAttributes({ family: 7, hardwareType: 1, index: 1, flags: 0, attributes: { protocolInfo } }))))
})
