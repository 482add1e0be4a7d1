// SPDX-License-Identifier: MIT
import { runTests } from '../lib/run-tests.mjs'
import { testFiles } from '../lib/test-files.mjs'

export const about = 'codecs against captured bytes, properties; no privilege'

/** @param {import('../test.mjs').RingContext} context */
export async function run ({ wanted, report }) {
  const files = await testFiles('unit', wanted)
  await runTests(files.map(({ source, compiled }) => ({ name: source, command: [process.execPath, '--enable-source-maps', compiled] })), { report })
}
