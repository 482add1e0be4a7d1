// SPDX-License-Identifier: MIT
/**
 * The kernels that the rings run on: Debian's cloud kernels, unpacked under .cache and made ready for a guest
 * (modules decompressed, modules.dep made, the kernel itself decompressed), and their headers for building modules.
 */
import { spawn } from 'node:child_process'
import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheRoot, downloadPackages, exists, makeAtomically, packageFields, packageNames, requireTools, run, runOrThrow, withLock } from './debian-packages.mjs'

/**
 * @typedef {'6.1' | '6.12'} KernelVersion
 * @typedef {object} Kernel
 * @property {KernelVersion} version
 * @property {string} release   what `uname -r` says in the guest
 * @property {string} image     the kernel: an ELF file where it could be decompressed (saves the guest that work)
 * @property {string} root      the tree that holds lib/modules/<release>
 * @property {string} modules   lib/modules/<release>, uncompressed, with modules.dep
 *
 * @typedef {object} KernelHeaders
 * @property {KernelVersion} version
 * @property {string} release
 * @property {string} directory  for `make -C <directory> M=...`
 * @property {string} compiler   the compiler that the kernel was built with, installed: `make CC=<compiler>`
 */

/**
 * Which packages make which kernel. Releases of one series sort by their numbers; the newest one that has headers too
 * is taken.
 * @type {Record<KernelVersion, { prefix: string, release: RegExp }>}
 */
const TABLE = {
  '6.1': { prefix: 'linux-image-6.1.', release: /^linux-image-(6\.1\.\d+-\d+-cloud-amd64)$/ },
  '6.12': { prefix: 'linux-image-6.12.', release: /^linux-image-(6\.12\.[\d.]+(?:\+deb12)?(?:[\d.]+)?-cloud-amd64)$/ },
}

/** The kernels that `runInGuest` can boot, oldest first. */
export const kernelVersions = /** @type {KernelVersion[]} */ (Object.keys(TABLE))

const directory = join(cacheRoot, 'debian')

/** @param {KernelVersion} version */
async function newestRelease (version) {
  const { prefix, release } = TABLE[version]
  const headers = new Set(await packageNames(prefix.replace('image', 'headers')))
  const releases = (await packageNames(prefix))
    .map((name) => release.exec(name)?.[1] ?? '')
    .filter((name) => headers.has(`linux-headers-${name}`))
    .sort(new Intl.Collator('en', { numeric: true }).compare)
  const newest = releases.at(-1)
  if (newest === undefined) throw new Error(`the Debian archive has no cloud kernel ${version} with headers`)
  return newest
}

/**
 * A kernel, downloaded and made ready the first time. Which release it is stays the same until .cache is deleted.
 * @param {KernelVersion} version
 * @returns {Promise<Kernel>}
 */
export async function kernel (version) {
  if (TABLE[version] === undefined) throw new RangeError(`kernel: expected one of ${kernelVersions.join(', ')}, got ${version}`)
  const pin = join(directory, `kernel-${version}`)
  let release = await readFile(pin, 'utf8').catch(() => '')
  if (release === '') {
    release = await withLock(`kernel-${version}`, async () => {
      const meanwhile = await readFile(pin, 'utf8').catch(() => '')
      if (meanwhile !== '') return meanwhile
      const newest = await newestRelease(version)
      await makeAtomically(pin, (temporary) => writeFile(temporary, newest))
      return newest
    })
  }
  const root = join(directory, `linux-${release}`)
  const modules = join(root, 'lib', 'modules', release)
  if (!await exists(join(modules, 'modules.dep'))) {
    await requireTools(['kmod', 'xz-utils', 'zstd', 'gzip'])
    await downloadPackages([`linux-image-${release}`], root, { finish: (temporary) => prepareKernel(temporary, release) })
  }
  const elf = join(root, 'boot', 'vmlinux')
  return { version, release, root, modules, image: await exists(elf) ? elf : join(root, 'boot', `vmlinuz-${release}`) }
}

/** @param {string} root @param {string} release */
async function prepareKernel (root, release) {
  const modules = join(root, 'lib', 'modules', release)
  const { stdout } = await run('find', [modules, '-name', '*.ko.xz'])
  if (stdout !== '') await runOrThrow('xargs', ['-P2', '-n64', 'xz', '--decompress'], { input: stdout })
  await runOrThrow('depmod', ['-b', root, release])
  await rm(join(root, 'usr'), { recursive: true, force: true })
  const image = join(root, 'boot', `vmlinuz-${release}`)
  const elf = await decompressKernel(image)
  if (elf !== null) await writeFile(join(root, 'boot', 'vmlinux'), elf)
}

/**
 * Takes the ELF kernel out of a bzImage, as the kernel's own scripts/extract-vmlinux does: it boots through the PVH
 * entry, and the guest need not decompress it under emulation. (6.1 is LZ4, quick enough to leave to the guest.)
 * @param {string} image
 */
async function decompressKernel (image) {
  const bytes = await readFile(image)
  // Documentation/arch/x86/boot.rst: setup_sects, payload_offset and payload_length.
  const start = ((bytes[0x1f1] || 4) + 1) * 512 + bytes.readUInt32LE(0x248)
  const payload = bytes.subarray(start, start + bytes.readUInt32LE(0x24c))
  const magic = payload.readUInt32BE(0)
  const command = magic === 0xfd377a58 ? 'xz' : magic === 0x28b52ffd ? 'zstd' : magic >>> 16 === 0x1f8b ? 'gzip' : null
  if (command === null) return null
  const child = spawn(command, ['-dc'], { stdio: ['pipe', 'pipe', 'ignore'] })
  child.stdin.on('error', () => {})
  child.stdin.end(payload)
  /** @type {Buffer[]} */
  const chunks = []
  for await (const chunk of child.stdout) chunks.push(chunk)
  const elf = Buffer.concat(chunks)
  return elf.length > payload.length && elf.readUInt32BE(0) === 0x7f454c46 ? elf : null
}

/**
 * The headers that belong to `kernel(version)`, and the compiler for them.
 * @param {KernelVersion} version
 * @returns {Promise<KernelHeaders>}
 */
export async function kernelHeaders (version) {
  let { release } = await kernel(version)
  let root = join(directory, `linux-headers-${release}`)
  const compilerFile = join(root, 'compiler')
  if (!await exists(compilerFile)) {
    let fields = await packageFields(`linux-headers-${release}`)
    if (fields === null) {
      // The archive has moved on: only a newer kernel has headers.
      await rm(join(directory, `kernel-${version}`), { force: true })
      release = (await kernel(version)).release
      root = join(directory, `linux-headers-${release}`)
      fields = await packageFields(`linux-headers-${release}`)
    }
    const depends = fields?.get('Depends') ?? ''
    const parts = [...depends.matchAll(/\blinux-(?:headers|kbuild)-[\w.+-]+/g)].map(([name]) => name)
    const compiler = /\bgcc-\d+/.exec(depends)?.[0] ?? 'gcc'
    await downloadPackages([`linux-headers-${release}`, ...parts], root, {
      finish: async (temporary) => {
        await relocateHeaders(temporary, release)
        await writeFile(join(temporary, 'compiler'), compiler)
      },
    })
  }
  const compiler = await readFile(join(root, 'compiler'), 'utf8')
  await requireTools(['make', compiler])
  return { version, release, directory: join(root, 'usr', 'src', `linux-headers-${release}`), compiler }
}

/**
 * The headers expect to live in /usr/src: their Makefile names the common part by an absolute path.
 * @param {string} root
 * @param {string} release
 */
async function relocateHeaders (root, release) {
  const sources = join(root, 'usr', 'src')
  for (const name of await readdir(sources)) {
    const makefile = join(sources, name, 'Makefile')
    if (name !== `linux-headers-${release}`) continue
    // Its type information, for which the build would ask for pahole; modules load without.
    await rm(join(sources, name, 'vmlinux'), { force: true })
    const text = await readFile(makefile, 'utf8')
    await writeFile(makefile, text.replace(/^include \/usr\/src\/(\S+)\/Makefile$/m, 'include $(dir $(realpath $(lastword $(MAKEFILE_LIST))))../$1/Makefile'))
  }
}
