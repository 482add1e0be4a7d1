// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import { attributeTable, bool, choice, field, interfaceName, ip, listOf, mac, reported, seconds, string, table, u16, u32, u8 } from '../../lib/wire/attributes.js'
import { inputOf, Writer } from '../../lib/wire/bytes.js'
import { decodeAck, message, messageAt, messages, nested } from '../../lib/wire/netlink.js'

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const inner = attributeTable<{ flavour: 'sweet' | 'sour'; depth: number }>({ flavour: field(1, choice(1, { sweet: 1, sour: 2 })), depth: field(2, u16(1, 9)) })
const outer = attributeTable<{
  name: string; label: string; mtu: number; on: boolean; delay: number; address: string; mac: string; counted: number; inner: object; list: number[]
}>({
  name: field(1, interfaceName), label: field(2, string(8)), mtu: field(3, u32(68, 65535)), on: field(4, bool()), delay: field(5, seconds(4, 2, 30)),
  address: field(6, ip), mac: field(7, mac), counted: reported(8, u32()), inner: field(9, table(inner)), list: field(10, listOf(1, u8())),
})

function encode(value: object): Uint8Array {
  const w = new Writer(8)
  outer.encode(w, value, 'thing')
  return w.finish().slice()
}
const decode = (bytes: Uint8Array) => outer.decode(inputOf(bytes), 0, bytes.length)

t.test('a table reads what it wrote', async (t) => {
  const value = { name: 'br0', label: 'ab', mtu: 1500, on: true, delay: 2.5, address: '2001:db8::1', mac: '02:00:00:00:00:01', inner: { flavour: 'sour', depth: 3 }, list: [1, 2, 255] }
  t.same(decode(encode(value)), value)
  t.equal(Buffer.from(encode({ name: 'br0', delay: 4 })).toString('hex'), '0800010062723000' + '0800050090010000')
})

t.test('wrong values are refused with the path, what was expected and what came', async (t) => {
  const refused: [object, string, RegExp][] = [
    [{ name: 'a-name-of-16-chars' }, 'TypeError', /thing\.name: expected an interface name/],
    [{ name: 'a b' }, 'TypeError', /thing\.name/], [{ name: '' }, 'TypeError', /thing\.name/], [{ name: 'a/b' }, 'TypeError', /thing\.name/],
    [{ label: 'too long a label' }, 'RangeError', /thing\.label: expected at most 8 bytes/], [{ label: 'a\0b' }, 'TypeError', /NUL/],
    [{ mtu: 67 }, 'RangeError', /thing\.mtu: expected an integer from 68 to 65535, got 67/], [{ mtu: 1.5 }, 'RangeError', /integer/], [{ mtu: '1500' }, 'TypeError', /got "1500"/],
    [{ on: 1 }, 'TypeError', /true or false/], [{ delay: 1 }, 'RangeError', /seconds from 2 to 30/], [{ delay: 2.001 }, 'RangeError', /steps of 0\.01/], [{ delay: NaN }, 'RangeError', /seconds/],
    [{ address: '1.2.3' }, 'TypeError', /thing\.address/], [{ mac: '02' }, 'TypeError', /thing\.mac/], [{ counted: 1 }, 'TypeError', /thing\.counted is read-only/],
    [{ inner: { flavour: 'salty' } }, 'TypeError', /thing\.inner\.flavour: expected one of sweet, sour, got "salty"/], [{ inner: { depth: 10 } }, 'RangeError', /thing\.inner\.depth/],
    [{ list: [256] }, 'RangeError', /thing\.list\[0\]/], [{ list: 5 }, 'TypeError', /array/], [{ nmae: 'x' }, 'TypeError', /thing: expected one of name, label.*got "nmae"/],
  ]
  for (const [value, name, message] of refused) t.throws(() => encode(value), { name, message })
})

t.test('unknown attributes and unexpected lengths are kept and written back', async (t) => {
  // Type 99 is unknown; type 3 (u32) comes with two bytes; type 9 holds an unknown choice.
  const bytes = hex('0600' + '6300' + 'abcd0000' + '0600' + '0300' + '01020000' + '0c00' + '0980' + '0500' + '0100' + '07000000')
  const value = decode(bytes)
  t.same(value.unknown, [{ type: 99, data: hex('abcd') }, { type: 3, data: hex('0102') }])
  t.same((value.inner as { unknown: unknown }).unknown, [{ type: 1, data: hex('07') }])
  t.same(decode(encode(value)), value)
})

t.test('the attribute at an offset has a name', async (t) => {
  const bytes = encode({ mtu: 1500, inner: { flavour: 'sweet', depth: 2 } })
  const at = (offset: number) => outer.locate(inputOf(bytes), 0, bytes.length, offset)
  t.same([at(0), at(8), at(12), at(20), at(99)], ['mtu', 'inner', 'inner.flavour', 'inner.depth', undefined])
})

t.test('messages', async (t) => {
  const w = new Writer(8)
  message(w, 16, 5, () => w.raw(hex('0102030405')))
  message(w, 17, 0, () => nested(w, 3, () => {}))
  const bytes = w.finish().slice()
  t.equal(bytes.length, 24 + 20)
  const got = [...messages(inputOf(bytes))]
  t.match(got, [{ type: 16, flags: 5, start: 16, end: 21 }, { type: 17, start: 40, end: 44 }])
  t.equal(Buffer.from(bytes.subarray(40)).toString('hex'), '04000380')
  for (const bad of ['', '00', '0f000000100000000000000000000000', '11000000100000000000000000000000']) {
    if (bad !== '') t.throws(() => messageAt(inputOf(hex(bad)), 0, bad.length / 2), { code: 'EBADMSG' })
  }
})

t.test('extended acknowledgements captured from the kernel', async (t) => {
  const ack = (text: string) => {
    const input = inputOf(hex(text))
    return decodeAck(input, messageAt(input, 0, input.bytes.length))
  }
  // Linux 6.18, NETLINK_CAP_ACK and NETLINK_EXT_ACK. ip link set br0 mtu 70000:
  t.same(ack('4800000002000003000000006465748deaffffff28000000100005000000000000000000240001006d74752067726561746572207468616e20646576696365206d6178696d756d00'),
    { errno: 22, message: 'mtu greater than device maximum' })
  // RTM_NEWLINK with an IFLA_MTU of two bytes: the attribute's offset comes too, and the policy, which is passed over.
  t.same(ack('7800000002000003000000006465748ddeffffff2800000010000500000000000000000027000100417474726962757465206661696c656420706f6c6963792076616c69646174696f6e00000800020020000000240004800c00040000000000000000000c000500ffffffff000000000800010004000000'),
    { errno: 34, message: 'Attribute failed policy validation', offset: 32 })
  // bridge fdb show with NDA_VLAN under strict checking: an error that ends a dump is a DONE, its attributes follow the number at once.
  t.same(ack('4400000003000202000000006465748deaffffff2e000100556e737570706f727465642061747472696275746520696e206664622064756d702072657175657374000000'),
    { errno: 22, message: 'Unsupported attribute in fdb dump request' })
})

t.test('arbitrary bytes never crash', async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
    const input = inputOf(bytes)
    const attempts = [
      () => { for (const msg of messages(input)) decodeAck(input, msg) },
      () => outer.decode(input, 0, bytes.length),
      () => outer.locate(input, 0, bytes.length, 8),
      () => decodeAck(input, { type: 2, flags: 0x300, sequence: 0, port: 0, start: 0, end: bytes.length }),
      () => decodeAck(input, { type: 3, flags: 0x200, sequence: 0, port: 0, start: 0, end: bytes.length }),
    ]
    for (const attempt of attempts) {
      try { attempt() } catch (error) { if (!(error instanceof NfkitError && error.code === 'EBADMSG')) throw error }
    }
  }), { numRuns: 3000 })
})
