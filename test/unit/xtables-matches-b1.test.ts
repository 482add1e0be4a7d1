// SPDX-License-Identifier: MIT
// What the installed iptables lacks or gets wrong, by the headers' layout; low revisions; typed values; and any bytes at all.

import t from 'tap'
import '../../lib/wire/xtables/extensions/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import type { Resolver } from '../../lib/wire/xtables/payload.js'
import { decodeRule, encodeRule, printRule, type Rule, type RuleEnvironment } from '../../lib/wire/xtables/rule.js'
import { only, readAnyBytes, readDamagedBytes, roundTrip, ruleOf, structOf, words } from '../support/rule-bytes.js'

const resolver: Resolver = {
  servicePort: () => undefined, protocolNumber: () => undefined, protocolName: () => undefined, hostAddresses: () => [],
  userId: (name) => (name === 'alice' ? 1000 : undefined), userName: () => undefined, groupId: (name) => (name === 'staff' ? 50 : undefined), groupName: () => undefined,
  lookup: (file, name) => (file === 'ipset' && name === 'foo' ? 3 : undefined), lookupName: (file, number) => (file === 'ipset' && number === 3 ? 'foo' : undefined),
}
const environment = (family: IpFamily, more: Partial<RuleEnvironment> = {}): RuleEnvironment => ({ family, resolver, ...more })
const hex = (rule: Rule, family: IpFamily, env = environment(family)) => Buffer.from(structOf(encodeRule(rule, env), family)).toString('hex')

t.test('icmp: type 255 with some codes is not any', async (t) => {
  const env = environment('ipv4')
  t.match(roundTrip(t, '-p icmp -m icmp --icmp-type 255/255', '-p icmp -m icmp --icmp-type 255/255', env).matches, [{ type: { type: 255, code: 255 } }])
  t.match(roundTrip(t, '-p icmp -m icmp ! --icmp-type 255/3:5', '-p icmp -m icmp ! --icmp-type 255/3', env).matches, [{ type: { not: { type: 255, code: [3, 5] } } }])
  t.match(roundTrip(t, '-p icmp -m icmp --icmp-type 255', '-p icmp -m icmp --icmp-type any', env).matches, [{ type: 'any' }])
  t.match(roundTrip(t, '-p icmpv6 -m icmp6 --icmpv6-type 255', '-p ipv6-icmp -m icmp6 --icmpv6-type 255', environment('ipv6')).matches, [{ type: 255 }])
})

t.test('icmp6: the types of multicast listeners', async (t) => {
  const env = environment('ipv6')
  for (const [name, number] of [['mld-listener-query', 130], ['mld-listener-report', 131], ['mld-listener-done', 132], ['mld-listener-red', 132]] as const) {
    roundTrip(t, `-p icmpv6 -m icmp6 --icmpv6-type ${name}`, `-p ipv6-icmp -m icmp6 --icmpv6-type ${number}`, env)
  }
  t.equal(hex({ protocol: 'icmpv6', matches: [{ name: 'icmp6', type: { not: 'mld-listener-done' } }] }, 'ipv6'), '8400ff01' + '00000000')
})

t.test('recent: numbers past 2^31, which 1.8.9 prints as negative', async (t) => {
  roundTrip(t, '-m recent --rcheck --seconds 4294967295', '-m recent --rcheck --seconds 4294967295 --name DEFAULT --mask 255.255.255.255 --rsource', environment('ipv4'))
})

t.test('recent: revision 0 has no mask', async (t) => {
  const env = environment('ipv4', only(0))
  roundTrip(t, '-m recent ! --update --hitcount 2 --name x --rdest', '-m recent ! --update --hitcount 2 --name x --rdest', env)
  // struct xt_recent_mtinfo: seconds, hits, operations, inverted, 200 bytes of name, side.
  const struct = hex({ matches: [{ name: 'recent', operation: { not: 'update' }, hitCount: 2, list: 'x', side: 'destination' }] }, 'ipv4', env)
  t.equal(struct, '0000000002000000' + '0401' + '7800' + '4641554c54' + '00'.repeat(193) + '01' + '0000000000')
  t.throws(() => parseRule(words('-m recent --set --mask 255.0.0.0'), env), { code: 'NFKIT_BAD_RULE' })
})

t.test('string: what iptables prints and does not read, 128 bytes that are no text', async (t) => {
  const text = `-m string --hex-string "|${'0a'.repeat(128)}|" --algo bm`
  t.match(roundTrip(t, text, text, environment('ipv4')).matches, [{ pattern: { hex: '0a'.repeat(128) } }])
})

t.test('limit: times between packets that are no rate', async (t) => {
  const env = environment('ipv4')
  const { bytes } = encodeRule({ matches: [{ name: 'limit', rate: 9999 }] }, env)
  t.equal(printRule({ bytes }, env), ' -m limit --limit 1/sec')
  t.match(decodeRule({ bytes }, env).matches, [{ rate: 9999, burst: 5 }])
  t.equal(printRule(ruleOf('ipv4', 'limit', 0, new Uint8Array(40)), env), ' -m limit --limit inf --limit-burst 0')
})

t.test('set: the structs of four revisions', async (t) => {
  const cases: [revision: number, text: string, struct: string][] = [
    // Number, dimensions, directions from bit 1 on; bit 0 inverts.
    [1, '-m set ! --match-set foo src,dst', '03000203' + '00000000'],
    // Bit 7 is nomatch here, a flag from revision 3 on.
    [2, '-m set --match-set foo src,dst --return-nomatch', '03000282' + '00000000'],
    [3, '-m set --match-set foo dst --return-nomatch ! --update-counters ! --update-subcounters ! --packets-eq 258 --bytes-gt 5',
      '03000100' + '00000000' + '0200000000000000' + '0201000000000000' + '0400000000000000' + '0500000000000000' + '98000000' + '00000000'],
    [4, '-m set --match-set foo dst --packets-eq 258 --bytes-lt 5', '03000100' + '00000000' + '0201000000000000' + '0100000000000000' + '0500000000000000' + '0300000000000000' + '00000000' + '00000000'],
  ]
  for (const [revision, text, struct] of cases) {
    const env = environment('ipv4', only(revision))
    roundTrip(t, text, text, env)
    t.equal(Buffer.from(structOf(parseRule(words(text), env).rules[0]!, 'ipv4')).toString('hex'), struct, `revision ${revision}`)
  }
  t.throws(() => parseRule(words('-m set --match-set foo src --return-nomatch'), environment('ipv4', only(1))), { code: 'NFKIT_BAD_RULE' })
  t.throws(() => parseRule(words('-m set --match-set foo src --bytes-eq 1'), environment('ipv4', only(2))), { code: 'NFKIT_BAD_RULE' })
  t.throws(() => encodeRule({ matches: [{ name: 'set', match: { set: 'foo', directions: ['src'] }, updateCounters: false }] }, environment('ipv4', only(2))), TypeError)
})

t.test('set: one without a name is a number', async (t) => {
  const env = environment('ipv6')
  const { bytes } = encodeRule({ matches: [{ name: 'set', match: { set: 7, directions: ['dst'] } }] }, env)
  t.equal(printRule({ bytes }, env), ' -m set --match-set 7 dst')
  t.match(decodeRule({ bytes }, env).matches, [{ match: { set: 7, directions: ['dst'] } }])
})

t.test('hashlimit: the structs of three revisions', async (t) => {
  const text = '-m hashlimit --hashlimit-above 10/sec --hashlimit-burst 7 --hashlimit-mode srcip,dstport --hashlimit-name ab --hashlimit-htable-size 2 --hashlimit-htable-max 3 --hashlimit-htable-gcinterval 4 --hashlimit-htable-expire 5 --hashlimit-srcmask 24'
  const numbers = '02000000' + '03000000' + '04000000' + '05000000'
  const structs: Record<number, string> = {
    // 255 bytes of name, rate and burst of 64 bits, mode, the hash table's numbers, the interval (revision 3), two masks, the kernel's own.
    3: '6162' + '00'.repeat(254) + 'a086010000000000' + '0700000000000000' + '16000000' + numbers + '00000000' + '1820' + '00'.repeat(6 + 8),
    2: '6162' + '00'.repeat(254) + 'a086010000000000' + '0700000000000000' + '16000000' + numbers + '1820' + '00'.repeat(2 + 8),
    // 16 bytes of name, mode, rate and burst of 32 bits.
    1: '6162' + '00'.repeat(14) + '16000000' + 'e8030000' + '07000000' + numbers + '1820' + '00'.repeat(2 + 8),
  }
  for (const revision of [3, 2, 1]) {
    const env = environment('ipv4', only(revision))
    roundTrip(t, text, text, env)
    t.equal(Buffer.from(structOf(parseRule(words(text), env).rules[0]!, 'ipv4')).toString('hex'), structs[revision], `revision ${revision}`)
    roundTrip(t, '-m hashlimit --hashlimit-upto 4kb/s --hashlimit-burst 400kb --hashlimit-name x', '-m hashlimit --hashlimit-upto 4kb/s --hashlimit-burst 400kb --hashlimit-name x', env)
  }
  const [r1, r2] = [environment('ipv4', only(1)), environment('ipv4', only(2))]
  for (const rule of ['--hashlimit-upto 10001/sec', '--hashlimit-upto 4096mb/s', '--hashlimit-upto 1/sec --hashlimit-burst 10001', '--hashlimit-upto 1/sec --hashlimit-burst 10k']) {
    t.throws(() => parseRule(words(`-m hashlimit --hashlimit-name x ${rule}`), r1), { code: 'NFKIT_BAD_RULE' }, `revision 1: ${rule}`)
    parseRule(words(`-m hashlimit --hashlimit-name x ${rule}`), r2)
  }
  for (const option of ['--hashlimit-rate-match', '--hashlimit-rate-interval 1']) t.throws(() => parseRule(words(`-m hashlimit --hashlimit-upto 1/sec --hashlimit-name x ${option}`), r2), { code: 'NFKIT_BAD_RULE' })
  // What is too long is cut, by revision.
  t.match(decodeRule(parseRule(words('-m hashlimit --hashlimit-upto 1/sec --hashlimit-name abcdefghijklmnopq'), r1).rules[0]!, r1).matches, [{ tableName: 'abcdefghijklmno' }])
})

t.test('hashlimit: numbers that no text says', async (t) => {
  const env = environment('ipv4')
  const keep = (rest: object) => {
    const matches = [{ name: 'hashlimit', burst: 5, tableName: 'x', ...rest }] as NonNullable<Rule['matches']>
    t.same(decodeRule(encodeRule({ matches }, env), env).matches, matches, JSON.stringify(rest))
  }
  keep({ upto: { period: 999999 } })
  keep({ above: { period: '18446744073709551615' }, tableExpire: 7 })
  keep({ upto: { period: 999999 }, rateMatch: true, rateInterval: 60 })
  t.same(decodeRule(encodeRule({ matches: [{ name: 'hashlimit', upto: { cost: 0xfffffffe }, tableName: 'x' }] }, env), env).matches, [{ name: 'hashlimit', upto: { cost: 0xfffffffe }, tableName: 'x' }])
  const { bytes } = encodeRule({ matches: [{ name: 'hashlimit', upto: { cost: 0xffffffff }, tableName: 'x' }] }, env)
  t.equal(printRule({ bytes }, env), ' -m hashlimit --hashlimit-upto 0b/s --hashlimit-name x')
})

t.test('policy: masks with gaps, which 1.8.9 loses, and the struct', async (t) => {
  const env = environment('ipv4')
  const text = '-m policy --dir out --pol ipsec --strict ! --reqid 258 --spi 0x102 --proto 108 --mode tunnel --tunnel-dst 10.1.2.3/255.0.255.0 ! --tunnel-src 1.2.3.4 --next --reqid 1'
  roundTrip(t, text.replace('108', 'ipcomp'), text, env)
  const struct = Buffer.from(structOf(parseRule(words(text), env).rules[0]!, 'ipv4')).toString('hex')
  const ones = 'ff'.repeat(12)
  // Four elements: source, mask, destination, mask, SPI, reqid, protocol, mode, what is compared, what is inverted; flags; how many.
  t.equal(struct, '01020304' + '00'.repeat(12) + 'ff'.repeat(16) + '0a010203' + '00'.repeat(12) + 'ff00ff00' + ones + '02010000' + '02010000' + '6c' + '01' + '3f' + '21'
    + '00'.repeat(68) + '01000000' + '0000' + '20' + '00' + '00'.repeat(152) + '0a00' + '0200' + '00000000')
})

t.test('refused here, though iptables takes it', async (t) => {
  for (const rule of [
    '-m physdev --physdev-in ""', '-m physdev --physdev-out ""',
    // No day at all, or only after what iptables cuts off: the text could not be read again.
    '-m time --monthdays 0', '-m time --monthdays ""', '-m time --monthdays 100', '-m time --monthdays 1,,2', '-m time --weekdays ""', '-m time --weekdays 8', '-m time ! --weekdays 1,2,3,4,5,6,7',
    '-m recent --set --rsource --rdest', '-m time --localtz --kerneltz', '-m statistic --mode random --probability nan', '-m limit --limit 10x/sec',
    // Another number than the one that was written.
    ...['--hashlimit-upto 1gb', '--hashlimit-upto 10x/sec', '--hashlimit-upto 70000mb/s', '--hashlimit-upto 1kb/s --hashlimit-burst 5xyz', '--hashlimit-upto 1mb/s --hashlimit-burst 4096mb', '--hashlimit-upto 1/sec --hashlimit-rate-match --hashlimit-rate-interval 5s'].map((rule) => `-m hashlimit --hashlimit-name x ${rule}`),
  ]) {
    t.throws(() => parseRule(words(rule), environment('ipv4')), { code: 'NFKIT_BAD_RULE' }, rule)
  }
})

t.test('typed values make the structs of the headers', async (t) => {
  const cases: [rule: Rule, family: IpFamily, struct: string][] = [
    // struct ipt_icmp: type, first and last code, inverted.
    [{ protocol: 'icmp', matches: [{ name: 'icmp', type: 'echo-request' }] }, 'ipv4', '0800ff00' + '00000000'],
    [{ protocol: 'icmp', matches: [{ name: 'icmp', type: { not: { type: 3, code: [1, 5] } } }] }, 'ipv4', '03010501' + '00000000'],
    [{ protocol: 'icmp', matches: [{ name: 'icmp', type: 'any' }] }, 'ipv4', 'ff00ff00' + '00000000'],
    // struct ipt_ttl_info: mode, number.
    [{ matches: [{ name: 'ttl', equal: { not: 64 } }] }, 'ipv4', '0140' + '000000000000'],
    [{ matches: [{ name: 'hl', greater: 5 }] }, 'ipv6', '0305' + '000000000000'],
    // struct xt_tcpmss_match_info: two 16-bit numbers, inverted.
    [{ protocol: 'tcp', matches: [{ name: 'tcpmss', mss: { not: [1, 258] } }] }, 'ipv4', '01000201' + '01000000'],
    // struct xt_tos_match_info: mask, value, inverted.
    [{ matches: [{ name: 'tos', tos: { not: { value: 0x10, mask: 0x3f } } }] }, 'ipv6', '3f1001' + '0000000000'],
    // struct xt_owner_match_info: users from and to, groups from and to, what is given, what is inverted.
    [{ matches: [{ name: 'owner', uid: 'alice', gid: { not: [1, 2] }, supplementaryGroups: true }] }, 'ipv4', 'e8030000e8030000' + '0100000002000000' + '0b02' + '000000000000'],
    [{ matches: [{ name: 'owner', gid: { not: 'staff' }, socketExists: { not: true } }] }, 'ipv4', '0000000000000000' + '3200000032000000' + '0606' + '000000000000'],
    // struct xt_rateinfo: time from packet to packet, burst, and the kernel's own.
    [{ matches: [{ name: 'limit' }] }, 'ipv4', '001bb700' + '05000000' + '00'.repeat(32)],
    [{ matches: [{ name: 'limit', rate: '10/second', burst: 7 }] }, 'ipv6', 'e8030000' + '07000000' + '00'.repeat(32)],
    // struct xt_statistic_info: mode, flags, then the probability, or one less than every and the packet.
    [{ matches: [{ name: 'statistic', mode: 'random', probability: { not: 0.5 } }] }, 'ipv4', '00000100' + '00000040' + '00'.repeat(16)],
    [{ matches: [{ name: 'statistic', mode: 'nth', every: 5, packet: 2 }] }, 'ipv4', '01000000' + '04000000' + '02000000' + '00'.repeat(12)],
    // struct xt_string_info: from, to, 16 bytes of algorithm, 128 of pattern, length, flags, and the kernel's own.
    [{ matches: [{ name: 'string', pattern: { not: 'ab' }, algorithm: 'kmp', from: 1, to: 2, ignoreCase: true }] }, 'ipv4', '01000200' + '6b6d70' + '00'.repeat(13) + '6162' + '00'.repeat(126) + '0203' + '00'.repeat(10)],
    [{ matches: [{ name: 'string', pattern: { hex: 'DEad' }, algorithm: 'bm' }] }, 'ipv4', '0000ffff' + '626d' + '00'.repeat(14) + 'dead' + '00'.repeat(126) + '0200' + '00'.repeat(10)],
    // struct xt_time_info: dates, times of day, days of the month, weekdays, flags.
    [{ matches: [{ name: 'time', timeStart: '23:00', timeStop: '01:00:00', contiguous: true, kernelTimezone: true }] }, 'ipv4', '00000000ffffff7f' + '70430100' + '100e0000' + 'feffffff' + 'fe03' + '0000'],
    [{ matches: [{ name: 'time', monthDays: { not: [1] }, weekdays: ['Mon', 'Sun'], dateStart: '1970-01-01T00:00:01' }] }, 'ipv4', '01000000ffffff7f' + '00000000' + '7f510100' + 'fcffffff' + '8200' + '0000'],
  ]
  for (const [rule, family, struct] of cases) t.equal(hex(rule, family), struct, JSON.stringify(rule.matches))
})

t.test('typed values: what is refused', async (t) => {
  const bad: [rule: Rule, error: ErrorConstructor | { code: string }, family?: IpFamily][] = [
    [{ matches: [{ name: 'ttl' }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'ttl', equal: 256 }] }, RangeError], [{ matches: [{ name: 'ttl', less: { not: 1 } as never }] }, TypeError],
    [{ matches: [{ name: 'ttl', equal: 1, less: 2 }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'hl', equal: 1 }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'hl', greater: '1' as never }] }, TypeError, 'ipv6'],
    [{ matches: [{ name: 'tcpmss', mss: [1, 2] }] }, { code: 'NFKIT_BAD_RULE' }], [{ protocol: 'tcp', matches: [{ name: 'tcpmss', mss: [2, 1] }] }, RangeError], [{ protocol: 'tcp', matches: [{ name: 'tcpmss', mss: 5 as never }] }, TypeError],
    [{ matches: [{ name: 'tos', tos: 256 }] }, RangeError], [{ matches: [{ name: 'tos', tos: 'Minimize-Delay' as never }] }, TypeError],
    [{ matches: [{ name: 'iprange' }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'iprange', source: '1.1.1.1-1.1.1.2' as never }] }, TypeError], [{ matches: [{ name: 'iprange', source: ['1.1.1.1', '::1'] }] }, TypeError],
    [{ matches: [{ name: 'iprange', destination: ['1.1', '1.2'] }] }, TypeError], [{ matches: [{ name: 'iprange', source: ['1.1.1.1', '1.1.1.2'] }] }, TypeError, 'ipv6'],
    [{ matches: [{ name: 'owner' }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'owner', uid: -1 }] }, RangeError], [{ matches: [{ name: 'owner', uid: 0xffffffff }] }, RangeError], [{ matches: [{ name: 'owner', uid: 'bob' }] }, RangeError],
    [{ matches: [{ name: 'owner', gid: [2, 1] }] }, RangeError], [{ matches: [{ name: 'owner', gid: [1] as never }] }, TypeError], [{ matches: [{ name: 'owner', uid: 1, supplementaryGroups: true }] }, { code: 'NFKIT_BAD_RULE' }],
    [{ matches: [{ name: 'owner', socketExists: { not: false as never } }] }, TypeError], [{ matches: [{ name: 'owner', socketExists: 1 as never }] }, TypeError],
    [{ matches: [{ name: 'physdev' }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'physdev', in: '' }] }, TypeError], [{ matches: [{ name: 'physdev', in: 'abcdefghijklmnop' }] }, TypeError], [{ matches: [{ name: 'physdev', out: 5 as never }] }, TypeError],
    [{ matches: [{ name: 'icmp', type: 8 }] }, { code: 'NFKIT_BAD_RULE' }],
    ...([[256, RangeError], ['echo', RangeError], [null, TypeError], [{ type: 1 }, TypeError], [{ type: 1, code: 256 }, RangeError], [{ type: 1, code: [1] }, TypeError], [{ type: 1, code: [1, 256] }, RangeError]] as [never, ErrorConstructor][])
      .map(([type, error]) => [{ protocol: 'icmp', matches: [{ name: 'icmp', type }] }, error] as [Rule, ErrorConstructor]),
    [{ protocol: 'icmpv6', matches: [{ name: 'icmp6', type: 'any' as never }] }, RangeError, 'ipv6'],
    ...([['x', TypeError], ['1/week', TypeError], ['10001/sec', { code: 'NFKIT_BAD_RULE' }], [0, RangeError], [1.5, TypeError], [null, TypeError]] as [never, ErrorConstructor][]).map(([rate, error]) => [{ matches: [{ name: 'limit', rate }] }, error] as [Rule, ErrorConstructor]),
    [{ matches: [{ name: 'hashlimit', tableName: 'x' }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'hashlimit', upto: '1/sec' } as never] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'hashlimit', upto: '1/sec', above: '1/sec', tableName: 'x' }] }, { code: 'NFKIT_BAD_RULE' }],
    ...([[{ upto: '1/week' }, TypeError], [{ upto: 5 }, TypeError], [{ upto: {} }, TypeError], [{ above: { period: 0 } }, RangeError], [{ above: { cost: 'x' } }, TypeError], [{ upto: { period: -1 } }, RangeError]] as [never, ErrorConstructor][])
      .map(([rate, error]) => [{ matches: [{ name: 'hashlimit', tableName: 'x', ...rate as object }] }, error] as [Rule, ErrorConstructor]),
    ...([[{ burst: 0 }, RangeError], [{ burst: 1000001 }, { code: 'NFKIT_BAD_RULE' }], [{ burst: 'x' }, TypeError], [{ mode: ['src'] }, RangeError], [{ mode: 'srcip' }, TypeError], [{ sourceMask: 33 }, RangeError], [{ destinationMask: '24' }, TypeError], [{ tableName: 'a/b' }, RangeError], [{ tableName: 'x'.repeat(255) }, RangeError],
      [{ tableGcInterval: 0 }, RangeError], [{ tableExpire: 0 }, RangeError], [{ tableSize: -1 }, RangeError], [{ rateInterval: 0 }, RangeError], [{ rateMatch: 1 }, TypeError]] as [never, ErrorConstructor][])
      .map(([rest, error]) => [{ matches: [{ name: 'hashlimit', tableName: 'x', upto: '1/sec', ...rest as object }] }, error] as [Rule, ErrorConstructor]),
    [{ matches: [{ name: 'hashlimit', upto: '4kb/s', burst: 5, tableName: 'x' }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'hashlimit', upto: { period: 2 ** 33 }, rateMatch: true, tableName: 'x' }] }, { code: 'NFKIT_BAD_RULE' }],
    [{ matches: [{ name: 'policy' } as never] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'policy', direction: 'x' as never }] }, TypeError], [{ matches: [{ name: 'policy', direction: 'in', policy: 'x' as never }] }, TypeError],
    ...([[[], RangeError], [[{}, {}, {}, {}, {}], RangeError], ['x', TypeError], [[5], TypeError], [[{ nosuch: 1 }], TypeError], [[{ reqid: -1 }], RangeError], [[{ spi: 'x' }], TypeError], [[{ protocol: 'tcp' }], TypeError], [[{ mode: { not: 'x' } }], TypeError], [[{ tunnelSource: 5 }], TypeError],
      [[{ reqid: 1 }, { reqid: 2 }], { code: 'NFKIT_BAD_RULE' }], [[{ tunnelSource: '1.2.3.4' }], { code: 'NFKIT_BAD_RULE' }], [[{ tunnelSource: '1.2.3.4', mode: 'transport' }], { code: 'NFKIT_BAD_RULE' }]] as [never, ErrorConstructor][])
      .map(([elements, error]) => [{ matches: [{ name: 'policy', direction: 'in', elements }] }, error] as [Rule, ErrorConstructor]),
    [{ matches: [{ name: 'policy', direction: 'in', elements: { not: [] } as never }] }, TypeError], [{ matches: [{ name: 'policy', direction: 'in', strict: true }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'policy', direction: 'in', policy: 'none', strict: true }] }, { code: 'NFKIT_BAD_RULE' }],
    [{ matches: [{ name: 'set' } as never] }, { code: 'NFKIT_BAD_RULE' }],
    ...([[{ set: 'bar', directions: ['src'] }, RangeError], [{ set: 'foo', directions: [] }, RangeError], [{ set: 'foo', directions: ['in'] }, RangeError], [{ set: 'foo' }, TypeError], [{ set: 65535, directions: ['src'] }, RangeError], [{ set: null, directions: ['src'] }, TypeError], ['foo', TypeError]] as [never, ErrorConstructor][])
      .map(([match, error]) => [{ matches: [{ name: 'set', match }] }, error] as [Rule, ErrorConstructor]),
    ...([{ packetsEqual: -1 }, { packetsEqual: '18446744073709551616' }, { bytesLess: 2 ** 53 }] as never[]).map((more) => [{ matches: [{ name: 'set', match: { set: 'foo', directions: ['src'] }, ...more as object }] }, RangeError] as [Rule, ErrorConstructor]),
    [{ matches: [{ name: 'set', match: { set: 'foo', directions: ['src'] }, bytesLess: { not: 1 } as never }] }, TypeError], [{ matches: [{ name: 'set', match: { set: 'foo', directions: ['src'] }, updateCounters: 1 as never }] }, TypeError],
    [{ matches: [{ name: 'set', match: { set: 'foo', directions: ['src'] }, bytesLess: 1, bytesGreater: 1 }] }, { code: 'NFKIT_BAD_RULE' }],
    [{ matches: [{ name: 'limit', burst: 0 }] }, RangeError], [{ matches: [{ name: 'limit', rate: '1/day' }] }, { code: 'NFKIT_BAD_RULE' }],
    [{ matches: [{ name: 'statistic' } as never] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'statistic', mode: 'all' as never }] }, TypeError], [{ matches: [{ name: 'statistic', mode: 'random' }] }, { code: 'NFKIT_BAD_RULE' }],
    [{ matches: [{ name: 'statistic', mode: 'random', probability: 1.5 }] }, RangeError], [{ matches: [{ name: 'statistic', mode: 'random', probability: NaN }] }, TypeError], [{ matches: [{ name: 'statistic', mode: 'random', probability: 1, every: 1, packet: 0 }] }, { code: 'NFKIT_BAD_RULE' }],
    [{ matches: [{ name: 'statistic', mode: 'nth', every: 2 }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'statistic', mode: 'nth', every: 2, packet: 2 }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'statistic', mode: 'nth', every: 0, packet: 0 }] }, RangeError],
    ...([['', RangeError], ['x'.repeat(129), RangeError], ['ü'.repeat(65), RangeError], [{ hex: '' }, RangeError], [{ hex: 'abc' }, TypeError], [{ hex: 'zz' }, TypeError], [5, TypeError], [null, TypeError]] as [never, ErrorConstructor][])
      .map(([pattern, error]) => [{ matches: [{ name: 'string', algorithm: 'bm', pattern }] }, error] as [Rule, ErrorConstructor]),
    [{ matches: [{ name: 'string', pattern: 'x', algorithm: 'regexp' as never }] }, TypeError], [{ matches: [{ name: 'string', pattern: 'x', algorithm: 'bm', from: 2, to: 1 }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'string', pattern: 'x' } as never] }, { code: 'NFKIT_BAD_RULE' }],
    [{ matches: [{ name: 'recent' } as never] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'recent', operation: 'check' as never }] }, TypeError], [{ matches: [{ name: 'recent', operation: 'set', seconds: 5 }] }, { code: 'NFKIT_BAD_RULE' }],
    [{ matches: [{ name: 'recent', operation: 'remove', sameTtl: true }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'recent', operation: 'rcheck', reap: true }] }, { code: 'NFKIT_BAD_RULE' }], [{ matches: [{ name: 'recent', operation: 'rcheck', hitCount: 65536 }] }, RangeError],
    ...(['', '.', '..', 'a/b', 'x'.repeat(200), 'a\0b'].map((list) => [{ matches: [{ name: 'recent', operation: 'set', list }] }, RangeError] as [Rule, ErrorConstructor])), [{ matches: [{ name: 'recent', operation: 'set', list: 5 as never }] }, TypeError],
    [{ matches: [{ name: 'recent', operation: 'set', mask: 33 }] }, RangeError], [{ matches: [{ name: 'recent', operation: 'set', mask: 'x' }] }, RangeError], [{ matches: [{ name: 'recent', operation: 'set', mask: null as never }] }, TypeError], [{ matches: [{ name: 'recent', operation: 'set', side: 'x' as never }] }, TypeError],
    [{ matches: [{ name: 'time', timeStart: '24:00' }] }, TypeError], [{ matches: [{ name: 'time', timeStop: 5 as never }] }, TypeError], [{ matches: [{ name: 'time', dateStart: '2039' }] }, TypeError], [{ matches: [{ name: 'time', monthDays: [0] }] }, RangeError], [{ matches: [{ name: 'time', monthDays: [32] }] }, RangeError],
    [{ matches: [{ name: 'time', monthDays: [] }] }, RangeError], [{ matches: [{ name: 'time', weekdays: { not: ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] } }] }, RangeError], [{ matches: [{ name: 'time', weekdays: ['mon' as never] }] }, RangeError], [{ matches: [{ name: 'time', weekdays: 'Mon' as never }] }, TypeError],
    [{ matches: [{ name: 'time', contiguous: true }] }, { code: 'NFKIT_BAD_RULE' }],
  ]
  for (const [rule, error, family = 'ipv4'] of bad) t.throws(() => encodeRule(rule, environment(family)), error as never, JSON.stringify(rule.matches))
})

t.test('typed values: what is kept', async (t) => {
  const keep = (matches: NonNullable<Rule['matches']>, family: IpFamily = 'ipv4', protocol?: string) => {
    const env = environment(family)
    t.same(decodeRule(encodeRule({ matches, ...(protocol === undefined ? {} : { protocol }) }, env), env).matches, matches)
  }
  keep([{ name: 'ttl', less: 5 }, { name: 'ttl', equal: { not: 0 } }, { name: 'iprange', source: ['1.1.1.1', '1.1.1.2'], destination: { not: ['9.9.9.9', '0.0.0.0'] } }])
  keep([{ name: 'owner', socketExists: { not: true }, uid: { not: 5 }, gid: [1, 2], supplementaryGroups: true }])
  keep([{ name: 'physdev', isIn: { not: true }, in: 'eth+', isOut: true, out: { not: 'eth0' }, isBridged: true }])
  keep([{ name: 'hashlimit', above: '10/min', burst: 3, mode: ['srcip', 'dstport'], sourceMask: 24, destinationMask: 0, tableName: 'x', tableSize: 1, tableMax: 2, tableGcInterval: 3, tableExpire: 4 }])
  keep([{ name: 'hashlimit', upto: '4kb/s', burst: 8192, tableName: 'x' }, { name: 'hashlimit', upto: '40/sec', burst: 5, tableName: 'y', rateMatch: true, rateInterval: 60 }])
  keep([{ name: 'policy', direction: 'out', policy: 'none' }, { name: 'policy', direction: 'in', policy: 'ipsec', elements: [{ reqid: { not: 0 } }] }])
  keep([{ name: 'policy', direction: 'in', policy: 'ipsec', strict: true, elements: [{ reqid: 1, spi: { not: 2 }, protocol: 'ah', mode: { not: 'transport' }, tunnelDestination: { not: '10.0.0.0/8' }, tunnelSource: '1.2.3.4/32' }, { mode: 'tunnel' }, { spi: 5 }, { protocol: { not: 'esp' } }] }])
  keep([{ name: 'set', match: { not: { set: 'foo', directions: ['src', 'dst'] } }, returnNomatch: true, updateCounters: false, updateSubcounters: false, packetsEqual: { not: '18446744073709551615' }, bytesLess: 5 }])
  keep([{ name: 'limit', rate: '7/sec', burst: 3 }, { name: 'limit', rate: '1000/day', burst: 5 }, { name: 'statistic', mode: 'random', probability: { not: 0.25 } }, { name: 'statistic', mode: 'nth', every: { not: 0xffffffff }, packet: 1 }])
  keep([{ name: 'string', pattern: 'a "b" \\', algorithm: 'bm', to: 9 }, { name: 'string', pattern: { not: { hex: '00ff' } }, algorithm: 'fsm', from: 9, ignoreCase: true }])
  keep([{ name: 'recent', operation: { not: 'rcheck' }, seconds: 5, reap: true, hitCount: 2, sameTtl: true, list: 'x', side: 'destination', mask: 24 }, { name: 'recent', operation: 'set', list: 'DEFAULT', side: 'source', mask: '255.0.255.0' }])
  keep([{ name: 'time' }, { name: 'time', timeStart: '23:59:59', timeStop: '00:00:00', monthDays: [1, 31], weekdays: ['Tue'], dateStart: '2024-02-29T01:02:03', dateStop: '2038-12-31T23:59:59', kernelTimezone: true, contiguous: true }])
  keep([{ name: 'icmp', type: { not: 'any' } }, { name: 'icmp', type: 8 }, { name: 'icmp', type: { type: 3, code: 4 } }], 'ipv4', 'icmp')
})

const ALL: readonly (readonly [name: string, revision: number, size: number, protocol?: number])[] = [
  ['ttl', 0, 2], ['hl', 0, 2], ['tcpmss', 0, 6, 6], ['tos', 1, 3], ['iprange', 1, 68], ['owner', 1, 20], ['physdev', 0, 66], ['icmp', 0, 4, 1], ['icmp6', 0, 4, 58],
  ['limit', 0, 40], ['statistic', 0, 24], ['string', 1, 160], ['recent', 1, 228], ['recent', 0, 212], ['time', 0, 24],
  ['policy', 0, 308], ['hashlimit', 3, 312], ['hashlimit', 2, 304], ['hashlimit', 1, 56], ['set', 4, 48], ['set', 3, 48], ['set', 2, 4], ['set', 1, 4],
]

t.test('any bytes are read', async (t) => {
  for (const [name, revision, size, protocol] of ALL) readAnyBytes(t, name, revision, size, environment('ipv4'), protocol)
})

/** Rules that have much in their structs. */
const FULL: readonly (readonly [name: string, revision: number, rules: readonly string[], family?: IpFamily])[] = [
  ...[3, 2, 1].map((revision) => ['hashlimit', revision, ['-m hashlimit --hashlimit-above 10/min --hashlimit-mode srcip --hashlimit-name x', '-m hashlimit --hashlimit-upto 4kb/s --hashlimit-burst 9kb --hashlimit-name y --hashlimit-srcmask 5']] as const),
  ['hashlimit', 3, ['-m hashlimit --hashlimit-upto 10/min --hashlimit-rate-match --hashlimit-name x', '-m hashlimit --hashlimit-upto 10mb/s --hashlimit-rate-match --hashlimit-rate-interval 7 --hashlimit-name x'], 'ipv6'],
  ['limit', 0, ['-m limit', '-m limit --limit 7/sec --limit-burst 9']], ['statistic', 0, ['-m statistic --mode random --probability 0.3', '-m statistic --mode nth ! --every 5 --packet 3']],
  ['string', 1, ['-m string --string abc --algo bm', '-m string ! --hex-string |00ff| --algo kmp --from 5 --to 9']], ['recent', 1, ['-m recent --set', '-m recent ! --rcheck --seconds 5 --reap --rttl --rdest --mask 255.0.0.0']], ['recent', 0, ['-m recent --update --hitcount 3']],
  ['recent', 1, ['-m recent --set --mask ffff::'], 'ipv6'], ['time', 0, ['-m time', '-m time --timestart 23:00 --timestop 1:00 --contiguous --monthdays 5 --weekdays Tue --datestart 2024 --kerneltz']],
  ['policy', 0, ['-m policy --dir in', '-m policy --dir in --strict --reqid 1 --spi 2 --proto esp --mode tunnel --tunnel-src 1.2.3.4/8 --tunnel-dst 1.2.3.4 --next ! --reqid 2', '-m policy --dir out --pol none']],
  ['policy', 0, ['-m policy --dir out --mode tunnel --tunnel-src ::1/8'], 'ipv6'],
  ...[4, 3].map((revision) => ['set', revision, ['-m set ! --match-set foo src,dst --return-nomatch --packets-eq 5 --bytes-gt 7 ! --update-counters']] as const),
]

t.test('damaged structs are read', async (t) => {
  for (const [name, revision, rules, family = 'ipv4'] of FULL) readDamagedBytes(t, name, revision, rules, environment(family))
})
