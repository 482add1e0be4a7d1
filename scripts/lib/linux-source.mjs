// SPDX-License-Identifier: MIT
/** The sources of Debian's kernel: all of them, or a few files such as checkpatch.pl. */
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheRoot, downloadPackages, exists, makeAtomically, requireTools, runOrThrow, withLock } from './debian-packages.mjs'

/** The series that the sources are of: that of the older kernel of the vm ring. */
export const SOURCE_VERSION = '6.1'

const directory = join(cacheRoot, 'debian')

/**
 * The packed sources.
 * @param {(text: string) => void} [log]
 */
export async function sourceArchive (log) {
  await requireTools(['xz-utils'], { ...(log === undefined ? {} : { log }) })
  const root = await downloadPackages([`linux-source-${SOURCE_VERSION}`], join(directory, `linux-source-${SOURCE_VERSION}`), log === undefined ? {} : { log })
  const name = (await readdir(join(root, 'usr/src'))).find((file) => /^linux-source-.*\.tar\.xz$/.test(file))
  if (name === undefined) throw new Error(`linux-source-${SOURCE_VERSION} has no sources in it`)
  return join(root, 'usr/src', name)
}

/**
 * A directory with some files of the sources' scripts/.
 * @param {readonly string[]} names  such as `checkpatch.pl`
 * @param {(text: string) => void} [log]
 */
export async function sourceScripts (names, log) {
  const target = join(directory, `linux-scripts-${SOURCE_VERSION}`)
  const missing = async () => (await Promise.all(names.map((name) => exists(join(target, 'scripts', name))))).includes(false)
  if (await missing()) {
    const archive = await sourceArchive(log)
    await withLock('linux-scripts', async () => {
      if (!await missing()) return
      await makeAtomically(target, async (temporary) => {
        await mkdir(temporary, { recursive: true })
        await runOrThrow('tar', ['-xf', archive, '-C', temporary, '--strip-components=1', '--wildcards', ...names.map((name) => `*/scripts/${name}`)])
      })
    })
  }
  return join(target, 'scripts')
}
