// SPDX-License-Identifier: MIT

import t from 'tap'
import { Netns } from '../../lib/index.js'
import '../../lib/wire/xtables/extensions/tcp.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { judge, systemNames, wordsOf } from '../support/xtables.js'
import { run, tryRun } from '../support/outside.js'

t.test('rules without matches', async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  run(netns, 'iptables-legacy', '-N', 'mine')
  judge(t, netns, 'ipv4', 'filter', 'FORWARD', [
    '-s 10.0.0.0/8 ! -d 192.168.0.5 -i eth+ -j DROP', '-s 10.1/16 ! -i lo ! -p udp ! -f', '-o eth0 -f -j RETURN', '-s 10.0.0.1/255.0.255.0 -j ACCEPT',
    '! -s 0.0.0.0/0', '-i +', '-p all', '-p 47 -j mine', '-g mine', '-p ICMP', '--source 1.2.3.4 --jump ACCEPT',
  ])
  run(netns, 'ip6tables-legacy', '-N', 'mine')
  judge(t, netns, 'ipv6', 'filter', 'FORWARD', [
    '-s 2001:db8::/33 ! -d ::1 -o eth0 -j RETURN', '-s 2001:db8::1/ffff::ff -p 4', '-p tcp -g mine', '-i abcdefghijklmno ! -o x+',
  ])
})

t.test('tcp', async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const rules = [
    '-p tcp -m tcp --dport 80:90 ! --sport 22 --tcp-flags SYN,ACK SYN -j DROP', '-p tcp --syn --dport 80 -j ACCEPT', '-p 6 --dpo 80', '-p tcp ! --syn',
    '-p tcp --sport :1024 --dport 1024:', '-p tcp -m tcp ! --tcp-option 5', '-p tcp --tcp-flags ALL NONE', '-p tcp -m tcp',
    '-p tcp -m tcp --dport 1 -m tcp --dport 2', '-p tcp --tcp-flags ALL FIN,PSH,URG',
  ]
  judge(t, netns, 'ipv4', 'filter', 'FORWARD', rules)
  judge(t, netns, 'ipv6', 'filter', 'INPUT', rules)
})

t.test('what iptables refuses is refused here', async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const refused = [
    '-p tcp --dport 65536', '-p tcp --dport 90:80', '-p tcp --dport 80 --dport 81', '-m tcp --dport 80', '! -p tcp -m tcp --dport 80', '-p nosuch', '! -p all', '-s 1.2.3.4.5', '-s 10.0.0.0/33',
    '-i abcdefghijklmnop', '! ! -s 1.2.3.4', '-s 1.2.3.4 !', '-j ACCEPT -j DROP', '-p tcp --tcp-flags SYN', '-p tcp --tcp-flags WRONG SYN', '-m nosuch', '--nosuch', 'word', '! -j ACCEPT', '-p tcp --tcp-option 0',
    '-p tcp --d 80', '-s 1.2.3.4 -s 1.2.3.5',
  ]
  for (const rule of refused) {
    t.not(tryRun(netns, 'iptables-legacy', '-A', 'FORWARD', ...wordsOf(rule)).status, 0, `iptables refuses ${rule}`)
    t.throws(() => parseRule(wordsOf(rule), { family: 'ipv4', resolver: systemNames, table: 'filter', chain: 'FORWARD' }), { code: 'NFKIT_BAD_RULE' }, rule)
  }
})
