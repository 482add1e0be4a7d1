// SPDX-License-Identifier: MIT
/** The kernel module for a guest: built once for each kernel and content of kmod/, in .cache/module. */
import { cp, mkdir, rename, rm } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { cProgram } from './c-program.mjs'
import { cacheRoot, exists, makeAtomically, projectRoot, run, withLock } from './debian-packages.mjs'
import { filesBelow, fingerprint } from './fingerprint.mjs'
import { kernelHeaders } from './kernels.mjs'
import { xtablesPlugin } from './xtables-plugin.mjs'

/** Where the module is in a guest; the tests find it in NFKIT_MODULE. */
const IN_GUEST = '/usr/lib/nfkit/nfkit.ko'

/** Where the program is that calls the device as no program should; the tests find it in NFKIT_HOSTILE. */
const HOSTILE_IN_GUEST = '/usr/lib/nfkit/hostile'
export const HOSTILE = 'test/vm/hostile'

const sources = join(projectRoot, 'kmod')

/** What the module is made of: not the plug-in of iptables, nor what a build left here. @param {string} path */
function isSource (path) {
  const below = relative(sources, path)
  return !below.startsWith('iptables') && (/(\.[ch]|\.sh|Kbuild|Makefile)$/.test(below)) && !/\.mod\.c$|nfkit_compat\.h$/.test(below)
}

/**
 * The module for a kernel. A warning of the compiler is an error here.
 * @param {import('./kernels.mjs').KernelVersion} version
 * @param {(text: string) => void} [log]
 * @returns {Promise<string>} the path of nfkit.ko
 */
export async function buildModule (version, log = () => {}) {
  const headers = await kernelHeaders(version)
  const files = (await filesBelow(sources, /./)).filter(isSource)
  const key = (await fingerprint(files, [headers.release, headers.compiler])).slice(0, 16)
  const module = join(cacheRoot, 'module', `${version}-${key}`, 'nfkit.ko')
  if (await exists(module)) return module
  return withLock(`module-${version}`, async () => {
    if (await exists(module)) return module
    log(`building the module for Linux ${headers.release}`)
    await makeAtomically(join(module, '..'), async (temporary) => {
      const build = `${temporary}.build`
      try {
        for (const file of files) await cp(file, join(build, relative(sources, file)), { recursive: true })
        const { code, stdout, stderr } = await run('make', ['-C', build, `KDIR=${headers.directory}`, `CC=${headers.compiler}`, 'W=1'])
        const said = `${stdout}${stderr}`
        if (code !== 0 || /\bwarning:/i.test(said)) throw new Error(`the module for Linux ${headers.release} does not build cleanly:\n${said}`)
        await mkdir(temporary, { recursive: true })
        await rename(join(build, basename(module)), join(temporary, basename(module)))
      } finally {
        await rm(build, { recursive: true, force: true })
      }
    })
    return module
  })
}

/**
 * What a guest needs for the tests of the module, to be given to runInGuest.
 * @param {import('./kernels.mjs').KernelVersion} version
 * @param {(text: string) => void} [log]
 * @param {{ plugin?: boolean, hostile?: boolean }} [options]  without the plug-in of iptables; with the program of test/vm/hostile
 * @returns {Promise<{ extra: Record<string, string>, env: Record<string, string> }>}
 */
export async function moduleForGuest (version, log, { plugin = true, hostile = false } = {}) {
  const [module, inGuest, program] = await Promise.all([
    buildModule(version, log), plugin ? xtablesPlugin(log).then((made) => made.inGuest) : {}, hostile ? cProgram(HOSTILE, log) : null])
  // How often test/vm/clone-lifetime.test.ts loads and unloads it.
  const { NFKIT_MODULE_CYCLES: cycles } = process.env
  return {
    extra: { [IN_GUEST]: module, ...inGuest, ...(program === null ? {} : { [HOSTILE_IN_GUEST]: program }) },
    env: {
      NFKIT_MODULE: IN_GUEST, ...(program === null ? {} : { NFKIT_HOSTILE: HOSTILE_IN_GUEST }), ...(cycles === undefined ? {} : { NFKIT_MODULE_CYCLES: cycles }),
    },
  }
}
