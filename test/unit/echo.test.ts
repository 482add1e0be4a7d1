// SPDX-License-Identifier: MIT
// What a raw ICMP socket receives: captured on a veth pair (Linux 6.18) between 192.168.0.2, fd00::2 and 192.168.0.3, fd00::3 by
// `tcpdump -xx`, without the Ethernet header (and for IPv6 without the IPv6 header, which the socket keeps back).

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/index.js'
import { controlMessages, decodePacketAuxiliary, decodeTimestamp, splitAddress } from '../../lib/wire/cmsg.js'
import { decodeEchoAnswer, encodeEcho } from '../../lib/wire/echo.js'
import { encodeIcmp } from '../../lib/wire/icmp.js'
import { encodeIpv4 } from '../../lib/wire/ipv4.js'
import { encodeIpv6 } from '../../lib/wire/ipv6.js'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'))

// ping -c1 -s 16 192.168.0.3
const REPLY = hex('4500 002c 3918 0000 4001 c063 c0a8 0003 c0a8 0002 0000 21cb 30f6 0001 92a3 036b 0000 0000 112f 0600 0000 0000')
// ping -c1 -s 16 fd00::3
const REPLY_V6 = hex('8100 ae53 30f7 0001 92a3 036b 0000 0000 094c 0600 0000 0000')
// bash -c 'echo hello > /dev/udp/192.168.0.3/9': an error, but not about an echo
const UDP_ERROR = hex(`45c0 003e 391b 0000 4001 bf8e c0a8 0003 c0a8 0002 0303 94f7 0000 0000 4500 0022 f6ea 4000 4011 c28a c0a8 0002
  c0a8 0003 a29c 0009 000e 8175 6865 6c6c 6f0a`)

t.test('replies', async (t) => {
  t.same(decodeEchoAnswer('ipv4', REPLY), { kind: 'reply', identifier: 12534, sequence: 1, size: 16, ttl: 64 })
  t.same(decodeEchoAnswer('ipv6', REPLY_V6), { kind: 'reply', identifier: 12535, sequence: 1, size: 16 })
})

t.test('errors that quote the request', async (t) => {
  const addresses = { source: '192.168.0.2', destination: '192.168.0.3' }
  const error = (type: number, code: number, rest: number, quoted: Uint8Array) => encodeIpv4({
    source: '192.168.0.9', destination: '192.168.0.2', protocol: 1, ttl: 63, payload: encodeIcmp({ type, code, rest, payload: quoted }),
  })
  const request = encodeIpv4({ ...addresses, protocol: 1, payload: encodeEcho('ipv4', 0xabcd, 0xffff, new Uint8Array(56)) })
  // RFC 792 asks for no more than the header and eight bytes.
  for (const quoted of [request, request.subarray(0, 28)]) {
    t.same(decodeEchoAnswer('ipv4', error(3, 1, 0, quoted)),
      { kind: 'error', identifier: 0xabcd, sequence: 0xffff, type: 3, code: 1, reason: 'host-unreachable' })
  }
  t.match(decodeEchoAnswer('ipv4', error(3, 4, 1300, request)), { reason: 'fragmentation-needed', mtu: 1300 })
  t.equal(decodeEchoAnswer('ipv4', UDP_ERROR), undefined)
  t.equal(decodeEchoAnswer('ipv4', error(13, 0, 0, request)), undefined, 'no error')
  t.throws(() => decodeEchoAnswer('ipv4', error(3, 1, 0, request.subarray(0, 10))), { code: 'EBADMSG' })

  const six = { source: 'fd00::2', destination: 'fd00::3' }
  const requestV6 = encodeIpv6({ ...six, nextHeader: 58, payload: encodeEcho('ipv6', 1, 2, new Uint8Array(8)) })
  const errorV6 = (type: number, code: number, rest: number) => encodeIcmp({ type, code, rest, payload: requestV6 }, 'ipv6')
  t.same(decodeEchoAnswer('ipv6', errorV6(2, 0, 1280)),
    { kind: 'error', identifier: 1, sequence: 2, type: 2, code: 0, reason: 'packet-too-big', mtu: 1280 })
  t.match(decodeEchoAnswer('ipv6', errorV6(1, 3, 0)), { reason: 'address-unreachable' })
})

t.test('a request is what ping(8) sends', async (t) => {
  // The request of the capture above, from its ICMP header on.
  const request = hex('0800 19cb 30f6 0001 92a3 036b 0000 0000 112f 0600 0000 0000')
  t.same(encodeEcho('ipv4', 12534, 1, request.subarray(8)), request)
})

// Built by hand after struct cmsghdr, tpacket_auxdata and __kernel_timespec, little-endian, size_t of 8 bytes.
const AUXDATA = hex('24000000 00000000 07010000 08000000 51000000 2a000000 2a000000 0000 0e00 0aa0 0081 00000000')
const STAMP = hex('20000000 00000000 01000000 40000000 80cfb967 00000000 15cd5b07 00000000')

t.test('control messages', async (t) => {
  const list = controlMessages(new Uint8Array([...STAMP, ...AUXDATA]), 8)
  t.same(list.map(({ level, type, data }) => [level, type, data.length]), [[1, 64, 16], [263, 8, 20]])
  t.equal(decodeTimestamp(list[0]!.data), 0x67b9cf80 * 1000 + 123.456789)
  t.same(decodePacketAuxiliary(list[1]!.data), { status: 0x51, length: 42, vlan: { tci: 0xa00a, protocol: 0x8100 } })
  t.same(decodePacketAuxiliary(hex('01000000 2a000000 2a000000 0000 0e00 0000 0000')), { status: 1, length: 42 })
  const [only] = controlMessages(hex('10000000 29000000 34000000 40000000'), 4)
  t.same(only, { level: 41, type: 52, data: hex('40000000') })
  const record = new Uint8Array(40).map((_, i) => i)
  const { address, control } = splitAddress(record, 20)
  t.same([address.length, control[0], splitAddress(record.subarray(0, 16), 16).control.length], [20, 24, 0])
})

t.test('arbitrary bytes: an answer or EBADMSG', async () => {
  const decoders: ((bytes: Uint8Array) => unknown)[] = [
    (bytes) => decodeEchoAnswer('ipv4', bytes), (bytes) => decodeEchoAnswer('ipv6', bytes), (bytes) => controlMessages(bytes, 8),
    (bytes) => controlMessages(bytes, 4), decodePacketAuxiliary, decodeTimestamp,
  ]
  const survives = (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array) => {
    try { decode(bytes) } catch (error) { return error instanceof NfkitError && error.code === 'EBADMSG' }
    return true
  }
  fc.assert(fc.property(fc.constantFrom(...decoders), fc.uint8Array({ maxLength: 120 }), survives), { numRuns: 1000 })
  const real = fc.constantFrom(REPLY, REPLY_V6, UDP_ERROR, AUXDATA, STAMP)
  fc.assert(fc.property(fc.constantFrom(...decoders), real, fc.array(fc.tuple(fc.nat(70), fc.nat(255)), { maxLength: 4 }), fc.nat(70), (decode, bytes, damage, length) => {
    const copy = bytes.slice(0, length)
    for (const [at, value] of damage) if (at < copy.length) copy[at] = value
    return survives(decode, copy)
  }), { numRuns: 2000 })
})
