// SPDX-License-Identifier: MIT
// Building the kernel module from the sources in this package, with the headers and the compiler of the kernel it is for.

import { execFile } from 'node:child_process'
import { cp, mkdir, rename, rm } from 'node:fs/promises'
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism, homedir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import { packageRoot } from '../package-root.js'
import { findProgram, kernelRelease, type ModuleObstacle, readText } from './running-kernel.js'

/** The module's sources: `kmod/` of the package, beside `dist/`. */
export const PACKAGED_SOURCES = join(packageRoot, 'kmod')

/** What a build takes from where. */
export interface BuildPlan {
  /** Directory of the module's sources. */
  sources: string
  /** Directory of the kernel's headers, as `/lib/modules/RELEASE/build`; undefined when they are missing. */
  headers: string | undefined
  /** The directory that was named for them. */
  given: string | undefined
  /** The release that the headers are of. */
  kernel: string
  /** Programs, undefined when missing. */
  make: string | undefined
  compiler: string | undefined
  /** Which compiler the kernel was built with, such as `gcc-12`. */
  wantedCompiler: string
}

/** Where modules are built unless told, one directory for each kernel release: root's own for root, the user's cache for others. */
export function buildRoot(): string {
  if (process.getuid?.() === 0) return '/var/cache/nfkit/module'
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'nfkit', 'module')
}

/** Looks for all that a build needs. `headers` instead of those of the running kernel. */
export function planBuild(options: { headers?: string | undefined; sources?: string | undefined; root?: string | undefined } = {}): BuildPlan {
  const { root = '/', sources = PACKAGED_SOURCES } = options
  const release = kernelRelease(root)
  const expected = options.headers ?? join(root, 'lib/modules', release, 'build')
  const headers = existsSync(join(expected, 'Makefile')) ? expected : undefined
  const configured = headers === undefined ? '' : readText(headers, 'include/config/auto.conf') ?? readText(headers, '.config') ?? ''
  const clang = /^CONFIG_CC_IS_CLANG=y$/m.test(configured)
  const wantedCompiler = clang ? 'clang' : /^CONFIG_CC_VERSION_TEXT="(\S*gcc\S*)/m.exec(configured)?.[1] ?? 'gcc'
  return {
    sources,
    headers,
    given: options.headers,
    kernel: headers === undefined ? release : readText(headers, 'include/config/kernel.release') ?? release,
    make: findProgram('make'),
    compiler: findProgram(wantedCompiler) ?? (clang ? undefined : findProgram('gcc')),
    wantedCompiler,
  }
}

/** What of a plan is missing, with the packages that bring it. */
export function buildObstacles(plan: BuildPlan, root = '/'): ModuleObstacle[] {
  const obstacles: ModuleObstacle[] = []
  const install = installer(root)
  if (!existsSync(join(plan.sources, 'Kbuild')) && !existsSync(join(plan.sources, 'Makefile'))) {
    obstacles.push({
      code: 'NFKIT_MODULE_SOURCES_MISSING', message: `there are no sources of the module in ${plan.sources}`,
      hint: 'install the nfkit package with its directory kmod/',
    })
  }
  if (plan.headers === undefined) {
    obstacles.push(plan.given === undefined
      ? {
        code: 'NFKIT_KERNEL_HEADERS_MISSING', message: `the headers of kernel ${plan.kernel} are missing (/lib/modules/${plan.kernel}/build)`,
        hint: `${install.headers(plan.kernel)}, or tell where the build tree of a kernel of your own is`,
      }
      : { code: 'NFKIT_KERNEL_HEADERS_MISSING', message: `${plan.given} has no headers of a kernel, there is no Makefile`, hint: 'name a directory such as /usr/src/linux-headers-RELEASE' })
  }
  if (plan.make === undefined) {
    obstacles.push({ code: 'NFKIT_MAKE_MISSING', message: 'make is missing', hint: install.packages('make') })
  }
  if (plan.compiler === undefined) {
    obstacles.push({
      code: 'NFKIT_COMPILER_MISSING', message: `the compiler of the kernel (${plan.wantedCompiler}) is missing`,
      hint: install.packages(plan.wantedCompiler),
    })
  }
  return obstacles
}

/** How this distribution installs packages (os-release(5)). */
function installer(root: string): { packages: (name: string) => string; headers: (release: string) => string } {
  const text = readText(root, 'etc/os-release') ?? readText(root, 'usr/lib/os-release') ?? ''
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? ''
  const names = [field('ID'), ...field('ID_LIKE').split(' ')]
  const is = (...wanted: string[]) => wanted.some((name) => names.includes(name))
  if (is('debian', 'ubuntu')) return commands('apt-get install', (release) => `linux-headers-${release}`)
  if (is('fedora', 'rhel', 'centos')) return commands('dnf install', (release) => `kernel-devel-${release}`)
  if (is('suse', 'opensuse')) return commands('zypper install', (release) => `kernel-${/-([a-z]+)$/.exec(release)?.[1] ?? 'default'}-devel`)
  if (is('arch')) return commands('pacman -S', () => 'linux-headers')
  return { packages: (name) => `install ${name}`, headers: (release) => `install the package with the headers of kernel ${release}` }
}

function commands(command: string, headers: (release: string) => string) {
  return { packages: (name: string) => `${command} ${name}`, headers: (release: string) => `${command} ${headers(release)}` }
}

/**
 * Compiles a copy of the sources and puts it into a directory; a build that was there before stays if this fails.
 * Answers the path of the `.ko` file.
 */
export async function compileModule(plan: BuildPlan, name: string, where: string, signal?: AbortSignal): Promise<string> {
  // Without a slash at its end, beside which the temporary one is to be.
  const directory = resolve(where)
  checkReplaceable(directory, name)
  const temporary = `${directory}.tmp-${process.pid}-${Math.random().toString(36).slice(2, 10)}`
  await mkdir(dirname(directory), { recursive: true, mode: 0o755 })
  try {
    await cp(plan.sources, temporary, { recursive: true, filter: (path) => path === plan.sources || isSource(basename(path)) })
    const args = ['-C', temporary, `-j${availableParallelism()}`, `KDIR=${plan.headers!}`, `CC=${plan.compiler!}`, ...(plan.wantedCompiler === 'clang' ? ['LLVM=1'] : [])]
    await run(plan.make!, args, signal)
    if (!existsSync(join(temporary, `${name}.ko`))) {
      throw new NfkitError('NFKIT_MODULE_BUILD_FAILED', `building the module for ${plan.kernel}: make ended without ${name}.ko`)
    }
    await rm(directory, { recursive: true, force: true })
    await rename(temporary, directory)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
  return join(directory, `${name}.ko`)
}

/** A mistyped directory must not cost what is in it. */
function checkReplaceable(directory: string, name: string): void {
  let entries: string[]
  try {
    entries = readdirSync(directory)
  } catch (error) {
    const { code, errno = 0 } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return
    throw NfkitError.fromErrno(-errno, 'scandir', `building the kernel module in ${directory}`)
  }
  if (entries.length === 0 || ['Kbuild', `${name}.ko`].every((file) => entries.includes(file))) return
  throw NfkitError.fromErrno(Errno.ENOTEMPTY, 'rename', `building the kernel module in ${directory}`, {
    hint: 'name a directory that is not there yet, is empty, or has an earlier build of the module, which this one replaces',
  })
}

/** Leaves out what an earlier build made in the sources, and what the module itself does not need. */
function isSource(name: string): boolean {
  return !name.startsWith('.') && name !== 'iptables' && name !== 'node_modules' && !/\.(o|ko|mod|mod\.c|a|order|symvers)$|^Module\.symvers$/.test(name)
}

function run(make: string, args: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    // What a make around this one exports would change the build.
    const { MAKEFLAGS: _flags, MFLAGS: _more, MAKELEVEL: _level, ...env } = process.env
    execFile(make, args, { env: { ...env, LC_ALL: 'C' }, maxBuffer: 1 << 26, ...(signal === undefined ? {} : { signal }) }, (error, stdout, stderr) => {
      if (error === null) return resolve()
      if (error.name === 'AbortError') return reject(error)
      const said = (stderr.trim() || stdout.trim()).split('\n')
      const complaint = said.find((line) => /\berror\b|\*\*\*/i.test(line)) ?? said.at(-1) ?? error.message
      reject(new NfkitError('NFKIT_MODULE_BUILD_FAILED', `building the module failed: ${complaint.trim()}`, {
        hint: 'all that make said is the cause of this error', cause: new Error(said.slice(-200).join('\n')),
      }))
    })
  })
}
