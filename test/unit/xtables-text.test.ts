// SPDX-License-Identifier: MIT
// The text format without a kernel: words, where errors are, the two ways from text to bytes, and hostile text.

import fc from '../support/fast-check.js'
import t from 'tap'
import { NfkitError } from '../../lib/errors.js'
import '../../lib/wire/xtables/extensions/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { parseCommand } from '../../lib/wire/xtables/parse.js'
import type { Resolver } from '../../lib/wire/xtables/payload.js'
import { RestoreError, type RestoreOptions, restoreText } from '../../lib/wire/xtables/restore.js'
import { RestoreTable } from '../../lib/wire/xtables/restore-table.js'
import { RuleReader } from '../../lib/wire/xtables/rule-reader.js'
import { saveTable } from '../../lib/wire/xtables/save.js'
import { assembleTable } from '../../lib/wire/xtables/assemble.js'
import { type NewRule, ruleAt, TableImage } from '../../lib/wire/xtables/table.js'
import { initialTable, type TableName } from '../../lib/wire/xtables/tables.js'
import { splitWords } from '../../lib/wire/xtables/words.js'

const RUNS = Number(process.env['NFKIT_FUZZ'] ?? 2000)
if (process.env['NFKIT_FUZZ'] !== undefined) t.setTimeout(0)

const resolver: Resolver = {
  servicePort: (name) => (name === 'http' ? 80 : undefined), protocolNumber: () => undefined, protocolName: () => undefined,
  hostAddresses: (name) => (name === 'two' ? [Uint8Array.of(1, 2, 3, 4), Uint8Array.of(1, 2, 3, 5)] : []),
  userId: () => undefined, userName: () => undefined, groupId: () => undefined, groupName: () => undefined, lookup: () => undefined, lookupName: () => undefined,
}
const open = (family: IpFamily) => (name: string): TableImage => {
  if (!['filter', 'nat', 'mangle', 'raw', 'security'].includes(name)) throw new NfkitError('NFKIT_LEGACY_TABLES_MISSING', `no table ${name}`)
  const { info, blob } = initialTable(family, name as TableName)
  return new TableImage(family, info, blob)
}
const restore = (text: string, more: Partial<RestoreOptions> = {}) => restoreText(text, { family: 'ipv4', resolver, open: open(more.family ?? 'ipv4'), ...more })
/** What iptables-save would print of a filter table after the text. */
function saved(text: string, more: Partial<RestoreOptions> = {}): string[] {
  const { image } = restore(text, more)[0]!
  const { blob, entries, hookEntries, underflows } = assembleTable(image, image.chains)
  const again = new TableImage(image.family, { ...image.info, entries, hookEntries, underflows, size: blob.length }, blob)
  return saveTable(again, { family: image.family, resolver }).split('\n').slice(1, -2)
}
const filter = (...lines: string[]) => ['*filter', ...lines, 'COMMIT', ''].join('\n')

t.test('words', async (t) => {
  const cases: [string, string[]][] = [
    ['-A INPUT  -j\tDROP', ['-A', 'INPUT', '-j', 'DROP']], ['"a b" c', ['a b', 'c']], ['a"b"c', ['ab', 'c']], ['"a\\"b\\\\c"', ['a"b\\c']], ['a\\ b', ['a\\', 'b']],
    ['"" x', ['', 'x']], ['x "', ['x']], ['x "open end', ['x', 'open end']], ['', []], ['  ', []], ['"a""b"', ['a', 'b']], ['"a\\', ['a']],
  ]
  for (const [text, words] of cases) t.same(splitWords(text).words, words, text)
  t.same(splitWords('a  "b c" d').starts, [0, 3, 9])
  t.throws(() => splitWords('x '.repeat(251)), { code: 'NFKIT_BAD_RULE' })
  t.throws(() => splitWords('x'.repeat(1023)), { code: 'NFKIT_BAD_RULE' })
  t.same(splitWords('x'.repeat(1022)).words.length, 1)
})

t.test('where an error is', async (t) => {
  const cases: [text: string, line: number, column: number, reason: RegExp][] = [
    [filter('-A INPUT -j ACCEPT', '-A INPUT --nosuch'), 3, 10, /unknown option "--nosuch"/],
    [filter('-A INPUT -p tcp --dport 99999 -j ACCEPT'), 2, 25, /--dport|99999/],
    [filter('-A NOSUCH -j ACCEPT'), 2, 1, /no chain NOSUCH/], [filter('-A INPUT -j nosuch'), 2, 1, /no chain nosuch/], [filter('-A INPUT -j INPUT'), 2, 1, /built-in chain/],
    ['filter\n', 1, 1, /outside of a table/], ['# c\n\n-A INPUT\n', 3, 1, /outside of a table/], ['*filter\n', 2, 1, /COMMIT is missing/], ['*filter\nCOMMIT \n', 2, 1, /"COMMIT" is no option/],
    ['* \n', 1, 1, /a table needs a name/], [filter(':INPUT'), 2, 7, /needs a policy/], [filter(':INPUT MAYBE [0:0]'), 2, 8, /ACCEPT or DROP/], [filter(':mine ACCEPT'), 2, 7, /not a built-in chain/],
    [filter(':mine - [0:0]', ':mine - [0:0]'), 3, 2, /already/], [filter(`:${'x'.repeat(29)} - [0:0]`), 2, 2, /at most 28 bytes/], [filter('-t nat -A INPUT'), 2, 1, /names the table/],
    [filter('-A INPUT -A INPUT'), 2, 10, /together with -A/], [filter('   '), 2, 1, /no command/], [filter('-F INPUT -s 1.2.3.4'), 2, 1, /does not take -s/],
    [filter('-N a', '-A INPUT -j a', '-X a'), 4, 1, /lead to chain a/], [filter('-N a', '-A a', '-X a'), 4, 1, /has rules/], [filter('-D INPUT 1'), 2, 1, /no number 1/],
    [filter('-I INPUT 2'), 2, 1, /number 2/], [filter('-R INPUT'), 2, 4, /needs the number/], [filter('-E a b'), 2, 1, /no user's chain a/], [filter('-C INPUT -j DROP'), 2, 1, /no such rule/],
    [filter('-N LOG'), 2, 1, /name of a target/], [filter('-N -x'), 2, 1, /begin with "-"/], [filter('[1:2 -A INPUT'), 2, 1, /expected \]/], [filter('-L'), 2, 1, /cannot be given here/],
    [filter(`-A INPUT -m comment --comment "${'x'.repeat(11000)}"`), 2, 1, /a line of \d+ bytes/], ['*filter\n-A INPUT \0', 2, 10, /NUL/], [filter('-w 5 -A INPUT'), 2, 1, /cannot be given here/],
    ['*nat\n-A PREROUTING -j DROP\nCOMMIT\n', 2, 18, /not for filtering/], [filter('-A INPUT -s two ! -d 1.2.3.4'), 2, 1, /several addresses/],
  ]
  for (const [text, line, column, reason] of cases) {
    try {
      restore(text)
      t.fail(`accepted: ${text}`)
    } catch (error) {
      t.ok(error instanceof RestoreError, text)
      const { line: atLine, column: atColumn, reason: why } = error as RestoreError
      t.same([atLine, atColumn], [line, column], `${text}: ${why}`)
      t.match(why, reason)
    }
  }
  t.throws(() => restore(filter(':INPUT ACCEPT 5:5'), { counters: true }), { code: 'NFKIT_BAD_RESTORE', line: 2, column: 15 })
  t.throws(() => restore(filter('[99999999999999999999:0] -A INPUT'), { counters: true }), { code: 'NFKIT_BAD_RESTORE' })
  t.throws(() => restore('*nosuch\nCOMMIT\n'), { code: 'NFKIT_LEGACY_TABLES_MISSING' })
})

t.test('commands, one after the other', async (t) => {
  t.same(saved(filter(
    ':INPUT DROP [0:0]', '-N zeta', '-N alpha', '-A INPUT -j zeta', '-A INPUT -s 1.1.1.1', '-I INPUT -p udp -j DROP', '-I INPUT 2 -g alpha', '-A INPUT -s 2.2.2.2,3.3.3.3 -j DROP', '-I alpha -s 4.4.4.4,5.5.5.5',
    '-R INPUT 4 -s 1.1.1.1 -j RETURN', '-D INPUT -p udp -j DROP', '-E zeta beta', '-A FORWARD', '-F FORWARD', '-P OUTPUT DROP', '-C INPUT -j beta',
  )), [
    ':INPUT DROP [0:0]', ':FORWARD ACCEPT [0:0]', ':OUTPUT DROP [0:0]', ':alpha - [0:0]', ':beta - [0:0]',
    '-A INPUT -g alpha', '-A INPUT -j beta', '-A INPUT -s 1.1.1.1/32 -j RETURN', '-A INPUT -s 2.2.2.2/32 -j DROP', '-A INPUT -s 3.3.3.3/32 -j DROP', '-A alpha -s 5.5.5.5/32', '-A alpha -s 4.4.4.4/32',
  ])
  t.same(saved('*raw\n-A OUTPUT\nCOMMIT\n*filter\n-4 -A INPUT -j DROP\n-6 -A INPUT --nosuch\nCOMMIT\n', { only: (name) => name === 'filter' }).slice(3), ['-A INPUT -j DROP'])
  const tables = restore('*raw\nCOMMIT\n# two\n*filter\nCOMMIT\n*raw\n:OUTPUT DROP\nCOMMIT')
  t.same(tables.map((table) => table.name), ['raw', 'filter'])
})

/** Rules in the spelling of iptables-save, and others. */
const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(40)).map(([a, b, length]) => `${a}.${b}.0.1/${length}`)
const part = fc.oneof(
  fc.tuple(fc.constantFrom('-s', '-d', '! -s', '! -d', '-s ', '--source'), address).map((words) => words.join(' ')),
  fc.constantFrom('-p tcp', '-p udp', '! -p tcp', '-p 6', '-p TCP', '-i eth0', '-o eth+', '! -i lo', '-f', '! -f', '-p icmp', '-p all', '-i', '!', '-iZ', '-ptcp'),
  fc.constantFrom('-m tcp --dport 80', '-m tcp --sport 1:2 --dport http', '--dport 80', '! --dport 80', '-m tcp ! --syn', '-m udp --dport 53', '-m comment --comment "a b"', '-m comment --comment a', '-m comment --comment "a -j b"',
    '-m comment --comment "x\\"y"', '-m multiport --dports 1,2:3', '-m conntrack --ctstate NEW,ESTABLISHED', '-m mark --mark 0x1/0xff', '-m state --state NEW', '-m tcp --dpo 80', '-m comment --comment x --dport 8', '-m length --length 1:2',
    '-m tcp --tcp-flags SYN,ACK SYN', '-m tcp --dport 1 --dport 2', '-m nosuch', '-m comment --comment ""', '-m comment --comment "open', '-m  tcp', '-m tcp\t--dport 80'),
  fc.constantFrom('-j ACCEPT', '-j DROP', '-j mine', '-g mine', '-j INPUT', '-j LOG --log-prefix "new -m "', '-j REJECT', '-j REJECT --reject-with tcp-reset', '-j nosuch', '-g nosuch', '-j MARK --set-xmark 0x1/0xffffffff', '-j', '-j LOG -m tcp'),
)

t.test('the short way and the long way make the same bytes', async (t) => {
  let short = 0
  fc.assert(fc.property(fc.constantFrom<IpFamily>('ipv4', 'ipv6'), fc.constantFrom<TableName>('filter', 'nat', 'mangle'), fc.constantFrom('INPUT', 'OUTPUT', 'mine'), fc.array(part, { maxLength: 5 }), (family, name, chain, parts) => {
    const table = new RestoreTable(open(family)(name))
    table.create('mine')
    const environment = { family, resolver, table: name, isChain: (one: string) => table.chain(one) !== undefined }
    const text = `${chain}${parts.map((one) => ` ${one}`).join('')}`
    if (!new RuleReader(table, environment).append(text, 0, text.length, undefined)) return
    short++
    const { rules } = parseCommand(splitWords(`-A ${text}`).words, environment)!
    const mine = ruleAt(table.chain(chain)!, 0) as NewRule
    if (rules.length !== 1 || rules[0]!.chain !== mine.chain || Buffer.compare(rules[0]!.bytes, mine.bytes) !== 0) {
      throw new Error(`${text}: ${Buffer.from(mine.bytes).toString('hex')} ${mine.chain}, the long way ${Buffer.from(rules[0]!.bytes).toString('hex')} ${rules[0]!.chain}`)
    }
  }), { numRuns: Math.max(RUNS, 4000) })
  t.ok(short > 200, `${short} went the short way`)
})

t.test('a table written in its place is the same as one put together', async (t) => {
  const chains = [':INPUT ACCEPT [0:0]', ':FORWARD DROP [0:0]', ':OUTPUT ACCEPT [0:0]', ':a - [0:0]', ':b - [0:0]', ':c - [0:0]']
  // A chain out of its turn: all that follows is copied.
  const outOfTurn = ['-A c -j DROP', '-D c 1', '-A b -j DROP', '-D b 1']
  const blobOf = (family: IpFamily, lines: readonly string[]) => {
    const { image } = restore(filter(...lines), { family })[0]!
    return Buffer.from(assembleTable(image, image.chains).blob)
  }
  const command = fc.tuple(fc.constantFrom('-A', '-A', '-A', '-A', '-I', '-D', '-R'), fc.constantFrom('INPUT', 'FORWARD', 'OUTPUT', 'a', 'b', 'c'), fc.constantFrom('-j ACCEPT', '-j c', '', '-p tcp -m tcp --dport 80 -g c', '-m comment --comment x -j DROP'))
  fc.assert(fc.property(fc.constantFrom<IpFamily>('ipv4', 'ipv6'), fc.array(command, { maxLength: 12 }), fc.boolean(), (family, commands, inTurn) => {
    const order = (name: string) => chains.findIndex((line) => line.startsWith(`:${name} `))
    const all = inTurn ? [...commands].sort((x, y) => order(x[1]) - order(y[1])) : commands
    const counts = new Map<string, number>()
    const lines = all.flatMap(([name, chain, rule]) => {
      const count = counts.get(chain) ?? 0
      if (name === '-A' || name === '-I') counts.set(chain, count + 1)
      else if (count === 0) return []
      else if (name === '-D') counts.set(chain, count - 1)
      const leadsToC = rule === '-j c' || rule.endsWith('-g c')
      return [name === '-D' ? `-D ${chain} 1` : `${name} ${chain} ${name === '-R' ? '1 ' : ''}${chain === 'c' && leadsToC ? '-j DROP' : rule}`]
    })
    if (Buffer.compare(blobOf(family, [...chains, ...lines]), blobOf(family, [...chains, ...outOfTurn, ...lines])) !== 0) throw new Error(lines.join('\n'))
  }), { numRuns: RUNS })
  // More than a block has room for at first, the rules behind it larger than those before.
  const many = Array.from({ length: 9000 }, (_, i) => `-A ${i < 3000 ? 'INPUT' : i < 6000 ? 'a' : 'b'} -s 10.0.${i >> 8}.${i & 255}/32 ${i < 4000 ? '' : '-m comment --comment x -m comment --comment y '}-j ${i % 3 === 0 ? 'c' : 'ACCEPT'}`)
  t.equal(Buffer.compare(blobOf('ipv4', [...chains, ...many]), blobOf('ipv4', [...chains, ...outOfTurn, ...many])), 0, 'thousands of rules')
})

const SAMPLE = filter(
  ':INPUT ACCEPT [5:500]', ':FORWARD DROP [0:0]', ':mine - [0:0]', ':other - [0:0]', '[1:2] -A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j mine', '-A mine -m comment --comment "a \\"b\\" c" -j RETURN', '-I INPUT 1 -i eth0 -j other',
  '-D INPUT 2', '-R INPUT 1 -j DROP', '-F mine', '-N new', '-X new', '-E other another', '-P FORWARD ACCEPT', '-Z', '-C INPUT -j DROP', '-A INPUT -m multiport -p udp --dports 1,2,3:4 -j LOG --log-prefix "x y"',
)

t.test('hostile text: applied or refused with a typed error, never anything else', async (t) => {
  const pieces = SAMPLE.split(/(?<=[ \n])/)
  const mutation = fc.tuple(fc.nat(SAMPLE.length), fc.constantFrom('delete', 'insert', 'copy', 'piece'), fc.oneof(fc.string({ maxLength: 8, unit: 'binary' }), fc.constantFrom(...pieces, '"', '\\', '!', '-', '\n', '[', ':', '*', '\0', '\r', '\u{1f600}', '\ud800')), fc.nat(40))
  let applied = 0
  fc.assert(fc.property(fc.array(mutation, { minLength: 1, maxLength: 6 }), fc.boolean(), fc.boolean(), fc.constantFrom<IpFamily>('ipv4', 'ipv6'), (mutations, counters, flush, family) => {
    let text = SAMPLE
    for (const [at, kind, insert, length] of mutations) {
      const end = Math.min(at, text.length)
      text = kind === 'delete' ? text.slice(0, end) + text.slice(end + length) : kind === 'copy' ? text.slice(0, end + length) + text.slice(end) : text.slice(0, end) + insert + text.slice(end)
    }
    try {
      for (const { image } of restore(text, { family, counters, flush })) {
        saveTable(image, { family, resolver }, true)
        assembleTable(image, image.chains)
      }
      applied++
    } catch (error) {
      if (!(error instanceof NfkitError)) throw error
      if (error instanceof RestoreError && (error.line < 1 || error.column < 1)) throw new Error(`line ${error.line}, column ${error.column}`)
    }
  }), { numRuns: RUNS })
  t.ok(applied > 0, `${applied} of ${RUNS} were still good`)
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
    try { restore(`*filter\n${text}\nCOMMIT\n`) } catch (error) { if (!(error instanceof NfkitError)) throw error }
  }), { numRuns: RUNS })
})
