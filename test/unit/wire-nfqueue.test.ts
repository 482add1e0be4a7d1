// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import { inputOf, Writer } from '../../lib/wire/bytes.js'
import { conntrackAttributes, decodePacketConntrack } from '../../lib/wire/conntrack.js'
import { message, messageAt, messages, NLMSG_DONE, NLMSG_ERROR } from '../../lib/wire/netlink.js'
import { hookOf, netfilterFamilies, NFGENMSG_SIZE, refusedRequest, vlanOf } from '../../lib/wire/nfnetlink.js'
import {
  decodeLogged, encodeNflogConfig, NflogCommand, nflogConfigAttributes, NflogCopyMode, NflogFlag, NflogMessage, parseLogGroups,
} from '../../lib/wire/nflog.js'
import {
  decodeQueuedPacket, encodeNfqConfig, encodeVerdict, nfqAttributes, NfqCommand, nfqConfigAttributes, NfqCopyMode, NfqFlag, NfqMessage, NfVerdict,
  packetCondition, parseQueueCounters, patchVerdict, VERDICT_SIZE,
} from '../../lib/wire/nfqueue.js'
import { withChecksums } from '../../lib/wire/payload-checksums.js'
import { decodeIpv4, encodeIpv4 } from '../../lib/wire/ipv4.js'
import { encodeIpv6 } from '../../lib/wire/ipv6.js'
import { encodeUdp } from '../../lib/wire/udp.js'
import { bytesOf, hexOf, mutations } from './support.js'

// Captured from Linux 6.18; eth0 (02:00:00:00:01:00, 192.168.0.1/24) is a veth with 192.168.0.2 at its other end:
//   iptables-legacy -t mangle -A PREROUTING -p udp -j MARK --set-mark 7
//   iptables-legacy -A INPUT -p udp -j NFLOG --nflog-group 7 --nflog-prefix 'udp: '
//   iptables-legacy -A INPUT -p udp -j NFQUEUE --queue-num 5
//   echo -n 'hello, packet queue 1' >/dev/udp/192.168.0.1/9 at the other end, with a copy range of 40 and 30 bytes
const QUEUED = '7c000000000300000000000000000000020000050b0001000000000108000100080005000000000208000300000000071000090000060000020000000200000008000d000000003108000e00000000012c000a0045000031c86240004011f105c0a80002c0a8000196600009001d818268656c6c6f2c207061636b65'
const LOGGED = 'b40000000004000000000000000000000200000708000100080001000a000a007564703a20000000080004000000000208000200000000071000080000060000020000000200000006000f000001000006001100000e0000120010000200000001000200000002000800000014000300000000006b08a2570000000000061ce008000c000000000008000d00000000012200090045000031c86240004011f105c0a80002c0a8000196600009001d818268650000b40000000004000000000000000000000200000708000100080001000a000a007564703a20000000080004000000000208000200000000071000080000060000020000000200000006000f000001000006001100000e0000120010000200000001000200000002000800000014000300000000006b08a2570000000000061cff08000c000000000108000d000000000222000900450000317bd9400040113d8fc0a80002c0a80001ac920009001d8182686500001400000003000000000000000000000000000007'
// What the kernel answers to a verdict about packet 99, which is not there.
const REFUSAL = '2400000002000001630000007b1e0000feffffff20000000010301006300000000000000'

const decode = (bytes: Uint8Array) => {
  const input = inputOf(bytes)
  return decodeQueuedPacket(input, messageAt(input, 0, bytes.length))
}

t.test('a packet captured from the kernel', async (t) => {
  const { payload, ...fields } = decode(bytesOf(QUEUED))
  t.same(fields, {
    family: 2, id: 1, hook: 1, protocol: 0x0800, mark: 7, in: 2, out: 0, physicalIn: 0, physicalOut: 0, originalLength: 49, skbInfo: 1,
    hardwareAddress: '02:00:00:00:02:00', timestamp: null, uid: null, gid: null, conntrack: null, conntrackInfo: null, securityContext: null,
    vlan: null, linkHeader: null, priority: null,
  })
  t.equal(payload!.length, 40)
  t.equal(Buffer.from(payload!.subarray(28)).toString(), 'hello, packe')
  t.same(packetCondition(fields.skbInfo), { checksumNotReady: true, gso: false, checksumUnverified: false })
  t.equal(netfilterFamilies.of(fields.family), 'ipv4')
  t.equal(hookOf(fields.family, fields.hook), 'INPUT')
  t.equal(hookOf(3, 1), 1, 'the hooks of ARP are others')
})

t.test('the fast reader and the table read the same', async (t) => {
  const input = inputOf(bytesOf(QUEUED))
  const msg = messageAt(input, 0, input.bytes.length)
  const { header, ...rest } = nfqAttributes.decode(input, msg.start + NFGENMSG_SIZE, msg.end)
  const fields = decode(input.bytes)
  t.same({ ...header, ...rest }, Object.fromEntries(Object.entries(fields).filter(([name, value]) => value !== null && value !== 0 && name !== 'family')))
})

t.test('what the fast reader knows beside, against the table', async (t) => {
  const extra = { mark: 0xfffffffe, payload: bytesOf('010203'), vlan: { protocol: 0x8100, tci: 0xb00a }, linkHeader: bytesOf('0a0b'), conntrack: bytesOf('0c') }
  const w = new Writer()
  message(w, NfqMessage.packet, 0, () => {
    w.raw(bytesOf('0a000001' + '0b000100' + '0000002a86dd0400'))  // header attribute of packet 42
    nfqAttributes.encode(w, extra, 'packet')
    for (const [type, value] of [[4, '00000000000003e800000000000001f4'], [7, '00000009'], [8, '0000000a'], [12, '00000003'], [16, '000003e8'], [17, '00000064'], [21, '00000006'], [99, '01']] as const) {
      const data = bytesOf(value)
      w.u16(data.length + 4)
      w.u16(type)
      w.raw(data)
      w.align()
    }
  })
  const { payload, linkHeader, conntrack, ...fields } = decode(w.finish())
  t.same([payload, linkHeader, conntrack].map((bytes) => hexOf(bytes!)), ['010203', '0a0b', '0c'])
  t.match(fields, {
    id: 42, family: 10, hook: 4, protocol: 0x86dd, mark: 0xfffffffe, physicalIn: 9, physicalOut: 10, conntrackInfo: 3, uid: 1000, gid: 100, priority: 6,
    vlan: { protocol: 0x8100, id: 10, priority: 5, dropEligible: true }, timestamp: 1000000.5,
  })
  t.equal(vlanOf({ protocol: 0x8100 }), undefined)
})

t.test('verdicts', async (t) => {
  const w = new Writer()
  encodeVerdict(w, NfqMessage.verdict, 5, 99, NfVerdict.accept)
  t.equal(hexOf(w.finish()), '20000000' + '0103' + '0100' + '63000000' + '00000000' + '00000005' + '0c000200' + '00000001' + '00000063')
  t.equal(w.length, VERDICT_SIZE)
  patchVerdict(w.view, 0xfffffffe, NfVerdict.repeat)
  t.equal(hexOf(w.finish()), '20000000' + '0103' + '0100' + 'feffffff' + '00000000' + '00000005' + '0c000200' + '00000004' + 'fffffffe')
  w.reset()
  encodeVerdict(w, NfqMessage.verdictBatch, 65535, 7, NfVerdict.drop, { mark: 0xffffffff })
  t.equal(hexOf(w.finish()), '28000000' + '0303' + '0100' + '07000000' + '00000000' + '0000ffff' + '0c000200' + '00000000' + '00000007' + '08000300' + 'ffffffff')
  w.reset()
  encodeVerdict(w, NfqMessage.verdict, 0, 1, NfVerdict.accept, { payload: bytesOf('4500') })
  t.equal(hexOf(w.finish()).slice(-16), '06000a0045000000')
  const input = inputOf(bytesOf(REFUSAL))
  const msg = messageAt(input, 0, input.bytes.length)
  t.equal(msg.type, NLMSG_ERROR)
  t.same(refusedRequest(input, msg), { type: NfqMessage.verdict, sequence: 99 })
})

t.test('configurations, written and read again', async (t) => {
  const w = new Writer()
  const config = { command: NfqCommand.bind, parameters: { copyMode: NfqCopyMode.packet, copyRange: 40 }, maxLength: 3, mask: 12, flags: NfqFlag.gso | NfqFlag.uidGid }
  encodeNfqConfig(w, 5, config)
  t.equal(hexOf(w.finish()), '00000005' + '0800010001000000' + '090002000000002802000000' + '0800030000000003' + '080004000000000c' + '080005000000000c')
  t.same(nfqConfigAttributes.decode(inputOf(w.finish()), NFGENMSG_SIZE, w.length), config)
  t.throws(() => encodeNfqConfig(w, 5, { parameters: { copyMode: 2, copyRange: 65532 } }), { name: 'RangeError', message: /queue.parameters.copyRange/ })
  w.reset()
  const log = { command: NflogCommand.bind, mode: { copyMode: NflogCopyMode.packet, copyRange: 30 }, bufferSize: 65536, timeout: 10, threshold: 2, flags: NflogFlag.sequence }
  encodeNflogConfig(w, 7, log)
  t.equal(hexOf(w.finish()), '00000007' + '0500010001000000' + '0a0002000000001e02000000' + '0800030000010000' + '080004000000000a' + '0800050000000002' + '0600060000010000')
  t.same(nflogConfigAttributes.decode(inputOf(w.finish()), NFGENMSG_SIZE, w.length), log)
})

t.test('two logged packets in one datagram, captured from the kernel', async (t) => {
  const input = inputOf(bytesOf(LOGGED))
  const [first, second, done, ...more] = [...messages(input)]
  t.equal(done!.type, NLMSG_DONE)
  t.equal(more.length, 0)
  t.equal(first!.type, NflogMessage.packet)
  const { payload, hardwareHeader, ...attributes } = decodeLogged(input, first!).attributes
  t.same(attributes, {
    header: { protocol: 0x0800, hook: 1 }, prefix: 'udp: ', in: 2, mark: 7, hardwareAddress: '02:00:00:00:02:00', hardwareType: 1,
    hardwareHeaderLength: 14, timestamp: 1795727959400.608, sequence: 0, globalSequence: 1,
  })
  t.equal(hexOf(hardwareHeader!), '0200000001000200000002000800')
  t.equal(payload!.length, 30)
  t.match(decodeLogged(input, second!), { family: 2, group: 7, attributes: { sequence: 1, globalSequence: 2 } })
})

t.test('the lines of /proc', async (t) => {
  t.same(parseQueueCounters('    5   6956     1 2 65531     3     4        9  1\n 1234 4025633168     0 1     0     0     0        0  1\n'), [
    { queue: 5, port: 6956, waiting: 1, copyMode: 2, copyRange: 65531, dropped: 3, userDropped: 4, lastId: 9 },
    { queue: 1234, port: 4025633168, waiting: 0, copyMode: 1, copyRange: 0, dropped: 0, userDropped: 0, lastId: 0 },
  ])
  t.same(parseLogGroups('     7   6956     2 2 65531     10  1\n'), [{ group: 7, port: 6956, waiting: 2 }])
  t.same(parseQueueCounters(''), [])
  fc.assert(fc.property(fc.string(), (text) => { parseQueueCounters(text); parseLogGroups(text) }))
})

t.test('connections', async (t) => {
  const w = new Writer()
  conntrackAttributes.encode(w, {
    original: { ip: { source4: '192.168.0.3', destination4: '192.168.0.5' }, protocol: { number: 6, sourcePort: 40000, destinationPort: 80 } },
    reply: { ip: { source6: 'fd00::5', destination6: 'fd00::3' }, protocol: { number: 58, icmp6Id: 7, icmp6Type: 129, icmp6Code: 0 } },
    status: 0x18a, mark: 5, id: 0xdeadbeef, zone: 3,
  }, 'conntrack')
  const bytes = w.finish().slice()
  t.same(decodePacketConntrack(bytes, 3), {
    state: 'established-reply', bytes, id: 0xdeadbeef, status: ['seen-reply', 'confirmed', 'source-nat-done', 'destination-nat-done'], mark: 5, zone: 3,
    original: { source: '192.168.0.3', destination: '192.168.0.5', protocol: 6, sourcePort: 40000, destinationPort: 80 },
    reply: { source: 'fd00::5', destination: 'fd00::3', protocol: 58, icmp: { type: 129, code: 0, id: 7 } },
  })
  t.equal(decodePacketConntrack(null, 2), undefined)
  t.same(decodePacketConntrack(new Uint8Array(0), 9), { state: 9, bytes: new Uint8Array(0) })
})

/** Nothing but a typed error for what is malformed, and nothing read beyond the message. */
const survives = (read: () => unknown): void => {
  try {
    read()
  } catch (error) {
    if (!(error instanceof NfkitError) || error.code !== 'EBADMSG') throw error
  }
}

t.test('arbitrary and mutated bytes', async () => {
  const readAll = (bytes: Uint8Array): void => {
    const input = inputOf(bytes)
    survives(() => {
      for (const msg of messages(input)) {
        survives(() => { decodeQueuedPacket(input, msg) })
        survives(() => { decodeLogged(input, msg) })
        survives(() => { refusedRequest(input, msg) })
        survives(() => { decodePacketConntrack(bytes.subarray(msg.start, msg.end), 0) })
      }
    })
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), readAll), { numRuns: 2000 })
  for (const captured of [QUEUED, LOGGED, REFUSAL]) fc.assert(fc.property(mutations(bytesOf(captured)), readAll), { numRuns: 2000 })
})

t.test('checksums of a changed packet', async (t) => {
  const four = { source: '192.168.0.1', destination: '192.168.0.2' }
  const six = { source: 'fd00::1', destination: 'fd00::2' }
  const right4 = encodeIpv4({ ...four, protocol: 17, payload: encodeUdp({ sourcePort: 1, destinationPort: 2, payload: bytesOf('010203') }, four) })
  const right6 = encodeIpv6({ ...six, nextHeader: 17, payload: encodeUdp({ sourcePort: 1, destinationPort: 2, payload: bytesOf('010203') }, six) })
  for (const [right, header, udp] of [[right4, 10, 26], [right6, 7, 46]] as const) {
    const wrong = right.slice()
    wrong[udp] = wrong[udp]! ^ 0x55
    if (right === right4) wrong[header] = wrong[header]! ^ 0xff
    t.not(hexOf(wrong), hexOf(right))
    const given = Buffer.from(wrong)
    t.equal(hexOf(withChecksums(given)), hexOf(right))
    t.equal(hexOf(given), hexOf(wrong), 'what was given stays, also a Buffer')
  }
  const without = right4.slice()
  without.set([0, 0], 26)
  t.equal(hexOf(withChecksums(without)), hexOf(without), 'an IPv4 datagram without a checksum stays so')
  const fragment = encodeIpv4({ ...four, protocol: 17, moreFragments: true, payload: bytesOf('0102030405060708') })
  t.equal(hexOf(withChecksums(fragment)), hexOf(fragment), 'a fragment')
  fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(0x45, 0x4f, 0x60), (bytes, first) => {
    if (bytes.length > 0) bytes[0] = first
    const before = hexOf(bytes)
    const after = withChecksums(bytes)
    if (hexOf(bytes) !== before || after.length !== bytes.length) throw new Error('changed in place, or its length')
    survives(() => { if (first === 0x45 && after.length >= 20 && !decodeIpv4(after).checksumCorrect) throw new Error('header checksum') })
  }), { numRuns: 2000 })
})
