// SPDX-License-Identifier: MIT
// Dumps the forwarding database with npm's netlink package, as its README shows for addresses and routes.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { projectRoot } from '../peer-process.js'
import { answer, peakMemory } from './answer.js'

const AF_BRIDGE = 7

const { createRtNetlink } = createRequire(join(projectRoot, 'bench', 'package.json'))('netlink')
const socket = createRtNetlink({ ref: true })
const before = peakMemory()

await answer(async () => {
  const started = performance.now()
  const entries = await socket.getNeighbors({ family: AF_BRIDGE }, {}, { timeout: 170_000 })
  return { ms: performance.now() - started, count: entries.length, before, peak: peakMemory() }
})
