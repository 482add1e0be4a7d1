// SPDX-License-Identifier: MIT
// The running kernel as far as loading modules goes: read from /proc, /sys and /lib/modules.

import { accessSync, constants, existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** One condition that keeps the module from being built or loaded, and what to do about it. */
export interface ModuleObstacle {
  /** `EPERM`, `EEXIST`, or `NFKIT_...`: the code of the error that `build` or `load` would throw. */
  code: string
  /** What is in the way. */
  message: string
  /** What to do about it. */
  hint: string
}

/** A loaded module, from /proc/modules. */
export interface LoadedModule {
  name: string
  /** How many hold it: rules of every network namespace and modules that use it. */
  references: number
  /** Modules among those. */
  usedBy: string[]
  state: 'live' | 'loading' | 'unloading'
}

/** CAP_SYS_MODULE of capabilities(7). */
const CAP_SYS_MODULE = 16

/** The text of a small file below `root` without the white space around it; undefined if it cannot be read. */
export function readText(root: string, path: string): string | undefined {
  try {
    return readFileSync(join(root, path), 'utf8').trim()
  } catch {
    return undefined
  }
}

/** `uname -r`. */
export function kernelRelease(root = '/'): string {
  return readText(root, 'proc/sys/kernel/osrelease') ?? ''
}

/** A module that is loaded; undefined when it is not, or the kernel has no loadable modules. */
export function loadedModule(name: string, root = '/'): LoadedModule | undefined {
  for (const line of (readText(root, 'proc/modules') ?? '').split('\n')) {
    // proc_modules(5): name, size, references, users with a comma each or "-", state, address
    const [found, , references, users = '-', state = 'Live'] = line.split(' ')
    if (found !== name) continue
    return {
      name, references: Number(references), usedBy: users.split(',').filter((user) => user !== '' && user !== '-'),
      state: state === 'Live' ? 'live' : state === 'Loading' ? 'loading' : 'unloading',
    }
  }
  return undefined
}

/** What in the kernel or in this process's privileges keeps every module from being loaded. */
export function loadingObstacles(root = '/'): ModuleObstacle[] {
  const obstacles: ModuleObstacle[] = []
  if (!existsSync(join(root, 'proc/modules'))) {
    obstacles.push({
      code: 'NFKIT_NO_LOADABLE_MODULES',
      message: `this kernel (${kernelRelease(root)}) is built without loadable modules (CONFIG_MODULES)`,
      hint: 'boot a kernel of the distribution, or use a virtual machine with one',
    })
  } else if (readText(root, 'proc/sys/kernel/modules_disabled') === '1') {
    obstacles.push({
      code: 'NFKIT_MODULES_DISABLED',
      message: 'loading modules was switched off until the next boot (kernel.modules_disabled)',
      hint: 'reboot, and load the module before that sysctl is set',
    })
  }
  if (!hasModulePrivilege(root)) {
    obstacles.push({
      code: 'EPERM',
      message: 'loading and unloading modules needs CAP_SYS_MODULE in the initial user namespace',
      hint: 'run as root, outside of containers and "nfkit lab --"',
    })
  }
  return obstacles
}

/** The capability counts only in the first user namespace, which has all ids as they are. */
function hasModulePrivilege(root: string): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readText(root, 'proc/self/status') ?? '')?.[1] ?? '0'
  if ((BigInt(`0x${effective}`) >> BigInt(CAP_SYS_MODULE) & 1n) === 0n) return false
  const ids = readText(root, 'proc/self/uid_map')
  return ids === undefined || /^0\s+0\s+4294967295$/.test(ids)
}

/** Why the kernel takes only signed modules; undefined if it takes any. */
export function signatureDemand(root = '/'): string | undefined {
  // "none [integrity] confidentiality" (security/lockdown/lockdown.c)
  const lockdown = /\[(\w+)\]/.exec(readText(root, 'sys/kernel/security/lockdown') ?? '')?.[1]
  if (lockdown !== undefined && lockdown !== 'none') return `kernel lockdown (${lockdown}), as with Secure Boot`
  if (readText(root, 'sys/module/module/parameters/sig_enforce') === 'Y') return 'the kernel parameter module.sig_enforce'
  return undefined
}

/** The obstacle of an unsigned file where the kernel takes only signed ones. */
export function signatureObstacle(path: string, demand: string, root = '/'): ModuleObstacle {
  const headers = join('/lib/modules', kernelRelease(root), 'build')
  return {
    code: 'NFKIT_MODULE_UNSIGNED',
    message: `${path} is not signed, and ${demand} allows only signed modules`,
    hint: `sign it with a key that is enrolled (mokutil --import KEY.der, then reboot): ${headers}/scripts/sign-file sha256 KEY.priv KEY.der ${path}; DKMS does so by itself`,
  }
}

/** The path of a program in PATH or the administrator's directories; undefined if there is none. */
export function findProgram(name: string): string | undefined {
  for (const directory of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']) {
    if (directory === '') continue
    const path = join(directory, name)
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return path
    } catch { /* not there */ }
  }
  return undefined
}

/** Where `depmod` and DKMS put modules, below /lib/modules/RELEASE; the first that is there. */
export function installedModule(name: string, release: string, root = '/'): string | undefined {
  const base = join(root, 'lib/modules', release)
  const directories = ['updates', 'updates/dkms', 'extra', 'weak-updates']
  for (const directory of directories) {
    let names: string[]
    try {
      names = readdirSync(join(base, directory))
    } catch { continue }
    const found = names.find((file) => file === `${name}.ko` || file.startsWith(`${name}.ko.`))
    if (found !== undefined) return join(base, directory, found)
  }
  return undefined
}
