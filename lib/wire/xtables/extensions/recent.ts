// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { formatIp } from '../../ip.js'
import { type Extension, registerExtension } from '../extension.js'
import { maskLength, prefixMask } from '../fixed.js'
import { parseHost, parseNumericHost } from '../host.js'
import { type Payload, type RuleContext, RuleError } from '../payload.js'
import { bit, choice, flag, integer, type Not, property, type Property, type PropertyType, requireInteger, spelling } from '../property.js'
import { procName } from '../proc-name.js'
import { unlessDefault } from '../types.js'

const OPERATIONS = { rcheck: 1, set: 2, update: 4, remove: 8 } as const
export type RecentOperation = keyof typeof OPERATIONS

/**
 * `-m recent` (xt_recent_mtinfo_v1, Linux 3.5, or revision 0, include/uapi/linux/netfilter/xt_recent.h): a list of addresses with the
 * times at which they were seen, /proc/net/xt_recent/NAME.
 */
export interface RecentMatch {
  /** `set` puts the address on the list; `rcheck` looks, `update` looks and notes the time, `remove` looks and takes it off. */
  operation: RecentOperation | Not<RecentOperation>
  /** Seen within this time, 1 to 4294967295 seconds. This and the next three are for `rcheck` and `update`. */
  seconds?: number
  /** Forget what is older than `seconds`. */
  reap?: boolean
  /** Seen at least so often, up to 65535 times; before Linux 6.11 up to 255. */
  hitCount?: number
  /** The packet's TTL is that of the packet that was put on the list. */
  sameTtl?: boolean
  /** The list's name, 1 to 199 bytes; `DEFAULT` unless told. */
  list?: string
  /** Addresses that share this prefix are one: a length or a mask as an address. Revision 1. */
  mask?: number | string
  /** Which address; `source` unless told. */
  side?: 'source' | 'destination'
}

declare module '../extension.js' {
  interface Matches { recent: RecentMatch }
}

const SECONDS = 0
const HITS = 4
const FLAGS = 8
const INVERT = 9
const NAME = 10
const NAME_LENGTH = 200
const SIDE = 210
const MASK = 212
const FLAG = { ttl: 1 << 4, reap: 1 << 5 } as const
/** Of rcheck, set, update and remove. */
const OPERATION_BITS = 15

const operationOf = (p: Payload) => p.u8(FLAGS) & OPERATION_BITS
const inverted = bit(INVERT, 1)

const operation: PropertyType<RecentOperation> = {
  decode: (p) => (Object.keys(OPERATIONS) as RecentOperation[]).find((name) => OPERATIONS[name] === operationOf(p)),
  encode(p, value, name) {
    if (!Object.hasOwn(OPERATIONS, value)) throw invalidArgument(name, `one of ${Object.keys(OPERATIONS).join(', ')}`, value)
    p.setU8(FLAGS, p.u8(FLAGS) | OPERATIONS[value])
  },
  parse: (p) => p.setU8(FLAGS, p.u8(FLAGS) | OPERATIONS.set),
  print: () => '',
}

const isWhole = (p: Payload) => p.slice(MASK, 16).every((byte) => byte === 0xff)
const maskOf = (p: Payload, { family }: RuleContext) => p.slice(MASK, family === 'ipv4' ? 4 : 16)
const putMask = (p: Payload, mask: Uint8Array) => {
  p.set(MASK, new Uint8Array(16))
  p.set(MASK, mask)
}

const mask: PropertyType<number | string> = {
  decode: (p, ctx) => (isWhole(p) ? undefined : maskLength(maskOf(p, ctx)) ?? formatIp(maskOf(p, ctx))),
  encode(p, value, name, { family }) {
    if (typeof value === 'string') {
      const address = parseNumericHost(value, family)
      if (address === undefined) throw outOfRange(name, `a mask written as an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address`, value)
      return putMask(p, address)
    }
    if (typeof value !== 'number') throw invalidArgument(name, 'a prefix length or a mask', value)
    requireInteger(value, name, 0, family === 'ipv4' ? 32 : 128)
    putMask(p, prefixMask(value, family))
  },
  parse: (p, text, option, ctx) => putMask(p, parseHost(text, option, ctx)),
  print: (p, ctx) => formatIp(maskOf(p, ctx)),
}

const sides = choice({ offset: SIDE, width: 1 }, { source: 0, destination: 1 })
const side: PropertyType<'source' | 'destination'> = { ...sides, parse: (p) => p.setU8(SIDE, 0) }

const list = procName(NAME, NAME_LENGTH)

function check(p: Payload): void {
  const flags = p.u8(FLAGS)
  if (operationOf(p) === 0) throw new RuleError('recent: one of --set, --rcheck, --update, --remove is missing')
  const looks = (flags & (OPERATIONS.rcheck | OPERATIONS.update)) !== 0
  if (!looks && (p.u32(SECONDS) !== 0 || p.u32(HITS) !== 0 || (flags & (FLAG.ttl | FLAG.reap)) !== 0)) {
    throw new RuleError('recent: --seconds, --reap, --hitcount and --rttl are for --rcheck and --update')
  }
}

function print(p: Payload, ctx: RuleContext, revision: 0 | 1): string {
  const flags = p.u8(FLAGS)
  const given = (bits: number, text: string) => ((flags & bits) !== 0 ? ` ${text}` : '')
  const number = (at: number, option: string) => (p.u32(at) === 0 ? '' : ` ${option} ${p.u32(at)}`)
  return [
    inverted.get(p) ? ' !' : '', given(OPERATIONS.set, '--set'), given(OPERATIONS.rcheck, '--rcheck'), given(OPERATIONS.update, '--update'), given(OPERATIONS.remove, '--remove'),
    number(SECONDS, '--seconds'), given(FLAG.reap, '--reap'), number(HITS, '--hitcount'), given(FLAG.ttl, '--rttl'), ` --name ${list.print(p, ctx)}`,
    revision === 0 ? '' : ` --mask ${mask.print(p, ctx)}`, [' --rsource', ' --rdest'][p.u8(SIDE)] ?? '',
  ].join('')
}

const option = (name: RecentOperation): Property => property({
  key: 'operation', options: [`--${name}`], alias: true, arguments: 0, invert: inverted, type: spelling((p) => p.setU8(FLAGS, p.u8(FLAGS) | OPERATIONS[name])),
})

const common: readonly Property[] = [
  property({ key: 'operation', options: ['--set'], type: operation, arguments: 0, invert: inverted }),
  option('rcheck'), option('update'), option('remove'),
  property({ key: 'seconds', options: ['--seconds'], type: unlessDefault(integer({ offset: SECONDS, width: 4, min: 1 }), (p) => p.u32(SECONDS) === 0) }),
  property({ key: 'reap', options: ['--reap'], type: flag(bit(FLAGS, FLAG.reap)), arguments: 0, requires: ['seconds'] }),
  property({ key: 'hitCount', options: ['--hitcount'], type: unlessDefault(integer({ offset: HITS, width: 4, max: 0xffff }), (p) => p.u32(HITS) === 0) }),
  property({ key: 'sameTtl', options: ['--rttl'], type: flag(bit(FLAGS, FLAG.ttl)), arguments: 0 }),
  property({ key: 'list', options: ['--name'], type: list }),
  property({ key: 'side', options: ['--rsource'], type: side, arguments: 0 }),
  property({ key: 'side', options: ['--rdest'], alias: true, arguments: 0, type: spelling((p) => p.setU8(SIDE, 1)) }),
]

function register(revision: 0 | 1, size: number, properties: readonly Property[]): void {
  const extension: Extension = {
    kind: 'match', name: 'recent', revision, size, properties, check,
    recognises: (p) => [1, 2, 4, 8].includes(operationOf(p)) && p.u8(SIDE) <= 1,
    init(p) {
      p.set(NAME, new TextEncoder().encode('DEFAULT'))
      if (revision === 1) p.set(MASK, new Uint8Array(16).fill(0xff))
    },
    print: (p, ctx) => print(p, ctx, revision),
  }
  registerExtension(extension)
}

register(1, 228, [...common, property({ key: 'mask', options: ['--mask'], type: mask })])
register(0, 212, common)
