// SPDX-License-Identifier: MIT
import { requireTools } from '../lib/debian-packages.mjs'
import { privateNetwork } from '../lib/private-network.mjs'
import { runTests } from '../lib/run-tests.mjs'
import { testFiles } from '../lib/test-files.mjs'
import { PLUGIN_PACKAGES } from '../lib/xtables-plugin.mjs'

export const about = 'the kernel of this machine, each test in a network namespace of its own, checked from outside'

/** What the tests look at the kernel with. */
const TOOLS = ['iproute2', 'iputils-ping', 'iptables', 'bridge-utils', 'tcpdump', 'procps', ...PLUGIN_PACKAGES]

/** @param {import('../test.mjs').RingContext} context */
export async function run ({ wanted, report, log }) {
  const files = await testFiles('netns', wanted)
  if (files.length === 0) return
  await requireTools(TOOLS, { log })
  const prefix = await privateNetwork()
  await runTests(files.map(({ source, compiled }) => ({
    name: source, command: [...prefix, process.execPath, '--enable-source-maps', compiled],
  })), { report, again: log })
}
