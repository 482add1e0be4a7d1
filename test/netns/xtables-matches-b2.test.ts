// SPDX-License-Identifier: MIT

import t from 'tap'
import { Netns } from '../../lib/index.js'
import '../../lib/wire/xtables/extensions/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import type { Hook } from '../../lib/wire/xtables/extension.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { addAccounting, judge, systemNames, wordsOf } from '../support/xtables.js'
import { tryRun } from '../support/outside.js'

// What iptables 1.8.9 gets wrong and 1.8.11 right, and what kernels lack that do the tests (ipvs), is in
// test/unit/xtables-matches-b2.test.ts.

/** The same rules in one chain of the families that have the match. */
function rules(name: string, families: readonly IpFamily[], table: string, chain: Hook, list: readonly string[], prepare: (netns: Netns) => void = () => {}): void {
  t.test(name, async (t) => {
    const netns = Netns.create()
    t.teardown(() => netns.close())
    prepare(netns)
    for (const family of families) judge(t, netns, family, table, chain, list)
  })
}
const both = ['ipv4', 'ipv6'] as const
const four = ['ipv4'] as const
const six = ['ipv6'] as const

for (const name of ['dst', 'hbh']) {
  rules(name, six, 'filter', 'FORWARD', [
    '', '-len 0', '-len 42', '-len 4294967295', '-len 0x10', '-len 010',
    ...['149:92,12:12,123:12', '0', '255', '5', '5:0', '5:255', '0x10:010', '1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16', '1:1,2:2,3:3,4:4,5:5,6:6,7:7,8:8,9:9,10:10,11:11,12:12,13:13,14:14,15:15,16', '0,1:2,0'].map((list) => `-opts ${list}`),
  ].map((rest) => `-m ${name}${rest === '' ? '' : ` --${name}${rest}`}`).concat(`-m ${name} ! --${name}-len 42`, `-m ${name} ! --${name}-len 0 --${name}-opts 5:6`, `-m ${name} --${name}-opts 7 --${name}-len 8`))
}
for (const chain of ['PREROUTING', 'INPUT', 'FORWARD'] as const) rules(`eui64 in ${chain}`, six, 'mangle', chain, ['-m eui64', '-m eui64 -j ACCEPT'])
rules('frag', six, 'filter', 'FORWARD', [
  '-m frag', ...['1:42', ':', ':42', '42:', '3:3', '0', '4294967295', '0x10:0x20', '0:4294967294'].map((id) => `-m frag --fragid ${id}`), '-m frag ! --fragid 1', '-m frag ! --fragid 3:',
  '-m frag --fraglen 42', '-m frag ! --fraglen 0', '-m frag --fraglen 4294967295', '-m frag --fragres', '-m frag --fragfirst', '-m frag --fragmore', '-m frag --fraglast',
  '-m frag ! --fragid 1 ! --fraglen 42 --fragres --fragfirst', '-m frag --fragfirst --fragmore', '-m frag --fraglast --fragfirst', '-d fe80::/64 -p udp --dport 546 -m frag --fraglast',
])
rules('helper', both, 'filter', 'FORWARD', ['ftp', 'ftp-2121', '""', '"two words"', String.raw`"a \"quote\" and a \\ and it's"`, 'abcdefghijklmnopqrstuvwxyzabc', 'abcdefghijklmnopqrstuvwxyzabcdef'].flatMap((name) =>
  [`-m helper --helper ${name}`, `-m helper ! --helper ${name}`]))
rules('ipcomp', both, 'filter', 'FORWARD', [
  '-p ipcomp -m ipcomp', '-p 108 -m ipcomp --compres', ...['18', '0', ':4', '4:', '3:4', '4:4', '4294967295', '0x10:020'].flatMap((spi) => [`-p ipcomp -m ipcomp --ipcompspi ${spi}`, `-p ipcomp -m ipcomp ! --ipcompspi ${spi}`]),
  '-p ipcomp --ipcompspi 1', '-p 108 ! --ipcompspi 1:2 --compres',
])
rules('ipv6header', six, 'filter', 'FORWARD', [
  ...['hop-by-hop', 'hop', 'dst', 'route', 'frag', 'auth', 'esp', 'none', 'prot', 'protocol', '0', '60', '43', '44', '51', '50', '59', '255', 'ipv6-opts', 'ipv6-route', 'ipv6-frag', 'ah', 'ipv6-nonxt', 'ip', 'hopopt', 'HOPOPT', 'IPv6-Opts', 'prot,hop,frag',
    'hop,dst,route,frag,auth,esp,none,prot', ',hop,,none,'].map((list) => `-m ipv6header --header ${list}`),
  '-m ipv6header ! --header hop', '-m ipv6header --soft --header esp,auth', '-m ipv6header ! --header esp,none --soft',
])
rules('mh', six, 'filter', 'FORWARD', [
  '-p mobility-header -m mh', '-p 135 -m mh', '-p ipv6-mh -m mh --mh-type 0', '-p mh --mh-type 1', '-p mh ! --mh-type 1:3',
  ...['1', '4:123', ':3', '3:', ':', '3:3', '0:255', '0:254', '255', '0x10', '010', 'brr', 'hoti', 'coti', 'hot', 'cot', 'bu', 'ba', 'be', 'binding-refresh-request', 'home-test-init', 'careof-test-init', 'home-test', 'careof-test', 'binding-update',
    'binding-acknowledgement', 'binding-error', 'BU', 'Home', 'home-test-', 'h', 'b', 'c', 'binding-e', 'brr:be', 'bu:', ':coti', 'ho:200'].map((type) => `-p mobility-header -m mh --mh-type ${type}`),
  ...['4', '1:2', 'be', '3:'].map((type) => `-p mobility-header -m mh ! --mh-type ${type}`),
])
rules('nfacct', both, 'filter', 'FORWARD', ['-m nfacct --nfacct-name web', '-m nfacct --nfacct-name "a b"', `-m nfacct --nfacct-name ${'x'.repeat(31)}`, `-m nfacct --nfacct-name ${'x'.repeat(40)}`],
  (netns) => { for (const name of ['web', 'a b', 'x'.repeat(31)]) addAccounting(netns, name) })
rules('osf', four, 'filter', 'INPUT', [
  '-p tcp -m osf --genre Linux', '-p tcp -m osf ! --genre Windows', '-p tcp -m osf --genre unknown --ttl 0', '-p tcp -m osf --genre Linux --ttl 1 --log 2', '-p tcp -m osf ! --genre Linux --ttl 2 --log 0', '-p tcp -m osf --log 1 --genre Linux',
  `-p tcp -m osf --genre ${'g'.repeat(31)}`, `-p tcp -m osf --genre ${'g'.repeat(40)}`, '-p 6 -m osf --genre Linux:2.6 --ttl 0x1',
])
for (const chain of ['PREROUTING', 'FORWARD'] as const) rules(`osf in ${chain}`, four, 'mangle', chain, ['-p tcp -m osf --genre Linux'])
rules('quota', both, 'filter', 'FORWARD', ['0', '1', '18446744073709551615', '9007199254740993', '0xffffffffffffffff', '010'].flatMap((quota) => [`-m quota --quota ${quota}`, `-m quota ! --quota ${quota}`]))
rules('rateest', both, 'filter', 'FORWARD', [
  '-j RATEEST --rateest-name RE1 --rateest-interval 250.0ms --rateest-ewmalog 500.0ms', '-j RATEEST --rateest-name RE2 --rateest-interval 250.0ms --rateest-ewmalog 500.0ms',
  '-j RATEEST --rateest-name fifteen-letters --rateest-interval 250.0ms --rateest-ewmalog 500.0ms',
  ...[
    '--rateest RE1 --rateest-lt --rateest-bps 8bit', '--rateest RE1 --rateest-eq --rateest-pps 5', '--rateest RE1 --rateest-gt --rateest-bps 5kbit', '--rateest RE1 --rateest-gt --rateest-bps', '--rateest-pps --rateest1 RE1 ! --rateest-eq',
    '--rateest-delta --rateest RE1 --rateest-bps1 8bit --rateest-lt --rateest-bps2 16bit', '--rateest1 RE1 --rateest-lt --rateest-bps --rateest2 RE2', '--rateest1 RE1 ! --rateest-gt --rateest-pps 7 --rateest2 RE2',
    '--rateest-delta --rateest1 RE1 --rateest-pps1 0 --rateest-lt --rateest-pps2 42 --rateest2 RE2', '--rateest-delta --rateest1 RE1 --rateest-bps1 8bit --rateest-eq --rateest-bps2 16bit --rateest2 RE2',
    '--rateest-delta --rateest RE1 --rateest-pps1 8 ! --rateest-gt --rateest-pps2 9', '--rateest RE1 --rateest-delta --rateest-lt --rateest-pps1 0xff', '--rateest-delta --rateest RE1 --rateest-gt --rateest-bps2 1mbit',
    '--rateest RE1 --rateest-pps1 3 --rateest-lt', '--rateest RE1 --rateest-bps1 3MBps --rateest-bps 9 --rateest-lt', '--rateest fifteen-letters-and-more --rateest-lt --rateest-pps2 4294967295',
    ...['8', '0', '7', '100', '1Kibit', '5kbit', '1mibit', '2mbit', '1Gibit', '1gbit', '0.01tbit', '0.01Tibit', '1Bps', '3KiBps', '3KBps', '3MiBps', '3mbps', '3GiBps', '3GBps', '0.003TBps', '0.003TiBps', '.5kbit', '5.kbit', '1e3', '1e3kbit', '999999bit',
      '999992', '1000008', '1000000004', '1500000', '2500', '12345678bit', '123456789bit', '1004000kbit', '1000500kbit', '1001500kbit', '4294967295Bps'].map((rate) => `--rateest RE1 --rateest-lt --rateest-bps ${rate}`),
  ].map((rest) => `-m rateest ${rest}`),
])
rules('realm', four, 'filter', 'FORWARD', ['0x1/0x2a', '0x2a', '42', '4294967295', '0', 'cosmos', '0/0xffffffff', '1/0', '010/0xff'].flatMap((realm) => [`-m realm --realm ${realm}`, `-m realm ! --realm ${realm}`]))
for (const chain of ['INPUT', 'OUTPUT', 'POSTROUTING'] as const) rules(`realm in ${chain}`, four, 'mangle', chain, ['-m realm --realm 5'])
for (const table of ['raw', 'mangle']) {
  rules(`rpfilter in ${table}`, both, table, 'PREROUTING', ['-m rpfilter', ...['--loose', '--validmark', '--accept-local', '--invert', '--invert --accept-local --validmark --loose'].map((rest) => `-m rpfilter ${rest}`)])
}
rules('rt', six, 'filter', 'FORWARD', [
  '-m rt', '-m rt --rt-type 0', '-m rt ! --rt-type 0', '-m rt --rt-type 4294967295', '-m rt --rt-type 0 --rt-segsleft 1:23 --rt-len 42 --rt-0-res', '-m rt --rt-type 0 ! --rt-segsleft 1:23 ! --rt-len 42 --rt-0-res',
  '-m rt ! --rt-type 1 ! --rt-segsleft 12:23 ! --rt-len 42', ...[':', ':3', '3:', '3:3', '0', '4294967295', '0x10'].map((range) => `-m rt --rt-segsleft ${range}`),
  '-m rt --rt-type 0 --rt-0-addrs ::1', '-m rt --rt-type 0 --rt-0-addrs 2001:db8::1,::,::ffff:1.2.3.4,::1.2.3.4,fe80::1:0:0:1', `-m rt --rt-type 0 --rt-0-addrs ${Array.from({ length: 16 }, (_, i) => `2001:db8::${i}`).join(',')} --rt-0-not-strict`,
  '-m rt --rt-type 0 --rt-0-res --rt-0-addrs ::1,::2 --rt-0-not-strict --rt-segsleft 3 --rt-len 0',
])
const CHUNKS = [
  'DATA', 'INIT', 'INIT_ACK', 'SACK', 'HEARTBEAT', 'HEARTBEAT_ACK', 'ABORT', 'SHUTDOWN', 'SHUTDOWN_ACK', 'ERROR', 'COOKIE_ECHO', 'COOKIE_ACK', 'ECN_ECNE', 'ECN_CWR', 'ASCONF', 'ASCONF_ACK', 'FORWARD_TSN', 'SHUTDOWN_COMPLETE', 'I_DATA',
  'RE_CONFIG', 'PAD', 'I_FORWARD_TSN',
]
rules('sctp', both, 'filter', 'FORWARD', [
  '-p sctp -m sctp', ...['1', '65535', '1:65535', ':', ':5', '5:', '7:7', '0', '0x10', '010'].flatMap((port) => [`-p sctp -m sctp --sport ${port}`, `-p sctp -m sctp ! --dport ${port}`]), '-p 132 --source-port 1 ! --destination-port 2:3',
  ...CHUNKS.map((chunk) => `-p sctp -m sctp --chunk-types all ${chunk}`), '-p sctp -m sctp ! --chunk-types only init,init_ack', '-p sctp -m sctp --chunk-types ANY ALL', '-p sctp -m sctp --chunk-types All none', '-p sctp -m sctp --chunk-types any ,',
  `-p sctp -m sctp --chunk-types any ${[...CHUNKS].reverse().join(',')}`, ...['DATA:I', 'DATA:iUbE', 'data:IUBE', 'DATA:', 'DATA:bB', 'ABORT:T', 'ABORT:t', 'SHUTDOWN_COMPLETE:T,INIT,ABORT:t,DATA:B', 'DATA:B,DATA:e', 'DATA:B,DATA'].map((list) =>
    `-p sctp -m sctp --chunk-types any ${list}`), '-p sctp --sport 5 --chunk-types all DATA --dport 6',
])
for (const chain of ['PREROUTING', 'INPUT'] as const) {
  rules(`socket in ${chain}`, both, 'mangle', chain, ['', '--transparent', '--nowildcard', '--restore-skmark', '--transparent --nowildcard', '--restore-skmark --nowildcard --transparent'].map((rest) => `-m socket ${rest}`.trim()))
}
rules('srh', six, 'filter', 'FORWARD', [
  '-m srh', ...['next-hdr 17', 'hdr-len-eq 8', 'hdr-len-gt 0', 'hdr-len-lt 255', 'segs-left-eq 1', 'segs-left-gt 0x10', 'segs-left-lt 010', 'last-entry-eq 4', 'last-entry-gt 4', 'last-entry-lt 4', 'tag 0', 'tag 65535', 'psid a::/64', 'nsid b::', 'lsid c::/0', 'psid 2001:db8::1/128',
    'lsid ::1.2.3.4/127', 'nsid a::1/ffff:ff00::'].flatMap((rest) => [`-m srh --srh-${rest}`, `-m srh ! --srh-${rest}`]),
  '-m srh --srh-next-hdr 17 --srh-segs-left-eq 1 --srh-last-entry-eq 4 --srh-tag 0', '-m srh ! --srh-next-hdr 17 ! --srh-segs-left-eq 0 --srh-tag 0', '-m srh ! --srh-psid a::/64 ! --srh-nsid b::/128 ! --srh-lsid c::/0', '-m srh --srh-hdr-len-eq 3 ! --srh-hdr-len-lt 3 --srh-hdr-len-gt 3',
])
const ten = (one: (i: number) => string, separator: string) => Array.from({ length: 10 }, (_, i) => one(i)).join(separator)
rules('u32', both, 'filter', 'FORWARD', [
  '0x0=0x0&&0x0=0x1', '6&0xFF=1', '6 & 0xFF = 1 && 4&0x3FFF=0 && 0>>22&0x3C@0>>24=0', '0>>22&0x3C@8=1,2,5,8:0xffffffff', '4294967295<<31=037', ' 0 = 1 : 2 , +3 ', '5=3:1', `0${ten((i) => `&${i}`, '').slice(2)}=1`, `0=${ten(String, ',')}`, ten((i) => `${i}=${i}:9`, '&&'),
  `${ten((i) => `${i}${ten((j) => `&${j}`, '').slice(2)}=${ten((j) => `${j}:20`, ',')}`, '&&')}`,
].flatMap((tests) => [`-m u32 --u32 "${tests}"`, `-m u32 ! --u32 "${tests}"`]))

/** Refused by iptables and here; `chain` is FORWARD of filter unless told. */
type Refused = string | readonly [rule: string, table: string, chain: string]

const REFUSED: readonly Refused[] = [
  '-m helper', '-m helper --helper', '-m helper --helper ftp --helper sip',
  '-m ipcomp', '! -p ipcomp -m ipcomp', '-p tcp -m ipcomp', '-p ipcomp -m ipcomp --ipcompspi -1', '-p ipcomp -m ipcomp --ipcompspi 4294967296', '-p ipcomp -m ipcomp --ipcompspi 1:2:3', '-p ipcomp -m ipcomp ! --compres', '-p ipcomp -m ipcomp --ipcompspi 1 --ipcompspi 2',
  '-m ipvs', '-m ipvs --vdir X', '-m ipvs --vmethod X', '-m ipvs ! --vdir REPLY', '-m ipvs ! --ipvs --vport 5', '-m ipvs --vport nosuch', '-m ipvs --vproto nosuch', '-m ipvs --vproto 256', '-m ipvs --vaddr 1.2.3.4/x',
  '-m ipvs --ipvs --ipvs', '-m ipvs --vdir REPLY --vdir ORIGINAL',
  '-m nfacct', '-m nfacct --nfacct-name ""', '-m nfacct ! --nfacct-name x', '-m nfacct --nfacct-name x --nfacct-name y',
  '-m quota', '-m quota --quota -1', '-m quota --quota 18446744073709551616', '-m quota --quota x', '-m quota --quota ""', '-m quota --quota 1 --quota 2',
  '-m rateest', '-m rateest --rateest nosuch', '-m rateest --rateest-lt --rateest-bps 5', '-m rateest --rateest RE1 --rateest-lt', '-m rateest --rateest RE1 --rateest-bps 5', '-m rateest --rateest RE1 --rateest RE2 --rateest-lt --rateest-bps 5',
  '-m rateest ! --rateest RE1 --rateest-lt --rateest-bps 5', '-m rateest --rateest RE1 --rateest-lt ! --rateest-bps 5', '-m rateest --rateest RE1 --rateest-lt --rateest-bps 5 --rateest-bps 6', '-m rateest --rateest RE1 --rateest-lt --rateest-bps 5 --rateest-bps2 6',
  '-m rateest --rateest RE1 --rateest-lt --rateest-lt --rateest-bps 5', '-m rateest --rateest RE1 --rateest-lt --rateest-bps x', '-m rateest --rateest RE1 --rateest-lt --rateest-bps 5ebit', '-m rateest --rateest RE1 --rateest-lt --rateest-bps "5 bit"',
  '-m rateest --rateest RE1 --rateest-lt --rateest-pps 5bit', '-m rateest --rateest RE1 --rateest-lt --rateest-pps 4294967296', '-m rateest --rateest RE1 --rateest-lt --rateest-bps -5', '-m rateest --rateest RE1 --rateest-lt --rateest-bps=5', '-m rateest --rateest RE1 ! --rateest-delta --rateest-lt --rateest-bps 5',
  '-m rateest --rateest RE1 --rateest-lt=3 --rateest-bps 5',
  ...['filter FORWARD', 'nat PREROUTING', 'mangle INPUT', 'raw OUTPUT'].map((where) => ['-m rpfilter', ...where.split(' ')] as unknown as Refused), ...['--loose=1', '! --invert', '--loose --loose', '--loose 1'].map((rest) => [`-m rpfilter ${rest}`, 'raw', 'PREROUTING'] as const),
  '-m sctp', '! -p sctp -m sctp', '-p udp -m sctp --sport 1', '-p sctp -m sctp --sport -1', '-p sctp -m sctp --sport 65536', '-p sctp -m sctp --dport 5:3', '-p sctp -m sctp --dport 1:2:3', '-p sctp -m sctp --sport 1 --source-port 2', '-p sctp -m sctp --dport nosuch',
  '-p sctp -m sctp --chunk-types', '-p sctp -m sctp --chunk-types any', '-p sctp -m sctp --chunk-types any -j ACCEPT', '-p sctp -m sctp --chunk-types some DATA', '-p sctp -m sctp --chunk-types any DATE', '-p sctp -m sctp --chunk-types any NONE,DATA', '-p sctp -m sctp --chunk-types any 0',
  '-p sctp -m sctp --chunk-types any DATA:X', '-p sctp -m sctp --chunk-types any INIT:T', '-p sctp -m sctp --chunk-types any DATA --chunk-types any INIT', '-p sctp -m sctp --chunk-types all !DATA',
  ...['filter FORWARD', 'filter OUTPUT', 'mangle POSTROUTING'].map((where) => ['-m socket', ...where.split(' ')] as unknown as Refused), ...['! --transparent', '--transparent --transparent', '--nosuch', '--nowildcard 1'].map((rest) => [`-m socket ${rest}`, 'mangle', 'PREROUTING'] as const),
  '-m u32', '-m u32 --u32 0=0 --u32 1=1', ...['', ' ', '0', '0=', '=0', '0&=1', '0&&1=1', '0<1=1', '0>1=1', '0#1=1', '0 1=1', '0=1&2=2', '0=&&1=1', '0=1 2', '0=1&&', '0=1,', '0=1:', '0=x', '0=1,,2', '4294967296=1', '-1=0', '0=4294967296', '08=1', '0x=1', '0=1:2:3', '0>>+=1', `0=${ten(String, ',')},11`,
    `${ten((i) => `${i}=1`, '&&')}&&11=1`, `0${ten((i) => `&${i}`, '')}=1`].map((tests) => `-m u32 --u32 "${tests}"`),
]

const REFUSED_IPV4: readonly Refused[] = [
  '-m dst', '-m eui64', '-m frag', '-m hbh', '-m ipv6header --header hop', '-p mh -m mh', '-m rt', '-m srh',
  '-m osf --genre Linux', '! -p tcp -m osf --genre Linux', '-p tcp -m osf', '-p tcp -m osf --genre Linux --ttl 3', '-p tcp -m osf --genre Linux --log 3', '-p tcp -m osf --genre Linux ! --ttl 1', '-p tcp -m osf --genre Linux --genre Linux', '-p udp -m osf --genre Linux',
  ['-p tcp -m osf --genre Linux', 'filter', 'OUTPUT'],
  '-m realm', '-m realm --realm', '-m realm --realm nosuch', '-m realm --realm 4294967296', '-m realm --realm 1/', '-m realm --realm 1/x', '-m realm --realm 1 --realm 2', ['-m realm --realm 1', 'mangle', 'PREROUTING'],
  '-m ipvs --vaddr ::1', '-m ipvs --vaddr 1.2.3.256',
]

const REFUSED_IPV6: readonly Refused[] = [
  '-p tcp -m osf --genre Linux', '-m realm --realm 1', '-m ipvs --vaddr 1.2.3.4',
  ...['dst', 'hbh'].flatMap((name) => ['len -1', 'len 4294967296', 'len x', 'len 1:2', 'opts', 'opts ""', 'opts 1,', 'opts ,1', 'opts 1:', 'opts :1', 'opts 0:5', 'opts x', 'opts 1:x', 'opts 1:2:3', 'opts 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17', 'opts 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16:3',
    'opts 1 --' + name + '-opts 2'].map((rest) => `-m ${name} --${name}-${rest}`).concat(`-m ${name} ! --${name}-opts 1`, `-m ${name} --${name}-len 1 --${name}-len 1`)),
  ...['OUTPUT', 'POSTROUTING'].map((chain) => ['-m eui64', 'mangle', chain] as const), '-m eui64 --eui64',
  '-m frag --fragid -1', '-m frag --fragid 4294967296', '-m frag --fragid 1:2:3', '-m frag --fragid x', '-m frag --fraglen 1:2', '-m frag ! --fragres', '-m frag ! --fragfirst', '-m frag ! --fragmore', '-m frag ! --fraglast', '-m frag --fraglast --fragmore', '-m frag --fragmore --fraglast',
  '-m frag --fragmore --fragmore', '-m frag --fragid 1 --fragid 2',
  '-m ipv6header', '-m ipv6header --header', '-m ipv6header --header ,', '-m ipv6header --header tcp', '-m ipv6header --header nosuch', '-m ipv6header --header 0x3c', '-m ipv6header --header 17', '-m ipv6header --soft', '-m ipv6header --header hop ! --soft', '-m ipv6header --header hop --header dst',
  '-m mh', '! -p mh -m mh', '-p tcp -m mh', '-p mh -m mh --mh-type 256', '-p mh -m mh --mh-type -1', '-p mh -m mh --mh-type nosuch', '-p mh -m mh --mh-type 4:3', '-p mh -m mh --mh-type 1:2:3', '-p mh -m mh --mh-type 1 --mh-type 2', '-p 135 --mh-type 1', '-p ipv6-mh --mh-type 1', '-p mobility-header --mh-type 1',
  '-m rt --rt-type -1', '-m rt --rt-type 4294967296', '-m rt --rt-type 0:1', '-m rt --rt-segsleft 1:2:3', '-m rt --rt-len 1:2', '-m rt --rt-0-res', '-m rt --rt-0-res --rt-type 0', '-m rt --rt-type 1 --rt-0-res', '-m rt ! --rt-type 0 --rt-0-res', '-m rt --rt-type 0 ! --rt-0-res', '-m rt --rt-0-addrs ::1',
  '-m rt --rt-type 2 --rt-0-addrs ::1', '-m rt ! --rt-type 0 --rt-0-addrs ::1', '-m rt --rt-type 0 --rt-0-not-strict', '-m rt --rt-type 0 --rt-0-not-strict --rt-0-addrs ::1', '-m rt --rt-type 0 --rt-0-addrs 1.2.3.4', '-m rt --rt-type 0 --rt-0-addrs ::1,', '-m rt --rt-type 0 --rt-0-addrs localhost',
  '-m rt --rt-type 0 ! --rt-0-addrs ::1', `-m rt --rt-type 0 --rt-0-addrs ${Array.from({ length: 17 }, (_, i) => `::${i}`).join(',')}`, '-m rt --rt-type 0 --rt-type 0',
  ...['next-hdr 256', 'hdr-len-eq -1', 'hdr-len-gt 256', 'segs-left-lt x', 'tag 65536', 'tag -1', 'psid 1.2.3.4', 'psid a::/129', 'nsid x', 'lsid a::/x', 'tag 1 --srh-tag 2', 'next-hdr'].map((rest) => `-m srh --srh-${rest}`),
]

for (const [family, list] of [['ipv4', [...REFUSED, ...REFUSED_IPV4]], ['ipv6', [...REFUSED, ...REFUSED_IPV6]]] as const) {
  t.test(`what iptables refuses is refused here: ${family}`, async (t) => {
    const netns = Netns.create()
    t.teardown(() => netns.close())
    const command = family === 'ipv4' ? 'iptables-legacy' : 'ip6tables-legacy'
    // So that rateest is not refused for want of its estimator.
    for (const name of ['RE1', 'RE2']) t.equal(tryRun(netns, command, '-A', 'FORWARD', '-j', 'RATEEST', '--rateest-name', name, '--rateest-interval', '250ms', '--rateest-ewmalog', '500ms').status, 0)
    for (const one of list) {
      const [rule, table, chain] = typeof one === 'string' ? [one, 'filter', 'FORWARD'] as const : one
      t.not(tryRun(netns, command, '-t', table, '-A', chain, ...wordsOf(rule)).status, 0, `${command} refuses ${rule}`)
      t.throws(() => parseRule(wordsOf(rule), { family, resolver: systemNames, table, chain }), { code: 'NFKIT_BAD_RULE' }, rule)
    }
  })
}
