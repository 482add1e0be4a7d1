// SPDX-License-Identifier: MIT
// What the installed iptables lacks or gets wrong, by the headers' layout; low revisions; typed values; and any bytes at all.

import t from 'tap'
import '../../lib/wire/xtables/extensions/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import type { Resolver } from '../../lib/wire/xtables/payload.js'
import { decodeRule, encodeRule, type Rule, type RuleEnvironment } from '../../lib/wire/xtables/rule.js'
import { readAnyBytes, roundTrip, structOf, words } from '../support/rule-bytes.js'

const resolver: Resolver = {
  servicePort: () => undefined, protocolNumber: () => undefined, protocolName: () => undefined, hostAddresses: () => [],
  userId: (name) => (name === 'alice' ? 1000 : undefined), userName: () => undefined, groupId: (name) => (name === 'staff' ? 50 : undefined), groupName: () => undefined,
  lookup: () => undefined, lookupName: () => undefined,
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

t.test('refused here, though iptables takes it', async (t) => {
  for (const rule of ['-m physdev --physdev-in ""', '-m physdev --physdev-out ""']) {
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
  keep([{ name: 'icmp', type: { not: 'any' } }, { name: 'icmp', type: 8 }, { name: 'icmp', type: { type: 3, code: 4 } }], 'ipv4', 'icmp')
})

const ALL: readonly (readonly [name: string, revision: number, size: number, protocol?: number])[] = [
  ['ttl', 0, 2], ['hl', 0, 2], ['tcpmss', 0, 6, 6], ['tos', 1, 3], ['iprange', 1, 68], ['owner', 1, 20], ['physdev', 0, 66], ['icmp', 0, 4, 1], ['icmp6', 0, 4, 58],
]

t.test('any bytes are read', async (t) => {
  for (const [name, revision, size, protocol] of ALL) readAnyBytes(t, name, revision, size, environment('ipv4'), protocol)
})
