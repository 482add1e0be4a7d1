// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import { inputOf, Writer } from '../../lib/wire/bytes.js'
import { decodeMdb, encodeMdb, encodeMdbHeader, type MdbRequest, parseGroup } from '../../lib/wire/mdb.js'
import { message, messageAt } from '../../lib/wire/netlink.js'

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const encoded = (write: (w: Writer) => void) => { const w = new Writer(); write(w); return w.finish() }
function decode(bytes: Uint8Array) {
  const input = inputOf(bytes)
  return decodeMdb(input, messageAt(input, 0, bytes.length))
}

// Captured from Linux 6.18, the answer to RTM_GETMDB (br0 has index 2, p0 index 4):
//   ip link add br0 up type bridge mcast_igmp_version 3; ip link add p0 up master br0 type veth peer name q0; ip link set q0 up
//   bridge mdb add dev br0 port p0 grp 239.1.1.1 permanent; bridge mdb add dev br0 port br0 grp ff15::1
//   bridge mdb add dev br0 port p0 grp 01:00:5e:0a:0b:0c permanent; bridge mdb add dev br0 port p0 grp 239.1.1.2 src 10.0.0.7
//   bridge link set dev p0 mcast_router 2; (*, 239.1.1.3) on p0 that excludes 10.0.0.8
const DUMP =
  'c001000056000200010000007954000000000000020000007c01010044000100400001000400000001080000ef010103000000000000000000000000080000000800010000000000080004000a0000080500' +
  '050004000000050003000100000054000100500001000400000001000000ef01010300000000000000000000000008000000080001000000000005000500040000001800028014000180080001000a000008' +
  '0800020000000000050003000000000044000100400001000400000000000000ef010102000000000000000000000000080000000800010087650000080004000a0000070500050004000000050003000100' +
  '00003400010030000100040000000100000001005e0a0b0c0000000000000000000000000000080001000000000005000500040000002c000100280001000200000000000000ff1500000000000000000000' +
  '0000000186dd000008000100876500003c000100380001000400000001000000ef01010100000000000000000000000008000000080001000000000005000500040000000500030000000000' +
  '2c00020028000100040000000800010000000000050002000200000008000300000000000800040000000000'

t.test('entries and routers captured from the kernel', async (t) => {
  const on = { index: 4, permanent: true, flags: 0, vid: 0, timer: 0, protocol: 4 }
  t.same(decode(hex(DUMP)), {
    index: 2,
    entries: [
      { ...on, flags: 8, family: 'ipv4', group: '239.1.1.3', source: '10.0.0.8', filterMode: 'include' },
      { ...on, family: 'ipv4', group: '239.1.1.3', filterMode: 'exclude', sources: [{ address: '10.0.0.8', timer: 0 }] },
      { ...on, permanent: false, family: 'ipv4', group: '239.1.1.2', source: '10.0.0.7', timer: 259.91, filterMode: 'include' },
      { ...on, family: 'ethernet', group: '01:00:5e:0a:0b:0c' },
      { index: 2, permanent: false, flags: 0, vid: 0, family: 'ipv6', group: 'ff15::1', timer: 259.91 },
      { ...on, family: 'ipv4', group: '239.1.1.1', filterMode: 'exclude' },
    ],
    routers: [{ index: 4, timer: 0, type: 'permanent', ipv4Timer: 0, ipv6Timer: 0 }],
  })
})

t.test('requests', async (t) => {
  // struct br_port_msg (AF_BRIDGE, index 2), MDBA_SET_ENTRY with struct br_mdb_entry, MDBA_SET_ENTRY_ATTRS.
  const entry = (fields: string) => `070000000200000020000100${fields}`
  const request = (rest: Partial<MdbRequest>) => encoded((w) => encodeMdb(w, { bridge: 2, index: 4, permanent: true, vid: 0, ...rest }))
  t.same(request({ group: parseGroup('239.1.1.1') }), hex(entry('0400000001000000ef0101010000000000000000000000000800' + '0000')))
  t.same(request({ group: parseGroup('ff15::1'), permanent: false, vid: 7 }), hex(entry('0400000000000700ff15000000000000000000000000000186dd' + '0000')))
  t.same(request({ group: parseGroup('01-00-5E-0A-0B-0C') }), hex(entry('040000000100000001005e0a0b0c000000000000000000000000' + '0000')))
  t.same(request({ group: parseGroup('239.1.1.2'), attributes: { source: '10.0.0.7' } }),
    hex(entry('0400000001000000ef0101020000000000000000000000000800' + '0000') + '0c000280' + '080001000a000007'))
  t.same(request({ group: parseGroup('239.1.1.3'), attributes: { filterMode: 'include', sources: [{ address: '10.0.0.8' }], protocol: 77 } }),
    hex(entry('0400000001000000ef0101030000000000000000000000000800' + '0000') + '24000280' + '10000280' + '0c000180' + '080001000a000008' + '0500030001000000' + '050004004d000000'))
  t.same(request({ attributes: { stateMask: 1 } }), hex(entry('0400000001000000' + '00'.repeat(20)) + '0c000280' + '05000a0001000000'))
  t.same(encoded((w) => encodeMdbHeader(w, 0)), hex('0700000000000000'))
})

t.test('groups', async (t) => {
  t.same(parseGroup('239.1.2.3'), { family: 'ipv4', bytes: new Uint8Array([239, 1, 2, 3]) })
  t.equal(parseGroup('ff02::2').family, 'ipv6')
  t.equal(parseGroup('33:33:00:00:00:01').family, 'ethernet')
  for (const text of ['223.255.255.255', '240.0.0.0', '224.0.0.255', 'ff02::1', 'fe80::1', '02:00:00:00:00:01']) t.throws(() => parseGroup(text), { name: 'RangeError' }, text)
  for (const text of ['', 'group', '239.1.1', 7, undefined]) t.throws(() => parseGroup(text as string), { name: 'TypeError' }, String(text))
})

t.test('a group that is written is read back', async (t) => {
  const group = fc.oneof(
    fc.tuple(fc.integer({ min: 225, max: 239 }), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.')),
    fc.uint8Array({ minLength: 14, maxLength: 14 }).map((rest) => `ff15:${Array.from({ length: 7 }, (_, i) => ((rest[i * 2]! << 8) | rest[i * 2 + 1]!).toString(16)).join(':')}`),
  )
  fc.assert(fc.property(group, fc.nat(4094), fc.boolean(), (text, vid, permanent) => {
    const parsed = parseGroup(text)
    // The request's entry in the nests of an answer.
    const entry = encoded((w) => encodeMdb(w, { bridge: 2, index: 4, permanent, vid, group: parsed })).subarray(12)
    const answer = encoded((w) => message(w, 84, 0, () => {
      encodeMdbHeader(w, 2)
      w.raw(hex('2800010024000100' + '20000100'))
      w.raw(entry)
    }))
    const [back] = decode(answer).entries
    t.same({ ...back, group: parseGroup(back!.group).bytes }, { index: 4, permanent, flags: 0, vid, family: parsed.family, group: parsed.bytes })
  }), { numRuns: 50 })
})

t.test('the decoder survives arbitrary bytes', async () => {
  const damaged = fc.tuple(fc.nat(DUMP.length / 2 - 1), fc.nat(255)).map(([at, value]) => {
    const bytes = hex(DUMP)
    bytes[at] = value
    return bytes
  })
  const arbitrary = fc.uint8Array({ maxLength: 300 }).map((payload) => encoded((w) => message(w, 84, 0, () => w.raw(payload))))
  fc.assert(fc.property(fc.oneof(damaged, arbitrary), (bytes) => {
    try {
      decode(bytes)
    } catch (error) {
      if (!(error instanceof NfkitError) || error.code !== 'EBADMSG') throw error
    }
  }), { numRuns: 5000 })
})
