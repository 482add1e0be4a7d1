// SPDX-License-Identifier: MIT
// The table ABI: getsockopt and setsockopt of ip_tables and ip6_tables on a socket of the namespace.

import { NfkitError } from '../errors.js'
import { Errno } from '../errno.js'
import { addon, check, checkDescriptor, type RawDescriptor } from '../native.js'
import { inputOf } from '../wire/bytes.js'
import type { IpFamily } from '../wire/ip.js'
import type { AssembledTable } from '../wire/xtables/assemble.js'
import { counterArray, encodeAddCounters, encodeGetEntries, encodeReplace, encodeRevision, GET_ENTRIES_HEADER, REPLACE_COUNTERS_POINTER } from '../wire/xtables/replace.js'
import { decodeTableInfo, TABLE_INFO_SIZE, type TableInfo } from '../wire/xtables/table.js'
import { loadTablesModule } from './load-module.js'
import { tablesError } from './missing.js'

const SOCK_DGRAM = 2

/**
 * Socket domain, option level, and the option numbers that differ: the two families' bases are the same, but
 * IP6T_SO_GET_REVISION_MATCH leaves room for two options that IPv6 once had (netfilter_ipv6/ip6_tables.h).
 */
const ABI = {
  ipv4: { domain: 2, level: 0, revision: { match: 66, target: 67 } },
  ipv6: { domain: 10, level: 41, revision: { match: 68, target: 69 } },
} as const
const SO_SET_REPLACE = 64
const SO_SET_ADD_COUNTERS = 65
const SO_GET_INFO = 64
const SO_GET_ENTRIES = 65

/** A socket that speaks the table ABI of one family in one namespace. Every option needs CAP_NET_ADMIN there. */
export class XtablesSocket {
  readonly family: IpFamily
  readonly #descriptor: RawDescriptor

  private constructor(family: IpFamily, descriptor: RawDescriptor) {
    this.family = family
    this.#descriptor = descriptor
  }

  /** Opens one in the namespace of a descriptor, -1 for this process's own. A datagram socket will do, and needs no CAP_NET_RAW. */
  static open(family: IpFamily, netns = -1): XtablesSocket {
    return new XtablesSocket(family, checkDescriptor(addon.socket(ABI[family].domain, SOCK_DGRAM, 0, netns), 'socket', `opening an ${family} socket`))
  }

  /**
   * GET_INFO. In a namespace that has no such table yet the kernel makes it. Loads ip_tables or ip6_tables first, if need be.
   * @throws NfkitError EPERM, NFKIT_LEGACY_TABLES_MISSING
   */
  info(table: string): TableInfo {
    const bytes = new Uint8Array(TABLE_INFO_SIZE)
    bytes.set(new TextEncoder().encode(table))
    const ask = () => this.#descriptor.getOption(ABI[this.family].level, SO_GET_INFO, bytes)
    let result = ask()
    if (result === -Errno.ENOPROTOOPT && loadTablesModule(this.family)) result = ask()
    if (result < 0) throw tablesError(-result, 'getsockopt', this.family, table)
    return decodeTableInfo(inputOf(bytes))
  }

  /** GET_ENTRIES; undefined when the table's size is another one by now. */
  entries(info: TableInfo): Uint8Array | undefined {
    const bytes = encodeGetEntries(info.name, info.size)
    const result = this.#descriptor.getOption(ABI[this.family].level, SO_GET_ENTRIES, bytes)
    if (result === -Errno.EAGAIN) return undefined
    if (result < 0) throw tablesError(-result, 'getsockopt', this.family, info.name)
    return bytes.subarray(GET_ENTRIES_HEADER)
  }

  /**
   * SET_REPLACE: all or nothing. Answers the counters of the old entries; undefined when the table has not as many as
   * `oldEntries` by now (EAGAIN).
   */
  replace(table: string, assembled: AssembledTable, oldEntries: number): Uint8Array | undefined {
    const request = encodeReplace(table, assembled, oldEntries)
    const counters = counterArray(oldEntries)
    const result = this.#descriptor.setOption(ABI[this.family].level, SO_SET_REPLACE, request, [request, REPLACE_COUNTERS_POINTER, counters])
    if (result === -Errno.EAGAIN) return undefined
    if (result < 0) throw tablesError(-result, 'setsockopt', this.family, table, `replacing table ${table}`)
    return counters
  }

  /**
   * SET_ADD_COUNTERS: gives entries their counters back.
   * @throws NfkitError NFKIT_COUNTERS_LOST, `committed`: the table itself has been replaced by then
   */
  addCounters(table: string, assembled: AssembledTable, old: Uint8Array): void {
    const result = this.#descriptor.setOption(ABI[this.family].level, SO_SET_ADD_COUNTERS, encodeAddCounters(table, assembled, old))
    if (result < 0) {
      const cause = NfkitError.fromErrno(-result, 'setsockopt', `giving the rules of table ${table} their counters back`)
      throw new NfkitError('NFKIT_COUNTERS_LOST', `table ${table} has been changed, but its rules count from zero: ${cause.message}`,
        { errno: -result, syscall: 'setsockopt', committed: true, hint: 'the change stands, do not make it again', cause })
    }
  }

  /** GET_REVISION_MATCH, GET_REVISION_TARGET: whether the kernel has a revision, after it tried to load the module. */
  hasRevision(kind: 'match' | 'target', name: string, revision: number): boolean {
    const { level, revision: options } = ABI[this.family]
    const result = this.#descriptor.getOption(level, options[kind], encodeRevision(name, revision))
    if (result === -Errno.ENOENT || result === -Errno.EPROTONOSUPPORT) return false
    if (result < 0) throw tablesError(-result, 'getsockopt', this.family, undefined)
    return true
  }

  /** Another option of the same socket: what the names of ipset are asked with. A negative errno on failure. */
  getOption(level: number, name: number, value: Uint8Array): number {
    return this.#descriptor.getOption(level, name, value)
  }

  get closed(): boolean { return this.#descriptor.fd < 0 }

  close(): void { check(this.#descriptor.close(), 'close') }
}
