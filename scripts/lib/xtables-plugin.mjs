// SPDX-License-Identifier: MIT
/** The plug-in of iptables for the CLONE target, built into .cache for this machine, the guest and user-mode Linux alike. */
import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheRoot, exists, makeAtomically, projectRoot, requireTools, runOrThrow, withLock } from './debian-packages.mjs'

/** What it is built with. */
export const PLUGIN_PACKAGES = ['gcc', 'libc6-dev', 'make', 'pkg-config', 'libxtables-dev', 'iptables']

const NAME = 'libxt_CLONE.so'

/**
 * @typedef {object} XtablesPlugin
 * @property {string} file       libxt_CLONE.so
 * @property {string} directory  it and links to the plug-ins of this machine, for XTABLES_LIBDIR
 * @property {Record<string, string>} inGuest  for `extra` of runInGuest: puts it beside the guest's own plug-ins
 */

/**
 * Builds it unless this very one is there.
 * @param {(text: string) => void} [log]
 * @returns {Promise<XtablesPlugin>}
 */
export async function xtablesPlugin (log) {
  await requireTools(PLUGIN_PACKAGES, log === undefined ? {} : { log })
  const sources = ['iptables/Makefile', 'iptables/libxt_CLONE.c', 'uapi/xt_CLONE.h', 'uapi/nfkit.h'].map((name) => join(projectRoot, 'kmod', name))
  const installed = (await runOrThrow('pkg-config', ['--variable=xtlibdir', 'xtables'])).trim()
  const version = (await runOrThrow('pkg-config', ['--modversion', 'xtables'])).trim()
  const contents = await Promise.all(sources.map((file) => readFile(file)))
  const key = createHash('sha256').update(version).update(Buffer.concat(contents)).digest('hex').slice(0, 16)
  const directory = join(cacheRoot, 'xtables', key)
  const file = join(directory, NAME)
  if (!await exists(join(directory, '.ready'))) {
    await withLock('xtables-plugin', async () => {
      if (await exists(join(directory, '.ready'))) return
      await makeAtomically(directory, async (temporary) => {
        await mkdir(temporary, { recursive: true })
        await runOrThrow('make', ['-C', join(projectRoot, 'kmod/iptables'), `O=${temporary}`])
        for (const name of await readdir(installed)) if (name !== NAME) await symlink(join(installed, name), join(temporary, name))
        await writeFile(join(temporary, '.ready'), '')
      })
    })
  }
  return { file, directory, inGuest: { [`${installed}/${NAME}`]: file } }
}
