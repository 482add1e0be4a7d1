// SPDX-License-Identifier: MIT
// Other programs in a namespace, by nsenter(1) and setpriv(1) of util-linux.

import { type ChildProcess, spawn, spawnSync, type SpawnOptions as NodeSpawnOptions } from 'node:child_process'
import { invalidArgument, NfkitError } from '../errors.js'
import { checkKeys } from '../net/check.js'
import type { Netns } from '../netns.js'
import { checkMilliseconds, Deadline } from './deadline.js'

export interface SpawnOptions {
  /** Working directory; this process's own unless told. */
  cwd?: string | undefined
  /** The whole environment; this process's own unless told. */
  env?: Record<string, string | undefined> | undefined
  /** As node:child_process has it; pipes unless told. */
  stdio?: NodeSpawnOptions['stdio'] | undefined
  /**
   * Mounts a /sys of the host's own for the program, as `ip netns exec` does: for programs that read /sys/class/net, brctl for
   * one. Without it they see this process's. False unless told; needs CAP_SYS_ADMIN over the mount namespace.
   */
  sysfs?: boolean | undefined
}

export interface RunOptions extends Omit<SpawnOptions, 'stdio'> {
  /** What the program reads from its standard input; nothing unless told. */
  input?: string | Uint8Array | undefined
  /** Milliseconds after which it is killed; 30000 unless told. */
  timeout?: number | undefined
  signal?: AbortSignal | undefined
  /** False: answer also if the exit status is not 0. True unless told. */
  check?: boolean | undefined
}

export interface RunResult {
  /** Exit status; null when a signal ended it. */
  status: number | null
  signal: string | null
  stdout: string
  stderr: string
}

let setprivWorks: boolean | undefined

/** Whether setpriv can arrange that the program dies with this process; that of busybox cannot. */
function canDieWithParent(): boolean {
  setprivWorks ??= spawnSync('setpriv', ['--pdeathsig', 'KILL', '--', 'true'], { stdio: 'ignore' }).status === 0
  return setprivWorks
}

/** Starts a program in a namespace. It is killed when this process (on Node: the thread that started it) ends in any way. */
export function spawnIn(netns: Netns, command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  if (typeof command !== 'string' || command === '') throw invalidArgument('command', 'a program', command)
  if (!Array.isArray(args) || !args.every((arg) => typeof arg === 'string')) throw invalidArgument('args', 'an array of strings', args)
  checkKeys(options, ['cwd', 'env', 'stdio', 'sysfs'], 'options')
  const { cwd, env, stdio, sysfs = false } = options
  const ownSysfs = ['unshare', '--mount', '--', 'sh', '-c', 'mount -t sysfs sysfs /sys && exec "$@"', 'sh']
  const words = [
    ...(canDieWithParent() ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []),
    'nsenter', `--net=${netns.path}`, '--', ...(sysfs ? ownSysfs : []), command, ...args,
  ]
  return spawn(words[0]!, words.slice(1), {
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env: env as NodeJS.ProcessEnv }),
    ...(stdio === undefined ? {} : { stdio }),
  })
}

/** Runs a program in a namespace to its end. */
export async function runIn(
  netns: Netns, command: string, args: readonly string[], options: RunOptions, started: (child: ChildProcess) => void,
): Promise<RunResult> {
  const { input, timeout = 30000, signal, check = true, ...rest } = options
  if (input !== undefined && typeof input !== 'string' && !(input instanceof Uint8Array)) {
    throw invalidArgument('input', 'text or bytes', input)
  }
  checkMilliseconds(timeout, 'timeout', 1)
  signal?.throwIfAborted()
  const child = spawnIn(netns, command, args, { ...rest, stdio: 'pipe' })
  started(child)
  const deadline = new Deadline(timeout, signal)
  deadline.signal.addEventListener('abort', () => child.kill('SIGKILL'), { once: true })
  const stdout: Uint8Array[] = []
  const stderr: Uint8Array[] = []
  child.stdout!.on('data', (chunk: Uint8Array) => stdout.push(chunk))
  child.stderr!.on('data', (chunk: Uint8Array) => stderr.push(chunk))
  // A program that does not read its input is no failure.
  child.stdin!.on('error', () => {})
  child.stdin!.end(input)
  try {
    const [status, killedBy] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, by) => resolve([code, by]))
    })
    if (signal?.aborted === true && !deadline.expired) throw signal.reason
    const result: RunResult = {
      status, signal: killedBy, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString(),
    }
    const shown = [command, ...args].join(' ')
    if (deadline.expired) throw new NfkitError('ETIMEDOUT', `${shown}: still running after ${timeout} ms`)
    if (check && status !== 0) {
      const how = status === null ? `ended by ${killedBy}` : `exit status ${status}`
      throw new NfkitError('NFKIT_COMMAND_FAILED', `${shown}: ${how}: ${result.stderr.trim()}`, { cause: result })
    }
    return result
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && !(error instanceof NfkitError)) {
      throw new NfkitError('ENOENT', 'nsenter cannot be started', { hint: 'it comes with util-linux', cause: error })
    }
    throw error
  } finally {
    deadline.clear()
  }
}
