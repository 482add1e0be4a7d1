// SPDX-License-Identifier: MIT
// Adding many entries in one call.

import { type Bench, type Benchmark, comparison, count, perCall, summary, takeTurns } from '../harness.js'
import { PeerProcess } from '../peer-process.js'
import type { SpawnAnswer, SpawnRequest } from '../peers/spawner.js'
import { BenchBridge, specs } from '../support/bridge.js'

const SIZE = 10_000

async function adding(bench: Bench): Promise<void> {
  using table = new BenchBridge()
  using spawner = PeerProcess.node('spawner')
  const { cam } = table.bridge
  const entries = specs(0, SIZE)
  const file = table.batchFile(0, SIZE)
  const before = table.count()
  /** What was added must be there, and goes again, neither of which is timed. */
  const checked = (ms: number) => {
    const added = table.count() - before
    if (added !== SIZE) throw new Error(`${added} of ${SIZE} entries were added`)
    cam.flush({ state: 'static' })
    return ms
  }
  const samples = await takeTurns(bench, [
    { name: 'ours', sample: () => checked(perCall(1, () => cam.add(entries))), warmUp: 3 },
    {
      name: 'bridge -b',
      async sample() {
        const request: SpawnRequest = { command: 'bridge', args: ['-b', file], output: 'discard' }
        return checked((await spawner.ask<SpawnAnswer>(request)).ms)
      },
    },
  ], bench.quick ? 3 : 21)
  bench.report(comparison({
    what: 'cam.add() in one call', size: count(SIZE), ours: summary('ms', samples.get('ours')!),
    peer: { name: 'bridge -b', value: summary('ms', samples.get('bridge -b')!) }, reading: 'speed', limit: 1,
  }))
}

export default { about: 'adding 10,000 entries in one cam.add() against bridge -b of the same', run: adding } satisfies Benchmark
