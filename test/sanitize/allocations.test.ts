// SPDX-License-Identifier: MIT
// Every allocation on every path of the module that a process is on fails once (fail-nth, Documentation/fault-injection/fault-injection.rst): what was
// asked for is refused or done, nothing in between. A new path is a line in the table. Hooks have a file of their own; what runs in softirq is in
// failslab.test.ts.

import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, constants, existsSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type Test } from 'tap'
import { ModuleDevice } from '../../lib/clone/device.js'
import { Link, Netfilter, Netns } from '../../lib/index.js'
import type { Host } from '../../lib/lab/index.js'
import { addon, checkDescriptor, type RawDescriptor } from '../../lib/native.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { datagram, fragments } from '../support/datagram.js'
import { targetOf } from '../support/hooks.js'
import { counters, isLoaded, loadModule, MARK, mirrorLab, unloadModule, until } from '../support/module.js'
import { run } from '../support/outside.js'

t.setTimeout(900_000)

const DEBUG = '/sys/kernel/debug'
const skip = (process.env['NFKIT_SANITIZE'] === undefined || !existsSync(`${DEBUG}/failslab`)) && 'only the kernel of the sanitize ring can make allocations fail: npm run test:sanitize'

/** No path has as many. */
const MOST = 2000

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Allocations that may wait fail, too; without a word in the log. */
function prepare(waiting: 'Y' | 'N'): void {
  for (const kind of ['failslab', 'fail_page_alloc']) {
    writeFileSync(`${DEBUG}/${kind}/ignore-gfp-wait`, waiting)
    writeFileSync(`${DEBUG}/${kind}/verbose`, '0')
  }
}

/** What the kernel said while memory was wanting; a trace about the want itself is no trouble. */
function quiet(t: Test): void {
  t.notMatch(execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 1 << 26 }), /\b(WARNING|BUG|Oops|UBSAN|KASAN|INFO):|refcount_t:|corruption|sleeping function|possible /, 'the log of the kernel')
  execFileSync('dmesg', ['-C'])
}

interface Path {
  name: string
  run: () => void
  /** Takes back what `run` did. */
  undo?: () => void
  /** What must be the same after a failure. */
  state?: () => string
}

/** One path: once for each of its allocations, then once as it is. */
function sweep(t: Test, nth: number, { name, run, undo, state = () => '' }: Path): void {
  const buffer = Buffer.alloc(16)
  const codes = new Map<string, number>()
  // What is compiled or made at the first time is no allocation of the path.
  for (let round = 0; round < 2; round++) {
    run()
    undo?.()
  }
  for (let count = 1; count < MOST; count++) {
    const before = state()
    collectGarbage()
    let problem: unknown
    writeSync(nth, String(count), 0)
    try { run() } catch (error) { problem = error }
    const length = readSync(nth, buffer, 0, buffer.length, 0)
    writeSync(nth, '0', 0)
    // What is left of the count: nothing, if an allocation failed.
    const failed = Number(buffer.toString('latin1', 0, length)) === 0
    // Done, but for the counters of the rules before it, as it says.
    if (problem === undefined || (problem as { committed?: true }).committed === true) undo?.()
    const code = problem === undefined ? 'done all the same' : (problem as { code?: string }).code ?? String(problem)
    if (!failed) {
      t.equal(problem, undefined, `${name}: ${count - 1} allocations (${[...codes].map(([what, times]) => `${what} ${times}`).join(', ')})`)
      t.ok(count > 1, `${name}: there are allocations`)
      return
    }
    codes.set(code, (codes.get(code) ?? 0) + 1)
    const after = state()
    if (after !== before) t.equal(after, before, `${name}: allocation ${count} failed (${code}), and nothing has changed`)
  }
  t.fail(`${name}: without end`)
}

/** A tap device of a host: what is written to it is received in this very process, not in a softirq. */
function openTap(host: Host, name: string): RawDescriptor {
  const TUNSETIFF = 0x400454ca
  const IFF_TAP = 2
  const IFF_NO_PI = 0x1000
  const tap = checkDescriptor(addon.open('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK, 0, host.netns.fd), 'open', '/dev/net/tun')
  const request = new Uint8Array(40)
  request.set(new TextEncoder().encode(name))
  new DataView(request.buffer).setUint16(16, IFF_TAP | IFF_NO_PI, true)
  if (tap.ioctl(TUNSETIFF, request, []) !== 0) throw new Error('TUNSETIFF')
  return tap
}

t.test('rules, clone targets, devices, copies', { skip }, async (t) => {
  loadModule()
  const net = await mirrorLab(t)
  const { box, h2, monitor } = net
  const { netns } = box
  const tap = openTap(box, 'tap0')
  t.teardown(() => tap.close())
  run(netns, 'sh', '-ec', `ip link set tap0 addrgenmode none; ip link set tap0 up; ip addr add 192.168.5.254/24 dev tap0; ip addr add fd05::fe/64 dev tap0 nodad
    ip neigh add 192.168.2.2 lladdr ${Link.get('eth0', { netns: h2.netns }).mac} dev eth1; ip neigh add fd02::2 lladdr ${Link.get('eth0', { netns: h2.netns }).mac} dev eth1`)
  const to = Link.get('tap0', { netns }).mac!
  const tables = new Map<IpFamily, Netfilter>()
  for (const family of ['ipv4', 'ipv6'] as const) tables.set(family, Netfilter.open({ family, netns, lock: 'off' }))
  t.teardown(() => { for (const nf of tables.values()) nf.close() })
  const device = ModuleDevice.open(netns)
  t.teardown(() => device.close())
  const rules = () => [...tables.values()].map((nf) => nf.saveSync()).join('').replace(/^#.*\n|\[\d+:\d+\]/gm, '')
  const objects = () => JSON.stringify([device.targetNames().map((name) => ({ ...device.target(name), seen: 0 })), device.info()], (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))

  const ruleOf = (family: IpFamily, options: string): Path => ({
    name: `${family} -j CLONE ${options}`,
    run: () => { tables.get(family)!.updateSync('filter', (draft) => { draft.chain('FORWARD').append(`-j CLONE ${options}`) }) },
    undo: () => { tables.get(family)!.updateSync('filter', (draft) => { draft.chain('FORWARD').delete(1) }) },
    state: () => rules() + objects() + netns.readProc('nfkit'),
  })
  const OWN = { persistent: false, create: false }
  const captured = { ...targetOf(), capture: true }
  const commands: Path[] = [
    { name: 'open', run: () => { ModuleDevice.open().close() } },
    { name: 'define', run: () => { device.setTarget('new', targetOf('eth2', 'never'), OWN) }, undo: () => { device.deleteTarget('new') }, state: objects },
    { name: 'define a route', run: () => { device.setTarget('new', { ...targetOf(), reroute: 9 }, OWN) }, undo: () => { device.deleteTarget('new') }, state: objects },
    { name: 'define anew', run: () => { device.setTarget('there', targetOf('a', 'b', 'c'), OWN) }, undo: () => { device.setTarget('there', captured, OWN) }, state: objects },
    { name: 'read', run: () => { device.target('there') }, state: objects },
    { name: 'list', run: () => { device.targetNames() }, state: objects },
    {
      name: 'capture', state: objects,
      run: () => {
        const one = checkedOpen(netns)
        try { one.startCapture('there', 100, 65536) } finally { one.close() }
      },
    },
    {
      name: 'events', state: objects,
      run: () => {
        const one = checkedOpen(netns)
        try { one.startEvents() } finally { one.close() }
      },
    },
    { name: 'a device comes', undo: () => { Link.delete('later', { netns }) }, run: () => {
      try {
        Link.add({ name: 'later', kind: 'dummy' }, { netns })
      } catch (error) {
        // The kernel may have made it, and lacked memory to say so.
        run(netns, 'sh', '-c', 'ip link del later 2> /dev/null || :')
        throw error
      }
    } },
    { name: 'the bound of the queue', run: () => { writeFileSync('/proc/sys/net/nfkit/queue_limit', '500') }, undo: () => { writeFileSync('/proc/sys/net/nfkit/queue_limit', '1000') } },
    { name: 'the counters', run: () => { readFileSync('/proc/net/nfkit') } },
  ]
  device.setTarget('there', captured, OWN)
  device.setTarget('waits', targetOf('later'), OWN)

  prepare('N')
  const nth = openSync('/proc/thread-self/fail-nth', 'r+')
  try {
    for (const family of tables.keys()) for (const options of [`--mark ${MARK}`, '--dev eth2', '--target there', '--target unknown']) sweep(t, nth, ruleOf(family, options))
    for (const path of commands) sweep(t, nth, path)

    // Copies: of what a process brings in by the tap device, at every hook point on its way.
    prepare('Y')
    device.setTarget('all', { ...targetOf('eth2', 'eth0'), capture: true }, OWN)
    const capture = ModuleDevice.open(netns)
    t.teardown(() => capture.close())
    capture.startCapture('all', 1000, 1 << 20)
    const frames = {
      ipv4: [datagram({ to, source: '192.168.5.1', destination: '192.168.2.2', size: 500 })],
      ipv6: [datagram({ to, source: 'fd05::1', destination: 'fd02::2', size: 500 })],
      'ipv4 in fragments': fragments({ to, source: '192.168.5.1', destination: '192.168.2.2', size: 2500 }, 1400),
    }
    for (const [what, sent] of Object.entries(frames)) {
      const family = what.startsWith('ipv4') ? 'ipv4' : 'ipv6'
      const nf = tables.get(family)!
      for (const [options, line] of [[`--mark ${MARK}`, MARK], ['--dev eth2', 'dev:eth2'], ['--target all', 'all']] as const) {
        for (const chain of options.startsWith('--mark') ? ['FORWARD', 'POSTROUTING'] : ['PREROUTING', 'FORWARD', 'POSTROUTING']) {
          const table = chain === 'FORWARD' ? 'filter' : 'mangle'
          nf.updateSync(table, (draft) => { draft.chain(chain).append(`-p udp -j CLONE ${options}`) })
          const name = `${what}: a copy at ${chain}, ${options}`
          sweep(t, nth, { name, run: () => { for (const frame of sent) tap.write(frame) } })
          // A device's line has no name of its own where a target has several.
          const lines = netns.readProc('nfkit')
          t.match(lines, /no_memory/)
          if (typeof line === 'number' || line.startsWith('dev:')) {
            await until(() => waitingOf(box, line) === 0, `${name}: ${JSON.stringify(counters(box, line))}`)
            t.ok((counters(box, line)['no_memory'] ?? 0) > 0, `${name}: what failed was counted: ${JSON.stringify(counters(box, line))}`)
          }
          nf.updateSync(table, (draft) => { draft.chain(chain).delete(1) })
        }
      }
    }
  } finally {
    writeSync(nth, '0', 0)
    closeSync(nth)
    prepare('Y')
  }
  t.ok(Link.get('eth0', { netns: monitor.netns }).up)
  quiet(t)
})

const checkedOpen = (netns: Netns) => ModuleDevice.open(netns)

/** Copies that are neither sent nor counted as lost. */
function waitingOf(host: Host, line: number | string): number {
  const { cloned = 0, sent = 0, unresolved = 0, device_down = 0, refused = 0, flushed = 0 } = counters(host, line)
  return Math.max(0, cloned - sent - unresolved - device_down - refused - flushed)
}

/** Runs a shell whose own allocations fail at a count, and then a program in its place; false: it failed. */
function shell(script: string, count: number): { status: number | null; stdout: string } {
  return spawnSync('busybox', ['sh', '-c', `echo ${count} > /proc/self/fail-nth && ${script}`, 'sh'], { encoding: 'utf8' })
}

const LARGE = 1_000_000

/**
 * How many allocations a script has in which `busybox cat /proc/self/fail-nth` comes last. What a program's start needs is left out of the sweeps:
 * user-mode Linux itself does not survive its failures (maybe_map, arch/um/kernel/skas/uaccess.c).
 */
function allocationsOf(script: string): number {
  return LARGE - Number(shell(script, LARGE).stdout)
}

/** The module has a dozen or two, most of them in sysctl and proc. */
const LAST = 100

t.test('making a network namespace', { skip }, async (t) => {
  loadModule()
  prepare('N')
  let failures = 0
  try {
    // The module's part comes last.
    const start = allocationsOf('exec busybox cat /proc/self/fail-nth')
    const end = allocationsOf('exec unshare -n busybox cat /proc/self/fail-nth') - start
    t.ok(start > 0 && end > start + LAST && end < LARGE, `${end} allocations, ${start} to start a program`)
    for (let count = end - LAST; count < end; count++) if (shell('exec unshare -n busybox true', count).status !== 0) failures++
  } finally {
    prepare('Y')
  }
  t.ok(failures > 0, `${failures} allocations failed`)
  const netns = Netns.create()
  t.match(netns.readProc('nfkit'), /^target/)
  netns.close()
  quiet(t)
})

t.teardown(async () => {
  if (skip !== false) return
  for (let tries = 0; isLoaded() && tries < 300; tries++) {
    try { unloadModule() } catch { await new Promise((resolve) => { setTimeout(resolve, 100) }) }
  }
  if (isLoaded()) throw new Error(`nfkit stays loaded: ${readFileSync('/proc/modules', 'utf8')}`)
})
