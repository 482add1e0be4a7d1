// SPDX-License-Identifier: MIT
// Tables through typed rules: many appended in one update, and all of them read, beside python-iptables and iptables-legacy.

import { join } from 'node:path'
import { Netfilter } from '../../lib/index.js'
import { type Bench, type Benchmark, comparison, type Contender, count, perCall, summary, takeTurns } from '../harness.js'
import { PeerProcess, projectRoot } from '../peer-process.js'
import { DEBIAN_PYTHON, hasPeer } from '../peers.js'
import type { SpawnAnswer, SpawnRequest } from '../peers/spawner.js'
import { RuleFiles, TABLE } from '../support/rules.js'

const APPENDS = 3000
const PYTHON = 'python-iptables'
/** iptables-legacy -A is timed at so many lengths of the chain, evenly apart: all 3000 would take minutes. */
const LENGTHS = 30

interface PythonAnswer { ms: number; count: number }

const ruleOf = (n: number) => ({
  protocol: 'tcp', source: `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`,
  matches: [{ name: 'tcp' as const, destinationPorts: [1024 + (n % 5000), 1024 + (n % 5000)] as [number, number] }], target: { name: 'ACCEPT' as const },
})
const textOf = (n: number) => {
  const { source, matches } = ruleOf(n)
  return `-A INPUT -s ${source}/32 -p tcp -m tcp --dport ${matches[0]!.destinationPorts[0]} -j ACCEPT`
}

async function objects(bench: Bench): Promise<void> {
  using files = new RuleFiles()
  const lock = files.write('lock', '')
  process.env['XTABLES_LOCKFILE'] = lock
  using nf = Netfilter.open({ lock: { path: lock } })
  using spawner = PeerProcess.node('spawner')
  const empty = () => { nf.updateSync(TABLE, (table) => { table.flush() }) }
  const append = (rules: number) => () => nf.updateSync(TABLE, (table) => {
    table.flush()
    const chain = table.chain('INPUT')
    for (let n = 0; n < rules; n++) chain.append(ruleOf(n))
  })
  const spawn = async (command: string, ...args: string[]) => (await spawner.ask<SpawnAnswer>({ command, args, output: 'discard' } satisfies SpawnRequest)).ms
  const python = hasPeer(bench, PYTHON) ? new PeerProcess(PYTHON, DEBIAN_PYTHON, [join(projectRoot, 'bench', 'peers', 'python-iptables.py')]) : undefined
  const ask = async (expected: number, request: object) => {
    const answer = await python!.ask<PythonAnswer>(request)
    if (answer.count !== expected) throw new Error(`${PYTHON} did ${answer.count} of ${expected}`)
    return answer.ms
  }
  try {
    for (const size of bench.quick ? [10_000] : [10_000, 100_000]) {
      bench.log(`${count(size)} rules`)
      const file = files.write('rules', [`*${TABLE}`, ...Array.from({ length: size }, (_, n) => textOf(n)), 'COMMIT', ''].join('\n'))
      const read = () => nf.table(TABLE).chains.flatMap((chain) => chain.rules)
      const contenders: Contender[] = [
        { name: 'append', sample: () => perCall(1, append(size)), warmUp: 2 },
        { name: 'read', sample: () => perCall(1, read), warmUp: 2 },
        { name: 'iptables-legacy-restore', sample: () => spawn('iptables-legacy-restore', file) },
      ]
      // It is quadratic in places: one sample has to do.
      if (python !== undefined && size <= 10_000 && !bench.quick) contenders.push({ name: `${PYTHON}, read`, sample: () => ask(size, { act: 'read' }), rounds: 3, warmUp: 0, mayFail: true })
      const samples = await takeTurns(bench, contenders, bench.quick ? 3 : 11)
      const common = { size: count(size) }
      const of = (name: string) => summary('ms', samples.get(name)!)
      bench.report(comparison({ ...common, what: 'append() of typed rules, one updateSync()', ours: of('append'), peer: { name: 'iptables-legacy-restore', value: of('iptables-legacy-restore') }, reading: 'speed' }))
      bench.report(comparison({ ...common, what: 'all rules as values', ours: of('read'), peer: { name: 'iptables-legacy-restore', value: of('iptables-legacy-restore') }, reading: 'cost' }))
      if ((samples.get(`${PYTHON}, read`) ?? []).length > 0) bench.report(comparison({ ...common, what: 'all rules as values', ours: of('read'), peer: { name: `${PYTHON}, read`, value: of(`${PYTHON}, read`) }, reading: 'speed' }))
    }
    await threeThousand(bench, { append: append(APPENDS), empty, spawn, ask: python === undefined ? undefined : ask, write: (n) => { append(n)() } })
  } finally {
    python?.close()
  }
}

/** 3000 rules appended to an empty chain: in one update, one by one, and by others. */
async function threeThousand(bench: Bench, { append, empty, spawn, ask, write }: {
  append: () => void; empty: () => void; spawn: (command: string, ...args: string[]) => Promise<number>
  ask: ((expected: number, request: object) => Promise<number>) | undefined; write: (rules: number) => void
}): Promise<void> {
  bench.log(`${count(APPENDS)} appends`)
  const one = async (): Promise<number> => {
    const times: number[] = []
    for (let i = 0; i < LENGTHS; i++) {
      write(Math.floor(((i + 0.5) * APPENDS) / LENGTHS))
      times.push(await spawn('iptables-legacy', ...textOf(APPENDS).split(' ')))
    }
    // The sum over all lengths of the chain.
    return (times.reduce((sum, time) => sum + time, 0) / LENGTHS) * APPENDS
  }
  const contenders: Contender[] = [
    { name: 'ours', sample: () => perCall(1, append), warmUp: 3 },
    { name: `${APPENDS} x iptables-legacy -A`, sample: one, rounds: 2, warmUp: 0, budget: 120_000 },
  ]
  if (ask !== undefined) {
    for (const [name, act, rounds] of [[`${PYTHON}, batched`, 'batch', 3], [`${PYTHON}, autocommit`, 'autocommit', 1]] as const) {
      if (bench.quick && act === 'autocommit') continue
      contenders.push({ name, sample: () => { empty(); return ask(APPENDS, { act, count: APPENDS }) }, rounds, warmUp: 0, mayFail: true })
    }
  }
  const samples = await takeTurns(bench, contenders, bench.quick ? 2 : 11)
  const ours = summary('ms', samples.get('ours')!)
  for (const { name } of contenders.slice(1)) {
    if (samples.get(name)!.length > 0) bench.report(comparison({ what: `${count(APPENDS)} rules appended, one updateSync()`, size: count(APPENDS), ours, peer: { name, value: summary('ms', samples.get(name)!) }, reading: 'speed' }))
  }
  bench.note(`${APPENDS} x iptables-legacy -A: the mean of ${LENGTHS} at chains of 50 to 2,950 rules, times ${APPENDS}`)
}

export default {
  about: 'typed rules: 10,000 and 100,000 appended in one update and read as values; 3,000 appends against python-iptables and iptables-legacy -A',
  minutes: 20,
  run: objects,
} satisfies Benchmark
