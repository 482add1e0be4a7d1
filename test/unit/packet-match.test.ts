// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import t from 'tap'
import { Ancillary, type BpfInstruction, BpfOp } from '../../lib/wire/bpf/instruction.js'
import { programFault } from '../../lib/wire/bpf/check.js'
import { runProgram } from '../../lib/wire/bpf/run.js'
import { encodeIpv4 } from '../../lib/wire/ipv4.js'
import { encodeIpv6 } from '../../lib/wire/ipv6.js'
import { decodePacket } from '../../lib/wire/packet.js'
import type { LinkType } from '../../lib/wire/packet-match/field.js'
import { PacketMatch } from '../../lib/wire/packet-match/packet-match.js'
import { type PacketContext, viewPacket } from '../../lib/wire/packet-match/packet-view.js'
import type { PacketMatchSpec } from '../../lib/wire/packet-match/tree.js'
import { encodeTcp } from '../../lib/wire/tcp.js'
import { encodeUdp } from '../../lib/wire/udp.js'
import { contexts, frames, matchesOf, packetsOf, runs } from '../support/packets.js'
import { bytesOf } from './support.js'

// A long run takes its time.
if (process.env.NFKIT_FUZZ !== undefined) t.setTimeout(0)

const RESULTS = ['no-match', 'match', 'long-chain'] as const
const RETURNS = { noMatch: 0, match: 1, longChain: 2 }

/** What the compiled program says. */
function byProgram(match: PacketMatch, packet: Uint8Array, context: PacketContext): string {
  return answerOf(match.program(context.linkType ?? 'RAW', RETURNS), packet, context)
}

function answerOf(program: readonly BpfInstruction[], packet: Uint8Array, { mark = 0, vlan }: PacketContext): string {
  const ancillary = { mark, ...(vlan === undefined ? {} : { vlanTag: vlan | 0xe000, vlanTagPresent: 1 }) }
  return RESULTS[runProgram(program, packet, { ancillary })]!
}

const ADDRESSES = { source: '192.168.0.2', destination: '192.168.0.3' }
const ADDRESSES_6 = { source: 'fd00::2', destination: 'fd00::3' }
const payload = bytesOf('0102030405060708')
const segment = encodeTcp({ sourcePort: 40000, destinationPort: 80, sequence: 1, flags: ['syn'], payload }, ADDRESSES)
const datagram = encodeUdp({ sourcePort: 40000, destinationPort: 53, payload }, ADDRESSES)
const TCP = encodeIpv4({ ...ADDRESSES, protocol: 6, dscp: 46, payload: segment })
const UDP_OPTIONS = encodeIpv4({ ...ADDRESSES, protocol: 17, options: new Uint8Array(8).fill(1), payload: datagram })
const LATER = encodeIpv4({ ...ADDRESSES, protocol: 17, fragmentOffset: 8, payload: datagram })
const UDP6 = encodeIpv6({ ...ADDRESSES_6, trafficClass: 0xb8, nextHeader: 17, payload: encodeUdp({ sourcePort: 40000, destinationPort: 53, payload }, ADDRESSES_6) })
const chain = (count: number, next = 17) => encodeIpv6({
  ...ADDRESSES_6, nextHeader: 60,
  payload: Uint8Array.from([...Array.from({ length: count }, (_, i) => [i === count - 1 ? next : 60, 0, 1, 4, 0, 0, 0, 0]).flat(), ...datagram]),
})
const frame = (...[bytes, head]: [bytes: Uint8Array, head: string]) => Uint8Array.from([...bytesOf(head), ...bytes])
const HEAD = '020000000002020000000001'

type Case = [spec: PacketMatchSpec, packet: Uint8Array, expected: boolean, context?: PacketContext]
const CASES: Case[] = [
  [{}, TCP, true], [{}, new Uint8Array(0), true],
  [{ length: TCP.length }, TCP, true], [{ length: [49, 1000] }, TCP, false], [{ length: TCP.length }, Uint8Array.from([...TCP, 0, 0]), true],
  [{ length: 56 }, UDP6, true], [{ length: TCP.length }, TCP.subarray(0, 30), true], [{ length: 3 }, bytesOf('010203'), false],
  [{ family: 'ipv4' }, TCP, true], [{ family: 'ipv6' }, TCP, false], [{ family: 'ipv6' }, UDP6, true],
  [{ protocol: 'tcp' }, TCP, true], [{ protocol: 17 }, UDP6, true], [{ protocol: 'udp' }, LATER, true], [{ not: { protocol: 'udp' } }, TCP, true],
  [{ source: '192.168.0.2' }, TCP, true], [{ source: '192.168.0.0/24', destination: '192.168.0.3' }, TCP, true], [{ destination: '192.168.0.2' }, TCP, false],
  [{ source: '192.168.0.3/31' }, TCP, true], [{ source: 'fd00::/16' }, UDP6, true], [{ source: 'fd00::/127' }, UDP6, false], [{ source: '0.0.0.0/0' }, UDP6, false],
  [{ not: { source: '192.168.0.2' } }, UDP6, true],
  [{ destinationPort: 80 }, TCP, true], [{ destinationPort: [50, 60], protocol: 'udp' }, UDP_OPTIONS, true], [{ sourcePort: 40000 }, UDP6, true],
  [{ destinationPort: 53 }, LATER, false], [{ not: { destinationPort: 53 } }, LATER, true], [{ destinationPort: [0, 65535] }, TCP.subarray(0, 23), false],
  [{ icmp: { type: 8, code: 0 } }, encodeIpv4({ ...ADDRESSES, protocol: 1, payload: bytesOf('0800000000000000') }), true],
  [{ icmp: { type: [9, 255] } }, encodeIpv4({ ...ADDRESSES, protocol: 1, payload: bytesOf('0800000000000000') }), false],
  [{ icmpv6: { type: 128 } }, encodeIpv6({ ...ADDRESSES_6, nextHeader: 58, payload: bytesOf('8000000000000000') }), true],
  [{ icmpv6: { type: 128 } }, encodeIpv4({ ...ADDRESSES, protocol: 58, payload: bytesOf('8000000000000000') }), false],
  [{ tcpFlags: { mask: ['syn', 'ack'], set: ['syn'] } }, TCP, true], [{ tcpFlags: { mask: ['syn'], set: [] } }, TCP, false],
  [{ dscp: 46 }, TCP, true], [{ dscp: 46 }, UDP6, true], [{ dscp: [0, 45] }, UDP6, false],
  [{ mark: 0x11 }, TCP, true, { mark: 0x11 }], [{ mark: { value: 0x10, mask: 0xf0 } }, TCP, true, { mark: 0x11 }], [{ mark: 1 }, TCP, false],
  [{ mark: 0xffffffff }, TCP, true, { mark: 0xffffffff }],
  [{ vlan: 10 }, TCP, true, { vlan: 10 }], [{ vlan: [0, 4095] }, TCP, false],
  [{ bytes: { at: 'network', offset: 8, value: '4006' } }, TCP, true], [{ bytes: { at: 'transport', offset: 2, value: '0050' } }, TCP, true],
  [{ bytes: { at: 'transport', offset: 8, value: '010203', mask: 'ffffff' } }, UDP_OPTIONS, true],
  [{ bytes: { at: 'transport', offset: 8, value: '010003', mask: 'ff00ff' } }, UDP_OPTIONS, true],
  [{ bytes: { at: 'transport', offset: 12, value: '0506070800' } }, UDP_OPTIONS, false], [{ bytes: { at: 'transport', offset: 0, value: '00', mask: '00' } }, LATER, false],
  [{ or: [{ destinationPort: 81 }, { length: TCP.length }] }, TCP, true], [{ and: [{ destinationPort: 80 }, { not: { length: TCP.length } }] }, TCP, false],
  [{ protocol: 'udp' }, chain(8), true], [{ destinationPort: 53 }, chain(8), true], [{ protocol: 'udp' }, chain(9), false], [{ not: { protocol: 'udp' } }, chain(9), false],
  [{ or: [{ destinationPort: 53 }, { family: 'ipv6' }] }, chain(9), true],
  // Without payload there is no next header, and what follows is padding; another one has a length that did not fit (RFC 2675).
  [{ length: 40 }, Uint8Array.from([...encodeIpv6({ ...ADDRESSES_6, nextHeader: 59, payload: new Uint8Array(0) }), 0, 0, 0, 0]), true],
  [{ length: 56, destinationPort: 53 }, UDP6.with(5, 0), true], [{ length: 48, destinationPort: 80 }, TCP.with(3, 0), true],
  // No IP header is sound that is shorter than the least or longer than the packet.
  [{ family: 'ipv4' }, TCP.with(0, 0x44), false], [{ family: 'ipv4' }, TCP.with(3, 19), false], [{ not: { family: 'ipv4' } }, TCP.with(0, 0x4f).subarray(0, 59), true],
  [{ family: 'ipv6' }, UDP6.subarray(0, 39), false],
  // Frames.
  [{ destinationMac: '02:00:00:00:00:02', sourceMac: { address: '02:00:00:00:00:00', mask: 'ff:ff:00:00:00:00' } }, frame(TCP, `${HEAD}0800`), true, { linkType: 'EN10MB' }],
  [{ etherType: 'arp' }, frame(new Uint8Array(28), `${HEAD}0806`), true, { linkType: 'EN10MB' }],
  [{ etherType: [0, 1535] }, frame(bytesOf('424203'), '0180c20000000200000000010026'), true, { linkType: 'EN10MB' }],
  [{ length: 52 }, frame(new Uint8Array(46), '0180c20000000200000000010026'), true, { linkType: 'EN10MB' }],
  [{ length: 14 + TCP.length }, frame(Uint8Array.from([...TCP, 0, 0, 0]), `${HEAD}0800`), true, { linkType: 'EN10MB' }],
  [{ length: 18 + TCP.length, vlan: 5, destinationPort: 80 }, frame(TCP, `${HEAD}810060050800`), true, { linkType: 'EN10MB' }],
  [{ length: 22 + TCP.length, vlan: 5, destinationPort: 80, etherType: 'ipv4' }, frame(TCP, `${HEAD}88a80005810000060800`), true, { linkType: 'EN10MB' }],
  [{ vlan: 7, destinationPort: 80 }, frame(TCP, `${HEAD}810060050800`), true, { linkType: 'EN10MB', vlan: 7 }],
  [{ etherType: 'vlan', vlan: 5, not: { destinationPort: 80 } }, frame(TCP, `${HEAD}8100000581000006810000070800`), true, { linkType: 'EN10MB' }],
  [{ bytes: { at: 'frame', offset: 12, value: '0800' } }, frame(TCP, `${HEAD}0800`), true, { linkType: 'EN10MB' }],
  [{ bytes: { at: 'network', offset: 6, value: '0001' } }, frame(bytesOf('00010800060400010000'), `${HEAD}0806`), true, { linkType: 'EN10MB' }],
  // The padding of a short frame is no port, nor is the mark of one.
  [{ destinationPort: 0 }, frame(Uint8Array.from([...encodeIpv4({ ...ADDRESSES, protocol: 17, payload: bytesOf('9c40') }), ...new Uint8Array(24)]), `${HEAD}0800`), false, { linkType: 'EN10MB' }],
]

t.test('fields, by both ways', async (t) => {
  for (const [spec, packet, expected, context = {}] of CASES) {
    const match = PacketMatch.create(spec)
    const about = `${JSON.stringify(spec)} of ${packet.length} bytes`
    t.equal(match.test(packet, context), expected, about)
    t.equal(byProgram(match, packet, context) === 'match', expected, `${about}, as a program`)
  }
})

t.test('a chain that is too long', async (t) => {
  const answers = (spec: PacketMatchSpec, packet: Uint8Array) => {
    const match = PacketMatch.create(spec)
    const result = match.evaluate(packet)
    t.equal(byProgram(match, packet, {}), result, JSON.stringify(spec))
    return result
  }
  t.equal(answers({ protocol: 'udp' }, chain(8)), 'match')
  t.equal(answers({ protocol: 'udp' }, chain(9)), 'long-chain')
  t.equal(answers({ not: { destinationPort: 53 } }, chain(12)), 'long-chain')
  t.equal(answers({ source: 'fd00::9', destinationPort: 53 }, chain(9)), 'no-match', 'the address says it')
  t.equal(answers({ or: [{ length: [0, 65535] }, { destinationPort: 53 }] }, chain(9)), 'match')
  t.equal(answers({ length: 1 }, chain(9)), 'no-match', 'nothing behind them was asked for')
  t.equal(runProgram(PacketMatch.create({ protocol: 'udp' }).program('RAW'), chain(9)), 0)
})

t.test('programs are as short as they can be', async (t) => {
  const length = (spec: PacketMatchSpec, linkType: LinkType = 'RAW') => PacketMatch.create(spec).program(linkType).length
  t.same(PacketMatch.create({}).program('RAW'), [{ code: BpfOp.returnImmediate, jt: 0, jf: 0, k: 0xffffffff }])
  t.equal(length({ mark: 1 }), 4)
  // The bpf match of iptables takes 64.
  t.ok(length({ length: 100 }) <= 28, `${length({ length: 100 })}`)
  t.ok(length({ family: 'ipv4', protocol: 'tcp', destinationPort: 80 }) <= 34)
  t.ok(length({ source: '192.168.0.0/16' }) <= 19)
  t.ok(length({ protocol: 'tcp', destinationPort: 80 }) <= 303)
  t.ok(length({ source: '10.0.0.1', destination: '10.0.0.2', protocol: 'tcp', destinationPort: [80, 90], sourcePort: 1 }, 'EN10MB') <= 84)
  t.equal(PacketMatch.create({ protocol: 'tcp', destinationPort: 80 }).program('RAW', { family: 'ipv4' }).length, length({ family: 'ipv4', protocol: 'tcp', destinationPort: 80 }))
  t.throws(() => PacketMatch.create({}).program('RAW', { family: 'both' as 'ipv4' }), { name: 'TypeError', message: /options\.family: expected ipv4 or ipv6/ })
  t.ok(PacketMatch.create({ mark: 1 }).program('RAW').some(({ k }) => k === 0xfffff000 + Ancillary.mark))
})

t.test('a program and the bytes say the same', async () => {
  for (const linkType of ['RAW', 'EN10MB'] as const) {
    fc.assert(fc.property(matchesOf(linkType), fc.array(fc.tuple(packetsOf(linkType), contexts), { minLength: 4, maxLength: 8 }), (spec, packets) => {
      const match = PacketMatch.create(spec)
      const program = match.program(linkType, RETURNS)
      if (programFault(program) !== undefined) throw new Error(programFault(program))
      const alone = { ipv4: match.program(linkType, { ...RETURNS, family: 'ipv4' }), ipv6: match.program(linkType, { ...RETURNS, family: 'ipv6' }) }
      for (const [packet, context] of packets) {
        const here = { ...context, linkType }
        const expected = match.evaluate(packet, here)
        const { family } = viewPacket(packet, here)
        for (const [what, one] of [['', program], [' for its family alone', family === undefined ? program : alone[family]]] as const) {
          const actual = answerOf(one, packet, here)
          if (expected !== actual) throw new Error(`${JSON.stringify(here)} ${Buffer.from(packet).toString('hex')}: ${expected}, the program${what} ${actual}`)
        }
      }
    }), { numRuns: runs(400) })
  }
})

t.test('the headers are found where the decoders find them', async () => {
  fc.assert(fc.property(frames, (bytes) => {
    if (bytes.length < 14) return
    let packet: ReturnType<typeof decodePacket>
    try { packet = decodePacket(bytes) } catch { return }
    if ((packet.ethernet.vlans?.length ?? 0) > 2) return
    const { etherType, vlan, ip } = viewPacket(bytes, { linkType: 'EN10MB' })
    const expected = [packet.ethernet.etherType, packet.ethernet.vlans?.[0]?.id, packet.ipv4 !== undefined ? 'ipv4' : packet.ipv6 !== undefined ? 'ipv6' : undefined]
    const ports = packet.tcp ?? packet.udp
    if (ports !== undefined) expected.push(ports.sourcePort)
    const actual = [etherType, vlan, ip?.family, ...(ports === undefined ? [] : [new DataView(bytes.buffer, bytes.byteOffset).getUint16(ip!.longChain ? 0 : ip!.transport!)])]
    if (ip?.longChain !== true && JSON.stringify(actual) !== JSON.stringify(expected)) throw new Error(`${JSON.stringify(actual)} ${JSON.stringify(expected)}`)
  }), { numRuns: runs(500) })
})

t.test('not and not, de Morgan, and the order of parts', async () => {
  fc.assert(fc.property(matchesOf('EN10MB'), matchesOf('EN10MB'), frames, contexts, (a, b, packet, more) => {
    const context = { ...more, linkType: 'EN10MB' } as const
    const ask = (spec: PacketMatchSpec) => PacketMatch.create(spec).evaluate(packet, context)
    return ask({ not: { not: a } }) === ask(a) && ask({ not: { and: [a, b] } }) === ask({ or: [{ not: a }, { not: b }] }) && ask({ or: [a, b] }) === ask({ or: [b, a] })
  }), { numRuns: runs(300) })
})

t.test('wrong arguments', async (t) => {
  const wrong: [unknown, RegExp, ErrorConstructor?][] = [
    [undefined, /match: expected an object/], [[], /match: expected an object/], ['tcp port 80', /match: expected an object/],
    [{ ports: 80 }, /match: expected one of family, length, .*, not, got "ports"/], [{ not: { ports: 80 } }, /match\.not: expected one of/],
    [{ and: {} }, /match\.and: expected an array/], [{ or: [] }, /match\.or: expected at least one/, RangeError], [{ or: [{ length: '1' }] }, /match\.or\[0\]\.length: expected an integer/],
    [{ length: -1 }, /length: expected an integer from 0/, RangeError], [{ length: [5, 4] }, /length\[1\]: expected an integer from 5/, RangeError], [{ length: [1, 2, 3] }, /first and the last/],
    [{ family: 'inet' }, /ipv4 or ipv6/], [{ protocol: 'http' }, /protocol: expected one of icmp/], [{ protocol: 256 }, /protocol/, RangeError],
    [{ source: '10.0.0.256' }, /source: expected/], [{ source: '10.0.0.0/33' }, /prefix length/], [{ source: 5 }, /source/],
    [{ destinationPort: 65536 }, /destinationPort/, RangeError], [{ destinationPort: '80' }, /destinationPort/],
    [{ icmp: 8 }, /icmp: expected \{ type, code \}/], [{ icmp: { code: 0 } }, /icmp\.type/], [{ icmp: { type: 8, kode: 0 } }, /kode/],
    [{ tcpFlags: { mask: ['syn'], set: ['ack'] } }, /without bits outside/, RangeError], [{ tcpFlags: { mask: ['SYN'], set: [] } }, /some of fin/], [{ tcpFlags: ['syn'] }, /\{ mask, set \}/],
    [{ dscp: 64 }, /dscp/, RangeError], [{ mark: 2 ** 32 }, /mark/, RangeError], [{ mark: { value: 2, mask: 1 } }, /outside of the mask/, RangeError], [{ mark: '1' }, /mark/],
    [{ vlan: 4096 }, /vlan/, RangeError], [{ sourceMac: '02:00:00:00:00' }, /sourceMac/], [{ sourceMac: { address: '02:00:00:00:00:01', mask: 'ff:00:00:00:00:00' } }, /outside/, RangeError],
    [{ etherType: 'ip' }, /etherType/], [{ bytes: { at: 'ip', offset: 0, value: '00' } }, /bytes\.at/], [{ bytes: { at: 'network', offset: 0, value: '0' } }, /bytes\.value/],
    [{ bytes: { at: 'network', offset: -1, value: '00' } }, /bytes\.offset/, RangeError], [{ bytes: { at: 'network', offset: 0, value: '0000', mask: 'ff' } }, /bytes\.mask/, RangeError],
    [{ bytes: { at: 'network', offset: 0, value: new Uint8Array(257) } }, /bytes\.value/, RangeError],
    [{ source: '10.0.0.1', destination: 'fd00::1' }, /together, got source and destination of different families/], [{ source: 'fd00::1', icmp: { type: 8 } }, /families/],
    [{ family: 'ipv4', source: 'fd00::1' }, /families/], [{ protocol: 'udp', tcpFlags: { mask: ['syn'], set: ['syn'] } }, /protocols/], [{ protocol: 'gre', sourcePort: 1 }, /protocols/],
  ]
  for (const [spec, message, kind = TypeError] of wrong) t.throws(() => PacketMatch.create(spec as PacketMatchSpec), { name: kind.name, message }, JSON.stringify(spec))
  let deep: PacketMatchSpec = { length: 1 }
  for (let i = 0; i < 40; i++) deep = { not: deep }
  t.throws(() => PacketMatch.create(deep), RangeError)
  const link = PacketMatch.create({ or: [{ sourceMac: '02:00:00:00:00:01' }, { length: 1 }] })
  t.throws(() => link.program('RAW'), { name: 'TypeError', message: 'linkType: expected EN10MB, since the match looks at sourceMac, got "RAW"' })
  t.throws(() => link.test(TCP), { name: 'TypeError', message: /sourceMac/ })
  t.throws(() => PacketMatch.create({ bytes: { at: 'frame', offset: 0, value: '00' } }).program('RAW'), TypeError)
  t.throws(() => link.program('ether' as LinkType), { name: 'TypeError', message: /RAW or EN10MB/ })
  t.throws(() => link.test('x' as never, { linkType: 'EN10MB' }), TypeError)
  t.throws(() => link.test(TCP, { linkType: 'EN10MB', vlan: 4096 }), RangeError)
  t.throws(() => link.program('EN10MB', { match: -1 }), RangeError)
})

t.test('a match that the kernel would not take', async (t) => {
  const ports = (count: number) => PacketMatch.create({ or: Array.from({ length: count }, (_, i) => ({ destinationPort: i * 2 })) })
  t.ok(ports(100).program('RAW').length > 1000)
  t.throws(() => ports(3000).program('RAW'), { name: 'RangeError', message: /match: expected a match of at most 4096 instructions/ })
  t.throws(() => ports(390).program('RAW'), RangeError)
})

t.test('a match is data', async (t) => {
  const spec = { protocol: 'tcp', or: [{ sourcePort: 1 }, { destinationPort: [1, 2] as [number, number] }] } satisfies PacketMatchSpec
  const match = PacketMatch.create(spec)
  spec.or.pop()
  t.same(JSON.parse(JSON.stringify(match)), { protocol: 'tcp', or: [{ sourcePort: 1 }, { destinationPort: [1, 2] }] })
  const value = Buffer.from([0x05])
  const bytes = PacketMatch.create({ not: { bytes: { at: 'network', offset: 0, value, mask: new Uint8Array([0x0f]) } } })
  value[0] = 0x06
  t.notOk(bytes.test(TCP), 'its own bytes, whatever becomes of those that were given')
  t.same(JSON.parse(JSON.stringify(bytes)), { not: { bytes: { at: 'network', offset: 0, value: '05', mask: '0f' } } })
  t.same(PacketMatch.create(JSON.parse(JSON.stringify(bytes)) as PacketMatchSpec).program('RAW'), bytes.program('RAW'), 'that can be read again')
  t.same(PacketMatch.create(match.spec).program('RAW'), match.program('RAW'))
})
