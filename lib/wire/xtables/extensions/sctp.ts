// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { bit, type Not, property, type PropertyType, requireInteger } from '../property.js'
import { type PortRange, ports } from '../types.js'

/** Chunk types (RFC 9260 section 3.2 and its extensions). */
const CHUNKS = {
  DATA: 0, INIT: 1, INIT_ACK: 2, SACK: 3, HEARTBEAT: 4, HEARTBEAT_ACK: 5, ABORT: 6, SHUTDOWN: 7, SHUTDOWN_ACK: 8, ERROR: 9, COOKIE_ECHO: 10,
  COOKIE_ACK: 11, ECN_ECNE: 12, ECN_CWR: 13, SHUTDOWN_COMPLETE: 14, I_DATA: 64, RE_CONFIG: 130, PAD: 132, ASCONF: 193, ASCONF_ACK: 128,
  FORWARD_TSN: 192, I_FORWARD_TSN: 194,
} as const
export type SctpChunk = keyof typeof CHUNKS

/** The flags of chunks of which flags can be told, by their bits. */
const DATA_FLAGS = { I: 8, U: 4, B: 2, E: 1 } as const
const ABORT_FLAGS = { T: 1 } as const
export type SctpFlag = keyof typeof DATA_FLAGS | keyof typeof ABORT_FLAGS

/** A chunk with flags: those of the mask are looked at, and of them those of `set` must be set. Bits without a name are a number. */
export interface SctpChunkFlags {
  chunk: SctpChunk | number
  mask: (SctpFlag | number)[]
  set: (SctpFlag | number)[]
}

/** What the packet must have of the chunks: any of them, all of them, or all of them and no others. */
export interface SctpChunks {
  match: 'any' | 'all' | 'only'
  /** Names or numbers from 0 to 255. Flags can be told of DATA, ABORT and SHUTDOWN_COMPLETE. */
  types: 'ALL' | (SctpChunk | number | SctpChunkFlags)[]
}

/** `-m sctp` (xt_sctp_info, include/uapi/linux/netfilter/xt_sctp.h). Needs the protocol sctp. */
export interface SctpMatch {
  /** Source ports `[from, to]`. */
  sourcePorts?: PortRange | Not<PortRange>
  destinationPorts?: PortRange | Not<PortRange>
  chunks?: SctpChunks | Not<SctpChunks>
}

declare module '../extension.js' {
  interface Matches { sctp: SctpMatch }
}

const MAP = 8
/** The map has room for 2048 chunks, of which there are 256. */
const MAP_LENGTH = 256
const MATCH = 264
const MATCHES = { any: 1, all: 2, only: 4 } as const
/** Four of chunk type, flags, mask. */
const FLAG_INFO = 268
const MOST_FLAGS = 4
const FLAG_COUNT = 280
const FLAGS = 284
const INVERT = 288

const chunkNames = Object.keys(CHUNKS) as SctpChunk[]
const nameOf = (chunk: number): SctpChunk | number => chunkNames.find((name) => CHUNKS[name] === chunk) ?? chunk

/**
 * What a flag letter means. iptables knows I_DATA's, too, but notes them under another chunk's number, and cannot print them under
 * the right one: those are not written here.
 */
function flagsOf(chunk: number): Readonly<Record<string, number>> {
  if (chunk === CHUNKS.DATA || chunk === CHUNKS.I_DATA) return DATA_FLAGS
  return chunk === CHUNKS.ABORT || chunk === CHUNKS.SHUTDOWN_COMPLETE ? ABORT_FLAGS : {}
}
const canHaveFlags = (chunk: number) => chunk !== CHUNKS.I_DATA && Object.keys(flagsOf(chunk)).length > 0

interface FlagInfo { chunk: number; flags: number; mask: number }

/** Of the chunks that are in the map; of several entries for one chunk the kernel takes the first. */
function readFlags(p: Payload): FlagInfo[] {
  const list: FlagInfo[] = []
  // The count is an int; bytes beyond what the struct can hold are not there.
  for (let i = 0; i < Math.min(p.u32(FLAG_COUNT) | 0, MOST_FLAGS); i++) {
    const at = FLAG_INFO + 3 * i
    const one = { chunk: p.u8(at), flags: p.u8(at + 1), mask: p.u8(at + 2) }
    if (has(p, one.chunk) && !list.some(({ chunk }) => chunk === one.chunk)) list.push(one)
  }
  return list
}

const has = (p: Payload, chunk: number) => (p.u8(MAP + (chunk >> 3)) & (1 << (chunk & 7))) !== 0
const add = (p: Payload, chunk: number) => p.setU8(MAP + (chunk >> 3), p.u8(MAP + (chunk >> 3)) | (1 << (chunk & 7)))
const chunksIn = (p: Payload) => Array.from({ length: 256 }, (_, chunk) => chunk).filter((chunk) => has(p, chunk))
const allSet = (p: Payload) => p.slice(MAP, MAP_LENGTH).every((byte) => byte === 0xff)

/** There is room for four; only three chunks have flags. */
function addFlags(p: Payload, { chunk, flags, mask }: FlagInfo): void {
  const count = p.u32(FLAG_COUNT)
  let i = 0
  while (i < count && p.u8(FLAG_INFO + 3 * i) !== chunk) i++
  const at = FLAG_INFO + 3 * i
  if (i === count) p.setU32(FLAG_COUNT, count + 1)
  p.setU8(at, chunk)
  p.setU8(at + 1, p.u8(at + 1) | flags)
  p.setU8(at + 2, p.u8(at + 2) | mask)
}

function bitNames(bits: number, names: Readonly<Record<string, number>>): (SctpFlag | number)[] {
  const list = (Object.keys(names) as SctpFlag[]).filter((name) => (bits & names[name]!) !== 0)
  const rest = list.reduce<number>((left, name) => left & ~names[name]!, bits)
  return rest === 0 ? list : [...list, rest]
}

function bitsOf(value: unknown, names: Readonly<Record<string, number>>, name: string): number {
  if (!Array.isArray(value)) throw invalidArgument(name, 'a list of flags', value)
  return (value as unknown[]).reduce<number>((bits, one) => {
    if (typeof one === 'number') requireInteger(one, name, 0, 255)
    else if (typeof one !== 'string' || !Object.hasOwn(names, one)) throw outOfRange(name, `flags of ${Object.keys(names).join(', ') || 'none'}`, one)
    return bits | (typeof one === 'number' ? one : names[one as string]!)
  }, 0)
}

function chunkOf(value: unknown, name: string): number {
  if (typeof value === 'string') {
    if (!Object.hasOwn(CHUNKS, value)) throw outOfRange(name, `one of ${chunkNames.join(', ')} or a number`, value)
    return CHUNKS[value as SctpChunk]
  }
  requireInteger(value, name, 0, 255)
  return value
}

function encodeTypes(p: Payload, types: readonly unknown[], name: string): void {
  types.forEach((one, i) => {
    const path = `${name}[${i}]`
    if (typeof one !== 'object' || one === null) return add(p, chunkOf(one, path))
    const { chunk, mask, set } = one as Partial<SctpChunkFlags>
    const number = chunkOf(chunk, `${path}.chunk`)
    if (!canHaveFlags(number)) throw outOfRange(`${path}.chunk`, 'DATA, ABORT or SHUTDOWN_COMPLETE, the chunks with flags', chunk)
    const names = flagsOf(number)
    const [looked, wanted] = [bitsOf(mask, names, `${path}.mask`), bitsOf(set, names, `${path}.set`)]
    if ((wanted & ~looked) !== 0) throw outOfRange(`${path}.set`, 'flags that are in the mask', set)
    add(p, number)
    addFlags(p, { chunk: number, flags: wanted, mask: looked })
  })
}

function parseTypes(p: Payload, text: string, option: string): void {
  if (text.toUpperCase() === 'ALL') return p.set(MAP, new Uint8Array(MAP_LENGTH).fill(0xff))
  if (text.toUpperCase() === 'NONE') return
  for (const part of text.split(',')) {
    if (part === '') continue
    const colon = part.indexOf(':')
    const name = (colon < 0 ? part : part.slice(0, colon)).toUpperCase()
    if (!Object.hasOwn(CHUNKS, name)) throw new RuleError(`${option}: expected chunks of ${chunkNames.join(', ')}, got "${part}"`)
    const chunk = CHUNKS[name as SctpChunk]
    add(p, chunk)
    for (const letter of colon < 0 ? '' : part.slice(colon + 1)) {
      const flag = canHaveFlags(chunk) ? flagsOf(chunk)[letter.toUpperCase()] : undefined
      if (flag === undefined) throw new RuleError(`${option}: ${name} has no flag "${letter}" that could be told`)
      addFlags(p, { chunk, mask: flag, flags: letter === letter.toUpperCase() ? flag : 0 })
    }
  }
}

function printFlags({ chunk, flags, mask }: FlagInfo): string {
  if (mask === 0) return ''
  const names = flagsOf(chunk)
  let text = ''
  for (let one = 0x80; one !== 0; one >>= 1) {
    if ((mask & one) === 0) continue
    const letter = Object.keys(names).find((name) => names[name] === one) ?? '-'
    text += (flags & one) !== 0 ? letter : letter.toLowerCase()
  }
  return `:${text}`
}

const chunks: PropertyType<SctpChunks> = {
  decode(p) {
    const match = (Object.keys(MATCHES) as SctpChunks['match'][]).find((name) => MATCHES[name] === p.u32(MATCH))
    if (match === undefined) return undefined
    if (allSet(p)) return { match, types: 'ALL' }
    const flagged = readFlags(p)
    return {
      match,
      types: [
        ...flagged.map(({ chunk, flags, mask }) => ({ chunk: nameOf(chunk), mask: bitNames(mask, flagsOf(chunk)), set: bitNames(flags, flagsOf(chunk)) })),
        ...chunksIn(p).filter((chunk) => !flagged.some((one) => one.chunk === chunk)).map(nameOf),
      ],
    }
  },
  encode(p, value, name) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(MATCHES, value.match)) throw invalidArgument(name, 'an object with match (any, all or only) and types', value)
    p.setU32(MATCH, MATCHES[value.match])
    if (value.types === 'ALL') p.set(MAP, new Uint8Array(MAP_LENGTH).fill(0xff))
    else if (Array.isArray(value.types)) encodeTypes(p, value.types, `${name}.types`)
    else throw invalidArgument(`${name}.types`, "'ALL' or a list of chunks", value.types)
  },
  parse(p, text, option) {
    const space = text.indexOf(' ')
    const [match, types] = [text.slice(0, space).toLowerCase(), text.slice(space + 1)]
    if (!Object.hasOwn(MATCHES, match)) throw new RuleError(`${option}: expected any, all or only, got "${text.slice(0, space)}"`)
    if (/^[-!]/.test(types)) throw new RuleError(`${option}: expected a list of chunks behind ${match}, got "${types}"`)
    p.setU32(MATCH, MATCHES[match as SctpChunks['match']])
    parseTypes(p, types, option)
  },
  print(p) {
    const match = (Object.keys(MATCHES) as SctpChunks['match'][]).find((name) => MATCHES[name] === p.u32(MATCH))
    if (match === undefined) return undefined
    const flagged = readFlags(p)
    // iptables has no word for a chunk without a name.
    const list = chunksIn(p).map((chunk) => `${nameOf(chunk)}${flagged.filter((one) => one.chunk === chunk).map(printFlags).join('')}`)
    return `${match} ${allSet(p) ? 'ALL' : list.join(',') || 'NONE'}`
  },
}

const always = { get: () => true }

registerExtension({
  kind: 'match', name: 'sctp', revision: 0, size: 292, protocols: [132],
  init(p) {
    for (let i = 0; i < MOST_FLAGS; i++) p.setU8(FLAG_INFO + 3 * i, 0xff)
  },
  properties: [
    property({ key: 'sourcePorts', options: ['--sport', '--source-port'], type: ports(4, 6, always), present: bit(FLAGS, 1, 4), invert: bit(INVERT, 1, 4) }),
    property({ key: 'destinationPorts', options: ['--dport', '--destination-port'], type: ports(0, 2, always), present: bit(FLAGS, 2, 4), invert: bit(INVERT, 2, 4) }),
    property({ key: 'chunks', options: ['--chunk-types'], type: chunks, present: bit(FLAGS, 4, 4), invert: bit(INVERT, 4, 4), arguments: 2 }),
  ],
})
