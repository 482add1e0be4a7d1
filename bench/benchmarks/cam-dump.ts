// SPDX-License-Identifier: MIT
// Reading the whole CAM table as plain objects.

import { join } from 'node:path'
import type { CamEntry } from '../../lib/index.js'
import { inputOf } from '../../lib/wire/bytes.js'
import { decodeFdb } from '../../lib/wire/fdb.js'
import { messageAt, nextMessage, NLMSG_DONE } from '../../lib/wire/netlink.js'
import { type Bench, type Benchmark, callsFor, comparison, type Contender, count, perRepeatedCall, summary, takeTurns } from '../harness.js'
import { PeerProcess, projectRoot } from '../peer-process.js'
import { DEBIAN_PYTHON, hasPeer } from '../peers.js'
import type { SpawnAnswer, SpawnRequest } from '../peers/spawner.js'
import { BareDump } from '../support/bare-dump.js'
import { BenchBridge } from '../support/bridge.js'

/** What the issue asks for, by size: costs are at most that many times the peer's, speeds at least. */
const SIZES: readonly { size: number; bare?: number; bridge?: number; slow?: number }[] = [
  { size: 1000 },
  { size: 5000 },
  { size: 10_000, bare: 1.4, bridge: 2.5, slow: 50 },
  { size: 65_000, slow: 50 },
  { size: 100_000, bare: 1.15, bridge: 1, slow: 50 },
]
const FRESH_AT = new Set([10_000, 100_000])
/** A sample of a fast contender takes about this long, so that it pays for what it leaves to the collector. */
const SAMPLE_MS = 30

interface DumpAnswer { ms: number; count: number; before: number; peak: number }

const pyroute2 = () => new PeerProcess('pyroute2', DEBIAN_PYTHON, [join(projectRoot, 'bench', 'peers', 'pyroute2-fdb.py')])
const npmNetlink = () => PeerProcess.node('npm-netlink')

async function dumps(bench: Bench): Promise<void> {
  using table = new BenchBridge()
  const { cam } = table.bridge
  using bare = new BareDump(table.bridge.index)
  using spawner = PeerProcess.node('spawner')
  using slowNode = hasPeer(bench, 'npm netlink') ? npmNetlink() : undefined
  using slowPython = hasPeer(bench, 'pyroute2') ? pyroute2() : undefined

  let filled = 0
  for (const { size, ...limits } of SIZES) {
    bench.log(`${count(size)} entries`)
    table.fill(filled, size)
    filled = size
    const label = count(size)
    // The bridge's own addresses and those of its ports are there too.
    const expect = (what: string, found: number) => {
      if (found < size) throw new Error(`${what} saw ${found} of ${size} entries`)
    }
    expect('cam.entries()', cam.entries().length)

    const fast = bench.quick ? 5 : size > 10_000 ? 15 : 31
    const few = (n: number) => (bench.quick ? 1 : n)
    const entriesCalls = callsFor(SAMPLE_MS, () => cam.entries())
    const bareCalls = callsFor(SAMPLE_MS, () => bare.run())
    const spawn = async (output: SpawnRequest['output']) => {
      const { ms, length } = await spawner.ask<SpawnAnswer>({ command: 'bridge', args: ['-j', 'fdb', 'show', 'br', table.name], output } satisfies SpawnRequest)
      if (length !== undefined) expect('bridge -j', length)
      return ms
    }
    const ask = async (peer: PeerProcess, name: string) => {
      const { ms, count } = await peer.ask<DumpAnswer>()
      expect(name, count)
      return ms
    }
    const isSlow = size > 10_000
    const contenders: Contender[] = [
      { name: 'ours', sample: () => perRepeatedCall(entriesCalls, () => cam.entries()) },
      { name: 'bare receive', sample: () => perRepeatedCall(bareCalls, () => bare.run()) },
      { name: 'bridge -j', sample: () => spawn('discard') },
      { name: 'bridge -j, parsed', sample: () => spawn('parse') },
    ]
    if (slowNode !== undefined && !(bench.quick && isSlow)) {
      contenders.push({ name: 'npm netlink', sample: () => ask(slowNode, 'npm netlink'), rounds: few(isSlow ? 2 : 11), warmUp: isSlow ? 0 : 2, mayFail: true })
    }
    if (slowPython !== undefined && !(bench.quick && isSlow)) {
      contenders.push({ name: 'pyroute2', sample: () => ask(slowPython, 'pyroute2'), rounds: few(isSlow ? 1 : size === 10_000 ? 5 : 7), warmUp: isSlow ? 0 : 1, mayFail: true })
    }
    const samples = await takeTurns(bench, contenders, fast)
    const ours = summary('ms', samples.get('ours')!)
    for (const [name, reading, limit] of [
      ['bare receive', 'cost', limits.bare], ['bridge -j', 'speed', limits.bridge], ['bridge -j, parsed', 'speed', undefined],
      ['npm netlink', 'speed', limits.slow], ['pyroute2', 'speed', limits.slow],
    ] as const) {
      const values = samples.get(name) ?? []
      if (values.length > 0) bench.report(comparison({ what: 'cam.entries()', size: label, ours, peer: { name, value: summary('ms', values) }, reading, limit }))
    }
    decoding(bench, table, bare, label, samples.get('bare receive')!)
    if (FRESH_AT.has(size)) await fresh(bench, size)
  }
  bench.note('cam.entries(): pyroute2 and npm netlink are timed within their own running process, without the start of an interpreter; '
    + 'bridge -j is a whole process, its output discarded or ("parsed") read and parsed by Node.js')
}

/** The library's own share: the bytes of a dump decoded again and again. */
function decoding(bench: Bench, table: BenchBridge, bare: BareDump, label: string, received: readonly number[]): void {
  const datagrams: Uint8Array[] = []
  bare.run((datagram) => { datagrams.push(datagram.slice()) })
  const inputs = datagrams.map(inputOf)
  const filter = { master: table.bridge.index, via: 'master' } as const
  const decode = () => {
    const into: CamEntry[] = []
    for (const input of inputs) {
      for (let at = 0; at < input.bytes.length;) {
        const msg = messageAt(input, at, input.bytes.length)
        const entry = msg.type === NLMSG_DONE ? undefined : decodeFdb(input, msg, filter)
        if (entry !== undefined) into.push(entry)
        at = nextMessage(msg)
      }
    }
    return into
  }
  const calls = callsFor(SAMPLE_MS, decode)
  const samples = Array.from({ length: bench.quick ? 3 : 11 }, () => perRepeatedCall(calls, decode))
  bench.report(comparison({ what: 'decoding alone', size: label, ours: summary('ms', samples), peer: { name: 'bare receive', value: summary('ms', received) }, reading: 'cost' }))
}

/** Fresh processes that read the table once: their first call, nothing warm, and their peak memory. */
async function fresh(bench: Bench, size: number): Promise<void> {
  const answers = new Map<string, DumpAnswer[]>()
  const contender = (name: string, start: () => PeerProcess, request = {}): Contender => ({
    name, warmUp: 0, mayFail: name !== 'ours',
    async sample() {
      using peer = start()
      const answer = await peer.ask<DumpAnswer>(request)
      answers.set(name, [...answers.get(name) ?? [], answer])
      return answer.ms
    },
  })
  const contenders = [
    contender('ours', () => PeerProcess.node('own-dump'), { how: 'entries' }),
    contender('bare receive', () => PeerProcess.node('own-dump'), { how: 'bare' }),
  ]
  // At 100,000 entries these take very long.
  if (size <= 10_000) {
    if (hasPeer(bench, 'npm netlink')) contenders.push(contender('npm netlink', npmNetlink))
    if (hasPeer(bench, 'pyroute2')) contenders.push(contender('pyroute2', pyroute2))
  }
  await takeTurns(bench, contenders, bench.quick ? 1 : 5)
  const of = (name: string, unit: 'ms' | 'MiB') => summary(unit, answers.get(name)!.map((answer) => (unit === 'ms' ? answer.ms : answer.peak)))
  for (const [what, unit, reading] of [['cam.entries(), first of a process', 'ms', 'speed'], ['peak memory of that process', 'MiB', 'cost']] as const) {
    for (const { name } of contenders.slice(1)) {
      if (!answers.has(name)) continue
      bench.report(comparison({
        what, size: count(size), ours: of('ours', unit), peer: { name, value: of(name, unit) }, reading: name === 'bare receive' ? 'cost' : reading,
      }))
    }
  }
}

export default {
  about: 'cam.entries() at 1,000 to 100,000 entries against the bare receive, bridge -j, npm netlink and pyroute2; decoding; memory',
  minutes: 25,
  run: dumps,
} satisfies Benchmark
