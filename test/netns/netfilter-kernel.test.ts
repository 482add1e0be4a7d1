// SPDX-License-Identifier: MIT
// What the kernel has, what stands in the way of rules, and the names of this machine.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Netfilter, NetfilterRule, Netns } from '../../lib/index.js'
import { systemResolver } from '../../lib/netfilter/resolver.js'
import { tablesError } from '../../lib/sockopt/missing.js'
import { XtablesSocket } from '../../lib/sockopt/xtables.js'
import { asNobody, noUserNamespaces, run, tryRun } from '../support/outside.js'

const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
process.env['XTABLES_LOCKFILE'] = join(directory, 'lock')
t.teardown(() => rmSync(directory, { recursive: true }))

function fresh(t: { teardown(f: () => void): void }, family: 'ipv4' | 'ipv6' = 'ipv4', lock?: 'off') {
  const ns = Netns.create()
  const nf = Netfilter.open({ family, netns: ns, lock })
  t.teardown(() => { nf.close(); ns.close() })
  return { ns, nf }
}

for (const family of ['ipv4', 'ipv6'] as const) {
  const six = family === 'ipv6' ? 'ip6' : 'ip'
  t.test(`${family}: what the kernel has`, async (t) => {
    const { ns, nf } = fresh(t, family)
    const has = nf.supported()
    t.same(nf.tables(), [], 'asking made no table here')
    for (const table of has.tables!) t.equal(tryRun(ns, `${six}tables-legacy`, '-t', table, '-L', '-n').status, 0, table)
    t.same(nf.tables().sort(), [...has.tables!].sort(), 'the names of those that there are now')
    for (const [kind, list] of [['matches', has.matches], ['targets', has.targets]] as const) {
      const listed = new Set(run(ns, 'cat', `/proc/net/${six}_tables_${kind}`).split('\n').filter((name) => name !== '' && name !== 'ERROR'))
      t.same([...listed].filter((name) => !list.some((one) => one.name === name)), [], `${kind} that the kernel lists`)
    }
    t.ok(has.matches.find((one) => one.name === 'conntrack')?.revisions.includes(3))
    t.match(has.targets.find((one) => one.name === 'MARK'), { revisions: [2], typed: [2] })
  })

  t.test(`${family}: check says what there is, and what is in the way`, async (t) => {
    const { ns, nf } = fresh(t, family)
    const about = (what: string) => nf.check().findings.filter((one) => one.about === what)
    t.match(about('tables')[0], { ok: true, text: /none is in use/ })
    run(ns, `${six}tables-legacy`, '-t', 'mangle', '-A', 'INPUT')
    t.match(about('tables')[0], { ok: true, text: /in use in this namespace: mangle/ })
    t.match(about('lock'), [{ ok: true, text: new RegExp(directory) }])
    t.match(about('nft'), [{ ok: true }])
    if (tryRun(ns, `${six}tables-nft`, '-A', 'INPUT', '-p', 'tcp').status === 0) {
      run(ns, `${six}tables-nft`, '-A', 'INPUT', '-p', 'udp')
      t.match(about('nft'), [{ ok: false, text: new RegExp(`2 in ${six} filter`), hint: /nft list ruleset/ }])
      t.same(nf.check().nft, [{ table: `${six} filter`, rules: 2 }])
    } else t.comment('this kernel has no nf_tables')
    const sysctl = `net/bridge/bridge-nf-call-${six}tables`
    if (nf.check().bridged !== undefined) {
      ns.writeSysctl(sysctl, 0)
      t.match(about('bridge'), [{ ok: false, hint: new RegExp(sysctl.replaceAll('/', '.')) }])
      ns.writeSysctl(sysctl, 1)
      t.match(about('bridge'), [{ ok: true }])
      t.equal(nf.check().bridged, true)
    } else t.match(about('bridge'), [{ ok: false, hint: /modprobe br_netfilter/ }])
    t.match(Netfilter.open({ family, netns: ns, lock: 'off' }).check().findings.at(-1), { about: 'lock', ok: false })
  })
}

t.test('a kernel without legacy tables is named by what it lacks', async (t) => {
  t.match(tablesError(92, 'getsockopt', 'ipv4', 'filter'), { code: 'NFKIT_LEGACY_TABLES_MISSING', errno: 92, message: /no legacy tables for ipv4/, hint: /CONFIG_NETFILTER_XTABLES_LEGACY.*modprobe ip_tables/ })
  t.match(tablesError(2, 'getsockopt', 'ipv6', 'nat'), { code: 'NFKIT_LEGACY_TABLES_MISSING', message: /no nat table for ipv6/, hint: /ip6table_nat.*CONFIG_IP6_NF_NAT/ })
  t.match(tablesError(1, 'getsockopt', 'ipv4', 'filter'), { code: 'EPERM', hint: /CAP_NET_ADMIN/ })
  const { nf } = fresh(t)
  t.throws(() => nf.table('no-such'), { code: 'NFKIT_LEGACY_TABLES_MISSING', message: /no-such/ } as never, 'a table that no kernel has')
  t.throws(() => nf.updateSync('no-such', () => {}), { code: 'NFKIT_LEGACY_TABLES_MISSING' } as never)
})

t.test('a closed handle says so', async (t) => {
  const { nf } = fresh(t)
  nf.close()
  nf.close()
  for (const use of [() => nf.tables(), () => nf.table('filter'), () => nf.updateSync('filter', () => {}), () => nf.check(), () => nf.supported()]) t.throws(use, { code: 'NFKIT_CLOSED' } as never)
  await t.rejects(nf.update('filter', () => {}), { code: 'NFKIT_CLOSED' })
  const named = Netns.create(`nfkit-${process.pid}`)
  t.teardown(() => { named.close(); Netns.delete(named.name!) })
  const held = () => readdirSync('/proc/self/fd').filter((fd) => {
    try { return readlinkSync(`/proc/self/fd/${fd}`).startsWith('net:') } catch { return false }
  }).length
  const before = held()
  for (let i = 0; i < 10; i++) {
    using one = Netfilter.open({ netns: named.name })
    t.same(one.tables(), [])
  }
  t.ok(held() <= before, 'no namespace is left open')
  t.throws(() => Netfilter.open({ netns: 'nfkit-none' }), { code: 'ENOENT' } as never)
})

t.test('without privilege', { skip: noUserNamespaces(fileURLToPath(import.meta.url)) }, async (t) => {
  const script = `
    import { Netfilter } from ${JSON.stringify(new URL('../../lib/index.js', import.meta.url).href)}
    const nf = Netfilter.open({ lock: 'off' })
    const say = (run) => { try { return run() } catch (error) { return [error.code, /CAP_NET_ADMIN/.test(error.hint)] } }
    console.log(JSON.stringify([say(() => nf.tables()), say(() => nf.table('filter')), say(() => nf.updateSync('filter', () => {})), say(() => nf.supported()),
      say(() => nf.check().findings.map(({ about, ok }) => [about, ok ?? null]))]))`
  const { stdout, stderr } = spawnSync(asNobody[0], [...asNobody.slice(1), process.execPath, '--input-type=module', '-e', script], { encoding: 'utf8' })
  t.equal(stderr, '')
  const [tables, table, update, supported, findings] = JSON.parse(stdout)
  for (const one of [tables, table, update, supported]) t.same(one, ['EPERM', true])
  t.same(findings.filter(([about]: string[]) => about === 'tables' || about === 'nft').map(([about, ok]: unknown[]) => [about, ok]), [['tables', null], ['nft', null]])
})

const noGetent = spawnSync('getent', ['protocols', 'tcp']).status === 0 ? false : 'the judge, getent, is not there'

t.test('names are those of the C library', { skip: noGetent }, async (t) => {
  const socket = XtablesSocket.open('ipv4')
  t.teardown(() => socket.close())
  const names = systemResolver(socket)
  const getent = (database: string, key: string) => spawnSync('getent', [database, key], { encoding: 'utf8' }).stdout.trim().split(/\s+/)
  for (const [service, protocol, number] of [['http', 'tcp', 6], ['domain', 'udp', 17], ['www', 'tcp', 6], ['ntp', 'udp', 17]] as const) {
    const found = getent('services', `${service}/${protocol}`)[1]
    t.equal(names.servicePort(service, number), found === undefined ? undefined : Number.parseInt(found, 10), `${service}/${protocol}`)
  }
  for (const name of ['gre', 'GRE', 'ipv6-icmp', 'ospf', 'no-such']) {
    const found = getent('protocols', name)[1]
    t.equal(names.protocolNumber(name), found === undefined ? undefined : Number(found), name)
  }
  t.equal(names.protocolName(47), getent('protocols', '47')[0])
  t.same([names.userId('root'), names.userName(0), names.groupId('root'), names.groupName(0)], [0, 'root', 0, 'root'])
  t.same([names.userId('no-such-user'), names.userName(4000000), names.servicePort('no-such', 6)], [undefined, undefined, undefined])
  if (/^127\.0\.0\.1\s.*\blocalhost\b/m.test(readFileSync('/etc/hosts', 'utf8'))) t.same(names.hostAddresses('LOCALHOST', 'ipv4').map(String), ['127,0,0,1'])
  t.same(names.hostAddresses('no.such.host.invalid', 'ipv4'), [])
  t.equal(names.lookup('/etc/iproute2/no-such', 'x'), undefined)
  t.same([names.lookup('ipset', 'no-such-set'), names.lookupName('ipset', 5)], [undefined, undefined])
})

t.test('rules as text and values, on their own', async (t) => {
  const rule = NetfilterRule.parse('-p tcp --dport 80 -j ACCEPT')
  t.same(rule, { protocol: 'tcp', matches: [{ name: 'tcp', destinationPorts: [80, 80] }], target: { name: 'ACCEPT' } })
  t.equal(NetfilterRule.format(rule), '-p tcp -m tcp --dport 80 -j ACCEPT')
  t.equal(NetfilterRule.format('-s 2001:db8::1 -m comment --comment "a \\"b\\" c"', { family: 'ipv6' }), '-s 2001:db8::1/128 -m comment --comment "a \\"b\\" c"')
  t.same(NetfilterRule.parse('-c 3 4 -j DROP').counters, { packets: 3n, bytes: 4n })
  t.equal(NetfilterRule.parseAll('-s 10.0.0.1,10.0.0.2 -d 10.0.0.3').length, 2)
  t.throws(() => NetfilterRule.parse('-s 10.0.0.1,10.0.0.2'), { name: 'RangeError' } as never)
  t.ok(NetfilterRule.same(rule, '-p 6 -m tcp --destination-port http -j ACCEPT'))
  t.notOk(NetfilterRule.same(rule, '-p tcp --dport 81 -j ACCEPT'))
  for (const bad of ['-p tcp --dport 99999', '-m "open', '--nothing', '-j']) t.throws(() => NetfilterRule.parse(bad), { code: 'NFKIT_BAD_RULE' } as never)
  t.throws(() => NetfilterRule.parse('-j SNAT --to-source 10.0.0.1', { table: 'filter' }), { code: 'NFKIT_BAD_RULE', message: /nat/ } as never)
})
