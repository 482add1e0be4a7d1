// SPDX-License-Identifier: MIT
// Runs in the guest: node dist/bench/kernel/main.js PACKETS ROUNDS [WAY...]
//
// The ways take turns, beginning with another one each round. A turn takes the time of the same packets without a copy, then with it. One
// line of JSON a sample; scripts/bench-kernel.mjs makes tables of them.

import { existsSync } from 'node:fs'
import { commands, droppedInInput, makeNetwork, type Network, type Path, received, type Setup, waiting } from './network.js'
import { send } from './pktgen.js'
import type { Message, Sample } from './report.js'
import { type Way, WAYS } from './ways.js'

const SIZES = [60, 1400]
const PATHS: readonly Path[] = ['FORWARD', 'INPUT']
/** How many times a sample is taken again because something of it was left when it ended. */
const TRIES = 10
const WARM_UP = 100

const say = (message: Message) => { process.stdout.write(`${JSON.stringify(message)}\n`) }
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

/** What each end got between two looks, if it is not `packets` for those that are to get them and nothing for the others. */
function wrong(before: Map<string, number>, after: Map<string, number>, wanted: ReadonlySet<string>, packets: number): string | undefined {
  const counts = [...after].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const)
  const bad = counts.filter(([name, count]) => count !== (wanted.has(name) ? packets : 0))
  return bad.length === 0 ? undefined : bad.map(([name, count]) => `${name} got ${count} of ${wanted.has(name) ? packets : 0} packets`).join(', ')
}

/** One sample. All that is to become of a packet has to be over when the generator ends, else its time is not the whole. */
async function sample(network: Network, path: Path, size: number, packets: number, outputs: readonly string[]): Promise<Pick<Sample, 'nanoseconds' | 'problem' | 'again'>> {
  const wanted = new Set([...outputs, ...(path === 'FORWARD' ? ['eth1'] : [])])
  for (let again = 0; ; again++) {
    const before = received(network)
    const nanoseconds = send(network, path, size, packets)
    const late = waiting(network) > 0 || wrong(before, received(network), wanted, packets) !== undefined
    let problem: string | undefined
    for (let looks = 0; looks < 200; looks++) {
      problem = wrong(before, received(network), wanted, packets)
      if (problem === undefined && waiting(network) === 0) break
      await sleep(10)
    }
    if (problem !== undefined) return { nanoseconds, problem, again }
    if (!late) return { nanoseconds, again }
    if (again === TRIES) return { nanoseconds, problem: `packets were still waiting when the generator ended, ${TRIES} times`, again }
  }
}

async function turn(networks: Readonly<Record<Setup, Network>>, path: Path, way: Way, round: number, packets: number): Promise<void> {
  const { setup = 'plain', without = setup, outputs } = way
  const network = networks[setup]
  const dropped = () => (path === 'INPUT' ? droppedInInput(networks.plain) + droppedInInput(networks.routed) : 0)
  const before = dropped()
  let sent = 0
  const take = async (from: Network, copied: boolean) => {
    for (const size of SIZES) {
      const { again, ...rest } = await sample(from, path, size, packets, copied ? outputs : [])
      sent += packets * (again + 1)
      say({ kind: 'sample', path, size, way: way.name, with: copied, round, packets, again, ...rest })
    }
  }
  await take(networks[without], false)
  commands(network.box, way.up?.(path) ?? [])
  const opened = way.open?.(network.box, path)
  try {
    send(network, path, 60, WARM_UP)
    sent += WARM_UP
    await take(network, true)
  } finally {
    opened?.[Symbol.dispose]()
    commands(network.box, way.down?.(path) ?? [])
  }
  const came = dropped() - before
  if (path === 'INPUT' && came !== sent) say({ kind: 'lost', path, way: way.name, text: `${came} of ${sent} originals came to INPUT` })
}

async function main(): Promise<void> {
  const [packets = 0, rounds = 0] = process.argv.slice(2, 4).map(Number)
  const names = process.argv.slice(4)
  const ways = WAYS.filter((way) => {
    if (names.length > 0 && !names.includes(way.name)) return false
    const isThere = way.needs === undefined || existsSync(way.needs)
    if (!isThere) say({ kind: 'note', text: `${way.name} was not measured: ${way.needs} is not there` })
    return isThere
  })
  const networks = { plain: makeNetwork('plain'), routed: makeNetwork('routed') }
  for (const path of PATHS) for (const network of Object.values(networks)) send(network, path, 60, packets)
  for (const path of PATHS) {
    const here = ways.filter((way) => way.paths?.includes(path) ?? true)
    for (let round = 0; round < rounds; round++) {
      for (let i = 0; i < here.length; i++) await turn(networks, path, here[(round + i) % here.length]!, round, packets)
      say({ kind: 'log', text: `${path}: round ${round + 1} of ${rounds}` })
    }
  }
}

await main()
