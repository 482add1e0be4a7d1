// SPDX-License-Identifier: MIT
// Why rules may not do what somebody expects, in plain words: tables that the kernel lacks, rules of nft beside them, bridged traffic
// that passes by, a lock that cannot be taken.

import { NfkitError } from '../errors.js'
import { type DumpOptions, NetlinkSocket, type Request } from '../netlink/socket.js'
import { readSysctl } from '../netns.js'
import { tablesMissing } from '../sockopt/missing.js'
import type { IpFamily } from '../wire/ip.js'
import { NETLINK_NETFILTER, NFGENMSG, NFT_GETRULE, NFT_GETTABLE, nftTableOf } from '../wire/nftables.js'
import { TABLE_NAMES } from '../wire/xtables/tables.js'
import type { TableAccess } from './access.js'
import { possibleTables } from './kernel.js'
import { lockPath, probeLock } from './lock.js'

/** One thing that was looked at. */
export interface NetfilterFinding {
  about: 'tables' | 'nft' | 'bridge' | 'lock'
  /** Whether it is as the legacy tables need it; undefined where it could not be found out. */
  ok: boolean | undefined
  /** What was found, a sentence. */
  text: string
  /** What to do about it. */
  hint?: string
}

/** What {@link Netfilter.check} answers. */
export interface NetfilterReport {
  family: IpFamily
  findings: NetfilterFinding[]
  /** The tables that there are in the namespace. */
  tables: string[]
  /** The tables that the kernel can make; undefined where that could not be found out. */
  possible: string[] | undefined
  /** Tables of nft in the namespace, as nft names them (`ip filter`), with their rules counted; undefined where that could not be found out. */
  nft: { table: string; rules: number }[] | undefined
  /** Whether bridged traffic of the family passes the tables; undefined without br_netfilter. */
  bridged: boolean | undefined
}

export function checkNetfilter(access: TableAccess): NetfilterReport {
  const findings: NetfilterFinding[] = []
  const { tables, possible } = checkTables(access, findings)
  const nft = checkNft(access, findings)
  const bridged = checkBridge(access, findings)
  checkLock(access, findings)
  return { family: access.family, findings, tables, possible, nft, bridged }
}

/** A finding of something that could not be looked at. */
function unknown(about: NetfilterFinding['about'], what: string, error: unknown): NetfilterFinding {
  if (!(error instanceof NfkitError)) throw error
  return { about, ok: undefined, text: `${what} could not be found out (${error.code})`, ...(error.hint === undefined ? {} : { hint: error.hint }) }
}

function checkTables(access: TableAccess, findings: NetfilterFinding[]): Pick<NetfilterReport, 'tables' | 'possible'> {
  const { family } = access
  try {
    // The second one loads ip_tables, if need be.
    const possible = possibleTables(access)
    const names = access.procList('names')
    if (names === undefined || possible?.length === 0) {
      const { message, hint } = tablesMissing(family, undefined)
      findings.push({ about: 'tables', ok: false, text: message.split(';')[0]!, hint: hint! })
      return { tables: [], possible }
    }
    const lacking = possible === undefined ? [] : TABLE_NAMES.filter((name) => !possible.includes(name))
    const inUse = names.length === 0 ? 'none is in use in this namespace' : `in use in this namespace: ${names.join(', ')}`
    findings.push({ about: 'tables', ok: true, text: `the kernel has legacy tables for ${family}; ${inUse}` })
    for (const name of lacking) {
      const { message, hint } = tablesMissing(family, name)
      findings.push({ about: 'tables', ok: false, text: message.split(';')[0]!, hint: hint! })
    }
    return { tables: names, possible }
  } catch (error) {
    findings.push(unknown('tables', `what legacy tables there are for ${family}`, error))
    return { tables: [], possible: undefined }
  }
}

function checkNft(access: TableAccess, findings: NetfilterFinding[]): NetfilterReport['nft'] {
  let found: Map<string, number>
  try {
    found = nftTables(access)
  } catch (error) {
    // EINVAL: nobody serves nf_tables; EPROTONOSUPPORT: there is no nfnetlink.
    if (error instanceof NfkitError && (error.code === 'EINVAL' || error.code === 'EPROTONOSUPPORT')) {
      findings.push({ about: 'nft', ok: true, text: 'the kernel has no nf_tables: no rules of nft can be in the way' })
      return []
    }
    findings.push(unknown('nft', 'whether rules of nft exist', error))
    return undefined
  }
  const list = [...found].map(([table, rules]) => ({ table, rules }))
  const busy = list.filter((one) => one.rules > 0)
  if (busy.length === 0) findings.push({ about: 'nft', ok: true, text: 'no rules of nft exist in this namespace' })
  else {
    findings.push({
      about: 'nft', ok: false, text: `rules of nft exist beside the legacy tables: ${busy.map((one) => `${one.rules} in ${one.table}`).join(', ')}; packets pass both, and iptables-nft shows only those`,
      hint: 'keep the rules in one of the two: "nft list ruleset" shows them, and nfkit changes the legacy tables only',
    })
  }
  return list
}

/** The rules of each table of nft. */
function nftTables({ netns }: TableAccess): Map<string, number> {
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, { netns })
  const options: DumpOptions = { partial: true }
  const request = (type: number, name: string): Request => ({ type, name, doing: 'listing the tables of nft', write: (w) => { w.reserve(NFGENMSG) } })
  const dump = (what: Request) => socket.dump<string>(what, (input, msg, into) => {
    const table = nftTableOf(input, msg)
    if (table !== undefined) into.push(table)
  }, options)
  try {
    const found = new Map(dump(request(NFT_GETTABLE, 'NFT_MSG_GETTABLE')).map((table) => [table, 0]))
    for (const table of dump(request(NFT_GETRULE, 'NFT_MSG_GETRULE'))) found.set(table, (found.get(table) ?? 0) + 1)
    return found
  } finally {
    socket.close()
  }
}

function checkBridge(access: TableAccess, findings: NetfilterFinding[]): boolean | undefined {
  const name = `net/bridge/bridge-nf-call-${access.family === 'ipv4' ? 'iptables' : 'ip6tables'}`
  try {
    const on = readSysctl(name, access.netns) !== '0'
    findings.push(on
      ? { about: 'bridge', ok: true, text: `what bridges forward passes the ${access.family} tables` }
      : { about: 'bridge', ok: false, text: `what bridges forward passes by the ${access.family} tables, but for bridges that have it switched on`, hint: `set the sysctl ${name.replaceAll('/', '.')} to 1, or the bridge's own switch` })
    return on
  } catch (error) {
    if (!(error instanceof NfkitError)) throw error
    findings.push(error.code === 'ENOENT'
      ? { about: 'bridge', ok: false, text: 'what bridges forward passes by the tables: the kernel has no br_netfilter', hint: 'it needs the module br_netfilter (modprobe br_netfilter), CONFIG_BRIDGE_NETFILTER' }
      : unknown('bridge', 'whether bridged traffic passes the tables', error))
    return undefined
  }
}

function checkLock({ lock }: TableAccess, findings: NetfilterFinding[]): void {
  if (lock === 'off') {
    findings.push({ about: 'lock', ok: false, text: 'no lock is taken: a change that another program makes at the same moment can be lost', hint: 'leave out lock: \'off\' unless nothing else changes these tables' })
    return
  }
  try {
    probeLock(lock)
    findings.push({ about: 'lock', ok: true, text: `the lock ${lockPath(lock)} can be taken` })
  } catch (error) {
    if (!(error instanceof NfkitError)) throw error
    findings.push({ about: 'lock', ok: false, text: error.message.split(';')[0]!, ...(error.hint === undefined ? {} : { hint: error.hint }) })
  }
}
