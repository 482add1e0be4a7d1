// SPDX-License-Identifier: MIT
/**
 * Trees of Debian releases, each with a kernel's headers, the compiler and the C library that these go with, unpacked under
 * .cache: where modules are built for kernels of other releases. Nothing in them is installed; programs run in them by chroot.
 */
import { mkdir, readlink, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheRoot, downloadPackages, packageFields, packageNames, run } from './debian-packages.mjs'

/**
 * @typedef {import('./debian-packages.mjs').Release} Release
 * @typedef {object} KernelTree
 * @property {string} root      of the unpacked tree
 * @property {string} release   what `uname -r` says on that kernel
 * @property {string} headers   directory of the headers, in the tree
 * @property {string} compiler  such as `gcc-12`
 */

/** What building a module takes beside headers and compiler; `sparse` and its like are told by the caller. */
const TOOLS = ['base-files', 'bash', 'dash', 'coreutils', 'sed', 'grep', 'mawk', 'findutils', 'diffutils', 'hostname', 'make', 'perl-base', 'libc-bin', 'xz-utils']

/**
 * The tree for the newest kernel of a series in a release of Debian.
 * @param {{ release: Release, series: string | null }} which  `series`: such as `6.1`; null for the newest of all
 * @param {{ packages?: readonly string[], log?: (text: string) => void }} [options]  `packages`: more to bring
 * @returns {Promise<KernelTree>}
 */
export async function kernelTree ({ release, series }, { packages = [], log } = {}) {
  const options = { release, ...(log === undefined ? {} : { log }) }
  const newest = (await packageNames('linux-headers-', options))
    .map((name) => /^linux-headers-(\d+\.\d+\..*-amd64)$/.exec(name)?.[1] ?? '')
    .filter((name) => name !== '' && !/-(cloud|rt)-/.test(name) && !/~|deb11|bpo/.test(name) && (series === null || name.startsWith(`${series}.`)))
    .sort(new Intl.Collator('en', { numeric: true }).compare).at(-1)
  if (newest === undefined) throw new Error(`${release} has no headers of a kernel ${series ?? ''}`)
  const depends = (await packageFields(`linux-headers-${newest}`, options))?.get('Depends') ?? ''
  const compiler = /\bgcc-\d+/.exec(depends)?.[0] ?? 'gcc'
  const root = join(cacheRoot, 'debian', `kernel-tree-${release}-${newest}`)
  await downloadPackages([`linux-headers-${newest}`, compiler, ...TOOLS, ...packages], root, { ...options, depends: true, finish: complete })
  return { root, release: newest, headers: `/usr/src/linux-headers-${newest}`, compiler }
}

/** Makes what the packages' own scripts would have made. @param {string} root */
async function complete (root) {
  for (const [path, target] of [['bin/sh', 'dash'], ['usr/bin/awk', 'mawk'], ['bin/awk', '../usr/bin/mawk']]) {
    const link = join(root, /** @type {string} */ (path))
    if (!await readlink(link).catch(() => null)) await symlink(/** @type {string} */ (target), link).catch(() => {})
  }
  for (const name of ['dev', 'proc', 'tmp', 'build', 'usr/local', 'var/lib/dkms']) await mkdir(join(root, name), { recursive: true })
}

/**
 * Runs a command in a tree, as root there; /dev and /proc are the machine's (objtool reads the latter). An ordinary user needs
 * user namespaces.
 * @param {KernelTree} tree
 * @param {string} directory  where, in the tree
 * @param {readonly string[]} command
 */
export async function runInTree ({ root }, directory, command) {
  const script = 'mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && d=$1 && shift && exec chroot "$0" sh -c \'cd "$0" && exec "$@"\' "$d" "$@"'
  const user = process.getuid?.() === 0 ? [] : ['--map-root-user']
  return run('unshare', [...user, '--mount', '--', 'sh', '-c', script, root, directory, ...command], {
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', TMPDIR: '/tmp', HOME: '/' },
  })
}


