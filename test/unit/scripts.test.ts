// SPDX-License-Identifier: MIT
// The scripts are JavaScript, since they run before there is a compiler; their types are checked all the same.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../..', import.meta.url))

t.test('the types of the scripts agree', (t) => {
  const { status, stdout } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'scripts'], { cwd: root, encoding: 'utf8' })
  t.equal(stdout, '')
  t.equal(status, 0)
  t.end()
})
