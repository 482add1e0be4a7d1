// SPDX-License-Identifier: MIT
// What the installed iptables or the kernel here lacks or gets wrong, by the headers' layout; low revisions; typed values; and any bytes at all.

import t from 'tap'
import '../../lib/wire/xtables/extensions/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import type { Resolver } from '../../lib/wire/xtables/payload.js'
import { decodeRule, encodeRule, printRule, type Rule, type RuleEnvironment } from '../../lib/wire/xtables/rule.js'
import { only, readAnyBytes, roundTrip, ruleOf, structOf, words } from '../support/rule-bytes.js'

const PROTOCOLS = new Map([['ipv6-opts', 60], ['tcp', 6]])
const resolver: Resolver = {
  servicePort: (name) => (name === 'http' ? 80 : undefined), protocolNumber: (name) => PROTOCOLS.get(name), protocolName: (number) => [...PROTOCOLS].find((row) => row[1] === number)?.[0],
  hostAddresses: () => [], userId: () => undefined, userName: () => undefined, groupId: () => undefined, groupName: () => undefined,
  lookup: (file, name) => (file === '/etc/iproute2/rt_realms' && name === 'office' ? 5 : undefined), lookupName: (file, number) => (file === '/etc/iproute2/rt_realms' && number === 5 ? 'office' : undefined),
}
const environment = (family: IpFamily, more: Partial<RuleEnvironment> = {}): RuleEnvironment => ({ family, resolver, ...more })
const hexOf = (text: string, env: RuleEnvironment) => Buffer.from(structOf(parseRule(words(text), env).rules[0]!, env.family)).toString('hex')
const matches = (value: NonNullable<Rule['matches']>, env: RuleEnvironment, protocol?: string) =>
  decodeRule(encodeRule({ ...(protocol === undefined ? {} : { protocol }), matches: value }, env), env).matches

t.test('negated whole ranges, which 1.8.9 prints as if nothing had been given', async (t) => {
  const env = environment('ipv6')
  roundTrip(t, '-m frag ! --fragid :', '-m frag ! --fragid 0:4294967295', env)
  roundTrip(t, '-m rt ! --rt-segsleft :', '-m rt ! --rt-segsleft 0:4294967295', env)
  roundTrip(t, '-p mh -m mh ! --mh-type :', '-p mobility-header -m mh ! --mh-type 0:255', env)
  roundTrip(t, '-p ipcomp -m ipcomp ! --ipcompspi :', '-p ipcomp -m ipcomp ! --ipcompspi 0:4294967295', env)
})

t.test('printed so that it is read again, where iptables prints what it reads as another rule or not at all', async (t) => {
  const env = environment('ipv4')
  // All indices; nothing would be read as index 0.
  roundTrip(t, '-p ipcomp -m ipcomp --ipcompspi :', '-p ipcomp -m ipcomp --ipcompspi 0:4294967295', env)
  roundTrip(t, '-p tcp -m osf --genre "two words"', '-p tcp -m osf --genre "two words"', env)
  // One comparison for two rates.
  roundTrip(t, '-m rateest --rateest R --rateest-bps 8bit ! --rateest-gt --rateest-pps 3', '-m rateest --rateest R ! --rateest-gt --rateest-bps 8bit --rateest-pps 3', env)
  roundTrip(t, '-m rateest --rateest "a b" --rateest-delta --rateest-lt --rateest-bps1 8bit --rateest-bps2 16bit --rateest-pps1 1 --rateest-pps2 2',
    '-m rateest --rateest-delta --rateest "a b" --rateest-bps1 8bit --rateest-lt --rateest-bps2 16bit --rateest-pps1 1 --rateest-pps2 2', env)
  // A mask with gaps.
  roundTrip(t, '-m srh --srh-psid a::b/ffff::ffff', '-m srh --srh-psid a::b/ffff::ffff', environment('ipv6'))
})

t.test('refused here, though iptables takes it', async (t) => {
  const refused = (family: IpFamily, ...list: string[]) => {
    for (const rule of list) t.throws(() => parseRule(words(rule), environment(family)), { code: 'NFKIT_BAD_RULE' }, rule)
  }
  refused('ipv6', '-m frag --fragid 4:3', '-m rt --rt-segsleft 4:3', '-p ipcomp -m ipcomp --ipcompspi 4:3', '-m dst --dst-opts 256', '-m hbh --hbh-opts 1:256', '-m dst --dst-opts -1',
    '-m srh --srh-hdr-len-eq 1 --srh-hdr-len-gt 3', '-m srh --srh-last-entry-lt 1 ! --srh-last-entry-gt 0')
  // iptables notes the flags of I_DATA under the number of another chunk, where the kernel never looks; the others are no flags at all.
  refused('ipv4', '-p sctp -m sctp --chunk-types any I_DATA:I', '-p sctp -m sctp --chunk-types any DATA:-', '-m rateest --rateest R --rateest-lt --rateest-gt --rateest-pps 1', '-m rateest --rateest R --rateest-lt --rateest-bps 5GBps',
    '-m rateest --rateest R --rateest-lt --rateest-bps inf',
    // Linux 6.18 refuses a shift by 32 bits and more; older kernels take it.
    '-m u32 --u32 "0<<32=1"', '-m u32 --u32 "0>>4294967295=1"',
    // 1.8.9 makes it 0.
    '-m ipvs --vport 65536')
  t.throws(() => parseRule(words('-m rateest --rateest-lt --rateest-pps 1'), environment('ipv4')), /rateest: option --rateest1 is missing/)
})

// Not every kernel that does the tests has IPVS, and without it iptables cannot install such a rule: the bytes are those of xt_ipvs_mtinfo.
t.test('ipvs', async (t) => {
  const env = environment('ipv4')
  const v6 = environment('ipv6')
  for (const rule of ['--ipvs', '! --ipvs', '--vproto 23', '! --vport 443', '--vdir ORIGINAL', '--vdir REPLY', '--vmethod GATE', '! --vmethod IPIP', '--vmethod MASQ', '--vportctl 21', '! --vportctl 21', '--vaddr 1.2.3.4', '! --vaddr 1.2.3.4/24',
    '--vproto 6 --vaddr 1.2.3.4/16 --vport 22 --vdir ORIGINAL --vmethod GATE']) roundTrip(t, `-m ipvs ${rule}`, `-m ipvs ${rule}`, env)
  roundTrip(t, '-m ipvs --vproto tcp --ipvs --vport http --vdir reply --vmethod masq', '-m ipvs --vproto 6 --vport 80 --vdir REPLY --vmethod MASQ', env)
  roundTrip(t, '-m ipvs ! --vaddr 1.2.3.4/255.255.255.0', '-m ipvs ! --vaddr 1.2.3.4/24', env)
  roundTrip(t, '-m ipvs ! --vaddr 2001:db8::1/64 --vportctl 21', '-m ipvs ! --vaddr 2001:db8::1/64 --vportctl 21', v6)
  // vaddr, vmask, vport, l4proto, fwd_method, vportctl, invert, bitmask.
  t.equal(hexOf('-m ipvs ! --vaddr 1.2.3.4/16 --vproto 6 --vport 258 ! --vmethod GATE --vportctl 21 --vdir REPLY', env),
    `01020304${'0'.repeat(24)}ffff${'0'.repeat(28)}` + '0102' + '06' + '03' + '0015' + '34' + '7f')
  t.equal(hexOf('-m ipvs --vaddr 1.2.3.4', env).slice(32, 64), 'f'.repeat(32))
  t.equal(hexOf('-m ipvs ! --ipvs', env).slice(76), '0101')
  t.equal(hexOf('-m ipvs --vport 1', env).slice(76), '0009')
  t.same(matches([{ name: 'ipvs', protocol: { not: 'tcp' }, ipvs: true }], env), [{ name: 'ipvs', protocol: { not: 'tcp' } }])
  t.same(matches([{ name: 'ipvs', ipvs: { not: true } }], env), [{ name: 'ipvs', ipvs: { not: true } }])
  t.throws(() => encodeRule({ matches: [{ name: 'ipvs', ipvs: { not: true }, port: 5 }] }, env), { code: 'NFKIT_BAD_RULE' })
  t.throws(() => encodeRule({ matches: [{ name: 'ipvs' }] }, env), { code: 'NFKIT_BAD_RULE' })
})

t.test('low revisions', async (t) => {
  const v6 = environment('ipv6')
  // struct ip6t_srh: five numbers, mt_flags, mt_invflags.
  const srh0 = environment('ipv6', only(0))
  roundTrip(t, '-m srh --srh-next-hdr 17 ! --srh-tag 258', '-m srh --srh-next-hdr 17 ! --srh-tag 258', srh0)
  t.equal(hexOf('-m srh --srh-next-hdr 17 ! --srh-tag 258', srh0), '11000000' + '0201' + '0104' + '0004' + '000000000000')
  t.throws(() => parseRule(words('-m srh --srh-psid ::1'), srh0), { code: 'NFKIT_BAD_RULE' })
  t.equal(hexOf('-m srh --srh-nsid ::1', v6).length, 112 * 2)
  for (const [revision, printed] of [[3, '--transparent --nowildcard --restore-skmark'], [2, '--transparent --nowildcard'], [1, '--transparent']] as const) {
    roundTrip(t, `-m socket ${printed}`, `-m socket ${printed}`, environment('ipv4', only(revision)))
  }
  roundTrip(t, '-m socket', '-m socket', environment('ipv4', only(0)))
  t.equal(structOf(parseRule(['-m', 'socket'], environment('ipv4', only(0))).rules[0]!, 'ipv4').length, 0)
  t.throws(() => parseRule(words('-m socket --nowildcard'), environment('ipv4', only(1))), { code: 'NFKIT_BAD_RULE' })
  t.throws(() => parseRule(words('-m socket'), environment('ipv6', only(0))), { code: 'NFKIT_BAD_RULE' })
  roundTrip(t, '-m nfacct --nfacct-name web', '-m nfacct --nfacct-name  web', environment('ipv4', only(0)))
})

t.test('bytes that text cannot say', async (t) => {
  const v6 = environment('ipv6')
  const v4 = environment('ipv4')
  // ip6t_frag and ip6t_rt without the flag that says that a range was given: kernels look at the range all the same.
  const frag = new Uint8Array(16)
  frag.set([1, 0, 0, 0, 2], 0)
  t.same(decodeRule(ruleOf('ipv6', 'frag', 0, frag), v6).matches, [{ name: 'frag', id: [1, 2] }])
  t.equal(printRule(ruleOf('ipv6', 'frag', 0, frag), v6), ' -m frag --fragid 1:2')
  // A chunk without a name, one with unknown flags, more of them than there is room for.
  const sctp = new Uint8Array(292)
  sctp[8] = 1 << 0
  sctp[8 + 12] = 1 << 3
  sctp.set([1], 264)
  sctp.set([0, 0x84, 0x86], 268)
  sctp[280] = 9
  sctp.set([4], 284)
  t.same(decodeRule(ruleOf('ipv4', 'sctp', 0, sctp, 132), v4).matches, [{ name: 'sctp', chunks: { match: 'any', types: [{ chunk: 'DATA', mask: ['U', 'B', 128], set: ['U', 128] }, 99] } }])
  t.equal(printRule(ruleOf('ipv4', 'sctp', 0, sctp, 132), v4), ' -p sctp -m sctp --chunk-types any DATA:-Ub,99')
  // xt_u32 with counts or operators that are none.
  const u32 = new Uint8Array(1984)
  u32[1980] = 1
  t.match(decodeRule(ruleOf('ipv4', 'u32', 0, u32), v4).matches, [{ name: 'u32', opaque: u32 }])
  u32[176] = 11
  u32[177] = 11
  t.match(decodeRule(ruleOf('ipv4', 'u32', 0, u32), v4).matches, [{ name: 'u32', tests: [{ offset: 0 }] }])
  u32[12] = 4
  t.match(decodeRule(ruleOf('ipv4', 'u32', 0, u32), v4).matches, [{ name: 'u32', opaque: u32 }])
  // ip6t_opts with more options than there is room for.
  t.match(decodeRule(ruleOf('ipv6', 'hbh', 0, new Uint8Array(40).fill(0xff)), v6).matches, [{ name: 'hbh', length: { not: 4294967295 } }])
})

t.test('typed values: what is refused', async (t) => {
  const bad: readonly (readonly [IpFamily, Rule['matches'], ErrorConstructor | { code: string }, string?])[] = [
    ['ipv6', [{ name: 'dst', length: -1 }], RangeError], ['ipv6', [{ name: 'dst', options: [] }], RangeError], ['ipv6', [{ name: 'dst', options: { not: [{ type: 1 }] } as never }], TypeError], ['ipv6', [{ name: 'hbh', options: [{ type: 256 }] }], RangeError],
    ['ipv6', [{ name: 'hbh', options: [{ type: 0, length: 1 }] }], RangeError], ['ipv6', [{ name: 'hbh', options: [{ type: 1, length: 255 }] }], RangeError], ['ipv6', [{ name: 'hbh', options: Array.from({ length: 17 }, () => ({ type: 1 })) }], RangeError],
    ['ipv6', [{ name: 'hbh', options: Array.from({ length: 16 }, () => ({ type: 1, length: 1 })) }], RangeError], ['ipv6', [{ name: 'hbh', options: [7 as never] }], TypeError], ['ipv4', [{ name: 'hbh' }], { code: 'NFKIT_BAD_RULE' }],
    ['ipv6', [{ name: 'eui64', length: 1 } as never], TypeError], ['ipv6', [{ name: 'frag', id: [2, 1] }], RangeError], ['ipv6', [{ name: 'frag', id: 5 as never }], TypeError], ['ipv6', [{ name: 'frag', more: true, last: true }], { code: 'NFKIT_BAD_RULE' }],
    ['ipv6', [{ name: 'frag', first: { not: true } as never }], TypeError], ['ipv4', [{ name: 'helper', helper: 'x'.repeat(30) }], RangeError], ['ipv4', [{ name: 'helper' } as never], { code: 'NFKIT_BAD_RULE' }], ['ipv4', [{ name: 'helper', helper: 5 as never }], TypeError],
    ['ipv4', [{ name: 'ipcomp' }], { code: 'NFKIT_BAD_RULE' }], ['ipv4', [{ name: 'ipcomp', spi: [0, 4294967296] }], RangeError, 'ipcomp'], ['ipv6', [{ name: 'ipv6header', headers: [] }], RangeError], ['ipv6', [{ name: 'ipv6header', headers: ['tcp' as never] }], RangeError],
    ['ipv6', [{ name: 'ipv6header', headers: 'hop' as never }], TypeError], ['ipv4', [{ name: 'ipvs', protocol: 256 }], RangeError], ['ipv4', [{ name: 'ipvs', protocol: 'nosuch' }], RangeError], ['ipv4', [{ name: 'ipvs', port: 65536 }], RangeError],
    ['ipv4', [{ name: 'ipvs', direction: 'reply' as never }], TypeError], ['ipv4', [{ name: 'ipvs', direction: { not: 'REPLY' } as never }], TypeError], ['ipv4', [{ name: 'ipvs', method: 'NAT' as never }], TypeError], ['ipv4', [{ name: 'ipvs', address: 5 as never }], TypeError],
    ['ipv6', [{ name: 'mh', types: [3, 1] }], RangeError, 'mh'], ['ipv6', [{ name: 'mh', types: ['nosuch' as never, 255] }], RangeError, 'mh'], ['ipv6', [{ name: 'mh', types: [0, 256] }], RangeError, 'mh'], ['ipv6', [{ name: 'mh', types: 5 as never }], TypeError, 'mh'],
    ['ipv6', [{ name: 'mh' }], { code: 'NFKIT_BAD_RULE' }], ['ipv4', [{ name: 'nfacct', object: '' }], RangeError], ['ipv4', [{ name: 'nfacct', object: 'x'.repeat(32) }], RangeError], ['ipv4', [{ name: 'nfacct', object: 'a\nb' }], RangeError],
    ['ipv4', [{ name: 'osf', genre: 'x'.repeat(32) }], RangeError, 'tcp'], ['ipv4', [{ name: 'osf', genre: 'Linux', ttl: 3 }], RangeError, 'tcp'], ['ipv4', [{ name: 'osf', genre: 'Linux', log: 'all' as never }], TypeError, 'tcp'], ['ipv4', [{ name: 'osf', genre: 'Linux' }], { code: 'NFKIT_BAD_RULE' }],
    ['ipv4', [{ name: 'quota', quota: -1 }], RangeError], ['ipv4', [{ name: 'quota', quota: 2 ** 60 }], RangeError], ['ipv4', [{ name: 'quota', quota: '18446744073709551616' }], RangeError], ['ipv4', [{ name: 'quota', quota: 'x' }], TypeError],
    ['ipv4', [{ name: 'rateest', estimator: 'R', mode: 'lt' }], { code: 'NFKIT_BAD_RULE' }], ['ipv4', [{ name: 'rateest', estimator: '', mode: 'lt', bps2: 1 }], RangeError], ['ipv4', [{ name: 'rateest', estimator: 'x'.repeat(16), mode: 'lt', bps2: 1 }], RangeError],
    ['ipv4', [{ name: 'rateest', estimator: 'R', mode: 'le' as never, bps2: 1 }], TypeError], ['ipv4', [{ name: 'rateest', estimator: 'R', mode: 'lt', pps2: 0.5 }], TypeError], ['ipv4', [{ name: 'rateest', estimator: 'R', bps2: 1 } as never], { code: 'NFKIT_BAD_RULE' }],
    ['ipv4', [{ name: 'realm', realm: 'nosuch' }], RangeError], ['ipv4', [{ name: 'realm', realm: { value: 1, mask: -1 } }], RangeError], ['ipv4', [{ name: 'rpfilter', loose: 1 as never }], TypeError], ['ipv4', [{ name: 'rpfilter', invert: { not: true } as never }], TypeError],
    ['ipv6', [{ name: 'rt', reserved: true }], { code: 'NFKIT_BAD_RULE' }], ['ipv6', [{ name: 'rt', type: { not: 0 }, addresses: ['::1'] }], { code: 'NFKIT_BAD_RULE' }], ['ipv6', [{ name: 'rt', type: 0, notStrict: true }], { code: 'NFKIT_BAD_RULE' }],
    ['ipv6', [{ name: 'rt', type: 0, addresses: [] }], RangeError], ['ipv6', [{ name: 'rt', type: 0, addresses: ['1.2.3.4'] }], TypeError], ['ipv6', [{ name: 'rt', type: 0, addresses: Array.from({ length: 17 }, () => '::1') }], RangeError],
    ['ipv4', [{ name: 'sctp', chunks: { match: 'some' as never, types: [] } }], TypeError, 'sctp'], ['ipv4', [{ name: 'sctp', chunks: { match: 'any', types: ['DATE' as never] } }], RangeError, 'sctp'], ['ipv4', [{ name: 'sctp', chunks: { match: 'any', types: [256] } }], RangeError, 'sctp'],
    ['ipv4', [{ name: 'sctp', chunks: { match: 'any', types: [{ chunk: 'INIT', mask: [1], set: [] }] } }], RangeError, 'sctp'], ['ipv4', [{ name: 'sctp', chunks: { match: 'any', types: [{ chunk: 'DATA', mask: ['T'], set: [] }] } }], RangeError, 'sctp'],
    ['ipv4', [{ name: 'sctp', chunks: { match: 'any', types: [{ chunk: 'DATA', mask: ['U'], set: ['B'] }] } }], RangeError, 'sctp'], ['ipv4', [{ name: 'sctp', chunks: { match: 'any', types: 'NONE' as never } }], TypeError, 'sctp'], ['ipv4', [{ name: 'sctp', sourcePorts: [2, 1] }], RangeError, 'sctp'],
    ['ipv4', [{ name: 'socket', transparent: { not: true } as never }], TypeError], ['ipv6', [{ name: 'srh', nextHeader: 256 }], RangeError], ['ipv6', [{ name: 'srh', headerLengthEquals: 1, headerLengthBelow: 2 }], RangeError], ['ipv6', [{ name: 'srh', tag: 65536 }], RangeError],
    ['ipv6', [{ name: 'srh', lastSegment: '1.2.3.4' }], { code: 'NFKIT_BAD_RULE' }], ['ipv4', [{ name: 'u32', tests: [] }], RangeError], ['ipv4', [{ name: 'u32', tests: [{ offset: 0, values: [] }] }], RangeError], ['ipv4', [{ name: 'u32', tests: [{ offset: -1, values: [[1, 1]] }] }], RangeError],
    ['ipv4', [{ name: 'u32', tests: [{ offset: 0, values: [[1] as never] }] }], TypeError], ['ipv4', [{ name: 'u32', tests: [{ offset: 0, steps: [{ operator: '+' as never, operand: 1 }], values: [[1, 1]] }] }], TypeError],
    ['ipv4', [{ name: 'u32', tests: [{ offset: 0, steps: Array.from({ length: 10 }, () => ({ operator: '&' as const, operand: 1 })), values: [[1, 1]] }] }], RangeError], ['ipv4', [{ name: 'u32', tests: [{ offset: 0, values: Array.from({ length: 11 }, () => [1, 1] as [number, number]) }] }], RangeError],
    ['ipv4', [{ name: 'u32', tests: Array.from({ length: 11 }, () => ({ offset: 0, values: [[1, 1]] as [number, number][] })) }], RangeError], ['ipv4', [{ name: 'u32', tests: 'x' as never }], TypeError], ['ipv4', [{ name: 'u32', tests: [7 as never] }], TypeError],
  ]
  for (const [family, value, error, protocol] of bad) {
    t.throws(() => encodeRule({ ...(protocol === undefined ? {} : { protocol }), matches: value! }, environment(family)), error as never, JSON.stringify(value))
  }
  const at = (match: NonNullable<Rule['matches']>[number], family: IpFamily, table: string, chain: string, protocol?: string) =>
    encodeRule({ ...(protocol === undefined ? {} : { protocol }), matches: [match] }, environment(family, { table, chain }))
  t.throws(() => at({ name: 'rpfilter' }, 'ipv4', 'filter', 'PREROUTING'), /rpfilter: only in the raw or mangle table, not in filter/)
  t.throws(() => at({ name: 'rpfilter' }, 'ipv4', 'raw', 'OUTPUT'), /rpfilter: only in PREROUTING, not in OUTPUT/)
  t.throws(() => at({ name: 'socket' }, 'ipv4', 'mangle', 'OUTPUT'), /socket: only in PREROUTING, INPUT, not in OUTPUT/)
  t.throws(() => at({ name: 'eui64' }, 'ipv6', 'filter', 'OUTPUT'), /eui64: only in PREROUTING, INPUT, FORWARD, not in OUTPUT/)
  t.throws(() => at({ name: 'realm', realm: 5 }, 'ipv4', 'mangle', 'PREROUTING'), /realm: only in/)
  t.throws(() => at({ name: 'osf', genre: 'Linux' }, 'ipv4', 'filter', 'OUTPUT', 'tcp'), /osf: only in/)
})

t.test('typed values: what is kept', async (t) => {
  const v4 = environment('ipv4')
  const v6 = environment('ipv6')
  const keep = (env: RuleEnvironment, value: NonNullable<Rule['matches']>, protocol?: string) => t.same(matches(value, env, protocol), value)
  keep(v6, [{ name: 'dst', length: { not: 8 }, options: [{ type: 5, length: 2 }, { type: 0 }] }, { name: 'hbh' }, { name: 'eui64' }])
  keep(v6, [{ name: 'frag', id: { not: [0, 4294967295] }, first: true }, { name: 'frag', id: [0, 4294967295] }, { name: 'ipv6header', headers: { not: ['hop', 'prot'] }, soft: true }])
  keep(v6, [{ name: 'rt', type: 0, addresses: ['2001:db8::1', '::1'], notStrict: true, segmentsLeft: { not: [1, 2] } }, { name: 'srh', headerLengthEquals: 3, headerLengthBelow: { not: 3 }, tag: 7, nextSegment: { not: 'a::/64' } }])
  t.same(matches([{ name: 'mh', types: { not: ['bu', 'binding-error'] } }], v6, 'mh'), [{ name: 'mh', types: { not: [5, 7] } }])
  keep(v4, [{ name: 'helper', helper: { not: 'ftp' } }, { name: 'nfacct', object: 'web' }, { name: 'quota', quota: { not: '18446744073709551615' } }, { name: 'rpfilter', acceptLocal: true }])
  keep(v4, [{ name: 'rateest', estimator: 'A', other: 'B', mode: { not: 'gt' }, bps2: 0, pps1: 4, pps2: 5 }, { name: 'rateest', estimator: 'A', mode: 'eq', delta: true, bps1: 0, bps2: 4294967295 }])
  t.same(matches([{ name: 'realm', realm: 'office' }, { name: 'realm', realm: { not: { value: 1, mask: 3 } } }], v4), [{ name: 'realm', realm: 5 }, { name: 'realm', realm: { not: { value: 1, mask: 3 } } }])
  keep(v4, [{ name: 'sctp', sourcePorts: [0, 65535], chunks: { not: { match: 'only', types: [{ chunk: 'ABORT', mask: ['T'], set: [] }, { chunk: 'DATA', mask: ['I', 'E', 64], set: ['I'] }, 'INIT', 99] } } }], 'sctp')
  keep(v4, [{ name: 'sctp', chunks: { match: 'all', types: 'ALL' } }, { name: 'sctp', chunks: { match: 'any', types: [] } }, { name: 'sctp', destinationPorts: { not: [5, 5] } }], 'sctp')
  keep(v4, [{ name: 'u32', tests: { not: [{ offset: 0, steps: [{ operator: '>>', operand: 22 }, { operator: '&', operand: 0x3c }, { operator: '@', operand: 8 }, { operator: '<<', operand: 1 }], values: [[1, 1], [5, 9]] }, { offset: 6, values: [[0, 0]] }] } }])
  keep(v4, [{ name: 'osf', genre: { not: 'Linux' }, ttl: 0, log: 2 }, { name: 'osf', genre: 'Windows' }], 'tcp')
  keep(v4, [{ name: 'ipcomp', spi: [0, 4294967295], reserved: true }, { name: 'ipcomp', spi: { not: [1, 2] } }], 'ipcomp')
})

t.test('the struct of each option, by the headers', async (t) => {
  const v6 = environment('ipv6')
  // struct xt_rateest_match_info: flags DELTA, ABS, BPS; mode GT; bps1, pps1, bps2, pps2.
  t.equal(hexOf('-m rateest --rateest-delta --rateest R --rateest-bps1 16bit --rateest-gt --rateest-bps2 1000', environment('ipv4')).slice(64, 64 + 40), '1a00' + '0300' + '02000000' + '00000000' + '7d000000' + '00000000')
  // struct ip6t_opts: hdrlen, flags, invflags, opts, optsnr.
  t.equal(hexOf('-m dst ! --dst-len 258 --dst-opts 5:6,7', v6), `02010000${'0301'}${'0605'}${'ff07'}${'0'.repeat(56)}0200`)
})

t.test('any bytes are read', async (t) => {
  const all: readonly (readonly [name: string, revision: number, size: number, protocol?: number])[] = [
    ['dst', 0, 40], ['hbh', 0, 40], ['eui64', 0, 4], ['frag', 0, 16], ['helper', 0, 36], ['ipcomp', 0, 12, 108], ['ipv6header', 0, 3], ['ipvs', 0, 40], ['mh', 0, 3, 135], ['nfacct', 1, 40], ['nfacct', 0, 40], ['osf', 0, 48, 6], ['quota', 0, 24],
    ['rateest', 0, 72], ['realm', 0, 12], ['rpfilter', 0, 1], ['rt', 0, 280], ['sctp', 0, 292, 132], ['socket', 3, 1], ['socket', 2, 1], ['socket', 1, 1], ['socket', 0, 0], ['srh', 1, 108], ['srh', 0, 10], ['u32', 0, 1984],
  ]
  for (const [name, revision, size, protocol] of all) readAnyBytes(t, name, revision, size, environment('ipv4'), protocol)
})
