// SPDX-License-Identifier: MIT
// Clone targets: what is refused before the kernel is asked, and what is told without the module.

import { existsSync } from 'node:fs'
import t from 'tap'
import { cloneConfigOf } from '../../lib/clone/clone-config.js'
import { CloneTarget, type CloneTargetOptions } from '../../lib/index.js'

const create = (options: object) => () => CloneTarget.create({ name: 'x', ...options } as CloneTargetOptions)

t.test('wrong options', async (t) => {
  const wrong: [object, object][] = [
    [{ name: undefined, capture: true }, TypeError], [{ name: 'a b', capture: true }, RangeError], [{ name: 'x'.repeat(32), capture: true }, RangeError], [{ name: '', capture: true }, RangeError],
    [{}, TypeError], [{ capture: 1 }, TypeError], [{ capture: true, sampel: 3 }, TypeError], [{ capture: true, persistent: 'yes' }, TypeError],
    [{ devices: 'eth0' }, TypeError], [{ devices: [7] }, TypeError], [{ devices: ['a/b'] }, RangeError], [{ devices: ['x'.repeat(16)] }, RangeError], [{ devices: ['..'] }, RangeError],
    [{ devices: ['a', { device: 'a' }] }, RangeError], [{ devices: [...'abcdefghi'] }, RangeError], [{ devices: [{ device: 'a', mtu: 3 }] }, TypeError],
    [{ devices: [{ device: 'a', vlan: 5 }] }, TypeError], [{ devices: [{ device: 'a', vlan: { id: 4095 } }] }, RangeError], [{ devices: [{ device: 'a', vlan: { id: 1, priority: 8 } }] }, RangeError],
    [{ devices: [{ device: 'a', vlan: { id: 1, protocol: '802.3' } }] }, TypeError], [{ devices: [{ device: 'a', destination: '1' }] }, TypeError],
    [{ devices: [{ device: 'a', destination: '00:00:00:00:00:00' }] }, RangeError],
    [{ reroute: -1 }, RangeError], [{ reroute: 2 ** 32 }, RangeError], [{ reroute: '1' }, TypeError],
    [{ capture: true, snaplen: 59 }, RangeError], [{ capture: true, snaplen: 65536 }, RangeError], [{ capture: true, sample: 0 }, RangeError], [{ capture: true, random: true }, RangeError],
    [{ capture: true, rate: -1 }, RangeError], [{ capture: true, rate: 2 ** 32 }, RangeError], [{ capture: true, burst: 5 }, TypeError], [{ capture: true, rate: 5, burst: 0 }, RangeError],
    [{ capture: true, rate: 5, burst: 1_000_001 }, RangeError], [{ capture: true, queueLimit: 1.5 }, RangeError], [{ capture: true, dropOldest: 0 }, TypeError], [{ capture: true, defer: null }, TypeError],
  ]
  for (const [options, kind] of wrong) t.throws(create(options), kind as never, JSON.stringify(options))
  t.throws(create({ devices: new Array(2) }), { name: 'TypeError', message: 'devices[0]: expected an object, got undefined' }, 'what an array leaves out')
})

t.test('a burst that fits the rate', async (t) => {
  const burst = (rate: number, burst?: number) => cloneConfigOf({ capture: true, rate, burst }).burst
  t.same([burst(0), burst(1), burst(1000), burst(0xffffffff), burst(5, 1_000_000), burst(2_000_000, 2_000_000)], [0, 1, 100, 429496730, 1_000_000, 2_000_000])
})

t.test('without the module', { skip: existsSync('/dev/nfkit') && 'the module is loaded' }, async (t) => {
  t.throws(create({ capture: true }), { code: 'NFKIT_MODULE_NOT_LOADED', syscall: 'open', message: /nfkit module load/ })
  t.throws(() => CloneTarget.list(), { code: 'NFKIT_MODULE_NOT_LOADED' })
})
