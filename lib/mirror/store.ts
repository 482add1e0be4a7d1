// SPDX-License-Identifier: MIT
// The journals of the mirrors: one file for each, in a directory for each network namespace. A file is replaced as a whole, so that
// it is one of two whole ones whenever the process ends.

import {
  closeSync, constants, type Dirent, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync, writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { Errno } from '../errno.js'
import { NfkitError } from '../errors.js'
import { addon, check } from '../native.js'
import type { Netns } from '../netns.js'
import { isMirrorName } from './name.js'
import { identify, type NamespaceIdentity, sameNamespace } from './namespace.js'
import { goneNamespaces } from './reachable.js'
import { decodeRecord, encodeRecord, type MirrorRecord } from './record.js'

/** Volatile as what it tells of. */
const DEFAULT_ROOT = '/run/nfkit/mirror'
const LOCK_EX = 2
const LOCK_NB = 4
/** Milliseconds. A set-up waits for the lock of iptables at the longest. */
const LOCK_WAIT = 60_000
const LOCK_PAUSE = 5

/** A journal that cannot be read. */
export interface DamagedJournal {
  name: string
  problem: string
}

/** The journals of one network namespace. */
export class JournalStore {
  readonly namespace: NamespaceIdentity
  readonly #root: string
  readonly #directory: string

  constructor(netns: Netns | undefined, root: string | undefined) {
    this.namespace = identify(netns)
    // An empty variable is none, as elsewhere.
    this.#root = root ?? (process.env['NFKIT_MIRROR_DIR'] || DEFAULT_ROOT)
    this.#directory = join(this.#root, `${this.namespace.device}-${this.namespace.inode}`)
  }

  /** The file of a mirror. */
  path(name: string): string {
    return join(this.#directory, `${name}.json`)
  }

  /**
   * Runs something while no other program changes mirrors.
   * @throws NfkitError NFKIT_LOCK_TIMEOUT; EACCES, EROFS and others of the directory's; NFKIT_JOURNAL_UNSAFE
   */
  async locked<T>(run: () => Promise<T>): Promise<T> {
    ensureDirectory(this.#root)
    const path = this.#lockPath
    const file = addon.open(path, constants.O_RDONLY | constants.O_CREAT, 0o600, -1)
    if (file === -Errno.EACCES) throw notAllowed(this.#root)
    if (typeof file === 'number') throw NfkitError.fromErrno(-file, 'open', path)
    try {
      for (const deadline = performance.now() + LOCK_WAIT; ;) {
        const result = file.flock(LOCK_EX | LOCK_NB)
        if (result !== -Errno.EAGAIN) {
          check(result, 'flock', path)
          break
        }
        if (performance.now() >= deadline) throw new NfkitError('NFKIT_LOCK_TIMEOUT', `another program holds the lock ${path}; waited ${LOCK_WAIT / 1000} s`)
        await new Promise((resolve) => { setTimeout(resolve, LOCK_PAUSE) })
      }
      this.#sweep()
      ensureDirectory(this.#directory)
      // What writers left that ended within, before they took its name.
      for (const name of namesIn(this.#directory)) if (name.startsWith('.')) rmSync(join(this.#directory, name), { force: true })
      return await run()
    } finally {
      try {
        rmdirSync(this.#directory)
      } catch {
        // Journals are in it.
      }
      file.close()
    }
  }

  /** Removes the journals of namespaces that are gone, unless somebody changes mirrors just now, who does so too, or this user may not. */
  sweep(): void {
    const opened = addon.open(this.#lockPath, constants.O_RDONLY, 0, -1)
    if (typeof opened === 'number') return
    try {
      if (opened.flock(LOCK_EX | LOCK_NB) === 0) this.#sweep()
    } finally {
      opened.close()
    }
  }

  /** With the lock, without which nobody writes a journal. */
  #sweep(): void {
    const others = directoriesIn(this.#root).flatMap((name) => {
      const [, device, inode] = /^(\d+)-(\d+)$/.exec(name)?.map(Number) ?? []
      return device === undefined || inode === undefined || join(this.#root, name) === this.#directory ? [] : [{ path: join(this.#root, name), device, inode }]
    })
    // All namespaces of a boot are on one device.
    const { device } = this.namespace
    const gone = goneNamespaces(others.filter((other) => other.device === device).map(({ inode }) => inode))
    for (const other of others) if (other.device !== device || gone.has(other.inode)) removeJournals(other.path)
  }

  get #lockPath(): string { return join(this.#root, 'lock') }

  /** All journals of this namespace; those of one that had its number before are stale and are removed. */
  read(): { records: MirrorRecord[]; damaged: DamagedJournal[] } {
    const records: MirrorRecord[] = []
    const damaged: DamagedJournal[] = []
    for (const file of namesIn(this.#directory).sort()) {
      const name = file.slice(0, -'.json'.length)
      if (!file.endsWith('.json') || !isMirrorName(name)) continue
      try {
        const record = this.get(name)
        if (record !== undefined) records.push(record)
      } catch (error) {
        if (!(error instanceof NfkitError) || error.code !== 'NFKIT_BAD_JOURNAL') throw error
        damaged.push({ name, problem: error.message })
      }
    }
    return { records, damaged }
  }

  /** @throws NfkitError NFKIT_BAD_JOURNAL */
  get(name: string): MirrorRecord | undefined {
    const path = this.path(name)
    let bytes: Uint8Array
    try {
      bytes = readFileSync(path)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return undefined
      throw code === 'EACCES' ? notAllowed(this.#directory) : error
    }
    let record: MirrorRecord
    try {
      record = decodeRecord(bytes)
      if (record.name !== name) throw new NfkitError('NFKIT_BAD_JOURNAL', `not the journal of a mirror: it is of ${record.name}`)
    } catch (error) {
      throw new NfkitError('NFKIT_BAD_JOURNAL', `${path}: ${(error as Error).message}`, { cause: error, hint: 'undo by hand what the mirror set up, then delete the file' })
    }
    if (sameNamespace(record.namespace, this.namespace)) return record
    rmSync(path, { force: true })
    return undefined
  }

  /** Writes a journal in the place of the one before, and is done only when it is there. */
  write(record: MirrorRecord): void {
    ensureDirectory(this.#directory)
    const path = this.path(record.name)
    const temporary = join(this.#directory, `.${record.name}.${process.pid}`)
    const file = openSync(temporary, 'w', 0o600)
    try {
      writeSync(file, encodeRecord(record))
      // For roots on a disk: after a loss of power a journal is whole or not there.
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
  }

  delete(name: string): void {
    rmSync(this.path(name), { force: true })
  }
}

function namesIn(directory: string): string[] {
  return entriesIn(directory).map(({ name }) => name)
}

function directoriesIn(directory: string): string[] {
  return entriesIn(directory).filter((entry) => entry.isDirectory()).map(({ name }) => name)
}

function entriesIn(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    if (code === 'EACCES') throw notAllowed(directory)
    throw error
  }
}

/** Journals, what writers left of them, and their directory, unless something else is in it. */
function removeJournals(directory: string): void {
  try {
    for (const name of namesIn(directory)) if (name.startsWith('.') || name.endsWith('.json')) rmSync(join(directory, name), { force: true })
    rmdirSync(directory)
  } catch {
    // The next one tries again; nobody depends on it.
  }
}

function notAllowed(directory: string): NfkitError {
  return NfkitError.fromErrno(Errno.EACCES, 'open', `the journals of mirrors in ${directory}`, { hint: 'they are root\'s: run as root, or name a directory of one\'s own (NFKIT_MIRROR_DIR)' })
}

/** What is in a journal is done by root: nobody else may write there. */
function ensureDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') throw notAllowed(path)
    throw error
  }
  const { uid, mode } = lstatSync(path)
  const user = process.geteuid?.() ?? 0
  if ((uid !== user && uid !== 0) || (mode & 0o022) !== 0) {
    throw new NfkitError('NFKIT_JOURNAL_UNSAFE', `others than this user can write in ${path}`, { hint: 'make it 0700 and own it, or name another directory (NFKIT_MIRROR_DIR)' })
  }
}
