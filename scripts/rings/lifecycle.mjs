// SPDX-License-Identifier: MIT
import { privateNetwork } from '../lib/private-network.mjs'
import { runTests } from '../lib/run-tests.mjs'
import { testFiles } from '../lib/test-files.mjs'

export const about = 'processes and workers that end in every way: exit status, and nothing left in the kernel'

/** @param {import('../test.mjs').RingContext} context */
export async function run ({ wanted, report, log }) {
  const files = await testFiles('lifecycle', wanted)
  const prefix = await privateNetwork()
  await runTests(files.map(({ source, compiled }) => ({
    name: source, command: [...prefix, process.execPath, '--enable-source-maps', compiled],
  })), { report, again: log })
}
