// SPDX-License-Identifier: MIT

import t from 'tap'
import { Netns } from '../../lib/index.js'
import '../../lib/wire/xtables/extensions/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import type { Hook } from '../../lib/wire/xtables/extension.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { judge, systemNames, wordsOf } from '../support/xtables.js'
import { tryRun } from '../support/outside.js'

// What iptables 1.8.9 gets wrong and 1.8.11 right (masks with gaps, a negated whole range) is in test/unit/xtables-matches-a.test.ts.

/** The same rules in one chain of both families. */
function both(name: string, table: string, chain: Hook, rules: readonly string[], only: Partial<Record<IpFamily, readonly string[]>> = {}): void {
  t.test(name, async (t) => {
    const netns = Netns.create()
    t.teardown(() => netns.close())
    for (const family of ['ipv4', 'ipv6'] as const) judge(t, netns, family, table, chain, [...rules, ...only[family] ?? []])
  })
}

both('addrtype', 'filter', 'FORWARD', [
  '-m addrtype --src-type UNSPEC', '-m addrtype --dst-type LOCAL,UNICAST', '-m addrtype ! --src-type local ! --dst-type ANYCAST,MULTICAST,UNREACHABLE',
  '-m addrtype --src-type LOCAL --limit-iface-in', '-m addrtype --dst-type LOCAL --limit-iface-out', '-m addrtype --src-type u,uni,unr',
], { ipv4: ['-m addrtype --src-type UNSPEC,UNICAST,LOCAL,BROADCAST,ANYCAST,MULTICAST,BLACKHOLE,UNREACHABLE,PROHIBIT,THROW,NAT,XRESOLVE', '-m addrtype --dst-type B,P,T,N,X'] })
both('ah', 'filter', 'FORWARD', [
  '-p ah -m ah --ahspi 0', '-p ah -m ah --ahspi 4294967295', '-p ah -m ah --ahspi 0:4294967295', '-p ah -m ah ! --ahspi 0', '-p 51 -m ah', '-p ah --ahspi :',
  '-p ah -m ah --ahspi :3', '-p ah -m ah --ahspi 3:', '-p ah -m ah --ahspi 3:3', '-p ah -m ah --ahspi 0x10:020',
], { ipv6: ['-m ah --ahlen 32', '-m ah ! --ahlen 0', '-m ah --ahlen 0', '-m ah --ahres', '-m ah ! --ahspi 1:2 ! --ahlen 4294967295 --ahres'] })
both('bpf', 'filter', 'FORWARD', [
  '-m bpf --bytecode "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0"', '-m bpf --bytecode "1,6 0 0 4294967295,"', '-m bpf --bytecode "2, 48  0 0 9,6 0 0 0"',
  `-m bpf --bytecode "64,${'48 0 0 9,'.repeat(63)}6 0 0 1"`,
])
both('cgroup', 'mangle', 'OUTPUT', [
  '-m cgroup --cgroup 1', '-m cgroup ! --cgroup 4294967295', '-m cgroup --cgroup 0x100001', '-m cgroup --path /', '-m cgroup ! --path /',
])
both('cluster', 'mangle', 'PREROUTING', [
  '-m cluster --cluster-total-nodes 2 --cluster-local-node 2 --cluster-hash-seed 0xfeedcafe', '-m cluster --cluster-total-nodes 2 ! --cluster-local-node 1 --cluster-hash-seed 0',
  '-m cluster --cluster-total-nodes 5 --cluster-local-nodemask 0x11 --cluster-hash-seed 7', '-m cluster --cluster-total-nodes 31 ! --cluster-local-nodemask 32 --cluster-hash-seed 4294967295',
  '-m cluster --cluster-total-nodes 31 --cluster-local-node 31 --cluster-hash-seed 1',
])
both('comment', 'filter', 'FORWARD', [
  '-p tcp -m tcp --dport 22 -m comment --comment foo', '-m comment --comment "two words"', String.raw`-m comment --comment "a \"quote\" and a \\ and it's"`, '-m comment --comment "Grüße, -x! $(y)"',
  `-m comment --comment ${'x'.repeat(255)}`, `-m comment --comment ${'x'.repeat(256)}`, '-m comment --comment foo -m comment --comment bar_-9',
])
both('connbytes', 'filter', 'FORWARD', [
  ...['packets', 'bytes', 'avgpkt'].flatMap((mode) => ['original', 'reply', 'both'].map((direction) => `-m connbytes --connbytes 0:1000 --connbytes-mode ${mode} --connbytes-dir ${direction}`)),
  ...[':', ':1000', '1000', '1000:', '1000:1000', '0', '0:0', '18446744073709551614', '0:18446744073709551614', '9007199254740993:9007199254740995', '0x10:0x20'].map((count) =>
    `-m connbytes --connbytes ${count} --connbytes-mode bytes --connbytes-dir both`),
  ...['0:1000', '5', ':', '1:9007199254740993'].map((count) => `-m connbytes ! --connbytes ${count} --connbytes-mode packets --connbytes-dir reply`),
])
both('connlabel', 'filter', 'FORWARD', ['-m connlabel --label 40', '-m connlabel ! --label 0', '-m connlabel --label 127 --set', '-m connlabel ! --label "41" --set', '-m connlabel --label 0x10'])
both('connlimit', 'filter', 'FORWARD', [
  '-m connlimit --connlimit-upto 0', '-m connlimit --connlimit-upto 4294967295 --connlimit-mask 32 --connlimit-saddr', '-m connlimit --connlimit-above 0', '-m connlimit ! --connlimit-above 5',
  '-m connlimit ! --connlimit-upto 5', '-m connlimit --connlimit-above 10 --connlimit-daddr', '-m connlimit --connlimit-above 10 --connlimit-mask 0', '-m connlimit --connlimit-above 10 --connlimit-mask 17 --connlimit-daddr',
], { ipv4: ['-m connlimit --connlimit-above 1 --connlimit-mask 255.255.240.0'], ipv6: ['-m connlimit --connlimit-above 1 --connlimit-mask 128', '-m connlimit --connlimit-above 1 --connlimit-mask 65', '-m connlimit --connlimit-above 1 --connlimit-mask ffff:ff00::'] })
for (const name of ['mark', 'connmark']) {
  both(name, 'mangle', 'PREROUTING', ['0xfeedcafe/0xfeedcafe', '0x0', '4294967295', '0xffffffff/0xffffffff', '0xffffffff/0x0', '0/0xffffffff', '0x0/0xff0', '017/1'].flatMap((mark) =>
    [`-m ${name} --mark ${mark}`, `-m ${name} ! --mark ${mark}`]))
}
const ports = [':', ':4', '4:', '3:4', '4:4', '0', '65535', 'domain', 'ssh:http', '010']
both('conntrack', 'filter', 'FORWARD', [
  ...['NEW', 'NEW,ESTABLISHED', 'established,related,new', 'INVALID', 'UNTRACKED', 'SNAT,DNAT', 'I,N,E,R,U,S,D', 'INV'].flatMap((state) => [`-m conntrack --ctstate ${state}`, `-m conntrack ! --ctstate ${state}`]),
  ...['NONE', 'CONFIRMED', 'ASSURED', 'EXPECTED', 'SEEN_REPLY', 'expected,seen_reply,assured,confirmed', 'NONE,ASSURED', 'c', 'n'].flatMap((status) => [`-m conntrack --ctstatus ${status}`, `-m conntrack ! --ctstatus ${status}`]),
  ...['0', '4294967295', '0:4294967295', '3:3', '3:', ':3'].map((expire) => `-m conntrack --ctexpire ${expire}`), '-m conntrack ! --ctexpire 1:2',
  '-m conntrack --ctproto tcp', '-m conntrack ! --ctproto 255', '-m conntrack --ctproto gre', '-m conntrack --ctdir ORIGINAL', '-m conntrack --ctdir reply',
  ...ports.flatMap((port) => ['origsrc', 'origdst', 'replsrc', 'repldst'].map((which) => `-m conntrack --ct${which}port ${port}`)), '-m conntrack ! --ctorigsrcport 1:2 ! --ctrepldstport 7',
], {
  ipv4: [
    ...['1.1.1.1', '1.1.1.1/32', '10.1.2.3/8', '10.0.0.0/255.0.0.0', '10.1', '0x0a000001', '1.2.3/0', '0.0.0.0'].flatMap((address) => ['origsrc', 'repldst'].map((which) => `-m conntrack --ct${which} ${address}`)),
    '-m conntrack ! --ctorigsrc 1.2.3.4 ! --ctorigdst 5.6.7.8/9 ! --ctreplsrc 9.9.9.9 ! --ctrepldst 8.8.8.8 --ctstate NEW ! --ctproto udp --ctorigsrcport 1 --ctorigdstport 2 --ctreplsrcport 3 --ctrepldstport 4:5 --ctstatus NONE --ctexpire 9 --ctdir REPLY',
  ],
  ipv6: [
    ...['2001:db8::1', '2001:db8::1/128', '2001:db8::1/33', '::/0', '::ffff:1.2.3.4'].flatMap((address) => ['origdst', 'replsrc'].map((which) => `-m conntrack --ct${which} ${address}`)),
    '-m conntrack ! --ctorigsrc ::1 ! --ctorigdst ::2/64 ! --ctreplsrc ::3 ! --ctrepldst ::4 --ctdir ORIGINAL',
  ],
})
both('state', 'filter', 'FORWARD', ['-m state --state INVALID', '-m state ! --state NEW,RELATED', '-m state --state UNTRACKED,established', '-m state --state n', '-m state --state NEW -m conntrack --ctstate NEW'])
both('cpu', 'filter', 'FORWARD', ['-m cpu --cpu 0', '-m cpu ! --cpu 0', '-m cpu --cpu 4294967295', '-m cpu --cpu 0x10'])
const somePorts = [':', ':4', '4:', '3:4', '4:4', '0', '65535', '1024:65535', 'domain', '010', ':65535']
both('dccp', 'filter', 'FORWARD', [
  ...somePorts.flatMap((port) => [`-p dccp -m dccp --sport ${port}`, `-p dccp -m dccp ! --dport ${port}`]), '-p dccp -m dccp', '-p 33 --source-port 1 --destination-port 2:3',
  '-p dccp -m dccp --dccp-types REQUEST,RESPONSE,DATA,ACK,DATAACK,CLOSEREQ,CLOSE,RESET,SYNC,SYNCACK,INVALID', '-p dccp -m dccp --dccp-types invalid', '-p dccp -m dccp ! --dccp-types syncack,close,,', '-p dccp -m dccp --dccp-option 255', '-p dccp -m dccp ! --dccp-option 1',
])
both('devgroup', 'filter', 'FORWARD', [
  '-m devgroup --src-group 0', '-m devgroup --src-group default', '-m devgroup ! --src-group 0x10/0xff ! --dst-group 5', '-m devgroup --dst-group 0/0xffffffff', '-m devgroup --dst-group 4294967295/0', '-m devgroup ! --dst-group default',
])
both('dscp', 'filter', 'FORWARD', [
  '-m dscp --dscp 0x00', '-m dscp --dscp 63', '-m dscp ! --dscp 010', '-m dscp ! --dscp-class ef', '-m dscp --dscp-class CS10',
  ...['CS0', 'CS1', 'CS2', 'CS3', 'CS4', 'CS5', 'CS6', 'CS7', 'BE', 'AF11', 'AF12', 'AF13', 'AF21', 'AF22', 'AF23', 'AF31', 'AF32', 'AF33', 'AF41', 'AF42', 'AF43', 'EF'].map((name) => `-m dscp --dscp-class ${name}`),
])
both('ecn', 'filter', 'FORWARD', [
  '-p tcp -m ecn --ecn-tcp-cwr', '-p tcp -m ecn --ecn-tcp-ece --ecn-tcp-cwr --ecn-ip-ect 2', '-p tcp -m ecn ! --ecn-tcp-ece ! --ecn-tcp-cwr ! --ecn-ip-ect 2', '-m ecn --ecn-ip-ect 0', '-m ecn ! --ecn-ip-ect 3', '-m ecn --ecn-tcp-ece -p tcp',
])
both('esp', 'filter', 'FORWARD', [
  '-p esp -m esp --espspi 0', '-p esp -m esp --espspi :32', '-p esp -m esp --espspi 0:4294967295', '-p esp -m esp ! --espspi 0:4294967294', '-p esp --espspi :', '-p 50 -m esp --espspi 4:',
  '-p esp -m esp --espspi 3:4', '-p esp -m esp', '-p esp -m esp --espspi 4:4',
])
both('udp', 'filter', 'FORWARD', [
  ...somePorts.map((port) => `-p udp -m udp --sport ${port}`), ...somePorts.filter((port) => port !== ':' && port !== ':65535').map((port) => `-p udp -m udp ! --dport ${port}`), '-p udp -m udp', '-p udp --dport 53 -m udp --sport 1:2 -j ACCEPT', '-m udp --dport 1 -p 17', '-p udp --source-port domain ! --destination-port 5:6',
])
both('multiport', 'filter', 'FORWARD', [
  ...['tcp', 'udp', 'sctp', 'dccp', 'udplite'].flatMap((protocol) => ['--sports 53,1024:65535', '! --dports 53,1024:65535', '--ports 0', '--source-ports 1', '--destination-ports 2:3'].map((list) => `-p ${protocol} -m multiport ${list}`)),
  '-p tcp -m multiport --ports 1,2,3,4,6,7,8,9,10,11,12,13,14,15,16', '-p tcp -m multiport ! --ports 1,2,3,4,6,7,8,9,10,11,12,13,14,15:16', '-p tcp -m multiport --dports ssh,http,0x1bb,010',
  '-p udp -m multiport --dports domain:ntp', '-p tcp -m multiport --sports 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15',
])
both('length', 'filter', 'FORWARD', ['1', ':2', '0:3', '4:', ':', '0:65535', '4:4', '0x10:0x20'].flatMap((length) => [`-m length --length ${length}`, `-m length ! --length ${length}`]))
both('mac', 'filter', 'FORWARD', ['-m mac --mac-source 42:01:02:03:04:05', '-m mac ! --mac-source AA:bb:0:c:0d:ff'])
both('pkttype', 'filter', 'FORWARD', ['unicast', 'broadcast', 'multicast', 'otherhost', 'bcast', 'mcast', 'host', 'UniCast'].flatMap((type) => [`-m pkttype --pkt-type ${type}`, `-m pkttype ! --pkt-type ${type}`]))

/** Refused by iptables and here; `chain` is FORWARD of filter unless told. */
const REFUSED: readonly (string | readonly [rule: string, table: string, chain: string])[] = [
  '-m addrtype', '-m addrtype --src-type wrong', '-m addrtype --src-type LOCAL,', '-m addrtype --src-type ,LOCAL', '-m addrtype --src-type UNICASTS', '-m addrtype --limit-iface-in',
  '-m addrtype --src-type LOCAL --limit-iface-in --limit-iface-out', '-m addrtype --src-type LOCAL --src-type LOCAL', '-m addrtype --src-type LOCAL ! --limit-iface-in',
  ['-m addrtype --src-type LOCAL --limit-iface-out', 'filter', 'INPUT'], ['-m addrtype --src-type LOCAL --limit-iface-in', 'filter', 'OUTPUT'],
  '-p ah -m ah --ahspi -1', '-p ah -m ah --ahspi 4294967296', '-p ah -m ah --ahspi invalid', '-p ah -m ah --ahspi 0:invalid', '-p ah -m ah --ahspi 1:2:3', '-p ah -m ah --ahspi',
  '-m bpf', '-m bpf --bytecode ""', '-m bpf --bytecode "0,"', '-m bpf --bytecode "2,6 0 0 1"', '-m bpf --bytecode "1,6 0 0 1,6 0 0 1"', '-m bpf --bytecode "65,6 0 0 0"', '-m bpf --bytecode "1,6 0 0"', '-m bpf --bytecode "1;6 0 0 1"',
  ['-m cgroup --cgroup 1 --path /', 'mangle', 'OUTPUT'], ['-m cgroup', 'mangle', 'OUTPUT'], ['-m cgroup --cgroup 4294967296', 'mangle', 'OUTPUT'], ['-m cgroup --cgroup 1', 'filter', 'FORWARD'],
  '-m cluster', '-m cluster --cluster-total-nodes 3', '-m cluster --cluster-total-nodes 2 --cluster-local-node 2', '-m cluster --cluster-total-nodes 2 --cluster-local-node 3 --cluster-hash-seed 1',
  '-m cluster --cluster-total-nodes 33 --cluster-local-node 3 --cluster-hash-seed 1', '-m cluster --cluster-total-nodes 2 --cluster-local-node 1 --cluster-local-nodemask 1 --cluster-hash-seed 1',
  '-m cluster --cluster-total-nodes 2 --cluster-local-nodemask 0 --cluster-hash-seed 1', '-m cluster ! --cluster-total-nodes 2 --cluster-local-node 1 --cluster-hash-seed 1',
  '-m comment', '-m comment --comment', '-m comment ! --comment x', '-m comment --comment x --comment y',
  ...['-1:0', '0:-1', '0:18446744073709551616', 'x', '1:2:3'].map((count) => `-m connbytes --connbytes ${count} --connbytes-mode packets --connbytes-dir both`),
  '-m connbytes --connbytes 0:1000 --connbytes-mode wrong --connbytes-dir both', '-m connbytes --connbytes 0:1000 --connbytes-mode packets --connbytes-dir wrong', '-m connbytes --connbytes 0:1000 --connbytes-dir original',
  '-m connbytes --connbytes 0:1000 --connbytes-mode packets', '-m connbytes',
  '-m connlabel', '-m connlabel --set', '-m connlabel --label 128', '-m connlabel --label foobar_not_there', '-m connlabel --label ""', '-m connlabel --label 1 ! --set',
  '-m connlimit', '-m connlimit --connlimit-upto -1', '-m connlimit --connlimit-above 4294967296', '-m connlimit --connlimit-upto 1 --connlimit-above 1', '-m connlimit --connlimit-above 10 --connlimit-saddr --connlimit-daddr',
  '-m connlimit --connlimit-above 10 --connlimit-mask x', '-m connlimit --connlimit-above 10 ! --connlimit-mask 3', '-m connlimit --connlimit-mask 3',
  ...['mark', 'connmark'].flatMap((name) => [`-m ${name}`, `-m ${name} --mark -1`, `-m ${name} --mark 4294967296`, `-m ${name} --mark 1/`, `-m ${name} --mark x`, `-m ${name} --mark 1/2/3`, `-m ${name} --mark 1 --mark 2`]),
  '-m conntrack', '-m conntrack --ctstate wrong', '-m conntrack --ctstate NEW,', '-m conntrack --ctstate ""', '-m conntrack --ctstate NEWS', '-m conntrack --ctproto 256',
  '-m conntrack --ctexpire 42949672956', '-m conntrack --ctexpire -1', '-m conntrack --ctstatus wrong', '-m conntrack --ctstatus ASSURED,', '-m conntrack --ctdir wrong', '-m conntrack ! --ctdir REPLY',
  '-m conntrack --ctorigsrcport nosuch', '-m conntrack --ctorigsrcport 1:2:3', '-m conntrack --ctorigsrc 1.2.3.4/x', '-m conntrack --ctorigsrc 1.2.3.256', '-m conntrack --ctorigsrc ::1', '-m conntrack --ctorigsrc 1.2.3.4 --ctorigsrc 1.2.3.4',
  '-m state', '-m state --state wrong', '-m state --state SNAT', '-m state --state NEW,', '-m state wrong', '-m state --state NEW --state NEW',
  '-m cpu', '-m cpu --cpu 4294967296', '-m cpu --cpu -1', '-m cpu --cpu 0:1',
  '-m dccp', '-p tcp -m dccp', '! -p dccp -m dccp', '-p dccp -m dccp --sport -1', '-p dccp -m dccp --dccp-types WRONG', '-p dccp -m dccp --dccp-types ACKS', '-p dccp -m dccp --dccp-option 0', '-p dccp -m dccp --dccp-option 256',
  '-m devgroup', '-m devgroup --src-group nosuch', '-m devgroup --src-group 1/', '-m devgroup --src-group 4294967296', '-m devgroup --src-group 1 --src-group 2', ['-m devgroup --src-group 1', 'filter', 'OUTPUT'], ['-m devgroup --dst-group 1', 'filter', 'INPUT'],
  '-m dscp', '-m dscp --dscp -1', '-m dscp --dscp 0x40', '-m dscp --dscp 0x3f --dscp-class CS0', '-m dscp --dscp-class AF1', '-m dscp --dscp 1 --dscp 1',
  '-m ecn', '-m ecn --ecn-tcp-cwr', '! -p tcp -m ecn --ecn-tcp-ece', '-p udp -m ecn --ecn-tcp-ece', '-p tcp -m ecn --ecn-ip-ect 4', '-p tcp -m ecn --ecn-ip-ect',
  '-m esp', '-p udp -m esp', '-p esp -m esp --espspi -1', '-p esp -m esp --espspi 4294967296',
  '-m udp --dport 1', '-p tcp -m udp', '-p udp -m udp --sport -1', '-p udp -m udp --dport nosuch', '-p udp --sport 1 --source-port 2', '-p udp --sport 1:2:3', '-p udp --dport 0x35',
  '-m multiport', '-p tcp -m multiport', '-m multiport --ports 1', '! -p tcp -m multiport --ports 1', '-p icmp -m multiport --ports 1', '-p tcp -m multiport --ports 1024:65536', '-p tcp -m multiport --sports 1 --dports 2', '-p tcp -m multiport --ports 2:1',
  '-p tcp -m multiport --ports 1:1', '-p tcp -m multiport --ports 1,', '-p tcp -m multiport --ports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16', '-p tcp -m multiport --ports 1,2,3,4,6,7,8,9,10,11,12,13,14,15,16:17', '-p tcp --multiport', '-m multiport --ports 1 -p tcp',
  '-m length', '-m length --length 0:65536', '-m length --length -1:65535', '-m length --length 1:2:3', '-m length --length x',
  '-m mac', '-m mac --mac-source 42:01:02:03:04', '-m mac --mac-source 42:01:02:03:04:05:06', '-m mac --mac-source 42:01:02:03:04:055', '-m mac --mac-source 42:01:02:03:04:0g', ['-m mac --mac-source 42:01:02:03:04:05', 'filter', 'OUTPUT'],
  '-m pkttype', '-m pkttype --pkt-type wrong', '-m pkttype --pkt-type 1',
]

const REFUSED_IPV6: readonly (readonly [rule: string, table: string, chain: string])[] = [
  ...['BROADCAST', 'BLACKHOLE', 'PROHIBIT', 'THROW', 'NAT', 'XRESOLVE', 'LOCAL,NAT'].map((type) => [`-m addrtype --src-type ${type}`, 'filter', 'FORWARD'] as const),
  ['-m cgroup --cgroup 1', 'mangle', 'FORWARD'], ['-m mac --mac-source 42:01:02:03:04:05', 'mangle', 'POSTROUTING'], ['-m devgroup --dst-group 1', 'mangle', 'PREROUTING'],
  ...[
    '-m esp', '-m udp', '-m dccp', '-m multiport --ports 1', '-m ecn --ecn-tcp-cwr', '-m ah ! --ahres', '-m ah --ahlen -1', '-m ah --ahlen 4294967296', '-m ah --ahlen 1:2', '-m ah --ahspi 4294967296',
    '-m conntrack --ctorigsrc 1.2.3.4', '-m conntrack --ctorigsrc ::1/129', '-m conntrack --ctorigsrc ::g', '-m connlimit --connlimit-above 1 --connlimit-mask 129',
  ].map((rule) => [rule, 'filter', 'FORWARD'] as const),
]

t.test('what ip6tables refuses is refused here', async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  for (const [rule, table, chain] of REFUSED_IPV6) {
    t.not(tryRun(netns, 'ip6tables-legacy', '-t', table, '-A', chain, ...wordsOf(rule)).status, 0, `ip6tables refuses ${rule}`)
    t.throws(() => parseRule(wordsOf(rule), { family: 'ipv6', resolver: systemNames, table, chain }), { code: 'NFKIT_BAD_RULE' }, rule)
  }
})

t.test('what iptables refuses is refused here', async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  for (const one of REFUSED) {
    const [rule, table, chain] = typeof one === 'string' ? [one, 'filter', 'FORWARD'] as const : one
    t.not(tryRun(netns, 'iptables-legacy', '-t', table, '-A', chain, ...wordsOf(rule)).status, 0, `iptables refuses ${rule}`)
    t.throws(() => parseRule(wordsOf(rule), { family: 'ipv4', resolver: systemNames, table, chain }), { code: 'NFKIT_BAD_RULE' }, rule)
  }
})
