// SPDX-License-Identifier: MIT
// The entry of one address.

import { type Bench, type Benchmark, comparison, count, perRepeatedCall, summary, takeTurns } from '../harness.js'
import { PeerProcess } from '../peer-process.js'
import type { SpawnAnswer, SpawnRequest } from '../peers/spawner.js'
import { BenchBridge, macOf } from '../support/bridge.js'

const SIZE = 10_000
const CALLS = 1000

async function lookups(bench: Bench): Promise<void> {
  using table = new BenchBridge()
  table.fill(0, SIZE)
  using spawner = PeerProcess.node('spawner')
  const { cam } = table.bridge
  let next = 0
  // A prime step: never the same address twice in a row.
  const mac = () => macOf((next = (next + 7919) % SIZE))
  const lookup = () => {
    const address = mac()
    const entry = cam.lookup(address)
    if (entry?.mac !== address) throw new Error(`${address} was not found`)
    return entry
  }
  const samples = await takeTurns(bench, [
    { name: 'ours', sample: () => perRepeatedCall(CALLS, lookup), warmUp: 5 },
    {
      name: 'bridge -j fdb get',
      async sample() {
        const request: SpawnRequest = { command: 'bridge', args: ['-j', 'fdb', 'get', mac(), 'br', table.name], output: 'discard' }
        return (await spawner.ask<SpawnAnswer>(request)).ms
      },
    },
  ], bench.quick ? 5 : 51)
  bench.report(comparison({
    what: 'cam.lookup()', size: count(SIZE), ours: summary('ms', samples.get('ours')!),
    peer: { name: 'bridge -j fdb get', value: summary('ms', samples.get('bridge -j fdb get')!) }, reading: 'speed', limit: 30,
  }))
}

export default { about: 'cam.lookup() among 10,000 entries against spawning bridge -j fdb get', run: lookups } satisfies Benchmark
