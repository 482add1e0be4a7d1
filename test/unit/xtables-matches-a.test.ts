// SPDX-License-Identifier: MIT
// What the installed iptables lacks or gets wrong, by the headers' layout; low revisions; and any bytes at all.

import t from 'tap'
import '../../lib/wire/xtables/extensions/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import type { Resolver } from '../../lib/wire/xtables/payload.js'
import { decodeRule, encodeRule, printRule, type Rule, type RuleEnvironment } from '../../lib/wire/xtables/rule.js'
import { only, readAnyBytes, roundTrip, ruleOf, structOf, words } from '../support/rule-bytes.js'

const LABELS = new Map([['important', 3]])
const resolver: Resolver = {
  servicePort: (name) => (name === 'domain' ? 53 : undefined), protocolNumber: () => undefined, protocolName: () => undefined,
  hostAddresses: (name, family) => (name === 'two' ? [Uint8Array.of(1, 2, 3, 4), Uint8Array.of(1, 2, 3, 5)] : name === 'one' && family === 'ipv4' ? [Uint8Array.of(1, 2, 3, 4)] : []),
  userId: () => undefined, userName: () => undefined, groupId: () => undefined, groupName: () => undefined,
  lookup: (file, name) => (file === '/etc/xtables/connlabel.conf' ? LABELS.get(name) : undefined),
  lookupName: (file, number) => (file === '/etc/xtables/connlabel.conf' ? [...LABELS].find((row) => row[1] === number)?.[0] : undefined),
}
const environment = (family: IpFamily, more: Partial<RuleEnvironment> = {}): RuleEnvironment => ({ family, resolver, ...more })

t.test('negated whole ranges, which 1.8.9 prints as if nothing had been given', async (t) => {
  const env = environment('ipv4')
  roundTrip(t, '-p ah -m ah ! --ahspi :', '-p ah -m ah ! --ahspi 0:4294967295', env)
  roundTrip(t, '-p esp -m esp ! --espspi :', '-p esp -m esp ! --espspi 0:4294967295', env)
  roundTrip(t, '-p udp -m udp ! --dport :', '-p udp -m udp ! --dport 0:65535', env)
})

t.test('masks with gaps, which 1.8.9 loses', async (t) => {
  roundTrip(t, '-m conntrack --ctorigsrc 10.1.2.3/255.0.255.0', '-m conntrack --ctorigsrc 10.1.2.3/255.0.255.0', environment('ipv4'))
  roundTrip(t, '-m conntrack --ctorigsrc 2001:db8::1/ffff::ffff', '-m conntrack --ctorigsrc 2001:db8::1/ffff::ffff', environment('ipv6'))
  // The text only tells the ones that lead; the value tells all.
  t.same(roundTrip(t, '-m connlimit --connlimit-above 1 --connlimit-mask 255.0.255.0', '-m connlimit --connlimit-above 1 --connlimit-mask 8 --connlimit-saddr', environment('ipv4')).matches,
    [{ name: 'connlimit', above: 1, mask: '255.0.255.0', by: 'source' }])
})

t.test('refused here, though 1.8.9 takes it', async (t) => {
  for (const rule of [
    '-m conntrack --ctproto 0', '-m conntrack ! --ctproto 0', '-p ah -m ah --ahspi 4:3', '-p esp -m esp --espspi 4:3', '-m length --length 4:3', '-m conntrack --ctexpire 4:3', '-m conntrack --ctorigsrcport 4:3',
    '-p udp --dport 4:3', '-p udp --dport 65536', '-m conntrack --ctorigsrc two', '-m conntrack --ctorigsrc 1.2.3.4/33', '-m connlimit --connlimit-above 1 --connlimit-mask 33',
    '-m connbytes --connbytes 1000:0 --connbytes-mode packets --connbytes-dir both',
    // The struct cannot say this; iptables drops the "!" and matches the opposite.
    '-m connbytes ! --connbytes 5:5 --connbytes-mode packets --connbytes-dir both',
  ]) t.throws(() => parseRule(words(rule), environment('ipv4')), { code: 'NFKIT_BAD_RULE' }, rule)
})

t.test('what iptables prints and does not read: the mask of a high node', async (t) => {
  roundTrip(t, '-m cluster --cluster-total-nodes 32 --cluster-local-node 32 --cluster-hash-seed 1', '-m cluster --cluster-local-nodemask 0x80000000 --cluster-total-nodes 32 --cluster-hash-seed 0x00000001', environment('ipv4'))
  roundTrip(t, '-m cluster --cluster-local-nodemask 0x80000000 --cluster-total-nodes 32 --cluster-hash-seed 0x00000001', '-m cluster --cluster-local-nodemask 0x80000000 --cluster-total-nodes 32 --cluster-hash-seed 0x00000001', environment('ipv4'))
})

t.test('dccp: INVALID', async (t) => {
  const value = roundTrip(t, '-p dccp -m dccp --dccp-types DATA,invalid', '-p dccp -m dccp --dccp-types DATA,INVALID', environment('ipv4', { resolver: { ...resolver, protocolNumber: (name) => (name === 'dccp' ? 33 : undefined) } }))
  t.match(value.matches, [{ name: 'dccp', types: ['DATA', 'INVALID'] }])
  // Only the first of the reserved types, as iptables set it before 1.8.7.
  const old = ruleOf('ipv4', 'dccp', 0, Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 4, 0, 0), 33)
  t.equal(printRule(old, environment('ipv4')), ' -p dccp -m dccp --dccp-types INVALID')
  t.match(decodeRule(old, environment('ipv4')).matches, [{ name: 'dccp', types: [0x400] }])
})

t.test('bpf: a pinned program', async (t) => {
  const env = environment('ipv4')
  t.same(roundTrip(t, '-m bpf --object-pinned /sys/fs/bpf/mine', '-m bpf --object-pinned /sys/fs/bpf/mine', env).matches, [{ name: 'bpf', objectPinned: '/sys/fs/bpf/mine' }])
  const struct = structOf(parseRule(words('-m bpf --object-pinned /a'), env).rules[0]!, 'ipv4')
  t.equal(Buffer.from(struct.subarray(0, 12)).toString('hex'), '0100' + '0000' + '00000000' + '2f610000')
  t.throws(() => parseRule(words('-m bpf --object-pinned /a --bytecode "1,6 0 0 0"'), env), { code: 'NFKIT_BAD_RULE' })
})

t.test('names of labels', async (t) => {
  t.same(roundTrip(t, '-m connlabel --label important --set', '-m connlabel --label "important" --set', environment('ipv4')).matches, [{ name: 'connlabel', label: 3, set: true }])
  const { bytes } = encodeRule({ matches: [{ name: 'connlabel', label: { not: 'important' } }] }, environment('ipv6'))
  t.equal(printRule({ bytes }, environment('ipv6')), ' -m connlabel ! --label "important"')
})

t.test('low revisions', async (t) => {
  const hex = (text: string, env: RuleEnvironment) => Buffer.from(structOf(parseRule(words(text), env).rules[0]!, env.family)).toString('hex')
  const [r0, r1, r2] = [0, 1, 2].map((revision) => environment('ipv4', only(revision))) as [RuleEnvironment, RuleEnvironment, RuleEnvironment]
  // struct xt_addrtype_info: two 16-bit sets, two 32-bit switches.
  roundTrip(t, '-m addrtype ! --src-type LOCAL --dst-type UNICAST', '-m addrtype ! --src-type LOCAL --dst-type UNICAST', r0)
  t.equal(hex('-m addrtype ! --src-type LOCAL --dst-type UNICAST', r0), '04000200' + '01000000' + '00000000' + '00000000')
  t.throws(() => parseRule(words('-m addrtype --src-type LOCAL --limit-iface-in'), r0), { code: 'NFKIT_BAD_RULE' })
  // struct xt_bpf_info: 16-bit count, the program from byte 4 on.
  roundTrip(t, '-m bpf --bytecode "1,6 1 2 3"', '-m bpf --bytecode "1,6 1 2 3"', r0)
  t.equal(hex('-m bpf --bytecode "1,6 1 2 3"', r0).slice(0, 24), '01000000' + '06000102' + '03000000')
  roundTrip(t, '-m cgroup ! --cgroup 7', '-m cgroup ! --cgroup 7', r0)
  t.equal(hex('-m cgroup ! --cgroup 7', r0), '07000000' + '01000000')
  roundTrip(t, '-m cgroup ! --path "/a b"', '-m cgroup ! --path "/a b"', r1)
  roundTrip(t, '-m cgroup --cgroup 7', '-m cgroup --cgroup 7', r1)
  t.equal(structOf(parseRule(words('-m cgroup --cgroup 7'), r1).rules[0]!, 'ipv4')[4100], 7)
  // Revisions 1 and 2 of conntrack have one port each, in network order, and revision 1 masks of 8 bits.
  for (const env of [r1, r2]) {
    const text = '-m conntrack ! --ctstate NEW,RELATED --ctorigsrc 1.2.3.4 --ctorigsrcport 258 ! --ctrepldstport 5 --ctstatus ASSURED --ctexpire 1:2 --ctdir REPLY'
    roundTrip(t, text, text, env)
    t.equal(hex('-m conntrack --ctorigsrcport 258', env).slice(138 * 2, 142 * 2), '01020000')
    t.throws(() => parseRule(words('-m conntrack --ctorigsrcport 1:2'), env), { code: 'NFKIT_BAD_RULE' })
    t.throws(() => encodeRule({ matches: [{ name: 'conntrack', originalSourcePorts: [1, 2] }] }, env), RangeError)
    roundTrip(t, '-m state ! --state NEW', '-m state ! --state NEW', env)
  }
  t.throws(() => parseRule(words('-m conntrack --ctstate UNTRACKED'), r1), { code: 'NFKIT_BAD_RULE' })
  t.throws(() => encodeRule({ matches: [{ name: 'state', states: ['UNTRACKED'] }] }, r1), RangeError)
  t.same(decodeRule(ruleOf('ipv4', 'state', 0, Uint8Array.of(0x48, 0, 0, 0)), r0).matches, [{ name: 'state', states: ['NEW', 'UNTRACKED'] }])
})

t.test('typed values: what is refused', async (t) => {
  const bad: [Rule['matches'], ErrorConstructor | { code: string }][] = [
    [[{ name: 'addrtype', sourceTypes: ['LOCALS' as never] }], RangeError], [[{ name: 'addrtype' }], { code: 'NFKIT_BAD_RULE' }],
    [[{ name: 'bpf', program: [] }], RangeError], [[{ name: 'bpf', program: [{ code: 6, jt: 256, jf: 0, k: 0 }] }], RangeError], [[{ name: 'bpf', program: 'x' as never }], TypeError],
    [[{ name: 'cgroup', path: 'x'.repeat(512) }], RangeError], [[{ name: 'cluster', nodeMask: 4, totalNodes: 2, hashSeed: 1 }], { code: 'NFKIT_BAD_RULE' }],
    [[{ name: 'comment', comment: 'x'.repeat(256) }], RangeError], [[{ name: 'comment', comment: 7 as never }], TypeError],
    [[{ name: 'connbytes', count: [2, 1], mode: 'bytes', direction: 'both' }], RangeError], [[{ name: 'connbytes', count: ['18446744073709551616', null], mode: 'bytes', direction: 'both' }], RangeError],
    [[{ name: 'connbytes', count: { not: [5, 5] }, mode: 'bytes', direction: 'both' }], RangeError], [[{ name: 'connbytes', count: [0.5, null], mode: 'bytes', direction: 'both' }], TypeError],
    [[{ name: 'connlabel', label: 128 }], RangeError], [[{ name: 'connlabel', label: 'nosuch' }], RangeError], [[{ name: 'connlimit', upto: 1, above: 1 }], { code: 'NFKIT_BAD_RULE' }],
    [[{ name: 'connlimit', upto: 1, mask: 33 }], RangeError], [[{ name: 'connlimit', upto: 1, by: 'x' as never }], TypeError], [[{ name: 'conntrack' }], { code: 'NFKIT_BAD_RULE' }],
    [[{ name: 'conntrack', protocol: 0 }], RangeError], [[{ name: 'conntrack', originalSource: '1.2.3.4.5' }], { code: 'NFKIT_BAD_RULE' }], [[{ name: 'conntrack', direction: 'x' as never }], TypeError],
    [[{ name: 'devgroup', sourceGroup: 'nosuch' }], RangeError], [[{ name: 'dscp', dscp: 64 }], RangeError], [[{ name: 'dscp', dscp: 'CS9' as never }], RangeError], [[{ name: 'ecn', tcpCwr: true }], { code: 'NFKIT_BAD_RULE' }],
    [[{ name: 'length', length: [2, 1] }], RangeError], [[{ name: 'mac', source: 'x' }], TypeError], [[{ name: 'mark', mark: -1 }], RangeError], [[{ name: 'pkttype', type: 'x' as never }], TypeError],
    [[{ name: 'multiport', ports: [1] }], { code: 'NFKIT_BAD_RULE' }], [[{ name: 'state', states: ['SNAT' as never] }], RangeError], [[{ name: 'cpu', cpu: 1, nosuch: 1 } as never], TypeError],
  ]
  for (const [matches, error] of bad) t.throws(() => encodeRule({ matches: matches! }, environment('ipv4')), error as never, JSON.stringify(matches))
  const tcp = (ports: never) => encodeRule({ protocol: 'tcp', matches: [{ name: 'multiport', ports }] }, environment('ipv4'))
  for (const list of [[], [65536], [[2, 1]], Array.from({ length: 16 }, (_, i) => i), [[1, 2], ...Array.from({ length: 14 }, (_, i) => i + 3)]]) t.throws(() => tcp(list as never), RangeError, JSON.stringify(list))
})

t.test('typed values: what is kept beside the names', async (t) => {
  const env = environment('ipv4')
  const keep = (matches: NonNullable<Rule['matches']>) => t.same(decodeRule(encodeRule({ matches }, env), env).matches, matches)
  keep([{ name: 'conntrack', statuses: ['ASSURED', 0x4000] }])
  keep([{ name: 'pkttype', type: { not: 5 } }])
  keep([{ name: 'connbytes', count: { not: ['9007199254740993', null] }, mode: 'avgpkt', direction: 'reply' }])
  keep([{ name: 'mark', mark: { not: { value: 1, mask: 3 } } }, { name: 'connmark', mark: 5 }])
  keep([{ name: 'conntrack', originalSource: '1.2.3.4/32', replySource: '1.2.3.4' }])
  t.same(decodeRule(encodeRule({ matches: [{ name: 'conntrack', originalSource: 'one' }, { name: 'connlimit', upto: { not: 3 } }] }, env), env).matches,
    [{ name: 'conntrack', originalSource: '1.2.3.4' }, { name: 'connlimit', above: 3, by: 'source' }])
})

const ALL: readonly (readonly [name: string, revision: number, size: number, protocol?: number])[] = [
  ['addrtype', 1, 8], ['addrtype', 0, 12], ['ah', 0, 12, 51], ['ah', 0, 16], ['bpf', 1, 528], ['bpf', 0, 528], ['cgroup', 2, 528], ['cgroup', 1, 4112], ['cgroup', 0, 8], ['cluster', 0, 16], ['comment', 0, 256],
  ['connbytes', 0, 24], ['connlabel', 0, 4], ['connlimit', 1, 32], ['connmark', 1, 12], ['conntrack', 3, 164], ['conntrack', 2, 156], ['conntrack', 1, 152], ['state', 0, 4], ['cpu', 0, 8], ['dccp', 0, 16, 33],
  ['devgroup', 0, 20], ['dscp', 0, 2], ['ecn', 0, 4, 6], ['esp', 0, 12, 50], ['udp', 0, 10, 17], ['mark', 1, 12], ['multiport', 1, 48, 6], ['length', 0, 6], ['mac', 0, 12], ['pkttype', 0, 8],
]

t.test('any bytes are read', async (t) => {
  for (const [name, revision, size, protocol] of ALL) readAnyBytes(t, name, revision, size, environment('ipv4'), protocol)
})
