// SPDX-License-Identifier: MIT
/** Where the headers for the addon are. */
import { realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ensureTools, exists } from './debian-packages.mjs'
import { ensureRuntimes } from './runtimes.mjs'

/** @param {string} directory */
const hasHeaders = (directory) => exists(join(directory, 'include', 'node', 'node_api.h'))

/**
 * The directory for `node-gyp --nodedir`: that of the running node where its headers are beside it (every release of
 * nodejs.org, nvm, the container images), else the system's. Node-API is the same in every version, so headers of
 * another one do as well. Null when there are none: node-gyp would download them.
 * @returns {Promise<string | null>}
 */
export async function nodeDirectory () {
  const running = dirname(dirname(await realpath(process.execPath)))
  for (const directory of [process.env.NFKIT_NODEDIR, running, '/usr', '/usr/local']) {
    if (directory !== undefined && await hasHeaders(directory)) return directory
  }
  return null
}

/**
 * Headers from elsewhere, for a machine that has none and does not reach the download site either: those in the npm
 * package of Node.js 20 that the tests use, else Debian's own.
 * @param {(text: string) => void} log
 * @returns {Promise<{ directory: string | null, command: string | null }>}
 */
export async function otherNodeDirectory (log) {
  try {
    const { node } = await ensureRuntimes(log)
    const directory = dirname(dirname(node['20']))
    if (await hasHeaders(directory)) return { directory, command: null }
  } catch (error) {
    log(error instanceof Error ? error.message : String(error))
  }
  const { command } = await ensureTools(['libnode-dev'], { log })
  return { directory: await hasHeaders('/usr') ? '/usr' : null, command }
}
