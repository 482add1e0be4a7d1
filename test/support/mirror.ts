// SPDX-License-Identifier: MIT
// What tests of the mirror look at: the whole of a namespace that it touches, as other programs see it.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { CloneTarget, Hook } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import type { ChildPlan } from './mirror-child.js'
import { mirrorLab } from './module.js'
import { run } from './outside.js'

const CHILD = fileURLToPath(new URL('./mirror-child.js', import.meta.url))

/** A directory for journals, gone after the test. */
export function journalDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'nfkit-mirror-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/**
 * Links, policy rules, routes of all tables and iptables rules of a host, in one process: in a guest each takes a fifth of a second. Without
 * the dates of iptables-save, and what the policies counted.
 */
export function everything({ netns }: Host): string {
  const text = run(netns, 'sh', '-c', `ip -j link; for family in -4 -6; do ip -d $family rule; ip -d $family route show table all; done
    for table in filter mangle; do iptables-legacy-save -t $table; ip6tables-legacy-save -t $table; done`)
  return text.replace(/^#.*\n/gm, '').replace(/\[\d+:\d+\]$/gm, '')
}

/** What is there anyway on a box that is used: rules in the tables, a policy rule, a table of somebody's. */
export function furnish({ netns }: Host): void {
  run(netns, 'sh', '-ec', `
    for tables in iptables-legacy ip6tables-legacy; do
      $tables -A INPUT -p tcp --dport 22 -j ACCEPT; $tables -A FORWARD -m mark --mark 0x0c10e001 -j ACCEPT
      $tables -t mangle -A POSTROUTING -p tcp -j RETURN
    done
    for family in -4 -6; do ip $family rule add pref 100 fwmark 7 table 1234; ip $family route add default dev eth1 table 1234; done`)
}

/** A lab with a box in use, what it looks like, and where its mirrors are. */
export async function preparedLab(t: Test) {
  const net = await mirrorLab(t, { routed: false })
  furnish(net.box)
  const place = { netns: net.box.netns, journal: journalDirectory(t) }
  return { ...net, place, before: everything(net.box) }
}

/** Runs the child to its end. */
export function mirrorChild(plan: ChildPlan): { status: number | null; signal: NodeJS.Signals | null; steps: number; stderr: string } {
  const { status, signal, stdout, stderr, error } = spawnSync(process.execPath, [CHILD, JSON.stringify(plan)], { encoding: 'utf8', timeout: 120_000 })
  if (error !== undefined) throw error
  return { status, signal, steps: Number(stdout), stderr }
}

/** {@link everything}, and what the kernel module has there. */
export function everythingOf(box: Host): string {
  const { netns } = box
  // The second is another way to ask: a target that is not named by a rule and not defined has no line.
  const objects = { targets: CloneTarget.list(netns), hooks: Hook.list(netns), counted: netns.readProc('nfkit').match(/^target:\S+/gm) }
  return `${everything(box)}${JSON.stringify(objects)}`
}

/** A {@link preparedLab} with a second monitor at eth3. */
export async function twoMonitors(t: Test) {
  const net = await preparedLab(t)
  const { lab, box } = net
  const second = lab.host('second', { ipv6: false })
  lab.wire({ host: box, name: 'eth3' }, { host: second })
  return { ...net, second, before: everythingOf(box) }
}

export type TwoMonitors = Awaited<ReturnType<typeof twoMonitors>>
