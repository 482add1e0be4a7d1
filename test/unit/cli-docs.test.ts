// SPDX-License-Identifier: MIT
// docs/cli.md has the usage of every action, as it is.

import { readFileSync } from 'node:fs'
import t from 'tap'
import { usageLine } from '../../lib/cli/help.js'
import { COMMANDS } from '../../lib/cli/registry.js'

t.test('docs/cli.md', async (t) => {
  // The compiled test is in dist/test/unit.
  const lines = new Set(readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8').split('\n').map((line) => line.trim()))
  const known = new Set<string>()
  for (const { name, load } of COMMANDS) {
    for (const action of (await load()).actions) {
      const usage = usageLine(name, action)
      known.add(usage)
      t.ok(lines.has(usage), usage)
    }
  }
  for (const line of lines) if (/^nfkit \w+.* \[--json\]$/.test(line)) t.ok(known.has(line), `${line} still exists`)
})
