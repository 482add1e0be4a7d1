// SPDX-License-Identifier: MIT
// The example of docs/extensions.md: it is the file that is tested here, and the kernel takes what it makes.

import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { Netfilter, NetfilterRule, Netns } from '../../lib/index.js'
import '../support/l2tp-match.js'

const root = new URL('../../../', import.meta.url)
const guide = new URL('docs/extensions.md', root)

t.test('the guide shows the file', { skip: !existsSync(guide) && 'no sources here' }, async (t) => {
  const shown = /```ts\n([^]*?)```/.exec(readFileSync(guide, 'utf8'))![1]!
  const file = readFileSync(new URL('test/support/l2tp-match.ts', root), 'utf8').split('\n').slice(1).join('\n')
  t.equal(shown, file.replaceAll('../../lib/netfilter/extension.js', 'nfkit/extension'))
  const { exports } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
  t.equal(exports['./extension'].types, './dist/lib/netfilter/extension.d.ts')
  t.ok(shown.split('\n').filter((line) => line.trim() !== '' && !/^\s*(\/\/|\/?\*)/.test(line)).length < 40, 'under 40 lines of code')
})

t.test('values, text and bytes', async (t) => {
  t.same(NetfilterRule.parse('-p udp -m l2tp --tid 8 --type data -j DROP'), {
    protocol: 'udp', matches: [{ name: 'l2tp', tunnel: 8, type: 'data' }], target: { name: 'DROP' },
  })
  t.equal(NetfilterRule.format({ protocol: 'udp', matches: [{ name: 'l2tp', session: 0xffffffff, version: 3 }] }), '-p udp -m l2tp --sid 4294967295 --pversion 3')
  for (const [text, error] of [
    ['-m l2tp --tid 1', /-p udp/], ['-p udp -m l2tp', /missing/], ['-p udp -m l2tp --tid 65536 --pversion 2', /65535/], ['-p udp -m l2tp --tid 1 --tid 2', /twice/],
    ['-p udp -m l2tp ! --tid 1', /negated/], ['-p udp -m l2tp --pversion 4 --tid 1', /from 2 to 3/],
  ] as const) t.throws(() => NetfilterRule.parse(text), { code: 'NFKIT_BAD_RULE', message: error })
})

t.test('the kernel takes it, and refuses what the check refuses', async (t) => {
  const ns = Netns.create()
  const nf = Netfilter.open({ netns: ns, lock: 'off' })
  t.teardown(() => { nf.close(); ns.close() })
  const kernelHas = nf.supported().matches.find((one) => one.name === 'l2tp')
  if (kernelHas === undefined) return t.comment('this kernel has no xt_l2tp')
  t.same(kernelHas, { name: 'l2tp', revisions: [0], typed: [0] })
  nf.updateSync('raw', (table) => {
    table.chain('PREROUTING').append({ protocol: 'udp', matches: [{ name: 'l2tp', tunnel: 7, version: 2 }], target: { name: 'DROP' } })
    table.chain('PREROUTING').append('-p udp -m l2tp --tid 8 --type data -j DROP')
  })
  t.same(nf.table('raw').chain('PREROUTING').rules.map((rule) => rule.matches), [[{ name: 'l2tp', tunnel: 7, version: 2 }], [{ name: 'l2tp', tunnel: 8, type: 'data' }]])
  // The same struct without what the check asks for: the kernel's own check (l2tp_mt_check) knows it by the same fields.
  const bad = new Uint8Array(16)
  bad.set([0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1 | 4])
  t.throws(() => nf.updateSync('raw', (table) => { table.chain('PREROUTING').append({ protocol: 'udp', matches: [{ name: 'l2tp', revision: 0, opaque: bad }] }) }), { code: 'EINVAL' })
})
