// SPDX-License-Identifier: MIT
// Frames captured on a veth pair (Linux 6.18) between 02:00:00:00:00:01 (192.168.0.2, fd00::2) and 02:00:00:00:00:02
// (192.168.0.3, fd00::3) by `tcpdump --immediate-mode -i veth0 -w`, printed by `tcpdump -xx`. The expected values are tcpdump's.

import { deepStrictEqual } from 'node:assert'
import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/index.js'
import { decodeArp, encodeArp } from '../../lib/wire/arp.js'
import { internetChecksum, transportChecksum } from '../../lib/wire/checksum.js'
import { decodeEthernet, encodeEthernet, vlanTag } from '../../lib/wire/ethernet.js'
import { decodeIcmp, encodeIcmp, icmpReason } from '../../lib/wire/icmp.js'
import { decodeIpv4, encodeIpv4 } from '../../lib/wire/ipv4.js'
import { decodeIpv6, encodeIpv6, ipv6Transport } from '../../lib/wire/ipv6.js'
import { decodePacket } from '../../lib/wire/packet.js'
import { encodeTcp } from '../../lib/wire/tcp.js'
import { encodeUdp } from '../../lib/wire/udp.js'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'))

// ping -c1 -s 16 192.168.0.3
const ARP_REQUEST = hex('ffff ffff ffff 0200 0000 0001 0806 0001 0800 0604 0001 0200 0000 0001 c0a8 0002 0000 0000 0000 c0a8 0003')
const ARP_REPLY = hex('0200 0000 0001 0200 0000 0002 0806 0001 0800 0604 0002 0200 0000 0002 c0a8 0003 0200 0000 0001 c0a8 0002')
const ECHO = hex(`0200 0000 0002 0200 0000 0001 0800 4500 002c 6170 4000 4001 580b c0a8 0002 c0a8 0003 0800 19cb 30f6 0001 92a3
  036b 0000 0000 112f 0600 0000 0000`)
// ping -c1 -s 16 fd00::3
const ECHO_V6 = hex(`0200 0000 0002 0200 0000 0001 86dd 6007 a7e7 0018 3a40 fd00 0000 0000 0000 0000 0000 0000 0002 fd00 0000 0000
  0000 0000 0000 0000 0003 8000 af53 30f7 0001 92a3 036b 0000 0000 094c 0600 0000 0000`)
// The multicast listener report that the interface sends when it comes up: behind a hop-by-hop header.
const MLD = hex(`3333 0000 0016 0200 0000 0001 86dd 6000 0000 0038 0001 fe80 0000 0000 0000 0000 00ff fe00 0001 ff02 0000 0000 0000
  0000 0000 0000 0016 3a00 0502 0000 0100 8f00 6feb 0000 0002 0400 0000 ff02 0000 0000 0000 0000 0001 ff00 0002 0400 0000
  ff02 0000 0000 0000 0000 0001 ff00 0001`)
// bash -c 'echo hello > /dev/udp/192.168.0.3/9'
const UDP_UNREACHABLE = hex(`0200 0000 0001 0200 0000 0002 0800 45c0 003e 391b 0000 4001 bf8e c0a8 0003 c0a8 0002 0303 94f7 0000
  0000 4500 0022 f6ea 4000 4011 c28a c0a8 0002 c0a8 0003 a29c 0009 000e 8175 6865 6c6c 6f0a`)
// bash -c 'echo hello > /dev/udp/fd00::3/9', the checksum (left to the device by the sender) corrected to what tcpdump expects
const UDP_V6 = hex(`0200 0000 0002 0200 0000 0001 86dd 6006 48a8 000e 1140 fd00 0000 0000 0000 0000 0000 0000 0002 fd00 0000 0000
  0000 0000 0000 0000 0003 9ee6 0009 000e 2300 6865 6c6c 6f0a`)
// bash -c 'echo hello > /dev/tcp/192.168.0.3/80', checksum of the SYN corrected to what tcpdump expects
const SYN = hex(`0200 0000 0002 0200 0000 0001 0800 4500 003c 8cb3 4000 4006 2cb3 c0a8 0002 c0a8 0003 d04e 0050 91c0 bb86 0000 0000
  a002 faf0 ca67 0000 0204 05b4 0402 080a f311 f056 0000 0000 0103 030a`)
const RESET = hex(`0200 0000 0001 0200 0000 0002 0800 4500 0028 0000 4000 4006 b97a c0a8 0003 c0a8 0002 0050 d04e 0000 0000 91c0
  bb87 5014 0000 1094 0000`)
const ALL = [ARP_REQUEST, ARP_REPLY, ECHO, ECHO_V6, MLD, UDP_UNREACHABLE, UDP_V6, SYN, RESET]

t.test('ARP', async (t) => {
  const { ethernet, arp } = decodePacket(ARP_REQUEST)
  t.same({ ...ethernet, payload: undefined },
    { destination: 'ff:ff:ff:ff:ff:ff', source: '02:00:00:00:00:01', etherType: 0x0806, payload: undefined })
  t.same(arp, { operation: 1, senderMac: '02:00:00:00:00:01', senderIp: '192.168.0.2', targetMac: '00:00:00:00:00:00', targetIp: '192.168.0.3' })
  t.equal(decodePacket(ARP_REPLY).arp?.senderMac, '02:00:00:00:00:02')
  for (const frame of [ARP_REQUEST, ARP_REPLY]) {
    const { ethernet } = decodePacket(frame)
    t.same(encodeEthernet({ ...ethernet, payload: encodeArp(decodeArp(ethernet.payload)) }), frame)
  }
})

t.test('an IPv4 echo request, byte for byte there and back', async (t) => {
  const { ethernet, ipv4, icmp } = decodePacket(ECHO)
  t.match(ipv4, { source: '192.168.0.2', destination: '192.168.0.3', ttl: 64, identification: 24944, dontFragment: true, protocol: 1, totalLength: 44, checksumCorrect: true })
  t.match(icmp, { type: 8, code: 0, rest: (12534 << 16) | 1 })
  t.same(encodeEthernet({ ...ethernet, payload: encodeIpv4({ ...ipv4!, payload: encodeIcmp(icmp!) }) }), ECHO)
})

t.test('an IPv6 echo request, byte for byte there and back', async (t) => {
  const { ethernet, ipv6, icmpv6 } = decodePacket(ECHO_V6)
  t.match(ipv6, { source: 'fd00::2', destination: 'fd00::3', hopLimit: 64, flowLabel: 0x7a7e7, nextHeader: 58, payloadLength: 24 })
  t.match(icmpv6, { type: 128, code: 0, rest: ((12535 << 16) | 1) >>> 0 })
  t.same(encodeEthernet({ ...ethernet, payload: encodeIpv6({ ...ipv6!, payload: encodeIcmp(icmpv6!, 'ipv6', ipv6!) }) }), ECHO_V6)
})

t.test('extension headers are walked', async (t) => {
  const { ipv6, icmpv6 } = decodePacket(MLD)
  t.equal(ipv6?.nextHeader, 0)
  t.match(icmpv6, { type: 143, code: 0, rest: 2 })
  const fragment = (offset: number) => hex(`1100 ${(offset << 3 | 1).toString(16).padStart(4, '0')} 0000 0001 a29c 0009 0008 0000`)
  t.match(ipv6Transport({ nextHeader: 44, payload: fragment(0) }), { protocol: 17, laterFragment: false })
  t.match(ipv6Transport({ nextHeader: 44, payload: fragment(5) }), { protocol: 17, laterFragment: true })
})

t.test('an ICMP error, and the packet cut short within it', async (t) => {
  const { ipv4, icmp } = decodePacket(UDP_UNREACHABLE)
  t.equal(ipv4?.dscp, 48)
  t.match(icmp, { type: 3, code: 3 })
  t.equal(icmpReason('ipv4', 3, 3), 'port-unreachable')
  const inner = decodeIpv4(icmp!.payload.subarray(0, 24))
  t.match(inner, { destination: '192.168.0.3', protocol: 17, totalLength: 34 })
  t.equal(inner.payload.length, 4)
})

t.test('reasons of ICMP errors by their RFCs', async (t) => {
  const reasons: [Parameters<typeof icmpReason>, string | undefined][] = [
    [['ipv4', 3, 0], 'network-unreachable'], [['ipv4', 3, 1], 'host-unreachable'], [['ipv4', 3, 4], 'fragmentation-needed'],
    [['ipv4', 3, 9], 'network-prohibited'], [['ipv4', 3, 10], 'host-prohibited'], [['ipv4', 3, 13], 'administratively-prohibited'],
    [['ipv4', 3, 200], 'unknown'], [['ipv4', 11, 0], 'time-exceeded'], [['ipv4', 11, 1], 'reassembly-time-exceeded'],
    [['ipv4', 0, 0], undefined], [['ipv4', 8, 0], undefined],
    [['ipv6', 1, 0], 'no-route'], [['ipv6', 1, 1], 'administratively-prohibited'], [['ipv6', 1, 3], 'address-unreachable'],
    [['ipv6', 1, 4], 'port-unreachable'], [['ipv6', 1, 6], 'reject-route'], [['ipv6', 2, 0], 'packet-too-big'],
    [['ipv6', 3, 0], 'time-exceeded'], [['ipv6', 129, 0], undefined], [['ipv6', 100, 0], 'unknown'],
  ]
  for (const [args, reason] of reasons) t.equal(icmpReason(...args), reason, args.join(' '))
})

t.test('UDP over IPv6, byte for byte there and back', async (t) => {
  const { ethernet, ipv6, udp } = decodePacket(UDP_V6)
  t.match(udp, { sourcePort: 40678, destinationPort: 9 })
  t.equal(Buffer.from(udp!.payload).toString(), 'hello\n')
  t.same(encodeEthernet({ ...ethernet, payload: encodeIpv6({ ...ipv6!, payload: encodeUdp(udp!, ipv6!) }) }), UDP_V6)
})

t.test('TCP, byte for byte there and back', async (t) => {
  const syn = decodePacket(SYN)
  t.match(syn.tcp, { sourcePort: 53326, destinationPort: 80, sequence: 2445327238, flags: ['syn'], window: 64240 })
  t.equal(syn.tcp!.options.length, 20)
  t.same(decodePacket(RESET).tcp?.flags, ['rst', 'ack'])
  for (const frame of [SYN, RESET]) {
    const { ethernet, ipv4, tcp } = decodePacket(frame)
    t.same(encodeEthernet({ ...ethernet, payload: encodeIpv4({ ...ipv4!, payload: encodeTcp(tcp!, ipv4!) }) }), frame)
  }
})

t.test('VLAN tags', async (t) => {
  const frame = hex('ffff ffff ffff 0200 0000 0001 88a8 2064 8100 b00a 0806 00')
  const decoded = decodeEthernet(frame)
  t.same(decoded.vlans, [
    { protocol: 0x88a8, id: 100, priority: 1, dropEligible: false }, { protocol: 0x8100, id: 10, priority: 5, dropEligible: true },
  ])
  t.same(encodeEthernet(decoded), frame)
  t.same(vlanTag(0x8100, 0x0fff), { protocol: 0x8100, id: 4095, priority: 0, dropEligible: false })
  t.equal(decodePacket(encodeEthernet({ ...decodeEthernet(ARP_REQUEST), vlans: [{ id: 7 }] })).arp?.targetIp, '192.168.0.3')
})

t.test('checksums', async (t) => {
  // The example of RFC 1071 section 3: the sum of these is ddf2.
  t.equal(internetChecksum(hex('0001 f203 f4f5 f6f7')), 0xddf2 ^ 0xffff)
  t.equal(internetChecksum(hex('0001 f203 f4f5 f6f7 01')), (0xddf2 + 0x100) ^ 0xffff)
  const { ipv6 } = decodePacket(ECHO_V6)
  t.equal(transportChecksum(ECHO_V6.subarray(22, 38), ECHO_V6.subarray(38, 54), 58, ipv6!.payload), 0)
  t.equal(decodeIpv4(ECHO.subarray(14)).checksumCorrect, true)
  t.equal(decodeIpv4(ECHO.with(36, 9).subarray(14)).checksumCorrect, true, 'the payload is not covered')
  t.equal(decodeIpv4(ECHO.with(22, 9).subarray(14)).checksumCorrect, false)
})

t.test('fields that do not fit are refused by name', async (t) => {
  const { ethernet, ipv4, tcp } = decodePacket(SYN)
  t.throws(() => encodeEthernet({ ...ethernet, etherType: 0x10000 }), { name: 'RangeError', message: /etherType/ })
  t.throws(() => encodeEthernet({ ...ethernet, source: 'nonsense' }), { name: 'TypeError', message: /source/ })
  t.throws(() => encodeEthernet({ ...ethernet, vlans: [{ id: 4096 }] }), { name: 'RangeError', message: /vlans\[0\]\.id/ })
  t.throws(() => encodeIpv4({ ...ipv4!, ttl: 256 }), { name: 'RangeError', message: /ttl/ })
  t.throws(() => encodeIpv4({ ...ipv4!, fragmentOffset: 4 }), { name: 'RangeError', message: /fragmentOffset/ })
  t.throws(() => encodeIpv4({ ...ipv4!, payload: new Uint8Array(65520) }), { name: 'RangeError', message: /payload/ })
  t.throws(() => encodeIpv4({ ...ipv4!, payload: 'text' as never }), { name: 'TypeError', message: /payload/ })
  t.throws(() => encodeTcp({ ...tcp!, flags: ['SYN' as never] }, ipv4!), { name: 'TypeError', message: /flags/ })
})

t.test('frames of arbitrary bytes: an answer or a typed error', async () => {
  const survives = (bytes: Uint8Array) => {
    try {
      decodePacket(bytes)
    } catch (error) {
      return error instanceof NfkitError && error.code === 'EBADMSG'
    }
    return true
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), survives))
  // Damaged and cut real ones get further into the decoders.
  fc.assert(fc.property(fc.constantFrom(...ALL), fc.array(fc.tuple(fc.nat(115), fc.nat(255)), { maxLength: 6 }), fc.nat(120), (frame, damage, length) => {
    const bytes = frame.slice(0, length)
    for (const [at, value] of damage) if (at < bytes.length) bytes[at] = value
    return survives(bytes)
  }), { numRuns: 2000 })
})

t.test('each layer of arbitrary bytes: an answer or EBADMSG', async () => {
  const decoders: ((bytes: Uint8Array) => unknown)[] = [decodeArp, decodeIpv4, decodeIpv6, decodeIcmp, (bytes) => ipv6Transport({ nextHeader: bytes[0] ?? 0, payload: bytes })]
  fc.assert(fc.property(fc.constantFrom(...decoders), fc.uint8Array({ maxLength: 120 }), (decode, bytes) => {
    try { decode(bytes) } catch (error) { return error instanceof NfkitError && error.code === 'EBADMSG' }
    return true
  }), { numRuns: 1000 })
})

t.test('what is written is read back', async () => {
  const macs = fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(':'))
  const bits = (n: number) => fc.nat(2 ** n - 1)
  const tag = fc.record({ protocol: fc.constantFrom(0x8100, 0x88a8), id: bits(12), priority: bits(3), dropEligible: fc.boolean() }, { noNullPrototype: true })
  const type = bits(16).filter((value) => value !== 0x8100 && value !== 0x88a8)
  fc.assert(fc.property(
    fc.record({ destination: macs, source: macs, vlans: fc.array(tag, { minLength: 1, maxLength: 3 }), etherType: type, payload: fc.uint8Array() }, { noNullPrototype: true }),
    (frame) => { deepStrictEqual(decodeEthernet(encodeEthernet(frame)), frame) },
  ))
  const address = fc.ipV4()
  fc.assert(fc.property(
    fc.record({
      source: address, destination: address, protocol: bits(8), ttl: bits(8), dscp: bits(6), ecn: bits(2), identification: bits(16),
      dontFragment: fc.boolean(), moreFragments: fc.boolean(), fragmentOffset: bits(13).map((n) => n * 8),
      options: fc.uint8Array({ maxLength: 10 }).map((bytes) => new Uint8Array(bytes.length * 4).fill(1)), payload: fc.uint8Array(),
    }, { noNullPrototype: true }),
    (packet) => {
      const { totalLength, checksumCorrect, ...rest } = decodeIpv4(encodeIpv4(packet))
      deepStrictEqual(rest, packet)
      deepStrictEqual([checksumCorrect, totalLength], [true, 20 + packet.options.length + packet.payload.length])
    },
  ))
})
