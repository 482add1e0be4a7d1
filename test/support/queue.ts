// SPDX-License-Identifier: MIT
// Traffic for packet queues and logs, and what became of it as iptables counts it.

import { spawnSync } from 'node:child_process'
import type { Test } from 'tap'
import { type Host, Lab, type UdpSocket } from '../../lib/lab/index.js'
import { Netns, PacketQueue } from '../../lib/index.js'
import { filter, twoHosts } from './lab.js'
import { run, tryRun } from './outside.js'

export const PORT = 4000
export const ADDRESSES = { ipv4: '192.168.0.2', ipv6: 'fd00::2' } as const
export const FAMILIES = ['ipv4', 'ipv6'] as const
export type Family = (typeof FAMILIES)[number]

/** Why there are no rules with this target here, or false. */
export function lacksTarget(target: 'NFQUEUE' | 'NFLOG'): string | false {
  if (spawnSync('iptables-legacy', ['--version']).status !== 0) return 'iptables-legacy is not installed here'
  const netns = Netns.create()
  try {
    if (tryRun(netns, 'iptables-legacy', '-A', 'INPUT', '-j', target).status !== 0) return `this kernel has no ${target}`
    // Whether there is such a file is only known once the module is loaded.
    if (target === 'NFQUEUE') PacketQueue.open(1, { netns }).close()
    const file = `/proc/net/netfilter/nfnetlink_${target === 'NFQUEUE' ? 'queue' : 'log'}`
    return tryRun(netns, 'cat', file).stderr.includes('ermission') ? `${file} is not for the user namespace of an ordinary user; as root it is` : false
  } finally {
    netns.close()
  }
}

const IPTABLES = { ipv4: 'iptables-legacy', ipv6: 'ip6tables-legacy' } as const

/** How many packets met the rule of the filter table's INPUT that has this comment. */
export function counted(host: Host, family: Family, comment: string): number {
  const save = run(host.netns, `${IPTABLES[family]}-save`, '-c', '-t', 'filter')
  const line = save.split('\n').find((text) => text.includes(`--comment ${comment} `) || text.endsWith(`--comment ${comment}`))
  return Number(/^\[(\d+):/.exec(line ?? '')?.[1])
}

/**
 * h1, who sends datagrams to PORT of h2, where a rule of the mangle table's INPUT hands them over; what comes through is counted in
 * the filter table, where `all` counts every one and others by mark: `m1` those with mark 1.
 */
export async function network(t: Test, rule: string): Promise<{ lab: Lab; h1: Host; h2: Host }> {
  const made = await twoHosts(t)
  for (const family of FAMILIES) {
    filter(made.h2, family, `-t mangle -A INPUT -p udp --dport ${PORT} ${rule}`)
    for (const mark of [1, 2, 3]) filter(made.h2, family, `-A INPUT -p udp --dport ${PORT} -m mark --mark ${mark} -m comment --comment m${mark}`)
    filter(made.h2, family, `-A INPUT -p udp --dport ${PORT} -m comment --comment all`)
  }
  return made
}

/** Receives at h2, so that nobody answers that the port is unreachable. */
export function receiver(h2: Host, family: Family, serve?: 'discard'): UdpSocket {
  return h2.listen({ protocol: 'udp', port: PORT, address: family === 'ipv4' ? '0.0.0.0' : '::', serve }) as UdpSocket
}

/** Sends datagrams that begin with a number, and lets others run now and then. */
export async function sendNumbered(h1: Host, family: Family, from: number, count: number, size = 20): Promise<void> {
  const socket = await h1.connect({ protocol: 'udp', address: ADDRESSES[family], port: PORT }) as UdpSocket
  const data = Buffer.alloc(size)
  try {
    for (let i = from; i < from + count; i++) {
      data.writeUInt32BE(i)
      await socket.send(data)
      if (i % 64 === 63) await new Promise((resolve) => { setImmediate(resolve) })
    }
  } finally {
    socket.close()
  }
}

/** The number in a datagram of {@link sendNumbered}, from its packet. */
export function numberIn(payload: Uint8Array): number {
  const at = (payload[0]! >> 4 === 4 ? (payload[0]! & 15) * 4 : 40) + 8
  return Buffer.from(payload.buffer, payload.byteOffset + at, 4).readUInt32BE()
}

/** Waits until something is so; the limit is generous, since an emulated guest is slow. */
export async function eventually(what: string, is: () => boolean, seconds = 60): Promise<void> {
  for (const end = performance.now() + seconds * 1000; !is();) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`)
    await new Promise((resolve) => { setTimeout(resolve, 10) })
  }
}
