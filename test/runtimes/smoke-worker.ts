// SPDX-License-Identifier: MIT
// Watches a bridge under change and ends in one of several ways; see smoke.ts.

import { parentPort, workerData } from 'node:worker_threads'
import { Bridge, Netns } from '../../lib/index.js'

const ns = Netns.create()
const bridge = Bridge.create('br0', { netns: ns })
const watch = bridge.cam.watch()
bridge.cam.add(Array.from({ length: 2000 }, (_, i) => ({
  mac: `02:00:02:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`, port: 'br0', state: 'permanent' as const,
})))
await watch.next()
parentPort!.postMessage('ready')
const { ending } = workerData as { ending: string }
if (ending === 'exits') process.exit(0)
// Waits for ever; a worker that returns leaves its watch open and unwaited.
if (ending === 'terminated') for await (const _ of watch) { /* until terminated */ }
