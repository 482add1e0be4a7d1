// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import { decodeVlan, encodeVlan, encodeVlanDump, VLAN_DUMP, VLAN_INFO, type VlanRequest } from '../../lib/wire/bridge-vlan.js'
import { inputOf, Writer } from '../../lib/wire/bytes.js'
import { message, messageAt } from '../../lib/wire/netlink.js'

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const encoded = (write: (w: Writer) => void) => { const w = new Writer(); write(w); return w.finish() }
function decode(bytes: Uint8Array) {
  const input = inputOf(bytes)
  return decodeVlan(input, messageAt(input, 0, bytes.length))
}

// Captured from Linux 6.12, answers to RTM_GETVLAN (br0 has index 2, p0 index 4):
//   ip link add br0 up type bridge vlan_filtering 1 mcast_vlan_snooping 1
//   ip link add p0 up master br0 type veth peer name q0; ip link set q0 up; ip link set p0 type bridge_slave vlan_tunnel on
//   bridge vlan add dev p0 vid 10-12; bridge vlan add dev p0 vid 20 pvid; bridge vlan set dev p0 vid 12 state blocking
//   bridge vlan add dev p0 vid 20 tunnel_info id 1000; bridge vlan global set dev br0 vid 1 mcast_igmp_version 3
const PORT =
  'fc0000007000020001000000b10000000700000004000000340001800800010004000100050003000300000005000900000000000500060001000000080007000000000008000800000000003c000180080001' +
  '0000000a00060002000b00000005000300030000000500090000000000050006000100000008000700000000000800080000000000340001800800010000000c0005000300040000000500090000000000' +
  '05000600010000000800070000000000080008000000000040000180080001000200140005000300030000000c00048008000100e80300000500090000000000050006000100000008000700000000000800' +
  '080000000000'
const STATISTICS =
  '700000007000020002000000b1000000070000000200000058000180080001000600010005000300030000000500090000000000' +
  '0500060001000000340005800c00010000000000000000000c00020000000000000000000c00030000000000000000000c0004000000000000000000'
const GLOBAL =
  'c40100007000020003000000b100000007000000020000008c0002800600010001000000050003000100000005000400030000000800060002000000080007000200000005000f00000000000c000800640000' +
  '00000000000c000a0090650000000000000c000b009c630000000000000c000c00d4300000000000000c000d00e8030000000000000c000e00340c000000000000050005000100000006001200000000009400' +
  '0280060001000a000000060002000c000000050003000100000005000400020000000800060002000000080007000200000005000f00000000000c00080064000000000000000c000a0090650000000000' +
  '000c000b009c630000000000000c000c00d4300000000000000c000d00e8030000000000000c000e00340c000000000000050005000100000006001200000000008c000280060001001400000005000300' +
  '0100000005000400020000000800060002000000080007000200000005000f00000000000c00080064000000000000000c000a0090650000000000000c000b009c630000000000000c000c00d430000000' +
  '0000000c000d00e8030000000000000c000e00340c00000000000005000500010000000600120000000000'

t.test('VLANs of a port captured from the kernel', async (t) => {
  const common = { state: 'forwarding', neighbourSuppress: false, multicastRouter: 'auto', multicastGroups: 0, multicastMaxGroups: 0 }
  t.same(decode(hex(PORT)), {
    index: 4,
    entries: [
      { ...common, info: { flags: VLAN_INFO.untagged, vid: 1 } },
      { ...common, info: { flags: 0, vid: 10 }, rangeEnd: 11 },
      { ...common, info: { flags: 0, vid: 12 }, state: 'blocking' },
      { ...common, info: { flags: VLAN_INFO.pvid, vid: 20 }, tunnel: { id: 1000 } },
    ],
    globals: [],
  })
  t.same(decode(hex(STATISTICS)), {
    index: 2,
    entries: [{
      info: { flags: VLAN_INFO.pvid | VLAN_INFO.untagged, vid: 1 }, state: 'forwarding', neighbourSuppress: false, multicastRouter: 'auto',
      statistics: { rxBytes: 0, rxPackets: 0, txBytes: 0, txPackets: 0 },
    }],
    globals: [],
  })
})

t.test('options of VLANs on the whole bridge, captured from the kernel', async (t) => {
  const common = {
    multicastSnooping: true, multicastIgmpVersion: 2, multicastLastMemberCount: 2, multicastStartupQueryCount: 2, multicastQuerier: false,
    multicastLastMemberInterval: 1, multicastMembershipInterval: 260, multicastQuerierInterval: 255, multicastQueryInterval: 125,
    multicastQueryResponseInterval: 10, multicastStartupQueryInterval: 31.24, multicastMldVersion: 1, msti: 0,
  }
  t.same(decode(hex(GLOBAL)), {
    index: 2, entries: [], globals: [{ ...common, vid: 1, multicastIgmpVersion: 3 }, { ...common, vid: 10, rangeEnd: 12 }, { ...common, vid: 20 }],
  })
})

t.test('requests', async (t) => {
  // struct br_vlan_msg (AF_BRIDGE, index 4), BRIDGE_VLANDB_ENTRY or BRIDGE_VLANDB_GLOBAL_OPTIONS.
  const request = (rest: Omit<VlanRequest, 'index'>) => encoded((w) => encodeVlan(w, { index: 4, ...rest }))
  const head = '0700000004000000'
  t.same(request({ entry: { info: { flags: VLAN_INFO.pvid, vid: 20 } } }), hex(head + '0c000180' + '0800010002001400'))
  t.same(request({ entry: { info: { flags: 0, vid: 10 }, rangeEnd: 12, state: 'blocking' } }), hex(head + '1c000180' + '0800010000000a00' + '060002000c000000' + '0500030004000000'))
  t.same(request({ entry: { info: { flags: 0, vid: 20 }, tunnel: { id: 1000, command: 19 } } }), hex(head + '20000180' + '0800010000001400' + '14000480' + '08000100e8030000' + '0800020013000000'))
  t.same(request({ global: { vid: 1, multicastIgmpVersion: 3 } }), hex(head + '14000280' + '0600010001000000' + '0500040003000000'))
  t.same(encoded((w) => encodeVlanDump(w, 4, VLAN_DUMP.statistics)), hex(head + '0800010001000000'))
  t.same(encoded((w) => encodeVlanDump(w, 0, 0)), hex('0700000000000000'))
  t.throws(() => request({ entry: { rangeEnd: 4095 } }), { name: 'RangeError', message: /vlan\.rangeEnd/ })
  t.throws(() => request({ entry: { statistics: {} } }), { message: 'vlan.statistics is read-only' })
})

t.test('what is written is read back', async (t) => {
  const entry = fc.record({
    info: fc.record({ flags: fc.nat(0xffff), vid: fc.integer({ min: 1, max: 4094 }) }), rangeEnd: fc.integer({ min: 1, max: 4094 }),
    state: fc.constantFrom('disabled', 'listening', 'learning', 'forwarding', 'blocking'), multicastMaxGroups: fc.nat(), neighbourSuppress: fc.boolean(),
    multicastRouter: fc.constantFrom('disabled', 'auto', 'permanent', 'temporary'),
  }, { requiredKeys: ['info'] })
  fc.assert(fc.property(entry, (value) => {
    const bytes = encoded((w) => message(w, 112, 0, () => encodeVlan(w, { index: 9, entry: value as never })))
    t.same(decode(bytes), { index: 9, entries: [value], globals: [] })
  }), { numRuns: 50 })
})

t.test('the decoder survives arbitrary bytes, and keeps what it does not know', async (t) => {
  t.same(decode(hex('20000000' + '70000000' + '00'.repeat(8) + '0700000004000000' + '0800090001020304')).unknown, [{ type: 9, data: hex('01020304') }])
  t.same(decode(hex('24000000' + '70000000' + '00'.repeat(8) + '0700000004000000' + '0c00018008006300' + '01020304')).entries, [{ unknown: [{ type: 99, data: hex('01020304') }] }])
  const damaged = (text: string) => fc.tuple(fc.nat(text.length / 2 - 1), fc.nat(255)).map(([at, value]) => {
    const bytes = hex(text)
    bytes[at] = value
    return bytes
  })
  const arbitrary = fc.uint8Array({ maxLength: 300 }).map((payload) => encoded((w) => message(w, 112, 0, () => w.raw(payload))))
  fc.assert(fc.property(fc.oneof(damaged(PORT), damaged(STATISTICS), damaged(GLOBAL), arbitrary), (bytes) => {
    try {
      decode(bytes)
    } catch (error) {
      if (!(error instanceof NfkitError) || error.code !== 'EBADMSG') throw error
    }
  }), { numRuns: 5000 })
})
