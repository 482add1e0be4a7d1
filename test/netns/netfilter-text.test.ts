// SPDX-License-Identifier: MIT
// nf.save and nf.restore against iptables-legacy-save and iptables-legacy-restore, in both directions: the same text, the same bytes.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Netfilter, Netns, NfkitError, RestoreError } from '../../lib/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { entryAt, entryLayouts } from '../../lib/wire/xtables/entry.js'
import { inputOf } from '../../lib/wire/bytes.js'
import { feed, run, tryFeed } from '../support/outside.js'
import { readTable } from '../support/xtables.js'

const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
process.env['XTABLES_LOCKFILE'] = join(directory, 'lock')
t.teardown(() => rmSync(directory, { recursive: true }))

const TABLES = ['filter', 'nat', 'mangle', 'raw', 'security'] as const
const command = (family: IpFamily, name: 'save' | 'restore') => `${family === 'ipv6' ? 'ip6' : 'ip'}tables-legacy-${name}`

function namespace(t: Test): Netns {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  return netns
}

function open(t: Test, netns: Netns, family: IpFamily): Netfilter {
  const nf = Netfilter.open({ netns, family })
  t.teardown(() => nf.close())
  return nf
}

/** A text without what names its maker and the time. */
const bare = (text: string) => text.split('\n').filter((line) => !line.startsWith('#')).join('\n')

/**
 * GET_ENTRIES, counters included, without the field that the kernel uses while it checks a table. Without `policies` theirs are left
 * out: iptables-legacy loses the counters of policies each time it changes a table, nfkit keeps them.
 */
function rawTable(netns: Netns, family: IpFamily, table: string, policies = true): string {
  const { blob, info } = readTable(netns, family, table)
  const layout = entryLayouts[family]
  for (let at = 0; at < blob.length;) {
    blob.fill(0, at + layout.comefrom, at + layout.comefrom + 4)
    if (!policies && info.underflows.includes(at)) blob.fill(0, at + layout.counters, at + layout.counters + 16)
    at = entryAt(layout, inputOf(blob), at, blob.length).end
  }
  return Buffer.from(blob).toString('hex')
}

const withoutPolicyCounters = (text: string) => bare(text).replace(/^(:\S+ [A-Z]+) .*$/gm, '$1')

const A = { ipv4: ['10.1.2.0/24', '192.168.0.5'], ipv6: ['2001:db8:1::/48', '2001:db8::5'] } as const

/** A text of all tables, each with its own kind of rule. */
function everything(family: IpFamily): string {
  const [net, host] = A[family]
  return [
    '# a comment', '*filter', ':INPUT DROP [5:500]', ':FORWARD ACCEPT [18446744073709551615:9007199254740993]', ':OUTPUT ACCEPT [0:0]', ':zeta - [0:0]', ':Alpha - [0:0]', ':alpha - [0:0]', ':KUBE-X - [0:0]',
    `[1:2] -A INPUT -s ${net} ! -d ${host} -i eth+ -p tcp -m tcp --dport 80:90 -j alpha`, `-A INPUT -p tcp --syn -m comment --comment "it's \\"quoted\\" \\\\ -m tcp -j x" -j zeta`, '-A INPUT -m comment --comment "" -j Alpha',
    '[9007199254740993:18446744073709551615] -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -g alpha', '-A OUTPUT ! -o lo -p udp -m multiport ! --dports 53,1000:2000 -m mark ! --mark 0x1/0xff -j RETURN',
    '-A alpha -j KUBE-X', '-A alpha -p tcp -j REJECT --reject-with tcp-reset', '-A zeta -j LOG --log-prefix "in: " --log-level 7', '-A zeta -m state --state NEW', '-A KUBE-X -m pkttype --pkt-type multicast -j DROP', '-A KUBE-X', 'COMMIT',
    '*nat', ':POSTROUTING ACCEPT [1:1]', `-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination ${family === 'ipv6' ? `[${host}]` : host}:8080`, `-A POSTROUTING -s ${net} -o eth0 -j MASQUERADE`, 'COMMIT',
    '*mangle', '-A PREROUTING -j MARK --set-mark 1', '-A PREROUTING -j CONNMARK --save-mark', '-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu', 'COMMIT',
    '*raw', '-A PREROUTING -p udp -j CT --notrack', 'COMMIT', '*security', ':OUTPUT DROP [0:0]', 'COMMIT', '',
  ].join('\n')
}

for (const family of ['ipv4', 'ipv6'] as const) {
  for (const counters of [true, false]) {
    t.test(`${family}: all tables, ${counters ? 'with' : 'without'} counters`, async (t) => {
      const [theirs, ours] = [namespace(t), namespace(t)]
      const text = everything(family)
      const options = counters ? ['-c'] : []
      feed(theirs, text, command(family, 'restore'), ...options)
      t.same(await open(t, ours, family).restore(text, { counters }), ['filter', 'nat', 'mangle', 'raw', 'security'])
      for (const table of TABLES) t.equal(rawTable(ours, family, table), rawTable(theirs, family, table), `${table}: bytes`)
      for (const withCounters of [true, false]) {
        const flags = withCounters ? ['-c'] : []
        for (const table of TABLES) {
          const expected = bare(run(theirs, command(family, 'save'), '-t', table, ...flags)).trim()
          t.equal(bare(run(ours, command(family, 'save'), '-t', table, ...flags)).trim(), expected, `${table}: restored here, printed by iptables-save`)
          t.equal(bare(open(t, theirs, family).saveSync({ tables: [table], counters: withCounters })).trim(), expected, `${table}: restored by iptables-restore, printed here`)
        }
        const all = await open(t, theirs, family).save({ counters: withCounters })
        t.equal(bare(all).trim(), bare(run(theirs, command(family, 'save'), ...flags)).trim(), 'all tables, in the same order')
        t.match(all, /^# Generated by nfkit on [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\n/)
      }
      // What is printed is read again, by either.
      const again = namespace(t)
      await open(t, again, family).restore(await open(t, theirs, family).save({ counters: true }), { counters: true })
      for (const table of TABLES) t.equal(rawTable(again, family, table), rawTable(theirs, family, table), `${table}: once more`)
    })
  }

  t.test(`${family}: without flushing, commands one after the other`, async (t) => {
    const [theirs, ours] = [namespace(t), namespace(t)]
    const [net, host] = A[family]
    const before = everything(family)
    feed(theirs, before, command(family, 'restore'), '-c')
    feed(ours, before, command(family, 'restore'), '-c')
    const nf = open(t, ours, family)
    const steps = [
      ['*filter', ':alpha - [0:0]', ':new - [0:0]', `-A new -s ${host} -j zeta`, '-I INPUT -j new', `-I INPUT 2 -s ${net} -g new`, '[7:8] -I FORWARD 2 -p tcp --dport 1', 'COMMIT'],
      ['*filter', '-D INPUT -j new', '-D INPUT 1', '-R FORWARD 1 -j DROP', '-A OUTPUT -c 3 4 -j ACCEPT', '--append OUTPUT --jump ACCEPT', `-C OUTPUT -j ACCEPT`, '-A alpha -p udp', '-Z OUTPUT', 'COMMIT'],
      ['*filter', '-E zeta beta', '-E new omega', '-N aaa', '-A aaa -g beta', '-N bbb', '-X bbb', '-P OUTPUT DROP', '-Z FORWARD 1', '-F KUBE-X', 'COMMIT', '*mangle', '-F', '-X', '-Z', 'COMMIT'],
      ['*filter', '-4 -A INPUT -p tcp', '-6 -A INPUT -p udp', '-v -A INPUT -j beta', '-A INPUT -p tcp -m tcp --dport 1 -m comment --comment x --sport 2', '-A INPUT -j LOG -m mark --mark 1', '-p udp -A INPUT -j ACCEPT', 'COMMIT'],
      [...(family === 'ipv4' ? ['*filter', '-A INPUT -s 1.1.1.1,2.2.2.2 -d 3.3.3.3,4.4.4.0/24 -j DROP', '-I INPUT 2 -s 5.5.5.5,6.6.6.6', '-D INPUT -s 2.2.2.2,1.1.1.1 -d 3.3.3.3 -j DROP', 'COMMIT']
        : ['*filter', '-A INPUT -s 1::1,2::2 -d 3::3,4::/16 -j DROP', '-I INPUT 2 -s 5::5,6::6', '-D INPUT -s 2::2,1::1 -d 3::3 -j DROP', 'COMMIT'])],
      ['*raw', ':PREROUTING DROP [4:5]', ':OUTPUT - [9:9]', 'COMMIT', '*nat', '-Z PREROUTING', 'COMMIT', '*raw', '-A OUTPUT', 'COMMIT'],
    ]
    for (const lines of steps) {
      const text = [...lines, ''].join('\n')
      feed(theirs, text, command(family, 'restore'), '-n', '-c')
      await nf.restore(text, { flush: false, counters: true })
      for (const table of TABLES) {
        const [text, expected] = [ours, theirs].map((netns) => withoutPolicyCounters(run(netns, command(family, 'save'), '-t', table, '-c')))
        t.equal(text, expected, `${table}: text after ${lines[1]}`)
        t.equal(rawTable(ours, family, table, false), rawTable(theirs, family, table, false), `${table}: bytes after ${lines[1]}`)
      }
    }
    // Flushing again: policies that the text does not name stay, here with their counters.
    feed(ours, '*filter\n:INPUT DROP [5:6]\nCOMMIT\n', command(family, 'restore'), '-n', '-c')
    const text = '*filter\n:FORWARD DROP [1:1]\n-A INPUT -j ACCEPT\nCOMMIT\n'
    feed(theirs, text, command(family, 'restore'))
    t.same(await nf.restore(text), ['filter'])
    const after = run(ours, command(family, 'save'), '-t', 'filter', '-c')
    t.equal(withoutPolicyCounters(after), withoutPolicyCounters(run(theirs, command(family, 'save'), '-t', 'filter', '-c')))
    t.match(after, /:INPUT DROP \[5:6\]\n:FORWARD DROP \[0:0\]\n/)
  })

  t.test(`${family}: many chains and rules`, async (t) => {
    const [theirs, ours] = [namespace(t), namespace(t)]
    const names = Array.from({ length: 300 }, (_, i) => `c${(i * 7919) % 300}-${i % 3 === 0 ? 'X' : 'y'}`)
    const [net, host] = A[family]
    const text = ['*filter', ...names.map((name) => `:${name} - [0:0]`), ...Array.from({ length: 6000 }, (_, i) => {
      const from = names[i % 149]!
      const to = names[150 + (i % 149)]!
      return `-A ${i % 10 === 0 ? 'FORWARD' : from} ${[`-s ${host} -p tcp -m tcp --dport ${i} -j ${to}`, `-d ${net} -m comment --comment "number ${i}"`, '-j ACCEPT', `! -s ${net} -i eth${i % 50} -m mark --mark ${i} -j LOG`, `-p udp -m multiport --ports ${i},1:2 -g ${to}`][i % 5]!}`
    }), 'COMMIT', ''].join('\n')
    feed(theirs, text, command(family, 'restore'))
    await open(t, ours, family).restore(text)
    t.ok(rawTable(ours, family, 'filter') === rawTable(theirs, family, 'filter'), 'bytes')
    const expected = bare(run(theirs, command(family, 'save'), '-t', 'filter'))
    t.ok(bare(await open(t, ours, family).save({ tables: ['filter'] })).trim() === expected.trim(), 'text')
    // Delete each twentieth by its text, from both.
    const deletions = ['*filter', ...text.split('\n').filter((line) => line.startsWith('-A')).filter((_, i) => i % 20 === 0).map((line) => line.replace('-A', '-D')), 'COMMIT', ''].join('\n')
    feed(theirs, deletions, command(family, 'restore'), '-n')
    await open(t, ours, family).restore(deletions, { flush: false })
    t.ok(rawTable(ours, family, 'filter') === rawTable(theirs, family, 'filter'), 'bytes after deletions')
  })
}

t.test('what iptables-restore refuses is refused, and nothing was applied', async (t) => {
  const netns = namespace(t)
  const nf = open(t, netns, 'ipv4')
  const before = '*filter\n:mine - [0:0]\n-A INPUT -j mine\n-A mine -j DROP\nCOMMIT\n*raw\n-A OUTPUT\nCOMMIT\n'
  await nf.restore(before)
  const state = bare(run(netns, 'iptables-legacy-save'))
  const lines = [
    '-A NOSUCH', '-A INPUT -j nosuch', '-A INPUT -g nosuch', '-A INPUT -j OUTPUT', '-A INPUT --nosuch', '-A INPUT -p tcp --dport 99999', '-A INPUT -t raw', '-N mine', '-N ACCEPT', '-N LOG', '-X mine', '-X NOSUCH', '-F NOSUCH', '-E mine INPUT', '-E nosuch x',
    '-P mine DROP', '-P INPUT RETURN', '-P INPUT', '-R INPUT', '-R INPUT 9', '-R INPUT 0', '-I INPUT 3', '-D INPUT 2', '-D INPUT -j DROP', '-C INPUT -j DROP', '-Z NOSUCH', '-A INPUT -A INPUT', '-A', 'word', '-A INPUT word', '-s 1.2.3.4', ':mine', ':INPUT RETURN', ':mine DROP',
    ':INPUT', ':', '-F -s 1.2.3.4', '-D INPUT -c 1 2 -j mine', '-A INPUT -c 1', '-A INPUT -c 1 x', '[1:2 -A INPUT', '[12] -A INPUT', '[:2] -A INPUT', '-A INPUT !', '! -A INPUT', '-w -A INPUT', '-A INPUT -n', '-A INPUT -x', 'COMMIT ', '-A INPUT -o eth0', '-A OUTPUT -i eth0',
    `-A INPUT -m comment --comment ${'x'.repeat(1024)}`, `-A INPUT ${'-v '.repeat(300)}`, `-N ${'x'.repeat(29)}`, `:${'x'.repeat(29)} -`, '*nat', '-A INPUT -s 1.1.1.1,2.2.2.2 ! -d 1.2.3.4', '-R INPUT 1 -s 1.1.1.1,2.2.2.2', '-A INPUT -p tcp --d 80',
  ]
  for (const line of lines) {
    const text = `*filter\n${line}\nCOMMIT\n`
    t.not(tryFeed(netns, text, 'iptables-legacy-restore', '-n', '--test').status, 0, `iptables-restore refuses ${line.slice(0, 60)}`)
    await t.rejects(nf.restore(`*raw\n-F\nCOMMIT\n${text}`, { flush: false }), { name: 'RestoreError', code: 'NFKIT_BAD_RESTORE', message: /^line 5, / }, line.slice(0, 60))
  }
  t.equal(bare(run(netns, 'iptables-legacy-save')), state)
  // With -c the counters of policies must be there.
  await t.rejects(nf.restore('*filter\n:INPUT DROP\nCOMMIT\n', { counters: true }), { code: 'NFKIT_BAD_RESTORE', message: /^line 2, column 12: / })
  t.throws(() => nf.restoreSync('*filter\n-A INPUT -p tcp --dport 80 -j NOSUCH\nCOMMIT\n'), { message: /^line 2, column 1: .*no chain NOSUCH/ })
  t.throws(() => nf.restoreSync('*filter\n-A INPUT -p tcp --dport 80 --bad\nCOMMIT\n'), { message: /^line 2, column 28: / })
  t.throws(() => nf.restoreSync('*filter\n:a - [0:0]\n:b - [0:0]\n-A INPUT -j a\n-A a -j b\n-A b -j a\nCOMMIT\n'), { code: 'NFKIT_CHAIN_LOOP' })
  t.throws(() => nf.restoreSync('*nosuch\nCOMMIT\n'), { code: 'NFKIT_LEGACY_TABLES_MISSING' })
  t.throws(() => nf.restoreSync('*no/such\nCOMMIT\n'), RestoreError)
  await t.rejects(nf.restore(5 as never), TypeError)
  await t.rejects(nf.restore('', { nosuch: 1 } as never), TypeError)
  await t.rejects(nf.save({ tables: 'filter' as never }), TypeError)
  t.equal(bare(run(netns, 'iptables-legacy-save')), state)
})

t.test('only one table, and testing', async (t) => {
  const netns = namespace(t)
  const nf = open(t, netns, 'ipv4')
  const text = '*filter\n-A INPUT --bad\nCOMMIT\n*raw\n:OUTPUT DROP [0:0]\nCOMMIT\n'
  t.same(await nf.restore(text, { table: 'raw', test: true }), ['raw'])
  t.same(nf.tables(), [], 'testing makes no table')
  t.same(nf.restoreSync(text, { table: 'raw' }), ['raw'])
  t.same(nf.tables(), ['raw'])
  t.match(run(netns, 'iptables-legacy-save'), /:OUTPUT DROP/)
  t.same(await nf.restore('*raw\n:OUTPUT ACCEPT\n-A OUTPUT\nCOMMIT', { test: true }), ['raw'])
  t.match(run(netns, 'iptables-legacy-save'), /:OUTPUT DROP/)
  t.same(await nf.restore(''), [])
  t.same(await nf.restore('# nothing\n\n'), [])
})

t.test('when the kernel refuses a later table, the earlier ones are put back', async (t) => {
  const netns = namespace(t)
  const nf = open(t, netns, 'ipv4')
  await nf.restore('*filter\n:INPUT DROP [1:2]\n[3:4] -A INPUT -j ACCEPT\nCOMMIT\n*mangle\n[5:6] -A INPUT\nCOMMIT\n', { counters: true })
  const state = bare(run(netns, 'iptables-legacy-save', '-c'))
  // A target that the kernel keeps out of user chains reached from the wrong hook: only the kernel can tell.
  const text = '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n*mangle\n-F\nCOMMIT\n*nat\n:mine - [0:0]\n-A POSTROUTING -j mine\n-A mine -p tcp -j REDIRECT\nCOMMIT\n'
  t.not(tryFeed(netns, text.slice(text.indexOf('*nat')), 'iptables-legacy-restore').status, 0)
  try {
    await nf.restore(text)
    t.fail('it was accepted')
  } catch (error) {
    t.match(error, { code: 'EINVAL', message: /table nat/ })
    t.ok(error instanceof NfkitError)
  }
  t.equal(bare(run(netns, 'iptables-legacy-save', '-c', '-t', 'filter')) + bare(run(netns, 'iptables-legacy-save', '-c', '-t', 'mangle')), state.slice(state.indexOf('*filter')) + state.slice(0, state.indexOf('*filter')))
})
