// SPDX-License-Identifier: MIT
/**
 * npm run kmod:matrix [-- 5.10|6.1|6.12|newest|checkpatch ...]
 *
 * Builds the kernel module with all warnings (W=1) on each of the kernels that it is to work on, each with the headers and the
 * compiler of its own Debian release, runs sparse on it, and checkpatch.pl --strict on the sources, installs and uninstalls it by make and
 * by DKMS in a tree of that release, and prints a table.
 * The exit status is 0 only if nobody had anything to say. The first run downloads some 600 MB into .cache.
 */
import { randomBytes } from 'node:crypto'
import { cp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { projectRoot, requireTools, run } from './lib/debian-packages.mjs'
import { kernelTree, runInTree } from './lib/kernel-trees.mjs'
import { sourceScripts } from './lib/linux-source.mjs'
import { main } from './lib/setup.mjs'

/**
 * @typedef {object} Kernel
 * @property {string} name
 * @property {import('./lib/debian-packages.mjs').Release} release
 * @property {string | null} series
 *
 * @typedef {object} Row
 * @property {string} name
 * @property {string} kernel
 * @property {string} compiler
 * @property {string[]} build   what the compiler complained of
 * @property {string[]} sparse
 * @property {string[]} install  what make install and uninstall did wrong
 * @property {string[]} dkms
 * @property {string} size
 * @property {number} milliseconds
 */

/** @type {Kernel[]} */
const KERNELS = [
  { name: '5.10', release: 'bullseye', series: '5.10' },
  { name: '6.1', release: 'bookworm', series: '6.1' },
  { name: '6.12', release: 'trixie', series: '6.12' },
  { name: 'newest', release: 'trixie', series: null },
]

const MODULE = join(projectRoot, 'kmod')
const CHECKPATCH = 'checkpatch'
const INSTALL = new URL('lib/kmod-install.sh', import.meta.url)

/** What the trees need beside what building takes. */
const PACKAGES = ['sparse', 'dkms', 'kmod', 'mount']

/** Neither what building leaves, nor what is not of the module's own. */
const NOT_COPIED = /\.(o|ko|mod|cmd|order|symvers|so)$|\.mod\.c$|_compat\.h$|\/\.tmp/

/** @param {string} text */
const say = (text) => { process.stdout.write(`${text}\n`) }

/** @param {string} text */
const log = (text) => { process.stderr.write(`nfkit: ${text}\n`) }

/** Lines that complain. @param {string} output */
const complaints = (output) => output.split('\n').filter((line) => /\b(warning|error|WARNING|ERROR)\b|\*\*\*/.test(line) && !/^make(\[\d+\])?: \*\*\* /.test(line))

/** @param {Kernel} kernel @returns {Promise<Row>} */
async function build (kernel) {
  const tree = await kernelTree(kernel, { packages: PACKAGES, log })
  const place = `/build/nfkit-${process.pid}-${randomBytes(3).toString('hex')}`
  const copy = join(tree.root, place)
  const started = performance.now()
  try {
    await cp(MODULE, copy, { recursive: true, filter: (path) => !NOT_COPIED.test(path) })
    const make = ['make', '-C', place, `-j${availableParallelism()}`, `KDIR=${tree.headers}`, `CC=${tree.compiler}`]
    const built = await runInTree(tree, place, [...make, 'W=1', 'modules'])
    const said = complaints(`${built.stdout}\n${built.stderr}`)
    const module = (await readdir(copy)).find((name) => name.endsWith('.ko'))
    if (built.code !== 0 || module === undefined) said.push(`make: exit status ${built.code}\n${built.stderr.trim().slice(-3000)}`)
    const checked = built.code !== 0 ? null : await runInTree(tree, place, [...make, 'C=2', 'modules'])
    const sparse = checked === null ? ['not run'] : complaints(`${checked.stdout}\n${checked.stderr}`)
    const size = module === undefined ? '-' : `${Math.round((await stat(join(copy, module))).size / 1024)} KiB`
    const install = built.code !== 0 ? ['not run'] : await installed(tree, place, 'install')
    const dkms = built.code !== 0 ? ['not run'] : await installed(tree, place, 'dkms')
    return { name: kernel.name, kernel: tree.release, compiler: tree.compiler, build: said, sparse, install, dkms, size, milliseconds: performance.now() - started }
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

/**
 * Installs from clean sources, and says what was wrong about it.
 * @param {import('./lib/kernel-trees.mjs').KernelTree} tree
 * @param {string} place
 * @param {'install' | 'dkms'} way
 */
async function installed (tree, place, way) {
  const copy = join(tree.root, place)
  await rm(copy, { recursive: true, force: true })
  await cp(MODULE, copy, { recursive: true, filter: (path) => !NOT_COPIED.test(path) })
  const { code, stdout, stderr } = await runInTree(tree, place, ['sh', '-ec', await readFile(INSTALL, 'utf8'), 'kmod-install.sh', way, tree.release, tree.headers, tree.compiler])
  const said = stderr.split('\n').filter((line) => line.startsWith('error: '))
  if (code !== 0) said.push(`exit status ${code}\n${`${stdout}\n${stderr}`.trim().slice(-3000)}`)
  return said
}

/** Every C file of the module and of the plug-in. @param {string} directory @returns {Promise<string[]>} */
async function sources (directory) {
  const found = []
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) found.push(...await sources(path))
    else if (/\.[ch]$/.test(entry.name) && !/\.mod\.c$|_compat\.h$/.test(entry.name)) found.push(path)
  }
  return found.sort()
}

/** @returns {Promise<{ files: number, said: string[] }>} */
async function checkpatch () {
  await requireTools(['perl'], { log })
  const scripts = await sourceScripts(['checkpatch.pl', 'spelling.txt', 'const_structs.checkpatch'], log)
  const files = await sources(MODULE)
  const { code, stdout, stderr } = await run('perl', [join(scripts, 'checkpatch.pl'), '--strict', '--no-tree', '--terse', '--show-types', '--no-summary', '-f', ...files])
  const said = `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '').map((line) => line.replaceAll(`${projectRoot}/`, ''))
  return { files: files.length, said: code === 0 ? said : said.length > 0 ? said : [`exit status ${code}`] }
}

/** @param {readonly string[]} said */
const verdict = (said) => said.length === 0 ? 'clean' : said[0] === 'not run' ? 'not run' : `${said.length} complaint${said.length === 1 ? '' : 's'}`

/** @param {readonly (readonly string[])[]} rows */
function table (rows) {
  const widths = /** @type {readonly string[]} */ (rows[0]).map((_, column) => Math.max(...rows.map((row) => /** @type {string} */ (row[column]).length)))
  for (const row of rows) say(row.map((cell, column) => cell.padEnd(/** @type {number} */ (widths[column]))).join('  ').trimEnd())
}

main(async () => {
  const asked = process.argv.slice(2)
  const known = [...KERNELS.map(({ name }) => name), CHECKPATCH]
  const wrong = asked.find((name) => !known.includes(name))
  if (wrong !== undefined) throw new Error(`expected one of ${known.join(', ')}, got ${wrong}`)
  const wants = (/** @type {string} */ name) => asked.length === 0 || asked.includes(name)
  await requireTools(['util-linux', 'dpkg'], { log })

  /** @type {Row[]} */
  const rows = []
  for (const kernel of KERNELS.filter(({ name }) => wants(name))) rows.push(await build(kernel))
  if (rows.length > 0) {
    table([['kernel', 'release', 'compiler', 'W=1', 'sparse', 'install', 'dkms', 'module', 'time'], ...rows.map((row) => [
      row.name, row.kernel, row.compiler, verdict(row.build), verdict(row.sparse), verdict(row.install), verdict(row.dkms), row.size, `${(row.milliseconds / 1000).toFixed(0)} s`])])
  }
  const style = wants(CHECKPATCH) ? await checkpatch() : null
  if (style !== null) say(`checkpatch.pl --strict, ${style.files} files below ${relative(projectRoot, MODULE)}: ${verdict(style.said)}`)

  for (const { name, build: built, sparse, install, dkms } of rows) {
    for (const [what, said] of /** @type {const} */ ([['W=1', built], ['sparse', sparse], ['install', install], ['dkms', dkms]])) {
      if (said.length > 0) say(`\n${name}, ${what}:\n${said.map((line) => `  ${line}`).join('\n')}`)
    }
  }
  if (style !== null && style.said.length > 0) say(`\ncheckpatch:\n${style.said.map((line) => `  ${line}`).join('\n')}`)
  if (rows.some(({ build: built, sparse, install, dkms }) => built.length + sparse.length + install.length + dkms.length > 0) || (style?.said.length ?? 0) > 0) process.exitCode = 1
})
