// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/index.js'
import { parseIp } from '../../lib/wire/ip.js'
import { decodeLinkLayerAddress, decodeSocketAddress, encodeLinkLayerAddress, encodeSocketAddress } from '../../lib/wire/sockaddr.js'

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'))

// Little-endian, as Linux 6.18 gave them to python3: connect(('192.168.0.3', 9)), then getpeername()
const IPV4 = hex('0200 0009 c0a8 0003 0000 0000 0000 0000')
// connect(('fe80::2', 1025, 0, 3)), then getpeername()
const IPV6 = hex('0a00 0401 0000 0000 fe80 0000 0000 0000 0000 0000 0000 0002 0300 0000')
// recvfrom() of a packet socket on a veth, an ARP request
const ARP_BROADCAST = hex('1100 0806 0200 0000 0100 01 06 0200 0000 0001 0000')

t.test('socket addresses', async (t) => {
  t.same(encodeSocketAddress(parseIp('192.168.0.3'), 9), IPV4)
  t.same(decodeSocketAddress(IPV4), { family: 'ipv4', address: '192.168.0.3', port: 9 })
  t.same(encodeSocketAddress(parseIp('fe80::2'), 1025, 3), IPV6)
  t.same(decodeSocketAddress(IPV6), { family: 'ipv6', address: 'fe80::2', port: 1025, scopeId: 3 })
})

t.test('link-layer addresses', async (t) => {
  t.same(decodeLinkLayerAddress(ARP_BROADCAST), {
    protocol: 0x0806, interfaceIndex: 2, hardwareType: 1, packetType: 'broadcast', address: hex('0200 0000 0001'),
  })
  t.same(encodeLinkLayerAddress(2, 0x0806), hex('1100 0806 0200 0000 0000 0000 0000 0000 0000 0000'))
})

t.test('arbitrary bytes: an answer or EBADMSG', async () => {
  fc.assert(fc.property(fc.constantFrom(decodeSocketAddress, decodeLinkLayerAddress), fc.constantFrom(0, 2, 10, 17), fc.uint8Array({ maxLength: 40 }), (decode, family, bytes) => {
    if (bytes.length > 1) bytes.set([family, 0])
    try { decode(bytes) } catch (error) { return error instanceof NfkitError && error.code === 'EBADMSG' }
    return true
  }), { numRuns: 500 })
})
