// SPDX-License-Identifier: MIT
/** Runs a compiled program in the place of this one: its output, its signals, its exit status. */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join } from 'node:path'
import { projectRoot, toolPath } from './debian-packages.mjs'

/**
 * @param {string} file  below dist/
 * @param {readonly string[]} args
 * @param {readonly string[]} [prefix]  words to put before the command, such as those of privateNetwork
 * @returns {Promise<void>}
 */
export function runCompiled (file, args, prefix = []) {
  const [command = process.execPath, ...words] = [...prefix, process.execPath, '--enable-source-maps', join(projectRoot, 'dist', file), ...args]
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, {
      stdio: 'inherit', env: { ...process.env, PATH: toolPath() },
    })
    // A terminal sends ^C to both; the child decides what that means, and we report it.
    const forward = (/** @type {NodeJS.Signals} */ signal) => { child.kill(signal) }
    process.on('SIGTERM', forward).on('SIGHUP', forward).on('SIGINT', () => {})
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      process.exitCode = code ?? 128 + constants.signals[signal ?? 'SIGKILL']
      resolve()
    })
  })
}
