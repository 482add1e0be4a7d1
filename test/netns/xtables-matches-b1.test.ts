// SPDX-License-Identifier: MIT

import { spawnSync } from 'node:child_process'
import t from 'tap'
import { Netns } from '../../lib/index.js'
import '../../lib/wire/xtables/extensions/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import type { Hook } from '../../lib/wire/xtables/extension.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { systemResolver } from '../../lib/netfilter/resolver.js'
import { XtablesSocket } from '../../lib/sockopt/xtables.js'
import { judge, systemNames, wordsOf } from '../support/xtables.js'
import { run, tryRun } from '../support/outside.js'

// What iptables 1.8.9 gets wrong and 1.8.11 right is in test/unit/xtables-matches-b1.test.ts.

/** The same rules in one chain of both families. */
function both(name: string, table: string, chain: Hook, rules: readonly string[], only: Partial<Record<IpFamily, readonly string[]>> = {}): void {
  t.test(name, async (t) => {
    const netns = Netns.create()
    t.teardown(() => netns.close())
    for (const family of ['ipv4', 'ipv6'] as const) judge(t, netns, family, table, chain, [...rules, ...only[family] ?? []])
  })
}

both('ttl and hl', 'filter', 'FORWARD', [], {
  ipv4: ['eq 0', 'eq 255', 'lt 0', 'lt 255', 'gt 0', 'gt 0xff', 'eq 010'].map((one) => `-m ttl --ttl-${one}`).concat('-m ttl ! --ttl-eq 0', '-m ttl ! --ttl-eq 255', '-m ttl --ttl 64', '-m ttl ! --ttl 64'),
  ipv6: ['eq 0', 'eq 255', 'lt 0', 'lt 255', 'gt 0', 'gt 0xff', 'eq 010'].map((one) => `-m hl --hl-${one}`).concat('-m hl ! --hl-eq 0', '-m hl ! --hl-eq 255', '-m hl --hl 64', '-m hl ! --hl 64'),
})
both('tcpmss', 'filter', 'FORWARD', ['42', '0', '65535', '42:12345', ':', ':42', '42:', '42:42', '0x10:020'].flatMap((mss) => [`-p tcp -m tcpmss --mss ${mss}`, `-p tcp -m tcpmss ! --mss ${mss}`]))
both('tos', 'filter', 'FORWARD', [
  'Minimize-Delay', 'Maximize-Throughput', 'maximize-reliability', 'MINIMIZE-COST', 'Normal-Service', '0xff', '0x00', '15', '017', '0x0f/0x0f', '0/0', '0xff/0', '16/0xff', '0x10/63',
].flatMap((tos) => [`-m tos --tos ${tos}`, `-m tos ! --tos ${tos}`]))
both('iprange', 'filter', 'FORWARD', [], {
  ipv4: [
    ...['1.1.1.1-1.1.1.10', '1.1.1.1', '0.0.0.0-255.255.255.255', '9.9.9.9-1.1.1.1', '10-11', '10.1-0x0b.010', '1.2.3.4-1.2.3.4'].flatMap((range) => [`-m iprange --src-range ${range}`, `-m iprange ! --dst-range ${range}`]),
    '-m iprange ! --src-range 1.1.1.1-1.1.1.2 --dst-range 2.2.2.2-3.3.3.3', '-m iprange --dst-range 1.1.1.1 --src-range 4.4.4.4-5.5.5.5',
  ],
  ipv6: [
    ...['::1-::10', '2001:db8::1', '::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'fe80::-::', '::ffff:1.2.3.4-::ffff:1.2.3.5'].flatMap((range) => [`-m iprange --src-range ${range}`, `-m iprange ! --dst-range ${range}`]),
    '-m iprange ! --src-range ::1-::2 ! --dst-range ::3-::4',
  ],
})
both('owner', 'mangle', 'OUTPUT', [
  ...['root', '0', '4294967294', '0-10', '5:6', '7-7', '0x10-020', 'nobody', '0-4294967294'].flatMap((id) => [`-m owner --uid-owner ${id}`, `-m owner ! --uid-owner ${id}`]),
  ...['root', '0', '0-10', 'nogroup', '1:4294967294'].flatMap((id) => [`-m owner --gid-owner ${id}`, `-m owner ! --gid-owner ${id}`]),
  '-m owner --socket-exists', '-m owner ! --socket-exists', '-m owner --gid-owner 0-10 --suppl-groups', '-m owner ! --gid-owner 5 --suppl-groups',
  '-m owner ! --uid-owner 1 ! --gid-owner 2 ! --socket-exists', '-m owner --socket-exists --uid-owner 0-10 --gid-owner 0-10 --suppl-groups',
])
both('physdev', 'filter', 'FORWARD', [
  '-m physdev --physdev-in lo', '-m physdev ! --physdev-in eth0', '-m physdev --physdev-in eth+', '-m physdev --physdev-in +', '-m physdev --physdev-in abcdefghijklmno', '-m physdev --physdev-in abcdefghijklmn+',
  '-m physdev --physdev-out lo', '-m physdev ! --physdev-out eth+', '-m physdev --physdev-is-in', '-m physdev ! --physdev-is-in', '-m physdev --physdev-is-out', '-m physdev ! --physdev-is-out',
  '-m physdev --physdev-is-bridged', '-m physdev ! --physdev-is-bridged', '-m physdev ! --physdev-is-bridged ! --physdev-is-out ! --physdev-is-in ! --physdev-out a ! --physdev-in b',
  '-m physdev --physdev-is-in --physdev-in lo --physdev-is-bridged --physdev-is-out --physdev-out lo',
])
both('physdev in OUTPUT', 'filter', 'OUTPUT', ['-m physdev --physdev-is-bridged --physdev-out lo', '-m physdev --physdev-is-bridged --physdev-is-out', '-m physdev --physdev-in lo'])
const ICMP = ['echo-reply', 'pong', 'destination-unreachable', 'host-prohibited', 'tos-network-u', 'ttl-zero-during-t', 'PING', 'time-', 'address-mask-reply', 'source-q']
both('icmp and icmp6', 'filter', 'FORWARD', [], {
  ipv4: ['any', ...ICMP, 'network-red', 'TOS-host-redirect', '0', '3', '255', '3/0', '3/255', '0x3/010', '3/0:255', '3/1:5', '3/5:1', '8:8', '255/0:255']
    .flatMap((type) => [`-p icmp -m icmp --icmp-type ${type}`, `-p icmp -m icmp ! --icmp-type ${type}`]).concat('-p icmp --icmp-type ping', '-p 1 --icmp-type 8'),
  ipv6: ['no-route', 'packet-too-big', 'reject-r', 'bad-header', 'unknown-o', 'ping', 'echo-reply', 'pong', 'router-solicitation', 'neighbour-a', 'neighbor-solicitation', 'redirect', '0', '1', '255', '1/0', '255/255', '0x80/7', '1/0:255', '1/2:3', '128:128']
    .flatMap((type) => [`-p ipv6-icmp -m icmp6 --icmpv6-type ${type}`, `-p icmpv6 -m icmp6 ! --icmpv6-type ${type}`]).concat('-p icmpv6 --icmpv6-type ping', '-p 58 --icmpv6-type 128'),
})
both('limit', 'filter', 'FORWARD', [
  '-m limit', ...['1/sec', '1/min', '1000/hour', '1000/day', '3', '10000/second', '7/s', '7/S', '13/m', '17/h', '999/d', '3/hou', '4321/min', '59/sec', '61/min', '700000/hour', '123457/day', '3333/sec'].map((rate) => `-m limit --limit ${rate}`),
  ...['1', '5', '200', '0x10'].map((burst) => `-m limit --limit-burst ${burst}`), '-m limit --limit 100/sec --limit-burst 10000', '-m limit --limit-burst 7 --limit 5/min', '-m limit --limit 1/day --limit-burst 1',
])
const PER = '--hashlimit-name'
both('hashlimit', 'filter', 'FORWARD', [
  ...['upto', 'above'].flatMap((how) => ['1/sec', '1000000/sec', '1/min', '1/hour', '5/day', '7', '40/s', '999/m', '13/H', '700001/minute', '123/day', '86399/hour', '300000/sec'].flatMap((rate) => [
    `-m hashlimit --hashlimit-${how} ${rate} --hashlimit-burst 1 ${PER} a`, `-m hashlimit ! --hashlimit-${how} ${rate} ${PER} b`,
  ])),
  ...['1b/s', '15b/s', '16b/s', '31b/s', '96b/s', '4kb/s', '1000kb/s', '10mb/s', '123456b/s', '4095mb/s', '5000mb/s', '32767mb/s', '1mb/second', '999999999b/sec'].flatMap((rate) => [`-m hashlimit --hashlimit-upto ${rate} ${PER} c`, `-m hashlimit --hashlimit-above ${rate} ${PER} d`]),
  ...[['4kb/s', '400kb'], ['4kb/s', '5000'], ['123456b/s', '1mb'], ['16b/s', '16b'], ['1mb/s', '4095mb'], ['1mb/s', '3m'], ['16b/s', '0x1b'], ['64b/s', '1000000'], ['10mb/s', '2000000000b']].map(([rate, burst]) => `-m hashlimit --hashlimit-upto ${rate} --hashlimit-burst ${burst} ${PER} e`),
  ...['1', '1000000', '0x10', '400k', '5b', '3kb'].map((burst) => `-m hashlimit --hashlimit-upto 10/sec --hashlimit-burst ${burst} ${PER} f`),
  ...['srcip', 'srcport', 'dstip', 'dstport', 'dstport,dstip,srcport,srcip', 'srcip|dstip', ',srcip,,', '""'].map((mode) => `-m hashlimit --hashlimit-upto 1/sec --hashlimit-mode ${mode} ${PER} g`),
  `-m hashlimit --hashlimit-above 1/day --hashlimit-burst 1 ${PER} h`, `-m hashlimit --hashlimit 5/sec ${PER} h`, `-m hashlimit ! --hashlimit 5/sec ${PER} h`, `-m hashlimit ${PER} i --hashlimit-htable-expire 2000 --hashlimit-upto 1/min`, `-m hashlimit ${PER} i --hashlimit-htable-expire 1000 --hashlimit-upto 1/sec`,
  `-m hashlimit --hashlimit-upto 1/sec ${PER} j --hashlimit-htable-size 1024 --hashlimit-htable-max 2000 --hashlimit-htable-gcinterval 60000 --hashlimit-htable-expire 4294967`, `-m hashlimit --hashlimit-upto 1/sec ${PER} k --hashlimit-htable-gcinterval 1000 --hashlimit-htable-size 0 --hashlimit-htable-max 0`,
  `-m hashlimit --hashlimit-upto 4kb/s ${PER} l --hashlimit-htable-expire 15000`, `-m hashlimit --hashlimit-upto 4kb/s --hashlimit-burst 8kb ${PER} l --hashlimit-htable-expire 60000`, `-m hashlimit --hashlimit-upto 4kb/s --hashlimit-burst 8kb ${PER} l --hashlimit-htable-expire 15000`,
  ...['40/sec', '100/min', '1/hour', '5/day', '1000000/sec', '7/min'].flatMap((rate) => ['', ' --hashlimit-rate-interval 10', ' --hashlimit-rate-interval 1'].map((interval) => `-m hashlimit --hashlimit-upto ${rate} --hashlimit-burst 20 --hashlimit-mode srcip ${PER} m --hashlimit-rate-match${interval}`)),
  ...['40mb/s', '1b/s', '68719476719b/s', '50000mb/s'].flatMap((rate) => ['', ' --hashlimit-rate-interval 2147483647'].map((interval) => `-m hashlimit --hashlimit-above ${rate} --hashlimit-mode srcip ${PER} n --hashlimit-rate-match${interval}`)),
  `-m hashlimit --hashlimit-upto 1/min ${PER} o --hashlimit-rate-interval 7`, `-m hashlimit --hashlimit-upto 1/sec ${PER} ${'n'.repeat(254)}`, `-m hashlimit --hashlimit-upto 1/sec ${PER} ${'m'.repeat(300)}`,
  ...['0', '8', '24', '31'].map((mask) => `-m hashlimit --hashlimit-upto 1/sec --hashlimit-mode srcip,dstip --hashlimit-srcmask ${mask} --hashlimit-dstmask 5 ${PER} p`),
], {
  ipv4: ['32', '255.255.255.0', '255.255.255.255', '0.0.0.0', '0x18'].map((mask) => `-m hashlimit --hashlimit-upto 1/sec --hashlimit-dstmask ${mask} ${PER} q`),
  ipv6: ['32', '64', '128', 'ffff:ffff::', '::'].map((mask) => `-m hashlimit --hashlimit-upto 1/sec --hashlimit-srcmask ${mask} ${PER} q`),
})
const policyRules = (network: string, one: string) => [
  '-m policy --dir in --pol ipsec', '-m policy --dir in', '-m policy --pol none --dir in', '-m policy --dir in --pol none --reqid 5', '-m policy --dir in --pol ipsec --proto ipcomp', '-m policy --dir in --proto 50', '-m policy --dir in ! --proto ah',
  '-m policy --dir in --reqid 0', '-m policy --dir in ! --reqid 4294967295', '-m policy --dir in --spi 0x1', '-m policy --dir in ! --spi 4294967295', '-m policy --dir in --spi 010', '-m policy --dir in --mode tunnel', '-m policy --dir in --mode transport', '-m policy --dir in ! --mode transport',
  '-m policy --dir in --pol ipsec --strict --reqid 1 --spi 0x1 --proto ipcomp', `-m policy --dir in --pol ipsec --strict --reqid 1 --spi 0x1 --proto esp --mode tunnel --tunnel-dst ${network} --tunnel-src ${network} --next --reqid 2`,
  `-m policy --strict --dir in ! --reqid 1 --next ! --spi 2 --next ! --proto ah --next ! --mode transport ! --tunnel-dst ${one} ! --tunnel-src ${network}`, `-m policy --dir in ! --mode transport --tunnel-src ${one}`, `-m policy --tunnel-dst ${one} --dir in --mode tunnel`,
]
for (const [chain, from, to] of [['FORWARD', 'in', 'in'], ['FORWARD', 'in', 'out'], ['INPUT', 'in', 'in'], ['OUTPUT', 'in', 'out']] as const) {
  both(`policy in ${chain} ${to}`, 'filter', chain, [], {
    ipv4: [...policyRules('10.0.0.0/8', '10.1.2.3'), ...['10.1.2.3/32', '10.1.2.3/255.255.0.0', '10.1/8', '1.2.3.4/0'].map((address) => `-m policy --dir in --mode tunnel --tunnel-src ${address}`)].map((rule) => rule.replace(`--dir ${from}`, `--dir ${to}`)),
    ipv6: [...policyRules('2001:db8::/32', '2001:db8::1'), ...['::1/128', '::/0', '2001:db8::1/33'].map((address) => `-m policy --dir in --mode tunnel --tunnel-src ${address}`)].map((rule) => rule.replace(`--dir ${from}`, `--dir ${to}`)),
  })
}
both('statistic', 'filter', 'FORWARD', [
  ...['0', '1', '0.5', '.25', '0.', '1e-3', '5E-1', '0.33333333349', '0.000244140625', '0.000732421875', '0.001220703125', '0.00000000023', '0.9999999999', '-0'].flatMap((p) => [`-m statistic --mode random --probability ${p}`, `-m statistic --mode random ! --probability ${p}`]),
  ...['1 --packet 0', '5 --packet 2', '5 --packet 4', '0x10 --packet 010', '4294967295 --packet 4294967294'].flatMap((n) => [`-m statistic --mode nth --every ${n}`, `-m statistic --mode nth ! --every ${n}`]),
  '-m statistic --packet 1 --every 3 --mode nth',
])
both('string', 'filter', 'FORWARD', [
  '-m string --algo bm --string "test"', '-m string --string test --algo kmp', '-m string ! --string "two words" --algo kmp', String.raw`-m string --string "a \"quote\" and a \\ backslash" --algo bm`, String.raw`-m string --string "ends with \\" --algo bm`,
  `-m string --string ${'x'.repeat(128)} --algo bm`, '-m string --string "Grüße" --algo bm', "-m string --string it's --algo bm", '-m string --string "|41|" --algo bm',
  ...['|0a0a0a0a|', 'GET |20 2f|HTTP', '|  41 42 |C', '|41|', 'abc|', '|41||42', '|00|', '|4142|', 'plain', 'ab|0D 0a|', String.raw`a\\|b`, String.raw`\\\\`, String.raw`|41|\\`].map((hex) => `-m string --hex-string "${hex}" --algo bm`),
  `-m string --hex-string "|${'0a'.repeat(127)}|" --algo bm`, `-m string --hex-string "${'|0a|x'.repeat(64)}" --algo bm`, '-m string ! --hex-string "|de ad be ef|" --algo kmp --from 40 --to 80 --icase',
  '-m string --algo bm --from 0 --to 65535 --string "test"', '-m string --algo bm --from 65535 --string x', '-m string --algo bm --to 0 --string x', '-m string --algo kmp --icase --string x', '-m string --algo bm --from 0x10 --to 020 --string x',
])
const RECENT = ['--set', '! --set', '--rcheck', '! --rcheck', '--update', '! --update', '--remove', '! --remove']
both('recent', 'filter', 'FORWARD', [
  ...RECENT.flatMap((operation) => [`-m recent ${operation}`, `-m recent ${operation} --name foo --rdest`, `-m recent --name longer_than_DEFAULT --rsource ${operation}`]),
  ...['--rcheck', '! --update'].flatMap((operation) => ['--seconds 1', '--seconds 60 --reap', '--hitcount 8', '--hitcount 0', '--rttl', '--seconds 2147483647 --reap --hitcount 255 --rttl --rdest'].map((options) => `-m recent ${operation} ${options} --name bar`)),
  `-m recent --set --name ${'n'.repeat(199)}`, `-m recent --set --name ${'m'.repeat(250)}`, '-m recent --rcheck --hitcount 3 --name foo -m recent --rcheck --hitcount 4 --name foo',
], {
  ipv4: ['255.255.255.255', '255.255.255.0', '0.0.0.0', '255.0.255.0', '10', '0xffffff00'].map((mask) => `-m recent --rcheck --mask ${mask} --name m`),
  ipv6: ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffff:ffff::', '::', 'ffff::ffff', '::ffff:1.2.3.4'].map((mask) => `-m recent --rcheck --mask ${mask} --name m`),
})
both('time', 'filter', 'FORWARD', [
  '-m time', '-m time --utc', '-m time --kerneltz', '-m time --localtz', '-m time --timestart 01:02:03 --timestop 04:05:06 --monthdays 1,2,3,4,5 --weekdays Mon,Fri,Sun --datestart 2001-02-03T04:05:06 --datestop 2012-09-08T09:06:05 --kerneltz',
  '-m time --timestart 02:00:00 --timestop 03:00:00 --datestart 1970-01-01T02:00:00 --datestop 1970-01-01T03:00:00', '-m time --timestart 23:00 --timestop 1:00 --contiguous', '-m time --timestart 1:00 --timestop 01:00:00 --contiguous --kerneltz',
  ...['0:0', '23:59:59', '5:', ':7', '1:2:', '00012:00030'].flatMap((time) => [`-m time --timestart ${time}`, `-m time --timestop ${time}`]),
  ...['1', '31', '1,31', '31,1,1', '07', '5,', '1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30'].flatMap((days) => [`-m time --monthdays ${days}`, `-m time ! --monthdays ${days}`]),
  '-m time --monthdays 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31', '-m time --weekdays 1,2,3,4,5,6,7',
  ...['Mon', 'Tu', 'Wednesday', '4', '5,Sat', 'Sun,Mon', '0x7', 'Fr,'].flatMap((days) => [`-m time --weekdays ${days}`, `-m time ! --weekdays ${days}`]),
  ...['1970', '2038', '2038-12-31T23:59:59', '2024-2-29', '2023-02-29', '2023-02-31', '2001-04-31T1', '2024-01-01T23:59', '2024-1-1T1:2:3', '2024-', '2024-0-0', '1970-01-01', '2024-05-06T', '002024-000005'].flatMap((date) => [`-m time --datestart ${date}`, `-m time --datestop ${date}`]),
])

const noIpset = spawnSync('ipset', ['--version']).error !== undefined && 'there is no ipset command here'

t.test('set', { skip: noIpset }, async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  // Of both families: one whose parts are ports.
  for (const set of [['foo', 'hash:ip,port'], ['foo6', 'hash:net', 'family', 'inet6'], ['ports', 'bitmap:port', 'range', '0-1000'], ['n'.repeat(31), 'hash:ip', 'family', 'inet6'], ['m'.repeat(31), 'hash:ip']]) run(netns, 'ipset', 'create', ...set)
  for (const family of ['ipv4', 'ipv6'] as const) {
    const socket = XtablesSocket.open(family, netns.fd)
    t.teardown(() => socket.close())
    const resolver = systemResolver(socket)
    const [one, other] = family === 'ipv4' ? ['foo', 'foo6'] : ['foo6', 'foo']
    judge(t, netns, family, 'filter', 'FORWARD', [
      ...['src', 'dst', 'src,dst', 'dst,dst', 'src,src,src', 'dst,dst,dst,dst,dst,dst', 'src,src,src,src,src,src', 'srcx,dsty'].flatMap((list) => [`-m set --match-set ${one} ${list}`, `-m set ! --match-set ports ${list}`]),
      `-m set --match-set ${(family === 'ipv4' ? 'm' : 'n').repeat(31)} src`, `-m set --set ${one} src`, `-m set ! --set ${one} src`, `-m set --match-set ${one} src --return-nomatch`, `-m set --return-nomatch ! --match-set ${one} dst --return-nomatch`,
      `-m set --match-set ${one} src ! --update-counters`, `-m set --match-set ${one} src --update-counters`, `-m set --match-set ${one} src ! --update-subcounters ! --update-counters ! --update-counters`, `-m set --match-set ${one} src --update-subcounters`,
      ...['packets', 'bytes'].flatMap((what) => ['eq 0', 'eq 18446744073709551615', 'lt 9007199254740993', 'gt 0x10', 'gt 020'].map((bound) => `-m set --match-set ${one} src --${what}-${bound}`).concat(`-m set --match-set ${one} src ! --${what}-eq 5`)),
      `-m set ! --match-set ${one} src,dst --return-nomatch ! --update-counters ! --update-subcounters ! --packets-eq 1 --bytes-gt 2`, `-m set --match-set ${one} src --bytes-lt 1 --packets-gt 3 -m set ! --match-set ports dst`,
    ], resolver)
    for (const rule of [
      '-m set', '-m set --match-set foo', '-m set --match-set nosuch src', `-m set --match-set ${other} src`, `-m set --match-set ${one} x`, `-m set --match-set ${one} src,`, `-m set --match-set ${one} src,src,src,src,src,src,src`, `-m set --match-set ${one} -j`, `-m set --match-set ${'m'.repeat(32)} src`,
      `-m set --match-set ${one} src --match-set ${one} dst`, `-m set --match-set ${one} src ! --return-nomatch`, '-m set --return-nomatch', '-m set --packets-eq 1', `-m set --match-set ${one} src --packets-eq -1`, `-m set --match-set ${one} src --bytes-eq 18446744073709551616`,
      ...['packets', 'bytes'].flatMap((what) => ['lt', 'gt'].flatMap((how) => [`-m set --match-set ${one} src ! --${what}-${how} 1`, `-m set --match-set ${one} src --${what}-eq 1 --${what}-${how} 1`, `-m set --match-set ${one} src --${what}-${how} 1 --${what}-${how} 1`])),
    ]) {
      t.not(tryRun(netns, family === 'ipv4' ? 'iptables-legacy' : 'ip6tables-legacy', '-A', 'FORWARD', ...wordsOf(rule)).status, 0, `iptables refuses ${rule}`)
      t.throws(() => parseRule(wordsOf(rule), { family, resolver, table: 'filter', chain: 'FORWARD' }), { code: 'NFKIT_BAD_RULE' }, rule)
    }
  }
})

/** Refused by iptables and here; `chain` is FORWARD of filter unless told. */
type Refused = string | readonly [rule: string, table: string, chain: string]

/** Of both families. */
const REFUSED: readonly Refused[] = [
  '-m tcpmss --mss 42', '! -p tcp -m tcpmss --mss 42', '-p udp -m tcpmss --mss 42', '-p tcp -m tcpmss', '-p tcp -m tcpmss --mss 42:65536', '-p tcp -m tcpmss --mss 65535:1000', '-p tcp -m tcpmss --mss 1:2:3', '-p tcp -m tcpmss --mss x',
  '-p tcp -m tcpmss --mss 1 --mss 2', '-p tcp -m tcpmss --mss -1',
  '-m tos', '-m tos --tos wrong', '-m tos --tos 256', '-m tos --tos 1/256', '-m tos --tos 1/', '-m tos --tos 1/2/3', '-m tos --tos -1', '-m tos --tos ""', '-m tos --tos 1 --tos 2', '-m tos --tos Minimize-Delay/1', '-m tos --tos 0x',
  '-m iprange', '-m iprange --src-range x', '-m iprange --src-range ""', '-m iprange --src-range -', '-m iprange --src-range x-y',
  ...['-m owner', '-m owner --suppl-groups', '-m owner --suppl-groups --gid-owner 0-10', '-m owner --gid-owner 0-10 ! --suppl-groups', '-m owner --uid-owner nosuchuser', '-m owner --gid-owner nosuchgroup', '-m owner --uid-owner 4294967295',
    '-m owner --uid-owner 10-5', '-m owner --gid-owner 10-5', '-m owner --uid-owner 5-', '-m owner --uid-owner 5-4294967295', '-m owner --uid-owner 1-2-3', '-m owner --uid-owner -1', '-m owner --uid-owner 1 --uid-owner 2', '-m owner --uid-owner 1 --suppl-groups',
    '-m owner --socket-exists --socket-exists', '-m owner --uid-owner root-5', '-m owner --uid-owner ""',
  ].map((rule) => [rule, 'filter', 'OUTPUT'] as const),
  ['-m owner --uid-owner root', 'filter', 'INPUT'], ['-m owner --uid-owner root', 'mangle', 'FORWARD'],
  '-m physdev', '-m physdev --physdev-in abcdefghijklmnop', '-m physdev --physdev-out abcdefghijklmno+', '-m physdev --physdev-in a --physdev-in b', '-m physdev --physdev-is-in ! --physdev-is-in',
  ['-m physdev --physdev-out lo', 'filter', 'OUTPUT'], ['-m physdev --physdev-is-out', 'filter', 'OUTPUT'], ['-m physdev ! --physdev-is-bridged --physdev-out lo', 'filter', 'OUTPUT'],
  ...['x', '""', '0', '0/sec', '1/', '1/secs', '1/week', '10001/sec', '-1', '600001/min'].map((rate) => `-m limit --limit ${rate}`), '-m limit ! --limit 1/sec', '-m limit --limit 1/sec --limit 1/sec', '-m limit --limit-burst 10001', '-m limit --limit-burst 0',
  '-m limit --limit-burst -1', '-m limit --limit-burst x', '-m limit --limit 1/day',
  '-m hashlimit', `-m hashlimit ${PER} x`, '-m hashlimit --hashlimit-upto 1/sec', `-m hashlimit --hashlimit-upto 1/sec --hashlimit-above 1/sec ${PER} x`, `-m hashlimit --hashlimit-upto 1/sec --hashlimit 1/sec ${PER} x`,
  ...['x', '""', '0', '0/sec', '1/', '1/week', '1000001/sec', '0b/s', 'b/s', '0kb/s', '60000001/min'].map((rate) => `-m hashlimit --hashlimit-upto ${rate} ${PER} x`), `-m hashlimit --hashlimit-upto 50000mb/s ${PER} x`,
  ...['0', '-1', 'x', '1000001', '""', '2000000b', '977k'].map((burst) => `-m hashlimit --hashlimit-upto 1/sec --hashlimit-burst ${burst} ${PER} x`), `-m hashlimit --hashlimit-upto 4kb/s --hashlimit-burst 4000 ${PER} x`, `-m hashlimit --hashlimit-upto 1b/s --hashlimit-burst 10 ${PER} x`,
  ...['x', 'srcip,x', 'SRCIP', 'srcip;dstip'].map((mode) => `-m hashlimit --hashlimit-upto 1/sec --hashlimit-mode ${mode} ${PER} x`), ...['""', '.', '..', 'a/b'].map((name) => `-m hashlimit --hashlimit-upto 1/sec ${PER} ${name}`),
  ...['size -1', 'size x', 'max 4294967296', 'gcinterval 0', 'expire 0', 'expire x'].map((option) => `-m hashlimit --hashlimit-upto 1/sec ${PER} x --hashlimit-htable-${option}`), ...['0', '-1', 'x', '""'].map((interval) => `-m hashlimit --hashlimit-upto 1/sec ${PER} x --hashlimit-rate-match --hashlimit-rate-interval ${interval}`),
  `-m hashlimit --hashlimit-upto 60000000/min ${PER} x --hashlimit-rate-match`, ...['129', '-1', 'x', '""'].flatMap((mask) => [`-m hashlimit --hashlimit-upto 1/sec --hashlimit-srcmask ${mask} ${PER} x`, `-m hashlimit --hashlimit-upto 1/sec --hashlimit-dstmask ${mask} ${PER} x`]),
  ...['mode srcip', 'burst 5', 'rate-match', 'srcmask 5', 'name x'].map((option) => `-m hashlimit --hashlimit-upto 1/sec ${option === 'name x' ? '' : `${PER} x`} ! --hashlimit-${option}`), `-m hashlimit --hashlimit-upto 1/sec --hashlimit-upto 1/sec ${PER} x`, `-m hashlimit --hashlimit-upto 1/sec ${PER} x ${PER} y`,
  '-m policy', '-m policy --pol ipsec', '-m policy --dir x', '-m policy --dir IN', '-m policy --dir in --pol x', '-m policy --dir in --pol ipsec --strict', '-m policy --dir in --pol none --strict', '-m policy --dir in --pol none --strict --reqid 1', '-m policy ! --dir in', '-m policy --dir in ! --pol none', '-m policy --dir in ! --strict --reqid 1',
  '-m policy --dir in --dir in', '-m policy --dir in --reqid 1 --reqid 2', '-m policy --dir in --spi 1 --spi 2', '-m policy --dir in --proto ah --proto ah', '-m policy --dir in --mode tunnel --mode tunnel', '-m policy --dir in --reqid 1 --next --reqid 2', '-m policy --dir in --strict --reqid 1 --next', '-m policy --dir in --strict --next --reqid 1',
  '-m policy --dir in --strict --reqid 1 --next --reqid 1 --next --reqid 1 --next --reqid 1 --next --reqid 1', '-m policy --dir in --proto tcp', '-m policy --dir in --proto nosuch', '-m policy --dir in --proto ESPN', '-m policy --dir in --mode x', '-m policy --dir in --reqid 4294967296', '-m policy --dir in --spi -1', '-m policy --dir in --strict --reqid 1 ! --next --reqid 2',
  ...[['in', 'OUTPUT'], ['out', 'INPUT']].map(([dir, chain]) => [`-m policy --dir ${dir!}`, 'filter', chain!] as const), ['-m policy --dir out', 'mangle', 'PREROUTING'], ['-m policy --dir in', 'mangle', 'POSTROUTING'],
  '-m statistic', '-m statistic --mode random', '-m statistic --mode nth', '-m statistic --mode wrong --probability 1', '-m statistic --probability 1', '-m statistic ! --mode random --probability 1', ...['1.1', '-0.1', 'x', '""', '1x', '1e', 'inf'].map((p) => `-m statistic --mode random --probability ${p}`),
  '-m statistic --mode nth --every 5', '-m statistic --mode nth --packet 1', '-m statistic --mode nth --every 5 --packet 5', '-m statistic --mode nth --every 0 --packet 0', '-m statistic --mode nth --every 5 ! --packet 1', '-m statistic --mode nth --probability 0.5', '-m statistic --mode random --every 5 --packet 1',
  '-m statistic --mode random --probability 1 --every 5 --packet 1', '-m statistic --mode nth --every 4294967296 --packet 1', '-m statistic --mode random --probability 1 --probability 1',
  '-m string', '-m string --algo bm', '-m string --string x', '-m string --algo wrong --string x', '-m string --algo bm --string ""', `-m string --algo bm --string ${'x'.repeat(129)}`, '-m string --algo bm --string x --hex-string x', '-m string --algo bm --string x --string y', '-m string ! --algo bm --string x',
  '-m string --algo bm --string x --from 65536', '-m string --algo bm --string x --to -1', '-m string --algo bm --string x --from 5 --to 4', '-m string --algo bm --string x ! --icase', '-m string --algo bm --string x ! --from 1',
  ...['""', '|', '||', '|4|', '|41', '|414|', '|4g|', '|41 4', String.raw`|\\41|`, String.raw`a\\`, '|41  42|', `|${'0a'.repeat(129)}|`].map((hex) => `-m string --algo bm --hex-string "${hex === '""' ? '' : hex}"`),
  '-m recent', '-m recent --name foo', '-m recent --set --rcheck', '-m recent --set --set', '-m recent --set --rttl', '-m recent --remove --rttl', '-m recent --set --seconds 60', '-m recent --remove --hitcount 2', '-m recent --rcheck --reap', '-m recent --set --seconds 5 --reap', '-m recent --rcheck --seconds 0',
  '-m recent --rcheck --seconds 4294967296', '-m recent --rcheck --hitcount 65536', '-m recent --rcheck --hitcount x', '-m recent --set --name ""', '-m recent --set --name a/b', '-m recent --set --name .', '-m recent --set --name ..', '-m recent --set ! --name x', '-m recent --set ! --rdest', '-m recent --rcheck ! --seconds 5',
  '-m recent --set --name a --name b', '-m recent --set --mask x', '-m recent --set --rdest --rdest', '-m recent --set --mask 24/8',
  ...['x', '24:00', '1:60', '1:2:60', '1', '1:2:3:4', '-1:00', '1:00x'].flatMap((time) => [`-m time --timestart ${time}`, `-m time --timestop ${time}`]), ...['32', 'x', '1,x', '-1', '08', '1;2'].map((days) => `-m time --monthdays ${days}`),
  ...['0', 'x', 'mon', 'M', ',Mon', 'Mon,,Tue', 'Mon,x', '0,1'].map((days) => `-m time --weekdays ${days}`), ...['x', '1969', '2039', '2024-13', '2024-1-32', '2024-1-1T24', '2024-1-1T1:60', '2024-1-1T1:1:60', '2024-1-1 1:1', '2024-1-1T1:1:1:1', '1970-0', '-2024', '""', '2024-1-1T1:1Z'].flatMap((date) => [`-m time --datestart ${date}`, `-m time --datestop ${date}`]),
  '-m time --contiguous', '-m time --timestart 1:00 --timestop 2:00 --contiguous', '-m time --utc --kerneltz', '-m time --utc --localtz', '-m time ! --timestart 1:00', '-m time ! --datestart 2024', '-m time ! --kerneltz', '-m time --timestart 1:00 --timestart 1:00', '-m time --weekdays 1 --weekdays 2',
]

const REFUSED_BY: Readonly<Record<IpFamily, readonly Refused[]>> = {
  ipv4: [
    ...['--tunnel-dst 10.0.0.0/8', '--mode transport --tunnel-src 1.2.3.4', '! --mode tunnel --tunnel-src 1.2.3.4', '--mode tunnel --tunnel-src ::1', '--mode tunnel --tunnel-src 1.2.3.4/x', '--mode tunnel --tunnel-src 1.2.3.4 --tunnel-src 1.2.3.4', '--mode tunnel --tunnel-dst 1.2.3.4 --tunnel-dst 1.2.3.4'].map((options) => `-m policy --dir in ${options}`),
    ...['33', '255.0.255.0', '::'].map((mask) => `-m hashlimit --hashlimit-upto 1/sec --hashlimit-srcmask ${mask} ${PER} x`),
    '-m ttl', '-m ttl --ttl-eq 256', '-m ttl --ttl-eq -1', '-m ttl ! --ttl-lt 1', '-m ttl ! --ttl-gt 1', '-m ttl --ttl-eq 1 --ttl-lt 2', '-m ttl --ttl-lt 1 --ttl-gt 2', '-m ttl --ttl-eq 1 --ttl 1', '-m ttl --ttl-gt', '-m ttl --ttl-eq 1:2',
    '-m hl --hl-eq 1', '-m iprange --src-range 1.2.3.256', '-m iprange --src-range 1.2.3.4.5', '-m iprange --src-range 1.2.3.4-', '-m iprange --src-range 1.2.3.4-1.2.3.5-1.2.3.6', '-m iprange --src-range ::1', '-m iprange --src-range 1.1.1.1 --src-range 1.1.1.1', '-m iprange --src-range 1.1.1.1/8',
    '-m icmp', '-p icmp -m icmp', '-m icmp --icmp-type 1', '! -p icmp -m icmp --icmp-type 1', '-p tcp -m icmp --icmp-type 1', ...['""', 'p', 'echo-re', 'network-un', 't', '256', '3/256', '3/', '3/x', '3/1/2', '3/1:2:3', '1:2', '3x', 'echo-replyy', 'destination-unreachable/network-unreachable', 'ping/0', '-1', '3:', '3/1:']
      .map((type) => `-p icmp -m icmp --icmp-type ${type}`), '-p icmp -m icmp --icmp-type 1 --icmp-type 2', '-p icmp -m icmp6 --icmpv6-type 1',
  ],
  ipv6: [
    ...['ffff::ffff', '255.255.255.0'].map((mask) => `-m hashlimit --hashlimit-upto 1/sec --hashlimit-srcmask ${mask} ${PER} x`),
    '-m hl', '-m hl --hl-eq 256', '-m hl --hl-gt 42 --hl-eq 42', '-m hl ! --hl-lt 1', '-m hl --hl-gt', '-m ttl --ttl-eq 1', '-m iprange --src-range 1.2.3.4', '-m iprange --src-range ::1-1.2.3.4', '-m iprange --src-range ::1-', '-m iprange --src-range ::g',
    '-p ipv6-icmp -m icmp6', '-m icmp6 --icmpv6-type 1', '! -p icmpv6 -m icmp6 --icmpv6-type 1', ...['any', '""', 'neighbo', 'p', '256', '1/256', '1:2', '1/'].map((type) => `-p icmpv6 -m icmp6 --icmpv6-type ${type}`),
    '-p ipv6-icmp -m icmp6 --icmpv6-type no-route --icmpv6-type packet-too-big',
  ],
}

for (const family of ['ipv4', 'ipv6'] as const) {
  t.test(`what iptables refuses is refused here: ${family}`, async (t) => {
    const netns = Netns.create()
    t.teardown(() => netns.close())
    for (const one of [...REFUSED, ...REFUSED_BY[family]]) {
      const [rule, table, chain] = typeof one === 'string' ? [one, 'filter', 'FORWARD'] as const : one
      t.not(tryRun(netns, family === 'ipv4' ? 'iptables-legacy' : 'ip6tables-legacy', '-t', table, '-A', chain, ...wordsOf(rule)).status, 0, `iptables refuses ${rule}`)
      t.throws(() => parseRule(wordsOf(rule), { family, resolver: systemNames, table, chain }), { code: 'NFKIT_BAD_RULE' }, rule)
    }
  })
}
