// SPDX-License-Identifier: MIT
// Following the CAM table while 100,000 entries are added at full speed, and how soon a single change is told.

import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CamChange, CamEntry } from '../../lib/index.js'
import { type Bench, type Benchmark, comparison, count, median, quantile, summary } from '../harness.js'
import { PeerProcess } from '../peer-process.js'
import type { SendAnswer, SendRequest } from '../peers/cam-sender.js'
import { BenchBridge, macOf } from '../support/bridge.js'
import { FdbMonitor } from '../support/fdb-monitor.js'
import { now } from '../support/now.js'

/** Beyond all others: when it is told, so is everything before it. */
const LAST = macOf(0xf00000)
const BLOCKED_MS = 1000
/** Whoever has not been told everything by then will not be. */
const PATIENCE_MS = 120_000

async function watching(bench: Bench): Promise<void> {
  using table = new BenchBridge()
  const size = bench.quick ? 20_000 : 100_000
  const file = table.batchFile(0, size)
  await speed(bench, table, file, size)
  await blocked(bench, table, file, size)
  await latency(bench, table)
}

/** Starts `bridge -b`; answers what it takes until its end. */
function load(file: string): { readonly ended: Promise<number> } {
  const started = now()
  const child = spawn('bridge', ['-b', file], { stdio: 'ignore' })
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve(now() - started) : reject(new Error(`bridge -b: status ${code}`))))
  })
  // Whoever needs it waits for it later.
  ended.catch(() => {})
  return { ended }
}

interface Seen { told: number; overruns: number; first: number; last: number }

/** With an otherwise idle loop and default buffers: everything arrives. */
async function speed(bench: Bench, table: BenchBridge, file: string, size: number): Promise<void> {
  const { cam } = table.bridge
  const rates: number[] = []
  const peerRates: number[] = []
  let told = Infinity
  let peerTold = Infinity
  let overruns = 0
  const unwatched: number[] = []
  const watched: number[] = []
  const monitored: number[] = []
  const rounds = bench.quick ? 1 : 5

  async function ours(): Promise<void> {
    const seen: Seen = { told: 0, overruns: 0, first: 0, last: 0 }
    const watch = cam.watch({ signal: AbortSignal.timeout(PATIENCE_MS) })
    const { ended } = load(file)
    const marked = ended.then((ms) => { cam.add({ mac: LAST, port: 'p0' }); return ms })
    for await (const change of watch) {
      if (change.type === 'overrun') seen.overruns++
      else if (change.entry.mac === LAST) break
      else if (change.type === 'added') {
        if (seen.told++ === 0) seen.first = now()
        seen.last = now()
      }
    }
    watched.push(await marked)
    told = Math.min(told, seen.told)
    overruns += seen.overruns
    rates.push((seen.told - 1) / (seen.last - seen.first) * 1000)
  }

  async function peer(): Promise<void> {
    let lines = 0
    let first = 0
    let last = 0
    let marked = false
    using monitor = await FdbMonitor.open(table, (line, at) => {
      if (line.includes(LAST)) marked = true
      else if (!marked) {
        if (lines++ === 0) first = at
        last = at
      }
    })
    monitored.push(await load(file).ended)
    cam.add({ mac: LAST, port: 'p0' })
    // It may lose the last one as it may lose any.
    for (let quiet = 0, before = lines; !marked && quiet < 20; before = lines) {
      await sleep(50)
      quiet = lines === before ? quiet + 1 : 0
    }
    peerTold = Math.min(peerTold, lines)
    peerRates.push((lines - 1) / (last - first) * 1000)
    monitor.close()
  }

  async function nobody(): Promise<void> {
    unwatched.push(await load(file).ended)
  }

  for (let round = 0; round < rounds; round++) {
    for (const contender of round % 2 === 0 ? [ours, peer, nobody] : [nobody, peer, ours]) {
      await contender()
      table.empty()
    }
    bench.log(`watched ${count(size)} changes, round ${round + 1} of ${rounds}`)
  }
  const label = count(size)
  bench.report({
    what: 'cam.watch(), all changes told', size: label, ours: `${count(told)}, ${overruns} overruns`,
    peer: { name: 'bridge monitor', value: count(peerTold) }, target: 'all, no overrun', met: told === size && overruns === 0,
  })
  bench.report(comparison({
    what: 'cam.watch(), changes told', size: label, ours: summary('/s', rates), peer: { name: 'bridge monitor', value: summary('/s', peerRates) }, reading: 'speed',
  }))
  // What watching costs those who make the changes.
  for (const [name, samples] of [['watched by bridge monitor', monitored], ['unwatched', unwatched]] as const) {
    bench.report(comparison({
      what: 'bridge -b while watched', size: label, ours: summary('ms', watched), peer: { name, value: summary('ms', samples) }, reading: 'cost',
    }))
  }
  bench.note('cam.watch(), changes told: the rate is that of bridge -b, which waits for the kernel to tell the watchers, where nobody falls behind')
}

const brief = ({ mac, vlan, port, state }: Pick<CamEntry, 'mac' | 'vlan' | 'port' | 'state'>) => `${mac} ${vlan ?? '-'} ${port} ${state}`

/** With a loop that is blocked for a second: what is lost is announced, and the re-dump reaches the same table. */
async function blocked(bench: Bench, table: BenchBridge, file: string, size: number): Promise<void> {
  const { cam } = table.bridge
  const rounds = bench.quick ? 1 : 3
  const recovery: number[] = []
  let losses = 0
  let silent = 0
  let differing = 0
  for (let round = 0; round < rounds; round++) {
    const watch = cam.watch({ resync: true, signal: AbortSignal.timeout(PATIENCE_MS) })
    const known = new Map<string, string>()
    for (const entry of cam.entries()) known.set(entry.mac, brief(entry))
    const { ended } = load(file)
    let marked: Promise<void> | undefined
    let changes = 0
    let overruns = 0
    let freed = 0
    for await (const change of watch) {
      if (change.type === 'overrun') overruns++
      else apply(known, change)
      if (++changes === 1) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKED_MS)
        freed = now()
        marked = ended.then(() => { cam.add({ mac: LAST, port: 'p0' }) })
      }
      if (change.type !== 'overrun' && change.entry.mac === LAST) break
    }
    recovery.push(now() - freed)
    await marked
    const inKernel = new Set(cam.entries().map(brief))
    const outside = new Set<string>(table.show().filter((entry) => entry.master === table.name).map(({ mac, vlan, ifname, state }) => brief({
      mac, vlan: vlan ?? null, port: ifname, state: state === 'permanent' || state === 'static' ? state : 'learned',
    })))
    const same = (a: Set<string>) => a.size === known.size && [...known.values()].every((entry) => a.has(entry))
    // The bridge's own address without a port is shown under the bridge's name, by some versions without a master.
    const fromOutside = [...outside].every((entry) => inKernel.has(entry)) && outside.size >= size + 1
    const differs = !same(inKernel) || !fromOutside
    if (overruns > 0) losses++
    else if (differs) silent++
    if (differs) differing++
    table.empty()
    bench.log(`blocked for ${BLOCKED_MS} ms: ${overruns} overruns announced, table of ${count(known.size)}, round ${round + 1} of ${rounds}`)
  }
  const label = count(size)
  bench.report({
    what: 'loop blocked 1 s, loss announced', size: label,
    ours: silent > 0 ? `${silent} of ${rounds} losses silent` : losses > 0 ? `in ${losses} of ${rounds} runs` : 'nothing was lost',
    target: 'always', ...(losses + silent > 0 ? { met: silent === 0 } : {}),
  })
  bench.report({
    what: 'loop blocked 1 s, table after resync', size: label, ours: differing === 0 ? `the same in ${rounds} of ${rounds}` : `differs in ${differing} of ${rounds}`,
    target: 'the same', met: differing === 0,
  })
  bench.report({ what: 'loop blocked 1 s, until up to date', size: label, ours: summary('ms', recovery) })
}

function apply(known: Map<string, string>, change: Exclude<CamChange, { type: 'overrun' }>): void {
  if (change.type === 'removed' || change.type === 'aged') known.delete(change.entry.mac)
  else known.set(change.entry.mac, brief(change.entry))
}

/** From just before another process asks the kernel for a change until the consumer has it. */
async function latency(bench: Bench, table: BenchBridge): Promise<void> {
  using sender = PeerProcess.node('cam-sender')
  const perRound = bench.quick ? 100 : 400
  const rounds = bench.quick ? 2 : 6
  const ours: number[] = []
  const theirs: number[] = []
  let missing = 0
  let next = 0

  /** Has changes sent one by one; `heard` is when each was told. */
  async function send(heard: Map<string, number>, into: number[]): Promise<void> {
    const macs = Array.from({ length: perRound }, (_, i) => macOf(next + i))
    const last = macs.at(-1)!
    next += perRound
    const { sent } = await sender.ask<SendAnswer>({ macs, port: 'p0' } satisfies SendRequest)
    for (let waited = 0; !heard.has(last) && waited < 1000; waited += 10) await sleep(10)
    macs.forEach((mac, i) => {
      const at = heard.get(mac)
      if (at === undefined) missing++
      else into.push(at - sent[i]!)
    })
  }

  for (let round = 0; round <= rounds; round++) {
    // The first round warms both up.
    const keep = round > 0
    const watch = table.bridge.cam.watch()
    const heard = new Map<string, number>()
    const consumed = (async () => {
      for await (const change of watch) if (change.type === 'added') heard.set(change.entry.mac, now())
    })()
    await send(heard, keep ? ours : [])
    await watch.return!()
    await consumed
    const heardByMonitor = new Map<string, number>()
    using monitor = await FdbMonitor.open(table, (line, at) => { heardByMonitor.set(line.slice(0, 17), at) })
    await send(heardByMonitor, keep ? theirs : [])
    monitor.close()
    table.empty()
  }
  if (missing > 0) bench.note(`latency: ${missing} changes were never told`)
  const size = `${count(ours.length)} single`
  for (const [what, pick] of [['median', median], ['p99', (samples: readonly number[]) => quantile(samples, 0.99)]] as const) {
    bench.report(comparison({
      what: `cam.watch(), latency, ${what}`, size, ours: summary('ms', [pick(ours)]),
      peer: { name: 'bridge monitor through a pipe', value: summary('ms', [pick(theirs)]) }, reading: 'speed',
    }))
  }
}

export default {
  about: 'cam.watch() while bridge -b adds 100,000 entries, idle and blocked; the latency of single changes',
  run: watching,
} satisfies Benchmark
