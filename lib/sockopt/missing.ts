// SPDX-License-Identifier: MIT
// What the errors of the table ABI mean.

import { errnoName } from '../errno.js'
import { NfkitError } from '../errors.js'
import type { IpFamily } from '../wire/ip.js'
import { TABLE_NAMES } from '../wire/xtables/tables.js'

const PREFIX = { ipv4: 'ip', ipv6: 'ip6' } as const
const OPTION = { ipv4: 'IP_NF', ipv6: 'IP6_NF' } as const

/** The module of a table. */
export function tableModule(family: IpFamily, table: string): string {
  return `${PREFIX[family]}table_${table}`
}

/** The error of a kernel that has no legacy tables of a family, or not this one. */
export function tablesMissing(family: IpFamily, table: string | undefined, options: { errno?: number; syscall?: string; cause?: unknown } = {}): NfkitError {
  const { [family]: prefix } = PREFIX
  const all = `${prefix}_tables (CONFIG_${OPTION[family]}_IPTABLES; from Linux 6.17 on also CONFIG_NETFILTER_XTABLES_LEGACY and CONFIG_${OPTION[family]}_IPTABLES_LEGACY)`
  const one = table === undefined ? undefined : `${tableModule(family, table)} (CONFIG_${OPTION[family]}_${table.toUpperCase()})`
  const what = one === undefined ? `this kernel has no legacy tables for ${family}` : `this kernel has no ${table} table for ${family}`
  if (table !== undefined && !(TABLE_NAMES as readonly string[]).includes(table)) return new NfkitError('NFKIT_LEGACY_TABLES_MISSING', what, { hint: `there are ${TABLE_NAMES.join(', ')}`, ...options })
  return new NfkitError('NFKIT_LEGACY_TABLES_MISSING', what,
    { hint: `it needs the module ${one ?? all}: modprobe ${one === undefined ? `${prefix}_tables` : tableModule(family, table!)}`, ...options })
}

const HINTS: Readonly<Record<string, string>> = {
  EINVAL: 'a match or target refused its options or its chain; the kernel log says which (dmesg)',
  ELOOP: 'its chains form a loop',
  ENOENT: 'the kernel lacks a match or target of it, or a revision',
  ENOMEM: 'the kernel could not allocate that many rules; the table is as it was',
}

/** The typed error of a refused option; without a table it was about a match or target. */
export function tablesError(errno: number, syscall: string, family: IpFamily, table: string | undefined, doing?: string): NfkitError {
  const code = errnoName(errno)
  // Nobody serves these options: ip_tables is neither built in nor loaded.
  if (code === 'ENOPROTOOPT') return tablesMissing(family, undefined, { errno, syscall })
  if (code === 'ENOENT' && doing === undefined) return tablesMissing(family, table, { errno, syscall })
  const detail = doing ?? (table === undefined ? 'asking what extensions the kernel has' : `reading table ${table}`)
  const hint = doing === undefined ? undefined : HINTS[code]
  return NfkitError.fromErrno(errno, syscall, detail, hint === undefined ? {} : { hint })
}
