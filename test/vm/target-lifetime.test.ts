// SPDX-License-Identifier: MIT
// What clone targets by name need goes while packets pass: their devices, their owner, their namespace and the module.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { ModuleDevice } from '../../lib/clone/device.js'
import { Capture, CloneTarget, Hook, Link, Netfilter, Netns } from '../../lib/index.js'
import { counted, flood, isIpv4 } from '../support/flood.js'
import { cloneTo, counters, loadModule, type MirrorLab, mirrorLab, moduleUsers, noModule, unloadModule, until, withModule } from '../support/module.js'
import { run } from '../support/outside.js'

withModule(t)
t.setTimeout(3_600_000)

/** NFKIT_MODULE_CYCLES=200 for the long form. */
const CYCLES = Number(process.env['NFKIT_MODULE_CYCLES'] ?? 2)
const NAMESPACES = Math.ceil(CYCLES / 2)
const ICMP = 1

/** Copies by m0, a VLAN over the mirror port, are queued; those by eth2, a veth, go at once. */
const DEVICES = ['eth2', 'm0']
const addQueued = ({ box }: MirrorLab) => run(box.netns, 'sh', '-ec', 'ip link add link eth2 name m0 type vlan id 9; ip link set m0 up')

const grows = async ({ box }: MirrorLab, of: string, counter: string, by = 5) => {
  const now = () => counters(box, of)[counter] ?? 0
  const from = now()
  await until(() => now() >= from + by, `${counter} of ${of} does not grow: ${JSON.stringify(counters(box, of))}`)
}

const NOT_CLONED = ['loop', 'no_device', 'same_device', 'too_big', 'queue_full', 'no_memory']
const NOT_SENT = ['device_down', 'refused', 'flushed', 'dropped_oldest', 'queued']

/** Every packet that a target met made a copy or was counted, for each of its devices; and so did every copy. */
function balanced(t: Test, { box }: MirrorLab, target: string): void {
  for (const device of DEVICES) {
    const stats = counters(box, `target:${target}:${device}`)
    const sum = (names: readonly string[]) => names.reduce((total, name) => total + (stats[name] ?? 0), 0)
    t.equal(stats['cloned'], sum(['sent', ...NOT_SENT]), `${device}: cloned is sent and what was not: ${JSON.stringify(stats)}`)
    t.equal(counters(box, `target:${target}`)['seen'], sum(['cloned', ...NOT_CLONED]), `${device}: seen is cloned and what was not: ${JSON.stringify(stats)}`)
  }
}

t.test('its devices go down, get another name, go to another namespace, are deleted, and come back', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t, { routed: false })
  const { lab, box, monitor } = net
  const { netns } = box
  const elsewhere = Netns.create()
  t.teardown(() => elsewhere.close())
  elsewhere.writeSysctl('net/ipv6/conf/default/disable_ipv6', 1)
  addQueued(net)
  CloneTarget.create({ name: 'probe', netns, devices: DEVICES, persistent: true }).close()
  cloneTo(box, 'ipv4', 'FORWARD', 'probe', '-p icmp')
  const copies = counted(monitor, isIpv4(ICMP))
  const pings = flood(net)
  const bothSend = async () => { for (const device of DEVICES) await grows(net, `target:probe:${device}`, 'sent') }
  await bothSend()

  Link.set('m0', { up: false }, { netns })
  await grows(net, 'target:probe:m0', 'device_down')
  Link.set('m0', { name: 'other' }, { netns })
  await grows(net, 'target:probe:m0', 'no_device')
  t.match(CloneTarget.get('probe', netns).devices, [{ index: Link.get('eth2', { netns }).index }, { index: null }])
  await grows(net, 'target:probe:eth2', 'sent')
  Link.set('other', { name: 'm0', up: true }, { netns })
  await bothSend()

  // The one whose copies are queued, then the one whose copies go at once.
  for (const device of ['m0', 'eth2']) {
    const { index } = Link.get(device, { netns })
    run(netns, 'ip', 'link', 'set', device, 'netns', elsewhere.path)
    Link.set(device, { up: true }, { netns: elsewhere })
    const sent = () => Link.get(device, { netns: elsewhere }).statistics!.txPackets
    await grows(net, `target:probe:${device}`, 'no_device')
    const before = sent()
    await grows(net, `target:probe:${device}`, 'no_device')
    t.equal(sent(), before, 'in the other namespace no copy leaves by it')
    run(elsewhere, 'ip', 'link', 'set', device, 'netns', netns.path)
    Link.set(device, { up: true }, { netns })
    t.match(CloneTarget.get('probe', netns).devices, DEVICES.map((name) => (name === device ? { index } : {})), 'it is back')
    for (const name of DEVICES) if (Link.list({ netns }).some((link) => link.name === name)) await grows(net, `target:probe:${name}`, 'sent')
    // A VLAN over a port does not go with it, and would go on sending.
    if (device === 'm0') Link.delete('m0', { netns })
  }
  addQueued(net)
  await bothSend()
  t.equal((await pings.end()).lost, 0, 'no original was lost')
  balanced(t, net, 'probe')
  const all = counters(box, 'target:probe')['sent']!
  await until(() => copies.count >= all, `${copies.count} of ${all} copies came`)
  t.equal(copies.count, all, 'and what was sent came')
  await copies.stop()

  const more = flood(net)
  for (let round = 0; round < CYCLES; round++) {
    await bothSend()
    Link.delete(round % 2 === 0 ? 'm0' : 'eth2', { netns })
    await grows(net, 'target:probe:m0', 'no_device')
    if (round % 2 === 1) lab.wire({ host: box, name: 'eth2' }, { host: monitor, name: 'eth0' })
    addQueued(net)
  }
  await bothSend()
  t.equal((await more.end()).lost, 0, 'no original was lost')
  balanced(t, net, 'probe')
})

t.test('its owner is killed, with hooks, captures and events', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t, { routed: false })
  const { box } = net
  const { netns } = box
  addQueued(net)
  cloneTo(box, 'ipv4', 'FORWARD', 'probe', '-p icmp')
  const device = ModuleDevice.open(netns)
  t.teardown(() => device.close())
  const pings = flood(net)
  const owner = box.spawn(process.execPath, [fileURLToPath(new URL('../support/target-owner.js', import.meta.url))], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(owner.stdout!, 'data')
  t.match(device.info(), { targets: 102, hooks: 4, captures: 2 })
  for (const counter of ['sent', 'buffer_full']) await grows(net, 'target:probe', counter)
  await grows(net, 'target:t0:m0', 'sent')
  owner.kill('SIGKILL')
  await once(owner, 'close')
  await until(() => device.info().targets === 1 && device.info().hooks === 0 && device.info().captures === 0, `what is left: ${JSON.stringify(device.info())}`)
  t.same([device.targetNames(), device.hookNames()], [['stays'], []])
  t.same(netns.readProc('nfkit').trim().split('\n').map((line) => line.split(' ')[0]).sort(), ['target', 'target:probe', 'target:stays', 'target:stays:eth2'], 'what the rule names, and what is persistent')
  await grows(net, 'target:probe', 'no_target')
  // Nothing of it holds a device.
  Link.delete('eth2', { netns })
  t.equal((await pings.end()).lost, 0, 'no original was lost')
  CloneTarget.delete('stays', netns)
  device.close()
  t.equal(moduleUsers(), 1, 'only the rule holds the module')
})

t.test(`${NAMESPACES} namespaces are deleted while targets, hooks, captures and the queue are in use there`, { skip: noModule }, async (t) => {
  for (let round = 0; round < NAMESPACES; round++) {
    const net = await mirrorLab(t, { routed: false })
    const { box, lab } = net
    const { netns } = box
    addQueued(net)
    const sinks = { netns, devices: DEVICES, capture: true }
    CloneTarget.create({ name: 'stays', ...sinks, persistent: true }).close()
    const target = CloneTarget.create({ name: 'mine', ...sinks, defer: true })
    const opened = [
      target, Hook.create({ at: 'ingress', in: 'eth0', verdict: 'accept', clone: 'mine', netns }), Hook.create({ at: 'forward', verdict: 'accept', clone: 'stays', netns }),
      Capture.open({ from: 'mine', netns }), Capture.open({ from: { at: 'postrouting' }, netns, buffer: 65_536 }), CloneTarget.watch({ netns }),
    ]
    t.teardown(async () => { for (const one of opened) await one[Symbol.asyncDispose]() })
    Hook.create({ at: 'postrouting', verdict: { redirect: 'nowhere' }, name: 'persistent', persistent: true, netns }).close()
    cloneTo(box, 'ipv4', 'FORWARD', 'stays')
    cloneTo(box, 'ipv4', 'PREROUTING', 'mine', '', 'raw')
    const pings = flood(net, 0.002)
    for (const name of ['mine', 'stays']) await grows(net, `target:${name}:m0`, 'sent')
    box.close()
    await pings.end()
    await until(() => {
      try {
        target.stats()
        return false
      } catch (error) {
        t.match(error, { code: 'ENETDOWN' })
        return true
      }
    }, 'the namespace stays')
    lab.close()
    // What is read of a namespace that is gone ends.
    for (const one of opened) await one[Symbol.asyncDispose]()
  }
  await until(() => moduleUsers() === 0, 'its rules are gone with it')
  t.pass('the module is free')
})

t.test(`${CYCLES} times the module is unloaded as soon as nobody uses it, while copies are queued`, { skip: noModule }, async (t) => {
  const net = await mirrorLab(t, { routed: false })
  const { box } = net
  const { netns } = box
  addQueued(net)
  await until(() => moduleUsers() === 0)
  const pings = flood(net, 0.002)
  const nf = Netfilter.open({ family: 'ipv4', netns })
  t.teardown(() => nf.close())
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    loadModule()
    CloneTarget.create({ name: 'stays', netns, devices: DEVICES, defer: true, persistent: true }).close()
    nf.updateSync('filter', (draft) => { draft.chain('FORWARD').append('-j CLONE --target stays') })
    const hook = Hook.create({ at: 'ingress', in: 'eth0', verdict: 'accept', clone: 'stays', name: 'hook', persistent: true, netns })
    await grows(net, 'target:stays:m0', 'sent')
    const refused = (what: string) => {
      const { status, stderr } = spawnSync('rmmod', ['nfkit'], { encoding: 'utf8' })
      t.not(status, 0, what)
      t.match(stderr, /in use/, what)
    }
    if (cycle === 0) refused('a descriptor and a rule')
    hook.close()
    t.equal(moduleUsers(), 1)
    if (cycle === 0) refused('a rule')
    nf.updateSync('filter', (draft) => { draft.chain('FORWARD').delete(1) })
    // The persistent target and the hook are in use until then, and go with it.
    unloadModule()
    t.throws(() => CloneTarget.list(netns), { code: 'NFKIT_MODULE_NOT_LOADED' })
  }
  loadModule()
  t.same([CloneTarget.list(netns), Hook.list(netns)], [[], []])
  t.equal((await pings.end()).lost, 0, 'no original was lost')
})
