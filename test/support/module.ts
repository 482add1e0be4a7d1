// SPDX-License-Identifier: MIT
// The kernel module in a guest, and a network with a mirror port for it.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import type { Test } from 'tap'
import { Link, Netfilter, Route, Rule, type RuleSpec } from '../../lib/index.js'
import { type Host, Lab } from '../../lib/lab/index.js'
import type { IpFamily } from '../../lib/wire/ip.js'

/** The module's file; the vm ring says where it is. */
export const MODULE = process.env['NFKIT_MODULE'] ?? ''

/** Why the module cannot be tested here, or false. */
export const noModule: string | false = MODULE === '' && 'only a guest may load the module: npm test -- vm'

function tool(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${status}: ${stderr}`)
}

export const isLoaded = () => /^nfkit /m.test(readFileSync('/proc/modules', 'utf8'))

export function loadModule(): void {
  if (!isLoaded()) tool('insmod', MODULE)
}

export function unloadModule(): void {
  if (isLoaded()) tool('rmmod', 'nfkit')
}

/** How many rules and descriptors hold the module. */
export const moduleUsers = () => Number(/^nfkit \d+ (\d+)/m.exec(readFileSync('/proc/modules', 'utf8'))?.[1])

/** The mark and the table of the mirror port. */
export const MARK = 0xc10e
export const TABLE = 4711

/**
 * h1 (192.168.1.1, fd01::1) and h2 (192.168.2.2, fd02::2) with the box between them (.254, ::fe; eth0 and eth1), and the
 * monitor at its mirror port eth2.
 */
export interface MirrorLab { lab: Lab; h1: Host; h2: Host; box: Host; monitor: Host }

/** `routed`: copies with MARK are routed to the mirror port. */
export async function mirrorLab(t: Test, { routed = true }: { routed?: boolean } = {}): Promise<MirrorLab> {
  const lab = await Lab.create()
  t.teardown(() => lab.close())
  const h1 = lab.host('h1')
  const h2 = lab.host('h2')
  const box = lab.box('box', { forwarding: true })
  const monitor = lab.host('monitor', { ipv6: false })
  lab.wire({ host: box, addresses: ['192.168.1.254/24', 'fd01::fe/64'] }, { host: h1, addresses: ['192.168.1.1/24', 'fd01::1/64'] })
  lab.wire({ host: box, addresses: ['192.168.2.254/24', 'fd02::fe/64'] }, { host: h2, addresses: ['192.168.2.2/24', 'fd02::2/64'] })
  lab.wire({ host: box }, { host: monitor })
  for (const [host, n] of [[h1, 1], [h2, 2]] as const) {
    host.addRoute({ destination: 'default', gateway: `192.168.${n}.254` })
    host.addRoute({ destination: '::/0', gateway: `fd0${n}::fe` })
  }
  if (routed) routeMirror(box)
  return { lab, h1, h2, box, monitor }
}

/** What routes copies to the mirror port: before the table `local`, so that those of packets to the box leave it too. */
export function routeMirror(box: Host): void {
  const { netns } = box
  Link.set('eth2', { arp: false }, { netns })
  for (const family of ['ipv4', 'ipv6'] as const) {
    Rule.add({ family, priority: 10, fwmark: MARK, table: TABLE }, { netns })
    localRule(box, family)
    Route.add({ destination: family === 'ipv4' ? 'default' : '::/0', link: 'eth2', table: TABLE }, { netns })
  }
}

/** Has copies with MARK leave by a VLAN device over the mirror port: for such a device they are queued, while a veth gets them at once. */
export function queueMirror({ netns }: Host): void {
  for (const words of ['link add link eth2 name m0 type vlan id 9', 'link set m0 arp off up', `route replace default dev m0 table ${TABLE}`]) tool('nsenter', `--net=${netns.path}`, 'ip', ...words.split(' '))
}

function localRule(box: Host, family: IpFamily): void {
  const { netns } = box
  const local: RuleSpec = { family, table: 'local' }
  Rule.add({ ...local, priority: 20 }, { netns })
  Rule.delete({ ...local, priority: 0 }, { netns })
}

/** Appends `-j CLONE --mark MARK` with what comes before it. */
export function clone(host: Host, family: IpFamily, chain: string, matches = '', options: { table?: string; mark?: number } = {}): void {
  const { table = chain === 'POSTROUTING' ? 'mangle' : 'filter', mark = MARK } = options
  const nf = Netfilter.open({ family, netns: host.netns })
  try {
    nf.updateSync(table, (draft) => { draft.chain(chain).append(`${matches} -j CLONE --mark ${mark}`.trim()) })
  } finally {
    // A socket of the namespace would keep it alive.
    nf.close()
  }
}

/** Appends `-j CLONE --target NAME` with what comes before it. */
export function cloneTo(host: Host, family: IpFamily, chain: string, target: string, matches = '', table = chain === 'POSTROUTING' ? 'mangle' : 'filter'): void {
  const nf = Netfilter.open({ family, netns: host.netns })
  try {
    nf.updateSync(table, (draft) => { draft.chain(chain).append(`${matches} -j CLONE --target ${target}`.trim()) })
  } finally {
    nf.close()
  }
}

/** Counters of the module in a namespace, by mark, or as `dev:eth2`, `target:probe` or `target:probe:eth2`; those that are zero are not there. */
export function counters(host: Host, of: number | string = MARK): Record<string, number> {
  const wanted = typeof of === 'number' ? `mark:0x${of.toString(16)}` : of
  const [names = [], ...lines] = host.netns.readProc('nfkit').trim().split('\n').map((line) => line.split(' '))
  const line = lines.find(([target]) => target === wanted)
  if (line === undefined) return {}
  return Object.fromEntries(names.map((name, i) => [name, Number(line[i])] as const).slice(1).filter(([, value]) => value !== 0))
}

/** The kernel takes namespaces apart in the background, and their rules with them: until then the module is in use. */
export async function unloadModuleWhenFree(): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      unloadModule()
      return
    } catch (error) {
      if (tries === 600) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

/** Loads the module for a file of tests, and unloads it when they are over. */
export function withModule(t: Test): void {
  if (noModule !== false) return
  if (!existsSync(MODULE)) throw new Error(`${MODULE} is not here`)
  loadModule()
  t.teardown(unloadModuleWhenFree)
}

/** A frame's packet: what is behind its MAC header, as hexadecimal digits. */
export const packetOf = (frame: Uint8Array) => Buffer.from(frame.subarray(14)).toString('hex')

/**
 * What came, in an order that can be compared. Each CPU has a queue of copies, so those of a sender that moves from one CPU to
 * another may overtake one another.
 */
export const sorted = (packets: readonly string[]) => [...packets].sort()

/**
 * Captures what comes in while something goes on: UDP, TCP and ICMP packets, fragments too, as hexadecimal digits in their order,
 * with their MAC header if it is to be the whole frame.
 * Ends once `count` packets are there; then those that came in excess are there too, since a last frame tells where the end is.
 */
export async function arrivals(
  from: Host, fromDevice: string, at: Host, during: () => Promise<unknown>, count: () => number, options: { whole?: boolean } = {},
): Promise<string[]> {
  const watch = at.capture('eth0', { promiscuous: true, direction: 'in', filter: ({ data }) => isWanted(untagged(data)) })
  const seen: string[] = []
  const reading = (async () => {
    for await (const item of watch) {
      if (item.type !== 'frame') throw new Error(`the capture lost ${item.lost} frames`)
      if (isEnd(item.data)) return
      seen.push(options.whole === true ? Buffer.from(item.data).toString('hex') : packetOf(item.data))
    }
  })()
  try {
    await during()
    await until(() => seen.length >= count())
    from.sendFrame(fromDevice, END)
    await reading
  } finally {
    await watch.return!()
  }
  return seen
}

const END_TYPE = 0x88b5 // IEEE 802: for local experiments
const END = new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, END_TYPE >> 8, END_TYPE & 0xff, ...new Uint8Array(46)])
const etherType = (frame: Uint8Array) => (frame[12]! << 8) | frame[13]!
const isEnd = (frame: Uint8Array) => etherType(frame) === END_TYPE

/** Without VLAN tags. */
const untagged = (frame: Uint8Array): Uint8Array => ([0x8100, 0x88a8].includes(etherType(frame)) ? untagged(Uint8Array.of(...frame.subarray(0, 12), ...frame.subarray(16))) : frame)

/** Not what the kernels tell one another about neighbours and groups: ICMPv6 from 130 on, IGMP. */
function isWanted(frame: Uint8Array): boolean {
  if (isEnd(frame)) return true
  if (etherType(frame) === 0x0800) return frame[23] !== 2
  if (etherType(frame) !== 0x86dd) return false
  return frame[20] !== 0 && !(frame[20] === 58 && frame[54]! >= 130)
}

/** Waits for a condition: up to half a minute, since a guest on a busy machine is slow. */
export async function until(condition: () => boolean, what = 'what was expected did not happen'): Promise<void> {
  for (let tries = 0; tries < 3000; tries++) {
    if (condition()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(what)
}
