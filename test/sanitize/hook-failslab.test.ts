// SPDX-License-Identifier: MIT
// Every allocation of every command for hooks fails once (fail-nth, Documentation/fault-injection/fault-injection.rst): ENOMEM, and
// nothing has changed.

import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { Netns } from '../../lib/index.js'
import { ModuleDevice } from '../../lib/clone/device.js'
import { Errno } from '../../lib/errno.js'
import { COMMAND } from '../../lib/wire/module/constants.js'
import { encodeDelete, encodeList } from '../../lib/wire/module/device.js'
import { encodeHookGet, encodeHookSet, type HookConfig } from '../../lib/wire/module/hook.js'
import { HOOK_SET, LIST } from '../../lib/wire/module/structs.js'
import { hookAt, programOf, targetOf } from '../support/hooks.js'
import { isLoaded, loadModule, unloadModule } from '../support/module.js'
import { run } from '../support/outside.js'

t.setTimeout(900_000)

const DEBUG = '/sys/kernel/debug'
const skip = (process.env['NFKIT_SANITIZE'] === undefined || !existsSync(`${DEBUG}/failslab`)) && 'only the kernel of the sanitize ring can make allocations fail: npm run test:sanitize'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

t.test('allocations of commands', { skip }, async (t) => {
  loadModule()
  for (const [kind, names] of [['failslab', { 'ignore-gfp-wait': 'N', verbose: 0 }], ['fail_page_alloc', { 'ignore-gfp-wait': 'N', 'min-order': 0, verbose: 0 }]] as const) {
    for (const [name, value] of Object.entries(names)) writeFileSync(`${DEBUG}/${kind}/${name}`, String(value))
  }
  const netns = Netns.create()
  run(netns, 'ip', 'link', 'add', 'd0', 'type', 'dummy')
  run(netns, 'ip', 'link', 'add', 'd1', 'type', 'dummy')
  const device = ModuleDevice.open(netns)
  const nth = openSync('/proc/thread-self/fail-nth', 'r+')
  const program = programOf({ or: [{ protocol: 'tcp', destinationPort: 80 }, { source: '10.0.0.0/8' }] })
  const state = () => JSON.stringify([device.hookNames().map((name) => device.hook(name)), device.targetNames().map((name) => device.target(name)), device.info(), netns.readProc('nfkit')])

  const buffer = Buffer.alloc(16)

  /** Once for each of its allocations, then once as it is; answers how many failed. */
  const sweep = (what: string, request: number, argument: () => Uint8Array, pointers: (argument: Uint8Array) => readonly (Uint8Array | number)[]) => {
    let failures = 0
    for (let count = 1; count < 300; count++) {
      const before = state()
      const bytes = argument()
      const arrays = pointers(bytes)
      // This program is not to want memory meanwhile.
      collectGarbage()
      writeSync(nth, String(count), 0)
      const result = device.descriptor.ioctl(request, bytes, arrays)
      const length = readSync(nth, buffer, 0, buffer.length, 0)
      writeSync(nth, '0', 0)
      // What is left of the count: nothing, if an allocation failed.
      const failed = Number(buffer.toString('latin1', 0, length)) === 0
      if (failed) failures++
      if (result >= 0) {
        // Some can do without: the kernel tries another way.
        if (failed) continue
        t.pass(`${what}: ${failures} allocations`)
        return
      }
      t.equal(result, -Errno.ENOMEM, `${what}: allocation ${count}`)
      t.equal(state(), before, `${what}: allocation ${count}: nothing has changed`)
    }
    t.fail(`${what}: without end`)
  }
  const set = (what: string, name: string, config: HookConfig) => {
    const { set: bytes, instructions } = encodeHookSet(name, config, { persistent: false, create: false })
    sweep(what, COMMAND.hookSet, () => bytes.slice(), (argument) => (instructions.length === 0 ? [] : [argument, HOOK_SET.fields.instructions.offset, instructions]))
  }

  set('a hook', 'a', hookAt('forward', 'ipv4', { family: null, clone: 'x', program }))
  set('made anew', 'a', hookAt('forward', 'ipv4', { family: null, clone: 'y', program, mark: { value: 1, mask: 1 } }))
  set('elsewhere', 'a', hookAt('local-in', 'ipv4', { family: null, clone: 'z', program }))
  set('on a bridge', 'a', hookAt('bridge-forward', 'ipv4', { clone: 'z', program: programOf({ etherType: 'arp' }, 'EN10MB') }))
  set('at a device', 'b', hookAt('ingress', 'ipv4', { in: 'd0', program }))
  set('at another', 'b', hookAt('egress', 'ipv4', { out: 'd1', program }))
  device.setTarget('z', targetOf('d0'), { persistent: false, create: true })
  set('redirect', 'a', hookAt('forward', 'ipv6', { verdict: { redirect: 'z' } }))
  const instructions = new Uint8Array(8 * program.instructions.length)
  sweep('read', COMMAND.hookGet, () => encodeHookGet('b', program.instructions.length).get, (argument) => [argument, HOOK_SET.fields.instructions.offset, instructions])
  const names = new Uint8Array(32 * 8)
  sweep('listed', COMMAND.hookList, () => encodeList(8).list, (argument) => [argument, LIST.fields.names.offset, names])
  // Deleting must not fail.
  for (const name of ['a', 'b']) {
    const bytes = encodeDelete(name)
    collectGarbage()
    writeSync(nth, '1', 0)
    const result = device.descriptor.ioctl(COMMAND.hookDelete, bytes, [])
    writeSync(nth, '0', 0)
    t.equal(result, 0, 'deleting needs no memory that it could lack')
  }
  t.same(device.hookNames(), [])
  // The kernel tells of memory that vmalloc did not get, with a trace, which is no trouble here.
  t.notMatch(execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 1 << 26 }), /\b(WARNING|BUG|Oops|UBSAN|KASAN|INFO):|refcount_t:|corruption|sleeping function|possible /)
  execFileSync('dmesg', ['-C'])
  closeSync(nth)
  device.close()
  netns.close()
})

t.teardown(async () => {
  if (skip !== false) return
  for (const kind of ['failslab', 'fail_page_alloc']) writeFileSync(`${DEBUG}/${kind}/ignore-gfp-wait`, 'Y')
  for (let tries = 0; isLoaded() && tries < 300; tries++) {
    try { unloadModule() } catch { await new Promise((resolve) => { setTimeout(resolve, 100) }) }
  }
  if (isLoaded()) throw new Error(`nfkit stays loaded: ${readFileSync('/proc/modules', 'utf8')}`)
})
