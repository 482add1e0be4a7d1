// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { type ByteRate, costToBytes, formatByteRate, formatBytes, parseByteRate } from '../byte-rates.js'
import { registerExtension } from '../extension.js'
import { maskLength } from '../fixed.js'
import { parsePrefixMask } from '../host.js'
import { type Payload, type RuleContext, RuleError } from '../payload.js'
import { type Bit, bit, flag, integer, type Not, property, type Property, type PropertyType, requireInteger } from '../property.js'
import { procName } from '../proc-name.js'
import { formatPacketRate, type PacketRate, parsePacketRate } from '../rates.js'
import { fromBigInt, parseUnsigned64, toBigInt, type Unsigned64 } from '../types.js'

/**
 * Packets or bytes in a time. What no such text says is read as the struct's own number: microseconds from one packet to the next (a
 * hundred of them in revision 1), or of 2^32 - 1 what sixteen bytes cost.
 */
export type HashlimitRate = PacketRate | ByteRate | { period: Unsigned64 } | { cost: Unsigned64 }

/** Bits of the mode, in the order in which they are printed (XT_HASHLIMIT_HASH_*). */
const MODES = { srcip: 4, srcport: 8, dstip: 1, dstport: 2 } as const
export type HashlimitMode = keyof typeof MODES

/**
 * `-m hashlimit` (xt_hashlimit_mtinfo3, Linux 4.12, down to revision 1, include/uapi/linux/netfilter/xt_hashlimit.h): a bucket of
 * tokens for each address or port, /proc/net/ipt_hashlimit/NAME.
 */
export interface HashlimitMatch {
  /** Matches as long as a token is left. Either this or `above` must be there. */
  upto?: HashlimitRate | Not<HashlimitRate>
  /** Matches when none is left. Read as this or `upto`, never negated. */
  above?: HashlimitRate | Not<HashlimitRate>
  /** Tokens of a bucket: 1 to 1000000 packets, 5 unless told; before revision 2 up to 10000. Of bytes, at least what the rate brings in a second. */
  burst?: Unsigned64
  /** What has a bucket of its own; one for all unless told. */
  mode?: HashlimitMode[]
  /** Addresses that share a prefix of this length have one bucket: 0 to 32, or 128 for IPv6; whole addresses unless told. */
  sourceMask?: number
  destinationMask?: number
  /** 1 to 254 bytes, before revision 2 up to 15. */
  tableName: string
  /** Buckets of the hash table, and how many entries it has at most; the kernel decides unless told. */
  tableSize?: number
  tableMax?: number
  /** Milliseconds between two looks for idle entries, from 1 on; 1000 unless told. */
  tableGcInterval?: number
  /** Milliseconds after which an idle entry goes, from 1 on; unless told the unit of the rate, and of bytes 15 s, or 60 s with `burst`. */
  tableExpire?: number
  /** Compares rates and takes no tokens (this and the next: revision 3). */
  rateMatch?: boolean
  /** Seconds over which the rate is taken, 1 to 2147483647; the unit of the rate unless told. */
  rateInterval?: number
}

declare module '../extension.js' {
  interface Matches { hashlimit: HashlimitMatch }
}

const INVERT = 16
const BYTES = 32
const RATE_MATCH = 64
const DEFAULT_BURST = 5
const DEFAULT_GC = 1000
/** Seconds. */
const BYTE_EXPIRE = 15
const BYTE_EXPIRE_BURST = 60
const LIMIT32 = 0xffffffffn

/** Where things are in one revision. */
interface Layout {
  readonly revision: 1 | 2 | 3
  readonly size: number
  readonly userSize: number
  readonly nameLength: number
  /** Of the rate and the burst. */
  readonly width: 4 | 8
  readonly rate: number
  readonly burst: number
  /** With the hash table's size, its most entries, its interval and its time behind it. */
  readonly mode: number
  readonly interval?: number
  readonly masks: number
  /** Fractions of a second in a period. */
  readonly scale: number
  readonly mostPackets: number
}

const LAYOUTS: readonly Layout[] = [
  { revision: 3, size: 312, userSize: 304, nameLength: 255, width: 8, rate: 256, burst: 264, mode: 272, interval: 292, masks: 296, scale: 1000000, mostPackets: 1000000 },
  { revision: 2, size: 304, userSize: 296, nameLength: 255, width: 8, rate: 256, burst: 264, mode: 272, masks: 292, scale: 1000000, mostPackets: 1000000 },
  // The rate and the burst are between the mode and the rest.
  { revision: 1, size: 56, userSize: 48, nameLength: 16, width: 4, rate: 20, burst: 24, mode: 16, masks: 44, scale: 10000, mostPackets: 10000 },
]

const wholeMask = ({ family }: RuleContext) => (family === 'ipv4' ? 32 : 128)

function register(layout: Layout): void {
  const { revision, width, rate: RATE, burst: BURST, mode: MODE, interval: INTERVAL, masks: MASKS, scale, mostPackets } = layout
  const SIZE = revision === 1 ? 28 : MODE + 4
  const [MAX, GC, EXPIRE] = [SIZE + 4, SIZE + 8, SIZE + 12]
  /** In the kernel's private tail until the end: the seconds of the rate's unit. */
  const UNIT = layout.userSize

  const read = (p: Payload, at: number) => (width === 4 ? BigInt(p.u32(at)) : p.u64(at))
  const write = (p: Payload, at: number, value: bigint) => (width === 4 ? p.setU32(at, Number(value)) : p.setU64(at, value))
  const has = (p: Payload, bits: number) => (p.u32(MODE) & bits) !== 0
  const set = (p: Payload, bits: number) => p.setU32(MODE, (p.u32(MODE) | bits) >>> 0)

  /** What a text says, or undefined. */
  const parseRate = (text: string, option: string): { value: bigint; seconds: number; bytes: boolean } | undefined => {
    const cost = parseByteRate(text, option, width === 4 ? LIMIT32 : undefined)
    if (cost !== undefined) return { value: cost, seconds: BYTE_EXPIRE, bytes: true }
    const packets = parsePacketRate(text, option, scale)
    return packets === undefined ? undefined : { value: packets.period, seconds: packets.seconds, bytes: false }
  }
  const putRate = (p: Payload, { value, seconds, bytes }: { value: bigint; seconds: number; bytes: boolean }) => {
    write(p, RATE, value)
    p.setU32(UNIT, seconds)
    if (bytes) set(p, BYTES)
  }
  /** How the rate is printed, and the seconds of its unit. */
  const printed = (p: Payload) => {
    const value = read(p, RATE)
    if (has(p, BYTES)) return { text: formatByteRate(value), seconds: read(p, BURST) === 0n ? BYTE_EXPIRE : BYTE_EXPIRE_BURST }
    return formatPacketRate(value, scale)
  }
  /** Whether the printed text stands for the number that is there. */
  const isExact = (p: Payload) => {
    let parsed: ReturnType<typeof parseRate>
    // Numbers that iptables never makes can be printed as more than it reads.
    try { parsed = parseRate(printed(p).text, '') } catch { return false }
    if (parsed?.bytes !== has(p, BYTES)) return false
    const value = !parsed.bytes && has(p, RATE_MATCH) ? parsed.value / BigInt(parsed.seconds) : parsed.value
    return value === read(p, RATE)
  }

  const rate: PropertyType<HashlimitRate> = {
    decode(p) {
      if (isExact(p)) return printed(p).text as HashlimitRate
      const value = fromBigInt(read(p, RATE))
      return has(p, BYTES) ? { cost: value } : { period: value }
    },
    encode(p, value, name) {
      if (typeof value === 'string') {
        const parsed = parseRate(value, name)
        if (parsed === undefined) throw invalidArgument(name, 'a rate such as "10/second" or "4kb/s"', value)
        return putRate(p, parsed)
      }
      const bytes = typeof value === 'object' && value !== null && 'cost' in value
      if (!bytes && !(typeof value === 'object' && value !== null && 'period' in value)) throw invalidArgument(name, 'a rate such as "10/second" or "4kb/s"', value)
      const number = toBigInt(bytes ? value.cost : value.period, name)
      if (number === 0n || (width === 4 && number > LIMIT32)) throw outOfRange(name, `a number from 1 on of ${8 * width} bits`, String(number))
      putRate(p, { value: number, seconds: bytes ? BYTE_EXPIRE : 1, bytes })
    },
    parse(p, text, option) {
      const parsed = parseRate(text, option)
      if (parsed === undefined) throw new RuleError(`${option}: expected a rate such as 10/second or 4kb/s, got "${text}"`)
      putRate(p, parsed)
    },
    print: (p) => printed(p).text,
  }
  /** Turns the bit over: a negated `above` is `upto`. */
  const above: PropertyType<HashlimitRate> = {
    ...rate,
    encode(p, value, name, ctx) {
      rate.encode(p, value, name, ctx)
      p.setU32(MODE, p.u32(MODE) ^ INVERT)
    },
    parse(p, text, option, ctx) {
      rate.parse(p, text, option, ctx)
      p.setU32(MODE, p.u32(MODE) ^ INVERT)
    },
  }
  const negated: Bit = { get: () => false, set: (p) => set(p, INVERT) }
  const isUpto: Bit = { get: (p) => !has(p, INVERT), set: () => {} }
  const isAbove: Bit = { get: (p) => has(p, INVERT), set: () => {} }

  /** As it was given; bytes become rates at the end. */
  const burst: PropertyType<Unsigned64> = {
    decode(p) {
      const count = read(p, BURST)
      if (!has(p, BYTES)) return fromBigInt(count)
      return count === 0n ? undefined : fromBigInt(count * costToBytes(read(p, RATE)))
    },
    encode(p, value, name) {
      const number = toBigInt(value, name)
      if (number === 0n || (width === 4 && number > LIMIT32)) throw outOfRange(name, `a number from 1 on of ${8 * width} bits`, value)
      write(p, BURST, number)
    },
    parse(p, text, option) {
      const bare = parseUnsigned64(text)
      const match = /^(.*?)(?:([km])b?|b)$/s.exec(text)
      const bytes = bare ?? (parseUnsigned64(match?.[1] ?? '') ?? 0n) * (match?.[2] === 'm' ? 1048576n : match?.[2] === 'k' ? 1024n : 1n)
      // iptables takes more bytes and counts them from 0 again.
      if (bytes === 0n || bytes > LIMIT32 || (bare !== undefined && bytes > mostPackets)) {
        throw new RuleError(`${option}: expected a number from 1 to ${mostPackets}, or of bytes such as 400kb up to ${LIMIT32}, got "${text}"`)
      }
      write(p, BURST, bytes)
    },
    print: (p) => String(read(p, BURST)),
  }

  const mode: PropertyType<HashlimitMode[]> = {
    decode(p) {
      const list = (Object.keys(MODES) as HashlimitMode[]).filter((name) => has(p, MODES[name]))
      return list.length === 0 ? undefined : list
    },
    encode(p, value, name) {
      if (!Array.isArray(value)) throw invalidArgument(name, `a list of ${Object.keys(MODES).join(', ')}`, value)
      for (const one of value) {
        if (!Object.hasOwn(MODES, one)) throw outOfRange(name, Object.keys(MODES).join(', '), one)
        set(p, MODES[one])
      }
    },
    parse(p, text, option) {
      for (const one of text.split(/[,|]/)) {
        if (one === '') continue
        if (!Object.hasOwn(MODES, one)) throw new RuleError(`${option}: expected a list of ${Object.keys(MODES).join(', ')}, got "${text}"`)
        set(p, MODES[one as HashlimitMode])
      }
    },
    print: (p) => mode.decode(p, undefined as never)?.join(','),
  }

  const mask = (at: number): PropertyType<number> => ({
    decode: (p, ctx) => (p.u8(at) === wholeMask(ctx) ? undefined : p.u8(at)),
    encode(p, value, name, ctx) {
      requireInteger(value, name, 0, wholeMask(ctx))
      p.setU8(at, value)
    },
    parse(p, text, option, { family }) {
      const length = maskLength(parsePrefixMask(text, option, family))
      if (length === undefined) throw new RuleError(`${option}: expected a mask without gaps, got "${text}"`)
      p.setU8(at, length)
    },
    print: (p, ctx) => (p.u8(at) === wholeMask(ctx) ? undefined : String(p.u8(at))),
  })

  const number = (at: number, isDefault: (p: Payload) => boolean, min = 0): PropertyType<number> => {
    const type = integer({ offset: at, width: 4, min })
    return { ...type, decode: (p, ctx) => (isDefault(p) ? undefined : type.decode(p, ctx)) }
  }
  /** Of a number that stands for no rate the unit is a second. */
  const defaultExpire = (p: Payload) => 1000 * (isExact(p) || has(p, BYTES) ? printed(p).seconds : 1)

  const name = procName(0, layout.nameLength)

  const check = (p: Payload, seen: ReadonlySet<string>): void => {
    const unit = p.u32(UNIT)
    p.setU32(UNIT, 0)
    const given = seen.has('burst')
    if (!seen.has('tableExpire')) p.setU32(EXPIRE, 1000 * (has(p, BYTES) && given ? BYTE_EXPIRE_BURST : unit))
    if (has(p, BYTES)) {
      const each = costToBytes(read(p, RATE))
      const bytes = given ? read(p, BURST) : 0n
      if (given && (each === 0n || bytes < each)) throw new RuleError(`hashlimit: --hashlimit-burst must be ${each === 0n ? 'left out for so low a rate' : `at least ${each} bytes`}`)
      write(p, BURST, given ? (bytes + each - 1n) / each : 0n)
    } else if (read(p, BURST) > mostPackets) throw new RuleError(`hashlimit: --hashlimit-burst must be at most ${mostPackets} packets`)
    if (INTERVAL !== undefined && has(p, RATE_MATCH)) {
      if (!has(p, BYTES)) write(p, RATE, read(p, RATE) / BigInt(unit))
      if (read(p, RATE) === 0n || read(p, RATE) > LIMIT32) throw new RuleError('hashlimit: the rate is too fast or too slow for --hashlimit-rate-match')
      if (p.u32(INTERVAL) === 0) p.setU32(INTERVAL, has(p, BYTES) ? 1 : unit)
    } else if (has(p, BYTES) && read(p, RATE) <= 1n) throw new RuleError('hashlimit: the rate is too fast')
    if (p.u32(GC) === 0 || p.u32(EXPIRE) === 0) throw new RuleError('hashlimit: --hashlimit-htable-gcinterval and --hashlimit-htable-expire must not be 0')
  }

  const print = (p: Payload, ctx: RuleContext): string => {
    const { text, seconds } = printed(p)
    const count = read(p, BURST)
    const tokens = !has(p, BYTES) ? String(count) : count === 0n ? undefined : formatBytes(BigInt.asUintN(64, costToBytes(read(p, RATE)) * count))
    const unless = (value: number, usual: number, option: string) => (value === usual ? undefined : `--hashlimit-${option} ${value}`)
    const modes = mode.print(p, ctx)
    const parts = [
      `--hashlimit-${has(p, INVERT) ? 'above' : 'upto'} ${text}`, tokens === undefined ? undefined : `--hashlimit-burst ${tokens}`, modes === undefined ? undefined : `--hashlimit-mode ${modes}`,
      `--hashlimit-name ${name.print(p, ctx)}`, unless(p.u32(SIZE), 0, 'htable-size'), unless(p.u32(MAX), 0, 'htable-max'), unless(p.u32(GC), DEFAULT_GC, 'htable-gcinterval'),
      unless(p.u32(EXPIRE), 1000 * seconds, 'htable-expire'), unless(p.u8(MASKS), wholeMask(ctx), 'srcmask'), unless(p.u8(MASKS + 1), wholeMask(ctx), 'dstmask'),
      ...(INTERVAL !== undefined && has(p, RATE_MATCH) ? ['--hashlimit-rate-match', unless(p.u32(INTERVAL), 1, 'rate-interval')] : []),
    ]
    return parts.map((part) => (part === undefined ? '' : ` ${part}`)).join('')
  }

  const intervals: Property[] = INTERVAL === undefined ? [] : [
    property({ key: 'rateMatch', options: ['--hashlimit-rate-match'], type: flag(bit(MODE, RATE_MATCH, 4)), arguments: 0 }),
    property<number>({
      key: 'rateInterval', options: ['--hashlimit-rate-interval'],
      type: {
        ...integer({ offset: INTERVAL, width: 4, min: 1, max: 0x7fffffff }),
        decode: (p) => p.u32(INTERVAL) || undefined,
        parse(p, text, option) {
          const seconds = /^\s*\+?\d+$/.test(text) ? Number(text) : 0
          if (seconds < 1 || seconds > 0x7fffffff) throw new RuleError(`${option}: expected seconds from 1 to 2147483647, got "${text}"`)
          p.setU32(INTERVAL, seconds)
        },
      },
    }),
  ]
  registerExtension({
    kind: 'match', name: 'hashlimit', revision, size: layout.size, userSize: layout.userSize, oneOf: ['upto', 'above'], check, print,
    // Bits that the revision does not know, and rates over no time, the kernel refuses, too.
    recognises: (p) => (INTERVAL === undefined ? p.u32(MODE) < RATE_MATCH : p.u32(MODE) < 2 * RATE_MATCH && (!has(p, RATE_MATCH) || p.u32(INTERVAL) !== 0)),
    init(p, ctx) {
      write(p, BURST, BigInt(DEFAULT_BURST))
      p.setU32(GC, DEFAULT_GC)
      p.setU8(MASKS, wholeMask(ctx))
      p.setU8(MASKS + 1, wholeMask(ctx))
    },
    properties: [
      property({ key: 'upto', options: ['--hashlimit-upto', '--hashlimit'], type: rate, present: isUpto, invert: negated, excludes: ['above'] }),
      property({ key: 'above', options: ['--hashlimit-above'], type: above, present: isAbove, invert: negated }),
      property({ key: 'burst', options: ['--hashlimit-burst'], type: burst }),
      property({ key: 'mode', options: ['--hashlimit-mode'], type: mode }),
      property({ key: 'tableName', options: ['--hashlimit-name'], type: name, mandatory: true }),
      property({ key: 'tableSize', options: ['--hashlimit-htable-size'], type: number(SIZE, (p) => p.u32(SIZE) === 0) }),
      property({ key: 'tableMax', options: ['--hashlimit-htable-max'], type: number(MAX, (p) => p.u32(MAX) === 0) }),
      property({ key: 'tableGcInterval', options: ['--hashlimit-htable-gcinterval'], type: number(GC, (p) => p.u32(GC) === DEFAULT_GC, 1) }),
      property({ key: 'tableExpire', options: ['--hashlimit-htable-expire'], type: number(EXPIRE, (p) => p.u32(EXPIRE) === defaultExpire(p), 1) }),
      property({ key: 'sourceMask', options: ['--hashlimit-srcmask'], type: mask(MASKS) }),
      property({ key: 'destinationMask', options: ['--hashlimit-dstmask'], type: mask(MASKS + 1) }),
      ...intervals,
    ],
  })
}

LAYOUTS.forEach(register)
