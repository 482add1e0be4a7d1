// SPDX-License-Identifier: MIT
// iptables-legacy as the judge of rules: it makes the same rules in a namespace, and its blob and its text are compared.

import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import type { Netns } from '../../lib/index.js'
import { addon, check, checkDescriptor } from '../../lib/native.js'
import { inputOf } from '../../lib/wire/bytes.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { entryAt, entryLayouts, extensionAt } from '../../lib/wire/xtables/entry.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import type { Resolver } from '../../lib/wire/xtables/payload.js'
import { decodeTableInfo, type HookName, HOOKS, type TableInfo } from '../../lib/wire/xtables/table.js'
import { decodeRule, encodeRule, printRule, type Rule, type RuleEnvironment, sameRule } from '../../lib/wire/xtables/rule.js'
import { feed, run } from './outside.js'

/** Names from this machine's own files, as the C library reads them. */
export const systemNames: Resolver = {
  servicePort: (name, protocol) => fileRows('/etc/services').find((row) => row[0] === name && row[1]?.endsWith(protocol === 17 ? '/udp' : '/tcp') === true)?.slice(1, 2).map((port) => Number.parseInt(port, 10))[0],
  protocolNumber: (name) => numberOf('/etc/protocols', name),
  protocolName: (number) => fileRows('/etc/protocols').find((row) => Number(row[1]) === number)?.[0],
  hostAddresses: () => [],
  userId: (name) => idOf('/etc/passwd', name),
  userName: (id) => nameOf('/etc/passwd', id),
  groupId: (name) => idOf('/etc/group', name),
  groupName: (id) => nameOf('/etc/group', id),
  lookup: (file, name) => lookupRows(file).find((row) => row[1] === name)?.slice(0, 1).map(Number)[0],
  lookupName: (file, number) => lookupRows(file).find((row) => Number(row[0]) === number)?.[1],
}

function fileRows(path: string): string[][] {
  try {
    return readFileSync(path, 'utf8').split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/)).filter((row) => row.length > 1)
  } catch { return [] }
}
// connlabel.conf is read by its own library, which is not there on every machine.
const lookupRows = (file: string) => (file.startsWith('/etc/iproute2/') ? fileRows(file) : [])
const numberOf = (path: string, name: string) => fileRows(path).filter((row) => row[0] === name || row.slice(2).includes(name)).map((row) => Number(row[1]))[0]
const accounts = (path: string) => readFileSync(path, 'utf8').split('\n').map((line) => line.split(':')).filter((row) => row.length > 2)
const idOf = (path: string, name: string) => accounts(path).filter((row) => row[0] === name).map((row) => Number(row[2]))[0]
const nameOf = (path: string, id: number) => accounts(path).find((row) => Number(row[2]) === id)?.[0]

const GET_INFO = 64
const GET_ENTRIES = 65

/** The blob of a table and its description, read as iptables does. */
export function readTable(netns: Netns, family: IpFamily, table: string): { blob: Uint8Array; info: TableInfo } {
  const level = family === 'ipv4' ? 0 : 41
  const socket = checkDescriptor(addon.socket(family === 'ipv4' ? 2 : 10, 3, 255, netns.fd), 'socket')
  try {
    const info = new Uint8Array(84)
    info.set(new TextEncoder().encode(table))
    check(socket.getOption(level, GET_INFO, info), 'getsockopt')
    const size = inputOf(info).view.getUint32(80, true)
    const entries = new Uint8Array(40 + size)
    entries.set(new TextEncoder().encode(table))
    inputOf(entries).view.setUint32(32, size, true)
    check(socket.getOption(level, GET_ENTRIES, entries), 'getsockopt')
    return { blob: entries.slice(40), info: decodeTableInfo(inputOf(info)) }
  } finally {
    socket.close()
  }
}

/** Adds an object of nfacct by a message of its own: NFNL_MSG_ACCT_NEW with NFACCT_NAME (include/uapi/linux/netfilter/nfnetlink_acct.h). */
export function addAccounting(netns: Netns, name: string): void {
  const NETLINK_NETFILTER = 12
  const socket = checkDescriptor(addon.socket(16, 3, NETLINK_NETFILTER, netns.fd), 'socket')
  try {
    const message = new Uint8Array(20 + 4 + ((name.length + 4) & ~3))
    const { view } = inputOf(message)
    view.setUint32(0, message.length, true)
    view.setUint16(4, 7 << 8, true)
    view.setUint16(6, 0x405, true)
    view.setUint16(20, 4 + name.length + 1, true)
    view.setUint16(22, 1, true)
    message.set(new TextEncoder().encode(name), 24)
    check(socket.send(message, 0), 'sendmsg')
    const answer = new Uint8Array(256)
    check(socket.receive(answer, 0, 0), 'recvmsg')
    check(inputOf(answer).view.getInt32(16, true), 'NFNL_MSG_ACCT_NEW')
  } finally {
    socket.close()
  }
}

/** Splits a rule's text into words as iptables-restore does. */
export function wordsOf(text: string): string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map((match) => match[2] ?? match[1]!.replace(/\\(.)/g, '$1'))
}

/** One rule on the four paths, beside what iptables-legacy makes of it. */
export interface Judged {
  readonly rule: string
  /** Bytes in hexadecimal; the same when all that differs does not count. */
  readonly mine: string
  readonly theirs: string
  readonly printed: string
  readonly theirPrint: string | undefined
  readonly value: Rule
  /** The bytes that the value makes. */
  readonly again: string
}

/**
 * Gives rules to iptables-legacy-restore, reads back what it sent and what it prints, and takes the four paths beside it: text to
 * bytes, bytes to text, bytes to value, value to bytes. Throws when iptables refuses one.
 */
export function judgeRules(netns: Netns, family: IpFamily, table: string, chain: HookName, rules: readonly string[], resolver = systemNames): Judged[] {
  const six = family === 'ipv6' ? 'ip6' : 'ip'
  feed(netns, [`*${table}`, `-F ${chain}`, ...rules.map((rule) => `-A ${chain} ${rule}`), 'COMMIT', ''].join('\n'), `${six}tables-legacy-restore`, '-n')
  const lines = run(netns, `${six}tables-legacy-save`, '-t', table).split('\n')
  const printed = lines.filter((line) => line.startsWith(`-A ${chain}`))
  const layout = entryLayouts[family]
  const { blob, info } = readTable(netns, family, table)
  const input = inputOf(blob)
  const chains = lines.filter((line) => line.startsWith(':')).map((line) => line.slice(1).split(' ')[0]!)
  const environment: RuleEnvironment = { family, table, chain, resolver, isChain: (name) => chains.includes(name) }
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  let at = info.hookEntries[HOOKS.indexOf(chain)]!
  return rules.map((rule, i) => {
    const entry = entryAt(layout, input, at, blob.length)
    at = entry.end
    const theirs = blob.slice(entry.start, entry.end)
    theirs.fill(0, layout.comefrom, layout.comefrom + 4)
    const target = extensionAt(input, entry.target, entry.end)
    // A rule without target, and a jump, hold an offset of their table.
    if (target.name === '' && input.view.getInt32(target.start, true) >= 0) theirs.fill(0, target.start - entry.start, target.start - entry.start + 4)
    const mine = parseRule(wordsOf(rule), environment).rules[0]!
    const value = decodeRule(mine, environment)
    return {
      rule, mine: hex(mine.bytes), theirs: sameRule({ bytes: theirs, chain: mine.chain }, mine, family) ? hex(mine.bytes) : hex(theirs),
      printed: `-A ${chain}${printRule(mine, environment)}`, theirPrint: printed[i], value, again: hex(encodeRule(value, environment).bytes),
    }
  })
}

/** Holds the four paths against iptables-legacy, as {@link judgeRules} takes them. */
export function judge(t: Test, netns: Netns, family: IpFamily, table: string, chain: HookName, rules: readonly string[], resolver = systemNames): void {
  for (const { rule, mine, theirs, printed, theirPrint, value, again } of judgeRules(netns, family, table, chain, rules, resolver)) {
    t.equal(mine, theirs, `${rule}: bytes`)
    t.equal(printed, theirPrint, `${rule}: text`)
    t.equal(again, mine, `${rule}: value ${JSON.stringify(value)}`)
  }
}
