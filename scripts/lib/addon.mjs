// SPDX-License-Identifier: MIT
/** The addon, built by node-gyp into build/Release. */
import { join } from 'node:path'
import { cacheRoot, ensureTools, exists, projectRoot, run } from './debian-packages.mjs'
import { filesBelow, fingerprint, installedVersion, isStamped, writeStamp } from './fingerprint.mjs'
import { nodeDirectory, otherNodeDirectory } from './node-headers.mjs'

const binary = join(projectRoot, 'build', 'Release', 'nfkit.node')
const stamp = join(projectRoot, 'build', '.fingerprint')
const nodeGyp = join(projectRoot, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js')

/** What is built and what it is built from, as one line. */
export async function addonFingerprint () {
  const sources = await filesBelow(join(projectRoot, 'src'), /\.(cc|h)$/)
  return fingerprint([join(projectRoot, 'binding.gyp'), ...sources], [process.arch, await installedVersion('node-addon-api')])
}

/** @param {string} command @param {string[]} args */
const works = async (command, args) => (await run(command, args)).code === 0

/** @param {(text: string) => void} log */
export async function ensureCompiler (log) {
  const needed = [
    { package: 'g++', there: await works(process.env.CXX ?? 'c++', ['--version']) || await works('g++', ['--version']) },
    { package: 'make', there: await works('make', ['--version']) },
    { package: 'python3', there: await works('python3', ['--version']) },
  ].filter(({ there }) => !there).map((tool) => tool.package)
  if (needed.length === 0) return
  const { missing, command, problem } = await ensureTools(needed, { log })
  if (missing.length > 0) {
    throw new Error(`building the addon needs ${missing.join(', ')}${problem === null ? '' : ` (${problem})`}. To install: ${command}`)
  }
}

/**
 * Runs node-gyp; answers what it said if it failed.
 * @param {string[]} args
 * @param {Record<string, string>} [env]
 * @returns {Promise<string | null>}
 */
export async function runNodeGyp (args, env = {}) {
  const result = await run(process.execPath, [nodeGyp, ...args], { cwd: projectRoot, env })
  return result.code === 0 ? null : `${result.stdout}\n${result.stderr}`.trim().slice(-6000)
}

/** Whether build/Release holds what the sources say. */
export async function isAddonBuilt () {
  return await exists(binary) && await isStamped(stamp, await addonFingerprint())
}

/** @param {(text: string) => void} log */
export async function ensureAddon (log) {
  if (await isAddonBuilt()) return
  const wanted = await addonFingerprint()
  await ensureCompiler(log)
  // A place of its own: without one node-gyp asks for a home directory, even where it downloads nothing.
  const build = ['configure', 'build', '--release', '--jobs=max', '--loglevel=warn', `--devdir=${join(cacheRoot, 'node-gyp')}`]
  const directory = await nodeDirectory()
  let failure = null
  if (directory !== null) {
    log('building the addon')
    failure = await runNodeGyp([...build, `--nodedir=${directory}`])
  } else {
    log(`building the addon; no headers beside ${process.execPath}, node-gyp downloads them`)
    failure = await runNodeGyp(build)
    if (failure !== null) {
      log('that failed; looking for headers elsewhere')
      const other = await otherNodeDirectory(log)
      failure = other.directory === null
        ? `${failure}\n\nnfkit: no headers of Node.js. To install: ${other.command}, or set NFKIT_NODEDIR to a directory with include/node`
        : await runNodeGyp([...build, `--nodedir=${other.directory}`])
    }
  }
  if (failure !== null) throw new Error(`building the addon failed:\n${failure}`)
  await writeStamp(stamp, wanted)
}
