// SPDX-License-Identifier: MIT
// What lifecycle.test.ts runs in child processes: `program.js SCENARIO NETNS-PATH`. Each builds a bridge in a namespace of
// its own, with a wire into the one given, so that the test sees from there when the namespace is gone. It says
// `ready` when the test may act, and `done` when it got to where it should.

import { readdirSync, writeSync } from 'node:fs'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { Bridge, Link, Netns } from '../../lib/index.js'
import { Lab } from '../../lib/lab/index.js'

const [scenario, outer] = isMainThread ? process.argv.slice(2) : workerData as string[]
const say = (text: string): void => { writeSync(1, `${text}\n`) }
const sleep = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

interface Made { ns: Netns; bridge: Bridge }

function make(wire?: string): Made {
  const ns = Netns.create()
  const bridge = Bridge.create('br0', { netns: ns })
  if (wire !== undefined) {
    Link.add({ name: 'out', kind: 'veth' }, { netns: ns })
    Link.move('out', outer!, { netns: ns, name: wire })
  }
  return { ns, bridge }
}

/** A lab in which packets flow, with a wire to the namespace given. */
async function traffic(): Promise<Lab> {
  const lab = await Lab.create()
  const [a, b] = [lab.host('a'), lab.host('b')]
  lab.wire({ host: a, addresses: ['192.168.0.1/24'] }, { host: b, addresses: ['192.168.0.2/24'] })
  Link.add({ name: 'out', kind: 'veth' }, { netns: a.netns })
  Link.move('out', outer!, { netns: a.netns, name: 'wire' })
  const { received } = await a.ping('192.168.0.2', { count: 2, interval: 1 })
  if (received !== 2) throw new Error('no answer')
  void a.ping('192.168.0.2', { count: 10_000, interval: 1 }).catch(() => {})
  a.capture('eth0')
  a.spawn('sleep', ['1000'])
  return lab
}

const entries = (count: number, high: number) => Array.from({ length: count }, (_, i) => ({
  mac: `02:00:00:${high.toString(16).padStart(2, '0')}:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`,
  port: 'br0', state: 'permanent' as const,
}))

/** Adds and removes entries for as long as the event loop runs. */
function storm(bridge: Bridge): void {
  let round = 0
  const timer = setInterval(() => {
    const some = entries(50, round++ % 100)
    bridge.cam.add(some)
    bridge.cam.delete(some)
  }, 1)
  timer.unref()
}

/** Starts a worker on this file; resolves once it says so. */
async function startWorker(name: string): Promise<{ terminate: () => Promise<unknown>; ended: Promise<unknown> }> {
  const worker = new Worker(new URL(import.meta.url), { workerData: [name, outer] })
  const ended = new Promise((resolve) => { worker.once('exit', resolve) })
  await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  return { terminate: () => worker.terminate(), ended }
}

const scenarios: Record<string, () => unknown> = {
  // ---- the process's own end
  'nothing closed'() {
    for (let i = 0; i < 5; i++) make(i === 0 ? 'wire' : undefined)
  },
  'watch without waiting'() {
    const { bridge } = make('wire')
    bridge.cam.watch()
    bridge.cam.add(entries(10, 1))
  },
  async 'watch after a wait that ended'() {
    const { bridge } = make('wire')
    const watch = bridge.cam.watch()
    bridge.cam.add(entries(10, 1))
    await watch.next()
    say('done')
  },
  async 'watch while waiting'() {
    const { bridge } = make('wire')
    say('ready')
    for await (const _ of bridge.cam.watch()) { /* nothing comes */ }
  },
  async 'watch until aborted'() {
    const { bridge } = make('wire')
    const watch = bridge.cam.watch({ signal: AbortSignal.timeout(300) })
    // AbortSignal.timeout does not hold the process; the wait has to.
    try {
      for await (const _ of watch) { /* nothing comes */ }
    } catch (error) {
      if ((error as Error).name === 'TimeoutError') say('done')
    }
  },
  async 'many watches at once'() {
    const { bridge } = make('wire')
    const watches = Array.from({ length: 30 }, () => bridge.cam.watch())
    const first = watches.map((watch) => watch.next())
    bridge.cam.add(entries(1, 1))
    for (const result of await Promise.all(first)) if (result.done) throw new Error('ended')
    for (const watch of watches.slice(0, 15)) await watch.return!()
    say('done')
  },
  async 'process.exit while waiting'() {
    const { bridge } = make('wire')
    const watch = bridge.cam.watch()
    void watch.next()
    storm(bridge)
    await sleep(100)
    process.exit(7)
  },
  async 'process.exit in an event'() {
    const { bridge } = make('wire')
    storm(bridge)
    let seen = 0
    setTimeout(() => {}, 10_000)
    for await (const _ of bridge.cam.watch()) if (++seen === 100) process.exit(7)
  },
  'process.exit at once'() {
    const { bridge } = make('wire')
    bridge.cam.watch()
    bridge.cam.add(entries(100, 1))
    process.exit(7)
  },
  async 'an uncaught exception while events come'() {
    const { bridge } = make('wire')
    storm(bridge)
    void bridge.cam.watch().next()
    await sleep(50)
    throw new Error('on purpose')
  },
  async 'to be killed'() {
    const { bridge } = make('wire')
    storm(bridge)
    setTimeout(() => say('ready'), 50)
    for await (const _ of bridge.cam.watch()) { /* until killed */ }
  },
  async 'closing while events come'() {
    for (let i = 0; i < 20; i++) {
      const { ns, bridge } = make(i === 0 ? 'wire' : undefined)
      const watch = bridge.cam.watch()
      const next = watch.next()
      bridge.cam.add(entries(200, 1))
      if (i % 2 === 0) await next
      if (i % 3 === 0) ns.close()
      await watch.return!()
      ns.close()
    }
    say('done')
  },

  // ---- the lab
  async 'process.exit in a lab'() {
    await traffic()
    process.exit(7)
  },
  async 'a lab, closed'() {
    const lab = await traffic()
    lab.close()
    say('done')
  },
  async 'a lab, to be killed'() {
    await traffic()
    say('ready')
    await sleep(60_000)
  },

  // ---- workers
  async '100 workers'() {
    for (let i = 0; i < 25; i++) {
      // Four ends, four at a time.
      const workers = await Promise.all(['worker that returns', 'worker that exits', 'worker to terminate', 'worker to terminate'].map(startWorker))
      await Promise.all(workers.map((worker, k) => k < 2 ? worker.ended : worker.terminate()))
    }
    say('done')
  },
  async 'workers terminated under load'() {
    for (let i = 0; i < 15; i++) {
      const worker = await startWorker('worker under load')
      await sleep(i * 2)
      await worker.terminate()
    }
    say('done')
  },
  async 'a worker ends, the main thread watches on'() {
    const { bridge } = make('wire')
    const watch = bridge.cam.watch()
    const worker = await startWorker('worker under load')
    await worker.terminate()
    bridge.cam.add(entries(1, 1))
    if ((await watch.next()).done) throw new Error('ended with the worker')
    say('done')
  },
  async 'exit with workers running'() {
    await Promise.all(['worker under load', 'worker to terminate'].map(startWorker))
    process.exit(7)
  },
  async 'to be killed with workers running'() {
    make('wire')
    await Promise.all(['worker under load', 'worker to terminate'].map(startWorker))
    say('ready')
    await sleep(60_000)
  },
  'worker that returns'() {
    make().bridge.cam.watch()
    parentPort!.postMessage('ready')
  },
  async 'worker that exits'() {
    const { bridge } = make()
    void bridge.cam.watch().next()
    parentPort!.postMessage('ready')
    await sleep(1)
    process.exit(0)
  },
  async 'worker to terminate'() {
    const { bridge } = make()
    parentPort!.postMessage('ready')
    for await (const _ of bridge.cam.watch()) { /* until terminated */ }
  },
  async 'worker under load'() {
    const { bridge } = make()
    storm(bridge)
    const watch = bridge.cam.watch()
    await watch.next()
    parentPort!.postMessage('ready')
    setInterval(() => {}, 1000)
    for await (const _ of watch) { /* until terminated */ }
  },

  // ---- garbage
  async 'garbage'() {
    const collect = (globalThis as { gc?: () => void; Bun?: { gc(force: boolean): void } }).gc ?? (() => (globalThis as any).Bun.gc(true))
    const count = (): number => readdirSync('/proc/self/fd').length
    make('wire').ns.close()
    const before = count()
    for (let i = 0; i < 100; i++) Netns.create()
    // Finalizers run between turns of the event loop, and only for what no register or stack slot still names.
    for (let i = 0; i < 50 && count() > before + 5; i++) { collect(); await sleep(10) }
    say(count() <= before + 5 ? 'done' : `${count() - before} descriptors left`)
  },
}

await scenarios[scenario!]!()
