// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'
import t from 'tap'
import { Netns, NfkitError } from '../../lib/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import '../../lib/wire/xtables/extensions/tcp.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import { printRule } from '../../lib/wire/xtables/rule.js'
import { assembleTable } from '../../lib/wire/xtables/assemble.js'
import { ruleAt, ruleCount, spliceRules, TableImage } from '../../lib/wire/xtables/table.js'
import { feed, run } from '../support/outside.js'
import { readTable, systemNames, wordsOf } from '../support/xtables.js'

const RULES = ['-s 10.0.0.1 -j ACCEPT', '-p tcp --dport 80 -j first', '-p tcp --syn -g second', '-i eth+', '-j DROP']

function setup(t: { teardown(f: () => void): void }, family: IpFamily) {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  const rules = RULES.map((rule) => (family === 'ipv6' ? rule.replace('10.0.0.1', '2001:db8::1') : rule))
  feed(netns, ['*filter', ':INPUT DROP [5:500]', ':first -', ':second -', ...['INPUT', 'FORWARD'].flatMap((chain) => rules.map((rule) => `-A ${chain} ${rule}`)),
    '-A first -j second', '-A second -p tcp -j RETURN', 'COMMIT', ''].join('\n'), family === 'ipv6' ? 'ip6tables-legacy-restore' : 'iptables-legacy-restore', '-c')
  return { netns, ...readTable(netns, family, 'filter') }
}

for (const family of ['ipv4', 'ipv6'] as const) {
  t.test(`${family}: a table that nobody changed is the same blob again`, async (t) => {
    const { netns, blob, info } = setup(t, family)
    const image = new TableImage(family, info, blob)
    t.same(image.chains.map((chain) => [chain.name, chain.policy, ruleCount(chain)]), [
      ['INPUT', 'DROP', 5], ['FORWARD', 'ACCEPT', 5], ['OUTPUT', 'ACCEPT', 0], ['first', 'RETURN', 1], ['second', 'RETURN', 1],
    ])
    const made = assembleTable(image, image.chains)
    const expected = blob.slice()
    for (let i = 0; i < info.entries; i++) {
      const at = image.offsets[i]!
      expected.fill(0, at + image.layout.comefrom, at + image.layout.comefrom + 4)
      expected.fill(0, at + image.layout.counters, at + image.layout.counters + 16)
    }
    t.equal(Buffer.from(made.blob).toString('hex'), Buffer.from(expected).toString('hex'))
    const valid = (offsets: readonly number[]) => offsets.filter((_, hook) => (info.validHooks & (1 << hook)) !== 0)
    t.same([made.entries, valid(made.hookEntries), valid(made.underflows)], [info.entries, valid(info.hookEntries), valid(info.underflows)])
    const lines = image.chains.flatMap((chain) => Array.from({ length: ruleCount(chain) }, (_, i) => {
      const rule = ruleAt(chain, i)
      return `-A ${chain.name}${printRule(typeof rule === 'number' ? image.rule(rule) : rule, { family, resolver: systemNames })}`
    }))
    t.same(lines, run(netns, family === 'ipv6' ? 'ip6tables-legacy-save' : 'iptables-legacy-save').split('\n').filter((line) => line.startsWith('-A')))
    t.same(image.countersOf(image.chains[0]!.policyEntry), { packets: 5n, bytes: 500n })
  })

  t.test(`${family}: a changed table is the blob that iptables makes of the same changes`, async (t) => {
    const { netns, blob, info } = setup(t, family)
    const image = new TableImage(family, info, blob)
    const rule = (text: string) => parseRule(wordsOf(text), { family, resolver: systemNames, isChain: (name) => image.chains.some((chain) => chain.name === name) }).rules[0]!
    const command = family === 'ipv6' ? 'ip6tables-legacy' : 'iptables-legacy'
    const input = image.chains[0]!
    const steps: [string[], () => void][] = [
      [['-A', 'INPUT', '-p', 'tcp', '-j', 'second'], () => spliceRules(input, ruleCount(input), 0, [rule('-p tcp -j second')])],
      [['-I', 'INPUT', '2', '-p', 'udp'], () => spliceRules(input, 1, 0, [rule('-p udp')])],
      [['-D', 'INPUT', '4'], () => spliceRules(input, 3, 1, [])],
      [['-R', 'FORWARD', '1', '-j', 'first'], () => spliceRules(image.chains[1]!, 0, 1, [rule('-j first')])],
      [['-D', 'first', '1'], () => spliceRules(image.chains[3]!, 0, 1, [])],
      [['-P', 'INPUT', 'ACCEPT'], () => { input.policy = 'ACCEPT' }],
    ]
    for (const [args, change] of steps) {
      run(netns, command, ...args)
      change()
      const theirs = readTable(netns, family, 'filter')
      const after = new TableImage(family, theirs.info, theirs.blob)
      const expected = assembleTable(after, after.chains)
      t.equal(Buffer.from(assembleTable(image, image.chains).blob).toString('hex'), Buffer.from(expected.blob).toString('hex'), args.join(' '))
    }
    t.equal(assembleTable(image, image.chains).origins.filter((origin) => origin < 0).length, 3 + 3, 'three new rules, and the ERROR entries')
    spliceRules(input, 0, 0, [{ ...rule('-j DROP'), chain: 'missing' }])
    t.throws(() => assembleTable(image, image.chains), { code: 'NFKIT_NO_SUCH_CHAIN' })
  })
}

t.test('a damaged blob is an error, never a crash', async (t) => {
  const { blob, info } = setup(t, 'ipv4')
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(blob.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }), (changes) => {
    const damaged = blob.slice()
    for (const [at, value] of changes) damaged[at] = value
    try {
      const image = new TableImage('ipv4', info, damaged)
      assembleTable(image, image.chains)
      for (const chain of image.chains) for (let i = 0; i < ruleCount(chain); i++) printRule(image.rule(ruleAt(chain, i) as number), { family: 'ipv4', resolver: systemNames })
    } catch (error) {
      if (!(error instanceof NfkitError)) throw error
    }
  }), { numRuns: 1000 })
})
