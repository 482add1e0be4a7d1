// SPDX-License-Identifier: MIT
// Verdicts per second of PacketQueue beside a C program on libnetfilter_queue, one by one and in batches.

import { spawnSync } from 'node:child_process'
import { Link, PacketQueue } from '../../lib/index.js'
import { addon, check, checkDescriptor } from '../../lib/native.js'
import { encodeSocketAddress } from '../../lib/wire/sockaddr.js'
import { type Bench, type Benchmark, comparison, type Contender, count, summary, takeTurns } from '../harness.js'
import { hasPeer, QUEUE_PEER } from '../peers.js'
import { PeerProcess } from '../peer-process.js'

const QUEUE = 7
const PORT = 9
const BYTES = 100
const BATCH = 64
/** The time is taken from this packet on: what was received ahead of the start is less. */
const FROM = 20_000
const PEER = 'C with libnetfilter_queue'

/**
 * Packets that wait in the kernel are the same for both, and nobody else runs while the time is taken. They wait at INPUT, since at
 * OUTPUT they would fill their socket, and are dropped afterwards, before anything else is done with them.
 */
function prepare(): { fill(packets: number): void; close(): void } {
  Link.set('lo', { up: true })
  for (const rule of [`-t mangle -A INPUT -p udp --dport ${PORT} -j NFQUEUE --queue-num ${QUEUE}`, `-A INPUT -p udp --dport ${PORT} -j DROP`]) {
    const { status, stderr } = spawnSync('iptables-legacy', rule.split(' '), { encoding: 'utf8' })
    if (status !== 0) throw new Error(`iptables-legacy ${rule}: ${stderr}`)
  }
  const socket = checkDescriptor(addon.socket(2, 2, 17, -1), 'socket')
  check(socket.connect(encodeSocketAddress(Uint8Array.of(127, 0, 0, 1), PORT)), 'connect')
  const data = new Uint8Array(BYTES)
  return {
    fill(packets) { for (let i = 0; i < packets; i++) check(socket.send(data, 0), 'sendto') },
    close: () => socket.close(),
  }
}

async function verdicts(bench: Bench): Promise<void> {
  const packets = bench.quick ? 30_000 : 60_000
  const traffic = prepare()
  const rate = (milliseconds: number) => (packets - FROM) / (milliseconds / 1000)

  async function ours(batch: number): Promise<number> {
    using queue = PacketQueue.open(QUEUE, { maxLength: 65536, receiveBuffer: 512 << 20 })
    traffic.fill(packets)
    if (queue.statistics().waiting !== packets) throw new Error(`of ${packets} packets ${queue.statistics().waiting} wait`)
    let seen = 0
    let bytes = 0
    let started = 0
    for await (const packet of queue) {
      if (++seen === FROM) started = performance.now()
      bytes += packet.payload.length
      if (batch === 0) packet.accept()
      else if (seen % batch === 0 || seen === packets) queue.acceptUpTo(packet)
      if (seen === packets) break
    }
    const milliseconds = performance.now() - started
    if (bytes !== packets * (BYTES + 28)) throw new Error(`${bytes} bytes in ${packets} packets`)
    return rate(milliseconds)
  }

  const there = hasPeer(bench, 'libnetfilter_queue')
  using peer = there ? new PeerProcess(PEER, QUEUE_PEER, []) : undefined
  async function theirs(batch: number): Promise<number> {
    await peer!.ask({ open: QUEUE })
    traffic.fill(packets)
    const { milliseconds } = await peer!.ask<{ milliseconds: number }>({ count: packets, from: FROM, batch })
    await peer!.ask({ close: 0 })
    return rate(milliseconds)
  }

  const lines = [['packet.accept()', 0, 0.5], [`queue.acceptUpTo(), every ${BATCH}th packet`, BATCH, undefined]] as const
  const contenders: Contender[] = lines.flatMap(([what, batch]) => [
    { name: what, sample: () => ours(batch) },
    ...(peer === undefined ? [] : [{ name: `${PEER} ${batch}`, sample: () => theirs(batch), mayFail: true }]),
  ])
  const samples = await takeTurns(bench, contenders, bench.quick ? 2 : 7)
  for (const [what, batch, limit] of lines) {
    const value = summary('/s', samples.get(what)!)
    const others = samples.get(`${PEER} ${batch}`) ?? []
    const common = { what: `PacketQueue, ${what}`, size: count(packets), ours: value }
    if (others.length === 0) bench.report(common)
    else bench.report(comparison({ ...common, peer: { name: PEER, value: summary('/s', others) }, reading: 'speed', limit }))
  }
  traffic.close()
}

export default {
  about: 'verdicts per second of PacketQueue beside a C program on libnetfilter_queue',
  run: verdicts,
} satisfies Benchmark
