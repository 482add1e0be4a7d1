// SPDX-License-Identifier: MIT
// /dev/nfkit: structs and numbers here are those of the header, as a C compiler sees it, for this machine and for 32 bits; nothing of
// the header is missing here.

import t from 'tap'
import * as constants from '../../lib/wire/module/constants.js'
import { HOOK_POINTS } from '../../lib/wire/module/hook-points.js'
import { MAX_OUTPUTS } from '../../lib/wire/module/names.js'
import { STRUCTS } from '../../lib/wire/module/structs.js'
import { byName, compiledLayouts, header, headerNumbers, headerStructs, layouts, noCompiler, noHeader } from '../support/uapi.js'

/** Those of records have a file and a test of their own. */
const isOfRecords = (name: string) => /^NFKIT_(RECORD|PACKET|EVENT)_|^NFKIT_POINT_RULE$|^nfkit_(packet_|event_)?record$/.test(name)

const snake = (name: string) => name.replace(/[A-Z]+/g, (letters) => `_${letters}`).replaceAll('-', '_').toUpperCase()
const named = (prefix: string, values: Readonly<Record<string, number>>) => Object.entries(values).map(([name, value]) => [`${prefix}${snake(name)}`, value] as const)

/** Each number of the header, as it is here. */
const NUMBERS: Readonly<Record<string, number>> = Object.fromEntries([
  ...named('NFKIT_', constants.COMMAND), ...named('NFKIT_', constants.LIMIT), ...named('NFKIT_FEATURE_', constants.FEATURE), ...named('NFKIT_OUTPUT_', constants.OUTPUT_FLAG),
  ...named('NFKIT_TARGET_', constants.TARGET_FLAG), ...named('NFKIT_HOOK_', constants.HOOK_FLAG), ...named('NFKIT_VERDICT_', constants.VERDICT),
  ...named('NFKIT_FAMILY_', constants.FAMILY), ...Object.entries(constants.LINK).map(([name, value]) => [`NFKIT_LINK_${name}`, value] as const),
  ...named('NFKIT_POINT_', Object.fromEntries(Object.entries(HOOK_POINTS).map(([name, { number }]) => [name, number]))),
  ['NFKIT_IOCTL_TYPE', constants.COMMAND.info >> 8], ['NFKIT_OWN', constants.OWN], ['NFKIT_BPF_UNDECIDED', constants.BPF_UNDECIDED],
])

t.test('nothing of the header is missing', { skip: noHeader }, async (t) => {
  t.same(headerNumbers().filter((name) => !isOfRecords(name)).sort(), Object.keys(NUMBERS).sort())
  t.equal(MAX_OUTPUTS, constants.LIMIT.maxOutputs)
  t.same(headerStructs().filter(({ name }) => !isOfRecords(name)), byName(STRUCTS.map(({ name, fields }) => ({ name, fields: Object.keys(fields) }))))
})

for (const [bits, flags] of [['64', []], ['32', ['-m32']]] as const) {
  t.test(`the header, ${bits} bits`, { skip: noHeader || noCompiler }, async (t) => {
    const found = compiledLayouts(STRUCTS, NUMBERS, flags)
    if ('complaints' in found && bits === '32') return t.comment('the compiler has no 32-bit library')
    t.same(found, { lines: layouts(STRUCTS, NUMBERS) })
  })
}

t.test('the matrix of hook points', { skip: noHeader }, async (t) => {
  const comment = /\* Where a hook is\.\n([\s\S]*?)\*\//.exec(header)![1]!
  const rows = [...comment.matchAll(/^ \* ([A-Z_]+)\s+([xX-])\s+([xX-])\s+([xX-])\s+([xX-])\s+(RAW(?: EN10MB)?)\s+([x-])\s+([x-])\s+([x-])$/gm)]
  const presence = (mark: string | undefined) => ({ x: 'may', X: 'must', '-': 'never' })[mark!]
  const table = rows.map(([, name, input, output, physIn, physOut, links, queue, mark, reroute]) => [name!.toLowerCase().replaceAll('_', '-'), {
    in: presence(input), out: presence(output), physIn: presence(physIn), physOut: presence(physOut), links: links!.split(' '),
    queue: queue === 'x', mark: mark === 'x', reroute: reroute === 'x',
  }])
  t.equal(table.length, 12)
  t.match(comment, /families IPv4 and\s+\* IPv6 are chosen at the first five points, and must be 0 at the others/)
  t.same(Object.fromEntries(Object.entries(HOOK_POINTS).map(([name, { number: _, families: __, ...rest }]) => [name, rest])), Object.fromEntries(table))
  t.same(Object.values(HOOK_POINTS).map(({ families }) => families), table.map((_, i) => i < 5))
})
