// SPDX-License-Identifier: MIT
/** Programs in C that tests run in a guest, where there is no compiler and perhaps another libc: linked statically, with the system's compiler. */
import { join, relative } from 'node:path'
import { mkdir } from 'node:fs/promises'
import { cacheRoot, exists, makeAtomically, projectRoot, requireTools, runOrThrow, withLock } from './debian-packages.mjs'
import { filesBelow, fingerprint } from './fingerprint.mjs'

const FLAGS = ['-O2', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-static', '-pthread']

/** What they include of the project. */
const HEADERS = join(projectRoot, 'kmod/uapi')

/**
 * The program of all the C files of a directory, built unless this very one is there.
 * @param {string} directory  below the project's root; the program has its name
 * @param {(text: string) => void} [log]
 * @returns {Promise<string>} its path
 */
export async function cProgram (directory, log) {
  await requireTools(['gcc', 'libc6-dev'], log === undefined ? {} : { log })
  const files = await filesBelow(join(projectRoot, directory), /\.[ch]$/)
  const name = /** @type {string} */ (directory.split('/').at(-1))
  const program = join(cacheRoot, 'program', `${name}-${(await fingerprint([...files, ...await filesBelow(HEADERS, /\.h$/)], FLAGS)).slice(0, 16)}`, name)
  if (await exists(program)) return program
  await withLock(`program-${name}`, async () => {
    if (await exists(program)) return
    await makeAtomically(join(program, '..'), async (temporary) => {
      await mkdir(temporary, { recursive: true })
      const sources = files.filter((file) => file.endsWith('.c')).map((file) => relative(projectRoot, file))
      await runOrThrow('gcc', [...FLAGS, '-o', join(temporary, name), ...sources], { cwd: projectRoot })
    })
  })
  return program
}
