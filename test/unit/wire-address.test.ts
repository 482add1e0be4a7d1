// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import { isIPv4, isIPv6 } from 'node:net'
import t from 'tap'
import { familyOf, formatIp, parseIp, parsePrefix } from '../../lib/wire/ip.js'
import { formatLinkAddress, formatMac, isMulticastMac, parseMac } from '../../lib/wire/mac.js'

t.test('MAC addresses', async (t) => {
  t.same([...parseMac('02:00:5E:10:00:fF')], [2, 0, 0x5e, 0x10, 0, 0xff])
  t.same([...parseMac('02-00-5e-10-00-ff')], [2, 0, 0x5e, 0x10, 0, 0xff])
  for (const bad of ['', '02:00:5e:10:00', '02:00:5e:10:00:1', '02:00:5e:10:00:01:02', '02:00-5e:10:00:01', '0g:00:5e:10:00:01', ' 02:00:5e:10:00:01', 5, null]) {
    t.throws(() => parseMac(bad as string, 'mac'), { name: 'TypeError', message: /mac: expected a MAC address/ })
  }
  t.equal(formatLinkAddress(Uint8Array.of(10, 0, 0, 1)), '0a:00:00:01')
  t.ok(isMulticastMac(parseMac('01:00:5e:00:00:01')))
  t.notOk(isMulticastMac(parseMac('02:00:5e:00:00:01')))
  fc.assert(fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
    const text = formatMac(bytes)
    return text === Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(':') && Buffer.from(parseMac(text)).equals(bytes)
  }))
})

t.test('IPv4', async (t) => {
  t.same([...parseIp('192.168.0.1')], [192, 168, 0, 1])
  for (const bad of ['192.168.0', '192.168.0.256', '192.168.0.01', '1.2.3.4.5', '1.2.3.', 'a.b.c.d', '', ' 1.2.3.4']) {
    t.throws(() => parseIp(bad), { name: 'TypeError', message: /address: expected an IPv4 or IPv6 address/ })
  }
  t.throws(() => parseIp('::1', 'source', 'ipv4'), { name: 'TypeError', message: /source: expected an IPv4 address/ })
  fc.assert(fc.property(fc.ipV4(), (text) => formatIp(parseIp(text)) === text))
})

t.test('IPv6, in the form of RFC 5952', async (t) => {
  const forms: [string, string][] = [
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'], ['::', '::'], ['::1', '::1'], ['1::', '1::'], ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'], ['::ffff:192.0.2.1', '::ffff:192.0.2.1'], ['0:0:0:1::', '0:0:0:1::'], ['fe80::1:2', 'fe80::1:2'], ['::c000:201', '::192.0.2.1'], ['::1:0', '::0.1.0.0'], ['::2', '::2'],
  ]
  for (const [text, canonical] of forms) t.equal(formatIp(parseIp(text)), canonical)
  for (const bad of [':::', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '::1::', '12345::', 'g::', '1:2:3:4:5:6:7::8:9', '::1.2.3', ':1::']) {
    t.throws(() => parseIp(bad), { name: 'TypeError' }, bad)
  }
  fc.assert(fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
    const text = formatIp(bytes)
    return isIPv6(text) && Buffer.from(parseIp(text)).equals(bytes) && familyOf(bytes) === 'ipv6'
  }))
  // Node's own parser as the judge of arbitrary text.
  fc.assert(fc.property(fc.stringMatching(/^[0-9a-f:.]{0,24}$/), (text) => {
    let ok = true
    try { parseIp(text) } catch { ok = false }
    return ok === (isIPv4(text) || isIPv6(text))
  }), { numRuns: 3000 })
})

t.test('prefixes', async (t) => {
  t.same(parsePrefix('10.0.0.1/8'), { address: Uint8Array.of(10, 0, 0, 1), length: 8 })
  t.equal(parsePrefix('10.0.0.1').length, 32)
  t.equal(parsePrefix('::/0').length, 0)
  for (const bad of ['10.0.0.1/33', '10.0.0.1/', '10.0.0.1/-1', '::1/129', '10.0.0.1/8/8', '/8', '10.0.0.1/ 8']) {
    t.throws(() => parsePrefix(bad), { name: 'TypeError' }, bad)
  }
})
