// SPDX-License-Identifier: MIT
// The structs of /dev/nfkit: offsets, sizes and numbers as a C compiler sees them in the header, for this machine and for 32 bits.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot } from '../../lib/package-root.js'
import { MAX_OUTPUTS } from '../../lib/wire/module/names.js'
import * as structs from '../../lib/wire/module/structs.js'
import { decodeTargetGet, encodeTargetGet, encodeTargetSet } from '../../lib/wire/module/target.js'

const { FEATURE, OUTPUT_FLAG, OUTPUT_STATE, STATS, Struct, STRUCTS, TARGET_FLAG, TARGET_GET } = structs

const noCompiler = spawnSync('cc', ['--version']).status !== 0 && 'no C compiler (cc) here'

/** Each constant of the header, and what it is here. */
const NUMBERS: Readonly<Record<string, number>> = {
  NFKIT_INFO: structs.NFKIT_INFO, NFKIT_TARGET_SET: structs.NFKIT_TARGET_SET, NFKIT_TARGET_DELETE: structs.NFKIT_TARGET_DELETE,
  NFKIT_TARGET_GET: structs.NFKIT_TARGET_GET, NFKIT_TARGET_LIST: structs.NFKIT_TARGET_LIST,
  NFKIT_TARGET_PERSISTENT: TARGET_FLAG.persistent, NFKIT_TARGET_CREATE: TARGET_FLAG.create, NFKIT_TARGET_REROUTE: TARGET_FLAG.reroute,
  NFKIT_TARGET_RANDOM: TARGET_FLAG.random, NFKIT_TARGET_OWN: TARGET_FLAG.own, NFKIT_OUTPUT_VLAN: OUTPUT_FLAG.vlan, NFKIT_OUTPUT_DESTINATION: OUTPUT_FLAG.destination,
  NFKIT_FEATURE_TARGETS: FEATURE.targets, NFKIT_FEATURE_REROUTE: FEATURE.reroute, NFKIT_FEATURE_DEVICES: FEATURE.devices, NFKIT_FEATURE_SAMPLE: FEATURE.sample,
  NFKIT_MAX_OUTPUTS: MAX_OUTPUTS, NFKIT_NAME_SIZE: 32, NFKIT_DEVICE_SIZE: 16,
}

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
  t.test(`the header, ${bits} bits`, { skip: noCompiler }, async (t) => {
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

t.test('a definition in bytes, and as it is told', async (t) => {
  const { set, outputs } = encodeTargetSet('a', {
    devices: [{ device: 'eth0' }, { device: 'eth1', vlan: { id: 5, priority: 7, protocol: '802.1ad' }, destination: '02:00:00:00:00:01' }],
    reroute: 0xffffffff, sample: 10, random: true,
  }, { persistent: true, create: false })
  t.equal(Buffer.from(set).toString('hex'), `48000000${'0d000000'}61${'00'.repeat(31)}ffffffff0a0000000200000020000000${'00'.repeat(8)}`)
  t.equal(Buffer.from(outputs).toString('hex'), `${Buffer.from('eth0').toString('hex')}${'00'.repeat(28)}${Buffer.from('eth1').toString('hex')}${'00'.repeat(12)}03000000a88805e0020000000001${'0000'}`)
  const { get, outputs: states } = encodeTargetGet('a', 2)
  const answer = new Struct(TARGET_GET, get).set('flags', 0x1000d).set('mark', 0xffffffff).set('sample', 10).set('output_count', 2).set('rules', 3)
  new Struct(STATS, get, answer.offset('stats')).set('sent', 2 ** 40)
  for (let i = 0; i < 2; i++) states.set(outputs.subarray(32 * i, 32 * (i + 1)), i * OUTPUT_STATE.size)
  new Struct(OUTPUT_STATE, states, OUTPUT_STATE.size).set('ifindex', 7)
  t.match(decodeTargetGet(get, states), {
    name: 'a', persistent: true, rules: 3, reroute: 0xffffffff, sample: 10, random: true, sent: 2 ** 40, noTarget: 0,
    devices: [{ device: 'eth0', index: null, sent: 0 }, { device: 'eth1', index: 7, vlan: { id: 5, priority: 7, protocol: '802.1ad' }, destination: '02:00:00:00:00:01' }],
  })
})
