// SPDX-License-Identifier: MIT
// The records of /dev/nfkit: as the header has them, whatever bytes come, and as a pcapng file.

import { deepEqual, equal } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import { inputOf } from '../../lib/wire/bytes.js'
import { Struct } from '../../lib/wire/module/layout.js'
import {
  EVENT, PACKET_FLAG, PACKET_RECORD, POINT_RULE, RECORD_STRUCTS, RECORD_TYPE, RecordCursor,
} from '../../lib/wire/module/record.js'
import { RecordPcapng } from '../../lib/wire/module/record-pcapng.js'
import { readPcapng } from '../../lib/wire/pcapng-reader.js'
import fc from '../support/fast-check.js'
import { event, packet, record, TIME } from '../support/records.js'
import { byName, compiledLayouts, headerNumbers, headerStructs, layouts, noCompiler, noHeader } from '../support/uapi.js'
import { bytesOf } from './support.js'

const snake = (name: string) => name.replace(/[A-Z]+/g, (letters) => `_${letters}`).toUpperCase()
const named = (prefix: string, values: Readonly<Record<string, number>>) => Object.entries(values).map(([name, value]) => [`${prefix}${snake(name)}`, value] as const)
const NUMBERS: Readonly<Record<string, number>> = Object.fromEntries([
  ...named('NFKIT_RECORD_', RECORD_TYPE), ...named('NFKIT_PACKET_', PACKET_FLAG), ...named('NFKIT_EVENT_', EVENT), ['NFKIT_POINT_RULE', POINT_RULE],
])

t.test('nothing of the header is missing', { skip: noHeader }, async (t) => {
  t.same(headerNumbers().filter((name) => /^NFKIT_(RECORD|PACKET|EVENT)_|^NFKIT_POINT_RULE$/.test(name)).sort(), Object.keys(NUMBERS).sort())
  t.same(headerStructs().filter(({ name }) => name.endsWith('record')), byName(RECORD_STRUCTS.map(({ name, fields }) => ({ name, fields: Object.keys(fields) }))))
})

t.test('offsets, sizes and numbers, as a compiler sees them', { skip: noHeader || noCompiler }, async (t) => {
  t.same(compiledLayouts(RECORD_STRUCTS, NUMBERS), { lines: layouts(RECORD_STRUCTS, NUMBERS) })
})

const MAC = '020000000002020000000001'

const join_ = (pieces: readonly Uint8Array[]) => Uint8Array.from(pieces.flatMap((piece) => [...piece]))
const cursorOf = (bytes: Uint8Array) => new RecordCursor(inputOf(bytes), 0, bytes.length)

t.test('records, one after another', async (t) => {
  const data = bytesOf(`${MAC}0800450000`)
  const cursor = cursorOf(join_([
    packet(data, { lost: 2, vlan: [0x8100, 0xb005], flags: 1 }), record(77, 24, bytesOf('0102')), event(EVENT.deviceGone, 'probe', 'eth7', 9, 2 ** 33 + 5),
    packet(data, { link: 101, point: 0x84, in: 0, out: 4, wire: 99 }), event(99, 'x'), record(RECORD_TYPE.packetsLost, 24, new Uint8Array(0), 5),
  ]))
  t.ok(cursor.next())
  const deviceOf = (index: number) => `#${index}`
  t.same(cursor.packet(deviceOf), {
    timestamp: TIME, lost: 2, wireLength: 17, data, link: 'EN10MB', in: '#3', out: null, mark: 7, vlan: { protocol: 0x8100, id: 5, priority: 5, dropEligible: true },
    point: 'local-in', byRule: false, checksumPartial: true, segmentSize: 1448,
  })
  t.ok(cursor.next())
  t.equal(cursor.type, 77)
  t.ok(cursor.next())
  t.same(cursor.event(), { timestamp: TIME, lost: 2 ** 33 + 5, event: 'device-gone', target: 'probe', device: { name: 'eth7', index: 9 } })
  t.ok(cursor.next())
  t.match(cursor.packet(deviceOf), { link: 'RAW', point: 'postrouting', byRule: true, in: null, out: '#4', wireLength: 99, vlan: null })
  t.ok(cursor.next())
  t.match(cursor.event(), { event: 99, device: null })
  t.ok(cursor.next())
  t.same([cursor.type, cursor.lost], [RECORD_TYPE.packetsLost, 5])
  t.notOk(cursor.next())
})

t.test('a header that has grown', async (t) => {
  const grown = record(RECORD_TYPE.packet, PACKET_RECORD.size + 16, bytesOf('aabb'))
  new Struct(PACKET_RECORD, grown).set('captured', 2).set('wire_length', 2).set('link', 101)
  const cursor = cursorOf(grown)
  t.ok(cursor.next())
  t.same(cursor.packet(() => 0).data, bytesOf('aabb'))
})

t.test('what are no records', async (t) => {
  const good = packet(bytesOf(`${MAC}0800450000`))
  const wrong: [string, (bytes: Uint8Array, view: DataView) => void][] = [
    ['no length', (_, view) => view.setUint32(0, 0, true)], ['a length beyond the end', (_, view) => view.setUint32(0, 1000, true)],
    ['a header beyond the record', (_, view) => view.setUint16(6, 200, true)], ['a short header', (_, view) => view.setUint16(6, 20, true)],
    ['a packet\'s header that is short', (_, view) => view.setUint16(6, 48, true)], ['more bytes than follow', (bytes) => new Struct(PACKET_RECORD, bytes).set('captured', 18).set('wire_length', 99)],
    ['more bytes than the packet had', (bytes) => new Struct(PACKET_RECORD, bytes).set('wire_length', 16)], ['a loss that cannot be', (_, view) => view.setUint32(20, 0x10000, true)], ['an event without its fields', (_, view) => view.setUint16(4, 2, true)],
  ]
  for (const [what, change] of wrong) {
    const bytes = join_([good, good])
    change(bytes.subarray(good.length), new DataView(bytes.buffer, good.length))
    const cursor = cursorOf(bytes)
    t.ok(cursor.next())
    t.throws(() => cursor.next(), { code: 'EBADMSG', message: `malformed record at byte ${good.length}: ` }, what)
  }
  t.throws(() => cursorOf(good.subarray(0, 20)).next(), { code: 'EBADMSG' })
})

/** All that can be read of bytes. */
function readAll(bytes: Uint8Array): void {
  try {
    for (const cursor = cursorOf(bytes); cursor.next();) {
      if (cursor.type === RECORD_TYPE.packet) cursor.packet((index) => index)
      if (cursor.type === RECORD_TYPE.event) cursor.event()
    }
    const file = new RecordPcapng({ application: 'x', snaplen: 0, nameOf: () => 'eth0' })
    const all = join_([file.begin(), file.convert(bytes.slice()), file.end(1n, 2n)])
    for (const block of readPcapng(all)) if (block.type === 'other') throw new Error('a block of no type')
  } catch (error) {
    if (!(error instanceof NfkitError && error.code === 'EBADMSG')) throw error
  }
}

t.test('whatever bytes come', async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), readAll), { numRuns: 2000 })
  const captured = join_([packet(bytesOf(`${MAC}0800450000`), { vlan: [0x8100, 5] }), event(EVENT.deviceGone, 'probe', 'eth7', 9), packet(bytesOf('4500'), { link: 101, lost: 3 })])
  const change = fc.tuple(fc.nat(captured.length - 1), fc.integer({ min: 0, max: 255 }))
  fc.assert(fc.property(fc.array(change, { maxLength: 6 }), fc.nat(captured.length), (changes, length) => {
    const bytes = captured.slice(0, length)
    for (const [at, value] of changes) if (at < length) bytes[at] = value
    readAll(bytes)
  }), { numRuns: 3000 })
})

t.test('as a pcapng file', async (t) => {
  const names: Record<number, string> = { 3: 'eth0', 4: 'eth1' }
  const file = new RecordPcapng({ application: 'nfkit', snaplen: 100, nameOf: (index) => names[index] ?? null })
  const frame = bytesOf(`${MAC}080045000014`)
  const first = join_([packet(frame, { wire: 60 }), packet(frame, { vlan: [0x88a8, 0x2064], lost: 4, time: TIME + 1n }), packet(bytesOf('45000014aa'), { link: 101, in: 0, out: 4 })])
  const second = join_([
    event(EVENT.targetNew, 'x'), packet(frame.subarray(0, 12), { vlan: [0x8100, 5], in: 5 }), record(RECORD_TYPE.packetsLost, 24, new Uint8Array(0), 10),
    packet(frame, { lost: 1 }), record(RECORD_TYPE.packetsLost, 24, new Uint8Array(0), 2 ** 40),
  ])
  const bytes = join_([file.begin(), file.convert(first), file.convert(second), file.end(TIME - 5n, TIME + 5n)])
  const blocks = [...readPcapng(bytes)]
  const packetBlock = { type: 'packet', time: TIME, direction: 'in' }
  t.same(blocks, [
    { type: 'section', application: 'nfkit' },
    { type: 'interface', linkType: 'EN10MB', snaplen: 104, name: 'eth0' },
    { ...packetBlock, interface: 0, data: frame, originalLength: 60 },
    { ...packetBlock, interface: 0, time: TIME + 1n, data: bytesOf(`${MAC}88a82064080045000014`), originalLength: frame.length + 4, dropped: 4n },
    { type: 'interface', linkType: 'RAW', snaplen: 104, name: 'eth1' },
    { ...packetBlock, interface: 1, data: bytesOf('45000014aa'), originalLength: 5, direction: 'out' },
    { type: 'interface', linkType: 'EN10MB', snaplen: 104 },
    { ...packetBlock, interface: 2, data: frame.subarray(0, 12), originalLength: 12 },
    { ...packetBlock, interface: 0, data: frame, originalLength: frame.length, dropped: 11n },
    ...[[3n, BigInt(4 + 11 + 2 ** 40)], [1n, 0n], [1n, 0n]].map(([delivered, dropped], i) => ({
      type: 'statistics', interface: i, time: TIME + 5n, startTime: TIME - 5n, endTime: TIME + 5n, received: delivered! + dropped!, dropped, delivered,
    })),
  ])
  t.equal(file.end(0n, 0n).length > 0, true)
})

t.test('blocks in the place of their records, whatever these are', async () => {
  const fields = fc.record({
    length: fc.oneof(fc.nat(70), fc.nat(600)), cut: fc.nat(3), lost: fc.constantFrom(0, 0, 0, 1, 2 ** 33), in: fc.constantFrom(0, 3, 3, 3, 4), tagged: fc.boolean(), link: fc.constantFrom(1, 1, 1, 101),
  })
  fc.assert(fc.property(fc.array(fields, { maxLength: 80 }), fc.nat(7), fc.boolean(), (packets, offset, whole) => {
    const names = new Map<string, number>()
    const expected = packets.map(({ length, cut, lost, in: by, tagged, link }, i) => {
      const data = Uint8Array.from({ length }, (_, at) => i * 7 + at)
      const tag = tagged && link === 1 && length > 12 ? bytesOf('88a82064') : new Uint8Array(0)
      const key = `${by} ${link}`
      if (!names.has(key)) names.set(key, names.size)
      return {
        record: packet(data, { lost, in: by, link, wire: length + cut, vlan: tagged ? [0x88a8, 0x2064] : [0, 0] }),
        block: {
          type: 'packet', interface: names.get(key), time: TIME, data: join_([data.subarray(0, 12), tag, data.subarray(12)]), originalLength: length + cut + tag.length,
          direction: by === 0 ? 'out' : 'in', ...(lost > 0 ? { dropped: BigInt(lost) } : {}),
        },
      }
    })
    const records = join_(expected.map(({ record }) => record))
    // The last one may come without what aligns the next one.
    const last = packets.at(-1)
    const length = whole || last === undefined ? records.length : records.length - (-(PACKET_RECORD.size + last.length) & 7)
    const memory = new Uint8Array(offset + length)
    memory.set(records.subarray(0, length), offset)
    const file = new RecordPcapng({ application: 'x', snaplen: 0, nameOf: () => 'eth0' })
    const blocks = [...readPcapng(join_([file.begin(), file.convert(memory.subarray(offset))]))].filter(({ type }) => type === 'packet')
    deepEqual(blocks, expected.map(({ block }) => block))
    equal(file.packets, packets.length)
    equal(file.lost, packets.reduce((sum, { lost }) => sum + lost, 0))
  }), { numRuns: 500 })
})

const noTshark = spawnSync('tshark', ['--version']).status !== 0 && 'tshark is not here'

t.test('as tshark reads it', { skip: noTshark }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'nfkit-tshark-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const path = join(directory, 'all.pcapng')
  const file = new RecordPcapng({ application: 'nfkit', snaplen: 0, nameOf: (index) => `eth${index}` })
  const ip = bytesOf('450000200001000040117c5bc0a80101c0a801fe23292328000c0000aabbccdd')
  const frame = join_([bytesOf(`${MAC}0800`), ip])
  const records = join_([packet(frame), packet(frame, { vlan: [0x8100, 0xb005], lost: 4, time: TIME + 1n }), packet(ip, { link: 101, in: 0, out: 4 }), packet(frame.subarray(0, 40), { wire: frame.length })])
  writeFileSync(path, join_([file.begin(), file.convert(records), file.end(TIME - 5n, TIME + 5n)]))
  const fields = ['frame.time_epoch', 'frame.interface_name', 'frame.len', 'frame.cap_len', 'vlan.id', 'vlan.priority', 'ip.src', 'udp.dstport', '_ws.malformed']
  const { status, stdout, stderr } = spawnSync('tshark', ['-r', path, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])], { encoding: 'utf8' })
  t.equal(status, 0)
  t.notMatch(stderr, /error|damaged|corrupt|less|more|isn't/i, 'without a complaint')
  const seconds = (time: bigint) => `${time / 1_000_000_000n}.${String(time % 1_000_000_000n).padStart(9, '0')}`
  t.same(stdout.replace(/\n$/, '').split('\n').map((line) => line.split('\t')), [
    [seconds(TIME), 'eth3', '46', '46', '', '', '192.168.1.1', '9000', ''], [seconds(TIME + 1n), 'eth3', '50', '50', '5', '5', '192.168.1.1', '9000', ''],
    [seconds(TIME), 'eth4', '32', '32', '', '', '192.168.1.1', '9000', ''], [seconds(TIME), 'eth3', '46', '40', '', '', '192.168.1.1', '9000', ''],
  ])
})

t.test('a file of no packets, but of a loss', async (t) => {
  const file = new RecordPcapng({ application: 'nfkit', snaplen: 0, nameOf: () => null })
  const lost = record(RECORD_TYPE.packetsLost, 24, new Uint8Array(0), 3)
  const blocks = [...readPcapng(join_([file.begin(), file.convert(lost), file.end(1n, 2n)]))]
  t.match(blocks, [{ type: 'section' }, { type: 'interface', linkType: 'RAW', snaplen: 0 }, { type: 'statistics', received: 3n, dropped: 3n, delivered: 0n }])
})
