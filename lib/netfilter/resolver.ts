// SPDX-License-Identifier: MIT
// The names of this machine that rules are written with, from the files that the C library reads, and the names of sets from the
// kernel. Host names come from /etc/hosts alone: a name server would have to be waited for, and a rule that depends on it can be
// another one tomorrow. Whoever wants that looks the name up first and gives the address.

import { readdirSync, readFileSync } from 'node:fs'
import type { XtablesSocket } from '../sockopt/xtables.js'
import { LITTLE_ENDIAN } from '../wire/bytes.js'
import { parseIp } from '../wire/ip.js'
import type { Resolver } from '../wire/xtables/payload.js'

/** A resolver that reads each file at most once: made for one operation, it sees one state of the machine. */
export function systemResolver(socket: XtablesSocket): Resolver {
  const tables = new Map<string, readonly string[][]>()
  const rows = (path: string, separator?: string): readonly string[][] => {
    let found = tables.get(path)
    if (found === undefined) tables.set(path, found = readRows(path, separator))
    return found
  }
  const protocols = () => rows('/etc/protocols')
  const protocolName = (number: number) => protocols().find((row) => row[1] === String(number))?.[0]
  const services = new Map<string, number>()
  const accounts = (path: string, field: number, value: string) => rows(path, ':').find((row) => row.length > 2 && row[field] === value)

  return {
    servicePort(name, protocol) {
      const key = `${name} ${protocol}`
      let port = services.get(key)
      if (port === undefined) {
        const suffix = protocol === 0 ? undefined : `/${protocolName(protocol) ?? protocol}`
        const row = rows('/etc/services').find((one) => (one[0] === name || one.indexOf(name, 2) > 0) && (suffix === undefined || one[1]!.endsWith(suffix)))
        if (row === undefined) return undefined
        port = Number.parseInt(row[1]!, 10)
        services.set(key, port)
      }
      return Number.isInteger(port) && port >= 0 && port <= 65535 ? port : undefined
    },
    protocolNumber(name) {
      const row = protocols().find((one) => one[0] === name || one.indexOf(name, 2) > 0)
      return row === undefined || !/^\d+$/.test(row[1]!) ? undefined : Number(row[1])
    },
    protocolName,
    hostAddresses(name, family) {
      const wanted = name.toLowerCase()
      return rows('/etc/hosts').flatMap(([address, ...names]) => {
        if (!names.some((one) => one.toLowerCase() === wanted)) return []
        try { return [parseIp(address!, 'address', family)] } catch { return [] }
      })
    },
    userId: (name) => idOf(accounts('/etc/passwd', 0, name)),
    userName: (id) => accounts('/etc/passwd', 2, String(id))?.[0],
    groupId: (name) => idOf(accounts('/etc/group', 0, name)),
    groupName: (id) => accounts('/etc/group', 2, String(id))?.[0],
    lookup(file, name) {
      if (file === 'ipset') return setByName(socket, name)
      const row = namedRows(file, rows).find((one) => one[1] === name)
      return row === undefined ? undefined : tableNumber(row[0]!)
    },
    lookupName(file, number) {
      if (file === 'ipset') return setByIndex(socket, number)
      return namedRows(file, rows).find((one) => tableNumber(one[0]!) === number)?.[1]
    },
  }
}

/** The words of each line, without comments; nothing of a file that cannot be read. */
function readRows(path: string, separator?: string): string[][] {
  let text: string
  try { text = readFileSync(path, 'utf8') } catch { return [] }
  return text.split('\n').flatMap((line) => {
    const row = separator === undefined ? line.replace(/#.*/, '').trim().split(/\s+/) : line.split(separator)
    return row.length > 1 ? [row] : []
  })
}

/** A table of number and name; iproute2 keeps its own below /usr since 6.7, and more of them in directories beside. */
function namedRows(file: string, rows: (path: string) => readonly string[][]): readonly string[][] {
  const found = [...rows(file)]
  if (!file.startsWith('/etc/iproute2/')) return found
  if (found.length === 0) found.push(...rows(file.replace('/etc/', '/usr/share/')))
  let more: string[] = []
  try { more = readdirSync(`${file}.d`).filter((name) => name.endsWith('.conf')).sort() } catch { /* there is none */ }
  for (const name of more) found.push(...rows(`${file}.d/${name}`))
  return found
}

function tableNumber(text: string): number | undefined {
  return /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : undefined
}

function idOf(row: readonly string[] | undefined): number | undefined {
  return row !== undefined && /^\d+$/.test(row[2]!) ? Number(row[2]) : undefined
}

/** The requests of ipset's socket option (include/uapi/linux/netfilter/ipset/ip_set.h). */
const SO_IP_SET = 83
const IP_SET_OP = { version: 0x100, byName: 6, byIndex: 7, withFamily: 8 } as const
/** Where the name or number is: behind the operation and the version, and with a family behind that, too. */
const SET = 8
const FAMILY = 8
const SET_WITH_FAMILY = 12
const NAME_LENGTH = 32
const NO_SET = 0xffff
/** NFPROTO_UNSPEC: a set of ports or of other sets is for both families. */
const BOTH = 0
const NFPROTO = { ipv4: 2, ipv6: 10 } as const

/** struct ip_set_req_get_set, or the one with a family: asks, and answers what came back; undefined when the kernel does not know. */
function askSets(socket: XtablesSocket, operation: number, size: number, fill: (view: DataView, bytes: Uint8Array) => void): { view: DataView; bytes: Uint8Array } | undefined {
  const version = new DataView(new ArrayBuffer(8))
  version.setUint32(0, IP_SET_OP.version, LITTLE_ENDIAN)
  const asked = socket.getOption(0, SO_IP_SET, new Uint8Array(version.buffer))
  if (asked < 0) return undefined
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, operation, LITTLE_ENDIAN)
  view.setUint32(4, version.getUint32(4, LITTLE_ENDIAN), LITTLE_ENDIAN)
  fill(view, bytes)
  return socket.getOption(0, SO_IP_SET, bytes) < 0 ? undefined : { view, bytes }
}

/** A set of the socket's family: one of the other family would never match. */
function setByName(socket: XtablesSocket, name: string): number | undefined {
  const data = new TextEncoder().encode(name)
  if (data.length === 0 || data.length >= NAME_LENGTH) return undefined
  const found = askSets(socket, IP_SET_OP.withFamily, SET_WITH_FAMILY + NAME_LENGTH, (_view, bytes) => bytes.set(data, SET_WITH_FAMILY))?.view
  const family = found?.getUint32(FAMILY, LITTLE_ENDIAN)
  // Linux before 3.7 does not tell the family.
  const index = found?.getUint16(SET_WITH_FAMILY, LITTLE_ENDIAN)
    ?? askSets(socket, IP_SET_OP.byName, SET + NAME_LENGTH, (_view, bytes) => bytes.set(data, SET))?.view.getUint16(SET, LITTLE_ENDIAN)
  if (index === NO_SET || (family !== undefined && family !== BOTH && family !== NFPROTO[socket.family])) return undefined
  return index
}

function setByIndex(socket: XtablesSocket, index: number): string | undefined {
  const found = askSets(socket, IP_SET_OP.byIndex, SET + NAME_LENGTH, (view) => view.setUint16(SET, index, LITTLE_ENDIAN))?.bytes.subarray(SET)
  if (found === undefined) return undefined
  const nul = found.indexOf(0)
  return nul === 0 ? undefined : new TextDecoder().decode(nul < 0 ? found : found.subarray(0, nul))
}
