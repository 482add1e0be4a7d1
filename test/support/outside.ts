// SPDX-License-Identifier: MIT
// Looking at the kernel from outside the library: iproute2 and others, run inside a namespace.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Netns } from '../../lib/index.js'

/** Runs a command in a namespace; throws with its stderr when it fails. */
export function run(ns: Netns, command: string, ...args: string[]): string {
  const result = tryRun(ns, command, ...args)
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${result.status}: ${result.stderr}`)
  return result.stdout
}

/** Runs a command in a namespace, whatever its status. */
export function tryRun(ns: Netns, command: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr, error } = spawnSync('nsenter', [`--net=${ns.path}`, '--', command, ...args], { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (error !== undefined) throw error
  return { status, stdout, stderr }
}

/** Runs a command in a namespace with text on its standard input. */
export function feed(ns: Netns, input: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr } = tryFeed(ns, input, command, ...args)
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${status}: ${stderr}`)
  return stdout
}

/** As {@link feed}, whatever its status. */
export function tryFeed(ns: Netns, input: string, command: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr, error } = spawnSync('nsenter', [`--net=${ns.path}`, '--', command, ...args], { encoding: 'utf8', input, maxBuffer: 1 << 28 })
  if (error !== undefined) throw error
  return { status, stdout, stderr }
}

/** Runs many commands of `ip` or `bridge` in one process: in a guest a process takes a fifth of a second. */
export function batch(ns: Netns, command: 'ip' | 'bridge', lines: readonly string[]): void {
  feed(ns, lines.join('\n'), command, '-batch', '-')
}

/** `ip -j -d ...` parsed. */
export function ipJson(ns: Netns, ...args: string[]): any[] {
  return JSON.parse(run(ns, 'ip', '-j', '-d', ...args) || '[]')
}

/** Waits until the kernel has seen the carrier of links that are up: it does that in the background (net/core/link_watch.c). */
export function waitUntilUp(ns: Netns, ...names: string[]): void {
  for (let tries = 0; tries < 100; tries++) {
    if (ipJson(ns, 'link').filter(({ ifname, operstate }) => names.includes(ifname) && operstate === 'UP').length === names.length) return
    run(ns, 'sleep', '0.1')
  }
}

/** `bridge -j -d ...` parsed. */
export function bridgeJson(ns: Netns, ...args: string[]): any[] {
  return JSON.parse(run(ns, 'bridge', '-j', '-d', ...args) || '[]')
}

/** Whether the kernel has a device kind or option, asked of iproute2: the reason to skip when it has not. */
export function lacks(what: 'dummy' | 'vlan-filtering' | 'macvlan' | 'vlan' | 'ifb'): string | false {
  const ns = Netns.create()
  try {
    const steps: Record<typeof what, string[][]> = {
      dummy: [['link', 'add', 't0', 'type', 'dummy']],
      ifb: [['link', 'add', 't0', 'type', 'ifb']],
      'vlan-filtering': [['link', 'add', 't0', 'type', 'bridge', 'vlan_filtering', '1']],
      macvlan: [['link', 'add', 't0', 'type', 'veth'], ['link', 'add', 't1', 'link', 't0', 'type', 'macvlan']],
      vlan: [['link', 'add', 't0', 'type', 'veth'], ['link', 'add', 't1', 'link', 't0', 'type', 'vlan', 'id', '5']],
    }
    return steps[what].every((args) => tryRun(ns, 'ip', ...args).status === 0) ? false : `this kernel has no ${what}; the vm ring runs this`
  } finally {
    ns.close()
  }
}

/** What runs a command as an ordinary user. */
export const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--'] as const

/** Why an ordinary user cannot run this test's program in a user namespace of his own, or false. */
export function noUserNamespaces(file: string): string | false {
  if (process.getuid?.() !== 0) return 'becoming another user needs root'
  const { status, stderr } = spawnSync(asNobody[0], [...asNobody.slice(1), 'unshare', '--user', '--map-root-user', '--net', 'test', '-r', file], { encoding: 'utf8' })
  return status === 0 ? false : `an ordinary user has no user namespaces here, or cannot read this: ${stderr.trim()}`
}

/**
 * Why tcpdump cannot be used here, or false. It gives up its privileges by setgroups(2), which a user namespace that an
 * ordinary user made does not allow (user_namespaces(7)).
 */
export const noTcpdump: string | false = readFileSync('/proc/self/setgroups', 'utf8').trim() === 'deny'
  && 'tcpdump does not run in the user namespace of an ordinary user; as root it does'
