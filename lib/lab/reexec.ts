// SPDX-License-Identifier: MIT
// Root of one's own network without being root: a user namespace with a network and a mount namespace in it. A thread of a
// running program cannot enter one (user_namespaces(7)), so a program begins again under unshare(1).

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { isMainThread } from 'node:worker_threads'
import { invalidArgument, NfkitError } from '../errors.js'
import { addon } from '../native.js'

/** Set for what was started by here: without privilege even so, it must not try again. */
const GUARD = 'NFKIT_LAB'

/**
 * Begins the life of the program. A /run of its own has room for /run/netns and the lock of iptables, which only the machine's
 * root may write; a /sys of its own shows the devices of the new namespace. Where a mount is refused, the machine's stays.
 * Without the death signal, the program would go on when its parent is killed; busybox does not know it.
 */
const SCRIPT = `mount -t tmpfs -o mode=755 tmpfs /run 2>/dev/null
mount -t sysfs sysfs /sys 2>/dev/null
ip link set lo up 2>/dev/null
if setpriv --pdeathsig KILL -- true 2>/dev/null; then exec setpriv --pdeathsig KILL -- "$@"; fi
exec "$@"`

/** How a program ended. */
export interface ExitResult {
  /** Exit status; null when a signal ended it. */
  status: number | null
  signal: NodeJS.Signals | null
}

/** Whether this process may create network namespaces. */
export function isPrivileged(): boolean {
  const made = addon.createNetns()
  if (typeof made === 'number') return false
  made.close()
  return true
}

/**
 * Makes sure that the program may create network namespaces: call it first, before anything has been done.
 *
 *     import { ensurePrivilege, Lab } from 'nfkit/lab'
 *     await ensurePrivilege()
 *     const lab = await Lab.create()
 *
 * With the privilege it does nothing. Without it, the program is started once more with the same command line, environment and
 * standard streams under `unshare --user --map-root-user --net --mount`, where it is root of a network of its own; this process
 * passes signals on, waits, and ends as the other one ends. The promise is then never resolved.
 *
 * In the new process the user is 0, /run is empty and its network has only a loopback: a lab needs no more.
 * @throws NfkitError NFKIT_USER_NAMESPACES when the kernel does not let this user have user namespaces; the hint names the
 * setting. NFKIT_WORKER in a worker thread, which cannot restart the program. ENOENT without unshare(1)
 */
export async function ensurePrivilege(): Promise<void> {
  if (isPrivileged()) return
  if (!isMainThread) {
    throw new NfkitError('NFKIT_WORKER', 'a worker cannot restart its program', {
      hint: 'await ensurePrivilege() in the main thread, before workers are started',
    })
  }
  if (process.env[GUARD] !== undefined) {
    throw new NfkitError('NFKIT_USER_NAMESPACES',
      'still no privilege to create network namespaces after starting again in a user namespace', { hint: 'run as root' })
  }
  const [command, ...args] = ownCommandLine()
  endAs(await runPrivately(command!, args))
}

/**
 * Runs a program as root of a new, private network and waits for its end: what `nfkit lab -- PROGRAM` does. Standard streams are
 * this process's; signals are passed on; it is killed when this process ends.
 * @throws NfkitError NFKIT_USER_NAMESPACES, ENOENT without unshare(1)
 */
export async function runPrivately(command: string, args: readonly string[] = []): Promise<ExitResult> {
  if (typeof command !== 'string' || command === '') throw invalidArgument('command', 'a program', command)
  if (!Array.isArray(args) || !args.every((arg) => typeof arg === 'string')) throw invalidArgument('args', 'an array of strings', args)
  const prefix = ['--net', '--mount', '--']
  if (!isPrivileged()) prefix.unshift('--user', '--map-root-user')
  checkAllowed(prefix)
  const env: NodeJS.ProcessEnv = { ...process.env, [GUARD]: '1' }
  // The descriptor of a channel to a parent is not passed on.
  delete env['NODE_CHANNEL_FD']
  const child = spawn('unshare', [...prefix, 'sh', '-c', SCRIPT, 'sh', command, ...args], { stdio: 'inherit', env })
  // What the terminal sends goes to the whole foreground group, so to the program too: once is enough.
  const fromTerminal = process.stdin.isTTY === true ? ['SIGINT', 'SIGQUIT'] : []
  const handlers = (['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'] as const).map((signal) => {
    const handler = () => { if (!fromTerminal.includes(signal)) child.kill(signal) }
    process.on(signal, handler)
    return [signal, handler] as const
  })
  try {
    return await new Promise<ExitResult>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (status, signal) => resolve({ status, signal }))
    })
  } finally {
    for (const [signal, handler] of handlers) process.off(signal, handler)
  }
}

/** Ends this process as another one ended. */
export function endAs({ status, signal }: ExitResult): never {
  if (signal !== null) {
    // Without a handler it ends this process; where it does not, the shell's convention.
    process.kill(process.pid, signal)
    process.exit(128 + (constants.signals[signal] ?? 0))
  }
  process.exit(status ?? 1)
}

/** Finds out whether it would work, for the sake of the error. */
function checkAllowed(prefix: readonly string[]): void {
  const { error, status, stderr } = spawnSync('unshare', [...prefix, 'true'], { stdio: ['ignore', 'ignore', 'pipe'], encoding: 'utf8' })
  if (error !== undefined) {
    const { code = 'EIO' } = error as NodeJS.ErrnoException
    throw new NfkitError(code, 'unshare cannot be started', { hint: 'it comes with util-linux', cause: error })
  }
  if (status === 0) return
  throw new NfkitError('NFKIT_USER_NAMESPACES', `this user may not create network namespaces: ${stderr.trim()}`, { hint: forbidding() })
}

/** What forbids user namespaces, as far as it can be seen, and how to allow them. */
function forbidding(): string {
  const read = (path: string): string | undefined => {
    try { return readFileSync(`/proc/sys/${path}`, 'utf8').trim() } catch { return undefined }
  }
  if (!existsSync('/proc/self/ns/user')) return 'this kernel has no user namespaces (CONFIG_USER_NS): run as root'
  // Debian and Ubuntu have this one beside the kernel's own.
  if (read('kernel/unprivileged_userns_clone') === '0') return 'run as root, or allow it: sysctl -w kernel.unprivileged_userns_clone=1'
  for (const name of ['max_user_namespaces', 'max_net_namespaces', 'max_mnt_namespaces']) {
    if (read(`user/${name}`) === '0') return `run as root, or allow it: sysctl -w user.${name}=10000`
  }
  if (read('kernel/apparmor_restrict_unprivileged_userns') === '1') {
    return 'run as root, or allow it: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 ' +
      '(or an AppArmor profile with "userns," for this program)'
  }
  return 'run as root; in a container, its seccomp profile forbids it (docker run --cap-add SYS_ADMIN --security-opt apparmor=unconfined)'
}

/** The command line of this process. */
function ownCommandLine(): string[] {
  // The kernel knows the options of every runtime; only a program that has set its title has written over them.
  const [, ...words] = readFileSync('/proc/self/cmdline', 'utf8').split('\0').slice(0, -1)
  const given = process.argv.slice(2)
  const tail = words.slice(words.length - given.length)
  if (words.length > given.length && tail.every((word, i) => word === given[i])) return [process.execPath, ...words]
  return [process.execPath, ...process.execArgv, ...process.argv.slice(1)]
}
