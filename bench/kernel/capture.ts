// SPDX-License-Identifier: MIT
// Runs in the guest: node dist/bench/kernel/capture.js ROUNDS
//
// The kernel's generator sends as fast as it can on the first CPU; tcpdump and ours take turns to get all of it to the other side, with
// buffers in which all of it has room. What counts is when nine tenths are there, since tcpdump gets the last ones when a timer of a second ends.
// Before, packets are sent that are not counted, until programs have got into their stride.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { makeNetwork, type Network } from './network.js'
import { prepare } from './pktgen.js'

const READER = fileURLToPath(new URL('./capture-reader.js', import.meta.url))
const FILE = '/tmp/capture'
const SIZES = [[60, 60_000], [1400, 30_000]] as const
const WARM_UP = 20_000
/** Longer than the timer of tcpdump. */
const REST_MS = 1200

/** What each packet takes beside its bytes in a file of tcpdump, and of ours: block, padding, options. */
const OVERHEAD = { tcpdump: 16, file: 32 + 12 }
const padded = (way: keyof typeof OVERHEAD, size: number) => (way === 'file' ? Math.ceil(size / 4) * 4 : size) + OVERHEAD[way]

export type CaptureWay = 'tcpdump' | 'file' | 'objects'

export interface CaptureSample {
  kind: 'capture'
  way: CaptureWay
  size: number
  packets: number
  /** Nanoseconds until nine tenths had come, and that the generator took for a packet. */
  nanoseconds: number
  generator: number
  /** Of processor time of the program, for a packet. */
  processor: number
  lost: number
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** Processor time of all threads, in nanoseconds (Documentation/scheduler/sched-stats.rst): what /proc/PID/stat has is counted by ticks. */
function processorOf({ pid }: ChildProcess): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]), 0)
}

const fileSize = () => { try { return statSync(FILE).size } catch { return 0 } }

async function take(network: Network, way: CaptureWay, size: number, packets: number): Promise<CaptureSample> {
  rmSync(FILE, { force: true })
  const command = way === 'tcpdump'
    ? ['tcpdump', '-i', 'eth0', '-nn', '-Q', 'in', '-B', '65536', '-w', FILE, '--time-stamp-precision=nano']
    : [process.execPath, READER, way, way === 'file' ? FILE : String(WARM_UP + 0.9 * packets)]
  const child = spawn('nsenter', [`--net=${network.box.path}`, '--', ...command], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (text) => { said += String(text) })
  child.stderr.on('data', (text) => { said += String(text) })
  while (!/ready|listening on/.test(said)) await sleep(5)
  await prepare(network, 'INPUT', size, WARM_UP)()
  await sleep(REST_MS)

  const size0 = fileSize()
  const start = prepare(network, 'INPUT', size, packets)
  const before = processorOf(child)
  const began = process.hrtime.bigint()
  const sending = start()
  let nanoseconds = 0
  for (let looks = 0; nanoseconds === 0; looks++) {
    if (looks > 30_000) throw new Error(`${way}: nine tenths did not come: ${fileSize()} bytes; ${said}`)
    await sleep(1)
    const at = /"at":"(\d+)"/.exec(said)?.[1]
    if (way === 'objects' && at !== undefined) nanoseconds = Number(BigInt(at) - began)
    if (way !== 'objects' && fileSize() - size0 >= 0.9 * packets * padded(way, size)) nanoseconds = Number(process.hrtime.bigint() - began)
  }
  const generator = (await sending) / packets
  // The rest, tcpdump's with its timer.
  await sleep(REST_MS)
  const processor = (processorOf(child) - before) / packets
  child.kill('SIGINT')
  await once(child, 'close')
  const lost = WARM_UP + packets - Number((way === 'tcpdump' ? /(\d+) packets captured/ : /"delivered":(\d+)/).exec(said)?.[1])
  return { kind: 'capture', way, size, packets, nanoseconds: nanoseconds / (0.9 * packets), generator, processor, lost }
}

async function main(): Promise<void> {
  const rounds = Number(process.argv[2] ?? 1)
  const network = makeNetwork('plain')
  const ways: readonly CaptureWay[] = ['tcpdump', 'file', 'objects']
  for (let round = 0; round < rounds; round++) {
    for (const [size, packets] of SIZES) {
      for (let i = 0; i < ways.length; i++) process.stdout.write(`${JSON.stringify(await take(network, ways[(round + i) % ways.length]!, size, packets))}\n`)
    }
  }
}

await main()
