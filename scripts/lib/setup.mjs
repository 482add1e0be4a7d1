// SPDX-License-Identifier: MIT
/** From a fresh clone to something that runs: dependencies, addon, compiled TypeScript. Does only what is not done yet. */
import { ensureAddon, isAddonBuilt } from './addon.mjs'
import { ensureCompiled, isCompiled } from './compile.mjs'
import { projectRoot, withLock } from './debian-packages.mjs'
import { ensureDependencies, whyStale } from './dependencies.mjs'
import { helped } from './help.mjs'

/** Set-up could not be completed; the message says why and what would help. */
export class SetupError extends Error {
  name = 'SetupError'
}

/** @param {string} text */
export const logToStderr = (text) => { process.stderr.write(`nfkit: ${text}\n`) }

function checkMachine () {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 10)) throw new SetupError(`Node.js 20.10 or later is needed; this is ${process.version}`)
  if (process.platform !== 'linux') throw new SetupError(`nfkit is about Linux bridges and iptables; this is ${process.platform}`)
}

/**
 * @param {{ log?: (text: string) => void, typeErrors?: 'throw' | 'return' }} [options]
 * @returns {Promise<string | null>}  the compiler's complaints, if those are to be returned
 */
export async function setUp (options = {}) {
  const { log = logToStderr, typeErrors = 'throw' } = options
  checkMachine()
  // Looked at first without the lock: a checkout of somebody else may not be ours to write in.
  if (await whyStale(projectRoot) === null && await isAddonBuilt() && await isCompiled()) return null
  const complaints = await withLock('setup', async () => {
    await ensureDependencies(log)
    await ensureAddon(log)
    return ensureCompiled(log)
  })
  if (complaints !== null && typeErrors === 'throw') throw new SetupError(`TypeScript does not compile:\n${complaints}`)
  return complaints
}

/**
 * Runs a script's body, or prints its help; a failure is told without a stack, since it is about the machine or the sources.
 * @param {() => Promise<void>} body
 */
export function main (body) {
  if (helped()) return
  body().catch((error) => {
    process.stderr.write(`nfkit: ${error instanceof Error ? error.message : error}\n`)
    if (process.env.NFKIT_DEBUG !== undefined && error instanceof Error) process.stderr.write(`${error.stack}\n`)
    process.exitCode = 1
  })
}
