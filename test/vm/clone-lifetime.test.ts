// SPDX-License-Identifier: MIT
// Ports, namespaces, rules and the module itself come and go while packets pass.

import { spawnSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { Link, Netfilter, Route } from '../../lib/index.js'
import { flood } from '../support/flood.js'
import { clone, counters, loadModule, MARK, type MirrorLab, mirrorLab, moduleUsers, noModule, queueMirror, TABLE, unloadModule, until, withModule } from '../support/module.js'

withModule(t)

const grows = async (net: MirrorLab, counter: string, by = 5) => {
  const from = counters(net.box)[counter] ?? 0
  await until(() => (counters(net.box)[counter] ?? 0) >= from + by, `${counter} does not grow: ${JSON.stringify(counters(net.box))}`)
}

function balanced(t: Test, net: MirrorLab): void {
  const { seen = 0, cloned = 0, sent = 0, ...dropped } = counters(net.box)
  const sum = (names: readonly string[]) => names.reduce((total, name) => total + (dropped[name] ?? 0), 0)
  t.equal(seen, cloned + sum(['no_route', 'loop', 'unroutable', 'local', 'same_device', 'too_big', 'queue_full', 'no_memory']), 'seen is cloned and what was not')
  t.equal(cloned, sent + sum(['unresolved', 'device_down', 'refused', 'flushed']), 'cloned is sent and what was not')
}

t.test('a mirror port goes down, is renamed, comes back, is deleted and made again', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  const { lab, box, monitor } = net
  const { netns } = box
  clone(box, 'ipv4', 'FORWARD')
  const pings = flood(net)
  await grows(net, 'sent')
  Link.set('eth0', { up: false }, { netns: monitor.netns })
  await grows(net, 'device_down')
  Link.set('eth0', { up: true }, { netns: monitor.netns })
  await grows(net, 'sent')
  Link.set('eth2', { up: false }, { netns })
  // With the port its route is gone: the copy would go the way of the original.
  await grows(net, 'same_device')
  Link.set('eth2', { name: 'mirror' }, { netns })
  Link.set('mirror', { up: true }, { netns })
  Route.replace({ destination: 'default', link: 'mirror', table: TABLE }, { netns })
  await grows(net, 'sent')
  for (let round = 0; round < 3; round++) {
    Link.delete('mirror', { netns })
    await grows(net, 'same_device', 2)
    lab.wire({ host: box, name: 'mirror' }, { host: monitor, name: 'eth0' })
    Link.set('mirror', { arp: false }, { netns })
    Route.replace({ destination: 'default', link: 'mirror', table: TABLE }, { netns })
    await grows(net, 'sent', 2)
  }
  t.equal((await pings.end()).lost, 0, 'no original was lost')
  balanced(t, net)
})

t.test('the namespace of the box is deleted while packets pass', { skip: noModule }, async (t) => {
  for (let round = 0; round < 3; round++) {
    const net = await mirrorLab(t)
    clone(net.box, 'ipv4', 'FORWARD')
    const pings = flood(net)
    await grows(net, 'sent')
    net.box.close()
    await pings.end()
    net.lab.close()
  }
  await until(() => moduleUsers() === 0, 'its rules are gone with it')
  t.pass('the module is free')
})

t.test('with a rule the module cannot be unloaded, without it can', { skip: noModule }, async (t) => {
  const net = await mirrorLab(t)
  clone(net.box, 'ipv4', 'FORWARD')
  clone(net.box, 'ipv6', 'INPUT')
  t.equal(moduleUsers(), 2)
  const { status, stderr } = spawnSync('rmmod', ['nfkit'], { encoding: 'utf8' })
  t.not(status, 0)
  t.match(stderr, /in use/)
  const pings = flood(net)
  await grows(net, 'sent')
  t.equal((await pings.end()).lost, 0)
})

// NFKIT_MODULE_CYCLES=200 for the long form.
const CYCLES = Number(process.env['NFKIT_MODULE_CYCLES'] ?? 20)

t.test(`${CYCLES} times loaded and unloaded while packets pass`, { skip: noModule, timeout: 3_600_000 }, async (t) => {
  const net = await mirrorLab(t)
  const { box } = net
  queueMirror(box)
  await until(() => moduleUsers() === 0)
  const pings = flood(net)
  const nf = Netfilter.open({ family: 'ipv4', netns: box.netns })
  t.teardown(() => nf.close())
  for (let cycle = 0; cycle < CYCLES; cycle++) {
    unloadModule()
    loadModule()
    // Every other time the queue is full most of the time.
    if (cycle % 2 === 1) box.netns.writeSysctl('net/nfkit/queue_limit', 1)
    nf.updateSync('filter', (draft) => { draft.chain('FORWARD').append(`-j CLONE --mark ${MARK}`) })
    await grows(net, 'seen', 3)
    nf.updateSync('filter', (draft) => { draft.chain('FORWARD').delete(1) })
    t.equal(moduleUsers(), 0)
  }
  t.equal((await pings.end()).lost, 0, 'no original was lost')
})
