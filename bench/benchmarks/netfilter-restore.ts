// SPDX-License-Identifier: MIT
// A table from text: beside iptables-legacy-restore, and beside the system calls that it cannot do without.

import { Netfilter } from '../../lib/index.js'
import { type Bench, type Benchmark, comparison, count, perCall, summary, takeTurns } from '../harness.js'
import { PeerProcess, projectRoot } from '../peer-process.js'
import { DEBIAN_PYTHON } from '../peers.js'
import type { SpawnAnswer, SpawnRequest } from '../peers/spawner.js'
import { BareTables, RuleFiles, tableText } from '../support/rules.js'
import { join } from 'node:path'

const SIZES: readonly { size: number; bare?: number }[] = [{ size: 1000 }, { size: 10_000 }, { size: 100_000, bare: 2 }]
const PEER = 'iptables-legacy-restore'

async function restoring(bench: Bench): Promise<void> {
  using files = new RuleFiles()
  using nf = Netfilter.open({ lock: { path: files.write('lock', '') } })
  using bare = new BareTables()
  using spawner = PeerProcess.node('spawner')
  for (const { size, bare: limit } of SIZES) {
    bench.log(`${count(size)} rules`)
    const text = tableText(size)
    const file = files.write('rules', text)
    nf.restoreSync(text)
    const { blob } = bare.prepare()
    const assembled = bare.prepare()
    const spawn = async () => (await spawner.ask<SpawnAnswer>({ command: PEER, args: [file], output: 'discard' } satisfies SpawnRequest)).ms
    await spawn()
    // Both made the same table, or the figures are of different things.
    if (Buffer.compare(bare.prepare().blob, blob) !== 0) throw new Error('iptables-legacy-restore made another table')
    const calls = size > 10_000 ? 1 : size > 1000 ? 3 : 10
    const samples = await takeTurns(bench, [
      { name: 'ours', sample: () => perCall(calls, () => nf.restoreSync(text)), warmUp: 8 },
      { name: 'bare', sample: () => perCall(calls, () => bare.replace(assembled)), warmUp: 2 },
      { name: PEER, sample: spawn },
    ], bench.quick ? 3 : 21)
    const ours = summary('ms', samples.get('ours')!)
    const common = { what: 'nf.restoreSync()', size: count(size), ours }
    bench.report(comparison({ ...common, peer: { name: 'bare GET_INFO + SET_REPLACE', value: summary('ms', samples.get('bare')!) }, reading: 'cost', limit }))
    bench.report(comparison({ ...common, peer: { name: PEER, value: summary('ms', samples.get(PEER)!) }, reading: 'speed', limit: 1 }))
  }
  await memory(bench, files)
  bench.note('mixed rules, each size restored over itself; iptables-legacy-restore is a whole process, nf.restoreSync() a call in one that runs')
}

/** The peak of whole processes: Node.js and its start are part of ours. */
async function memory(bench: Bench, files: RuleFiles): Promise<void> {
  const size = bench.quick ? 10_000 : 100_000
  const file = files.write('rules', tableText(size))
  const peak = async (...command: string[]): Promise<number> => {
    using peer = new PeerProcess('peak-memory', DEBIAN_PYTHON, [join(projectRoot, 'bench', 'peers', 'peak-memory.py'), ...command])
    return (await peer.ask<{ peak: number }>()).peak
  }
  const own = [process.execPath, join(projectRoot, 'dist', 'lib', 'cli', 'main.js'), 'restore', file]
  const samples = await takeTurns(bench, [
    { name: 'ours', sample: () => peak(...own), warmUp: 0 },
    { name: 'empty', sample: () => peak(process.execPath, '-e', '0'), warmUp: 0 },
    { name: PEER, sample: () => peak(PEER, file), warmUp: 0 },
  ], bench.quick ? 1 : 3)
  for (const [name, of] of [[PEER, PEER], ['empty', 'node -e 0']] as const) {
    bench.report(comparison({ what: 'peak memory of nfkit restore', size: count(size), ours: summary('MiB', samples.get('ours')!), peer: { name: of, value: summary('MiB', samples.get(name)!) }, reading: 'cost' }))
  }
}

export default {
  about: 'nf.restore() of 1,000 to 100,000 rules against iptables-legacy-restore and the bare system calls; peak memory',
  run: restoring,
} satisfies Benchmark
