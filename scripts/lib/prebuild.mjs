// SPDX-License-Identifier: MIT
/**
 * Addons built ahead for the package, by prebuildify, one for each platform: prebuilds/linux-<arch>/nfkit.<libc>.node.
 * Built in a copy of the sources under .cache, so that build/ stays as it is.
 */
import { cp, mkdir, readFile, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { addonFingerprint, ensureCompiler } from './addon.mjs'
import { cacheRoot, ensureTools, exists, projectRoot, runOrThrow, withLock } from './debian-packages.mjs'
import { isStamped, writeStamp } from './fingerprint.mjs'
import { nodeDirectory, otherNodeDirectory } from './node-headers.mjs'

/**
 * @typedef {object} Platform
 * @property {'x64' | 'arm64'} arch
 * @property {string} triplet
 * @property {readonly string[]} packages  what builds for it on another machine
 */

/**
 * glibc only: for musl there is no C++ library among Debian's packages to build with.
 * @type {Record<string, Platform>}
 */
export const PLATFORMS = {
  'linux-x64': { arch: 'x64', triplet: 'x86_64-linux-gnu', packages: ['g++-x86-64-linux-gnu'] },
  'linux-arm64': { arch: 'arm64', triplet: 'aarch64-linux-gnu', packages: ['g++-aarch64-linux-gnu'] },
}

/**
 * What the releases of Node.js 20 and later are made for (its BUILDING.md: RHEL 8, glibc 2.28 and the C++ library of GCC 8):
 * an addon that asks for more fails on systems where they still run.
 */
const FLOOR = { GLIBC: '2.28', GLIBCXX: '3.4.25', CXXABI: '1.3.11' }

/** The platform of this machine. */
export const nativePlatform = `linux-${process.arch}`

/** @param {string} platform */
export const prebuildPath = (platform) => join(projectRoot, 'prebuilds', platform, 'nfkit.glibc.node')

/** @param {string} platform */
const stampPath = (platform) => join(cacheRoot, 'prebuild', `${platform}.fingerprint`)

/**
 * Whether a prebuild is there and is what the sources say.
 * @param {string} platform
 * @returns {Promise<'current' | 'stale' | 'missing'>}
 */
export async function prebuildState (platform) {
  if (!await exists(prebuildPath(platform))) return 'missing'
  return await isStamped(stampPath(platform), await addonFingerprint()) ? 'current' : 'stale'
}

/**
 * @param {string} platform
 * @param {(text: string) => void} log
 */
export async function ensurePrebuild (platform, log) {
  const target = PLATFORMS[platform]
  if (target === undefined) throw new RangeError(`platform: expected one of ${Object.keys(PLATFORMS).join(', ')}, got ${platform}`)
  if (await prebuildState(platform) === 'current') return
  await withLock('prebuild', () => build(platform, target, log))
}

/**
 * @param {string} platform
 * @param {Platform} target
 * @param {(text: string) => void} log
 */
async function build (platform, { arch, triplet, packages }, log) {
  if (await prebuildState(platform) === 'current') return
  await ensureCompiler(log)
  const crossing = arch !== process.arch
  if (crossing) {
    const { missing, command } = await ensureTools(packages, { log })
    if (missing.length > 0) throw new Error(`building for ${platform} needs ${missing.join(', ')}. To install: ${command}`)
  }
  const headers = await nodeDirectory() ?? (await otherNodeDirectory(log)).directory
  log(`building the addon for ${platform}`)

  const fingerprint = await addonFingerprint()
  const work = join(cacheRoot, 'prebuild', platform)
  await rm(work, { recursive: true, force: true })
  await mkdir(work, { recursive: true })
  for (const name of ['binding.gyp', 'src', 'package.json']) await cp(join(projectRoot, name), join(work, name), { recursive: true })
  await symlink(join(projectRoot, 'node_modules'), join(work, 'node_modules'))
  const bin = join(projectRoot, 'node_modules')
  await runOrThrow(process.execPath, [
    join(bin, 'prebuildify', 'bin.js'), '--napi', '--strip', '--tag-libc', `--arch=${arch}`, `--cwd=${work}`, `--out=${work}`,
  ], {
    env: {
      PREBUILD_NODE_GYP: join(bin, 'node-gyp', 'bin', 'node-gyp.js'),
      PREBUILD_LIBC: 'glibc',
      ...(headers === null ? {} : { npm_config_nodedir: headers }),
      ...(crossing ? { CC: `${triplet}-gcc`, CXX: `${triplet}-g++`, PREBUILD_STRIP_BIN: `${triplet}-strip` } : {}),
    },
  })
  await mkdir(join(projectRoot, 'prebuilds', platform), { recursive: true })
  await cp(join(work, 'prebuilds', platform, 'nfkit.glibc.node'), prebuildPath(platform))
  await writeStamp(stampPath(platform), fingerprint)
}

/**
 * What a built addon asks of the system: the newest version of each library's symbols.
 * @param {string} platform
 * @returns {Promise<{ needs: Record<string, string>, tooNew: string[] }>}
 */
export async function floorOf (platform) {
  const { triplet, arch } = /** @type {Platform} */ (PLATFORMS[platform])
  const objdump = arch === process.arch ? 'objdump' : `${triplet}-objdump`
  const symbols = await runOrThrow(objdump, ['-T', prebuildPath(platform)])
  const numeric = new Intl.Collator('en', { numeric: true }).compare
  /** @type {Record<string, string>} */
  const needs = {}
  const tooNew = []
  for (const [line, library = '', version = ''] of symbols.matchAll(/^.*\((GLIBC|GLIBCXX|CXXABI)_([\d.]+)\).*$/gm)) {
    if (needs[library] === undefined || numeric(version, needs[library]) > 0) needs[library] = version
    if (numeric(version, FLOOR[/** @type {keyof typeof FLOOR} */ (library)]) > 0) tooNew.push(`${line.split(' ').at(-1)} (${library} ${version})`)
  }
  return { needs, tooNew }
}

/** What file(1) would say: the machine of an ELF file (e_machine). @param {string} path */
export async function elfMachine (path) {
  const bytes = await readFile(path)
  return { 62: 'x64', 183: 'arm64' }[bytes.readUInt16LE(18)] ?? `e_machine ${bytes.readUInt16LE(18)}`
}
