// SPDX-License-Identifier: MIT
// Many programs change one table at once, half of them nfkit and half iptables-legacy: no rule and no counter is lost. Four of 50
// updates each; NFKIT_WRITERS=long makes it eight of 200.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Netns } from '../../lib/index.js'
import { run, tryRun } from '../support/outside.js'

const [WRITERS, UPDATES] = process.env['NFKIT_WRITERS'] === 'long' ? [8, 200] : [4, 50]
const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
process.env['XTABLES_LOCKFILE'] = join(directory, 'lock')
t.teardown(() => rmSync(directory, { recursive: true }))
const program = fileURLToPath(new URL('../support/netfilter-writer.js', import.meta.url))

interface Writer { ready: Promise<unknown>; ended: Promise<string>; kill: () => void }

function start(command: string, ...args: string[]): Writer {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const ended = new Promise<string>((resolve) => { child.once('close', (code, signal) => resolve(`${signal ?? code} ${stderr}`.trim())) })
  return { ready: Promise.race([new Promise((resolve) => { child.stdout.once('data', resolve) }), ended]), ended, kill: () => { child.kill('SIGKILL') } }
}

const nfkit = (ns: Netns, name: string, updates: number, block: number) => start(process.execPath, program, ns.path, name, String(updates), String(block))
const iptables = (ns: Netns, name: string, updates: number) => start('nsenter', `--net=${ns.path}`, '--', 'sh', '-c',
  `i=0; while [ $i -lt ${updates} ]; do iptables-legacy -w -A INPUT -m comment --comment ${name}-$i-0 -c $((i+1)) $((i+1))00 || exit 1; i=$((i+1)); done`)

/** The rules of INPUT as "[packets:bytes] comment". */
const rules = (ns: Netns) => [...run(ns, 'iptables-legacy-save', '-c', '-t', 'filter').matchAll(/^(\[\d+:\d+\]) -A INPUT -m comment --comment (\S+)/gm)].map(([, counters, comment]) => `${counters} ${comment}`)

t.test('every rule of every writer is there, with its counters', async (t) => {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  const names = Array.from({ length: WRITERS }, (_, i) => `w${i}`)
  const writers = names.map((name, i) => (i % 2 === 0 ? nfkit(ns, name, UPDATES, 1) : iptables(ns, name, UPDATES)))
  t.teardown(() => { for (const writer of writers) writer.kill() })
  t.same(await Promise.all(writers.map((writer) => writer.ended)), names.map(() => '0'))
  const found = rules(ns)
  const wanted = names.flatMap((name) => Array.from({ length: UPDATES }, (_, i) => `[${i + 1}:${i + 1}00] ${name}-${i}-0`))
  t.equal(found.length, wanted.length)
  t.same([...found].sort(), [...wanted].sort())
  for (const name of names) t.same(found.filter((one) => one.includes(` ${name}-`)), wanted.filter((one) => one.includes(` ${name}-`)), `${name}: in its order`)
})

t.test('changes that keep the number of rules, which the kernel would not notice', async (t) => {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  const names = Array.from({ length: WRITERS }, (_, i) => `w${i}`)
  for (const name of names) run(ns, 'iptables-legacy', '-A', 'INPUT', '-m', 'comment', '--comment', `${name}-0`)
  const replacing = (name: string, rule: number) => start('nsenter', `--net=${ns.path}`, '--', 'sh', '-c',
    `i=0; while [ $i -lt ${UPDATES} ]; do iptables-legacy -w -C INPUT -m comment --comment ${name}-$i && iptables-legacy -w -R INPUT ${rule} -m comment --comment ${name}-$((i+1)) || exit 1; i=$((i+1)); done`)
  const writers = names.map((name, i) => (i % 2 === 0 ? nfkit(ns, name, UPDATES, -(i + 1)) : replacing(name, i + 1)))
  t.teardown(() => { for (const writer of writers) writer.kill() })
  t.same(await Promise.all(writers.map((writer) => writer.ended)), names.map(() => '0'), 'each found what it had written')
  t.same(rules(ns), names.map((name) => `[0:0] ${name}-${UPDATES}`))
})

t.test('one that is killed leaves a table that somebody committed, and the lock free', async (t) => {
  const ns = Netns.create()
  t.teardown(() => ns.close())
  const BLOCK = 25
  for (let round = 0; round < 8; round++) {
    const victim = nfkit(ns, `k${round}`, 1e6, BLOCK)
    const peer = iptables(ns, `p${round}`, 10)
    t.teardown(() => { victim.kill(); peer.kill() })
    await victim.ready
    await new Promise((resolve) => { setTimeout(resolve, 5 + Math.random() * 60) })
    victim.kill()
    t.match(await victim.ended, /^SIGKILL/)
    t.equal(await peer.ended, '0', 'the others go on')
    t.equal(tryRun(ns, 'iptables-legacy', '-w', '5', '-A', 'OUTPUT', '-p', 'tcp').status, 0, 'the lock is free')
    const blocks = new Map<string, number>()
    for (const rule of rules(ns)) {
      const [, block] = / (k\d+-\d+)-/.exec(rule) ?? []
      if (block !== undefined) blocks.set(block, (blocks.get(block) ?? 0) + 1)
    }
    t.same([...blocks.values()].filter((count) => count !== BLOCK), [], `${blocks.size} whole updates`)
    t.equal(rules(ns).filter((rule) => rule.includes(` p${round}-`)).length, 10)
  }
})
