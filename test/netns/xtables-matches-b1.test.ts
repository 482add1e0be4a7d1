// SPDX-License-Identifier: MIT

import t from 'tap'
import { Netns } from '../../lib/index.js'
import '../../lib/wire/xtables/extensions/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import type { Hook } from '../../lib/wire/xtables/extension.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { judge, systemNames, wordsOf } from '../support/xtables.js'
import { tryRun } from '../support/outside.js'

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
]

const REFUSED_BY: Readonly<Record<IpFamily, readonly Refused[]>> = {
  ipv4: [
    '-m ttl', '-m ttl --ttl-eq 256', '-m ttl --ttl-eq -1', '-m ttl ! --ttl-lt 1', '-m ttl ! --ttl-gt 1', '-m ttl --ttl-eq 1 --ttl-lt 2', '-m ttl --ttl-lt 1 --ttl-gt 2', '-m ttl --ttl-eq 1 --ttl 1', '-m ttl --ttl-gt', '-m ttl --ttl-eq 1:2',
    '-m hl --hl-eq 1', '-m iprange --src-range 1.2.3.256', '-m iprange --src-range 1.2.3.4.5', '-m iprange --src-range 1.2.3.4-', '-m iprange --src-range 1.2.3.4-1.2.3.5-1.2.3.6', '-m iprange --src-range ::1', '-m iprange --src-range 1.1.1.1 --src-range 1.1.1.1', '-m iprange --src-range 1.1.1.1/8',
    '-m icmp', '-p icmp -m icmp', '-m icmp --icmp-type 1', '! -p icmp -m icmp --icmp-type 1', '-p tcp -m icmp --icmp-type 1', ...['""', 'p', 'echo-re', 'network-un', 't', '256', '3/256', '3/', '3/x', '3/1/2', '3/1:2:3', '1:2', '3x', 'echo-replyy', 'destination-unreachable/network-unreachable', 'ping/0', '-1', '3:', '3/1:']
      .map((type) => `-p icmp -m icmp --icmp-type ${type}`), '-p icmp -m icmp --icmp-type 1 --icmp-type 2', '-p icmp -m icmp6 --icmpv6-type 1',
  ],
  ipv6: [
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
