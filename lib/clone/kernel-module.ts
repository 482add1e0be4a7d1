// SPDX-License-Identifier: MIT
// The bundled kernel module: whether it is there, what keeps it from being built or loaded, and doing so.

import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Errno } from '../errno.js'
import { invalidArgument, NfkitError } from '../errors.js'
import { checkKeys } from '../net/check.js'
import type { NetnsLike } from '../netns.js'
import type { ModuleInfo } from '../wire/module/device.js'
import { withDevice } from './device.js'
import { buildObstacles, buildRoot, compileModule, planBuild } from './module-build.js'
import { type ModuleFileInfo, readModuleFile } from './module-file.js'
import {
  findProgram, installedModule, kernelRelease, loadedModule, loadingObstacles, type ModuleObstacle, readText, signatureDemand, signatureObstacle,
} from './running-kernel.js'

export type { ModuleFeature, ModuleInfo } from '../wire/module/device.js'
export type { ModuleFileInfo } from './module-file.js'
export type { ModuleObstacle } from './running-kernel.js'

/** The module's name for the kernel. */
export const MODULE_NAME = 'nfkit'

/** A file that `load` could take. */
export interface ModuleCandidate extends ModuleFileInfo {
  /** Where it comes from: `make install` or DKMS, or `build`. */
  origin: 'installed' | 'built'
}

/** What there is of the module, and what is in the way. */
export interface ModuleStatus {
  /** The module's name for the kernel. */
  name: string
  /** The running kernel, `uname -r`. */
  kernel: string
  /** Whether it is loaded now. */
  loaded: boolean
  /** Of the loaded module. */
  version?: string
  /** How many hold the loaded module: rules with CLONE and open descriptors of /dev/nfkit, of all network namespaces. */
  references?: number
  /** What `load` would take. */
  file?: ModuleCandidate
  /** Directory of the kernel's headers. */
  headers?: string
  /** What keeps `build` from working; empty if nothing is known that does. */
  buildObstacles: ModuleObstacle[]
  /** What keeps `load` from working; empty if nothing is known that does, and when the module is loaded. */
  loadObstacles: ModuleObstacle[]
}

/** What `build` takes. */
export interface BuildOptions {
  /** Directory of kernel headers, `/lib/modules/RELEASE/build` of the running kernel unless told. */
  headers?: string | undefined
  /**
   * Where to build: a directory that is not there yet, is empty, or has an earlier build, which this one replaces. Unless told,
   * `/var/cache/nfkit/module/RELEASE` for root, else `$XDG_CACHE_HOME/nfkit/module/RELEASE`: where `load` looks.
   */
  directory?: string | undefined
  /** Ends the compiler; `build` rejects with the reason. */
  signal?: AbortSignal | undefined
}

/** What `load` takes. */
export interface LoadOptions {
  /** A `.ko` file. Unless told, the one that was built for the running kernel, else the one that is installed. */
  file?: string | undefined
}

/**
 * What there is of the module and what is in the way of building and loading it. Reads /proc, /sys and /lib/modules; needs no
 * privilege.
 */
export function status(): ModuleStatus {
  const kernel = kernelRelease()
  const loaded = loadedModule(MODULE_NAME)
  const plan = planBuild()
  const file = candidate(kernel)
  const version = readText('/sys/module', `${MODULE_NAME}/version`)
  return {
    name: MODULE_NAME,
    kernel,
    loaded: loaded !== undefined,
    ...(loaded === undefined || version === undefined ? {} : { version }),
    ...(loaded === undefined ? {} : { references: loaded.references }),
    ...(file === undefined ? {} : { file }),
    ...(plan.headers === undefined ? {} : { headers: plan.headers }),
    buildObstacles: buildObstacles(plan),
    loadObstacles: loaded !== undefined ? [] : [...loadingObstacles(), ...fileObstacles(file, kernel)],
  }
}

/**
 * Builds the module from the sources in this package. Takes seconds; needs make, the compiler of the kernel, and its headers. What
 * was built before stays if it fails.
 * @throws TypeError; NfkitError NFKIT_KERNEL_HEADERS_MISSING, NFKIT_COMPILER_MISSING, NFKIT_MAKE_MISSING,
 *   NFKIT_MODULE_SOURCES_MISSING, each with the package to install as its hint; ENOTEMPTY for a directory that has something else in
 *   it; NFKIT_MODULE_BUILD_FAILED with the compiler's output as its cause
 */
export async function build(options: BuildOptions = {}): Promise<ModuleFileInfo> {
  checkKeys(options, ['headers', 'directory', 'signal'], 'options')
  for (const key of ['headers', 'directory'] as const) checkPath(options[key], key)
  const { signal } = options
  signal?.throwIfAborted()
  const plan = planBuild({ headers: options.headers })
  raise(buildObstacles(plan), 'building the kernel module')
  const path = await compileModule(plan, MODULE_NAME, options.directory ?? join(buildRoot(), plan.kernel), signal)
  const info = readModuleFile(path)
  if (info === undefined) throw new NfkitError('NFKIT_MODULE_BUILD_FAILED', `building the module for ${plan.kernel}: ${path} is not a module`)
  return info
}

/**
 * Loads the module and what it needs. Needs CAP_SYS_MODULE in the initial user namespace, and modprobe and insmod (kmod).
 * @throws TypeError; NfkitError EEXIST when it is loaded; NFKIT_NO_LOADABLE_MODULES, NFKIT_MODULES_DISABLED, EPERM,
 *   NFKIT_MODULE_NOT_BUILT, NFKIT_MODULE_OTHER_KERNEL, NFKIT_MODULE_UNSIGNED; otherwise what the kernel answered: ENOEXEC for
 *   another kernel's module, EKEYREJECTED for a key that it does not trust, ENOENT for symbols that it lacks
 */
export async function load(options: LoadOptions = {}): Promise<ModuleStatus> {
  checkKeys(options, ['file'], 'options')
  checkPath(options.file, 'file')
  const kernel = kernelRelease()
  if (loadedModule(MODULE_NAME) !== undefined) {
    throw new NfkitError('EEXIST', `the kernel module ${MODULE_NAME} is loaded already`, { errno: Errno.EEXIST, syscall: 'finit_module' })
  }
  raise(loadingObstacles(), 'loading the kernel module')
  const file = options.file === undefined ? candidate(kernel) : given(options.file)
  raise(fileObstacles(file, kernel), 'loading the kernel module')
  if (file!.origin === 'installed') {
    await tool('modprobe', [MODULE_NAME], 'finit_module', `loading ${file!.path}`)
  } else {
    // insmod takes a file from anywhere but does not look after what it needs.
    if (file!.depends.length > 0) await tool('modprobe', ['--all', ...file!.depends], 'finit_module', `loading what ${file!.path} needs`)
    await tool('insmod', [file!.path], 'finit_module', `loading ${file!.path}`)
  }
  return status()
}

/**
 * Unloads the module. Needs CAP_SYS_MODULE in the initial user namespace. Rules hold the module, and so do programs with clone targets,
 * hooks and captures: it goes only after the last one, of all network namespaces. Persistent clone targets and hooks go with it.
 * @throws NfkitError ENOENT when it is not loaded, EBUSY while rules and programs hold it, NFKIT_NO_LOADABLE_MODULES, NFKIT_MODULES_DISABLED, EPERM
 */
export async function unload(): Promise<ModuleStatus> {
  raise(loadingObstacles(), 'unloading the kernel module')
  const loaded = loadedModule(MODULE_NAME)
  if (loaded === undefined) {
    throw new NfkitError('ENOENT', `the kernel module ${MODULE_NAME} is not loaded`, { errno: Errno.ENOENT, syscall: 'delete_module' })
  }
  if (loaded.references > 0) throw inUse(loaded.references)
  await tool('rmmod', [MODULE_NAME], 'delete_module', `unloading ${MODULE_NAME}`)
  return status()
}

/**
 * What the loaded module can do, and what programs have made with it in a network namespace, that of this process unless told. Needs CAP_NET_ADMIN
 * there and access to /dev/nfkit, which is root's.
 * @throws NfkitError NFKIT_MODULE_NOT_LOADED, EPERM, EACCES
 */
export function info(netns?: NetnsLike): ModuleInfo {
  return withDevice(netns, (device) => device.info())
}

/**
 * Throws unless the module is loaded, with what keeps it from being loaded, or how to load it.
 * @throws NfkitError NFKIT_MODULE_NOT_LOADED when nothing is in the way; else as {@link load}
 */
export function requireLoaded(doing = 'using the kernel module'): void {
  if (loadedModule(MODULE_NAME) !== undefined) return
  raise(status().loadObstacles, doing)
  throw new NfkitError('NFKIT_MODULE_NOT_LOADED', `${doing}: ${MODULE_NAME} is not loaded`, { hint: 'load it with KernelModule.load() or "nfkit module load"' })
}

function inUse(references: number, cause?: unknown): NfkitError {
  const what = references === 1 ? 'a rule or program holds' : `${references} rules and programs hold`
  return new NfkitError('EBUSY', `unloading ${MODULE_NAME}: ${what} it`, {
    errno: Errno.EBUSY, syscall: 'delete_module', ...(cause === undefined ? {} : { cause }),
    hint: 'first delete the rules with "-j CLONE" (iptables-save shows them) and end the programs that have clone targets, hooks and captures, in every network namespace',
  })
}

/** The file that was built for this kernel, else the installed one, else one that was built for another. */
function candidate(kernel: string): ModuleCandidate | undefined {
  const root = buildRoot()
  const own = readModuleFile(join(root, kernel, `${MODULE_NAME}.ko`))
  if (own !== undefined) return { ...own, origin: 'built' }
  const installed = installedModule(MODULE_NAME, kernel)
  if (installed !== undefined) {
    // A compressed one is not looked into: depmod and modprobe have seen to it.
    return { ...readModuleFile(installed) ?? { path: installed, kernel, depends: [], signed: true }, origin: 'installed' }
  }
  const others = existsSync(root) ? readdirSync(root).sort() : []
  for (const release of others.reverse()) {
    const other = readModuleFile(join(root, release, `${MODULE_NAME}.ko`))
    if (other !== undefined) return { ...other, origin: 'built' }
  }
  return undefined
}

function given(path: string): ModuleCandidate {
  const info = readModuleFile(path)
  if (info !== undefined) return { ...info, origin: 'built' }
  if (!existsSync(path)) throw new NfkitError('ENOENT', `loading ${path}: there is no such file`, { errno: Errno.ENOENT })
  throw new NfkitError('ENOEXEC', `loading ${path}: it is not a kernel module`, { errno: 8 })
}

function fileObstacles(file: ModuleCandidate | undefined, kernel: string): ModuleObstacle[] {
  if (file === undefined) {
    return [{
      code: 'NFKIT_MODULE_NOT_BUILT', message: `there is no module for kernel ${kernel}`,
      hint: `build it with KernelModule.build() or "nfkit module build", or install it by DKMS`,
    }]
  }
  if (file.kernel !== kernel) {
    return [{
      code: 'NFKIT_MODULE_OTHER_KERNEL', message: `${file.path} was built for kernel ${file.kernel}, and ${kernel} is running`,
      hint: 'build it again with KernelModule.build() or "nfkit module build"',
    }]
  }
  const demand = file.signed ? undefined : signatureDemand()
  return demand === undefined ? [] : [signatureObstacle(file.path, demand)]
}

/** Throws the first obstacle as an error. */
function raise([first]: readonly ModuleObstacle[], doing: string): void {
  if (first === undefined) return
  const errno = first.code === 'EPERM' ? { errno: Errno.EPERM } : {}
  throw new NfkitError(first.code, `${doing}: ${first.message}`, { ...errno, hint: first.hint })
}

function checkPath(value: unknown, name: string): void {
  if (value !== undefined && (typeof value !== 'string' || value === '' || value.includes('\0'))) throw invalidArgument(name, 'a path', value)
}

/** What the tools of kmod(8) and busybox say for an errno, since neither tells the number. */
const COMPLAINTS: readonly [pattern: RegExp, errno: number, hint?: string][] = [
  [/module is in use|resource temporarily unavailable/i, Errno.EAGAIN],
  [/operation not permitted/i, Errno.EPERM, 'CAP_SYS_MODULE is needed, and kernel lockdown must allow it'],
  [/file exists/i, Errno.EEXIST],
  [/invalid module format|exec format error/i, 8, 'the module was built for another kernel or another compiler: build it again; dmesg says more'],
  [/key was rejected/i, 129, 'the kernel does not trust the key of the signature: enrol it with mokutil --import'],
  [/required key not available/i, 126, 'the kernel takes only modules signed with a key that it trusts'],
  [/unknown symbol/i, Errno.ENOENT, 'the kernel lacks something that the module needs; dmesg says what'],
  [/not found in directory|no such file/i, Errno.ENOENT],
  [/device or resource busy/i, Errno.EBUSY],
  [/cannot allocate memory|out of memory/i, Errno.ENOMEM],
  [/invalid argument|invalid parameter/i, Errno.EINVAL, 'dmesg says more'],
]

function tool(name: string, args: readonly string[], syscall: string, doing: string): Promise<void> {
  const path = findProgram(name)
  if (path === undefined) {
    throw new NfkitError('NFKIT_MODULE_TOOLS_MISSING', `${doing}: ${name} is missing`, { hint: 'install the package kmod' })
  }
  return new Promise((resolve, reject) => {
    execFile(path, args, { env: { ...process.env, LC_ALL: 'C' } }, (error, _stdout, stderr) => {
      if (error === null) return resolve()
      const said = stderr.trim()
      const known = COMPLAINTS.find(([pattern]) => pattern.test(said))
      if (known === undefined) return reject(new NfkitError('NFKIT_MODULE_TOOL_FAILED', `${doing}: ${said || error.message}`, { syscall, cause: error }))
      const [, errno, hint] = known
      // The kernel answers EAGAIN to those who do not want to wait (kernel/module/main.c, try_stop_module).
      if (syscall === 'delete_module' && errno === Errno.EAGAIN) return reject(inUse(loadedModule(MODULE_NAME)?.references ?? 1, error))
      reject(NfkitError.fromErrno(errno, syscall, doing, { ...(hint === undefined ? {} : { hint }), cause: new Error(said) }))
    })
  })
}
