// SPDX-License-Identifier: MIT
// The plug-in of iptables for the CLONE target: built with its own Makefile, or what the guest brought along.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** kmod/iptables of the sources; the compiled test is in dist/test/support. */
export const PLUGIN_SOURCES = fileURLToPath(new URL('../../../kmod/iptables', import.meta.url))

const NAME = 'libxt_CLONE.so'

function say(command: string, ...args: string[]): string | undefined {
  const { status, stdout, error } = spawnSync(command, args, { encoding: 'utf8' })
  return error === undefined && status === 0 ? stdout.trim() : undefined
}

/** Where iptables looks for its plug-ins; undefined without libxtables' pkg-config file. */
export function pluginDirectory(): string | undefined {
  return say('pkg-config', '--variable=xtlibdir', 'xtables')
}

/** Why the plug-in cannot be built here, or false. */
export function noPluginBuild(): string | false {
  if (!existsSync(join(PLUGIN_SOURCES, 'Makefile'))) return 'no sources of the plug-in here, as in the guest'
  if (say('cc', '--version') === undefined || say('make', '--version') === undefined) return 'there is no C compiler or no make'
  return pluginDirectory() === undefined && 'pkg-config does not know xtables: apt-get install pkg-config libxtables-dev'
}

/**
 * A directory with the plug-in just built and links to the machine's own: for XTABLES_LIBDIR, so that nothing is installed.
 */
export function buildPlugin(): { directory: string; output: string; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), 'nfkit-xtables-'))
  const remove = () => rmSync(directory, { recursive: true, force: true })
  const { status, stdout, stderr } = spawnSync('make', ['-C', PLUGIN_SOURCES, `O=${directory}`], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
  if (status !== 0) {
    remove()
    throw new Error(`make: status ${status}: ${stderr}`)
  }
  const installed = pluginDirectory()!
  for (const name of readdirSync(installed)) if (name !== NAME) symlinkSync(join(installed, name), join(directory, name))
  return { directory, output: stdout + stderr, remove }
}
