// SPDX-License-Identifier: MIT
// Run with no more permissions of the runtime than nfkit itself needs (the ring says which). Prints TAP.

import { Bridge, Link, Netns } from '../../lib/index.js'
import { equal, run, test, within } from '../support/plain-tap.js'

test('a bridge, its CAM table and its changes', async () => {
  const ns = Netns.create()
  const bridge = Bridge.create('br0', { netns: ns })
  const watch = bridge.cam.watch()
  bridge.cam.add({ mac: '02:00:00:00:00:01', port: 'br0', state: 'permanent' })
  equal(bridge.cam.lookup('02:00:00:00:00:01')?.state, 'permanent', 'lookup')
  const change = await within(watch.next(), 'a change')
  equal(change.done, false, 'a change')
  await watch.return!()
  ns.writeSysctl('net/ipv4/ip_forward', 1)
  equal(ns.readSysctl('net/ipv4/ip_forward'), '1', 'a setting')
  bridge.delete()
  equal(Link.list({ netns: ns }).length, 1, 'links left')
  ns.close()
})

await run()
