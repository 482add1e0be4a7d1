// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { formatIp, type IpFamily } from '../../ip.js'
import { registerExtension } from '../extension.js'
import { maskLength, prefixMask } from '../fixed.js'
import { parseNumericHost, parsePrefixMask } from '../host.js'
import { type Payload } from '../payload.js'
import { type Bit, bit, choice, integer, type Not, property, type PropertyType, requireInteger, spelling } from '../property.js'

/** `-m connlimit` (xt_connlimit_info, include/uapi/linux/netfilter/xt_connlimit.h): how many connections an address or network has. */
export interface ConnlimitMatch {
  /** Matches up to this number of connections, 0 to 4294967295. Either this or `above` must be there. */
  upto?: number | Not<number>
  /** Matches from one more than this number on. Read as this or `upto`, never negated. */
  above?: number | Not<number>
  /** Addresses that share this prefix are counted together: a length or a mask as an address. Whole addresses unless told. */
  mask?: number | string
  /** Which address is counted; `source` unless told. */
  by?: 'source' | 'destination'
}

declare module '../extension.js' {
  interface Matches { connlimit: ConnlimitMatch }
}

const MASK = 0
const LIMIT = 16
const FLAGS = 20

const upto = bit(FLAGS, 1, 4)
/** A negated `above` is `upto` to the kernel; nothing is read as negated. */
const negated: Bit = { get: () => false, set: upto.set }
const isUpto: Bit = { get: upto.get, set: () => {} }
const isAbove: Bit = { get: (p) => !upto.get(p), set: () => {} }
const limit = integer({ offset: LIMIT, width: 4 })

/** Turns the bit over: a negated `upto` is `above`. */
const limitUpto: PropertyType<number> = {
  ...limit,
  encode(p, value, name, ctx) {
    limit.encode(p, value, name, ctx)
    p.setU32(FLAGS, p.u32(FLAGS) ^ 1)
  },
  parse(p, text, option, ctx) {
    limit.parse(p, text, option, ctx)
    p.setU32(FLAGS, p.u32(FLAGS) ^ 1)
  },
}

const maskOf = (p: Payload, family: IpFamily) => p.slice(MASK, family === 'ipv4' ? 4 : 16)

/** The zeros behind an IPv4 mask are what iptables writes there. */
function putMask(p: Payload, mask: Uint8Array): void {
  p.set(MASK, new Uint8Array(16))
  p.set(MASK, mask)
}

const group: PropertyType<number | string> = {
  decode(p, { family }) {
    const mask = maskOf(p, family)
    // No option at all leaves all sixteen bytes set.
    if (p.slice(MASK, 16).every((byte) => byte === 0xff)) return undefined
    return maskLength(mask) ?? formatIp(mask)
  },
  encode(p, value, name, { family }) {
    if (typeof value === 'string') {
      const mask = parseNumericHost(value, family)
      if (mask === undefined) throw outOfRange(name, `a mask written as an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address`, value)
      return putMask(p, mask)
    }
    if (typeof value !== 'number') throw invalidArgument(name, 'a prefix length or a mask', value)
    requireInteger(value, name, 0, family === 'ipv4' ? 32 : 128)
    putMask(p, prefixMask(value, family))
  },
  parse: (p, text, option, ctx) => putMask(p, parsePrefixMask(text, option, ctx.family)),
  print(p, { family }) {
    // For each 32 bits the ones that lead them.
    const mask = maskOf(p, family)
    let bits = 0
    for (let at = 0; at < mask.length; at += 4) bits += Math.clz32(~p.be32(MASK + at))
    return String(bits)
  },
}

const BY = choice({ offset: FLAGS, width: 4 }, { source: 0, destination: 2 })
const by: PropertyType<'source' | 'destination'> = {
  decode: (p) => ((p.u32(FLAGS) & 2) !== 0 ? 'destination' : 'source'),
  encode(p, value, name, ctx) {
    const flags = p.u32(FLAGS)
    BY.encode(p, value, name, ctx)
    p.setU32(FLAGS, p.u32(FLAGS) | flags)
  },
  parse: () => {},
  print: () => '',
}

registerExtension({
  kind: 'match', name: 'connlimit', revision: 1, size: 32, userSize: 24, oneOf: ['upto', 'above'],
  init: (p) => p.set(MASK, new Uint8Array(16).fill(0xff)),
  print(p, ctx) {
    const [bound, counted] = [upto.get(p) ? 'upto' : 'above', (p.u32(FLAGS) & 2) !== 0 ? 'daddr' : 'saddr']
    return ` --connlimit-${bound} ${p.u32(LIMIT)} --connlimit-mask ${group.print(p, ctx)} --connlimit-${counted}`
  },
  properties: [
    property({ key: 'upto', options: ['--connlimit-upto'], type: limitUpto, present: isUpto, invert: negated, excludes: ['above'] }),
    property({ key: 'above', options: ['--connlimit-above'], type: limit, present: isAbove, invert: negated }),
    property({ key: 'mask', options: ['--connlimit-mask'], type: group }),
    property({ key: 'by', options: ['--connlimit-saddr'], type: by, arguments: 0 }),
    property({ key: 'by', options: ['--connlimit-daddr'], alias: true, arguments: 0, type: spelling((p) => p.setU32(FLAGS, p.u32(FLAGS) | 2)) }),
  ],
})
