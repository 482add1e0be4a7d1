// SPDX-License-Identifier: MIT
/** The project's npm dependencies: installed by `npm ci` when they are not what package-lock.json says. */
import { access, constants, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { projectRoot, run } from './debian-packages.mjs'

/** @param {string} path */
const readJson = async (path) => JSON.parse(await readFile(path, 'utf8').catch(() => '{}'))

/**
 * Why the packages below `directory` have to be installed again, or null when they are what the lock file says.
 * @param {string} directory
 */
export async function whyStale (directory) {
  const lock = await readJson(join(directory, 'package-lock.json'))
  const manifest = await readJson(join(directory, 'package.json'))
  // npm keeps beside the packages what it has installed.
  const there = (await readJson(join(directory, 'node_modules', '.package-lock.json'))).packages
  if (there === undefined) return 'node_modules is missing'
  const root = lock.packages?.[''] ?? {}
  for (const field of ['dependencies', 'devDependencies', 'optionalDependencies']) {
    const wanted = Object.entries(manifest[field] ?? {}).sort().join(' ')
    if (wanted !== Object.entries(root[field] ?? {}).sort().join(' ')) return `${field} of package.json changed`
  }
  for (const [path, { version, integrity, optional, devOptional, peer }] of Object.entries(lock.packages ?? {})) {
    const found = there[path]
    if (path === '' || found?.version === version && found?.integrity === integrity) continue
    if (found === undefined && (optional || devOptional || peer)) continue
    return `${path} is not ${version}`
  }
  return null
}

/**
 * The npm to call: the one that runs us, else the one in PATH.
 * @returns {[command: string, ...args: string[]]}
 */
export function npmCommand () {
  const path = process.env.npm_execpath
  return path !== undefined && basename(path) === 'npm-cli.js' ? [process.execPath, path] : ['npm']
}

/**
 * Runs `npm ci`. No package's own scripts run: nothing here needs any, and one would be somebody else's code.
 * @param {string} directory
 */
export async function npmCi (directory) {
  await access(directory, constants.W_OK)
  const [npm, ...before] = npmCommand()
  const args = [...before, 'ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  const result = await run(npm, args, { cwd: directory })
  if (result.code !== 0) {
    throw new Error(`npm ci in ${directory} failed with status ${result.code}:\n${(result.stderr || result.stdout).trim().slice(-4000)}`)
  }
}

/** @param {(text: string) => void} log */
export async function ensureDependencies (log) {
  const why = await whyStale(projectRoot)
  if (why === null) return
  log(`installing dependencies with npm ci (${why})`)
  await npmCi(projectRoot)
}
