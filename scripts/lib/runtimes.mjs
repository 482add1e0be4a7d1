// SPDX-License-Identifier: MIT
/** The runtimes and npm versions that the rings use: npm packages with a lock file of their own, under .cache. */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheRoot, projectRoot, RingUnavailable, run, withLock } from './debian-packages.mjs'
import { npmCi, whyStale } from './dependencies.mjs'

const manifest = join(projectRoot, 'test', 'runtimes', 'tools')
const directory = join(cacheRoot, 'runtimes')
const modules = join(directory, 'node_modules')

/**
 * @typedef {object} Runtime
 * @property {string} name
 * @property {readonly string[]} command   what a program's path goes behind
 * @property {readonly string[]} exposed   the same with garbage collection at hand
 */

/** nfkit itself needs --allow-read --allow-ffi --allow-env; the tests also look into /proc, which Deno keeps behind -A. */
const DENO = ['run', '--no-prompt', '--no-lock', '--allow-all']

/**
 * Installs what is not installed yet.
 * @param {(text: string) => void} log
 * @returns {Promise<{ node: Record<'20' | '22' | '24', string>, deno: string, bun: string, npm: Record<'11' | '12', string>, denoOptions: readonly string[] }>}
 */
export async function ensureRuntimes (log) {
  const libc = /** @type {any} */ (process.report?.getReport())?.header?.glibcVersionRuntime
  if (process.arch !== 'x64' || libc === undefined) {
    throw new RingUnavailable(`the runtimes are for x64 with glibc; this is ${process.arch}${libc === undefined ? ' without glibc' : ''}`, [], null)
  }
  await withLock('runtimes', async () => {
    await mkdir(directory, { recursive: true })
    for (const file of ['package.json', 'package-lock.json', '.npmrc']) await copyFile(join(manifest, file), join(directory, file))
    if (await whyStale(directory) === null) return
    log('downloading Node.js 20, 22 and 24, Deno, Bun, npm 11 and 12')
    try {
      await npmCi(directory)
    } catch (error) {
      throw new RingUnavailable(error instanceof Error ? error.message : String(error), [], `npm ci --ignore-scripts --prefix ${directory}`)
    }
  })
  const node = (/** @type {string} */ major) => join(modules, `node-${major}`, 'bin', 'node')
  const npm = (/** @type {string} */ major) => join(modules, `npm-${major}`, 'bin', 'npm-cli.js')
  return {
    node: { 20: node('20'), 22: node('22'), 24: node('24') },
    deno: join(modules, '@deno', 'linux-x64-glibc', 'deno'),
    bun: join(modules, '@oven', 'bun-linux-x64', 'bin', 'bun'),
    npm: { 11: npm('11'), 12: npm('12') },
    denoOptions: DENO,
  }
}

/**
 * Every runtime with its version, this process's own Node.js first.
 * @param {(text: string) => void} log
 * @returns {Promise<Runtime[]>}
 */
export async function runtimes (log) {
  const { node, deno, bun, denoOptions } = await ensureRuntimes(log)
  /** @type {Runtime[]} */
  const list = []
  for (const path of [process.execPath, ...Object.values(node)]) {
    const name = `Node ${(await run(path, ['--version'])).stdout.trim().slice(1)}`
    if (list.every((runtime) => runtime.name !== name)) list.push({ name, command: [path], exposed: [path, '--expose-gc'] })
  }
  const denoVersion = /deno (\S+)/.exec((await run(deno, ['--version'])).stdout)?.[1]
  list.push({ name: `Deno ${denoVersion}`, command: [deno, ...denoOptions], exposed: [deno, ...denoOptions, '--v8-flags=--expose-gc'] })
  list.push({ name: `Bun ${(await run(bun, ['--version'])).stdout.trim()}`, command: [bun], exposed: [bun] })
  return list
}
