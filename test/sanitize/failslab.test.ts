// SPDX-License-Identifier: MIT
// Allocations that fail one after another (Documentation/fault-injection/fault-injection.rst) while packets are copied: each is
// counted, and the original goes on.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { clone, counters, isLoaded, loadModule, mirrorLab, unloadModule } from '../support/module.js'

t.setTimeout(900_000)

const FAILSLAB = '/sys/kernel/debug/failslab'
const skip = (process.env['NFKIT_SANITIZE'] === undefined || !existsSync(FAILSLAB)) && 'only the kernel of the sanitize ring can make allocations fail: npm run test:sanitize'

const set = (name: string, value: string | number) => { writeFileSync(`${FAILSLAB}/${name}`, String(value)) }

if (skip === false) {
  // A failure that was asked for needs no trace in the log.
  set('verbose', 0)
}

t.test('copying a packet', { skip }, async (t) => {
  loadModule()
  const { h1, h2, box } = await mirrorLab(t)
  clone(box, 'ipv4', 'FORWARD')
  const receiver = h2.listen({ protocol: 'udp', port: 9000, address: '0.0.0.0' })
  const sender = await h1.connect({ protocol: 'udp', address: '192.168.2.2', port: 9000 })
  const next = async (milliseconds: number): Promise<number | undefined> => {
    try {
      return Buffer.from((await receiver.receive({ timeout: milliseconds })).data).readUInt32LE()
    } catch { return undefined }
  }
  const send = (number: number) => {
    const data = new Uint8Array(64)
    new DataView(data.buffer).setUint32(0, number, true)
    sender.send(data)
  }
  // Neighbours are found before anything fails.
  send(0)
  t.equal(await next(10_000), 0)

  let lost = 0
  let failed = 0
  try {
    // Only what cannot wait: that is the packet's way, and the rest of this system is spared.
    set('ignore-gfp-wait', 'Y')
    set('probability', 100)
    for (let interval = 1; interval <= 40; interval++) {
      const before = counters(box)['no_memory'] ?? 0
      set('interval', interval)
      set('times', 1)
      send(interval)
      const arrived = await next(2000)
      set('times', 0)
      const refused = (counters(box)['no_memory'] ?? 0) - before
      failed += refused
      if (arrived !== interval && refused > 0) t.fail(`the original was lost with its copy at interval ${interval}`)
      if (arrived !== interval) lost++
    }
  } finally {
    set('probability', 0)
    set('times', 0)
  }
  t.ok(failed > 0, `copies failed for want of memory and were counted: ${failed}; ${lost} originals met a failure elsewhere`)
  send(0xffff)
  for (let number = await next(10_000); number !== 0xffff; number = await next(10_000)) if (number === undefined) { t.fail('nothing comes any more'); break }
  const counted = counters(box)
  const sum = ['cloned', 'no_route', 'loop', 'unroutable', 'local', 'same_device', 'too_big', 'queue_full', 'no_memory'].reduce((total, name) => total + (counted[name] ?? 0), 0)
  t.equal(sum, counted['seen'], `what was seen was cloned or counted by a reason: ${JSON.stringify(counted)}`)
  sender.close()
  receiver.close()
})

t.teardown(async () => {
  if (skip !== false) return
  for (let tries = 0; isLoaded() && tries < 300; tries++) {
    try { unloadModule() } catch { await new Promise((resolve) => { setTimeout(resolve, 100) }) }
  }
  if (isLoaded()) throw new Error(`nfkit stays loaded: ${readFileSync('/proc/modules', 'utf8')}`)
})
