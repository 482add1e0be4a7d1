// SPDX-License-Identifier: MIT
// The matches' options by chance. What 1.8.9 gets wrong and nfkit does not imitate is left out; the unit tests have it.

import fc from './fast-check.js'
import {
  address, all, decimal, either, type Grammar, inChains, inTables, list, masked, maybe, negatable, negatableRange, network, not, number, one, option, plain, quotedText, range, series, some, subset, U16, U32, U8, v4, v6, type Words,
} from './grammar.js'

/** What the namespace must have: objects of nfacct, and the estimators that {@link ESTIMATORS} names. */
export const ACCOUNTS = ['web', 'mail']
export const ESTIMATORS = ['RE1', 'RE2']

const flag = (name: string): Words => fc.constant(`--${name}`)
const only = (name: string, ...names: string[]): Words => option(name, one(...names))
const TYPES = ['UNSPEC', 'UNICAST', 'LOCAL', 'ANYCAST', 'MULTICAST', 'UNREACHABLE']
const TYPES_V4 = [...TYPES, 'BROADCAST', 'BLACKHOLE', 'PROHIBIT', 'THROW', 'NAT', 'XRESOLVE']
/** Where 1.8.9 takes 65536 for 0, nfkit and 1.8.11 refuse it. */
const ports = range(U16, { mistakes: false })
const port = (name: string): Words => negatableRange(name, U16, { mistakes: false })
const flags = ['SYN', 'ACK', 'FIN', 'RST', 'URG', 'PSH']
/** Of more iptables takes the last eight bits. */
const byte = decimal(U8, 0, false).map(String)
const CHUNKS = ['DATA', 'INIT', 'INIT_ACK', 'SACK', 'HEARTBEAT', 'ABORT', 'SHUTDOWN', 'ERROR', 'COOKIE_ECHO', 'ECN_CWR', 'SHUTDOWN_COMPLETE', 'I_DATA', 'RE_CONFIG', 'PAD', 'ASCONF', 'FORWARD_TSN', 'DATA:Iu', 'DATA:bE', 'ABORT:t', 'SHUTDOWN_COMPLETE:T']
const pair = (names: readonly string[]) => fc.shuffledSubarray([...names], { minLength: 1 })
const counts = fc.bigInt({ min: 0n, max: 0xfffffffffffffffdn }).map(String)

export const MATCHES: readonly Grammar[] = [
  {
    name: 'addrtype', options: ({ family, chain }) => {
      const types = subset(family === 'ipv4' ? TYPES_V4 : TYPES)
      const inside = ['PREROUTING', 'INPUT', 'FORWARD'].includes(chain) ? fc.constant('--limit-iface-in') : fc.constant('')
      return series(some(1, negatable('src-type', types), negatable('dst-type', types)), maybe(inside))
    },
  },
  { name: 'ah', at: v4, protocols: ['ah'], options: () => maybe(negatableRange('ahspi', U32)) },
  { name: 'ah', at: v6, options: () => some(0, negatableRange('ahspi', U32), either(option('ahlen', number(U32)), option('ahlen', number(U32, 1)).map((text) => `! ${text}`)), flag('ahres')) },
  { name: 'bpf', options: () => option('bytecode', one('"4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0"', '"1,6 0 0 4294967295"', '"2,48 0 0 9,6 0 0 0"')) },
  { name: 'cgroup', at: inChains('INPUT', 'OUTPUT', 'POSTROUTING'), options: () => either(negatable('cgroup', number(U32)), negatable('path', fc.constant('/'))) },
  {
    name: 'cluster', options: () => fc.integer({ min: 1, max: 32 }).chain((nodes) => all(
      option('cluster-total-nodes', fc.constant(nodes)), either(negatable('cluster-local-node', fc.integer({ min: 1, max: Math.min(nodes, 31) })), negatable('cluster-local-nodemask', fc.integer({ min: 1, max: Math.min(32, 2 ** nodes - 1) }))), option('cluster-hash-seed', number(U32)),
    )),
  },
  { name: 'comment', options: () => option('comment', quotedText(255)) },
  {
    name: 'connbytes', options: () => all(
      either(option('connbytes', fc.tuple(counts, counts).map((two) => two.sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)).join(':'))), option('connbytes', counts), option('connbytes', counts.map((low) => `${low}:`))),
      only('connbytes-mode', 'packets', 'bytes', 'avgpkt'), only('connbytes-dir', 'original', 'reply', 'both'),
    ),
  },
  { name: 'connlabel', options: () => series(negatable('label', number(127)), maybe(flag('set'))) },
  {
    name: 'connlimit', options: ({ family }) => all(
      either(negatable('connlimit-upto', number(U32)), negatable('connlimit-above', number(U32))), maybe(option('connlimit-mask', fc.nat(family === 'ipv4' ? 32 : 128))), maybe(one('--connlimit-saddr', '--connlimit-daddr')),
    ),
  },
  { name: 'connmark', options: () => negatable('mark', masked()) },
  { name: 'mark', options: () => negatable('mark', masked()) },
  {
    name: 'conntrack', options: (place) => some(
      1, negatable('ctstate', subset(['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED', 'SNAT', 'DNAT'])), negatable('ctproto', either(one('tcp', 'udp', 'icmp', 'sctp'), number(U8, 1))), negatable('ctorigsrc', network(place)), negatable('ctorigdst', network(place)),
      negatable('ctreplsrc', network(place)), negatable('ctrepldst', network(place)), negatable('ctorigsrcport', ports), negatable('ctorigdstport', ports), negatable('ctreplsrcport', ports), negatable('ctrepldstport', ports),
      negatable('ctstatus', subset(['NONE', 'EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED'])), negatable('ctexpire', range(U32)), only('ctdir', 'ORIGINAL', 'REPLY'),
    ),
  },
  { name: 'cpu', options: () => negatable('cpu', number(U32)) },
  { name: 'dccp', protocols: ['dccp'], options: () => some(0, port('sport'), port('dport'), negatable('dccp-types', subset(['REQUEST', 'RESPONSE', 'DATA', 'ACK', 'RESET', 'INVALID'])), negatable('dccp-option', number(U8, 1))) },
  {
    name: 'devgroup', options: ({ chain }) => {
      const parts = [...(['PREROUTING', 'INPUT', 'FORWARD'].includes(chain) ? ['src-group'] : []), ...(['FORWARD', 'OUTPUT', 'POSTROUTING'].includes(chain) ? ['dst-group'] : [])]
      return some(1, ...parts.map((name) => negatable(name, masked())))
    },
  },
  { name: 'dscp', options: () => either(negatable('dscp', number(63)), negatable('dscp-class', one('CS0', 'CS7', 'BE', 'AF11', 'af43', 'EF'))) },
  ...['dst', 'hbh'].map((name): Grammar => ({
    name, at: v6, options: () => some(0, negatable(`${name}-len`, number(U32)), option(`${name}-opts`, list(either(byte, fc.tuple(decimal(U8, 1, false), byte).map((parts) => parts.join(':'))), 1, 15))),
  })),
  { name: 'ecn', options: () => option('ecn-ip-ect', number(3)).map((text) => text) },
  { name: 'ecn', protocols: ['tcp'], options: () => some(1, not(flag('ecn-tcp-ece')), not(flag('ecn-tcp-cwr')), negatable('ecn-ip-ect', number(3))) },
  { name: 'esp', protocols: ['esp'], options: () => maybe(negatableRange('espspi', U32)) },
  { name: 'eui64', at: (place) => v6(place) && inChains('PREROUTING', 'INPUT', 'FORWARD')(place) },
  { name: 'frag', at: v6, options: () => some(0, negatableRange('fragid', U32), negatable('fraglen', number(U32)), flag('fragres'), flag('fragfirst'), one('--fragmore', '--fraglast')) },
  {
    name: 'hashlimit', options: () => all(
      fc.tuple(one('upto', 'above'), fc.integer({ min: 1, max: 1000 }), one('/sec', '/min')).map(([how, rate, unit]) => `--hashlimit-${how} ${rate}${unit}`), option('hashlimit-name', plain(8).map((name) => `g_${name}`)),
      maybe(option('hashlimit-burst', fc.integer({ min: 1, max: 500 }))), maybe(option('hashlimit-mode', subset(['srcip', 'dstip', 'srcport', 'dstport']))), maybe(option('hashlimit-htable-max', fc.integer({ min: 1, max: 100000 }))),
    ),
  },
  { name: 'helper', options: () => negatable('helper', quotedText(29, 0)) },
  { name: 'hl', at: v6, options: () => either(negatable('hl-eq', number(U8)), option('hl-lt', number(U8)), option('hl-gt', number(U8))) },
  { name: 'ttl', at: v4, options: () => either(negatable('ttl-eq', number(U8)), option('ttl-lt', number(U8)), option('ttl-gt', number(U8))) },
  { name: 'icmp', at: v4, protocols: ['icmp'], options: () => negatable('icmp-type', either(one('any', 'echo-request', 'pong', 'host-unreachable', 'time-'), number(200), fc.tuple(number(200), number(U8)).map((parts) => parts.join('/')))) },
  { name: 'icmp6', at: v6, protocols: ['ipv6-icmp', 'icmpv6'], options: () => negatable('icmpv6-type', either(one('no-route', 'ping', 'router-advertisement', 'ttl-exceeded', 'bad-header'), number(U8), fc.tuple(number(U8), number(U8)).map((parts) => parts.join('/')))) },
  { name: 'ipcomp', protocols: ['ipcomp'], options: () => some(0, negatableRange('ipcompspi', U32, { min: 1 }), flag('compres')) },
  {
    name: 'iprange', options: (place) => some(1, ...['src-range', 'dst-range'].map((name) => negatable(name, either(address(place), fc.constant(place.family === 'ipv4' ? '1.1.1.1-1.1.1.9' : '::1-::9'), address(place).map((from) => `${from}-${place.family === 'ipv4' ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'}`))))),
  },
  { name: 'ipv6header', at: v6, options: () => series(negatable('header', subset(['hop', 'dst', 'route', 'frag', 'auth', 'esp', 'none', 'prot', '60', 'ipv6-nonxt'])), maybe(flag('soft'))) },
  { name: 'length', options: () => negatable('length', range(U16)) },
  {
    // Rate times burst below 2^30: what more the kernel takes depends on how it counts time.
    name: 'limit', options: () => either(
      some(0, option('limit-burst', number(80, 1))),
      all(option('limit', fc.tuple(fc.integer({ min: 1, max: 9000 }), one('/sec', '/s', '/min', '/hour', '', '/day')).map(([n, unit]) => (unit === '/day' || unit === '/hour' ? `${n + 1000}${unit}` : `${n}${unit}`))), maybe(option('limit-burst', number(1000, 1)))),
    ),
  },
  { name: 'mac', at: inChains('PREROUTING', 'INPUT', 'FORWARD'), options: () => negatable('mac-source', fc.array(decimal(U8).map((byte) => (byte & U8).toString(16).padStart(2, '0')), { minLength: 6, maxLength: 6 }).map((bytes) => bytes.join(':'))) },
  { name: 'mh', at: v6, protocols: ['mh', '135', 'mobility-header'], options: () => maybe(either(negatableRange('mh-type', U8), option('mh-type', one('brr', 'bu', 'binding-error', 'home-test:be')))) },
  { name: 'multiport', protocols: ['tcp', 'udp', 'sctp', 'dccp', 'udplite'], options: () => not(fc.tuple(one('sports', 'dports', 'ports', 'source-ports'), list(either(number(U16), fc.tuple(decimal(60000), decimal(5000, 1)).map(([low, more]) => `${low}:${low + more}`)), 1, 7)).map(([name, ports]) => `--${name} ${ports}`)) },
  { name: 'nfacct', options: () => only('nfacct-name', ...ACCOUNTS) },
  { name: 'osf', at: (place) => v4(place) && inChains('PREROUTING', 'INPUT', 'FORWARD')(place), protocols: ['tcp'], options: () => all(negatable('genre', plain(31)), maybe(option('ttl', number(2))), maybe(option('log', number(2)))) },
  {
    name: 'owner', at: inChains('OUTPUT', 'POSTROUTING'), options: () => some(1, negatable('uid-owner', either(one('root', 'nobody'), number(65000), range(4294967294, { open: false, separator: '-' }))), negatable('gid-owner', either(one('root'), number(65000), range(4294967294, { open: false, separator: '-' }))), not(flag('socket-exists'))),
  },
  { name: 'physdev', at: inTables('filter', 'mangle'), options: ({ chain }) => some(1, negatable('physdev-in', plain(15)), not(flag('physdev-is-in')), ...(chain === 'FORWARD' ? [negatable('physdev-out', plain(14).map((name) => `${name}+`)), not(flag('physdev-is-out')), not(flag('physdev-is-bridged'))] : [])) },
  { name: 'pkttype', options: () => negatable('pkt-type', one('unicast', 'broadcast', 'multicast', 'host', 'bcast', 'otherhost')) },
  {
    name: 'policy', options: ({ chain }) => {
      const ways = [...(['PREROUTING', 'INPUT', 'FORWARD'].includes(chain) ? ['in'] : []), ...(['FORWARD', 'OUTPUT', 'POSTROUTING'].includes(chain) ? ['out'] : [])]
      return fc.tuple(one(...ways), fc.integer({ min: 1, max: 100000 }), one('esp', 'ah')).chain(([way, id, protocol]) => one(`--dir ${way} --pol none`, `--dir ${way} --pol ipsec --reqid ${id} --proto ${protocol} --mode transport`))
    },
  },
  { name: 'quota', options: () => negatable('quota', fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String), number(U32))) },
  {
    name: 'rateest', options: () => fc.record({ kind: one('bps', 'pps'), mode: one('lt', 'gt', 'eq'), relative: fc.boolean(), delta: fc.boolean(), negated: fc.boolean() }).chain(({ kind, mode, relative, delta, negated }) => {
      const rate = kind === 'bps' ? fc.tuple(fc.nat(100_000_000), one('', 'bit', 'kbit', 'Kibit', 'Bps', 'KBps')).map(([n, unit]) => `${unit.startsWith('K') || unit === 'kbit' ? n % 100_000 : n}${unit}`) : number(U32)
      return all(
        fc.constant(`--rateest${relative ? '1' : ''} ${ESTIMATORS[0]}`), fc.constant(relative ? `--rateest2 ${ESTIMATORS[1]}` : ''), fc.constant(`${negated ? '! ' : ''}--rateest-${mode}`), fc.constant(delta ? '--rateest-delta' : ''),
        delta ? option(`rateest-${kind}1`, rate) : fc.constant(''), relative && !delta ? fc.constant(`--rateest-${kind}`) : option(`rateest-${kind}2`, rate),
      )
    }),
  },
  { name: 'realm', at: (place) => v4(place) && !inChains('PREROUTING')(place), options: () => negatable('realm', either(one('cosmos'), masked())) },
  {
    name: 'recent', options: () => fc.tuple(one('set', 'rcheck', 'update', 'remove'), fc.boolean()).chain(([what, negated]) => all(
      fc.constant(`${negated ? '! ' : ''}--${what}`), maybe(option('name', plain(20).map((name) => `g_${name}`))), maybe(one('--rsource', '--rdest')),
      ...(what === 'rcheck' || what === 'update' ? [maybe(option('hitcount', number(200, 1))), maybe(flag('rttl')), maybe(series(option('seconds', number(100000, 1)), maybe(flag('reap'))))] : []),
    )),
  },
  { name: 'rpfilter', at: (place) => inTables('raw', 'mangle')(place) && inChains('PREROUTING')(place), options: () => some(0, flag('loose'), flag('validmark'), flag('accept-local'), flag('invert')) },
  {
    name: 'rt', at: v6, options: (place) => either(
      some(0, negatable('rt-type', number(U32)), negatableRange('rt-segsleft', U32), negatable('rt-len', number(U32))),
      series(fc.constant('--rt-type 0'), maybe(flag('rt-0-res')), maybe(series(option('rt-0-addrs', list(address(place), 1, 16)), maybe(flag('rt-0-not-strict')))), maybe(negatableRange('rt-segsleft', U32))),
    ),
  },
  {
    name: 'sctp', protocols: ['sctp'], options: () => some(0, negatable('sport', range(U16)), negatable('dport', range(U16)), not(fc.tuple(one('any', 'all', 'only'), either(subset(CHUNKS), one('ALL', 'NONE'))).map(([how, what]) => `--chunk-types ${how} ${what}`))),
  },
  { name: 'socket', at: (place) => inChains('PREROUTING', 'INPUT')(place), options: () => some(0, flag('transparent'), flag('nowildcard'), flag('restore-skmark')) },
  {
    name: 'srh', at: v6, options: (place) => some(
      0, negatable('srh-next-hdr', number(U8)), ...['hdr-len', 'segs-left', 'last-entry'].map((what) => one('eq', 'gt', 'lt').chain((how) => negatable(`srh-${what}-${how}`, number(U8)))), negatable('srh-tag', number(U16)), negatable('srh-psid', network(place)), negatable('srh-nsid', network(place)),
      negatable('srh-lsid', network(place)),
    ),
  },
  { name: 'state', options: () => negatable('state', subset(['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'])) },
  {
    name: 'statistic', options: () => either(
      series(fc.constant('--mode random'), negatable('probability', fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }).map((p) => p.toFixed(9)), fc.integer({ min: 0, max: 100 }).map((p) => String(p / 100))))),
      fc.integer({ min: 1, max: 100000 }).chain((every) => series(fc.constant('--mode nth'), negatable('every', fc.constant(every)), option('packet', fc.nat(every - 1)))),
    ),
  },
  {
    name: 'string', options: () => all(
      either(negatable('string', quotedText(60)), negatable('hex-string', fc.uint8Array({ minLength: 1, maxLength: 30 }).map((bytes) => `|${Buffer.from(bytes).toString('hex')}|`))), only('algo', 'bm', 'kmp'), maybe(option('from', number(U16))), maybe(option('to', number(U16))), maybe(flag('icase')),
    ),
  },
  {
    name: 'tcp', protocols: ['tcp', '6'], options: () => some(0, port('sport'), port('dport'), negatable('tcp-option', decimal(U8, 1)), either(not(fc.constant('--syn')), not(fc.tuple(pair(flags), fc.shuffledSubarray(flags)).map(([mask, set]) => `--tcp-flags ${mask.join(',')} ${set.join(',') || 'NONE'}`)))),
  },
  { name: 'tcpmss', protocols: ['tcp'], options: () => negatable('mss', range(U16)) },
  {
    name: 'time', options: () => {
      const clock = fc.tuple(fc.nat(23), fc.nat(59), fc.nat(59)).map((parts) => parts.map((part) => String(part).padStart(2, '0')).join(':'))
      const date = fc.tuple(fc.integer({ min: 1971, max: 2037 }), fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 28 }), clock).map(([year, month, day, at]) => `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}T${at}`)
      const dates = fc.tuple(date, date).map((two) => two.sort()).map(([from, to]) => `--datestart ${from} --datestop ${to}`)
      return all(maybe(option('timestart', clock)), maybe(option('timestop', clock)), maybe(negatable('monthdays', list(fc.integer({ min: 1, max: 31 }).map(String), 1, 8))), maybe(negatable('weekdays', list(one('Mon', 'Tue', 'We', '4', 'Sat'), 1, 4))), maybe(dates), maybe(flag('kerneltz')))
    },
  },
  { name: 'tos', options: () => negatable('tos', either(one('Minimize-Delay', 'maximize-throughput', 'Normal-Service'), masked(U8))) },
  {
    name: 'u32', options: () => negatable('u32', list(fc.tuple(number(U32), fc.array(either(fc.tuple(one('&', '@'), number(U32)).map((parts) => parts.join('')), fc.tuple(one('<<', '>>'), fc.nat(31)).map((parts) => parts.join(''))), { maxLength: 9 }), list(either(number(U32), fc.tuple(number(U32), number(U32)).map((parts) => parts.join(':'))), 1, 10))
      .map(([offset, steps, values]) => `${offset}${steps.join('')}=${values}`), 1, 10, '&&').map((tests) => `"${tests}"`).filter((text) => text.length < 1000)),
  },
  { name: 'udp', protocols: ['udp', '17'], options: () => some(0, port('sport'), port('dport')) },
]
