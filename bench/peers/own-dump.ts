// SPDX-License-Identifier: MIT
// Reads the table with nfkit, or only receives it, in a process of its own: for its memory.

import { Bridge } from '../../lib/index.js'
import { BareDump } from '../support/bare-dump.js'
import { answer, peakMemory } from './answer.js'

const bridge = Bridge.open('br0')
const bare = new BareDump(bridge.index)
const before = peakMemory()

await answer(({ how }: { how: 'entries' | 'bare' }) => {
  const started = performance.now()
  const result = how === 'bare' ? bare.run() : bridge.cam.entries().length
  return { ms: performance.now() - started, count: result, before, peak: peakMemory() }
})
