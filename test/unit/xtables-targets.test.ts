// SPDX-License-Identifier: MIT
// Targets that the test kernel or its iptables lack, on bytes laid out by their headers, and any bytes at all for every target.

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/index.js'
import '../../lib/wire/xtables/extensions/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { inputOf } from '../../lib/wire/bytes.js'
import { entryAt, entryLayouts } from '../../lib/wire/xtables/entry.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import type { Resolver } from '../../lib/wire/xtables/payload.js'
import { decodeRule, encodeRule, printRule, type Rule, type RuleEnvironment } from '../../lib/wire/xtables/rule.js'

const sets = ['first', 'second', 'third']
const resolver: Resolver = {
  servicePort: () => undefined, protocolNumber: () => undefined, protocolName: () => undefined, hostAddresses: () => [],
  userId: () => undefined, userName: () => undefined, groupId: () => undefined, groupName: () => undefined,
  lookup: (file, name) => (file === 'ipset' && sets.includes(name) ? sets.indexOf(name) : undefined),
  lookupName: (file, number) => (file === 'ipset' ? sets[number] : undefined),
}
const environment = (family: IpFamily, table?: string, revision?: number): RuleEnvironment =>
  ({ family, resolver, table, kernelHas: (_kind, _name, has) => revision === undefined || has <= revision })

/** The struct of a rule's target, as hexadecimal digits. */
function structOf(bytes: Uint8Array, family: IpFamily): string {
  const entry = entryAt(entryLayouts[family], inputOf(bytes), 0, bytes.length)
  return Buffer.from(bytes.subarray(entry.target + 32)).toString('hex')
}

/** Text, what is printed of it, the struct, the value; revision and family where they matter. */
function check(text: string, printed: string, hex: string, value: unknown, family: IpFamily = 'ipv4', revision?: number): void {
  t.test(`${text} (${family}${revision === undefined ? '' : `, revision ${revision}`})`, async (t) => {
    const env = environment(family, undefined, revision)
    const words = [...text.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2]!)
    const rule = parseRule(words, env).rules[0]!
    t.equal(structOf(rule.bytes, family), hex.replaceAll(' ', ''), 'struct')
    t.equal(printRule(rule, env), ` ${printed}`, 'text')
    const decoded = decodeRule(rule, env)
    t.same(decoded.target, value, 'value')
    t.equal(structOf(encodeRule(decoded, env).bytes, family), hex.replaceAll(' ', ''), 'value to struct')
  })
}

const zeros = (bytes: number) => '00'.repeat(bytes)
const ascii = (text: string, bytes: number) => Buffer.from(text).toString('hex').padEnd(bytes * 2, '0')

// xt_led_info: char id[27], always_blink, u32 delay, a pointer.
check('-j LED --led-trigger-id foo', '-j LED --led-trigger-id "foo"', `${ascii('netfilter-foo', 27)} 00 00000000 ${zeros(8)}`, { name: 'LED', trigger: 'foo' })
check('-j LED --led-trigger-id foo --led-delay 42 --led-always-blink', '-j LED --led-trigger-id "foo" --led-delay 42 --led-always-blink', `${ascii('netfilter-foo', 27)} 01 2a000000 ${zeros(8)}`,
  { name: 'LED', trigger: 'foo', delay: 42, alwaysBlink: true })
check('-j LED --led-trigger-id foo --led-delay INF', '-j LED --led-trigger-id "foo" --led-delay inf', `${ascii('netfilter-foo', 27)} 00 ffffffff ${zeros(8)}`, { name: 'LED', trigger: 'foo', delay: 'inf' })
// xt_clone_info (kmod/uapi/xt_CLONE.h): u32 mark; xt_clone_info_v1: u32 kind, a union of u32 mark, char devices[8][16] and char target[32], u32 padding, u64.
for (const family of ['ipv4', 'ipv6'] as const) {
  check('-j CLONE --mark 128', '-j CLONE --mark 0x80', '80000000 00000000', { name: 'CLONE', mark: 128 }, family, 0)
  check('-j CLONE --mark 0xffffffff', '-j CLONE --mark 0xffffffff', 'ffffffff 00000000', { name: 'CLONE', mark: 0xffffffff }, family, 0)
  check('-j CLONE --mark 128', '-j CLONE --mark 0x80', `00000000 80000000 ${zeros(136)}`, { name: 'CLONE', mark: 128 }, family)
  check('-j CLONE --dev eth1,eth0.7', '-j CLONE --dev eth1,eth0.7', `01000000 ${ascii('eth1', 16)} ${ascii('eth0.7', 16)} ${zeros(108)}`, { name: 'CLONE', devices: ['eth1', 'eth0.7'] }, family)
  check('-j CLONE --target a.B-1_', '-j CLONE --target a.B-1_', `02000000 ${ascii('a.B-1_', 32)} ${zeros(108)}`, { name: 'CLONE', target: 'a.B-1_' }, family)
  check('-j CLONE --target --dev', '-j CLONE --target --dev', `02000000 ${ascii('--dev', 32)} ${zeros(108)}`, { name: 'CLONE', target: '--dev' }, family)
}
t.test('CLONE needs one of its options', async (t) => {
  const nine = [...'abcdefghi'].join(',')
  for (const text of [
    '-j CLONE', '-j CLONE --mark', '-j CLONE --mark -1', '-j CLONE --mark 0x100000000', '-j CLONE --mark 1/2', '-j CLONE --mark 1 --mark 2', '-j CLONE ! --mark 1',
    '-j CLONE --mark 1 --dev b', '-j CLONE --dev a,', '-j CLONE --dev ,a', '-j CLONE --dev a,a', '-j CLONE --dev a:1', '-j CLONE --dev ..',
    `-j CLONE --dev ${'x'.repeat(16)}`, `-j CLONE --dev ${nine}`, '-j CLONE ! --dev a',
    '-j CLONE --target', '-j CLONE --target a/b', `-j CLONE --target ${'x'.repeat(32)}`, '-j CLONE --target a --dev b', '-j CLONE --target a --mark 1', '-j CLONE ! --target a',
  ]) {
    t.throws(() => parseRule(text.split(' '), environment('ipv4')), { code: 'NFKIT_BAD_RULE' }, text)
  }
  t.throws(() => parseRule(['-j', 'CLONE', '--dev', 'a'], environment('ipv4', undefined, 0)), { code: 'NFKIT_BAD_RULE' }, 'a kernel with revision 0')
  const encode = (target: object) => encodeRule({ target: { name: 'CLONE', ...target } as never }, environment('ipv4'))
  t.throws(() => encode({}), { code: 'NFKIT_BAD_RULE' })
  t.throws(() => encode({ mark: 1, devices: ['a'] }), { code: 'NFKIT_BAD_RULE' })
  t.throws(() => encode({ mark: 2 ** 32 }), RangeError)
  t.throws(() => encode({ mark: '1' }), TypeError)
  t.throws(() => encode({ devices: 'eth0' }), TypeError)
  t.throws(() => encode({ devices: [] }), RangeError)
  t.throws(() => encode({ target: 'a', devices: ['a'] }), { code: 'NFKIT_BAD_RULE' })
  t.throws(() => encode({ target: 7 }), TypeError)
  for (const target of ['', 'a b', 'ä', 'x'.repeat(32)]) t.throws(() => encode({ target }), RangeError)
  t.throws(() => encode({ devices: ['a', 'a'] }), RangeError)
  t.throws(() => encode({ devices: nine.split(',') }), RangeError)
})
// xt_secmark_target_info_v1: u8 mode, char secctx[256], u32 secid; revision 0: u8 mode, u32 secid, char secctx[256].
check('-j SECMARK --selctx u:r:t:s0', '-j SECMARK --selctx u:r:t:s0', `01 ${ascii('u:r:t:s0', 256)} ${zeros(7)}`, { name: 'SECMARK', context: 'u:r:t:s0' })
check('-j SECMARK --selctx u:r:t:s0', '-j SECMARK --selctx u:r:t:s0', `01 ${zeros(7)} ${ascii('u:r:t:s0', 256)}`, { name: 'SECMARK', context: 'u:r:t:s0' }, 'ipv6', 0)
// xt_ct_target_info_v1: u16 flags, zone; u32 ct_events, exp_events; char helper[16], timeout[32]; a pointer aligned to 8.
check('-p tcp -j CT --helper ftp --timeout long', '-p tcp -j CT --helper ftp --timeout long', `${zeros(12)} ${ascii('ftp', 16)} ${ascii('long', 32)} ${zeros(12)}`, { name: 'CT', helper: 'ftp', timeout: 'long' })
check('-j CT --helper ftp', '-j CT --helper ftp', `${zeros(12)} ${ascii('ftp', 16)} ${zeros(12)}`, { name: 'CT', helper: 'ftp' }, 'ipv4', 0)
// xt_set_info_target_v3: three times u16 index, u8 dim, u8 flags; u32 flags, timeout.
check('-j SET --add-set second src,dst --exist --timeout 5', '-j SET --add-set second src,dst --exist --timeout 5', '01000202 ffff0000 ffff0000 01000000 05000000 00000000',
  { name: 'SET', add: { set: 'second', directions: ['src', 'dst'] }, exist: true, timeout: 5 })
check('-j SET --map-set third dst --map-mark --map-queue --del-set first src', '-j SET --del-set first src --map-set third dst --map-mark --map-queue', 'ffff0000 00000102 02000100 00050000 ffffffff 00000000',
  { name: 'SET', delete: { set: 'first', directions: ['src'] }, map: { set: 'third', directions: ['dst'] }, mapMark: true, mapQueue: true })
check('-j SET --add-set first dst', '-j SET --add-set first dst', '00000100 ffff0000', { name: 'SET', add: { set: 'first', directions: ['dst'] } }, 'ipv6', 1)
// ipt_ECN_info: u8 operation, u8 ip_ect, bits ece and cwr.
check('-p tcp -j ECN --ecn-tcp-cwr 1 --ecn-tcp-ece 0 --ecn-ip-ect 2', '-p tcp -j ECN --ecn-tcp-ece 0 --ecn-tcp-cwr 1 --ecn-ip-ect 2', `31 02 02 ${zeros(5)}`, { name: 'ECN', tcpEce: 0, tcpCwr: 1, ipEct: 2 })
// idletimer_tg_info_v1: u32 timeout, char label[28], u8 send_nl_msg, u8 timer_type, a pointer; revision 0 ends after the label.
check('-j IDLETIMER --timeout 42 --label foo --alarm --send_nl_msg', '-j IDLETIMER --timeout 42 --label foo --alarm --send_nl_msg', `2a000000 ${ascii('foo', 28)} 0101 ${zeros(14)}`,
  { name: 'IDLETIMER', timeout: 42, label: 'foo', alarm: true, sendNetlinkMessage: true })
check('-j IDLETIMER --timeout 42 --label foo', '-j IDLETIMER --timeout 42 --label foo', `2a000000 ${ascii('foo', 28)} ${zeros(8)}`, { name: 'IDLETIMER', timeout: 42, label: 'foo' }, 'ipv4', 0)
// What iptables 1.8.11 takes and 1.8.9 did not: open ends of the range.
check('-j NFQUEUE --queue-balance :', '-j NFQUEUE --queue-balance 0:65534', `0000 ffff 0000 ${zeros(2)}`, { name: 'NFQUEUE', balance: [0, 65534] })
check('-j NFQUEUE --queue-balance 4:', '-j NFQUEUE --queue-balance 4:65534', `0400 fbff 0000 ${zeros(2)}`, { name: 'NFQUEUE', balance: [4, 65534] })
check('-j NFQUEUE --queue-num 5', '-j NFQUEUE --queue-num 5', `0500 ${zeros(6)}`, { name: 'NFQUEUE', queue: 5 }, 'ipv4', 0)
// xt_connmark_tginfo1: u32 ctmark, ctmask, nfmask; u8 mode. nf_nat_ipv4_multi_range_compat: u32 size, flags, addresses, be16 ports.
check('-j CONNMARK --restore-mark --mask 0xff', '-j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff', '00000000 ff000000 ff000000 02000000', { name: 'CONNMARK', restore: true, packetMask: 255, connectionMask: 255 }, 'ipv4', 1)
check('-p 6 -j DNAT --to-destination 1.2.3.4:80', '-p tcp -j DNAT --to-destination 1.2.3.4:80', '01000000 03000000 01020304 01020304 0050 0050 00000000', { name: 'DNAT', to: { addresses: ['1.2.3.4', '1.2.3.4'], ports: [80, 80] } }, 'ipv4', 0)
check('-p 6 -j DNAT --to-destination [2001:db8::1]:80', '-p tcp -j DNAT --to-destination [2001:db8::1]:80', `03000000 20010db8${zeros(11)}01 20010db8${zeros(11)}01 0050 0050`, { name: 'DNAT', to: { addresses: ['2001:db8::1', '2001:db8::1'], ports: [80, 80] } }, 'ipv6', 1)
// xt_tproxy_target_info: u32 mark_mask, mark_value, be32 laddr, be16 lport.
check('-p 6 -j TPROXY --on-port 80 --on-ip 1.2.3.4 --tproxy-mark 1/3', '-p tcp -j TPROXY --on-port 80 --on-ip 1.2.3.4 --tproxy-mark 0x1/0x3', '03000000 01000000 01020304 0050 0000', { name: 'TPROXY', port: 80, address: '1.2.3.4', mark: { value: 1, mask: 3 } }, 'ipv4', 0)

t.test('refused lines that only other kernels could judge', async (t) => {
  for (const line of [
    '-j LED', '-j LED --led-trigger-id 12345678901234567', '-j LED --led-trigger-id x --led-delay -1', '-j SECMARK', '-j SET', '-j SET --add-set nosuch src', '-j SET --add-set first other', '-j SET --add-set first src,src,src,src,src,src,src',
    '-j SET --add-set first -j', '-j SET --del-set first src --exist', '-j SET --del-set first src --timeout 1', '-j SET --map-set first src', '-j SET --add-set first src --map-mark', '-j SET --add-set first src --timeout 4294967295', '-j SET --add-set first src --add-set second src',
    '-j NETMAP --to 1.2.3.4/255.0.255.0', '-j CLASSIFY --set-class 1:10000', '-p tcp -j SYNPROXY --wscale 256', '-p tcp -j SYNPROXY --mss 65536',
  ]) t.throws(() => parseRule(line.split(' '), environment('ipv4')), { code: 'NFKIT_BAD_RULE' }, line)
})

t.test('typed values are checked before anything is written', async (t) => {
  const bad: readonly (readonly [Rule['target'], unknown])[] = [
    [{ name: 'LOG', prefix: 'x'.repeat(30) }, RangeError], [{ name: 'LOG', prefix: 'a\nb' }, RangeError], [{ name: 'LOG', level: 'loud' as never }, TypeError], [{ name: 'NFLOG', prefix: 'x'.repeat(64) }, RangeError],
    [{ name: 'MARK', mark: -1 }, RangeError], [{ name: 'MARK', mark: '1' as never }, TypeError], [{ name: 'NFQUEUE', balance: [5, 5] }, RangeError], [{ name: 'DNAT', to: {} }, TypeError],
    [{ name: 'DNAT', to: { addresses: ['::1', '::1'] } }, TypeError], [{ name: 'CT', zoneOriginal: 1, zoneReply: 2 }, RangeError], [{ name: 'CT', events: ['nosuch' as never] }, RangeError],
    [{ name: 'TTL', set: 256 }, RangeError], [{ name: 'CONNMARK', save: true, leftShift: 1, rightShift: 1 }, RangeError], [{ name: 'RATEEST', estimator: 'x', interval: 3, ewmaLog: 1 }, RangeError],
    [{ name: 'SET', add: { set: 'nosuch', directions: ['src'] } }, RangeError], [{ name: 'TEE', gateway: 'here' }, TypeError], [{ name: 'TRACE', more: 1 } as never, TypeError],
  ]
  for (const [target, kind] of bad) t.throws(() => encodeRule({ target: target! }, environment('ipv4')), kind as never, JSON.stringify(target))
})

/** Name in the table, revision, bytes of the struct with padding, family. */
const STRUCTS: readonly (readonly [string, number, number, IpFamily?])[] = [
  ['REJECT', 0, 8], ['LOG', 0, 32], ['MARK', 2, 8], ['CONNMARK', 2, 16], ['CONNMARK', 1, 16], ['DNAT', 2, 48], ['DNAT', 1, 40, 'ipv6'], ['DNAT', 0, 24, 'ipv4'], ['SNAT', 0, 24, 'ipv4'], ['SNAT', 1, 40, 'ipv6'],
  ['MASQUERADE', 0, 24, 'ipv4'], ['MASQUERADE', 0, 40, 'ipv6'], ['REDIRECT', 0, 24, 'ipv4'], ['REDIRECT', 0, 40, 'ipv6'], ['NETMAP', 0, 24, 'ipv4'], ['NETMAP', 0, 40, 'ipv6'], ['TCPMSS', 0, 8], ['TTL', 0, 8, 'ipv4'],
  ['HL', 0, 8, 'ipv6'], ['TOS', 1, 8], ['DSCP', 0, 8], ['CT', 2, 72], ['CT', 1, 72], ['CT', 0, 40], ['NOTRACK', 0, 0], ['TRACE', 0, 0], ['NFQUEUE', 3, 8], ['NFQUEUE', 2, 8], ['NFQUEUE', 1, 8], ['NFQUEUE', 0, 8], ['NFLOG', 0, 80],
  ['AUDIT', 0, 8], ['CHECKSUM', 0, 8], ['CLASSIFY', 0, 8], ['CONNSECMARK', 0, 8], ['DNPT', 0, 40, 'ipv6'], ['SNPT', 0, 40, 'ipv6'], ['ECN', 0, 8, 'ipv4'], ['HMARK', 0, 64], ['IDLETIMER', 1, 48], ['IDLETIMER', 0, 40], ['LED', 0, 40],
  ['RATEEST', 0, 32], ['SECMARK', 1, 264], ['SECMARK', 0, 264], ['SET', 3, 24], ['SET', 2, 16], ['SET', 1, 8], ['SYNPROXY', 0, 8], ['TCPOPTSTRIP', 0, 32], ['TEE', 1, 40], ['TPROXY', 1, 32], ['TPROXY', 0, 16, 'ipv4'],
]

t.test('any bytes are a value or a typed error', async (t) => {
  for (const [name, revision, size, only] of STRUCTS) {
    for (const family of only === undefined ? ['ipv4', 'ipv6'] as const : [only]) {
      const env = environment(family)
      t.not(encodeRule({ target: { name, revision, opaque: new Uint8Array(size) } }, env).bytes.length, 0)
      fc.assert(fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (opaque) => {
        const bytes = encodeRule({ target: { name, revision, opaque } }, env)
        try {
          JSON.stringify(decodeRule(bytes, env))
          printRule(bytes, env)
        } catch (error) {
          if (!(error instanceof NfkitError)) throw error
        }
      }), { numRuns: 60 })
    }
  }
  t.pass('all of them')
})
