// SPDX-License-Identifier: MIT
// Tables as a transaction, held against what iptables-legacy makes of the same edits.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Netfilter, Netns, type TableDraft } from '../../lib/index.js'
import { XtablesSocket } from '../../lib/sockopt/xtables.js'
import { inputOf } from '../../lib/wire/bytes.js'
import { entryLayouts, extensionAt } from '../../lib/wire/xtables/entry.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { TableImage } from '../../lib/wire/xtables/table.js'
import { feed, run } from '../support/outside.js'
import { readTable, systemNames } from '../support/xtables.js'

const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
process.env['XTABLES_LOCKFILE'] = join(directory, 'lock')
t.teardown(() => rmSync(directory, { recursive: true }))

const command = { ipv4: 'iptables-legacy', ipv6: 'ip6tables-legacy' } as const
type Family = keyof typeof command

function fresh(t: { teardown(f: () => void): void }, family: Family): { ns: Netns; nf: Netfilter } {
  const ns = Netns.create()
  const nf = Netfilter.open({ family, netns: ns })
  t.teardown(() => { nf.close(); ns.close() })
  return { ns, nf }
}

/** The blob of a table without counters. */
function blobOf(ns: Netns, family: Family, table: string): string {
  const { blob, info } = readTable(ns, family, table)
  const image = new TableImage(family, info, blob)
  for (let entry = 0; entry < info.entries; entry++) {
    const at = image.offsets[entry]! + entryLayouts[family].counters
    blob.fill(0, at, at + 16)
  }
  return Buffer.from(blob).toString('hex')
}

const save = (ns: Netns, family: Family, ...args: string[]) =>
  run(ns, `${command[family]}-save`, ...args).split('\n').filter((line) => line !== '' && !line.startsWith('#'))

for (const family of ['ipv4', 'ipv6'] as const) {
  const host = family === 'ipv4' ? '192.168.0.3' : '2001:db8::3'

  t.test(`${family}: reading makes no table, and neither does an update that changes nothing`, async (t) => {
    const { ns, nf } = fresh(t, family)
    t.same(nf.tables(), [])
    const table = nf.table('filter')
    t.same(table.chains.map(({ name, policy, length }) => [name, policy, length]), [['INPUT', 'ACCEPT', 0], ['FORWARD', 'ACCEPT', 0], ['OUTPUT', 'ACCEPT', 0]])
    t.equal(await nf.update('nat', (draft) => draft.chains.length), 4)
    t.equal(nf.updateSync('raw', (draft) => draft.chain('OUTPUT').policy), 'ACCEPT')
    t.equal(run(ns, 'cat', `/proc/net/${family === 'ipv4' ? 'ip' : 'ip6'}_tables_names`), '', 'seen from outside')
  })

  t.test(`${family}: a policy that is set counts from zero, by whichever way, as with iptables`, async (t) => {
    const theirs = fresh(t, family)
    const policy = (ns: Netns, chain: string) => save(ns, family, '-t', 'filter').find((line) => line.startsWith(`:${chain} `))
    const ways: [what: string, expected: string, set: (nf: Netfilter) => unknown, args: string[]][] = [
      ['another policy', ':INPUT DROP [0:0]', (nf) => nf.update('filter', (table) => { table.chain('INPUT').setPolicy('DROP') }), ['-P', 'INPUT', 'DROP']],
      ['the same policy', ':INPUT ACCEPT [0:0]', (nf) => nf.update('filter', (table) => { table.chain('INPUT').setPolicy('ACCEPT') }), ['-P', 'INPUT', 'ACCEPT']],
      ['with counters', ':INPUT DROP [3:4]', (nf) => nf.update('filter', (table) => { table.chain('INPUT').setPolicy('DROP', { packets: 3, bytes: 4 }) }), ['-P', 'INPUT', 'DROP', '-c', '3', '4']],
      ['a text', ':INPUT DROP [0:0]', (nf) => nf.restore('*filter\n-P INPUT DROP\nCOMMIT\n', { flush: false }), ['-P', 'INPUT', 'DROP']],
      ['a text that flushes', ':INPUT ACCEPT [0:0]', (nf) => nf.restore('*filter\n-P INPUT ACCEPT\nCOMMIT\n'), ['-P', 'INPUT', 'ACCEPT']],
    ]
    for (const [what, expected, set, args] of ways) {
      for (const { ns, nf } of [fresh(t, family), theirs]) {
        await nf.update('filter', (table) => {
          for (const name of table.chains) table.chain(name).setPolicy('ACCEPT', { packets: 5, bytes: 50 })
        })
        t.equal(policy(ns, 'INPUT'), ':INPUT ACCEPT [5:50]')
        if (ns === theirs.ns) run(ns, command[family], ...args)
        else {
          await set(nf)
          t.equal(policy(ns, 'OUTPUT'), ':OUTPUT ACCEPT [5:50]', 'the others count on')
        }
        t.equal(policy(ns, 'INPUT'), expected, `${what}${ns === theirs.ns ? ', iptables' : ''}`)
      }
    }
  })

  t.test(`${family}: each edit makes the table that iptables makes of it`, async (t) => {
    const ours = fresh(t, family)
    const theirs = fresh(t, family)
    const edits: [args: string[], change: (table: TableDraft) => void][] = [
      [['-N', 'web'], (table) => table.newChain('web')],
      [['-N', 'all'], (table) => table.newChain('all')],
      [['-A', 'FORWARD', '-s', host, '-p', 'tcp', '--dport', '80', '-j', 'web'], (table) => table.chain('FORWARD').append({
        source: host, protocol: 'tcp', matches: [{ name: 'tcp', destinationPorts: [80, 80] }], target: { jump: 'web' },
      })],
      [['-A', 'web', '-m', 'comment', '--comment', 'no web for .3', '-j', 'DROP'], (table) => table.chain('web').append('-m comment --comment "no web for .3" -j DROP')],
      [['-A', 'web', '-g', 'all'], (table) => table.chain('web').append({ target: { goto: 'all' } })],
      [['-I', 'FORWARD', '-p', 'udp'], (table) => table.chain('FORWARD').insert({ protocol: 'udp' })],
      [['-I', 'FORWARD', '2', '-i', 'eth+', '-j', 'RETURN'], (table) => table.chain('FORWARD').insert({ inInterface: 'eth+', target: { name: 'RETURN' } }, 2)],
      [['-R', 'FORWARD', '1', '!', '-p', 'udp', '-j', 'ACCEPT'], (table) => table.chain('FORWARD').replace(1, { protocol: { not: 'udp' }, target: { name: 'ACCEPT' } })],
      [['-A', 'OUTPUT', '-d', `${host},${host.replace(/3$/, '5')}`, '-j', 'ACCEPT'], (table) => table.chain('OUTPUT').append(`-d ${host},${host.replace(/3$/, '5')} -j ACCEPT`)],
      [['-D', 'OUTPUT', '-d', host, '-j', 'ACCEPT'], (table) => table.chain('OUTPUT').delete({ destination: host, target: { name: 'ACCEPT' } })],
      [['-D', 'FORWARD', '2'], (table) => table.chain('FORWARD').delete(2)],
      [['-E', 'web', 'aaa'], (table) => table.renameChain('web', 'aaa')],
      [['-P', 'FORWARD', 'DROP'], (table) => table.chain('FORWARD').setPolicy('DROP')],
      [['-F', 'aaa'], (table) => table.chain('aaa').flush()],
      [['-D', 'FORWARD', '-s', host, '-p', 'tcp', '--dport', '80', '-j', 'aaa'], (table) => table.chain('FORWARD').delete(`-s ${host} -p tcp --dport 80 -j aaa`)],
      [['-X', 'aaa'], (table) => table.deleteChain('aaa')],
      [['-F'], (table) => table.flush()],
      [['-X'], (table) => table.deleteChains()],
    ]
    for (const [args, change] of edits) {
      run(theirs.ns, command[family], ...args)
      await ours.nf.update('filter', (table) => { change(table) })
      t.equal(blobOf(ours.ns, family, 'filter'), blobOf(theirs.ns, family, 'filter'), args.join(' '))
    }
    t.same(save(ours.ns, family), save(theirs.ns, family))
  })

  t.test(`${family}: counters are kept, set and zeroed`, async (t) => {
    const { ns, nf } = fresh(t, family)
    feed(ns, ['*filter', ':INPUT DROP [7:700]', ':FORWARD ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]', '[1:10] -A INPUT -p tcp', '[2:20] -A INPUT -p udp',
      '[18446744073709551615:9007199254740993] -A INPUT -i a', 'COMMIT', ''].join('\n'), `${command[family]}-restore`, '-c')
    nf.updateSync('filter', (table) => { table.chain('INPUT').insert({ protocol: 'tcp', outInterface: undefined as never, counters: { packets: 5, bytes: 2n ** 63n } }, 2).delete(1) })
    t.same(save(ns, family, '-c'), ['*filter', ':INPUT DROP [7:700]', ':FORWARD ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]', '[5:9223372036854775808] -A INPUT -p tcp',
      '[2:20] -A INPUT -p udp', '[18446744073709551615:9007199254740993] -A INPUT -i a', 'COMMIT'])
    t.same(nf.table('filter', { counters: 'bigint' }).chain('INPUT').rule(3).counters, { packets: 2n ** 64n - 1n, bytes: 9007199254740993n })
    t.same(nf.table('filter').chain('INPUT').counters, { packets: 7, bytes: 700 })
    nf.updateSync('filter', (table) => {
      const input = table.chain('INPUT')
      input.setCounters(2, { packets: 9, bytes: 99 }).zero(1).setCounters('policy', { packets: 1, bytes: 2 })
      t.same([input.counters(1), input.counters(2), input.counters('policy')], [{ packets: 0, bytes: 0 }, { packets: 9, bytes: 99 }, { packets: 1, bytes: 2 }])
    })
    t.same(save(ns, family, '-c').filter((line) => /INPUT/.test(line)), [':INPUT DROP [1:2]', '[0:0] -A INPUT -p tcp', '[9:99] -A INPUT -p udp', '[18446744073709551615:9007199254740993] -A INPUT -i a'])
    nf.updateSync('filter', (table) => { table.zero() })
    t.same(save(ns, family, '-c').filter((line) => /INPUT/.test(line)), [':INPUT DROP [0:0]', '[0:0] -A INPUT -p tcp', '[0:0] -A INPUT -p udp', '[0:0] -A INPUT -i a'])
  })

  t.test(`${family}: what fails changes nothing`, async (t) => {
    const { ns, nf } = fresh(t, family)
    feed(ns, ['*filter', ':a - [0:0]', ':b - [0:0]', '[4:40] -A INPUT -j a', '-A a -p tcp -j b', 'COMMIT', ''].join('\n'), `${command[family]}-restore`, '-c')
    const before = save(ns, family, '-c')
    const fails: [change: (table: TableDraft) => unknown, error: { name?: string; code?: string; message?: string | RegExp; syscall?: string }][] = [
      [(table) => { table.flush(); throw new Error('on purpose') }, { message: 'on purpose' }],
      [(table) => { table.flush(); return Promise.reject(new Error('lost')) }, { name: 'TypeError', message: /synchronous/ }],
      [(table) => table.chain('INPUT').append({ target: { jump: 'nowhere' } }), { code: 'NFKIT_NO_SUCH_CHAIN', message: /rule 2 of chain INPUT.*nowhere/ }],
      [(table) => table.chain('b').append('-g a'), { code: 'NFKIT_CHAIN_LOOP', message: /a rule 1 -> b rule 1 -> a$/ }],
      [(table) => table.chain('b').append({ target: { jump: 'INPUT' } }), { code: 'NFKIT_BUILTIN_CHAIN' }],
      [(table) => table.chain('none'), { code: 'NFKIT_NO_SUCH_CHAIN' }],
      [(table) => table.deleteChain('a'), { code: 'NFKIT_CHAIN_NOT_EMPTY' }],
      [(table) => table.deleteChain('b'), { code: 'NFKIT_CHAIN_IN_USE', message: /rule 1 of chain a/ }],
      [(table) => table.deleteChains(), { code: 'NFKIT_CHAIN_NOT_EMPTY' }],
      [(table) => table.deleteChain('INPUT'), { code: 'NFKIT_BUILTIN_CHAIN' }],
      [(table) => table.renameChain('INPUT', 'c'), { code: 'NFKIT_BUILTIN_CHAIN' }],
      [(table) => table.renameChain('a', 'b'), { code: 'NFKIT_CHAIN_EXISTS' }],
      [(table) => table.newChain('a'), { code: 'NFKIT_CHAIN_EXISTS' }],
      [(table) => table.newChain('-a'), { name: 'TypeError' }],
      [(table) => table.newChain('DROP'), { name: 'TypeError' }],
      [(table) => table.newChain('x'.repeat(29)), { name: 'TypeError' }],
      [(table) => table.chain('a').setPolicy('DROP'), { code: 'NFKIT_BUILTIN_CHAIN_ONLY' }],
      [(table) => table.chain('INPUT').setPolicy('QUEUE' as never), { name: 'TypeError' }],
      [(table) => table.chain('INPUT').delete(2), { name: 'RangeError' }],
      [(table) => table.chain('INPUT').delete('-j b'), { code: 'NFKIT_NO_SUCH_RULE', message: /-j b/ }],
      [(table) => table.chain('INPUT').insert('-j b', 3), { name: 'RangeError' }],
      [(table) => table.chain('INPUT').append('-p tcp --dport 70000'), { code: 'NFKIT_BAD_RULE' }],
      [(table) => table.chain('INPUT').append({ name: 'x' } as never), { name: 'TypeError' }],
      [(table) => table.chain('INPUT').append({ counters: { packets: -1, bytes: 0 } }), { name: 'RangeError' }],
      // Only the kernel knows that TPROXY cannot be reached from INPUT of the filter table: here a size that no extension of it has.
      [(table) => table.chain('INPUT').append({ matches: [{ name: 'comment', revision: 0, opaque: new Uint8Array(8) }] }), { code: 'EINVAL', syscall: 'setsockopt' }],
      [(table) => table.chain('INPUT').append({ matches: [{ name: 'nosuchmatch', revision: 0, opaque: new Uint8Array(8) }] }), { code: 'ENOENT', syscall: 'setsockopt' }],
    ]
    for (const [change, error] of fails) {
      t.throws(() => nf.updateSync('filter', change), error as Error)
      await t.rejects(nf.update('filter', change), error as Error)
    }
    t.same(save(ns, family, '-c'), before)
    t.throws(() => nf.updateSync('a/b', () => {}), { name: 'TypeError' })
    t.throws(() => nf.updateSync('filter', undefined as never), { name: 'TypeError' })
  })
}

t.test('a change whose counters the kernel refuses was made, and the error says so', async (t) => {
  const { ns, nf } = fresh(t, 'ipv4')
  feed(ns, '*filter\n:INPUT ACCEPT [7:700]\n[5:500] -A INPUT -s 192.168.0.3 -j DROP\nCOMMIT\n', 'iptables-legacy-restore', '-c')
  // A program without the lock makes the table longer between the two calls: the kernel then takes no counters for it (do_add_counters, EINVAL).
  const { addCounters } = XtablesSocket.prototype
  t.teardown(() => { XtablesSocket.prototype.addCounters = addCounters })
  XtablesSocket.prototype.addCounters = function (...args) {
    run(ns, 'env', `XTABLES_LOCKFILE=${join(directory, 'another')}`, 'iptables-legacy', '-A', 'OUTPUT', '-j', 'ACCEPT')
    addCounters.apply(this, args)
  }
  const lost = {
    name: 'NfkitError', code: 'NFKIT_COUNTERS_LOST', committed: true, errno: 22, syscall: 'setsockopt',
    message: /^table filter has been changed, but its rules count from zero: .*EINVAL.*; the change stands, do not make it again$/,
  }
  const rules = () => save(ns, 'ipv4', '-c').filter((line) => line.includes(' -A INPUT'))
  t.throws(() => nf.updateSync('filter', (draft) => draft.chain('INPUT').append('-s 192.168.0.4 -j DROP')), lost)
  t.same(rules(), ['[0:0] -A INPUT -s 192.168.0.3/32 -j DROP', '[0:0] -A INPUT -s 192.168.0.4/32 -j DROP'], 'it stands')
  await t.rejects(nf.update('filter', (draft) => draft.chain('INPUT').append('-s 192.168.0.5 -j DROP')), lost)
  t.match(rules()[2], /192.168.0.5/)
  await t.rejects(nf.restore('*mangle\n:INPUT ACCEPT [0:0]\nCOMMIT\n*filter\n[3:300] -A INPUT -s 192.168.0.6 -j DROP\nCOMMIT\n*raw\n-A OUTPUT -j ACCEPT\nCOMMIT\n', { counters: true, flush: false }), lost)
  t.match(rules()[3], /^\[0:0\] .*192.168.0.6/, 'so does what a restore does, with the tables behind it')
  t.match(save(ns, 'ipv4', '-t', 'raw'), ['*raw', /PREROUTING/, /OUTPUT/, '-A OUTPUT -j ACCEPT', 'COMMIT'])
})

t.test('a draft is only good within its callback', async (t) => {
  const { nf } = fresh(t, 'ipv4')
  let kept: TableDraft | undefined
  const chain = await nf.update('filter', (table) => { kept = table; return table.chain('INPUT') })
  for (const use of [() => kept!.chains, () => kept!.chain('INPUT'), () => chain.append({}), () => chain.length, () => chain.policy, () => kept!.flush()]) {
    t.throws(use, { code: 'NFKIT_DRAFT_ENDED' })
  }
  nf.updateSync('filter', (table) => {
    const own = table.newChain('own')
    table.deleteChain('own')
    t.throws(() => own.append({}), { code: 'NFKIT_NO_SUCH_CHAIN' })
  })
})

t.test('a rule that was written with another revision is the same rule', async (t) => {
  const { nf } = fresh(t, 'ipv4')
  const text = '-m conntrack ! --ctstate NEW,ESTABLISHED -j ACCEPT'
  const environment = { family: 'ipv4', resolver: systemNames, kernelHas: (_kind: string, name: string, revision: number) => name !== 'conntrack' || revision < 3 } as const
  const { bytes } = parseRule(text.split(' '), environment).rules[0]!
  const input = inputOf(bytes)
  const match = extensionAt(input, entryLayouts.ipv4.size, bytes.length)
  t.equal(match.revision, 2)
  nf.updateSync('filter', (table) => {
    table.chain('INPUT').append({ matches: [{ name: 'conntrack', revision: 2, opaque: bytes.slice(match.start, match.start + match.size) }], target: { name: 'ACCEPT' } })
  })
  t.equal(nf.table('filter').inspect().entries[0]!.matches[0]!.revision, 2, 'it is in the table like that')
  nf.updateSync('filter', (table) => {
    const input = table.chain('INPUT')
    t.equal(input.find(text), 1)
    t.notOk(input.has('-m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT'))
    t.notOk(input.has('-m conntrack ! --ctstate NEW,ESTABLISHED -j DROP'))
    input.delete(text)
  })
  t.equal(nf.table('filter').chain('INPUT').length, 0)
})

t.test('inspect is what the kernel says', async (t) => {
  const { ns, nf } = fresh(t, 'ipv4')
  run(ns, 'iptables-legacy', '-N', 'own')
  run(ns, 'iptables-legacy', '-A', 'INPUT', '-p', 'tcp', '--dport', '80', '-j', 'own', '-c', '3', '4')
  const seen = nf.table('filter').inspect()
  const { info } = readTable(ns, 'ipv4', 'filter')
  t.match(seen, {
    name: 'filter', validHooks: ['INPUT', 'FORWARD', 'OUTPUT'], number: info.entries, size: info.size,
    hookEntries: { INPUT: info.hookEntries[1], FORWARD: info.hookEntries[2], OUTPUT: info.hookEntries[3] },
    underflows: { INPUT: info.underflows[1], FORWARD: info.underflows[2], OUTPUT: info.underflows[3] },
  })
  t.match(seen.entries[0], {
    number: 0, offset: 0, targetOffset: 112 + 48, nextOffset: 112 + 48 + 40, chain: 'INPUT', role: 'rule', comefrom: 2, nfcache: 0, counters: { packets: 3, bytes: 4 },
    matches: [{ name: 'tcp', revision: 0, size: 48 }], target: { name: '', revision: 0, size: 40, verdict: seen.entries[5]!.offset },
  })
  t.same(seen.entries.map(({ chain, role }) => [chain, role]), [
    ['INPUT', 'rule'], ['INPUT', 'policy'], ['FORWARD', 'policy'], ['OUTPUT', 'policy'], ['own', 'chain'], ['own', 'policy'], [undefined, 'end'],
  ])
  t.equal(seen.entries[4]!.target.errorName, 'own')
  JSON.stringify(seen)
})
