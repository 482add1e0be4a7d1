// SPDX-License-Identifier: MIT
// Every target that this kernel has, judged by iptables-legacy.

import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import '../../lib/wire/xtables/extensions/tcp.js'
import '../../lib/wire/xtables/extensions/target-audit.js'
import '../../lib/wire/xtables/extensions/target-checksum.js'
import '../../lib/wire/xtables/extensions/target-classify.js'
import '../../lib/wire/xtables/extensions/target-connmark.js'
import '../../lib/wire/xtables/extensions/target-connsecmark.js'
import '../../lib/wire/xtables/extensions/target-ct.js'
import '../../lib/wire/xtables/extensions/target-dnat.js'
import '../../lib/wire/xtables/extensions/target-dnpt.js'
import '../../lib/wire/xtables/extensions/target-dscp.js'
import '../../lib/wire/xtables/extensions/target-ecn.js'
import '../../lib/wire/xtables/extensions/target-hl.js'
import '../../lib/wire/xtables/extensions/target-hmark.js'
import '../../lib/wire/xtables/extensions/target-idletimer.js'
import '../../lib/wire/xtables/extensions/target-led.js'
import '../../lib/wire/xtables/extensions/target-log.js'
import '../../lib/wire/xtables/extensions/target-mark.js'
import '../../lib/wire/xtables/extensions/target-masquerade.js'
import '../../lib/wire/xtables/extensions/target-netmap.js'
import '../../lib/wire/xtables/extensions/target-nflog.js'
import '../../lib/wire/xtables/extensions/target-nfqueue.js'
import '../../lib/wire/xtables/extensions/target-notrack.js'
import '../../lib/wire/xtables/extensions/target-rateest.js'
import '../../lib/wire/xtables/extensions/target-redirect.js'
import '../../lib/wire/xtables/extensions/target-reject.js'
import '../../lib/wire/xtables/extensions/target-secmark.js'
import '../../lib/wire/xtables/extensions/target-snat.js'
import '../../lib/wire/xtables/extensions/target-snpt.js'
import '../../lib/wire/xtables/extensions/target-synproxy.js'
import '../../lib/wire/xtables/extensions/target-tcpmss.js'
import '../../lib/wire/xtables/extensions/target-tcpoptstrip.js'
import '../../lib/wire/xtables/extensions/target-tee.js'
import '../../lib/wire/xtables/extensions/target-tos.js'
import '../../lib/wire/xtables/extensions/target-tproxy.js'
import '../../lib/wire/xtables/extensions/target-trace.js'
import '../../lib/wire/xtables/extensions/target-ttl.js'
import type { Hook } from '../../lib/wire/xtables/extension.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { judge, systemNames, wordsOf } from '../support/xtables.js'
import { run, tryRun } from '../support/outside.js'

type Families = readonly IpFamily[]
const BOTH: Families = ['ipv4', 'ipv6']

/** Command lines that iptables takes, and ones that it or the kernel refuses. */
function target(name: string, families: Families, table: string, chain: Hook, good: readonly string[], bad: readonly string[]): void {
  t.test(`${name} in ${table} for ${families.join(' and ')}`, async (t) => {
    const netns = Netns.create()
    t.teardown(() => netns.close())
    for (const family of families) {
      judge(t, netns, family, table, chain, good)
      refused(t, netns, family, table, chain, bad)
    }
  })
}

function refused(t: Test, netns: Netns, family: IpFamily, table: string, chain: string, rules: readonly string[]): void {
  const iptables = family === 'ipv4' ? 'iptables-legacy' : 'ip6tables-legacy'
  for (const rule of rules) {
    t.not(tryRun(netns, iptables, '-t', table, '-A', chain, ...wordsOf(rule)).status, 0, `${iptables} refuses ${rule}`)
    t.throws(() => parseRule(wordsOf(rule), { family, resolver: systemNames, table, chain }), { code: 'NFKIT_BAD_RULE' }, rule)
  }
}

target('REJECT', ['ipv4'], 'filter', 'FORWARD', [
  '-j REJECT', ...['icmp-net-unreachable', 'icmp-host-unreachable', 'icmp-port-unreachable', 'icmp-proto-unreachable', 'icmp-net-prohibited',
    'icmp-host-prohibited', 'icmp-admin-prohibited', 'net-unreach', 'host-unreach', 'proto-unreach', 'port-unreach', 'net-prohib', 'host-prohib',
    'admin-prohib', 'ICMP-HOST', 'icmp-', 'ad'].map((one) => `-j REJECT --reject-with ${one}`),
  '-p tcp -j REJECT --reject-with tcp-reset', '-p tcp -j REJECT --reject-with tcp-rst',
], ['-j REJECT --reject-with tcp-reset', '! -p tcp -j REJECT --reject-with tcp-reset', '-j REJECT --reject-with nosuch', '-j REJECT --reject-with', '-j REJECT ! --reject-with tcp-reset', '-j REJECT --reject-with echo-reply'])
target('REJECT', ['ipv6'], 'filter', 'INPUT', [
  '-j REJECT', ...['icmp6-no-route', 'icmp6-adm-prohibited', 'icmp6-addr-unreachable', 'icmp6-port-unreachable', 'icmp6-policy-fail', 'icmp6-reject-route',
    'no-route', 'adm-prohibited', 'addr-unreach', 'port-unreach', 'policy-fail', 'reject-route', 'icmp6-p'].map((one) => `-j REJECT --reject-with ${one}`),
  '-p tcp -j REJECT --reject-with tcp-reset',
], ['-j REJECT --reject-with tcp-reset', '-j REJECT --reject-with icmp-net-unreachable'])
target('REJECT elsewhere', BOTH, 'mangle', 'FORWARD', [], ['-j REJECT'])
target('LOG', BOTH, 'filter', 'FORWARD', [
  '-j LOG', '-j LOG --log-prefix "test: "', '-j LOG --log-prefix plain', '-j LOG --log-prefix "a \\"b\\" \'c\' \\\\d"', '-j LOG --log-prefix 12345678901234567890123456789',
  '-j LOG --log-prefix "123456789012345678901234567890 and more than fits"', '-j LOG --log-level 7', '-j LOG --log-level 4', '-j LOG --log-level 0',
  ...['alert', 'crit', 'debug', 'emerg', 'error', 'info', 'notice', 'panic', 'warning'].map((level) => `-j LOG --log-level ${level}`),
  '-j LOG --log-tcp-sequence', '-j LOG --log-tcp-options', '-j LOG --log-ip-options', '-j LOG --log-uid', '-j LOG --log-macdecode',
  '-j LOG --log-macdecode --log-uid --log-level 5 --log-prefix x --log-ip-options --log-tcp-options --log-tcp-sequence',
], ['-j LOG --log-level 8', '-j LOG --log-level bad', '-j LOG --log-prefix', '-j LOG --log-prefix ""', '-j LOG --log-uid --log-uid', '-j LOG ! --log-uid'])
target('MARK', BOTH, 'mangle', 'FORWARD', [
  '-j MARK --set-xmark 0xfeedcafe/0xfeedcafe', '-j MARK --set-xmark 0', '-j MARK --set-xmark 4294967295', '-j MARK --set-mark 1', '-j MARK --set-mark 0x10/0xff',
  '-j MARK --set-mark 0x100/0xff', '-j MARK --and-mark 0xff', '-j MARK --or-mark 010', '-j MARK --xor-mark 5', '-j MARK --set-xmark 1/0',
], ['-j MARK', '-j MARK --set-xmark 4294967296', '-j MARK --set-xmark -1', '-j MARK --set-mark 1 --or-mark 2', '-j MARK --set-mark 1/', '-j MARK --set-mark 1/4294967296', '-j MARK ! --set-mark 1', '-j MARK --set-mark x'])
target('MARK in filter', BOTH, 'filter', 'FORWARD', ['-j MARK --set-mark 7'], [])
target('CONNMARK', BOTH, 'mangle', 'FORWARD', [
  '-j CONNMARK --restore-mark', '-j CONNMARK --save-mark', '-j CONNMARK --save-mark --nfmask 0xfffffff --ctmask 0xff', '-j CONNMARK --restore-mark --mask 0xf0',
  '-j CONNMARK --set-mark 1', '-j CONNMARK --set-xmark 1/2', '-j CONNMARK --set-mark 0x10/0x1', '-j CONNMARK --and-mark 0xf', '-j CONNMARK --or-mark 0xf', '-j CONNMARK --xor-mark 0xf',
  '-j CONNMARK --set-mark 1 --left-shift-mark 3', '-j CONNMARK --save-mark --right-shift-mark 31', '-j CONNMARK --restore-mark --left-shift-mark 0',
  '-j CONNMARK --save-mark --right-shift-mark 0', '-j CONNMARK --set-mark 1 --nfmask 5',
], ['-j CONNMARK', '-j CONNMARK --save-mark --restore-mark', '-j CONNMARK --save-mark --mask 1 --ctmask 2', '-j CONNMARK --save-mark --mask 1 --nfmask 2', '-j CONNMARK --ctmask 1', '-j CONNMARK --save-mark --left-shift-mark 33', '-j CONNMARK --set-mark 1 --save-mark', '-j CONNMARK --set-mark 1 --set-xmark 1'])
target('DNAT', ['ipv4'], 'nat', 'PREROUTING', [
  '-j DNAT --to-destination 1.1.1.1', '-j DNAT --to-destination 1.1.1.1-1.1.1.10', '-p tcp -j DNAT --to-destination 1.1.1.1:1025-65535', '-p tcp -j DNAT --to-destination 1.1.1.1-1.1.1.10:1025-65535',
  '-p tcp -j DNAT --to-destination 1.1.1.1:1000-2000/1000', '-p tcp -j DNAT --to-destination 1.1.1.1:1000-2000/65535', '-p tcp -j DNAT --to-destination 1.1.1.1:ssh',
  '-p tcp -j DNAT --to-destination 1.1.1.1:ftp-data', '-p tcp -j DNAT --to-destination 1.1.1.1:10-20/ftp', '-p udp -j DNAT --to-destination :53', '-p tcp -j DNAT --to-destination :0x50',
  '-j DNAT --to-destination 1.1.1.1 --random', '-j DNAT --to-destination 1.1.1.1 --persistent', '-p icmp -j DNAT --to-destination 1.1.1.1:5 --random --persistent', '-p 33 -j DNAT --to-destination 1.1.1.1:5',
], ['-j DNAT', '-j DNAT --to-destination 1.1.1.1:80', '-j DNAT --to-destination 1.1.1.1 --to-destination 2.2.2.2', '-p tcp -j DNAT --to-destination 1.1.1.1:1025-65536', '-p tcp -j DNAT --to-destination 1.1.1.1:1000-2000/0',
  '-p tcp -j DNAT --to-destination 1.1.1.1:1000-2000/65536', '-p tcp -j DNAT --to-destination 1.1.1.1:echo-ssh', '-j DNAT --to-destination ::1', '-j DNAT --to-destination [1.1.1.1]', '-p tcp -j DNAT --to-destination 1.1.1.1:90-80',
  '-p tcp -j DNAT --to-destination 1.1.1.1:80:90', '-j DNAT --to-destination host', '-j DNAT --to-destination 1.1.1.1-', '-j DNAT --to-destination 1.1.1.1 --random-fully', '-p tcp -j DNAT --to-destination 1.1.1.1:08'])
target('DNAT', ['ipv6'], 'nat', 'OUTPUT', [
  '-j DNAT --to-destination dead::beef', '-j DNAT --to-destination dead::beef-dead::fee7', '-p tcp -j DNAT --to-destination [dead::beef]:1025-65535', '-p tcp -j DNAT --to-destination [dead::beef-dead::fee7]:1025-65535',
  '-p tcp -j DNAT --to-destination [dead::beef-dead::fee7]:1000-2000/3000', '-p tcp -j DNAT --to-destination [dead::beef]:10-20/ftp', '-p udp -j DNAT --to-destination :53', '-p udp -j DNAT --to-destination []:53', '-j DNAT --to-destination [dead::beef]',
], ['-j DNAT', '-j DNAT --to-destination [dead::beef]:1025-65535', '-p tcp -j DNAT --to-destination [dead::beef]:1-65536', '-p tcp -j DNAT --to-destination [dead::beef', '-j DNAT --to-destination 1.2.3.4'])
target('DNAT elsewhere', BOTH, 'filter', 'FORWARD', [], ['-p tcp -j DNAT --to-destination :80'])
target('DNAT in POSTROUTING', BOTH, 'nat', 'POSTROUTING', [], ['-p tcp -j DNAT --to-destination :80'])
target('SNAT', ['ipv4'], 'nat', 'POSTROUTING', [
  '-j SNAT --to-source 1.1.1.1', '-j SNAT --to-source 1.1.1.1-1.1.1.10', '-j SNAT --to-source 1.1.1.1 --random', '-j SNAT --to-source 1.1.1.1 --random-fully', '-j SNAT --to-source 1.1.1.1 --persistent',
  '-j SNAT --to-source 1.1.1.1 --persistent --random-fully --random', '-p tcp -j SNAT --to-source 1.1.1.1:1025-65535', '-p sctp -j SNAT --to-source 1.1.1.1-1.1.1.10:5',
], ['-j SNAT', '-j SNAT --to-source 1.1.1.1:1025-65535', '-j SNAT --to-source 1.1.1.1 --to-source 2.2.2.2', '-p tcp -j SNAT --to-source 1.1.1.1-1.1.1.10:1025-65536'])
target('SNAT', ['ipv6'], 'nat', 'INPUT', [
  '-j SNAT --to-source dead::beef', '-j SNAT --to-source dead::beef-dead::fee7 --random', '-p tcp -j SNAT --to-source [dead::beef-dead::fee7]:1025-65535 --persistent --random-fully', '-p udp -j SNAT --to-source [dead::beef]:5',
], ['-j SNAT', '-j SNAT --to-source [dead::beef]:1025-65535'])
target('SNAT in PREROUTING', BOTH, 'nat', 'PREROUTING', [], ['-p tcp -j SNAT --to-source :80'])
target('MASQUERADE', BOTH, 'nat', 'POSTROUTING', [
  '-j MASQUERADE', '-j MASQUERADE --random', '-j MASQUERADE --random-fully', '-p tcp -j MASQUERADE --to-ports 1024', '-p udp -j MASQUERADE --to-ports 1024-65535 --random --random-fully',
], ['-j MASQUERADE --to-ports 80', '-p udp -j MASQUERADE --to-ports 1024-65536', '-p udp -j MASQUERADE --to-ports -1', '-p udp -j MASQUERADE --to-ports 1:2'])
target('MASQUERADE in PREROUTING', BOTH, 'nat', 'PREROUTING', [], ['-j MASQUERADE'])
target('REDIRECT', BOTH, 'nat', 'PREROUTING', [
  '-j REDIRECT', '-j REDIRECT --random', '-p tcp -j REDIRECT --to-ports 42', '-p tcp -j REDIRECT --to-ports 0', '-p tcp -j REDIRECT --to-ports 65535', '-p udp -j REDIRECT --to-ports 512-512',
  '-p udp -j REDIRECT --to-ports 42-1234 --random', '-p tcp -j REDIRECT --to-ports ssh', '-p tcp -j REDIRECT --to-ports ftp-data',
], ['-p tcp -j REDIRECT --to-ports 65536', '-p tcp -j REDIRECT --to-ports 42-1234/567', '-p tcp -j REDIRECT --to-ports ftp-ssh', '-p tcp -j REDIRECT --to-ports 10-ssh', '-j REDIRECT --to-ports 42', '-j REDIRECT --random-fully'])
target('NETMAP', ['ipv4'], 'nat', 'PREROUTING', ['-j NETMAP --to 1.2.3.0/24', '-j NETMAP --to 1.2.3.4', '-j NETMAP --to 1.2.3.4/8', '-j NETMAP --to 1.2.3.4/255.255.0.0', '-j NETMAP --to 10.0.0.0/0'], ['-j NETMAP', '-j NETMAP --to ::1'])
target('NETMAP', ['ipv6'], 'nat', 'POSTROUTING', ['-j NETMAP --to dead::/64', '-j NETMAP --to dead::beef', '-j NETMAP --to dead:beef::1/17'], ['-j NETMAP', '-j NETMAP --to dead::/129'])
const SYN = '-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j TCPMSS'
target('TCPMSS', BOTH, 'mangle', 'FORWARD', [`${SYN} --set-mss 42`, `${SYN} --set-mss 0`, `${SYN} --set-mss 65495`, `${SYN} --clamp-mss-to-pmtu`], [
  '-j TCPMSS', '-j TCPMSS --set-mss 5', `${SYN} --set-mss 65516`, `${SYN}`, '-p udp -j TCPMSS --set-mss 5',
])
target('TCPMSS', ['ipv4'], 'filter', 'FORWARD', [`${SYN} --set-mss 65515`], [])
target('TTL', ['ipv4'], 'mangle', 'FORWARD', ['-j TTL --ttl-set 42', '-j TTL --ttl-set 0', '-j TTL --ttl-inc 1', '-j TTL --ttl-dec 255'], [
  '-j TTL', '-j TTL --ttl-set 256', '-j TTL --ttl-inc 0', '-j TTL --ttl-dec 0', '-j TTL --ttl-dec 1 --ttl-inc 1', '-j TTL --ttl-set 1 --ttl-set 1',
])
target('HL', ['ipv6'], 'mangle', 'FORWARD', ['-j HL --hl-set 42', '-j HL --hl-set 0', '-j HL --hl-inc 255', '-j HL --hl-dec 1'], [
  '-j HL', '-j HL --hl-set 256', '-j HL --hl-inc 0', '-j HL --hl-dec 0', '-j HL --hl-dec 1 --hl-inc 1', '-j HL --hl-set --hl-inc 1',
])
target('TTL and HL elsewhere', ['ipv4'], 'filter', 'FORWARD', [], ['-j TTL --ttl-set 1', '-j HL --hl-set 1'])
target('TOS', BOTH, 'mangle', 'PREROUTING', [
  '-j TOS --set-tos 0x1f', '-j TOS --set-tos 0x1f/0x1f', '-j TOS --set-tos 255/0', '-j TOS --set-tos Minimize-Delay', '-j TOS --set-tos maximize-throughput', '-j TOS --set-tos Maximize-Reliability',
  '-j TOS --set-tos Minimize-Cost', '-j TOS --set-tos Normal-Service', '-j TOS --and-tos 0x12', '-j TOS --or-tos 0x12', '-j TOS --xor-tos 0x12',
], ['-j TOS', '-j TOS --set-tos 256', '-j TOS --set-tos 1/256', '-j TOS --set-tos Minimize', '-j TOS --and-tos 1 --or-tos 2', '-j TOS --xor-tos 256'])
target('DSCP', BOTH, 'mangle', 'PREROUTING', [
  '-j DSCP --set-dscp 0', '-j DSCP --set-dscp 0x3f', ...['CS0', 'CS7', 'BE', 'ef', 'AF11', 'AF43', 'af22'].map((name) => `-j DSCP --set-dscp-class ${name}`),
], ['-j DSCP', '-j DSCP --set-dscp -1', '-j DSCP --set-dscp 0x40', '-j DSCP --set-dscp 0x3f --set-dscp-class CS0', '-j DSCP --set-dscp-class CS8'])
target('CT', BOTH, 'raw', 'PREROUTING', [
  '-j CT --notrack', '-j CT', '-j CT --ctevents new,related,destroy,reply,assured,protoinfo,helper,mark,natseqinfo,secmark', '-j CT --ctevents mark,new', '-j CT --expevents new', '-j CT --zone 65535', '-j CT --zone 0',
  '-j CT --zone mark', '-j CT --zone-orig 5', '-j CT --zone-reply 6 --ctevents new', '-j CT --zone-orig mark', '-j CT --zone-orig 5 --zone-reply 5', '-j CT --zone-reply 0', '-j NOTRACK', '-j TRACE',
], ['-j CT --zone 65536', '-j CT --zone -1', '-j CT --ctevents nosuch', '-j CT --ctevents new,', '-j CT --zone', '-j CT --notrack --notrack', '-j NOTRACK --zone 1', '-j TRACE --x'])
target('CT elsewhere', BOTH, 'filter', 'FORWARD', [], ['-j CT --notrack', '-j NOTRACK', '-j TRACE'])
target('NFQUEUE', BOTH, 'filter', 'INPUT', [
  '-j NFQUEUE', '-j NFQUEUE --queue-num 0', '-j NFQUEUE --queue-num 65535', '-j NFQUEUE --queue-balance 0:65534', '-j NFQUEUE --queue-balance :4', 
  '-j NFQUEUE --queue-balance 3:4', '-j NFQUEUE --queue-num 10 --queue-bypass', '-j NFQUEUE --queue-balance 0:6 --queue-cpu-fanout --queue-bypass', '-j NFQUEUE --queue-bypass',
], ['-j NFQUEUE --queue-num 65536', '-j NFQUEUE --queue-num -1', '-j NFQUEUE --queue-balance 0:65535', '-j NFQUEUE --queue-balance -1:65535', '-j NFQUEUE --queue-balance 4', '-j NFQUEUE --queue-balance 4:4', '-j NFQUEUE --queue-balance 4:3',
  '-j NFQUEUE --queue-num 1 --queue-balance 1:2', '-j NFQUEUE --queue-cpu-fanout', '-j NFQUEUE --queue-balance 1:2:3'])
target('NFLOG', BOTH, 'filter', 'INPUT', [
  '-j NFLOG', '-j NFLOG --nflog-group 1', '-j NFLOG --nflog-group 65535', '-j NFLOG --nflog-group 0', '-j NFLOG --nflog-range 1', '-j NFLOG --nflog-range 4294967295', '-j NFLOG --nflog-size 0', '-j NFLOG --nflog-size 4294967295',
  `-j NFLOG --nflog-prefix ${'x'.repeat(63)}`, `-j NFLOG --nflog-prefix ${'x'.repeat(70)}`, '-j NFLOG --nflog-prefix "a b"', '-j NFLOG --nflog-threshold 1', '-j NFLOG --nflog-threshold 65535', '-j NFLOG --nflog-threshold 0',
  '-j NFLOG --nflog-threshold 5 --nflog-size 6 --nflog-group 7 --nflog-prefix x',
], ['-j NFLOG --nflog-group 65536', '-j NFLOG --nflog-range 4294967296', '-j NFLOG --nflog-range -1', '-j NFLOG --nflog-size 1 --nflog-range 1', '-j NFLOG --nflog-threshold 65536', '-j NFLOG --nflog-prefix ""'])
target('AUDIT', BOTH, 'filter', 'INPUT', ['-j AUDIT --type accept', '-j AUDIT --type drop', '-j AUDIT --type REJECT'], ['-j AUDIT', '-j AUDIT --type wrong', '-j AUDIT --type'])
target('CHECKSUM', BOTH, 'mangle', 'FORWARD', ['-j CHECKSUM --checksum-fill'], ['-j CHECKSUM'])
target('CLASSIFY', BOTH, 'mangle', 'POSTROUTING', ['-j CLASSIFY --set-class 0000:ffff', '-j CLASSIFY --set-class 1:a', '-j CLASSIFY --set-class 0x1:0x2'], ['-j CLASSIFY', '-j CLASSIFY --set-class 1', '-j CLASSIFY --set-class x:1'])
target('CLASSIFY in PREROUTING', BOTH, 'mangle', 'PREROUTING', [], ['-j CLASSIFY --set-class 1:1'])
target('CONNSECMARK', BOTH, 'mangle', 'FORWARD', ['-j CONNSECMARK --save', '-j CONNSECMARK --restore'], ['-j CONNSECMARK', '-j CONNSECMARK --save --restore'])
target('DNPT', ['ipv6'], 'mangle', 'PREROUTING', ['-j DNPT --src-pfx dead::/64 --dst-pfx 1c3::/64', '-j DNPT --dst-pfx 1c3::/48 --src-pfx dead::/56'], [
  '-j DNPT', '-j DNPT --src-pfx dead::/64', '-j DNPT --dst-pfx dead::/64', '-j DNPT --src-pfx dead::beef --dst-pfx 1c3::/64', '-j DNPT --src-pfx dead::1/64 --dst-pfx 1c3::/64', '-j DNPT --src-pfx dead::/65 --dst-pfx 1c3::/64',
])
target('SNPT', ['ipv6'], 'mangle', 'POSTROUTING', ['-j SNPT --src-pfx dead::/64 --dst-pfx 1c3::/64'], ['-j SNPT', '-j DNPT --src-pfx dead::/64 --dst-pfx 1c3::/64'])
target('ECN', ['ipv4'], 'mangle', 'FORWARD', ['-p tcp -j ECN --ecn-tcp-remove'], ['-j ECN', '-p tcp -j ECN', '-j ECN --ecn-tcp-remove', '-p tcp -j ECN --ecn-tcp-remove --ecn-tcp-ece 1', '-p tcp -j ECN --ecn-tcp-cwr 2', '-p tcp -j ECN --ecn-ip-ect 4'])
const HMARK = '--hmark-rnd 4 --hmark-mod 42'
target('HMARK', ['ipv4'], 'mangle', 'FORWARD', [
  `-j HMARK --hmark-src-prefix 32 ${HMARK}`, `-j HMARK --hmark-src-prefix 32 --hmark-dst-prefix 24 --hmark-sport-mask 0xffff --hmark-dport-mask 0xffff --hmark-proto-mask 0xffff ${HMARK} --hmark-offset 1 --hmark-tuple ct`,
  `-j HMARK --hmark-src-prefix 1 --hmark-dst-prefix 2 --hmark-spi-mask 0x4 --hmark-proto-mask 5 ${HMARK} --hmark-tuple ct`, `-j HMARK --hmark-tuple src,dst,sport,dport,proto ${HMARK}`, `-j HMARK --hmark-tuple src,spi ${HMARK}`,
  `-j HMARK --hmark-sport 0x10 --hmark-dport 0x20 ${HMARK}`, `-j HMARK --hmark-spi 0x10 --hmark-src-prefix 255.255.0.0 ${HMARK}`, `-j HMARK --hmark-tuple s,d,sp ${HMARK}`, `-j HMARK --hmark-tuple ct,src ${HMARK}`,
], ['-j HMARK', `-j HMARK ${HMARK}`, '-j HMARK --hmark-tuple src --hmark-rnd 1', '-j HMARK --hmark-tuple src --hmark-mod 1', '-j HMARK --hmark-tuple src --hmark-rnd 1 --hmark-mod 0', `-j HMARK --hmark-tuple src, ${HMARK}`, `-j HMARK --hmark-tuple x ${HMARK}`,
  `-j HMARK --hmark-spi-mask 1 --hmark-sport-mask 1 ${HMARK}`, `-j HMARK --hmark-src-prefix x ${HMARK}`, `-j HMARK --hmark-tuple src --hmark-src-prefix 24 ${HMARK}`])
target('HMARK', ['ipv6'], 'mangle', 'PREROUTING', [
  `-j HMARK --hmark-src-prefix 128 --hmark-dst-prefix 64 ${HMARK}`, `-j HMARK --hmark-tuple src,dst,ct ${HMARK} --hmark-offset 10`, `-j HMARK --hmark-dst-prefix ffff:: ${HMARK}`,
], [`-j HMARK --hmark-src-prefix 129 ${HMARK}`])
target('RATEEST', BOTH, 'filter', 'INPUT', [
  '-j RATEEST --rateest-name RE1 --rateest-interval 250.0ms --rateest-ewmalog 500.0ms', '-j RATEEST --rateest-name RE2 --rateest-interval 1s --rateest-ewmalog 8sec', '-j RATEEST --rateest-name RE3 --rateest-interval 7s --rateest-ewmalog 60s',
  '-j RATEEST --rateest-name RE4 --rateest-interval 300000 --rateest-ewmalog 2000msecs',
], ['-j RATEEST', '-j RATEEST --rateest-name x --rateest-interval 9s --rateest-ewmalog 60s', '-j RATEEST --rateest-name x --rateest-interval 1s --rateest-ewmalog 1ms', '-j RATEEST --rateest-name x --rateest-interval 1m --rateest-ewmalog 1s'])
target('SYNPROXY', BOTH, 'filter', 'FORWARD', [
  '-p tcp -j SYNPROXY --sack-perm --timestamp --wscale 9 --mss 1460', '-p tcp -j SYNPROXY', '-p tcp -j SYNPROXY --ecn --mss 0 --wscale 0',
], ['-j SYNPROXY --mss 1460', '! -p tcp -j SYNPROXY', '-p udp -j SYNPROXY'])
target('TCPOPTSTRIP', BOTH, 'mangle', 'FORWARD', [
  '-p tcp -j TCPOPTSTRIP', '-p tcp -j TCPOPTSTRIP --strip-options 2,3,4,5,6,7', '-p tcp -j TCPOPTSTRIP --strip-options md5,wscale,mss,sack-permitted,sack,timestamp', '-p tcp -j TCPOPTSTRIP --strip-options 255,31,32,63,64',
], ['-j TCPOPTSTRIP', '-p tcp -j TCPOPTSTRIP --strip-options 0', '-p tcp -j TCPOPTSTRIP --strip-options 1', '-p tcp -j TCPOPTSTRIP --strip-options 1,2', '-p tcp -j TCPOPTSTRIP --strip-options 2,2', '-p tcp -j TCPOPTSTRIP --strip-options 256', '-p tcp -j TCPOPTSTRIP --strip-options x'])
target('TEE', ['ipv4'], 'mangle', 'PREROUTING', ['-j TEE --gateway 10.0.0.1', '-j TEE --gateway 10.1 --oif eth0', '-j TEE --gateway 10.0.0.1 --oif abcdefghijklmnopqrst'], ['-j TEE', '-j TEE --oif eth0', '-j TEE --gateway 0.0.0.0', '-j TEE --gateway ::1', '-j TEE --gateway 1.2.3.4/24'])
target('TEE', ['ipv6'], 'mangle', 'PREROUTING', ['-j TEE --gateway fe80::1 --oif eth0', '-j TEE --gateway 2001:db8::1'], ['-j TEE', '-j TEE --gateway ::', '-j TEE --gateway 1.2.3.4'])
target('TPROXY', ['ipv4'], 'mangle', 'PREROUTING', [
  '-p tcp -j TPROXY --on-port 12345 --on-ip 10.0.0.1 --tproxy-mark 0x23/0xff', '-p udp -j TPROXY --on-port 0', '-p tcp -j TPROXY --on-port 80 --tproxy-mark 5', '-p tcp -j TPROXY --on-port 010', '-p udp -j TPROXY --on-port ssh',
], ['-p tcp -j TPROXY', '-j TPROXY --on-port 80', '-p tcp -j TPROXY --on-port 0x10', '-p icmp -j TPROXY --on-port 80', '-p tcp -j TPROXY --on-port 80 --on-ip ::1', '! -p tcp -j TPROXY --on-port 80'])
target('TPROXY', ['ipv6'], 'mangle', 'PREROUTING', ['-p tcp -j TPROXY --on-port 12345 --on-ip 2001:db8::1 --tproxy-mark 0x23/0xff', '-p udp -j TPROXY --on-port 80'], ['-p tcp -j TPROXY', '-p tcp -j TPROXY --on-port 80 --on-ip 1.2.3.4'])
target('TPROXY in OUTPUT', BOTH, 'mangle', 'OUTPUT', [], ['-p tcp -j TPROXY --on-port 80'])

t.test('IDLETIMER', async (t) => {
  const netns = Netns.create()
  t.teardown(() => {
    // Its attributes are the whole machine's: away with the timers before anything else.
    run(netns, 'iptables-legacy', '-F', 'INPUT')
    netns.close()
  })
  const label = `nfkit${process.pid}`
  judge(t, netns, 'ipv4', 'filter', 'INPUT', [`-j IDLETIMER --timeout 42 --label ${label}`])
  refused(t, netns, 'ipv4', 'filter', 'INPUT', ['-j IDLETIMER --timeout', '-j IDLETIMER --timeout 42', '-j IDLETIMER --label x', '-j IDLETIMER --timeout 4294967296 --label x'])
})
