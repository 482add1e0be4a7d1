// SPDX-License-Identifier: MIT
// Every allocation, and every copy between kernel and program, of every command and rule of the module fails once: what was asked for is refused or
// done, nothing in between. A new path is a line in a table. Packets are in packets.test.ts, loading in load.test.ts.

import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { ModuleDevice } from '../../lib/clone/device.js'
import { Link, Netfilter, Netns } from '../../lib/index.js'
import type { HookConfig } from '../../lib/wire/module/hook.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { ANYWHERE, FailNth, moduleCode, noFaults, type Path, quiet, sweep, unloadEventually, within } from '../support/faults.js'
import { hookAt, programOf, targetOf } from '../support/hooks.js'
import { loadModule, MARK } from '../support/module.js'
import { batch } from '../support/outside.js'

t.setTimeout(900_000)

const OWN = { persistent: false, create: false }

const text = (value: unknown) => JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one))

/** All that a descriptor can see of its namespace. */
const objectsOf = (device: ModuleDevice, netns: Netns) => () => text([device.hookNames().map((name) => device.hook(name)),
  device.targetNames().map((name) => device.target(name)), device.info(), netns.readProc('nfkit')])

function namespace(): Netns {
  const netns = Netns.create()
  t.teardown(() => netns.close())
  batch(netns, 'ip', ['link add d0 type dummy', 'link add d1 type dummy'])
  return netns
}

/** Commands of the device, by what they do. */
function commands(device: ModuleDevice, netns: Netns): Path[] {
  const state = objectsOf(device, netns)
  const program = programOf({ or: [{ protocol: 'tcp', destinationPort: 80 }, { source: '10.0.0.0/8' }] })
  const captured = { ...targetOf(), capture: true }
  const first = hookAt('forward', 'ipv4', { family: null, clone: 'x', program })
  device.setTarget('there', captured, OWN)
  device.setTarget('waits', targetOf('later'), OWN)
  device.setTarget('gone', targetOf('d0', 'd1'), OWN)
  device.setHook('stands', first, OWN)
  device.setHook('gone', first, OWN)

  const fresh = (what: string, config: HookConfig): Path => ({
    name: `a hook ${what}`, state, run: () => { device.setHook('new', config, OWN) }, undo: () => { device.deleteHook('new') },
  })
  const changed = (what: string, config: HookConfig): Path => ({
    name: `a hook made anew ${what}`, state, run: () => { device.setHook('stands', config, OWN) }, undo: () => { device.setHook('stands', first, OWN) },
  })
  return [
    { name: 'open', run: () => { ModuleDevice.open().close() } },
    { name: 'a target', run: () => { device.setTarget('new', targetOf('d0', 'never'), OWN) }, undo: () => { device.deleteTarget('new') }, state },
    { name: 'a target with a route', run: () => { device.setTarget('new', { ...targetOf(), reroute: 9 }, OWN) }, undo: () => { device.deleteTarget('new') }, state },
    { name: 'a target made anew', run: () => { device.setTarget('there', targetOf('a', 'b', 'c'), OWN) }, undo: () => { device.setTarget('there', captured, OWN) }, state },
    { name: 'reading a target', run: () => { device.target('gone') }, state, free: true },
    { name: 'listing targets', run: () => { device.targetNames() }, state, free: true },
    { name: 'deleting a target', run: () => { device.deleteTarget('gone') }, undo: () => { device.setTarget('gone', targetOf('d0', 'd1'), OWN) }, state, free: true },
    fresh('with a program', first),
    fresh('on a bridge', hookAt('bridge-forward', 'ipv4', { clone: 'z', program: programOf({ etherType: 'arp' }, 'EN10MB') })),
    fresh('at a device', hookAt('ingress', 'ipv4', { in: 'd0', program })),
    fresh('that redirects', hookAt('forward', 'ipv6', { verdict: { redirect: 'there' } })),
    changed('in its place', { ...first, clone: 'y', mark: { value: 1, mask: 1 } }),
    changed('elsewhere', hookAt('local-in', 'ipv4', { family: null, clone: 'z', program })),
    changed('at a device', hookAt('egress', 'ipv4', { out: 'd1', program })),
    { name: 'reading a hook', run: () => { device.hook('stands') }, state, free: true },
    { name: 'listing hooks', run: () => { device.hookNames() }, state, free: true },
    { name: 'deleting a hook', run: () => { device.deleteHook('gone') }, undo: () => { device.setHook('gone', first, OWN) }, state, free: true },
    ...(['there', 'undefined'] as const).map((target): Path => ({
      name: `a capture of ${target}`, state,
      run: () => {
        const one = ModuleDevice.open(netns)
        try {
          one.startCapture(target, 100, 65536)
          one.captureCounters()
        } finally { one.close() }
      },
    })),
    {
      name: 'events, and a capture of who has them', state,
      run: () => {
        const one = ModuleDevice.open(netns)
        try {
          one.startEvents()
          one.startCapture('there', 0, 0)
        } finally { one.close() }
      },
    },
    { name: 'the bound of the queue', run: () => { writeFileSync('/proc/sys/net/nfkit/queue_limit', '500') }, undo: () => { writeFileSync('/proc/sys/net/nfkit/queue_limit', '1000') }, free: true },
    { name: 'the counters', run: () => { readFileSync('/proc/net/nfkit') }, free: true },
  ]
}

t.test('commands: memory', { skip: noFaults }, (t) => {
  loadModule()
  const netns = namespace()
  const device = ModuleDevice.open(netns)
  const nth = new FailNth()
  within(moduleCode())
  for (const path of commands(device, netns)) sweep(t, nth, path)
  sweep(t, nth, {
    name: 'a device comes', free: true,
    run: () => { Link.add({ name: 'later', kind: 'dummy' }, { netns }) }, undo: () => { Link.delete('later', { netns }) },
  })
  nth.close()
  device.close()
  quiet(t)
  t.end()
})

t.test('commands: copies from and to the program', { skip: noFaults }, (t) => {
  loadModule()
  const netns = namespace()
  const device = ModuleDevice.open(netns)
  const nth = new FailNth()
  within(moduleCode(), ['fail_usercopy'])
  for (const path of commands(device, netns)) sweep(t, nth, { ...path, codes: ['EFAULT'], free: path.free === true || path.name === 'open' })

  // What could not be given stays.
  const reader = ModuleDevice.open(netns)
  reader.startEvents()
  const events = () => {
    const buffer = new Uint8Array(4096)
    const length = reader.descriptor.read(buffer, 0)
    if (length < 0) throw Object.assign(new Error(`read: ${length}`), { code: length === -14 ? 'EFAULT' : String(length) })
    return Buffer.from(buffer.subarray(0, length)).toString('latin1')
  }
  let failures = 0
  for (let count = 1; count < 10; count++) {
    device.setTarget('told', { ...targetOf(), reroute: count }, OWN)
    device.deleteTarget('told')
    let told = ''
    nth.during(count, () => { try { told = events() } catch { failures++ } })
    if (told === '') told = events()
    t.equal(told.split('told').length - 1, 2, `two events were read, ${count}`)
  }
  t.ok(failures > 0, `${failures} reads failed`)
  reader.close()
  nth.close()
  device.close()
  quiet(t)
  t.end()
})

t.test('what a command asks for in the kernel is wanting, not only in the module', { skip: noFaults }, (t) => {
  loadModule()
  const netns = namespace()
  const device = ModuleDevice.open(netns)
  const nth = new FailNth()
  within(ANYWHERE)
  for (const path of commands(device, netns).filter(({ name }) => /^(open|a target|a hook that redirects|a hook on a bridge|a capture of there)$/.test(name))) sweep(t, nth, path)
  nth.close()
  device.close()
  quiet(t)
  t.end()
})

t.test('rules', { skip: noFaults }, (t) => {
  loadModule()
  const netns = namespace()
  const device = ModuleDevice.open(netns)
  device.setTarget('there', targetOf('d0'), OWN)
  const nth = new FailNth()
  for (const [code, what] of [[moduleCode(), 'in the module'], [ANYWHERE, 'anywhere']] as const) {
    within(code)
    for (const family of ['ipv4', 'ipv6'] as const) {
      const nf = Netfilter.open({ family, netns, lock: 'off' })
      const rules = () => nf.saveSync().replace(/^#.*\n|\[\d+:\d+\]/gm, '')
      // The whole is alike in both families.
      const all = [`--mark ${MARK}`, '--dev d0,d1', '--target there', '--target unknown']
      for (const options of what === 'anywhere' && family === 'ipv6' ? all.slice(1, 2) : all) sweep(t, nth, ruleOf(nf, family, options, what, () => rules() + objectsOf(device, netns)()))
      nf.close()
    }
  }
  nth.close()
  device.close()
  quiet(t)
  t.end()
})

function ruleOf(nf: Netfilter, family: IpFamily, options: string, what: string, state: () => string): Path {
  return {
    name: `${family} -j CLONE ${options}, ${what}`, state,
    run: () => { nf.updateSync('filter', (draft) => { draft.chain('FORWARD').append(`-j CLONE ${options}`) }) },
    undo: () => { nf.updateSync('filter', (draft) => { draft.chain('FORWARD').delete(1) }) },
  }
}

t.teardown(async () => {
  if (noFaults !== false) return
  within(ANYWHERE)
  await unloadEventually()
})
