// SPDX-License-Identifier: MIT
// Rules made with nfkit, and what they counted as iptables-legacy says it.

import { spawnSync } from 'node:child_process'
import type { Test } from 'tap'
import { type Netfilter, type NetfilterRule, Netns, type TableDraft, type Watch } from '../../lib/index.js'
import { type CapturedFrame, type CaptureEvent, collect, type Host, type PingResult } from '../../lib/lab/index.js'
import { run, tryRun } from './outside.js'
import { eventually, type Family } from './queue.js'

/** Why no rules can be made and counted here, or false. */
export const noTables: string | false = (() => {
  if (spawnSync('iptables-legacy', ['--version']).status !== 0) return 'iptables-legacy is not installed here'
  const netns = Netns.create()
  try {
    const { status, stderr } = tryRun(netns, 'iptables-legacy', '-A', 'INPUT')
    return status === 0 ? false : `no rules of iptables-legacy here: ${stderr.trim()}`
  } finally {
    netns.close()
  }
})()

/** Milliseconds for what is sure to come: an emulated guest on a busy machine is slow. */
export const PATIENCE = 20_000
/** Milliseconds for what never comes: that it did not come is said by counters. */
export const BRIEFLY = 50

const COMMANDS = { ipv4: 'iptables-legacy', ipv6: 'ip6tables-legacy' } as const

/** What a rule's chain is to hold: in each chain its rules, the policy of a built-in one as a word. */
export type Chains = Readonly<Record<string, readonly (NetfilterRule | 'DROP')[]>>

/** Makes a table into these chains, in one step. */
export async function setRules(nf: Netfilter, table: string, chains: Chains): Promise<void> {
  await nf.update(table, (draft: TableDraft) => {
    draft.flush()
    draft.deleteChains()
    for (const name of Object.keys(chains)) if (!draft.hasChain(name)) draft.newChain(name)
    for (const name of draft.chains) if (draft.chain(name).policy !== undefined) draft.chain(name).setPolicy(chains[name]?.includes('DROP') === true ? 'DROP' : 'ACCEPT')
    for (const [name, rules] of Object.entries(chains)) for (const rule of rules) if (rule !== 'DROP') draft.chain(name).append(rule)
  })
}

/** The packets that each rule of a chain met, the policy's last, as `iptables-legacy -nvxL` says it. */
export function listed(netns: Netns, family: Family, table: string, chain: string): number[] {
  const lines = run(netns, COMMANDS[family], '-t', table, '-nvxL', chain).trimEnd().split('\n')
  const policy = /policy \w+ (\d+) packets/.exec(lines[0]!)
  return [...lines.slice(2).map((line) => Number(line.trim().split(/\s+/)[0])), ...(policy === null ? [] : [Number(policy[1])])]
}

const bare = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))

/**
 * Waits until the rules of a chain have met so many packets (its policy is not looked at: neighbours talk to each other), as nfkit says it;
 * then holds all of the table, bytes too, against iptables-legacy-save -c and -nvxL.
 */
export async function counted(t: Test, nf: Netfilter, netns: Netns, table: string, chain: string, expected: readonly number[]): Promise<void> {
  const packets = () => nf.table(table).chain(chain).rules.map(({ counters }) => counters.packets)
  try {
    await eventually('the counters', () => packets().join() === expected.join(), PATIENCE / 1000)
  } catch { /* shown below */ }
  t.same(packets(), expected, `${table} ${chain}`)
  const ours = () => bare(nf.saveSync({ counters: true, tables: [table] }))
  for (let attempt = 0; ; attempt++) {
    const before = ours()
    const theirs = bare(run(netns, `${COMMANDS[nf.family]}-save`, '-c', '-t', table))
    const list = listed(netns, nf.family, table, chain)
    const { rules, counters } = nf.table(table).chain(chain)
    // Packets that nobody asked for, neighbour discovery for one, count meanwhile.
    if (before.join() !== ours().join() && attempt < 20) continue
    t.same(before, theirs, 'as iptables-legacy-save -c')
    t.same([...rules.map((rule) => rule.counters.packets), ...(counters === undefined ? [] : [counters.packets])], list, 'as iptables-legacy -nvxL')
    return
  }
}

/** Why a ping had no reply: `port-unreachable 3/3 10.0.1.254`. */
export const reasons = ({ received, errors }: PingResult) => [
  received, ...errors.map((error) => (error.kind === 'local' ? error.code : `${error.reason} ${error.type}/${error.code} ${error.from}`)),
]

/** The next `count` frames of a capture. */
export async function framesOf(capture: Watch<CaptureEvent>, count: number): Promise<CapturedFrame[]> {
  return (await collect(capture, { count, timeout: PATIENCE })).filter((item): item is CapturedFrame => item.type === 'frame')
}

/** Sends datagrams to a port, from a port of their own each time. */
export async function sendTo(from: Host, address: string, port: number, texts: readonly string[]): Promise<void> {
  const socket = await from.connect({ protocol: 'udp', address, port })
  // An ICMP error about an earlier one is told by the next call, and is no matter here.
  for (const text of texts) await socket.send(text).catch(() => {})
  socket.close()
}
