// SPDX-License-Identifier: MIT
// Every allocation of the commands for captures and events fails once (fail-nth, Documentation/fault-injection/fault-injection.rst):
// ENOMEM, nothing has changed, and the same descriptor can be asked again.

import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { Netns } from '../../lib/index.js'
import { ModuleDevice } from '../../lib/clone/device.js'
import { Errno } from '../../lib/errno.js'
import { COMMAND } from '../../lib/wire/module/constants.js'
import { encodeCapture, encodeEvents } from '../../lib/wire/module/device.js'
import { isLoaded, loadModule, unloadModule } from '../support/module.js'

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
  const other = ModuleDevice.open(netns)
  const nth = openSync('/proc/thread-self/fail-nth', 'r+')
  const state = () => JSON.stringify([other.info(), netns.readProc('nfkit')])
  const buffer = Buffer.alloc(16)

  const sweep = (what: string, device: ModuleDevice, request: number, argument: () => Uint8Array) => {
    let failures = 0
    for (let count = 1; count < 300; count++) {
      const before = state()
      const bytes = argument()
      collectGarbage()
      writeSync(nth, String(count), 0)
      const result = device.descriptor.ioctl(request, bytes, [])
      const length = readSync(nth, buffer, 0, buffer.length, 0)
      writeSync(nth, '0', 0)
      const failed = Number(buffer.toString('latin1', 0, length)) === 0
      if (failed) failures++
      // Some can do without: the kernel tries another way. It is done then.
      if (result >= 0) {
        t.ok(failures > 0, `${what}: ${failures} allocations`)
        return
      }
      t.equal(result, -Errno.ENOMEM, `${what}: allocation ${count}`)
      t.equal(state(), before, `${what}: allocation ${count}: nothing has changed`)
      t.equal(device.descriptor.read(new Uint8Array(4096), 0), request === COMMAND.events && what !== 'events' ? -Errno.EAGAIN : -Errno.EINVAL, 'nothing is read')
    }
    t.fail(`${what}: without end`)
  }

  const first = ModuleDevice.open(netns)
  sweep('capture', first, COMMAND.capture, () => encodeCapture('probe', 0, 65536))
  sweep('events of who captures', first, COMMAND.events, encodeEvents)
  const second = ModuleDevice.open(netns)
  sweep('events', second, COMMAND.events, encodeEvents)
  t.equal(other.info().captures, 1)
  t.equal(first.captureCounters().buffer, 65536)
  for (const device of [first, second]) device.close()
  t.equal(other.info().captures, 0)
  t.notMatch(execFileSync('dmesg', { encoding: 'utf8', maxBuffer: 1 << 26 }), /\b(WARNING|BUG|Oops|UBSAN|KASAN|INFO):|refcount_t:|corruption|sleeping function|possible /)
  // The kernel tells of memory that vmalloc did not get, with a trace, which is no trouble here.
  execFileSync('dmesg', ['-C'])
  closeSync(nth)
  other.close()
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
