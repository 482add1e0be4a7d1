// SPDX-License-Identifier: MIT
// nfkit save, restore, rules and netfilter check, compared with iptables-legacy.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Netns } from '../../lib/index.js'
import { nfkit, nfkitJson, spawnNfkit } from '../support/cli.js'
import { feed, run } from '../support/outside.js'

t.setTimeout(300_000)

const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
process.env['XTABLES_LOCKFILE'] = join(directory, 'lock')
t.teardown(() => rmSync(directory, { recursive: true }))

function namespace(t: Test): Netns {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  return netns
}

const bare = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
const TEXT = '*filter\n:INPUT DROP [5:6]\n:web - [0:0]\n[1:2] -A INPUT -p tcp -m tcp --dport 80 -j web\n[9007199254740993:4] -A web -m comment --comment "no web" -j REJECT --reject-with icmp-port-unreachable\nCOMMIT\n*raw\n-A OUTPUT\nCOMMIT\n'

t.test('save', async (t) => {
  const netns = namespace(t)
  t.match(await nfkit(netns, ['save']), { status: 0, stdout: '', stderr: '' }, 'no table is there, none is made')
  feed(netns, TEXT, 'iptables-legacy-restore', '-c')
  for (const options of [[], ['-c'], ['-t', 'raw'], ['-c', '-t', 'filter']]) {
    const { status, stdout } = await nfkit(netns, ['save', ...options])
    t.equal(status, 0)
    t.same(bare(stdout), bare(run(netns, 'iptables-legacy-save', ...options)), options.join(' '))
  }
  const file = join(directory, 'saved')
  t.match(await nfkit(netns, ['save', '-c', '-f', file]), { status: 0, stdout: '' })
  t.same(bare(readFileSync(file, 'utf8')), bare(run(netns, 'iptables-legacy-save', '-c')))
  t.match(await nfkit(netns, ['save', '-4', '-6']), { status: 2, stderr: /--ipv4 and --ipv6/ })
  t.match(await nfkit(netns, ['save', '-t', 'no/such']), { status: 2, stderr: /--table: expected a table|table: expected/ })
  t.match(await nfkit(netns, ['save', '-t', 'nosuch']), { status: 1, stderr: /NFKIT_LEGACY_TABLES_MISSING/ })
  t.match(await nfkit(netns, ['save', '-f', join(directory, 'no', 'such')]), { status: 1, stderr: /ENOENT/ })
  feed(netns, '*filter\n-A INPUT -s 2001:db8::1 -j DROP\nCOMMIT\n', 'ip6tables-legacy-restore')
  t.same(bare((await nfkit(netns, ['save', '-6'])).stdout), bare(run(netns, 'ip6tables-legacy-save')))
})

t.test('restore', async (t) => {
  const netns = namespace(t)
  const file = join(directory, 'rules')
  writeFileSync(file, TEXT)
  t.match(await nfkit(netns, ['restore', '--test', file]), { status: 0, stdout: '', stderr: '' })
  t.equal(run(netns, 'cat', '/proc/net/ip_tables_names'), '', 'testing makes no table')
  t.match(await nfkit(netns, ['restore', '-c', file]), { status: 0, stdout: '', stderr: '' })
  const other = namespace(t)
  feed(other, TEXT, 'iptables-legacy-restore', '-c')
  const saved = () => bare(run(netns, 'iptables-legacy-save', '-c', '-t', 'filter'))
  t.same(saved(), bare(run(other, 'iptables-legacy-save', '-c', '-t', 'filter')))
  t.same(await nfkitJson(netns, 'restore', '-T', 'raw', file), { tables: ['raw'], test: false })
  writeFileSync(file, '*filter\n-A web -j ACCEPT\nCOMMIT\n')
  t.match(await nfkit(netns, ['restore', '-n', file]), { status: 0 })
  t.same(saved().slice(-2), ['[0:0] -A web -j ACCEPT', 'COMMIT'])
  t.match(await nfkit(netns, ['restore', file]), { status: 1, stderr: 'nfkit: line 2, column 1: there is no chain web in table filter (NFKIT_BAD_RESTORE)\n' })
  t.same(saved().slice(-2), ['[0:0] -A web -j ACCEPT', 'COMMIT'], 'nothing was applied')
  t.match(await nfkit(netns, ['restore', join(directory, 'nosuch')]), { status: 1, stderr: /ENOENT/ })
  t.match(await nfkit(netns, ['restore', file, file]), { status: 2 })
  // From standard input, as a process of its own; its -n is not the namespace.
  t.match(spawnNfkit(netns, ['restore', '-6', '-n'], { input: '*filter\n:INPUT DROP [0:0]\nCOMMIT\n' }), { status: 0, stdout: '', stderr: '' })
  t.match(run(netns, 'ip6tables-legacy-save'), /:INPUT DROP/)
})

t.test('rules', async (t) => {
  const netns = namespace(t)
  feed(netns, TEXT, 'iptables-legacy-restore', '-c')
  const { stdout } = await nfkit(netns, ['rules', '-t', 'filter'])
  t.match(stdout, /^filter INPUT, policy DROP \(5 packets, 6 bytes\)\n#  PACKETS  BYTES  RULE\n1        1      2  -p tcp -m tcp --dport 80 -j web\n\nfilter FORWARD, policy ACCEPT .*, no rules\n/)
  t.match(stdout, /\nfilter web\n.*\n1  9007199254740993      4  -m comment --comment "no web" -j REJECT --reject-with icmp-port-unreachable\n$/)
  const json = await nfkitJson(netns, 'rules', '--chain', 'web')
  t.same(json, [{ table: 'filter', name: 'web', rules: [{
    matches: [{ name: 'comment', comment: 'no web' }], target: { name: 'REJECT', with: 'icmp-port-unreachable' }, counters: { packets: '9007199254740993', bytes: '4' },
  }] }])
  t.same((await nfkitJson(netns, 'rules')).map((one: any) => `${one.table} ${one.name}`), ['raw PREROUTING', 'raw OUTPUT', 'filter INPUT', 'filter FORWARD', 'filter OUTPUT', 'filter web'])
  for (const where of [['-t', 'filter'], []]) t.match(await nfkit(netns, ['rules', ...where, '--chain', 'nosuch']), { status: 1, stderr: /NFKIT_NO_SUCH_CHAIN/ })
  t.match(await nfkit(netns, ['rules', '-t', 'nosuch']), { status: 1, stderr: /there are filter, nat, mangle, raw, security/ })
  t.same(await nfkitJson(netns, 'rules', '-6'), [])
})

t.test('netfilter check', async (t) => {
  const netns = namespace(t)
  run(netns, 'iptables-legacy', '-A', 'INPUT')
  const { status, stdout } = await nfkit(netns, ['netfilter', 'check'])
  t.equal(status, 0)
  t.match(stdout, /^ok +tables the kernel has legacy tables for ipv4; in use in this namespace: filter$/m)
  t.match(stdout, /^ok +lock +the lock .*lock can be taken$/m)
  t.match(await nfkitJson(netns, 'netfilter', 'check', '-6'), { family: 'ipv6', tables: [] })
})
