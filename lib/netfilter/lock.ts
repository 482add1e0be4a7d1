// SPDX-License-Identifier: MIT
// The lock that iptables-legacy takes: flock(2) on one file for all tables of the machine. A lock belongs to an open file, so
// a second one of this process would wait for the first; updates of one process queue here instead.

import { constants, readFileSync, statSync } from 'node:fs'
import { setImmediate } from 'node:timers'
import { Errno } from '../errno.js'
import { invalidArgument, NfkitError, outOfRange } from '../errors.js'
import { checkKeys } from '../net/check.js'
import { addon, check, type RawDescriptor } from '../native.js'

/** Which lock updates take, and how long they wait for it. */
export interface LockOptions {
  /** The file; unless told that of the environment variable XTABLES_LOCKFILE, else `/run/xtables.lock`. */
  path?: string | undefined
  /** Seconds to wait while another program holds it, or `forever`; 0 does not wait. 10 unless told. */
  wait?: number | 'forever' | undefined
}

const DEFAULT_PATH = '/run/xtables.lock'
const DEFAULT_WAIT = 10
const LOCK_EX = 2
const LOCK_NB = 4
/** Milliseconds between two attempts: iptables holds the lock for a few. */
const FIRST_PAUSE = 1
const LONGEST_PAUSE = 5

/** Throws unless these are options of the lock. */
export function checkLockOptions(lock: unknown): asserts lock is LockOptions | 'off' | undefined {
  if (lock === undefined || lock === 'off') return
  if (typeof lock !== 'object' || lock === null) throw invalidArgument('lock', "'off' or an object with path and wait", lock)
  checkKeys(lock, ['path', 'wait'], 'lock')
  const { path, wait } = lock as Record<string, unknown>
  if (path !== undefined && (typeof path !== 'string' || path === '' || path.includes('\0'))) throw invalidArgument('lock.path', 'the path of a file', path)
  if (wait === undefined || wait === 'forever') return
  if (typeof wait !== 'number') throw invalidArgument('lock.wait', "seconds or 'forever'", wait)
  if (!(wait >= 0 && wait <= 1e6)) throw outOfRange('lock.wait', "seconds from 0 to 1000000, or 'forever'", wait)
}

/** The file of a lock. */
export function lockPath(lock: LockOptions): string {
  // iptables takes an empty variable for none, too.
  return lock.path ?? (process.env['XTABLES_LOCKFILE'] || DEFAULT_PATH)
}

/** Those that wait within this process, by file; the first one is at work or waits for the file. */
const queues = new Map<string, (() => void)[]>()
/** Within the callback of an update. */
let working = false

/**
 * Runs something under the lock, after what this process queued before and once no other program holds it. `run` is
 * synchronous, so the lock is never held while this process does something else.
 * @throws NfkitError NFKIT_LOCK_TIMEOUT, NFKIT_LOCK_UNUSABLE; what `signal` was aborted with; what `run` throws
 */
export async function withLock<T>(lock: LockOptions | 'off', run: () => T, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted()
  const key = lock === 'off' ? '' : lockPath(lock)
  await turn(key, signal)
  try {
    if (lock === 'off') return work(run)
    const file = openLock(key)
    try {
      const deadline = deadlineOf(lock)
      for (let pause = FIRST_PAUSE; !tryLock(file, key); pause = Math.min(pause * 2, LONGEST_PAUSE)) {
        if (performance.now() >= deadline) throw timedOut(key, lock)
        await sleep(Math.min(pause, deadline - performance.now()), signal)
      }
      return work(run)
    } finally {
      file.close()
    }
  } finally {
    next(key)
  }
}

/**
 * As {@link withLock}, but blocks the thread while it waits. It does not stand in the queue of this process: those in it hold no lock.
 * @throws NfkitError NFKIT_NESTED_UPDATE within the callback of another update
 */
export function withLockSync<T>(lock: LockOptions | 'off', run: () => T): T {
  if (working) throw new NfkitError('NFKIT_NESTED_UPDATE', 'an update within the callback of another one would wait for itself', { hint: 'do it after the other one, or both in one callback' })
  if (lock === 'off') return work(run)
  const path = lockPath(lock)
  const file = openLock(path)
  try {
    const deadline = deadlineOf(lock)
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (let ms = FIRST_PAUSE; !tryLock(file, path); ms = Math.min(ms * 2, LONGEST_PAUSE)) {
      if (performance.now() >= deadline) throw timedOut(path, lock)
      Atomics.wait(pause, 0, 0, Math.max(Math.min(ms, deadline - performance.now()), 0.1))
    }
    return work(run)
  } finally {
    file.close()
  }
}

/** Opens the lock file, as iptables does, to see whether it can be used. @throws NfkitError NFKIT_LOCK_UNUSABLE */
export function probeLock(lock: LockOptions): void {
  openLock(lockPath(lock)).close()
}

function work<T>(run: () => T): T {
  working = true
  try { return run() } finally { working = false }
}

function openLock(path: string): RawDescriptor {
  const file = addon.open(path, constants.O_RDONLY | constants.O_CREAT, 0o600, -1)
  if (typeof file !== 'number') return file
  const cause = NfkitError.fromErrno(-file, 'open', path)
  throw new NfkitError('NFKIT_LOCK_UNUSABLE', `the lock file ${path} cannot be used: ${cause.code}`, {
    errno: -file, syscall: 'open', cause,
    hint: "name one that this user can write, by lock: { path } or XTABLES_LOCKFILE (for every program that changes these tables), or do without: lock: 'off'",
  })
}

function tryLock(file: RawDescriptor, path: string): boolean {
  const result = file.flock(LOCK_EX | LOCK_NB)
  if (result === -Errno.EAGAIN) return false
  check(result, 'flock', path)
  return true
}

function deadlineOf({ wait = DEFAULT_WAIT }: LockOptions): number {
  return wait === 'forever' ? Infinity : performance.now() + wait * 1000
}

function timedOut(path: string, { wait = DEFAULT_WAIT }: LockOptions): NfkitError {
  const holder = lockHolder(path)
  return new NfkitError('NFKIT_LOCK_TIMEOUT', `another program holds the lock ${path}${holder === undefined ? '' : ` (process ${holder})`}; waited ${wait} s`,
    { hint: 'wait longer (lock: { wait }), or find out what holds it' })
}

/** The process that holds a lock, as /proc/locks has it: a hint for people only. */
function lockHolder(path: string): number | undefined {
  try {
    const { ino } = statSync(path)
    const line = readFileSync('/proc/locks', 'utf8').split('\n').find((one) => / FLOCK /.test(one) && !one.includes('->') && one.split(/\s+/)[5]?.endsWith(`:${ino}`) === true)
    const pid = Number(line?.split(/\s+/)[4])
    return pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}

/** Waits for this caller's turn in the queue of a file. */
function turn(key: string, signal: AbortSignal | undefined): Promise<void> {
  const queue = queues.get(key)
  if (queue === undefined) {
    queues.set(key, [])
    return Promise.resolve()
  }
  return new Promise((resolve, reject) => {
    const abort = () => {
      queue.splice(queue.indexOf(start), 1)
      reject(signal!.reason)
    }
    const start = () => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }
    signal?.addEventListener('abort', abort, { once: true })
    queue.push(start)
  })
}

/** Lets the next one begin; between two the event loop has its turn. */
function next(key: string): void {
  const queue = queues.get(key)!
  if (queue.length === 0) queues.delete(key)
  else setImmediate(() => {
    const start = queue.shift()
    if (start === undefined) queues.delete(key)
    else start()
  })
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(signal!.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, Math.max(ms, 0))
    signal?.addEventListener('abort', abort, { once: true })
  })
}
