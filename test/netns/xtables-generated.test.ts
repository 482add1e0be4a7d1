// SPDX-License-Identifier: MIT
// Rules by chance, of all matches and targets, judged by iptables-legacy in batches. NFKIT_FUZZ is how many (then with another seed each
// time, unless NFKIT_FUZZ_SEED says which).

import fc, { SEED } from '../support/fast-check.js'
import t from 'tap'
import { Netns } from '../../lib/index.js'
import '../../lib/wire/xtables/extensions/index.js'
import { extensionNames } from '../../lib/wire/xtables/extension.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { RuleError } from '../../lib/wire/xtables/payload.js'
import { restoreText } from '../../lib/wire/xtables/restore.js'
import type { RuleEnvironment } from '../../lib/wire/xtables/rule.js'
import { saveTable } from '../../lib/wire/xtables/save.js'
import { assembleTable } from '../../lib/wire/xtables/assemble.js'
import { HOOKS, TableImage } from '../../lib/wire/xtables/table.js'
import { initialTable, type TableName } from '../../lib/wire/xtables/tables.js'
import { addAccounting, type Judged, judgeRules, systemNames, wordsOf } from '../support/xtables.js'
import { type Grammar, either, maybe, network, not, one, type Place, plain, series, type Words } from '../support/grammar.js'
import { ACCOUNTS, ESTIMATORS, MATCHES } from '../support/match-grammar.js'
import { TARGETS } from '../support/target-grammar.js'
import { feed, run } from '../support/outside.js'

const COUNT = Number(process.env['NFKIT_FUZZ'] ?? 600)

/** What needs something that is not in every kernel or namespace; each has tests of its own. */
const WITHOUT: Readonly<Record<string, string>> = {
  'match ipvs': 'IPVS in the kernel', 'match set': 'ipset', 'target SET': 'ipset', 'target LED': 'LEDs in the kernel', 'target SECMARK': 'SELinux', 'target CLONE': 'the module', 'target IDLETIMER': 'attributes of the whole machine',
}

const PLACES: readonly Place[] = (['ipv4', 'ipv6'] as const).flatMap((family) => ([
  ['filter', 'INPUT'], ['filter', 'FORWARD'], ['filter', 'OUTPUT'], ['mangle', 'PREROUTING'], ['mangle', 'FORWARD'], ['mangle', 'POSTROUTING'], ['raw', 'PREROUTING'], ['nat', 'PREROUTING'], ['nat', 'POSTROUTING'],
] as const).map(([table, chain]) => ({ family, table, chain })))

/** Protocols that a match or target may want, any of none. */
const PROTOCOLS = ['tcp', '6', 'udp', '17', 'sctp', 'dccp', 'udplite', 'icmp', 'icmpv6', 'ipv6-icmp', 'esp', 'ah', 'ipcomp', 'mh', '135', 'mobility-header']
const SIX_ONLY = ['icmpv6', 'ipv6-icmp', 'mh', '135', 'mobility-header']

const registered = new Set([...extensionNames('match'), ...extensionNames('target')])
const fits = (grammars: readonly Grammar[], place: Place, protocol: string) => grammars.filter(({ name, at, protocols }) => registered.has(name) && (at === undefined || at(place)) && (protocols === undefined || protocols.includes(protocol)))
const written = (letter: string, grammar: Grammar, place: Place): Words => series(fc.constant(grammar.with ?? ''), fc.constant(`-${letter} ${grammar.name}`), grammar.options?.(place) ?? fc.constant(''))

/** A rule with its protocol before what needs it; the rest in any order. */
function rule(place: Place): Words {
  const { family, chain } = place
  const protocols = PROTOCOLS.filter((name) => (family === 'ipv6' ? name !== 'icmp' : !SIX_ONLY.includes(name)))
  const device = either(plain(15), plain(14).map((name) => `${name}+`))
  return fc.tuple(fc.oneof({ weight: 1, arbitrary: fc.constant('') }, { weight: 3, arbitrary: one(...protocols) }), fc.boolean()).chain(([protocol]) => {
    // What wants this protocol more often than what wants none.
    const matches = fits(MATCHES, place, protocol)
    const wanting = matches.filter((grammar) => grammar.protocols !== undefined)
    const match = fc.oneof({ weight: 3, arbitrary: one(...matches) }, { weight: wanting.length === 0 ? 0 : 2, arbitrary: one(...(wanting.length === 0 ? matches : wanting)) }).chain((grammar) => written('m', grammar, place))
    const targets = fits(TARGETS, place, protocol)
    const verdicts = place.table === 'nat' ? ['-j ACCEPT', '-j RETURN', ''] : ['-j ACCEPT', '-j DROP', '-j RETURN', '']
    const target = fc.oneof({ weight: 2, arbitrary: one(...verdicts) }, { weight: 3, arbitrary: one(...targets).chain((grammar) => written('j', grammar, place)) })
    const before = [
      maybe(not(network(place).map((text) => `-s ${text}`))), maybe(not(network(place).map((text) => `-d ${text}`))),
      ...(chain === 'PREROUTING' || chain === 'INPUT' || chain === 'FORWARD' ? [maybe(not(device.map((name) => `-i ${name}`)))] : []),
      ...(chain === 'OUTPUT' || chain === 'POSTROUTING' || chain === 'FORWARD' ? [maybe(not(device.map((name) => `-o ${name}`)))] : []),
    ]
    return series(
      fc.shuffledSubarray(before).chain((list) => (list.length === 0 ? fc.constant('') : series(...list))), fc.constant(protocol === '' ? '' : `-p ${protocol}`),
      fc.array(match, { maxLength: 3 }).map((list) => list.join(' ')), target,
    )
  })
}

interface Finding { rule: string; what: string; ours: string; theirs: string }

/** The same rules by the ways that whole tables go: text to a block of rules, and a blob to text. */
function tableRoutes({ family, table, chain }: Place, judged: readonly Judged[]): Finding[] {
  const text = [`*${table}`, ...judged.map(({ rule }) => `-A ${chain} ${rule}`), 'COMMIT', ''].join('\n')
  const open = () => {
    const { info, blob } = initialTable(family, table as TableName)
    return new TableImage(family, info, blob)
  }
  const { image } = restoreText(text, { family, resolver: systemNames, open })[0]!
  const { blob, entries, hookEntries, underflows } = assembleTable(image, image.chains)
  const again = new TableImage(family, { ...image.info, entries, hookEntries, underflows, size: blob.length }, blob)
  const lines = saveTable(again, { family, table, resolver: systemNames }).split('\n').filter((line) => line.startsWith(`-A ${chain}`))
  const first = again.offsets.indexOf(hookEntries[HOOKS.indexOf(chain)]!)
  const { comefrom } = again.layout
  return judged.flatMap(({ rule, mine, theirPrint = '' }, i): Finding[] => {
    const bytes = blob.slice(again.offsets[first + i]!, again.offsets[first + i + 1]!)
    bytes.fill(0, comefrom, comefrom + 4)
    const ours = Buffer.from(bytes).toString('hex')
    return [
      ...(lines[i] === theirPrint ? [] : [{ rule, what: 'saved text', ours: lines[i] ?? '', theirs: theirPrint }]),
      // A rule without target holds the offset of the next.
      ...(ours === mine || !rule.includes(' -j ') ? [] : [{ rule, what: 'restored bytes', ours, theirs: mine }]),
    ]
  })
}

/** What differs. A batch that iptables refuses is halved until the rule stands alone. */
function differences(netns: Netns, place: Place, rules: readonly string[]): Finding[] {
  const { family, table, chain } = place
  let judged: Judged[]
  try { judged = judgeRules(netns, family, table, chain, rules) } catch (error) {
    if (rules.length === 1) return [{ rule: rules[0]!, what: 'refused', ours: 'taken', theirs: (error as Error).message.trim() }]
    const half = rules.length >> 1
    return [...differences(netns, place, rules.slice(0, half)), ...differences(netns, place, rules.slice(half))]
  }
  return [
    ...judged.flatMap(({ rule, mine, theirs, printed, theirPrint = '', value, again }): Finding[] => [
      ...(mine === theirs ? [] : [{ rule, what: 'bytes', ours: mine, theirs }]),
      ...(printed === theirPrint ? [] : [{ rule, what: 'text', ours: printed, theirs: theirPrint }]),
      ...(again === mine ? [] : [{ rule, what: `value ${JSON.stringify(value)}`, ours: again, theirs: mine }]),
    ]),
    ...tableRoutes(place, judged),
  ]
}

/** What is refused here must be refused there. */
function wronglyRefused(netns: Netns, { family, table, chain }: Place, rule: string, reason: string): Finding[] {
  try {
    feed(netns, `*${table}\n-F ${chain}\n-A ${chain} ${rule}\nCOMMIT\n`, family === 'ipv4' ? 'iptables-legacy-restore' : 'ip6tables-legacy-restore', '-n')
    return [{ rule, what: 'refused', ours: reason, theirs: 'taken' }]
  } catch { return [] }
}

t.test('every extension has a grammar', async (t) => {
  const known = new Set([...MATCHES.map(({ name }) => `match ${name}`), ...TARGETS.map(({ name }) => `target ${name}`), ...Object.keys(WITHOUT)])
  const names = [...extensionNames('match').map((name) => `match ${name}`), ...extensionNames('target').map((name) => `target ${name}`)]
  t.same(names.filter((name) => !known.has(name)), [])
})

t.test(`${COUNT} rules, seed ${SEED}`, async (t) => {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  for (const name of ACCOUNTS) addAccounting(netns, name)
  run(netns, 'iptables-legacy', '-t', 'security', '-N', 'estimators')
  for (const name of ESTIMATORS) run(netns, 'iptables-legacy', '-t', 'security', '-A', 'estimators', '-j', 'RATEEST', '--rateest-name', name, '--rateest-interval', '250ms', '--rateest-ewmalog', '500ms')
  const each = Math.ceil(COUNT / PLACES.length)
  const seen = new Map<string, number>()
  for (const [i, place] of PLACES.entries()) {
    const { family, table, chain } = place
    const environment: RuleEnvironment = { family, table, chain, resolver: systemNames }
    const good: string[] = []
    const found: Finding[] = []
    for (const text of fc.sample(rule(place), { numRuns: each, seed: SEED + i })) {
      try {
        parseRule(wordsOf(text), environment)
        good.push(text)
        for (const [, letter, name] of text.matchAll(/(?:^| )-([mj]) (\S+)/g)) seen.set(`${letter} ${name}`, (seen.get(`${letter} ${name}`) ?? 0) + 1)
      } catch (error) {
        if (!(error instanceof RuleError)) throw error
        found.push(...wronglyRefused(netns, place, text, error.message))
      }
    }
    found.push(...differences(netns, place, good))
    t.same(found, [], `${family} ${table} ${chain}: ${good.length} of ${each} rules taken`)
    t.ok(good.length > each / 2, `${family} ${table} ${chain}: most rules are no mistakes`)
  }
  t.comment([...seen].sort().map(([name, count]) => `${name} ${count}`).join(', '))
})

