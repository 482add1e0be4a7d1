// SPDX-License-Identifier: MIT
// Random packets and matches whose values meet often.

import fc from './fast-check.js'
import type { PacketMatchSpec } from '../../lib/wire/packet-match/tree.js'
import type { LinkType } from '../../lib/wire/packet-match/field.js'
import { PacketMatch } from '../../lib/wire/packet-match/packet-match.js'

const V4 = ['10.0.0.1', '10.0.0.2', '10.1.0.1', '192.168.0.1']
const V6 = ['fd00::1', 'fd00::2', 'fd00:0:0:1::1', 'fe80::1']
const V4_BYTES = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 1, 0, 1], [192, 168, 0, 1]]
const V6_BYTES = [[0, 0, 1], [0, 0, 2], [0, 1, 1]].map(([a, b, c]) => [0xfd, 0, 0, 0, 0, a!, 0, b!, 0, 0, 0, 0, 0, 0, 0, c!])
  .concat([[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]])
const MACS = ['02:00:00:00:00:01', '02:00:00:00:00:02', '01:80:c2:00:00:00']
const MAC_BYTES = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], [1, 0x80, 0xc2, 0, 0, 0]]
const PORTS = [0, 22, 80, 443, 65535]
const PROTOCOLS = [1, 6, 17, 33, 47, 51, 58, 59, 132, 136]
const MARKS = [0, 1, 0x10, 0xffffffff]
const EXTENSIONS = [0, 43, 44, 51, 60]

const be16 = (value: number) => [(value >> 8) & 0xff, value & 0xff]
const often = <T>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<T>, weight = 8) => fc.oneof({ arbitrary: usual, weight }, { arbitrary: rare, weight: 1 })
const port = often(fc.constantFrom(...PORTS), fc.nat(0xffff))

/** A transport header with something behind it; ports, ICMP type and code, TCP flags. */
const transport: fc.Arbitrary<number[]> = fc.tuple(fc.boolean(), port, port, fc.nat(255), fc.constantFrom(0, 8, 128), fc.nat(2), fc.uint8Array({ maxLength: 24 }))
  .map(([message, source, destination, flags, type, code, rest]) => (message ? [type, code, 0, 0, ...rest]
    : [...be16(source), ...be16(destination), 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, ...rest]))
const protocol = often(fc.constantFrom(...PROTOCOLS), fc.nat(255), 12)

const ipv4: fc.Arbitrary<number[]> = fc.record({
  version: often(fc.constant(4), fc.nat(15), 20), options: often(fc.constant(0), fc.nat(10), 2), ihl: often(fc.constant(-1), fc.nat(15), 20),
  tos: fc.constantFrom(0, 0xb8, 0x2e), length: often(fc.constant(-1), fc.oneof(fc.constant(0), fc.nat(80), fc.nat(0xffff)), 10),
  fragment: often(fc.constantFrom(0, 0x4000, 0x2000), fc.nat(0xffff), 5), protocol, source: fc.constantFrom(...V4_BYTES), destination: fc.constantFrom(...V4_BYTES), payload: transport,
}).map((p) => {
  const header = 20 + 4 * p.options
  return [
    (p.version << 4) | (p.ihl < 0 ? 5 + p.options : p.ihl), p.tos, ...be16(p.length < 0 ? header + p.payload.length : p.length), 0, 0, ...be16(p.fragment),
    64, p.protocol, 0, 0, ...p.source, ...p.destination, ...new Array<number>(4 * p.options).fill(1), ...p.payload,
  ]
})

const extension = fc.record({
  kind: fc.constantFrom(...EXTENSIONS), words: often(fc.nat(2), fc.nat(255), 20), offset: often(fc.constant(0), fc.nat(0xffff), 6),
})
const ipv6: fc.Arbitrary<number[]> = fc.record({
  version: often(fc.constant(6), fc.nat(15), 20), tos: fc.constantFrom(0, 0xb8, 0x2e), length: often(fc.constant(-1), fc.oneof(fc.constant(0), fc.nat(80), fc.nat(0xffff)), 8),
  chain: often(fc.array(extension, { maxLength: 3 }), fc.array(extension, { minLength: 6, maxLength: 11 }), 2),
  protocol, source: fc.constantFrom(...V6_BYTES), destination: fc.constantFrom(...V6_BYTES), payload: transport,
}).map((p) => {
  const kinds = [...p.chain.map(({ kind }) => kind), p.protocol]
  const headers = p.chain.flatMap(({ kind, words, offset }, i) => {
    const length = kind === 44 ? 8 : kind === 51 ? (words + 2) * 4 : (words + 1) * 8
    const bytes = new Array<number>(Math.max(8, Math.min(length, 64))).fill(0)
    bytes[0] = kinds[i + 1]!
    bytes[1] = words
    if (kind === 44) bytes.splice(2, 2, ...be16(offset))
    return bytes
  })
  const body = [...headers, ...p.payload]
  return [(p.version << 4) | (p.tos >> 4), (p.tos << 4) & 0xff, 0, 0, ...be16(p.length < 0 ? body.length : p.length), kinds[0]!, 64, ...p.source, ...p.destination, ...body]
})

const garbage = fc.uint8Array({ maxLength: 70 }).map((bytes) => [...bytes])
const cut = (bytes: fc.Arbitrary<number[]>) => often(bytes.map((all) => Uint8Array.from(all)), fc.tuple(bytes, fc.nat(100)).map(([all, length]) => Uint8Array.from(all.slice(0, length))), 6)

/** From the IP header on. */
export const rawPackets: fc.Arbitrary<Uint8Array> = cut(fc.oneof({ arbitrary: ipv4, weight: 6 }, { arbitrary: ipv6, weight: 8 }, { arbitrary: garbage, weight: 1 }))

/** Frames, with tags, padding, other EtherTypes. */
export const frames: fc.Arbitrary<Uint8Array> = cut(fc.record({
  destination: fc.constantFrom(...MAC_BYTES), source: fc.constantFrom(...MAC_BYTES),
  tags: often(fc.constant<number[][]>([]), fc.array(fc.tuple(fc.constantFrom(0x8100, 0x88a8), fc.nat(3)).map(([tpid, id]) => [...be16(tpid), ...be16(id | 0x2000)]), { maxLength: 3 }), 2),
  content: fc.oneof(
    { arbitrary: ipv4.map((bytes) => [0x0800, bytes] as const), weight: 6 }, { arbitrary: ipv6.map((bytes) => [0x86dd, bytes] as const), weight: 8 },
    { arbitrary: fc.tuple(fc.constantFrom(0x0806, 0x88cc, 0x0800, 0x86dd, 38, 1500, 1501), garbage), weight: 2 },
  ),
  padding: fc.nat(20),
}).map(({ destination, source, tags, content: [type, bytes], padding }) => [...destination, ...source, ...tags.flat(), ...be16(type), ...bytes, ...new Array<number>(padding).fill(0)]))

export const packetsOf = (linkType: LinkType) => (linkType === 'RAW' ? rawPackets : frames)

/** Mark and tag of a packet. */
export const contexts = fc.record({ mark: fc.constantFrom(...MARKS), vlan: fc.option(fc.nat(3), { nil: undefined, freq: 2 }) }, { noNullPrototype: true })
  .map(({ mark, vlan }) => (vlan === undefined ? { mark } : { mark, vlan }))

type Single = PacketMatchSpec
const numberOrRange = (value: fc.Arbitrary<number>) => fc.oneof(value, fc.tuple(value, value).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as [number, number]))
const prefix = (addresses: string[], lengths: number[]) => fc.tuple(fc.constantFrom(...addresses), fc.constantFrom('', ...lengths.map((length) => `/${length}`))).map(([a, l]) => a + l)
const anyAddress = fc.oneof(prefix(V4, [0, 8, 15, 31, 32]), prefix(V6, [0, 1, 33, 64, 127, 128]))
const mac = fc.oneof(fc.constantFrom(...MACS), fc.constantFrom({ address: '01:00:00:00:00:00', mask: '01:00:00:00:00:00' }, { address: '02:00:00:00:00:00', mask: 'ff:ff:ff:00:ff:00' }))
const flags = fc.subarray(['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr'] as const)
const places = (linkType: LinkType) => (linkType === 'RAW' ? ['network', 'transport'] as const : ['network', 'transport', 'frame'] as const)

const fieldsOf = (linkType: LinkType): fc.Arbitrary<Single>[] => [
  fc.constantFrom('ipv4' as const, 'ipv6' as const).map((family) => ({ family })),
  numberOrRange(fc.oneof(fc.nat(140), fc.nat(0xffff))).map((length) => ({ length })),
  fc.oneof(fc.constantFrom(...PROTOCOLS), fc.constantFrom('tcp' as const, 'udp' as const, 'icmpv6' as const)).map((one) => ({ protocol: one })),
  anyAddress.map((source) => ({ source })), anyAddress.map((destination) => ({ destination })),
  numberOrRange(port).map((sourcePort) => ({ sourcePort })), numberOrRange(port).map((destinationPort) => ({ destinationPort })),
  fc.tuple(numberOrRange(fc.constantFrom(0, 8)), fc.option(numberOrRange(fc.nat(2)), { nil: undefined })).map(([type, code]) => ({ icmp: { type, ...(code === undefined ? {} : { code }) } })),
  fc.tuple(numberOrRange(fc.constantFrom(0, 128)), fc.option(numberOrRange(fc.nat(2)), { nil: undefined })).map(([type, code]) => ({ icmpv6: { type, ...(code === undefined ? {} : { code }) } })),
  flags.chain((mask) => fc.subarray(mask).map((set) => ({ tcpFlags: { mask, set } }))),
  numberOrRange(fc.constantFrom(0, 11, 46)).map((dscp) => ({ dscp })),
  fc.constantFrom<PacketMatchSpec['mark'][]>(0, 1, 0x10, { value: 0x10, mask: 0x10 }, { value: 0, mask: 1 }).map((mark) => ({ mark: mark! })),
  numberOrRange(fc.nat(4)).map((vlan) => ({ vlan })),
  fc.tuple(fc.constantFrom(...places(linkType)), fc.nat(24), fc.uint8Array({ minLength: 1, maxLength: 9 }), fc.uint8Array({ minLength: 9, maxLength: 9 }), fc.boolean())
    .map(([at, offset, bytes, masks, zero]) => {
      const mask = masks.slice(0, bytes.length).map((bits, i) => (zero || i % 3 > 0 ? 0 : bits & 0x11))
      return { bytes: { at, offset, value: bytes.map((byte, i) => byte & mask[i]!), mask } }
    }),
  ...(linkType === 'RAW' ? [] : [
    mac.map((sourceMac) => ({ sourceMac })), mac.map((destinationMac) => ({ destinationMac })),
    fc.oneof(numberOrRange(fc.constantFrom(38, 1500, 0x0800, 0x0806, 0x86dd, 0x8100)), fc.constantFrom('ipv4' as const, 'arp' as const)).map((etherType) => ({ etherType })),
  ]),
]

/** Matches that fit a link type, nested up to three deep. */
export function matchesOf(linkType: LinkType): fc.Arbitrary<PacketMatchSpec> {
  const field = fc.oneof(...fieldsOf(linkType))
  const object = fc.array(field, { minLength: 1, maxLength: 3 }).map((fields) => together(Object.assign({}, ...fields) as PacketMatchSpec))
  return fc.letrec<{ match: PacketMatchSpec }>((tie) => ({
    match: fc.oneof(
      { depthSize: 'small', maxDepth: 3, withCrossShrink: true }, { arbitrary: object, weight: 3 },
      fc.array(tie('match'), { minLength: 1, maxLength: 3 }).map((and) => ({ and })), fc.array(tie('match'), { minLength: 1, maxLength: 3 }).map((or) => ({ or })),
      tie('match').map((not) => ({ not })), fc.tuple(field, tie('match')).map(([one, not]) => ({ ...one, not })),
    ),
  })).match
}

/** Fields of one object that no packet has together are refused there; as parts of `and` they never match. */
function together(spec: PacketMatchSpec): PacketMatchSpec {
  try {
    PacketMatch.create(spec)
    return spec
  } catch {
    return { and: Object.entries(spec).map(([key, value]) => ({ [key]: value })) }
  }
}

/** How often a property is tried: short as a rule, long by the environment. */
export const runs = (usual: number): number => Number(process.env.NFKIT_FUZZ ?? usual)
