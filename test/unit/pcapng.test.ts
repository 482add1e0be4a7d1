// SPDX-License-Identifier: MIT
// The layout of blocks is that of draft-ietf-opsawg-pcapng, sections 4.1 (section), 4.2 (interface), 4.3 (enhanced packet), 4.6 (statistics).

import { deepStrictEqual } from 'node:assert'
import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/index.js'
import { type PcapngPacket, PcapngWriter } from '../../lib/wire/pcapng.js'
import { readPcapng } from '../../lib/wire/pcapng-reader.js'
import { bytesOf, hexOf } from './support.js'

const TIME = 1_700_000_000_123_456_789n

t.test('blocks, byte for byte', async (t) => {
  const writer = new PcapngWriter()
  // Type, length, magic, version 1.0, unknown section length, length.
  t.equal(hexOf(writer.take()), '0a0d0d0a' + '1c000000' + '4d3c2b1a' + '01000000' + 'ffffffffffffffff' + '1c000000')
  t.equal(writer.interface({ name: 'eth0', linkType: 'EN10MB', snaplen: 256 }), 0)
  // Link type 1, snaplen; name; resolution 10^-9 with padding; end of options.
  t.equal(hexOf(writer.take()), '01000000' + '28000000' + '01000000' + '00010000' + '02000400' + '65746830' + '09000100' + '09000000' + '00000000' + '28000000')
  writer.packet({ interface: 0, time: 0x0102030405060708n, data: bytesOf('aabbccddee'), originalLength: 6 })
  t.equal(hexOf(writer.take()), '06000000' + '28000000' + '00000000' + '04030201' + '08070605' + '05000000' + '06000000' + 'aabbccddee000000' + '28000000')
  writer.packet({ interface: 0, time: 0n, data: new Uint8Array(0), direction: 'out', reception: 'multicast', dropped: 3 })
  t.equal(hexOf(writer.take()), '06000000' + '38000000' + '00'.repeat(20) + '02000400' + '0a000000' + '04000800' + '0300000000000000' + '00000000' + '38000000')
  writer.statistics({ interface: 0, time: 1n, received: 5, dropped: 1n })
  t.equal(hexOf(writer.take()), '05000000' + '34000000' + '00000000' + '00000000' + '01000000' + '04000800' + '0500000000000000' + '05000800' + '0100000000000000' + '00000000' + '34000000')
  t.equal(writer.take().length, 0)
})

const text = fc.string({ maxLength: 20, unit: 'grapheme' })
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }, requiredKeys: (keyof T)[] = []) =>
  fc.record(fields, { requiredKeys: requiredKeys as never, noNullPrototype: true }) as fc.Arbitrary<T>

t.test('what is written is read back', async () => {
  const section = record({ hardware: text, os: text, application: text, comment: text })
  const link = record({ name: text, description: text, comment: text, snaplen: fc.nat(), linkType: fc.constantFrom('EN10MB', 'RAW', 113) }, ['snaplen', 'linkType'])
  const packet = record({
    time: u64, data: fc.uint8Array({ maxLength: 40 }), more: fc.nat(2000), direction: fc.constantFrom('in', 'out'),
    reception: fc.constantFrom('unicast', 'multicast', 'broadcast', 'promiscuous'), dropped: u64, comment: text,
  }, ['time', 'data', 'more']).map(({ more, ...rest }) => ({ ...rest, originalLength: rest.data.length + more }))
  const statistics = record({ time: u64, startTime: u64, endTime: u64, received: u64, dropped: u64, accepted: u64, systemDropped: u64, delivered: u64, comment: text }, ['time'])
  fc.assert(fc.property(section, link, fc.array(packet, { maxLength: 5 }), statistics, (head, one, packets, counted) => {
    const writer = new PcapngWriter(head)
    writer.interface({ linkType: 'RAW' })
    const number = writer.interface(one as never)
    for (const each of packets) writer.packet({ ...each, interface: number } as PcapngPacket)
    writer.statistics({ ...counted, interface: number })
    const blocks = [...readPcapng(writer.take())]
    deepStrictEqual(blocks, [
      { type: 'section', ...head }, { type: 'interface', linkType: 'RAW', snaplen: 0 }, { type: 'interface', ...one },
      ...packets.map((each) => ({ type: 'packet', ...each, interface: number })), { type: 'statistics', ...counted, interface: number },
    ])
  }), { numRuns: 200 })
})

t.test('the other byte order, other resolutions, other blocks', async (t) => {
  const be = (text: string) => text.replaceAll(' ', '')
  const section = be('0a0d0d0a 0000001c 1a2b3c4d 00010000 ffffffffffffffff 0000001c')
  // Microseconds, as without the option; then 2^-10 seconds from second 100 on.
  const micro = be('00000001 00000014 0065 0000 00000000 00000014')
  const binary = be('00000001 0000002c 0001 0000 00000000 0009 0001 8a000000 000e 0008 0000000000000064 0000 0000 0000002c')
  const packet = (number: string, ticks: string) => be(`00000006 00000024 ${number} 00000000 ${ticks} 00000001 00000001 ff000000 00000024`)
  const other = be('00000bad 00000010 01020304 00000010')
  const blocks = [...readPcapng(bytesOf(section + micro + binary + packet('00000000', '00000005') + packet('00000001', '00000200') + other))]
  t.match(blocks, [
    { type: 'section' }, { type: 'interface', linkType: 'RAW' }, { type: 'interface', linkType: 'EN10MB' }, { type: 'packet', time: 5000n, data: bytesOf('ff') },
    { type: 'packet', interface: 1, time: 100_500_000_000n }, { type: 'other', blockType: 0xbad, body: bytesOf('01020304') },
  ])
})

t.test('malformed files', async (t) => {
  const writer = new PcapngWriter({ application: 'nfkit' })
  writer.interface({ linkType: 'EN10MB', name: 'eth0' })
  writer.packet({ interface: 0, time: TIME, data: new Uint8Array(5), comment: 'hello' })
  writer.statistics({ interface: 0, time: TIME, received: 5 })
  const good = writer.take()
  const all = (bytes: Uint8Array) => [...readPcapng(bytes)]
  t.equal(all(good).length, 4)
  t.same(all(new Uint8Array(0)), [])
  for (const [what, bytes] of [
    ['cut', good.subarray(0, good.length - 4)], ['no section', good.subarray(40)], ['no byte order', good.with(8, 0)], ['version', good.with(12, 2)],
    ['lengths differ', good.with(40, 45)], ['a length of 2', good.with(4, 2)], ['short', good.subarray(0, 9)],
  ] as const) t.throws(() => all(bytes), { name: 'NfkitError', code: 'EBADMSG', message: /malformed pcapng at byte/ }, what)
  const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255))
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.tuple(fc.array(change, { maxLength: 4 }), fc.nat(good.length)).map(([changes, length]) => {
    const bytes = good.slice()
    for (const [at, value] of changes) bytes[at] = value
    return bytes.subarray(0, length)
  })), (bytes) => {
    try { all(bytes) } catch (error) { return error instanceof NfkitError && error.code === 'EBADMSG' }
    return true
  }), { numRuns: 3000 })
})

t.test('wrong arguments write nothing', async (t) => {
  const writer = new PcapngWriter()
  t.throws(() => writer.packet({ interface: 0, time: 0n, data: new Uint8Array(1) }), { name: 'RangeError', message: /of which there is none yet/ })
  writer.interface({ linkType: 'RAW' })
  writer.take()
  const packet = { interface: 0, time: TIME, data: new Uint8Array(4) }
  t.throws(() => writer.packet({ ...packet, interface: 1 }), RangeError)
  t.throws(() => writer.packet({ ...packet, time: 5 as never }), { name: 'TypeError', message: /time: expected a bigint/ })
  t.throws(() => writer.packet({ ...packet, time: -1n }), RangeError)
  t.throws(() => writer.packet({ ...packet, data: 'x' as never }), TypeError)
  t.throws(() => writer.packet({ ...packet, originalLength: 3 }), RangeError)
  t.throws(() => writer.packet({ ...packet, direction: 'up' as never }), TypeError)
  t.throws(() => writer.packet({ ...packet, reception: 'all' as never }), TypeError)
  t.throws(() => writer.packet({ ...packet, dropped: -1 }), RangeError)
  t.throws(() => writer.packet({ ...packet, comment: 'x'.repeat(65536) }), RangeError)
  t.throws(() => writer.interface({ linkType: 'ETHERNET' as never }), TypeError)
  t.throws(() => writer.interface({ linkType: 'RAW', snaplen: -1 }), RangeError)
  t.throws(() => writer.interface({ linkType: 'RAW', name: 5 as never }), TypeError)
  t.throws(() => writer.statistics({ interface: 0, time: 0n, received: 1.5 }), RangeError)
  t.throws(() => new PcapngWriter({ os: 5 as never }), TypeError)
  t.equal(writer.take().length, 0)
})
