// SPDX-License-Identifier: MIT
// Where this package is: what it brings beside its code lies there.

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The nearest directory above with a package.json; modules are at different depths as compiled and as bundled. */
export const packageRoot = find(dirname(fileURLToPath(import.meta.url)))

function find(directory: string): string {
  for (let at = directory; at !== dirname(at); at = dirname(at)) if (existsSync(join(at, 'package.json'))) return at
  return directory
}
