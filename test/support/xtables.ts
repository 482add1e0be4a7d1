// SPDX-License-Identifier: MIT
// iptables-legacy as the judge of rules: it makes the same rules in a namespace, and its blob and its text are compared.

import { readFileSync } from 'node:fs'
import type { Test } from 'tap'
import type { Netns } from '../../lib/index.js'
import { addon, check, checkDescriptor } from '../../lib/native.js'
import { inputOf } from '../../lib/wire/bytes.js'
import type { IpFamily } from '../../lib/wire/ip.js'
import { entryAt, entryLayouts, type EntrySpan, extensionAt } from '../../lib/wire/xtables/entry.js'
import { parseRule } from '../../lib/wire/xtables/parse.js'
import type { Resolver } from '../../lib/wire/xtables/payload.js'
import { decodeTableInfo, type HookName, HOOKS, type TableInfo } from '../../lib/wire/xtables/table.js'
import { decodeRule, encodeRule, printRule, type RuleEnvironment, sameRule } from '../../lib/wire/xtables/rule.js'
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

/** Splits a rule's text into words as iptables-restore does. */
export function wordsOf(text: string): string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map((match) => match[2] ?? match[1]!.replace(/\\(.)/g, '$1'))
}

/**
 * Gives rules to iptables-legacy-restore, reads back what it sent and what it prints, and holds the four paths against it:
 * text to bytes, bytes to text, bytes to value, value to bytes.
 */
export function judge(t: Test, netns: Netns, family: IpFamily, table: string, chain: HookName, rules: readonly string[], resolver = systemNames): void {
  const six = family === 'ipv6' ? 'ip6' : 'ip'
  feed(netns, [`*${table}`, `-F ${chain}`, ...rules.map((rule) => `-A ${chain} ${rule}`), 'COMMIT', ''].join('\n'), `${six}tables-legacy-restore`, '-n')
  const printed = run(netns, `${six}tables-legacy-save`, '-t', table).split('\n').filter((line) => line.startsWith(`-A ${chain}`))
  const layout = entryLayouts[family]
  const { blob, info } = readTable(netns, family, table)
  const input = inputOf(blob)
  const chains = run(netns, `${six}tables-legacy-save`, '-t', table).split('\n').filter((line) => line.startsWith(':')).map((line) => line.slice(1).split(' ')[0]!)
  const environment: RuleEnvironment = { family, table, chain, resolver, isChain: (name) => chains.includes(name) }
  const entries: EntrySpan[] = []
  for (let at = info.hookEntries[HOOKS.indexOf(chain)]!; entries.length < rules.length;) {
    const entry = entryAt(layout, input, at, blob.length)
    entries.push(entry)
    at = entry.end
  }
  const ours = rules.map((rule) => parseRule(wordsOf(rule), environment).rules[0]!)
  rules.forEach((rule, i) => {
    const entry = entries[i]!
    const theirs = blob.slice(entry.start, entry.end)
    theirs.fill(0, layout.comefrom, layout.comefrom + 4)
    const target = extensionAt(input, entry.target, entry.end)
    // A rule without target, and a jump, hold an offset of their table.
    if (target.name === '' && input.view.getInt32(target.start, true) >= 0) theirs.fill(0, target.start - entry.start, target.start - entry.start + 4)
    const mine = ours[i]!
    const exact = Buffer.from(theirs).equals(mine.bytes)
    if (!exact && !sameRule({ bytes: theirs, chain: mine.chain }, mine, family)) {
      t.equal(Buffer.from(mine.bytes).toString('hex'), Buffer.from(theirs).toString('hex'), `${rule}: bytes`)
    } else t.pass(`${rule}: bytes`)
    t.equal(`-A ${chain}${printRule(mine, environment)}`, printed[i], `${rule}: text`)
    const value = decodeRule(mine, environment)
    t.equal(Buffer.from(encodeRule(value, environment).bytes).toString('hex'), Buffer.from(mine.bytes).toString('hex'), `${rule}: value ${JSON.stringify(value)}`)
  })
}
