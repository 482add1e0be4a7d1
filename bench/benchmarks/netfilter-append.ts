// SPDX-License-Identifier: MIT
// One rule appended to a table of many, under the lock.

import { Netfilter } from '../../lib/index.js'
import { type Bench, type Benchmark, comparison, count, perCall, summary, takeTurns } from '../harness.js'
import { PeerProcess } from '../peer-process.js'
import type { SpawnAnswer, SpawnRequest } from '../peers/spawner.js'
import { BareTables, RuleFiles, TABLE, tableText } from '../support/rules.js'

const SIZES: readonly { size: number; bare?: number; peer?: number }[] = [{ size: 10_000 }, { size: 100_000, bare: 1.25, peer: 1 }]
const PEER = 'iptables-legacy -A'

async function appending(bench: Bench): Promise<void> {
  using files = new RuleFiles()
  const lock = files.write('lock', '')
  process.env['XTABLES_LOCKFILE'] = lock
  using nf = Netfilter.open({ lock: { path: lock } })
  using bare = new BareTables()
  using spawner = PeerProcess.node('spawner')
  for (const { size, ...limits } of SIZES) {
    bench.log(`${count(size)} rules`)
    nf.restoreSync(tableText(size))
    let n = 0
    const append = () => nf.updateSync(TABLE, (table) => { table.chain('INPUT').append({ protocol: 'tcp', source: `192.168.${n >> 8}.${n++ & 255}`, target: { name: 'ACCEPT' } }) })
    const calls = () => {
      bare.get()
      const assembled = bare.prepare()
      const started = performance.now()
      // What was read is prepared without the clock; the four calls are timed.
      bare.get()
      bare.addCounters(assembled, bare.replace(assembled))
      return performance.now() - started
    }
    const spawn = async () => (await spawner.ask<SpawnAnswer>({ command: 'iptables-legacy', args: ['-A', 'INPUT', '-s', `172.16.0.${n++ & 255}`, '-p', 'tcp', '-j', 'ACCEPT'], output: 'discard' } satisfies SpawnRequest)).ms
    const samples = await takeTurns(bench, [
      { name: 'ours', sample: () => perCall(1, append), warmUp: 3 }, { name: 'bare', sample: calls, warmUp: 2 }, { name: PEER, sample: spawn },
    ], bench.quick ? 3 : 21)
    const common = { what: 'one rule in nf.updateSync()', size: count(size), ours: summary('ms', samples.get('ours')!) }
    bench.report(comparison({ ...common, peer: { name: 'bare GET_INFO + GET_ENTRIES + SET_REPLACE + ADD_COUNTERS', value: summary('ms', samples.get('bare')!) }, reading: 'cost', limit: limits.bare }))
    bench.report(comparison({ ...common, peer: { name: PEER, value: summary('ms', samples.get(PEER)!) }, reading: 'speed', limit: limits.peer }))
  }
}

export default { about: 'one rule appended to 10,000 and 100,000, against the bare system calls and iptables-legacy -A', run: appending } satisfies Benchmark
