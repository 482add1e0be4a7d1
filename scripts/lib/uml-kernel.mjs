// SPDX-License-Identifier: MIT
/**
 * The kernel of the sanitize ring: user-mode Linux with all that the kernel has to find mistakes, built once from Debian's
 * sources into .cache (about five minutes on two idle processors), and modules for it.
 */
import { createHash } from 'node:crypto'
import { copyFile, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { cacheRoot, exists, makeAtomically, projectRoot, requireTools, run, runOrThrow, withLock } from './debian-packages.mjs'
import { filesBelow, fingerprint } from './fingerprint.mjs'
import { sourceArchive } from './linux-source.mjs'

const CONFIG = join(projectRoot, 'scripts/uml/uml.config')
const BUILD_PACKAGES = ['gcc', 'libc6-dev', 'make', 'flex', 'bison', 'bc', 'xz-utils']

/**
 * What is changed in the sources: file, what stands there, what is to stand there.
 * @type {readonly (readonly [string, string, string])[]}
 */
const CHANGES = [
  // It only says that user-mode Linux cannot be preempted; that it counts as if it could is all that DEBUG_ATOMIC_SLEEP asks for.
  ['arch/um/Kconfig', '\tselect ARCH_NO_PREEMPT\n', ''],
  // As from 6.2 on, since stacks are walked by frame pointers here.
  ['lib/Kconfig.debug', '\tdepends on FAULT_INJECTION_DEBUG_FS && STACKTRACE_SUPPORT\n\tdepends on !X86_64\n', '\tdepends on FAULT_INJECTION_DEBUG_FS && STACKTRACE_SUPPORT\n'],
  // As from 6.3 on: what the filter leaves out is not counted, neither by fail-nth nor by interval.
  ['lib/fault-inject.c', '\t\tif (fail_nth) {\n', '\t\tif (fail_nth) {\n\t\t\tif (!fail_stacktrace(attr))\n\t\t\t\treturn false;\n'],
  ['lib/fault-inject.c', '\tif (atomic_read(&attr->times) == 0)\n\t\treturn false;\n', '\tif (atomic_read(&attr->times) == 0 || !fail_stacktrace(attr))\n\t\treturn false;\n'],
  // Memory of each CPU is taken from what is there already, nearly always: it fails as a page does.
  ['mm/percpu.c', '#include <linux/bitmap.h>\n', '#include <linux/bitmap.h>\n#include <linux/fault-inject.h>\n'],
  ['mm/percpu.c', '\tgfp = current_gfp_context(gfp);\n\t/* whitelisted', '\tgfp = current_gfp_context(gfp);\n\tif (should_fail_alloc_page(gfp, 0))\n\t\treturn NULL;\n\t/* whitelisted'],
]

/** A build of minutes makes room for whoever else is at work. */
const NICE = ['-n', '19']
const MAKE = ['make', '-s', 'ARCH=um', `-j${availableParallelism()}`]

/**
 * @typedef {object} UmlKernel
 * @property {string} image      the program that is the kernel
 * @property {string} directory  its build tree, for `make -C <directory> ARCH=um M=...`
 */

/**
 * The kernel, built the first time.
 * @param {(text: string) => void} log
 * @returns {Promise<UmlKernel>}
 */
export async function umlKernel (log) {
  const config = await readFile(CONFIG, 'utf8')
  const key = createHash('sha256').update(config).update(JSON.stringify(CHANGES)).update(String(configure)).digest('hex').slice(0, 16)
  const directory = join(cacheRoot, 'sanitize', `linux-${key}`)
  const kernel = { image: join(directory, 'linux'), directory }
  const ready = join(directory, '.ready')
  if (await exists(ready)) return kernel
  await requireTools(BUILD_PACKAGES, { log })
  const archive = await sourceArchive(log)
  return withLock('uml-kernel', async () => {
    if (await exists(ready)) return kernel
    log('building the kernel of the sanitize ring: some five minutes')
    await rm(directory, { recursive: true, force: true })
    await mkdir(directory, { recursive: true })
    await runOrThrow('tar', ['-xf', archive, '-C', directory, '--strip-components=1'])
    await configure(directory)
    await runOrThrow('nice', [...NICE, ...MAKE, 'linux', 'modules'], { cwd: directory })
    // A module needs headers, scripts and Module.symvers: the rest is 1.5 GB.
    for (const name of ['drivers', 'sound', 'Documentation', 'tools', 'samples']) await rm(join(directory, name), { recursive: true, force: true })
    await runOrThrow('find', [directory, '-name', '*.[aco]', '-type', 'f', '!', '-path', `${directory}/scripts/*`, '-delete'])
    await writeFile(ready, '')
    return kernel
  })
}

/**
 * Makes the configuration and sees that nothing of ours was dropped on the way.
 * @param {string} directory
 */
async function configure (directory) {
  for (const [name, before, after] of CHANGES) {
    const file = join(directory, name)
    const text = await readFile(file, 'utf8')
    if (!text.includes(before)) throw new Error(`the sources of the sanitize ring's kernel are not as expected: ${name}`)
    await writeFile(file, text.replace(before, after))
  }
  await copyFile(CONFIG, join(directory, 'nfkit.config'))
  await runOrThrow('make', ['-s', 'ARCH=um', 'tinyconfig'], { cwd: directory })
  await runOrThrow('sh', ['scripts/kconfig/merge_config.sh', '-m', '.config', 'nfkit.config'], { cwd: directory, env: { ARCH: 'um' } })
  await runOrThrow('make', ['-s', 'ARCH=um', 'olddefconfig'], { cwd: directory })
  const result = new Set((await readFile(join(directory, '.config'), 'utf8')).split('\n'))
  const lost = (await readFile(CONFIG, 'utf8')).split('\n').filter((line) => {
    const [, name, value] = /^(CONFIG_\w+)=(.*)$/.exec(line) ?? []
    if (name === undefined) return false
    return value === 'n' ? result.has(`${name}=y`) || result.has(`${name}=m`) : !result.has(line)
  })
  if (lost.length > 0) throw new Error(`the configuration of the sanitize ring's kernel lost ${lost.join(', ')}`)
}

/**
 * The module of this project for that kernel. A warning of the compiler is an error here.
 * @param {UmlKernel} kernel
 * @param {(text: string) => void} log
 * @returns {Promise<string>} the path of nfkit.ko
 */
export async function umlModule (kernel, log) {
  const sources = join(projectRoot, 'kmod')
  const files = (await filesBelow(sources, /(\.[ch]|\.sh|Kbuild|Makefile)$/)).filter((file) => !/\.mod\.c$|nfkit_compat\.h$|\/iptables\//.test(file))
  const module = join(cacheRoot, 'sanitize', `module-${(await fingerprint(files, [kernel.directory])).slice(0, 16)}`, 'nfkit.ko')
  if (await exists(module)) return module
  return withLock('uml-module', async () => {
    if (await exists(module)) return module
    log('building the module for user-mode Linux')
    await makeAtomically(dirname(module), async (temporary) => {
      for (const file of files) await cp(file, join(temporary, relative(sources, file)), { recursive: true })
      const { code, stdout, stderr } = await run('make', ['-C', temporary, `KDIR=${kernel.directory}`, 'ARCH=um', 'W=1', 'modules'])
      const said = `${stdout}${stderr}`
      if (code !== 0 || /\bwarning:/i.test(said)) throw new Error(`the module for user-mode Linux does not build cleanly:\n${said.slice(-8000)}`)
    })
    return module
  })
}
