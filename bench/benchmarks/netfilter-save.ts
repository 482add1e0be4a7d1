// SPDX-License-Identifier: MIT
// A table as text: beside iptables-legacy-save, and beside reading its bytes.

import { Netfilter } from '../../lib/index.js'
import { type Bench, type Benchmark, comparison, count, perCall, summary, takeTurns } from '../harness.js'
import { PeerProcess } from '../peer-process.js'
import type { SpawnAnswer, SpawnRequest } from '../peers/spawner.js'
import { BareTables, RuleFiles, TABLE, tableText } from '../support/rules.js'

const SIZES = [1000, 10_000, 100_000] as const
const PEER = 'iptables-legacy-save'

async function saving(bench: Bench): Promise<void> {
  using files = new RuleFiles()
  using nf = Netfilter.open({ lock: { path: files.write('lock', '') } })
  using bare = new BareTables()
  using spawner = PeerProcess.node('spawner')
  for (const size of SIZES) {
    bench.log(`${count(size)} rules`)
    const text = tableText(size)
    nf.restoreSync(text)
    const calls = size > 10_000 ? 1 : size > 1000 ? 3 : 10
    const spawn = (counters: boolean) => async () =>
      (await spawner.ask<SpawnAnswer>({ command: PEER, args: ['-t', TABLE, ...(counters ? ['-c'] : [])], output: 'discard' } satisfies SpawnRequest)).ms
    // The bytes of the text, as a program writes them: a string alone can still be many pieces.
    const save = (counters: boolean) => () => perCall(calls, () => Buffer.from(nf.saveSync({ tables: [TABLE], counters })))
    const saved = nf.saveSync({ tables: [TABLE] }).split('\n').filter((line) => !line.startsWith('#')).join('\n')
    if (saved !== text) throw new Error('what was saved is not what was restored')
    const samples = await takeTurns(bench, [
      { name: 'ours', sample: save(false), warmUp: 8 }, { name: 'ours -c', sample: save(true), warmUp: 2 },
      { name: 'bare', sample: () => perCall(calls, () => bare.get()), warmUp: 2 },
      { name: PEER, sample: spawn(false) }, { name: `${PEER} -c`, sample: spawn(true) },
    ], bench.quick ? 3 : 21)
    const of = (name: string) => summary('ms', samples.get(name)!)
    const common = { what: 'nf.saveSync()', size: count(size), ours: of('ours') }
    bench.report(comparison({ ...common, peer: { name: 'bare GET_INFO + GET_ENTRIES', value: of('bare') }, reading: 'cost' }))
    bench.report(comparison({ ...common, peer: { name: PEER, value: of(PEER) }, reading: 'speed', limit: 1 }))
    bench.report(comparison({ ...common, what: 'nf.saveSync({ counters: true })', ours: of('ours -c'), peer: { name: `${PEER} -c`, value: of(`${PEER} -c`) }, reading: 'speed', limit: 1 }))
  }
  bench.note('iptables-legacy-save is a whole process, its output discarded; nf.saveSync() a call in one that runs, to the bytes of the text')
}

export default { about: 'nf.save() of 1,000 to 100,000 rules against iptables-legacy-save and the bare system calls', run: saving } satisfies Benchmark
