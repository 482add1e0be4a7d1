// SPDX-License-Identifier: MIT
/** nft for a guest: unpacked into .cache, so that neither this machine nor the images of the vm ring need it. */
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheRoot, downloadPackages } from './debian-packages.mjs'

const PACKAGES = ['nftables', 'libnftables1', 'libnftnl11', 'libmnl0', 'libxtables12', 'libedit2', 'libjansson4', 'libgmp10', 'libtinfo6', 'libbsd0', 'libmd0']

/** Where it is in the guest: nft with its libraries, and the command to call it by. */
const TREE = '/usr/lib/nfkit/nft-tree'
const COMMAND = '/usr/lib/nfkit/nft'

/**
 * @param {(text: string) => void} log
 * @returns {Promise<Record<string, string>>} for `extra` of runInGuest
 */
export async function nftForGuest (log) {
  const directory = await downloadPackages(PACKAGES, join(cacheRoot, 'debian', 'nft'), {
    log,
    finish: async (temporary) => {
      const command = join(temporary, 'command')
      await writeFile(command, `#!/bin/sh\nLD_LIBRARY_PATH=${TREE}/lib/x86_64-linux-gnu exec ${TREE}/sbin/nft "$@"\n`)
      await chmod(command, 0o755)
    },
  })
  return { [`${TREE}/sbin`]: join(directory, 'usr/sbin'), [`${TREE}/lib`]: join(directory, 'usr/lib'), [COMMAND]: join(directory, 'command') }
}
