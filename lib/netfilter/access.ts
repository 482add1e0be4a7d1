// SPDX-License-Identifier: MIT
// What everything in this room works with: the socket of one family in one namespace, and what the kernel there has.

import { NfkitError } from '../errors.js'
import { type Netns, type NetnsLike, readProc, resolveNetns } from '../netns.js'
import { loadTablesModule } from '../sockopt/load-module.js'
import { tablesMissing } from '../sockopt/missing.js'
import { XtablesSocket } from '../sockopt/xtables.js'
import type { IpFamily } from '../wire/ip.js'
import type { Resolver } from '../wire/xtables/payload.js'
import type { RuleEnvironment } from '../wire/xtables/rule.js'
import { TableImage } from '../wire/xtables/table.js'
import { initialTable, TABLE_NAMES, type TableName } from '../wire/xtables/tables.js'
import type { LockOptions } from './lock.js'
import { checkTableName } from './names.js'
import { systemResolver } from './resolver.js'

/** How often a table that changes while it is read is read again. */
const READ_ATTEMPTS = 64

/** The tables of one family in one network namespace. */
export class TableAccess {
  readonly family: IpFamily
  readonly lock: LockOptions | 'off'
  readonly socket: XtablesSocket
  /** The namespace, undefined for this process's own. */
  readonly netns: Netns | undefined
  readonly #release: () => void
  readonly #revisions = new Map<string, boolean>()

  constructor(family: IpFamily, netns: NetnsLike | undefined, lock: LockOptions | 'off') {
    this.family = family
    this.lock = lock
    const resolved = resolveNetns(netns)
    this.netns = resolved.netns
    this.#release = resolved.release
    try {
      this.socket = XtablesSocket.open(family, resolved.fd)
    } catch (error) {
      resolved.release()
      throw error
    }
  }

  /**
   * The tables that there are in the namespace, in the kernel's order (the newest first): `/proc/net/ip_tables_names`. None where the
   * kernel has no legacy tables.
   */
  tableNames(): string[] {
    return this.procList('names') ?? []
  }

  /** The lines of `/proc/net/ip_tables_WHAT`; undefined when there is no such file: ip_tables is neither built in nor loaded. */
  procList(what: 'names' | 'matches' | 'targets'): string[] | undefined {
    try {
      const text = readProc(`${this.family === 'ipv4' ? 'ip' : 'ip6'}_tables_${what}`, this.netns)
      return text === '' ? [] : text.split('\n')
    } catch (error) {
      if (!(error instanceof NfkitError)) throw error
      if (error.code === 'ENOENT') return undefined
      if (error.code !== 'EACCES') throw error
      // Who lacks CAP_NET_ADMIN, too, is told of that: every request asks for it first.
      this.socket.hasRevision('target', '', 0)
      throw NfkitError.fromErrno(error.errno!, error.syscall!, `reading which tables there are`, { cause: error, hint: 'the kernel gives that file to root alone, or CAP_DAC_READ_SEARCH' })
    }
  }

  /**
   * The table as it is. One that is not there yet is not made: it is read as what it would be, empty and accepting; unless the
   * names of those that are there cannot be read, by an ordinary user in a namespace of his own: then the kernel makes it.
   * @throws NfkitError EPERM, NFKIT_LEGACY_TABLES_MISSING
   */
  readTable(name: string): TableImage & { readonly absent?: boolean } {
    checkTableName(name)
    const present = this.#presentTables()
    if (present === 'missing') throw tablesMissing(this.family, undefined)
    if (present !== 'unknown' && (TABLE_NAMES as readonly string[]).includes(name) && !present.includes(name)) {
      const { info, blob } = initialTable(this.family, name as TableName)
      return Object.assign(new TableImage(this.family, info, blob), { absent: true })
    }
    return this.readPresent(name)
  }

  #presentTables(): string[] | 'missing' | 'unknown' {
    try {
      const names = this.procList('names')
      if (names !== undefined) return names
      return loadTablesModule(this.family) ? this.procList('names') ?? 'missing' : 'missing'
    } catch (error) {
      // In a namespace of an ordinary user the file is still root's, while the tables are the user's.
      if (error instanceof NfkitError && error.code === 'EACCES') return 'unknown'
      throw error
    }
  }

  /** As {@link readTable}, but the kernel makes a table that is not there yet. */
  readPresent(name: string): TableImage {
    for (let attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
      const info = this.socket.info(name)
      const blob = this.socket.entries(info)
      // The size is the same but the table is another one: the two calls would describe different tables.
      if (blob === undefined || !sameInfo(info, this.socket.info(name))) continue
      return new TableImage(this.family, info, blob)
    }
    throw new NfkitError('EAGAIN', `table ${name} changed during each of ${READ_ATTEMPTS} attempts to read it`, { hint: 'something rewrites it without pause' })
  }

  /** Whether the kernel has a revision of a match or target; asked once for each. */
  readonly kernelHas = (kind: 'match' | 'target', wireName: string, revision: number): boolean => {
    const key = `${kind} ${wireName} ${revision}`
    let known = this.#revisions.get(key)
    if (known === undefined) {
      known = this.socket.hasRevision(kind, wireName, revision)
      // A module can still be loaded: only what is there is remembered.
      if (known) this.#revisions.set(key, known)
    }
    return known
  }

  /** Names of this machine, read anew: one for each operation. */
  resolver(): Resolver {
    return systemResolver(this.socket)
  }

  /** What encoding and printing rules of a table needs to know. */
  environment(table: string, resolver = this.resolver()): RuleEnvironment & { readonly table: string } {
    return { family: this.family, table, resolver, kernelHas: this.kernelHas }
  }

  close(): void {
    if (!this.socket.closed) this.socket.close()
    this.#release()
  }
}

/** Whether two descriptions of a table are the same one. */
export function sameInfo(a: TableImage['info'], b: TableImage['info']): boolean {
  const same = (x: readonly number[], y: readonly number[]) => x.every((offset, hook) => (a.validHooks & (1 << hook)) === 0 || offset === y[hook])
  return a.entries === b.entries && a.size === b.size && a.validHooks === b.validHooks && same(a.hookEntries, b.hookEntries) && same(a.underflows, b.underflows)
}
