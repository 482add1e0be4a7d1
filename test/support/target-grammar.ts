// SPDX-License-Identifier: MIT
// The targets' options by chance.

import fc from './fast-check.js'
import {
  address, all, decimal, either, type Grammar, inChains, inTables, masked, maybe, number, one, option, plain, type Place, quotedText, range, series, some, subset, U16, U32, U8, v4, v6, type Words,
} from './grammar.js'

const flag = (name: string): Words => fc.constant(`--${name}`)
const nat = (...chains: Parameters<typeof inChains>) => (place: Place) => inTables('nat')(place) && inChains(...chains)(place)
const PORTED = ['tcp', 'udp', 'sctp', 'dccp']
const high = (place: Place) => (place.family === 'ipv4' ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff')
const addresses = (place: Place): Words => either(address(place), address(place).map((from) => `${from}-${high(place)}`))
const withPorts = (place: Place, ports: Words): Words => fc.tuple(addresses(place), ports).map(([hosts, rest]) => `${place.family === 'ipv4' ? hosts : `[${hosts}]`}:${rest}`)
const ports = range(U16, { min: 1, separator: '-', open: false })
const extra = (...names: string[]) => some(0, ...names.map(flag))
const tg = (name: string, at: NonNullable<Grammar['at']>, options?: Grammar['options'], protocols?: readonly string[]): Grammar => ({ name, at, ...(options === undefined ? {} : { options }), ...(protocols === undefined ? {} : { protocols }) })
const anywhere = () => true
const mangle = inTables('mangle')
const filterIn = (place: Place) => place.table === 'filter'

function connmark(): Words {
  const shift = maybe(option('left-shift-mark', fc.integer({ min: 1, max: 31 })))
  return either(
    series(either(option('set-xmark', masked()), option('set-mark', masked())), shift), option('and-mark', number(U32)), option('or-mark', number(U32)), option('xor-mark', number(U32)),
    series(one('--save-mark', '--restore-mark'), either(fc.constant(''), option('mask', number(U32)), series(option('nfmask', number(U32)), option('ctmask', number(U32))))),
  )
}

export const TARGETS: readonly Grammar[] = [
  tg('AUDIT', filterIn, () => option('type', one('accept', 'drop', 'reject'))),
  tg('CHECKSUM', mangle, () => flag('checksum-fill')),
  tg('CLASSIFY', (place) => mangle(place) && inChains('FORWARD', 'OUTPUT', 'POSTROUTING')(place), () => option('set-class', fc.tuple(fc.nat(U16), fc.nat(U16)).map(([major, minor]) => `${major.toString(16)}:${minor.toString(16)}`))),
  tg('CONNMARK', mangle, connmark),
  tg('CONNSECMARK', mangle, () => one('--save', '--restore')),
  tg('CT', inTables('raw'), () => some(0, flag('notrack'), option('ctevents', subset(['new', 'related', 'destroy', 'reply', 'assured', 'mark', 'secmark'])), option('expevents', fc.constant('new')), either(...['zone', 'zone-orig', 'zone-reply'].map((name) => option(name, either(fc.constant('mark'), number(U16))))))),
  tg('DNAT', nat('PREROUTING', 'OUTPUT'), (place) => series(option('to-destination', addresses(place)), extra('random', 'persistent'))),
  tg('DNAT', nat('PREROUTING', 'OUTPUT'), (place) => series(option('to-destination', either(withPorts(place, ports), ports.map((text) => `:${text}`))), extra('random', 'persistent')), PORTED),
  ...['DNPT', 'SNPT'].map((name) => tg(name, (place) => v6(place) && mangle(place) && inChains(...(name === 'DNPT' ? ['PREROUTING', 'OUTPUT'] as const : ['INPUT', 'POSTROUTING'] as const))(place), () => all(option('src-pfx', one('2001:db8:1::/48', 'fd00::/64')), option('dst-pfx', one('2001:db8:2::/56', '1c3::/16'))))),
  tg('DSCP', mangle, () => either(option('set-dscp', number(63)), option('set-dscp-class', one('CS1', 'BE', 'ef', 'AF23')))),
  tg('ECN', (place) => v4(place) && mangle(place), () => flag('ecn-tcp-remove'), ['tcp']),
  tg('HL', (place) => v6(place) && mangle(place), () => either(option('hl-set', number(U8)), option('hl-inc', number(U8, 1)), option('hl-dec', number(U8, 1)))),
  tg('TTL', (place) => v4(place) && mangle(place), () => either(option('ttl-set', number(U8)), option('ttl-inc', number(U8, 1)), option('ttl-dec', number(U8, 1)))),
  tg('HMARK', mangle, ({ family }) => series(
    either(
      option('hmark-tuple', subset(['src', 'dst', 'sport', 'dport', 'proto', 'ct'])), option('hmark-tuple', subset(['src', 'spi', 'ct'])),
      some(1, option('hmark-src-prefix', fc.nat(family === 'ipv4' ? 32 : 128)), option('hmark-dst-prefix', fc.nat(family === 'ipv4' ? 32 : 128)), option('hmark-sport-mask', number(U16)), option('hmark-dport-mask', number(U16)), option('hmark-proto-mask', number(U8))),
    ),
    option('hmark-rnd', number(U32)), option('hmark-mod', number(U32, 1)), maybe(option('hmark-offset', number(U32))),
  )),
  tg('LOG', anywhere, () => some(0, option('log-prefix', quotedText(29)), option('log-level', either(number(7), one('alert', 'debug', 'warning'))), flag('log-tcp-sequence'), flag('log-tcp-options'), flag('log-ip-options'), flag('log-uid'), flag('log-macdecode'))),
  tg('MARK', mangle, () => either(option('set-xmark', masked()), option('set-mark', masked()), option('and-mark', number(U32)), option('or-mark', number(U32)), option('xor-mark', number(U32)))),
  tg('MASQUERADE', nat('POSTROUTING'), () => extra('random', 'random-fully')),
  tg('MASQUERADE', nat('POSTROUTING'), () => series(option('to-ports', ports), extra('random', 'random-fully')), PORTED),
  tg('NETMAP', nat('PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'), (place) => option('to', fc.tuple(address(place), fc.nat(place.family === 'ipv4' ? 32 : 128)).map((parts) => parts.join('/')))),
  tg('NFLOG', anywhere, () => some(0, option('nflog-group', number(U16)), option('nflog-prefix', quotedText(63)), either(option('nflog-size', number(U32)), option('nflog-range', number(U32))), option('nflog-threshold', number(U16)))),
  tg('NFQUEUE', anywhere, () => series(either(fc.constant(''), option('queue-num', number(U16)), series(option('queue-balance', fc.tuple(decimal(60000), decimal(5000, 1)).map(([low, more]) => `${low}:${low + more}`)), maybe(flag('queue-cpu-fanout')))), maybe(flag('queue-bypass')))),
  tg('NOTRACK', inTables('raw')),
  // One name stands for one estimator in the whole namespace.
  tg('RATEEST', anywhere, () => fc.tuple(one('250ms', '500ms', '1s', '2s', '4s', '8s'), one('20s', '60s', '1000s')).chain(([interval, average]) =>
    all(fc.constant(`--rateest-name g_${interval}_${average}`), fc.constant(`--rateest-interval ${interval}`), fc.constant(`--rateest-ewmalog ${average}`)))),
  tg('REDIRECT', nat('PREROUTING', 'OUTPUT'), () => series(option('to-ports', ports), maybe(flag('random'))), ['tcp', 'udp', 'sctp', 'dccp']),
  tg('REDIRECT', nat('PREROUTING', 'OUTPUT'), () => maybe(flag('random'))),
  tg('REJECT', filterIn, ({ family }) => maybe(option('reject-with', family === 'ipv4' ? one('icmp-net-unreachable', 'host-unreach', 'icmp-admin-prohibited', 'icmp-proto-unreachable') : one('icmp6-no-route', 'adm-prohibited', 'icmp6-addr-unreachable', 'reject-route')))),
  tg('REJECT', filterIn, () => option('reject-with', one('tcp-reset', 'tcp-rst')), ['tcp']),
  tg('SNAT', nat('POSTROUTING', 'INPUT'), (place) => series(option('to-source', addresses(place)), extra('random', 'random-fully', 'persistent'))),
  tg('SNAT', nat('POSTROUTING', 'INPUT'), (place) => series(option('to-source', either(withPorts(place, ports), ports.map((text) => `:${text}`))), extra('random', 'random-fully', 'persistent')), PORTED),
  tg('SYNPROXY', (place) => filterIn(place) && inChains('INPUT', 'FORWARD')(place), () => some(0, flag('sack-perm'), flag('timestamp'), flag('ecn'), option('wscale', number(14)), option('mss', fc.nat(U16))), ['tcp']),
  { name: 'TCPMSS', at: mangle, protocols: ['tcp'], with: '-m tcp --tcp-flags FIN,SYN,RST,ACK SYN', options: () => either(option('set-mss', fc.nat(65495)), flag('clamp-mss-to-pmtu')) },
  tg('TCPOPTSTRIP', mangle, () => maybe(option('strip-options', either(subset(['wscale', 'mss', 'sack', 'timestamp']), subset(['2', '3', '31', '32', '63', '64', '255'])))), ['tcp']),
  tg('TEE', mangle, (place) => series(option('gateway', address(place)), maybe(option('oif', plain(15))))),
  tg('TOS', mangle, () => either(option('set-tos', either(one('Minimize-Delay', 'normal-service'), masked(U8))), option('and-tos', number(U8)), option('or-tos', number(U8)), option('xor-tos', number(U8)))),
  tg('TPROXY', (place) => mangle(place) && inChains('PREROUTING')(place), (place) => all(option('on-port', number(U16)), maybe(option('on-ip', address(place))), maybe(option('tproxy-mark', masked()))), ['tcp', 'udp']),
  tg('TRACE', inTables('raw')),
]

