// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import { inputOf, Writer } from '../../lib/wire/bytes.js'
import { decodeFdb, decodeFdbAttributes, encodeFdb, isFdb, NTF, NUD } from '../../lib/wire/fdb.js'
import { parseMac } from '../../lib/wire/mac.js'
import { messageAt } from '../../lib/wire/netlink.js'

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const all = { master: 0, via: 'any' } as const

function decode(text: string) {
  const input = inputOf(hex(text))
  return decodeFdb(input, messageAt(input, 0, input.bytes.length), all)
}

// Captured from Linux 6.18 (br0 has index 2, p0 index 4):
//   ip link add br0 up type bridge; ip link add p0 up master br0 address 02:00:00:00:00:01 type veth peer name q0
//   bridge fdb add 02:00:5e:10:00:01 dev p0 master static sticky
//   bridge fdb add 02:00:5e:10:00:02 dev p0 master dynamic extern_learn
//   bridge fdb add 02:00:5e:10:00:03 dev p0 self
const STICKY = '4c0000001c000200010000005f3200000700000004000000400040000a00020002005e1000010000080009000200000008000f00000000001400030000000000010000000100000000000000'
const EXTERN = '4c0000001c000200010000005f3200000700000004000000020010000a00020002005e1000020000080009000200000008000f00000000001400030000000000010000000100000000000000'
const LEARNED = '4c0000001c000200010000005f3200000700000004000000020000000a000200da09bfc20f0e0000080009000200000008000f000000000014000300000000000a0000000a00000000000000'
const LOCAL = '4c0000001c000200010000005f3200000700000004000000800000000a0002000200000000010000080009000200000008000f000000000014000300000000000b0000000b00000000000000'
const SELF = '280000001c000200010000005f3200000700000004000000800002000a00020002005e1000030000'

t.test('entries captured from the kernel', async (t) => {
  const common = { port: '', portIndex: 4, vlan: null, via: 'master', flags: [] as string[] }
  t.same(decode(STICKY), { ...common, mac: '02:00:5e:10:00:01', state: 'static', isLocal: false, age: 0.01, used: 0.01, flags: ['sticky'] })
  t.same(decode(EXTERN), { ...common, mac: '02:00:5e:10:00:02', state: 'learned', isLocal: false, age: 0.01, used: 0.01, flags: ['extern-learned'] })
  t.same(decode(LEARNED), { ...common, mac: 'da:09:bf:c2:0f:0e', state: 'learned', isLocal: false, age: 0.1, used: 0.1 })
  t.same(decode(LOCAL), { ...common, mac: '02:00:00:00:00:01', state: 'permanent', isLocal: true, age: 0.11, used: 0.11 })
  t.same(decode(SELF), { ...common, mac: '02:00:5e:10:00:03', state: 'permanent', isLocal: false, via: 'self', age: null, used: null })
})

t.test('filters drop before an object is made', async (t) => {
  const input = inputOf(hex(STICKY))
  const msg = messageAt(input, 0, input.bytes.length)
  t.equal(decodeFdb(input, msg, { master: 3, via: 'any' }), undefined)
  t.equal(decodeFdb(input, msg, { master: 2, via: 'self' }), undefined)
  t.equal(decodeFdb(input, msg, { master: 2, via: 'master', vlan: 7 }), undefined)
  t.equal(decodeFdb(input, msg, { master: 2, via: 'master', states: new Set(['learned'] as const) }), undefined)
  t.ok(decodeFdb(input, msg, { master: 2, via: 'master', vlan: null, states: new Set(['static'] as const) }))
})

t.test('the fast reader and the table read the same', async (t) => {
  const input = inputOf(hex(LEARNED))
  t.same(decodeFdbAttributes(input, messageAt(input, 0, input.bytes.length)),
    { mac: 'da:09:bf:c2:0f:0e', master: 2, extendedFlags: 0, cacheInfo: { used: 0.1, updated: 0.1 } })
})

t.test('a request is what bridge(8) sends', async (t) => {
  // strace -e trace=sendmsg bridge fdb add 02:00:5e:10:00:01 dev p0 vlan 10 master static sticky, header left out.
  const w = new Writer()
  encodeFdb(w, { portIndex: 4, state: NUD.noArp | NUD.reachable, flags: NTF.master | NTF.sticky, mac: parseMac('02:00:5e:10:00:01'), vlan: 10 })
  t.equal(Buffer.from(w.finish()).toString('hex'), '070000000400000042004400' + '0a00020002005e1000010000' + '060005000a000000')
})

t.test('tunnel destinations', async (t) => {
  const w = new Writer()
  w.reserve(16)
  encodeFdb(w, { portIndex: 9, state: NUD.permanent, flags: NTF.self, mac: parseMac('02:00:5e:10:00:01'), remote: { address: Uint8Array.of(192, 0, 2, 1), port: 4790, vni: 7, link: 3 } })
  const bytes = w.finish().slice()
  new DataView(bytes.buffer).setUint32(0, bytes.length, true)
  const input = inputOf(bytes)
  t.same(decodeFdb(input, messageAt(input, 0, bytes.length), all)?.remote, { address: '192.0.2.1', port: 4790, vni: 7, link: 3 })
})

t.test('arbitrary bytes give an entry, nothing, or EBADMSG', async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (payload) => {
    const bytes = new Uint8Array(16 + payload.length)
    bytes.set(payload, 16)
    const input = inputOf(bytes)
    const msg = { type: 28, flags: 0, sequence: 0, port: 0, start: 16, end: bytes.length }
    isFdb(input, msg)
    for (const read of [() => decodeFdb(input, msg, all), () => decodeFdbAttributes(input, msg)]) {
      try { read() } catch (error) { if (!(error instanceof NfkitError && error.code === 'EBADMSG')) throw error }
    }
  }), { numRuns: 2000 })
})

t.test('mutations of real messages never read outside', async () => {
  fc.assert(fc.property(fc.constantFrom(STICKY, EXTERN, LOCAL, SELF), fc.array(fc.tuple(fc.nat(75), fc.nat(255)), { maxLength: 6 }), (text, changes) => {
    const bytes = hex(text)
    for (const [at, value] of changes) if (at >= 16 && at < bytes.length) bytes[at] = value
    const input = inputOf(bytes)
    try { decodeFdb(input, messageAt(input, 0, bytes.length), all) } catch (error) { if (!(error instanceof NfkitError)) throw error }
  }), { numRuns: 2000 })
})
