// SPDX-License-Identifier: MIT
// /dev/nfkit: structs and numbers here are those of the header, as a C compiler sees it, for this machine and for 32 bits; nothing of
// the header is missing here.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../lib/package-root.js'
import * as constants from '../../lib/wire/module/constants.js'
import { HOOK_POINTS } from '../../lib/wire/module/hook-points.js'
import { MAX_OUTPUTS } from '../../lib/wire/module/names.js'
import { STRUCTS } from '../../lib/wire/module/structs.js'

const HEADER = join(packageRoot, 'kmod/uapi/nfkit.h')
const noHeader = !existsSync(HEADER) && 'the header is not here'
const noCompiler = spawnSync('cc', ['--version']).status !== 0 && 'no C compiler (cc) here'
const header = noHeader === false ? readFileSync(HEADER, 'utf8') : ''

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
  const all = [...header.matchAll(/^#define\s+(NFKIT_\w+)|^\s*(NFKIT_\w+)\s*=/gm)].map((match) => (match[1] ?? match[2])!)
  t.same(all.filter((name) => !isOfRecords(name)).sort(), Object.keys(NUMBERS).sort())
  t.equal(MAX_OUTPUTS, constants.LIMIT.maxOutputs)
  const structs = [...header.matchAll(/^struct (nfkit_\w+) \{([\s\S]*?)^\};/gm)].map(([, name, body]) => ({
    name, fields: [...body!.matchAll(/^\s+(?:struct )?\w+ (\w+)(?:\[\w+\])?;/gm)].map((match) => match[1]),
  }))
  t.same(structs.filter(({ name }) => !isOfRecords(name!)), STRUCTS.map(({ name, fields }) => ({ name, fields: Object.keys(fields) })))
})

/** What is wanted of every struct: its size, and offset and size of every field. */
const wanted = [
  ...STRUCTS.flatMap(({ name, size, fields }) => [`${name} ${size}`, ...Object.entries(fields).map(([field, place]) => `${name}.${field} ${place.offset} ${place.size}`)]),
  ...Object.entries(NUMBERS).map(([name, number]) => `${name} ${number}`),
]

const program = `#include <stddef.h>
#include <stdio.h>
#include "nfkit.h"
int main(void)
{
${STRUCTS.flatMap(({ name, fields }) => [
    `printf("${name} %zu\\n", sizeof(struct ${name}));`,
    ...Object.keys(fields).map((field) => `printf("${name}.${field} %zu %zu\\n", offsetof(struct ${name}, ${field}), sizeof(((struct ${name} *)0)->${field}));`),
  ]).join('\n')}
${Object.keys(NUMBERS).map((name) => `printf("${name} %u\\n", (unsigned int)${name});`).join('\n')}
return 0;
}
`

for (const [bits, flags] of [['64', []], ['32', ['-m32']]] as const) {
  t.test(`the header, ${bits} bits`, { skip: noHeader || noCompiler }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'nfkit-structs-'))
    t.teardown(() => rmSync(directory, { recursive: true, force: true }))
    const source = join(directory, 'structs.c')
    writeFileSync(source, program)
    const compiled = spawnSync('cc', [...flags, '-Wall', '-Werror', '-I', join(packageRoot, 'kmod/uapi'), '-o', join(directory, 'structs'), source], { encoding: 'utf8' })
    if (compiled.status !== 0 && bits === '32') return t.comment('the compiler has no 32-bit library')
    t.equal(compiled.status, 0, compiled.stderr)
    t.same(spawnSync(join(directory, 'structs'), { encoding: 'utf8' }).stdout.trim().split('\n'), wanted)
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
