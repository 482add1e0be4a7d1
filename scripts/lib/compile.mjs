// SPDX-License-Identifier: MIT
/** TypeScript into dist/. */
import { rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { bundle } from './bundle.mjs'
import { exists, projectRoot, run } from './debian-packages.mjs'
import { filesBelow, fingerprint, installedVersion, isStamped, writeStamp } from './fingerprint.mjs'

const SOURCES = ['lib', 'test', 'bench', 'demo']
const dist = join(projectRoot, 'dist')
const stamp = join(dist, '.fingerprint')
const buildInfo = join(dist, '.tsbuildinfo')

/** What dist/ is made from, as one line. */
export async function sourcesFingerprint () {
  const files = (await Promise.all(SOURCES.map((name) => filesBelow(join(projectRoot, name), /\.ts$/)))).flat()
  const versions = await Promise.all(['typescript', 'esbuild', '@types/node', 'tap', 'fast-check'].map(installedVersion))
  return { files, value: await fingerprint([join(projectRoot, 'tsconfig.json'), join(projectRoot, 'scripts', 'lib', 'bundle.mjs'), ...files], versions) }
}

/** Whether dist/ is what the sources say. */
export async function isCompiled () {
  return isStamped(stamp, (await sourcesFingerprint()).value)
}

/**
 * Compiles what changed. Emits even when types are wrong, so that what is right can still be tested.
 * @param {(text: string) => void} log
 * @returns {Promise<string | null>}  the compiler's complaints
 */
export async function ensureCompiled (log) {
  const { files, value } = await sourcesFingerprint()
  if (await isStamped(stamp, value)) return null
  log('compiling TypeScript')
  await rm(stamp, { force: true })
  await removeOrphans(files)
  const tsc = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc')
  const result = await run(process.execPath, [tsc, '-p', '.'], { cwd: projectRoot })
  await bundle()
  if (result.code !== 0) return (result.stdout + result.stderr).trim()
  await writeStamp(stamp, value)
  return null
}

/**
 * Removes output whose source is gone: a stale module would still be found by an import. A source without output,
 * such as after somebody deleted part of dist/, makes the compiler begin anew.
 * @param {string[]} sources
 */
async function removeOrphans (sources) {
  const bases = new Set(sources.map((file) => relative(projectRoot, file).replace(/\.ts$/, '')))
  const outputs = (await Promise.all(SOURCES.map((name) => filesBelow(join(dist, name), /\.(js|d\.ts|js\.map|d\.ts\.map)$/)))).flat()
  for (const file of outputs) {
    if (!bases.has(relative(dist, file).replace(/(\.d)?\.(js|ts)(\.map)?$/, ''))) await rm(file)
  }
  const there = new Set(outputs.map((file) => relative(dist, file)))
  const seen = await exists(buildInfo) && [...bases].every((base) => base.endsWith('.d') || there.has(`${base}.js`))
  if (!seen) await rm(buildInfo, { force: true })
}
