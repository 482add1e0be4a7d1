// SPDX-License-Identifier: MIT
// The kernel's verdict on packets, by compiled matches, beside what the match says of the bytes.

import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from '../support/fast-check.js'
import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { addon, check, checkDescriptor, type RawDescriptor } from '../../lib/native.js'
import * as Link from '../../lib/net/link.js'
import { programFault } from '../../lib/wire/bpf/check.js'
import { type BpfInstruction, BpfOp, encodeInstructions } from '../../lib/wire/bpf/instruction.js'
import { runProgram } from '../../lib/wire/bpf/run.js'
import { parseProgram, printBytecode } from '../../lib/wire/bpf/text.js'
import { EtherType, type VlanTag } from '../../lib/wire/ethernet.js'
import { encodeIpv4 } from '../../lib/wire/ipv4.js'
import { encodeIpv6 } from '../../lib/wire/ipv6.js'
import type { LinkType } from '../../lib/wire/packet-match/field.js'
import { PacketMatch } from '../../lib/wire/packet-match/packet-match.js'
import type { PacketMatchSpec } from '../../lib/wire/packet-match/tree.js'
import { AF_PACKET, decodeLinkLayerAddress, encodeLinkLayerAddress } from '../../lib/wire/sockaddr.js'
import { encodeTcp } from '../../lib/wire/tcp.js'
import { encodeUdp } from '../../lib/wire/udp.js'
import { collect, encodeEthernet } from '../../lib/lab/index.js'
import { twoHosts } from '../support/lab.js'
import { noTcpdump, run } from '../support/outside.js'
import { contexts, frames, matchesOf, runs } from '../support/packets.js'

if (process.env.NFKIT_FUZZ !== undefined) t.setTimeout(0)

const SOCK_RAW = 3
const SOCK_DGRAM = 2
const SOCK_NONBLOCK = 0x800
const SOL_SOCKET = 1
const SO_ATTACH_FILTER = 26
const SO_MARK = 36
const ETH_P_ALL = 3
const PATIENCE = 20_000

function packetSocket(netns: Netns, type: number, index: number): RawDescriptor {
  const socket = checkDescriptor(addon.socket(AF_PACKET, type | SOCK_NONBLOCK, 0, netns.fd), 'socket')
  check(socket.bind(encodeLinkLayerAddress(index, ETH_P_ALL)), 'bind')
  return socket
}

/** Gives a socket a program; answers 0 or the negative errno. */
function attach(socket: RawDescriptor, program: readonly BpfInstruction[]): number {
  // struct sock_fprog: a 16-bit count, and a pointer at the offset of its alignment.
  const bytes = new Uint8Array(16)
  new DataView(bytes.buffer).setUint16(0, program.length, true)
  return socket.setOption(SOL_SOCKET, SO_ATTACH_FILTER, bytes, [bytes, 8, encodeInstructions(program)])
}

/** Packets that a socket has received and that were not sent by its own end. */
function drain(socket: RawDescriptor): Uint8Array[] {
  const packets: Uint8Array[] = []
  const into = new Uint8Array(2048)
  const sender = new Uint8Array(20)
  for (;;) {
    const length = socket.receive(into, 0, 0, sender)
    if (length < 0) return packets
    if (decodeLinkLayerAddress(sender).packetType !== 'outgoing') packets.push(into.slice(0, length))
  }
}

/** Two ends of a wire in one namespace, so that marks survive it, with nobody that answers. */
function silentWire(t: Test): { netns: Netns; from: number; to: number } {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  for (const device of ['v0', 'v1']) run(netns, 'ip', 'link', 'set', device, 'addrgenmode', 'none', 'arp', 'off', 'up')
  return { netns, from: Link.get('v0', { netns }).index, to: Link.get('v1', { netns }).index }
}

/** What the kernel makes of a frame on its arrival: the outermost tag is taken off (skb_vlan_untag). Undefined: it is dropped there. */
function arrived(frame: Uint8Array): { bytes: Uint8Array; vlan?: number } | undefined {
  const type = (frame[12]! << 8) | frame[13]!
  if (type !== EtherType.vlan && type !== EtherType.serviceVlan) return { bytes: frame }
  if (frame.length < 20) return undefined
  return { bytes: Uint8Array.from([...frame.subarray(0, 12), ...frame.subarray(16)]), vlan: ((frame[14]! << 8) | frame[15]!) & 0xfff }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

for (const [linkType, type] of [['EN10MB', SOCK_RAW], ['RAW', SOCK_DGRAM]] as const) {
  t.test(`random matches of random packets, link type ${linkType}: the kernel's verdict is the match's`, async (t) => {
    const { netns, from, to } = silentWire(t)
    // Taps are served the latest first: what the witness has seen, the other has.
    const witness = packetSocket(netns, SOCK_RAW, to)
    const filtered = packetSocket(netns, type, to)
    const sender = packetSocket(netns, SOCK_RAW, from)
    t.teardown(() => { for (const socket of [witness, filtered, sender]) socket.close() })
    const packets = fc.array(fc.tuple(frames.filter((frame) => frame.length >= 14), contexts), { minLength: 25, maxLength: 25 })
    let matched = 0
    let asked = 0
    await fc.assert(fc.asyncProperty(matchesOf(linkType), packets, async (spec, list) => {
      const match = PacketMatch.create(spec)
      const answer = attach(filtered, match.program(linkType))
      if (answer !== 0) throw new Error(`the kernel refused the program: ${answer}`)
      const expected: string[] = []
      let coming = 0
      for (const [frame, { mark }] of list) {
        check(sender.setOption(SOL_SOCKET, SO_MARK, new Uint8Array(new Uint32Array([mark]).buffer)), 'setsockopt')
        check(sender.send(frame, 0, encodeLinkLayerAddress(from, (frame[12]! << 8) | frame[13]!)), 'sendto')
        const seen = arrived(frame)
        if (seen === undefined) continue
        coming++
        const bytes = linkType === 'RAW' ? seen.bytes.subarray(14) : seen.bytes
        const context = { linkType, mark, ...(seen.vlan === undefined ? {} : { vlan: seen.vlan }) }
        if (match.test(bytes, context)) expected.push(hex(bytes))
      }
      let got = 0
      for (const end = Date.now() + PATIENCE; got < coming && Date.now() < end; got += drain(witness).length) if (got > 0) await sleep(1)
      if (got !== coming) throw new Error(`${got} of ${coming} frames arrived`)
      const actual = drain(filtered).map(hex)
      if (JSON.stringify(actual) !== JSON.stringify(expected)) throw new Error(`the kernel took ${JSON.stringify(actual)}, the match ${JSON.stringify(expected)}`)
      matched += actual.length
      asked += coming
    }), { numRuns: runs(40) })
    t.ok(matched > 0 && matched < asked, `${matched} of ${asked} verdicts were yes`)
  })
}

t.test('what the kernel refuses is what the check refuses', async (t) => {
  const { netns, to } = silentWire(t)
  const socket = packetSocket(netns, SOCK_RAW, to)
  t.teardown(() => { socket.close() })
  const code = fc.oneof({ arbitrary: fc.constantFrom<number>(...Object.values(BpfOp)), weight: 30 }, { arbitrary: fc.nat(0x1ff), weight: 1 })
  const k = fc.oneof(fc.nat(17), fc.nat(40), fc.nat(66).map((n) => 0xfffff000 + n), fc.nat(0xffffffff))
  const instruction = fc.record({ code, jt: fc.nat(3), jf: fc.nat(3), k }, { noNullPrototype: true })
  let taken = 0
  fc.assert(fc.property(fc.array(instruction, { minLength: 1, maxLength: 8 }), fc.boolean(), (list, ends) => {
    const program = ends ? [...list, { code: BpfOp.returnA, jt: 0, jf: 0, k: 0 }] : list
    const answer = attach(socket, program)
    taken += Number(answer === 0)
    return (answer === 0) === (programFault(program) === undefined)
  }), { numRuns: runs(2000) })
  t.ok(taken > 50, `${taken} were taken`)
  // Far jumps, by what the kernel makes of each instruction: loads by offset take most room. ENOMEM, for which net.core.optmem_max asks,
  // comes only after the translation.
  const far = (count: number): BpfInstruction[] =>
    [{ code: BpfOp.jump, jt: 0, jf: 0, k: count }, ...new Array<BpfInstruction>(count).fill({ code: BpfOp.load16, jt: 0, jf: 0, k: 40_000 }), { code: BpfOp.returnA, jt: 0, jf: 0, k: 0 }]
  for (let count = 1500; count < 4095; count += 100) {
    const answer = attach(socket, far(count))
    if (programFault(far(count)) === undefined && answer !== 0 && answer !== -12) t.fail(`a jump over ${count}: ${answer}`)
  }
  t.equal(attach(socket, far(4000)), -22, 'too far')
})

t.test('real traffic past rules of iptables with compiled matches', async (t) => {
  const { h1, h2 } = await twoHosts(t)
  // Before defragmentation, as they come off the wire. The struct of the bpf match has room for 64 instructions.
  const specs: [family: 'ipv4' | 'ipv6', spec: PacketMatchSpec][] = [
    ['ipv4', { length: 100 }], ['ipv4', { length: [0, 99] }], ['ipv4', { family: 'ipv4', protocol: 'icmp' }], ['ipv4', { icmp: { type: 8 } }], ['ipv4', { source: '192.168.0.1', protocol: 'udp', destinationPort: 5353 }],
    ['ipv4', { family: 'ipv4', destinationPort: [5300, 5400] }], ['ipv4', { family: 'ipv4', tcpFlags: { mask: ['syn', 'ack'], set: ['syn'] } }], ['ipv4', { family: 'ipv4', not: { protocol: 'udp' } }],
    ['ipv4', { family: 'ipv4', bytes: { at: 'transport', offset: 0, value: '0800' } }], ['ipv4', { source: '192.168.0.0/28', not: { destinationPort: 5353 } }],
    ['ipv6', { length: 100 }], ['ipv6', { source: 'fd00::1' }], ['ipv6', { source: 'fd00::/16', dscp: 0 }], ['ipv6', { not: { source: 'fe80::/10' } }],
  ]
  const matches = specs.map(([family, spec]) => ({ family, match: PacketMatch.create(spec) }))
  // Neighbours are asked for at any time; that is no traffic of this test.
  run(h2.netns, 'ip6tables-legacy', '-w', ...'-t raw -A PREROUTING -p icmpv6 ! --icmpv6-type echo-request -j ACCEPT'.split(' '))
  for (const family of ['ipv4', 'ipv6'] as const) {
    // One by one: iptables-restore takes no word of more than 1023 characters.
    for (const { match } of matches.filter((one) => one.family === family)) {
      const args = ['-w', '-t', 'raw', '-A', 'PREROUTING', '-i', 'eth0', '-m', 'bpf', '--bytecode', printBytecode(match.program('RAW'))]
      run(h2.netns, `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-legacy`, ...args)
    }
  }
  const frames = h2.capture('eth0', { direction: 'in', filter: ({ packet }) => packet?.ipv4 !== undefined || (packet?.ipv6 !== undefined && (packet.icmpv6 === undefined || packet.icmpv6.type === 128)) })
  await h1.ping('192.168.0.2', { count: 2, interval: 5, size: 72 })
  await h1.ping('fd00::2', { count: 2, interval: 5, size: 52 })
  await h1.ping('192.168.0.2', { count: 1, size: 3000 })
  const MAC = { destination: Link.get('eth0', { netns: h2.netns }).mac!, source: Link.get('eth0', { netns: h1.netns }).mac! }
  const ends = { source: '192.168.0.1', destination: '192.168.0.2' }
  for (const [port, length] of [[5353, 72], [5354, 72], [80, 30]] as const) {
    h1.sendFrame('eth0', encodeEthernet({ ...MAC, etherType: EtherType.ipv4, payload: encodeIpv4({ ...ends, protocol: 17, payload: encodeUdp({ sourcePort: 9, destinationPort: port, payload: new Uint8Array(length) }, ends) }) }))
  }
  h1.sendFrame('eth0', encodeEthernet({ ...MAC, etherType: EtherType.ipv4, payload: encodeIpv4({ ...ends, protocol: 6, payload: encodeTcp({ sourcePort: 9, destinationPort: 80, sequence: 1, flags: ['syn'], payload: new Uint8Array(0) }, ends) }) }))
  // Answered, so that all that came before it was counted.
  await h1.ping('192.168.0.2', { count: 1 })
  const counted = (family: 'ipv4' | 'ipv6') => run(h2.netns, `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-legacy-save`, '-c', '-t', 'raw').split('\n')
    .filter((line) => line.includes('-m bpf')).map((line) => Number(/^\[(\d+):/.exec(line)![1]))
  const seen = (await collect(frames, { timeout: 500 })).flatMap((event) => (event.type === 'frame' ? [event] : []))
  t.ok(seen.length >= 12, `${seen.length} packets`)
  for (const family of ['ipv4', 'ipv6'] as const) {
    const packets = seen.filter(({ packet }) => packet![family] !== undefined).map(({ data }) => data.subarray(14))
    const these = matches.filter((one) => one.family === family)
    const counters = counted(family)
    these.forEach(({ match }, i) => {
      const expected = packets.filter((packet) => match.test(packet)).length
      t.equal(counters[i], expected, `${JSON.stringify(match)}: ${expected} of ${packets.length}`)
    })
  }
})

/** Filters of tcpdump, and matches that say the same of packets that are well formed and without IPv6 extension headers. */
const FILTERS: [filter: string, linkType: LinkType, spec: PacketMatchSpec][] = [
  ['tcp port 80', 'EN10MB', { protocol: 'tcp', or: [{ sourcePort: 80 }, { destinationPort: 80 }] }],
  ['udp and dst portrange 50-60', 'RAW', { protocol: 'udp', destinationPort: [50, 60] }],
  ['icmp[icmptype] == 8', 'RAW', { icmp: { type: 8 } }],
  ['ip', 'EN10MB', { etherType: 'ipv4' }], ['ip6', 'RAW', { family: 'ipv6' }], ['arp', 'EN10MB', { etherType: 'arp' }],
  ['src net 192.168.0.0/30 and ip', 'EN10MB', { source: '192.168.0.0/30' }], ['dst host fd00::3', 'EN10MB', { destination: 'fd00::3' }],
  ['not (udp or tcp)', 'EN10MB', { not: { or: [{ protocol: 'udp' }, { protocol: 'tcp' }] } }],
  ['tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn', 'EN10MB', { family: 'ipv4', tcpFlags: { mask: ['syn', 'ack'], set: ['syn'] } }],
  ['ether src 02:00:00:00:00:01 and ether multicast', 'EN10MB', { sourceMac: '02:00:00:00:00:01', destinationMac: { address: '01:00:00:00:00:00', mask: '01:00:00:00:00:00' } }],
  ['ip[8] == 64', 'RAW', { family: 'ipv4', bytes: { at: 'network', offset: 8, value: '40' } }],
  ['ip and ip[2:2] >= 60', 'RAW', { family: 'ipv4', length: [60, 65535] }], ['vlan 5 and udp', 'EN10MB', { vlan: 5, protocol: 'udp' }],
]

t.test('programs of tcpdump have the same verdicts', { skip: noTcpdump }, async (t) => {
  const four = { source: '192.168.0.2', destination: '192.168.0.3' }
  const six = { source: 'fd00::2', destination: 'fd00::3' }
  const payload = new Uint8Array(20).fill(7)
  const transports: ((ends: typeof four) => [number, Uint8Array])[] = [
    ...[53, 80, 61].map((destinationPort) => (ends: typeof four) => [17, encodeUdp({ sourcePort: 80, destinationPort, payload }, ends)] as [number, Uint8Array]),
    ...([['syn'], ['syn', 'ack'], ['ack']] as const).map((flags) => (ends: typeof four) =>
      [6, encodeTcp({ sourcePort: 40000, destinationPort: flags.length === 2 ? 80 : 22, sequence: 1, flags: [...flags], payload }, ends)] as [number, Uint8Array]),
    () => [1, Uint8Array.from([8, 0, 0, 0, 0, 0, 0, 0])], () => [1, Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0])],
  ]
  const ip: [number, Uint8Array][] = transports.flatMap((make) => {
    const [protocol, bytes] = make(four)
    const [next, sixBytes] = make(six)
    return [
      [EtherType.ipv4, encodeIpv4({ ...four, protocol, payload: bytes })], [EtherType.ipv4, encodeIpv4({ ...four, ttl: 1, options: new Uint8Array(8).fill(1), protocol, payload: bytes })],
      [EtherType.ipv4, encodeIpv4({ ...four, source: '10.0.0.1', protocol, fragmentOffset: 8, payload: bytes })], [EtherType.ipv6, encodeIpv6({ ...six, nextHeader: next, payload: sixBytes })],
    ] as [number, Uint8Array][]
  })
  const ethernet = (etherType: number, body: Uint8Array, vlans?: VlanTag[], source = '02:00:00:00:00:01') => encodeEthernet({ source, destination: '01:00:5e:00:00:01', etherType, payload: body, ...(vlans === undefined ? {} : { vlans }) })
  const corpus = {
    RAW: ip.map(([, bytes]) => bytes),
    EN10MB: [...ip.map(([type, bytes]) => ethernet(type, bytes)), ...[5, 6].map((id) => ethernet(EtherType.ipv4, ip[0]![1], [{ id }])), ethernet(EtherType.arp, new Uint8Array(46), undefined, '02:00:00:00:00:02')],
  }
  for (const [filter, linkType, spec] of FILTERS) {
    const { stdout, status, stderr } = spawnSync('tcpdump', ['-y', linkType, '-ddd', filter], { encoding: 'utf8' })
    if (status !== 0) { t.fail(`${filter}: ${stderr}`); continue }
    const theirs = parseProgram(stdout)
    const match = PacketMatch.create(spec)
    const ours = match.program(linkType)
    // What tcpdump does not look behind: `vlan` in a filter moves its offsets, and without it a tagged frame is no IP packet.
    const packets = corpus[linkType].filter((bytes) => filter.startsWith('vlan') || filter.startsWith('ether') || linkType === 'RAW' || bytes[12] !== 0x81)
    const verdicts = packets.map((packet) => runProgram(theirs, packet) !== 0)
    t.same(packets.map((packet) => runProgram(ours, packet) !== 0), verdicts, filter)
    t.same(packets.map((packet) => match.test(packet, { linkType })), verdicts)
    t.ok(verdicts.includes(true) && verdicts.includes(false), `${verdicts.filter(Boolean).length} of ${verdicts.length}`)
  }
})
