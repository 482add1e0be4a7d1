// SPDX-License-Identifier: MIT
// The iptables tables of one family in one network namespace.

import { setImmediate } from 'node:timers'
import { inspect } from 'node:util'
import { invalidArgument, NfkitError } from '../errors.js'
import { checkKeys } from '../net/check.js'
import type { NetnsLike } from '../netns.js'
import type { IpFamily } from '../wire/ip.js'
import { TableAccess } from './access.js'
import { checkNetfilter, type NetfilterReport } from './check.js'
import { commitTable } from './commit.js'
import type { CounterKind } from './counters.js'
import { TableDraft } from './draft.js'
import { type NetfilterSupport, supportOf } from './kernel.js'
import { checkLockOptions, type LockOptions, withLock, withLockSync } from './lock.js'
import { checkTableName } from './names.js'
import { checkRestore, restoreTables, type RestoreTextOptions } from './restore.js'
import { checkSaveOptions, type SaveOptions, saveTables } from './save.js'
import { TableSnapshot } from './snapshot.js'
import type { TableName } from '../wire/xtables/tables.js'
import '../wire/xtables/extensions/index.js'

/** What {@link Netfilter.open} takes. */
export interface NetfilterOptions {
  /** `ipv4` unless told. */
  family?: IpFamily | undefined
  /** The namespace; this process's own unless told. */
  netns?: NetnsLike | undefined
  /**
   * The lock that every program takes that changes tables: `/run/xtables.lock`, as iptables-legacy. `off` does without: then the
   * table is read twice in each update, and a change of somebody else's can still be lost in the moment before the replacement.
   */
  lock?: LockOptions | 'off' | undefined
}

/** What {@link Netfilter.update} takes. */
export interface UpdateOptions {
  /** Ends the waiting for the lock; an update that has begun is done at once and cannot be aborted. */
  signal?: AbortSignal | undefined
}

/** What {@link Netfilter.table} takes. */
export interface TableOptions<K extends CounterKind = CounterKind> {
  /** Counters as numbers, exact up to 2^53 - 1, or as bigints. */
  counters?: K | undefined
}

/**
 * The legacy tables that iptables(8) shows: filter, nat, mangle, raw and security, read and written through the kernel's own
 * socket options. Rules of nft are another thing, which the kernel keeps beside them: see {@link Netfilter.check}.
 *
 * Everything needs CAP_NET_ADMIN in the namespace (NfkitError EPERM otherwise), and a kernel with legacy tables
 * (NFKIT_LEGACY_TABLES_MISSING otherwise). The handle holds a socket, until {@link close}.
 */
export class Netfilter {
  readonly family: IpFamily
  readonly #access: TableAccess

  private constructor(access: TableAccess) {
    this.family = access.family
    this.#access = access
  }

  /** @throws NfkitError ENOENT for a namespace that there is not, EAFNOSUPPORT when the kernel has no IPv6 */
  static open(options: NetfilterOptions = {}): Netfilter {
    checkKeys(options, ['family', 'netns', 'lock'], 'options')
    const { family = 'ipv4', netns, lock = {} } = options
    if (family !== 'ipv4' && family !== 'ipv6') throw invalidArgument('family', "'ipv4' or 'ipv6'", family)
    checkLockOptions(lock)
    return new Netfilter(new TableAccess(family, netns, lock))
  }

  /**
   * The tables that there are in the namespace, the newest first. The kernel makes a table when somebody first uses it; asking
   * for the names makes none.
   * @throws NfkitError EPERM without CAP_NET_ADMIN; EACCES for others than root, also in a namespace of their own
   */
  tables(): string[] {
    return this.#open().tableNames()
  }

  /**
   * A table as it is now. One that is not there yet is not made: it reads as empty, with ACCEPT as policies. (An ordinary user in a
   * namespace of his own cannot read the names of those that are there, see {@link tables}; then the kernel makes it.)
   * Synchronous: 1 ms for a thousand rules, which become values when they are looked at.
   * @throws NfkitError EPERM, NFKIT_LEGACY_TABLES_MISSING; TypeError
   */
  table<K extends CounterKind = 'number'>(name: TableName | (string & {}), options: TableOptions<K> = {}): TableSnapshot<K> {
    const access = this.#open()
    checkTableName(name)
    checkKeys(options, ['counters'], 'options')
    const { counters = 'number' as K } = options
    if (counters !== 'number' && counters !== 'bigint') throw invalidArgument('counters', "'number' or 'bigint'", counters)
    return new TableSnapshot(access.readTable(name), access.environment(name), counters)
  }

  /**
   * Changes a table in one atomic step: takes the lock, reads, runs `change` on a draft, makes sure that nobody else changed the
   * table meanwhile, replaces it, and gives the rules that stayed their counters back. When somebody did change it, `change` runs again
   * on a fresh draft, so it must do the same each time. It must be synchronous. When it throws, or the kernel refuses the rules, the table is
   * as it was. When it changes nothing, nothing is written.
   *
   * The kernel takes rules and counters in two calls (IPT_SO_SET_REPLACE, IPT_SO_SET_ADD_COUNTERS). When the process is killed between
   * them, by SIGKILL or with the power, all new rules are there and count from zero; iptables does no better. When the kernel takes the rules
   * and refuses the counters (it has no memory left, or a program without the lock changed the table in between), the error is NFKIT_COUNTERS_LOST
   * with `committed: true`: the change was made and stands, and all rules of the table count from zero. It is the only error after which
   * the table is another one; whoever repeats failed updates must not repeat that one.
   *
   * Updates of one process queue up for the lock. One commit costs as much as the table is long, so many changes belong
   * into one update.
   * @returns what `change` answers
   * @throws what `change` throws; TypeError when it answers a promise; NfkitError NFKIT_LOCK_TIMEOUT, NFKIT_LOCK_UNUSABLE,
   * NFKIT_NO_SUCH_CHAIN, NFKIT_CHAIN_LOOP, EAGAIN when others never held still, EPERM, EINVAL and others of the kernel's; NFKIT_COUNTERS_LOST
   * when the change was made (`committed`), but counters were lost; the reason of `signal`
   */
  async update<T>(table: TableName | (string & {}), change: (table: TableDraft) => T, options: UpdateOptions = {}): Promise<T> {
    const access = this.#checkUpdate(table, change)
    checkKeys(options, ['signal'], 'options')
    return withLock(access.lock, () => this.#commit(table, change), options.signal)
  }

  /**
   * As {@link update}, but blocks the thread while it waits for the lock.
   * @throws NfkitError NFKIT_NESTED_UPDATE within the callback of another update, which would wait for itself
   */
  updateSync<T>(table: TableName | (string & {}), change: (table: TableDraft) => T): T {
    const access = this.#checkUpdate(table, change)
    return withLockSync(access.lock, () => this.#commit(table, change))
  }

  /**
   * The tables as text, as iptables-save prints them; `iptables-legacy-restore` and {@link restore} read it. No lock is taken: each
   * table is of one moment, several are not of the same one. A match or target that nfkit does not know is named with the number of its
   * bytes in brackets; such a line cannot be restored.
   * @throws NfkitError EPERM, NFKIT_LEGACY_TABLES_MISSING; TypeError
   */
  async save(options: SaveOptions = {}): Promise<string> {
    const access = this.#open()
    checkSaveOptions(options)
    let text = ''
    for (const part of saveTables(access, options)) {
      text += part
      // Others have their turn between two tables.
      await new Promise<void>((resolve) => { setImmediate(resolve) })
    }
    return text
  }

  /** As {@link save}, at once. */
  saveSync(options: SaveOptions = {}): string {
    const access = this.#open()
    checkSaveOptions(options)
    return [...saveTables(access, options)].join('')
  }

  /**
   * Applies a text in the format of iptables-save to its tables, as iptables-restore: `*table`, `:CHAIN POLICY [packets:bytes]`, rules and
   * any other commands (`-A -I -D -R -C -N -X -E -F -Z -P`), `COMMIT`. All of it under one lock, and all of it is read and checked before
   * the first table is replaced: a mistake anywhere means that nothing was applied. Each table is replaced in one step. When the
   * kernel refuses one, those before it are put back. When it refuses counters alone, all tables of the text are as it says, and then the
   * error is NFKIT_COUNTERS_LOST with `committed: true`.
   * @returns the names of the tables, in their order
   * @throws RestoreError with `line`, `column` and `reason`, for whatever iptables-restore refuses; NfkitError NFKIT_LOCK_TIMEOUT,
   * NFKIT_LOCK_UNUSABLE, NFKIT_CHAIN_LOOP, NFKIT_COUNTERS_LOST (`committed`), NFKIT_RESTORE_INCOMPLETE when a table could not be put back, EPERM, EINVAL and
   * others of the kernel's; TypeError; the reason of `signal`
   */
  async restore(text: string, options: RestoreTextOptions = {}): Promise<string[]> {
    const access = this.#open()
    checkRestore(text, options)
    if (options.test === true) return restoreTables(access, text, options)
    return withLock(access.lock, () => restoreTables(this.#open(), text, options), options.signal)
  }

  /** As {@link restore}, but blocks the thread while it waits for the lock. @throws NfkitError NFKIT_NESTED_UPDATE within an update */
  restoreSync(text: string, options: Omit<RestoreTextOptions, 'signal'> = {}): string[] {
    const access = this.#open()
    checkRestore(text, options)
    if (options.test === true) return restoreTables(access, text, options)
    return withLockSync(access.lock, () => restoreTables(access, text, options))
  }

  #checkUpdate(table: string, change: unknown): TableAccess {
    checkTableName(table)
    if (typeof change !== 'function') throw invalidArgument('change', 'a function', change)
    return this.#open()
  }

  #commit<T>(table: string, change: (table: TableDraft) => T): T {
    const access = this.#open()
    const environment = access.environment(table)
    let result: T
    commitTable(access, table, (image) => {
      const draft = new TableDraft(image, environment)
      try {
        result = change(draft)
      } finally {
        TableDraft.end(draft)
      }
      if (isThenable(result)) {
        // Nobody else hears of what becomes of it.
        result.then(undefined, () => {})
        throw invalidArgument('change', 'a synchronous function', result)
      }
      return TableDraft.end(draft)
    })
    return result!
  }

  /**
   * What the kernel has: the tables that it can make, its matches and targets with their revisions. Asking makes no table in this
   * namespace, but it makes the kernel load the modules of what it is asked for; some 10 ms.
   * @throws NfkitError EPERM
   */
  supported(): NetfilterSupport {
    return supportOf(this.#open())
  }

  /** Why rules may not do what somebody expects, in plain words. What could not be looked at without privilege says so. */
  check(): NetfilterReport {
    return checkNetfilter(this.#open())
  }

  /** Lets go of the socket. Tables and rules stay. Idempotent. */
  close(): void { this.#access.close() }
  [Symbol.dispose](): void { this.close() }

  [inspect.custom](): string {
    return `Netfilter { family: '${this.family}'${this.#access.socket.closed ? ', closed' : ''} }`
  }

  #open(): TableAccess {
    if (this.#access.socket.closed) throw new NfkitError('NFKIT_CLOSED', 'the netfilter handle is closed')
    return this.#access
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
