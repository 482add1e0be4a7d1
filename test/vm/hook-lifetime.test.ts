// SPDX-License-Identifier: MIT
// Owners, namespaces, devices and the module come and go, and hooks are made anew, while packets pass.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Hook, Link } from '../../lib/index.js'
import { ModuleDevice } from '../../lib/clone/device.js'
import { HOOK_POINTS, type HookPoint } from '../../lib/wire/module/hook-points.js'
import type { HookConfig } from '../../lib/wire/module/hook.js'
import { flood } from '../support/flood.js'
import { hookAt, type HookLab, hookLab, programOf, statsOf, Stream, targetOf, WAYS } from '../support/hooks.js'
import { kernelBytes } from '../support/kernel-memory.js'
import { loadModule, noModule, unloadModule, until, withModule } from '../support/module.js'

withModule(t)

const N = 5
const OWNED = { persistent: false, create: false }
const POINTS = Object.keys(HOOK_POINTS) as HookPoint[]
/** NFKIT_MODULE_CYCLES=10000 for the long form. */
const ROUNDS = Number(process.env['NFKIT_MODULE_CYCLES'] ?? 60)
/** From so many on what one definition takes, at least so many bytes, would stand out if it were lost. */
const [LONG, LEAST] = [10_000, 256]

const requests = (changes: Partial<HookConfig> = {}) => hookAt('forward', 'ipv4', { program: programOf({ icmp: { type: 8 } }), ...changes })
const grows = async ({ device }: HookLab, name: string, by = 5) => {
  const from = device.hook(name).seen
  await until(() => device.hook(name).seen >= from + by, `${name} sees nothing any more`)
}

t.test('the owner is killed: its hooks are gone, the persistent one stays', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { box, device } = net
  const streams = [await Stream.open(net, WAYS.forward, 'ipv4'), await Stream.open(net, WAYS['local-in'], 'ipv4')]
  const child = box.spawn(process.execPath, [fileURLToPath(new URL('../support/hook-owner.js', import.meta.url))], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout!, 'data')
  t.equal(device.hookNames().length, 5)
  for (const stream of streams) t.equal(await stream.pass(N, 0), 0, 'dropped')
  child.kill('SIGKILL')
  await once(child, 'close')
  await until(() => device.hookNames().length === 1)
  t.same(device.hookNames(), ['stays'])
  t.match(Hook.get('stays', box.netns), { persistent: true, own: false, at: 'prerouting' })
  for (const stream of streams) t.equal(await stream.pass(N, N), N, 'not dropped any more')
  Hook.delete('stays', box.netns)
})

t.test(`made anew ${ROUNDS} times while packets pass: every packet meets one definition, none is lost`, { skip: noModule, timeout: 3_600_000 }, async (t) => {
  const net = await hookLab(t)
  const { device } = net
  device.setTarget('mon', targetOf('eth2'), OWNED)
  device.setHook('before', requests({ priority: -1000 }), OWNED)
  device.setHook('same', requests(), OWNED)
  device.setHook('moved', requests({ priority: 5 }), OWNED)
  device.setHook('after', requests({ priority: 1000 }), OWNED)
  const pings = flood(net, 0.003)
  await grows(net, 'after')
  const forms: Partial<HookConfig>[] = [
    { mark: { value: 1, mask: 1 } }, { clone: 'mon' }, { in: 'eth0', out: 'eth1' }, { verdict: { repeat: 2 }, mark: { value: 1, mask: 1 } },
    { program: programOf({ or: [{ icmp: { type: 8 } }, { length: [1, 20] }] }) },
  ]
  let early = 0
  for (let round = 0; round < ROUNDS; round++) {
    if (round === Math.floor(ROUNDS / 10)) early = kernelBytes()
    device.setHook('same', requests(forms[round % forms.length]), OWNED)
    // Its place changes each time: then a packet may meet both, but never neither.
    device.setHook('moved', requests({ ...forms[round % forms.length], priority: round % 2 }), OWNED)
    if (round % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const grown = kernelBytes() - early
  if (ROUNDS < LONG || process.env['NFKIT_SANITIZE'] !== undefined) t.comment(`memory: ${grown} bytes more in ${0.9 * ROUNDS} rounds`)
  else t.ok(grown < ROUNDS * LEAST, `memory: ${grown} bytes more in ${0.9 * ROUNDS} rounds`)
  await grows(net, 'after')
  const { sent, received } = await pings.end()
  t.ok(sent - received <= 1, `${received} of ${sent} came back`)
  await until(() => device.hook('after').matched >= sent, 'all have passed')
  t.equal(device.hook('before').matched, sent)
  t.equal(device.hook('after').matched, sent)
  t.equal(device.hook('same').matched, sent, 'each packet was counted once')
  t.ok(device.hook('moved').matched >= sent, 'each packet was counted')
  t.match(statsOf(device, 'same'), { accepted: sent })
})

t.test('a device that hooks name goes and comes while packets pass', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { lab, h2, box, device } = net
  device.setHook('in', hookAt('ingress', 'ipv4', { in: 'eth1', program: null }), OWNED)
  device.setHook('out', hookAt('egress', 'ipv4', { out: 'eth1', program: null }), OWNED)
  device.setHook('forward', requests({ out: 'eth1' }), OWNED)
  const pings = flood(net, 0.003)
  for (let round = 0; round < 3; round++) {
    for (const name of ['in', 'out', 'forward']) await grows(net, name)
    Link.delete('eth1', { netns: box.netns })
    lab.wire({ host: box, name: 'eth1', addresses: ['192.168.2.254/24', 'fd02::fe/64'] }, { host: h2, name: 'eth0', addresses: ['192.168.2.2/24', 'fd02::2/64'] })
    h2.addRoute({ destination: 'default', gateway: '192.168.2.254' })
  }
  for (const name of ['in', 'out', 'forward']) await grows(net, name)
  t.ok((await pings.end()).received > 0)
})

t.test('the namespace goes while packets pass', { skip: noModule }, async (t) => {
  for (let round = 0; round < 2; round++) {
    const net = await hookLab(t)
    const { box, device } = net
    for (const at of POINTS) {
      device.setHook(at, hookAt(at, 'ipv4', { program: null, clone: 'mon', ...(HOOK_POINTS[at].families ? { family: null } : {}) }), { persistent: at.startsWith('bridge'), create: true })
    }
    device.setTarget('mon', targetOf('eth2'), OWNED)
    const pings = flood(net, 0.003)
    await grows(net, 'forward')
    box.close()
    await pings.end()
    await until(() => {
      try {
        device.hookNames()
        return false
      } catch (error) {
        t.match(error, { code: 'ENETDOWN' })
        return true
      }
    }, 'the namespace stays')
    net.lab.close()
    device.close()
  }
})

t.test('the module is held by an open descriptor, not by hooks; unloaded under traffic, it leaves none', { skip: noModule }, async (t) => {
  const net = await hookLab(t)
  const { box, device } = net
  for (const at of POINTS) device.setHook(at, hookAt(at, 'ipv4', { program: null, ...(HOOK_POINTS[at].families ? { family: null } : {}) }), { persistent: true, create: true })
  const pings = flood(net, 0.003)
  await grows(net, 'forward')
  const { status, stderr } = spawnSync('rmmod', ['nfkit'], { encoding: 'utf8' })
  t.not(status, 0)
  t.match(stderr, /in use/)
  device.close()
  unloadModule()
  loadModule()
  t.same(Hook.list(box.netns), [], 'persistent hooks go with the module')
  const again = ModuleDevice.open(box.netns)
  t.teardown(() => again.close())
  again.setHook('drop', requests({ verdict: 'drop' }), OWNED)
  await until(() => again.hook('drop').dropped > 5)
  again.close()
  const { sent, received } = await pings.end()
  t.ok(received > 0 && received < sent)
})
