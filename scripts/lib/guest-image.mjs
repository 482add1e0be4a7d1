// SPDX-License-Identifier: MIT
/**
 * What a guest boots from. Three read-only ext4 images, which the guest lays over one another under a tmpfs, and an
 * initramfs that does it:
 *   base     node, tools and their libraries, node_modules that tests need    made again when one of these changed
 *   modules  lib/modules of one kernel                                         made once for each kernel
 *   project  package.json, dist/, build/Release/*.node, the plan of this run   made for every run
 * The first two and the initramfs stay in .cache/guest. A guest reads from them only what it uses.
 */
import { createHash, randomBytes } from 'node:crypto'
import { copyFile, lstat, mkdir, readFile, readdir, readlink, realpath, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheRoot, changedAt, exists, makeAtomically, projectRoot, run, runOrThrow, toolPath, withLock } from './debian-packages.mjs'
import { putTapInOneFile } from './guest-tap.mjs'

/** Where the project is in the guest. */
export const GUEST_ROOT = '/nfkit'

/** Debian packages that the images are made with and made from. */
export const IMAGE_PACKAGES = [
  'busybox-static', 'e2fsprogs', 'kmod', 'iproute2', 'iptables', 'bridge-utils', 'tcpdump', 'iputils-ping', 'util-linux', 'bash', 'netbase', 'libc-bin',
]

/** Commands of this machine that a guest must have, and those it gets when they are here. The rest is busybox. */
const COMMANDS = ['bash', 'dash', 'ip', 'bridge', 'tc', 'ss', 'nsenter', 'unshare', 'setpriv', 'flock', 'kmod', 'tcpdump', 'ping', 'brctl', 'xtables-legacy-multi', 'xtables-nft-multi']
const OPTIONAL_COMMANDS = ['ethtool', 'nft', 'ebtables-legacy', 'conntrack', 'arping', 'strace', 'ipset', 'ldd', 'ps', 'pgrep', 'pkill']

/** Files that those read. */
const FILES = ['/etc/protocols', '/etc/services', '/etc/ethertypes', '/etc/nsswitch.conf', '/etc/iproute2', '/usr/share/iproute2', '/usr/lib/locale/C.utf8', '/etc/gai.conf', '/usr/lib/tc']

/** Dependencies to leave out although something declares them: tools of the test runner that a single test never loads. */
const NOT_NEEDED = new Set(['typescript', 'tshy', '@typescript/native-preview', '@types/node', '@types/istanbul-lib-coverage', '@tapjs/run', '@tapjs/reporter', 'pacote', 'c8', 'node-gyp'])

/** What compiled tests import, beside the package's own dependencies. */
const TEST_DEPENDENCIES = ['tap', 'fast-check']

/** Modules that the guest's initramfs loads to find its disks, to put them together and to answer. */
const BOOT_MODULES = ['virtio_pci', 'virtio_blk', 'virtio_console', 'ext4', 'overlay']

const imageDirectory = join(cacheRoot, 'guest')

/** @param {...string} parts */
const hashOf = (...parts) => createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 16)

/** @param {string} path */
const identity = async (path) => stat(path).then(({ size, mtimeMs, ino }) => `${path} ${size} ${mtimeMs} ${ino}`, () => `${path} -`)

/** The content of scripts that an image is made by or holds: a change there makes a new one. @param {string[]} names */
async function scripts (...names) {
  const files = names.map((name) => fileURLToPath(new URL(name, import.meta.url)))
  return (await Promise.all(files.map((file) => readFile(file, 'utf8')))).join('\0')
}

/**
 * An image by the name of its content, made if it is not there; older ones of its kind go after a while.
 * @param {string} kind
 * @param {string} key
 * @param {(temporary: string) => Promise<void>} make
 */
async function cached (kind, key, make) {
  const image = join(imageDirectory, `${kind}-${key}`)
  if (!await exists(image)) {
    await withLock(`guest-${kind}`, async () => {
      if (await exists(image)) return
      await makeAtomically(image, make)
      await prune(kind, image)
    })
  }
  await utimes(image, new Date(), new Date())
  return image
}

/** @param {string} kind @param {string} current */
async function prune (kind, current) {
  const others = (await readdir(imageDirectory)).filter((name) => name.startsWith(`${kind}-`)).map((name) => join(imageDirectory, name)).filter((path) => path !== current)
  const used = await Promise.all(others.map(async (path) => ({ path, at: await changedAt(path) })))
  // Two others stay, for other node binaries or another branch; so does what somebody may be about to open.
  for (const { path, at } of used.sort((a, b) => b.at - a.at).slice(2)) {
    if (at < Date.now() - 600_000) await rm(path, { recursive: true, force: true })
  }
}

/** Where the project image of a run of this process goes. */
export function runImage () {
  return join(imageDirectory, `run-${process.pid}-${randomBytes(4).toString('hex')}`)
}

/** What runs left behind whose process was killed. */
async function pruneRuns () {
  await mkdir(imageDirectory, { recursive: true })
  for (const name of await readdir(imageDirectory)) {
    const pid = /^run-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !await exists(`/proc/${pid}`)) await rm(join(imageDirectory, name), { recursive: true, force: true })
  }
}

// ------------------------------------------------------------------------------------------------------------ ext4

/**
 * Makes an ext4 image out of a directory. No journal and no checksums: it is only ever read.
 * @param {string} directory
 * @param {string} image
 */
async function makeExt4 (directory, image) {
  let blocks = 0
  let inodes = 16
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    inodes++
    blocks += entry.isFile() ? Math.ceil((await stat(join(entry.parentPath ?? entry.path, entry.name))).size / 4096) : 1
  }
  const total = Math.ceil((blocks + inodes / 16) * 1.03) + 2048
  await runOrThrow('mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '4096', '-m', '0', '-N', String(inodes + 64), '-I', '256',
    '-O', '^has_journal,^metadata_csum,^resize_inode,^64bit', '-E', 'root_owner=0:0', '-d', directory, image, String(total)])
}

/**
 * @param {string} target
 * @param {(stage: string) => Promise<void>} fill
 */
async function makeImage (target, fill) {
  const stage = `${target}.stage`
  try {
    await mkdir(stage, { recursive: true })
    await fill(stage)
    await makeExt4(stage, target)
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}

// ------------------------------------------------------------------------------------------------------------ base

/** @param {string} name */
async function findCommand (name) {
  for (const directory of toolPath().split(':')) {
    // Only what the system brought: a shim of some version manager would not work elsewhere.
    if (/^\/(usr\/(local\/)?)?s?bin$/.test(directory) && await exists(join(directory, name))) return join(directory, name)
  }
  return null
}

/** @param {string} path  with the merged /usr of the guest */
const merged = (path) => path.replace(/^\/(bin|sbin|lib|lib64)\//, '/usr/$1/')

/**
 * The shared libraries that programs and plug-ins need, as paths in the guest with the files of this machine.
 * @param {string[]} binaries
 */
async function libraries (binaries) {
  const found = new Map()
  for (const binary of binaries) {
    const { stdout } = await run('ldd', [binary])
    for (const match of stdout.matchAll(/^\s+(?:(\S+) => )?(\/\S+) \(0x/gm)) {
      const [, soname = '', path = ''] = match
      const inGuest = /^\/(usr\/)?lib/.test(path) ? merged(path) : `/usr/lib/x86_64-linux-gnu/${soname}`
      found.set(inGuest, path)
    }
  }
  return found
}

/** Where node_modules/`name` is for a package in `from`. @param {string} from @param {string} name */
async function resolvePackage (from, name) {
  for (let directory = from; ; directory = dirname(directory)) {
    const candidate = join(directory, 'node_modules', name)
    if (await exists(join(candidate, 'package.json'))) return candidate
    if (directory === projectRoot || directory === dirname(directory)) return null
  }
}

/** Every package that compiled tests may load: dependencies of dependencies, by their package.json. */
async function packageClosure () {
  const own = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8'))
  /** @type {Map<string, string>} */
  const seen = new Map()
  /** @param {string} from @param {string[]} names */
  const walk = async (from, names) => {
    for (const name of names) {
      const directory = NOT_NEEDED.has(name) ? null : await resolvePackage(from, name)
      if (directory === null || seen.has(directory)) continue
      const text = await readFile(join(directory, 'package.json'), 'utf8')
      seen.set(directory, text)
      const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(text)
      await walk(directory, Object.keys({ ...peerDependencies, ...optionalDependencies, ...dependencies }))
    }
  }
  await walk(projectRoot, [...Object.keys(own.dependencies ?? {}), ...TEST_DEPENDENCIES])
  return seen
}

/**
 * Copies a package without the packages inside it and without what only compilers and people read.
 * @param {string} source
 * @param {string} target
 */
async function copyPackage (source, target) {
  await mkdir(target, { recursive: true })
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const from = join(source, entry.name)
    const to = join(target, entry.name)
    if (entry.isDirectory()) {
      if (entry.name !== 'node_modules' && !entry.name.startsWith('.')) await copyPackage(from, to)
    } else if (entry.isSymbolicLink()) {
      await symlink(await readlink(from), to)
    } else if (!/\.(d\.[cm]?ts|map|md|markdown|tsx?|flow)$/i.test(entry.name)) {
      await copyFile(from, to)
    }
  }
}

/** @param {string} stage @param {string} guestPath @param {string} source */
async function place (stage, guestPath, source) {
  const target = join(stage, guestPath)
  await mkdir(dirname(target), { recursive: true })
  await runOrThrow('cp', ['-RL', '--preserve=mode,timestamps', '-T', source, target])
}

/**
 * The base image for one node binary.
 * @param {{ node: string, log: (text: string) => void }} options
 */
export async function baseImage ({ node, log }) {
  const packages = await packageClosure()
  /** @type {Map<string, string>} */
  const commands = new Map()
  for (const name of [...COMMANDS, ...OPTIONAL_COMMANDS]) {
    const path = await findCommand(name)
    if (path !== null) commands.set(name, path)
    else if (COMMANDS.includes(name)) throw new Error(`the guest needs the command ${name}, which this machine does not have`)
  }
  const busybox = /** @type {string} */ (await findCommand('busybox'))
  const plugins = '/usr/lib/x86_64-linux-gnu/xtables'
  const key = hashOf(await scripts('guest-image.mjs', 'guest-tap.mjs'), ...packages.keys(), ...packages.values(), ...await Promise.all([
    node, busybox, plugins, '/etc/ld.so.cache', join(projectRoot, 'node_modules', '.package-lock.json'), ...commands.values()].map(identity)))

  return cached('base', key, (target) => makeImage(target, async (stage) => {
    log('making the guest\'s base image')
    for (const directory of ['usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64', 'etc', 'dev', 'proc', 'sys', 'run', 'tmp', 'root', 'var', 'mnt', GUEST_ROOT.slice(1)]) {
      await mkdir(join(stage, directory), { recursive: true })
    }
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) await symlink(`usr/${name}`, join(stage, name))
    await symlink('/run', join(stage, 'var/run'))
    await symlink('/tmp', join(stage, 'var/tmp'))

    await place(stage, '/usr/bin/node', await realpath(node))
    await place(stage, '/usr/bin/busybox', busybox)
    for (const path of commands.values()) await place(stage, merged(path).replace('/usr/local/', '/usr/'), path)
    for (const path of FILES) if (await exists(path)) await place(stage, merged(path), path)
    if (await exists(plugins)) await place(stage, plugins, plugins)
    const binaries = [await realpath(node), ...commands.values(), ...(await readdir(plugins).catch(() => [])).map((name) => join(plugins, name))]
    for (const [inGuest, path] of await libraries(binaries)) {
      if (!await exists(join(stage, inGuest))) await place(stage, inGuest, path)
    }

    // The many names of programs that do one thing or another by the name they are called.
    const link = async (/** @type {string} */ target, /** @type {string} */ path) => {
      if (!await lstat(join(stage, path)).then(() => true, () => false)) await symlink(target, join(stage, path))
    }
    await link('dash', 'usr/bin/sh')
    for (const name of ['modprobe', 'insmod', 'rmmod', 'lsmod', 'modinfo', 'depmod']) await link('/usr/bin/kmod', `usr/sbin/${name}`)
    for (const family of ['iptables', 'ip6tables']) {
      for (const suffix of ['', '-save', '-restore']) {
        await link('xtables-legacy-multi', `usr/sbin/${family}-legacy${suffix}`)
        await link('xtables-nft-multi', `usr/sbin/${family}-nft${suffix}`)
        await link(`${family}-legacy${suffix}`, `usr/sbin/${family}${suffix}`)
      }
      await link('xtables-nft-multi', `usr/sbin/${family}-translate`)
    }
    for (const suffix of ['', '-save', '-restore']) {
      await link('xtables-nft-multi', `usr/sbin/ebtables-nft${suffix}`)
      await link(`ebtables-nft${suffix}`, `usr/sbin/ebtables${suffix}`)
      await link('xtables-nft-multi', `usr/sbin/arptables-nft${suffix}`)
    }
    const applets = (await runOrThrow(busybox, ['--list'])).split('\n').filter((name) => name !== '')
    const taken = new Set([...await readdir(join(stage, 'usr/bin')), ...await readdir(join(stage, 'usr/sbin'))])
    for (const name of applets) if (!taken.has(name)) await symlink('busybox', join(stage, 'usr/bin', name))

    await writeFile(join(stage, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\ntest:x:1000:1000:test:/tmp:/bin/sh\ntcpdump:x:100:100::/nonexistent:/bin/false\n')
    await writeFile(join(stage, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\ntest:x:1000:\ntcpdump:x:100:\n')
    await writeFile(join(stage, 'etc/hosts'), '127.0.0.1 localhost\n::1 localhost\n')
    await writeFile(join(stage, 'etc/hostname'), 'nfkit\n')

    for (const directory of packages.keys()) await copyPackage(directory, join(stage, GUEST_ROOT, relative(projectRoot, directory)))
    await putTapInOneFile(join(projectRoot, 'node_modules'), join(stage, GUEST_ROOT, 'node_modules'), node)
  }))
}

// --------------------------------------------------------------------------------------------------------- modules

/** @typedef {import('./kernels.mjs').Kernel} Kernel */

/** @param {Kernel} kernel */
const kernelIdentity = (kernel) => identity(join(kernel.modules, 'modules.dep'))

/**
 * The image with a kernel's modules.
 * @param {Kernel} kernel
 * @param {(text: string) => void} log
 */
export async function modulesImage (kernel, log) {
  return cached(`modules-${kernel.version}`, hashOf(await kernelIdentity(kernel)), (target) => makeImage(target, async (stage) => {
    log(`making the guest's image of modules for ${kernel.release}`)
    await place(stage, `/usr/lib/modules/${kernel.release}`, kernel.modules)
  }))
}

/**
 * Files of modules with all that they need, in the order in which to load them.
 * @param {Kernel} kernel
 * @param {readonly string[]} names
 */
async function moduleFiles (kernel, names) {
  const plain = (/** @type {string} */ path) => basename(path).replace(/\.ko$/, '').replaceAll('-', '_')
  const dependencies = new Map()
  for (const line of (await readFile(join(kernel.modules, 'modules.dep'), 'utf8')).split('\n')) {
    const [file, rest] = line.split(':')
    if (file !== undefined && rest !== undefined) dependencies.set(plain(file), [...rest.trim().split(' ').filter((path) => path !== '').reverse(), file])
  }
  const files = new Set(names.flatMap((name) => dependencies.get(name) ?? []))
  return [...files].map((path) => join(kernel.modules, /** @type {string} */ (path)))
}

// ------------------------------------------------------------------------------------------------------- initramfs

/**
 * An archive in the "newc" format of cpio: Documentation/driver-api/early-userspace/buffer-format.rst.
 * @param {readonly { name: string, mode: number, data: Buffer }[]} entries
 */
function cpio (entries) {
  /** @type {Buffer[]} */
  const chunks = []
  const pad = (/** @type {number} */ length) => Buffer.alloc((4 - length % 4) % 4)
  let inode = 1
  for (const { name, mode, data } of [...entries, { name: 'TRAILER!!!', mode: 0, data: Buffer.alloc(0) }]) {
    const fields = [inode++, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length + 1, 0]
    const header = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`)
    chunks.push(header, pad(header.length), data, pad(data.length))
  }
  return Buffer.concat(chunks)
}

/**
 * The initramfs for a kernel.
 * @param {Kernel} kernel
 */
export async function initramfs (kernel) {
  return cached(`initramfs-${kernel.version}`, hashOf(await kernelIdentity(kernel), await scripts('guest-image.mjs', 'guest-init.sh')), async (target) => {
    const none = Buffer.alloc(0)
    const modules = await moduleFiles(kernel, BOOT_MODULES)
    const busybox = /** @type {string} */ (await findCommand('busybox'))
    const script = fileURLToPath(new URL('guest-init.sh', import.meta.url))
    await writeFile(target, cpio([
      ...['bin', 'dev', 'proc', 'sys', 'modules', 'm', 'm/base', 'm/modules', 'm/project', 'm/writes', 'root'].map((name) => ({ name, mode: 0o40755, data: none })),
      { name: 'bin/busybox', mode: 0o100755, data: await readFile(busybox) },
      { name: 'init', mode: 0o100755, data: await readFile(script) },
      { name: 'modules/order', mode: 0o100644, data: Buffer.from(modules.map((file) => `${basename(file)}\n`).join('')) },
      ...await Promise.all(modules.map(async (file) => ({ name: `modules/${basename(file)}`, mode: 0o100644, data: await readFile(file) }))),
    ]))
  })
}

// --------------------------------------------------------------------------------------------------------- project

/**
 * The image that changes with every run: the compiled project and what to do with it.
 * @param {string} target
 * @param {{ plan: string, include: readonly string[], extra: Readonly<Record<string, string>> }} options
 *   `include`: paths below the project's root beside dist/ and the addon; `extra`: path in the guest → path here
 */
export async function projectImage (target, { plan, include, extra }) {
  await pruneRuns()
  await makeImage(target, async (stage) => {
    const root = join(stage, GUEST_ROOT)
    for (const name of ['package.json', 'dist', ...include]) {
      if (await exists(join(projectRoot, name))) await place(root, name, join(projectRoot, name))
    }
    const addons = join('build', 'Release')
    for (const name of await readdir(join(projectRoot, addons)).catch(() => [])) {
      if (name.endsWith('.node')) await place(root, join(addons, name), join(projectRoot, addons, name))
    }
    for (const [inGuest, path] of Object.entries(extra)) await place(stage, merged(inGuest), path)
    await place(stage, '/.nfkit/run', fileURLToPath(new URL('guest-run.sh', import.meta.url)))
    await writeFile(join(stage, '.nfkit/plan'), plan)
  })
}

/**
 * Where a file of this machine is in the guest: below GUEST_ROOT if it belongs to the project, else by itself in a
 * directory from which the project's node_modules are found.
 * @param {string} path
 * @param {number} index
 * @returns {{ inGuest: string, isExtra: boolean }}
 */
export function guestPath (path, index) {
  const below = relative(projectRoot, path)
  if (!below.startsWith(`..${sep}`)) return { inGuest: join(GUEST_ROOT, below), isExtra: false }
  return { inGuest: join(GUEST_ROOT, '.outside', String(index), basename(path)), isExtra: true }
}
