// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { formatIp, parseIp } from '../../ip.js'
import { registerExtension } from '../extension.js'
import { parseNumericHost } from '../host.js'
import { type Payload, RuleError } from '../payload.js'
import { bit, flag, integer, type Not, property, type PropertyType } from '../property.js'
import { flaggedRange } from '../types.js'

/** `-m rt` (ip6t_rt, include/uapi/linux/netfilter_ipv6/ip6t_rt.h): the routing header of IPv6 (RFC 8200 section 4.4). */
export interface RtMatch {
  /** 0 to 4294967295. */
  type?: number | Not<number>
  /** Segments left from one to another, 0 to 4294967295. */
  segmentsLeft?: [from: number, to: number] | Not<[from: number, to: number]>
  /** Length of the header in bytes, 0 to 4294967295. */
  length?: number | Not<number>
  /** The reserved field must be zero; type 0 only. */
  reserved?: boolean
  /** 1 to 16 IPv6 addresses that the list of addresses must be; type 0 only. */
  addresses?: string[]
  /** The addresses must be in the list in this order, maybe with others between them. */
  notStrict?: boolean
}

declare module '../extension.js' {
  interface Matches { rt: RtMatch }
}

const FLAGS = 16
const INVERT = 17
const ADDRESSES = 20
const COUNT = 276
const MOST = 16
const typed = bit(FLAGS, 0x01)
const reserved = bit(FLAGS, 0x08)
const listed = bit(FLAGS, 0x10)
const notStrict = bit(FLAGS, 0x20)

/** Bytes beyond what the struct can hold are not there. */
const read = (p: Payload) => Array.from({ length: Math.min(p.u8(COUNT), MOST) }, (_, i) => formatIp(p.slice(ADDRESSES + 16 * i, 16)))

function requireTypeZero(p: Payload, option: string): void {
  if (!typed.get(p) || p.u32(0) !== 0 || (p.u8(INVERT) & 1) !== 0) throw new RuleError(`rt: ${option} needs --rt-type 0 before it`)
}

function write(p: Payload, list: readonly Uint8Array[], fail: (expected: string) => Error): void {
  requireTypeZero(p, '--rt-0-addrs')
  if (list.length < 1 || list.length > MOST) throw fail(`1 to ${MOST} IPv6 addresses`)
  list.forEach((address, i) => p.set(ADDRESSES + 16 * i, address))
  p.setU8(COUNT, list.length)
}

const addresses: PropertyType<string[]> = {
  decode: read,
  encode(p, value, name) {
    if (!Array.isArray(value)) throw invalidArgument(name, 'a list of IPv6 addresses', value)
    write(p, value.map((one, i) => parseIp(one, `${name}[${i}]`, 'ipv6')), (expected) => outOfRange(name, expected, value))
  },
  parse(p, text, option) {
    const list = text.split(',').map((part) => {
      const address = parseNumericHost(part, 'ipv6')
      if (address === undefined) throw new RuleError(`${option}: expected IPv6 addresses, got "${part}"`)
      return address
    })
    write(p, list, (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`))
  },
  print: (p) => read(p).join(','),
}

/** A flag that needs what `needed` asks for. */
function dependent(where: typeof reserved, needed: (p: Payload) => void): PropertyType<boolean> {
  const type = flag(where)
  return {
    ...type,
    encode(p, value, name, ctx) {
      type.encode(p, value, name, ctx)
      if (value) needed(p)
    },
    parse(p, text, option, ctx) {
      needed(p)
      type.parse(p, text, option, ctx)
    },
  }
}

registerExtension({
  kind: 'match', name: 'rt', family: 'ipv6', revision: 0, size: 280,
  init: (p) => p.setU32(8, 0xffffffff),
  properties: [
    property({ key: 'type', options: ['--rt-type'], type: integer({ offset: 0, width: 4 }), present: typed, invert: bit(INVERT, 1) }),
    property({ key: 'segmentsLeft', options: ['--rt-segsleft'], type: flaggedRange(4, 8, bit(FLAGS, 0x02), bit(INVERT, 2)), invert: bit(INVERT, 2) }),
    property({ key: 'length', options: ['--rt-len'], type: integer({ offset: 12, width: 4 }), present: bit(FLAGS, 0x04), invert: bit(INVERT, 4) }),
    property({ key: 'reserved', options: ['--rt-0-res'], type: dependent(reserved, (p) => requireTypeZero(p, '--rt-0-res')), arguments: 0 }),
    property({ key: 'addresses', options: ['--rt-0-addrs'], type: addresses, present: listed }),
    property({
      key: 'notStrict', options: ['--rt-0-not-strict'], arguments: 0,
      type: dependent(notStrict, (p) => { if (!listed.get(p)) throw new RuleError('rt: --rt-0-not-strict needs --rt-0-addrs before it') }),
    }),
  ],
})
