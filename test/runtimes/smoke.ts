// SPDX-License-Identifier: MIT
// Every capability once, on whatever runtime this is. Prints TAP; needs the right to make network namespaces.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import { Bridge, Link, Netfilter, NetfilterRule, Netns, NfkitError, PacketLog, PacketQueue } from '../../lib/index.js'
import { Lab } from '../../lib/lab/index.js'
import { equal, errorOf, ok, run, test, within } from '../support/plain-tap.js'

const outside = (ns: Netns, command: string, ...args: string[]): string => {
  const { status, stdout, stderr } = spawnSync('nsenter', [`--net=${ns.path}`, '--', command, ...args], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: status ${status}: ${stderr}`)
  return stdout
}

/** Namespaces and sockets that this process holds. Runtimes keep pairs of AF_UNIX sockets for themselves. */
function held(): string[] {
  const local = new Set([...readFileSync('/proc/self/net/unix', 'utf8').matchAll(/^\S+: (?:\S+ ){5} *(\d+)/gm)].map(([, inode]) => `socket:[${inode}]`))
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`)
      return /^(net|socket):/.test(target) && !local.has(target) ? [target] : []
    } catch {
      return []  // the descriptor of the directory itself
    }
  }).sort()
}

/** A bridge with two ports, whose other ends are a and b. */
function network(): { ns: Netns; bridge: Bridge } {
  const ns = Netns.create()
  outside(ns, 'ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'a')
  outside(ns, 'ip', 'link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'b')
  const bridge = Bridge.create('br_192', { netns: ns, ageingTime: 300 })
  bridge.addPort('eth0')
  bridge.addPort('eth1')
  return { ns, bridge }
}

test('a namespace, and nothing in it but a loopback device', () => {
  const ns = Netns.create()
  equal(Link.list({ netns: ns }).map(({ name }) => name), ['lo'], 'links')
  ok(inspect(ns).startsWith('Netns {'), 'inspect')
  ns.close()
  equal(ns.fd, -1, 'closed')
})

test('settings of a namespace', () => {
  const ns = Netns.create()
  ns.writeSysctl('net/ipv4/ip_forward', 1)
  equal(ns.readSysctl('net/ipv4/ip_forward'), '1', 'ip_forward')
  equal(outside(ns, 'cat', '/proc/sys/net/ipv4/ip_forward').trim(), '1', 'from outside')
  ns.close()
})

test('links: add, change, list, delete', () => {
  const ns = Netns.create()
  Link.add({ name: 'br0', kind: 'bridge', mtu: 1400 }, { netns: ns })
  Link.set('br0', { up: true, alias: 'uplink' }, { netns: ns })
  const link = Link.get('br0', { netns: ns })
  equal([link.mtu, link.up, link.alias, link.kind], [1400, true, 'uplink', 'bridge'], 'link')
  equal(JSON.parse(JSON.stringify(link)).mtu, 1400, 'JSON')
  Link.delete('br0', { netns: ns })
  equal(Link.list({ netns: ns }).length, 1, 'after delete')
  ns.close()
})

test('a bridge with ports', () => {
  const { ns, bridge } = network()
  equal(bridge.ports().map(({ name }) => name).sort(), ['eth0', 'eth1'], 'ports')
  const [seen] = JSON.parse(outside(ns, 'ip', '-j', '-d', 'link', 'show', 'br_192'))
  equal(seen.linkinfo.info_data.ageing_time, 30000, 'ageing time from outside')
  equal(bridge.status().name, 'br_192', 'status')
  bridge.delete()
  ns.close()
})

test('CAM entries: add many, read, look up, scan, flush', async () => {
  const { ns, bridge } = network()
  const macs = Array.from({ length: 3000 }, (_, i) => `02:00:5e:10:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`)
  bridge.cam.add(macs.map((mac, i) => ({ mac, port: i % 2 === 0 ? 'eth0' : 'eth1' })))
  equal(bridge.cam.entries({ state: 'static' }).length, 3000, 'entries')
  equal(bridge.cam.lookup(macs[7]!)?.port, 'eth1', 'lookup')
  equal(JSON.parse(outside(ns, 'bridge', '-j', 'fdb', 'show', 'br', 'br_192', 'static')).length >= 3000, true, 'from outside')
  let scanned = 0
  for await (const batch of bridge.cam.scan({ state: 'static' })) scanned += batch.length
  equal(scanned, 3000, 'scan')
  bridge.cam.flush({ state: 'static', port: 'eth0' })
  equal(bridge.cam.entries({ state: 'static' }).length, 1500, 'after the flush of one port')
  ns.close()
})

test('watch: every change, from this program and from outside', async () => {
  const { ns, bridge } = network()
  const watch = bridge.cam.watch()
  bridge.cam.add({ mac: '02:00:00:00:00:01', port: 'eth0' })
  outside(ns, 'bridge', 'fdb', 'add', '02:00:00:00:00:02', 'dev', 'eth1', 'master', 'static')
  bridge.cam.delete({ mac: '02:00:00:00:00:01' })
  const seen: string[] = []
  while (seen.length < 3) {
    const { value } = await within(watch.next(), 'a change')
    if (value.type !== 'overrun' && value.entry.mac.startsWith('02:00:00:00:00:0')) seen.push(`${value.type} ${value.entry.mac.at(-1)}`)
  }
  equal(seen, ['added 1', 'added 2', 'removed 1'], 'changes')
  await watch.return!()
  equal((await watch.next()).done, true, 'after return')
  ns.close()
})

test('watch ends with its signal', async () => {
  const { ns, bridge } = network()
  const controller = new AbortController()
  const watch = bridge.cam.watch({ signal: controller.signal })
  setTimeout(() => controller.abort(), 20)
  const error = await within(errorOf(async () => { for await (const _ of watch) { /* until aborted */ } }), 'the abort')
  equal(error.name, 'AbortError', 'error')
  ns.close()
})

test('a loss is announced, and with resync made good', async () => {
  const { ns, bridge } = network()
  const watch = bridge.cam.watch({ maxQueue: 65536, resync: true })
  const specs = Array.from({ length: 5000 }, (_, i) => ({
    mac: `02:00:01:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`, port: 'eth0',
  }))
  bridge.cam.add(specs)  // synchronous: nobody takes a notification out of the queue meanwhile
  const known = new Set<string>()
  let overruns = 0
  while (known.size < specs.length) {
    const { value } = await within(watch.next(), `a change after ${known.size}`)
    if (value.type === 'overrun') overruns++
    else if (value.entry.mac.startsWith('02:00:01:')) known.add(value.entry.mac)
  }
  ok(overruns > 0, 'overruns')
  await watch.return!()
  ns.close()
})

test('the lab: hosts at a bridge ping, talk, and are learned', async () => {
  const lab = await Lab.create()
  const box = lab.box('box')
  const bridge = box.bridge('br_192')
  const hosts = [2, 3].map((n) => {
    const host = lab.host(`h${n}`)
    lab.wire({ host, addresses: [`192.168.0.${n}/24`] }, { host: box, name: `eth${n}` })
    bridge.addPort(`eth${n}`)
    return host
  })
  const { sent, received } = await within(hosts[0]!.ping('192.168.0.3', { count: 3, interval: 5 }), 'the ping')
  equal([sent, received], [3, 3], 'ping')
  const flow = await within(lab.flow({ from: hosts[0]!, to: hosts[1]!, port: 80, bytes: 100_000 }), 'the flow')
  equal([flow.outcome, flow.bytesReceived], ['completed', 100_000], 'flow')
  equal(bridge.cam.entries({ state: 'learned' }).map(({ port }) => port).sort(), ['eth2', 'eth3'], 'learned')
  lab.close()
})

/** Why there are no packet queues here, or false; iptables is not asked for. */
const noQueues = (() => {
  const ns = Netns.create()
  try {
    PacketQueue.open(1, { netns: ns }).close()
    return false
  } catch (error) {
    return (error as NfkitError).code === 'EINVAL' || (error as NfkitError).code === 'EPROTONOSUPPORT' ? 'this kernel has no packet queues' : false
  } finally {
    ns.close()
  }
})()

test('packet queues and packet logs: open, wait, close', async () => {
  const ns = Netns.create()
  const queue = PacketQueue.open(5, { netns: ns, copyRange: 64, maxLength: 10, failOpen: true, onClose: 'accept' })
  // In the user namespace of an ordinary user the kernel does not show them.
  const shown = spawnSync('nsenter', [`--net=${ns.path}`, '--', 'cat', '/proc/net/netfilter/nfnetlink_queue'], { encoding: 'utf8' })
  if (shown.status === 0) {
    ok(shown.stdout.trim().startsWith('5 '), 'from outside')
    equal(queue.statistics(), { waiting: 0, dropped: 0, userDropped: 0, lastId: 0 }, 'statistics')
  } else equal((await errorOf(() => queue.statistics())).code, 'EACCES', 'statistics')
  equal((await errorOf(() => PacketQueue.open(5, { netns: ns }))).code, shown.status === 0 ? 'EBUSY' : 'EPERM', 'a number that is taken')
  const log = PacketLog.open(7, { netns: ns })
  const [packet, logged] = [queue.next(), log.next()]
  queue.close()
  log.close()
  equal((await within(packet, 'the end of the queue')).done, true, 'the queue ends')
  equal((await within(logged, 'the end of the log')).done, true, 'the log ends')
  if (shown.status === 0) equal(outside(ns, 'cat', '/proc/net/netfilter/nfnetlink_queue'), '', 'closed')
  const controller = new AbortController()
  const waiting = PacketQueue.open(5, { netns: ns, signal: controller.signal })
  setTimeout(() => controller.abort(), 20)
  equal((await within(errorOf(async () => { for await (const _ of waiting) { /* until aborted */ } }), 'the abort')).name, 'AbortError', 'error')
  ns.close()
}, noQueues)

/** iptables-legacy-save and its like, where they are installed. */
const iptables = spawnSync('iptables-legacy', ['-V']).status === 0

test('netfilter: rules appended, read and deleted in one step each, under the lock', async () => {
  const ns = Netns.create()
  const directory = mkdtempSync(join(tmpdir(), 'nfkit-'))
  const lock = { path: join(directory, 'lock'), wait: 30 }
  for (const family of ['ipv4', 'ipv6'] as const) {
    const nf = Netfilter.open({ family, netns: ns, lock })
    // In the user namespace of an ordinary user the kernel does not show them.
    try { equal(nf.tables(), [], 'no table yet') } catch (error) { equal((error as NfkitError).code, 'EACCES', 'names of tables') }
    await Promise.all(Array.from({ length: 20 }, (_, i) => nf.update('filter', (table) => {
      table.chain('FORWARD').append({ protocol: 'tcp', matches: [{ name: 'tcp', destinationPorts: [i, i] }], target: { name: 'DROP' }, counters: { packets: i, bytes: 2n ** 40n } })
    })))
    nf.updateSync('filter', (table) => { table.chain('FORWARD').delete('-p tcp --dport 0 -j DROP').delete(1) })
    const { rules } = nf.table('filter').chain('FORWARD')
    equal([rules.length, rules[0]!.counters], [18, { packets: 2, bytes: 2 ** 40 }], 'rules and counters')
    equal(NetfilterRule.format(rules[0]!, { family }), '-p tcp -m tcp --dport 2 -j DROP', 'text')
    if (iptables) ok(outside(ns, family === 'ipv4' ? 'iptables-legacy-save' : 'ip6tables-legacy-save', '-c').includes('[19:1099511627776] -A FORWARD -p tcp -m tcp --dport 19 -j DROP'), 'from outside')
    equal((await errorOf(() => nf.updateSync('filter', (table) => { table.chain('FORWARD').append({ target: { jump: 'none' } }) }))).code, 'NFKIT_NO_SUCH_CHAIN', 'a missing chain')
    nf.close()
  }
  rmSync(directory, { recursive: true })
  ns.close()
})

test('errors are typed, and say what to do', async () => {
  const ns = Netns.create()
  const missing = await errorOf(() => Link.get('none', { netns: ns }))
  ok(missing instanceof NfkitError, 'NfkitError')
  equal([missing.code, missing.name], ['ENODEV', 'NfkitError'], 'a missing device')
  equal(JSON.parse(JSON.stringify(missing)).code, 'ENODEV', 'JSON')
  ok(await errorOf(() => Link.get('a name that is too long', { netns: ns })) instanceof TypeError, 'TypeError')
  ns.close()
  equal((await errorOf(() => Link.list({ netns: ns }))).code, 'NFKIT_CLOSED', 'closed')
})

test('a worker has its own, and its end takes it away', async () => {
  const before = held()
  for (const ending of ['returns', 'exits', 'terminated']) {
    const worker = new Worker(new URL('./smoke-worker.js', import.meta.url), { workerData: { ending } })
    const ready = await within(new Promise((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    }), 'the worker')
    equal(ready, 'ready', 'message')
    if (ending === 'terminated') await within(worker.terminate(), 'the end')
    else await within(new Promise((resolve) => worker.once('exit', resolve)), `the worker that ${ending}`)
  }
  let after: string[] = []
  for (let i = 0; i < 100; i++) {
    after = held()
    if (after.every((thing) => before.includes(thing))) break
    await new Promise((resolve) => { setTimeout(resolve, 20) })
  }
  equal(after.filter((thing) => !before.includes(thing)), [], 'namespaces and sockets left open')
})

await run()
