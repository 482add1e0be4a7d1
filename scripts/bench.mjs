// SPDX-License-Identifier: MIT
// npm run bench [-- [name...] [--quick] [--json] [--list]]: builds what is not built yet, brings what to compare with, measures.
import { ensurePeers } from './lib/bench-peers.mjs'
import { privateNetwork } from './lib/private-network.mjs'
import { runCompiled } from './lib/run-compiled.mjs'
import { logToStderr, main, setUp } from './lib/setup.mjs'

main(async () => {
  await setUp()
  const problems = await ensurePeers(logToStderr)
  Object.assign(process.env, problems)
  await runCompiled('bench/main.js', process.argv.slice(2), await privateNetwork())
})
