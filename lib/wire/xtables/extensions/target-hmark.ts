// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { formatIp, type IpFamily, parseIp } from '../../ip.js'
import { registerExtension } from '../extension.js'
import { maskLength, prefixMask } from '../fixed.js'
import { parsePrefixMask } from '../host.js'
import { type Payload, RuleError } from '../payload.js'
import { bit, integer, type IntegerPlace, property, type Property, type PropertyType, readInteger } from '../property.js'

/**
 * `-j HMARK` (xt_hmark_info, include/uapi/linux/netfilter/xt_HMARK.h), kernel 3.5 and newer: a mark from a hash of the packet's
 * addresses and ports. Needs at least one of the masks, the port and SPI values, and `conntrack`. Only in the mangle table.
 */
export interface HmarkTarget {
  /** Leading bits of the source that count (0 to 32 or 128), or a mask. IPv4: 128 is what `--hmark-tuple src` writes. */
  sourcePrefix?: number | string
  destinationPrefix?: number | string
  /** Which bits of the source port count, 0 to 65535. */
  sourcePortMask?: number
  destinationPortMask?: number
  /** Which bits of the AH or ESP index count; not beside the masks of ports. */
  spiMask?: number
  /** Bits that are set in the port before the hash. */
  sourcePort?: number
  destinationPort?: number
  spi?: number
  /** Which bits of the protocol count. */
  protocolMask?: number
  /** Seed of the hash. */
  random: number
  /** 1 and more: the mark is the hash modulo this, plus the offset. */
  modulus: number
  offset?: number
  /** Addresses and ports as the connection's first packet had them. */
  conntrack?: boolean
}

declare module '../extension.js' {
  interface Targets { HMARK: HmarkTarget }
}

const FLAGS = 40
/** XT_HMARK_* are the numbers of the bits. */
const BIT = {
  sourcePrefix: 0, destinationPrefix: 1, spi: 2, spiMask: 3, sourcePort: 4, destinationPort: 5, sourcePortMask: 6, destinationPortMask: 7, protocolMask: 8,
  random: 9, modulus: 10, offset: 11, conntrack: 12,
} as const
type Part = keyof typeof BIT
const given = (part: Part) => bit(FLAGS, 1 << BIT[part], 4)

/** Printed with its own number of digits, and refused when --hmark-tuple has already said it. */
function number(part: Part, place: IntegerPlace, digits: number): Property {
  const type = integer(place)
  return property<number>({
    key: part, options: [OPTIONS[part]], present: given(part),
    type: {
      ...type,
      parse(p, text, option, ctx) {
        notTwice(p, part, option)
        type.parse(p, text, option, ctx)
      },
      print: (p) => (digits === 0 ? String(readInteger(p, place)) : `0x${readInteger(p, place).toString(16).padStart(digits, '0')}`),
    },
  })
}

function notTwice(p: Payload, part: Part, option: string): void {
  if (given(part).get(p)) throw new RuleError(`${option} cannot be given beside the same of --hmark-tuple`)
}

const OPTIONS: Readonly<Record<Part, string>> = {
  sourcePrefix: '--hmark-src-prefix', destinationPrefix: '--hmark-dst-prefix', sourcePortMask: '--hmark-sport-mask', destinationPortMask: '--hmark-dport-mask',
  spiMask: '--hmark-spi-mask', sourcePort: '--hmark-sport', destinationPort: '--hmark-dport', spi: '--hmark-spi', protocolMask: '--hmark-proto-mask',
  random: '--hmark-rnd', modulus: '--hmark-mod', offset: '--hmark-offset', conntrack: '--hmark-tuple',
}

function prefix(part: 'sourcePrefix' | 'destinationPrefix', at: number, family: IpFamily): Property {
  const length = family === 'ipv4' ? 4 : 16
  const mask = (p: Payload) => p.slice(at, length)
  const type: PropertyType<number | string> = {
    decode: (p) => (p.slice(at, 16).every((byte) => byte === 0xff) ? 128 : maskLength(mask(p)) ?? formatIp(mask(p))),
    encode(p, value, name) {
      if (typeof value === 'string') p.set(at, parseIp(value, name, family))
      else if (value === 128) p.set(at, new Uint8Array(16).fill(0xff))
      else if (typeof value !== 'number' || !Number.isInteger(value)) throw invalidArgument(name, 'a number of bits or a mask', value)
      else if (value < 0 || value > length * 8) throw outOfRange(name, `bits from 0 to ${length * 8}`, value)
      else p.set(at, prefixMask(value, family))
    },
    parse(p, text, option) {
      notTwice(p, part, option)
      const bits = parsePrefixMask(text, option, family)
      if (maskLength(bits) === undefined) throw new RuleError(`${option}: expected a mask without holes, got "${text}"`)
      p.set(at, bits)
    },
    // A mask with holes cannot be said, and that is how it is printed.
    print: (p) => String(maskLength(mask(p)) ?? -1),
  }
  return property({ key: part, options: [OPTIONS[part]], type, present: given(part) })
}

const PORT = (offset: number): IntegerPlace => ({ offset, width: 2, bigEndian: true })
const SPI = (offset: number): IntegerPlace => ({ offset, width: 4, bigEndian: true })

/** What --hmark-tuple can name, a beginning being enough, and how many bytes of the struct it fills. */
const TUPLE: readonly (readonly [name: string, part: Part, offset: number, length: number])[] = [
  ['ct', 'conntrack', 0, 0], ['src', 'sourcePrefix', 0, 16], ['dst', 'destinationPrefix', 16, 16], ['sport', 'sourcePortMask', 32, 2],
  ['dport', 'destinationPortMask', 34, 2], ['proto', 'protocolMask', 44, 2], ['spi', 'spiMask', 32, 4],
]

const tuple: PropertyType<boolean> = {
  decode: (p) => given('conntrack').get(p) || undefined,
  encode(p, value, name) {
    if (typeof value !== 'boolean') throw invalidArgument(name, 'true or false', value)
    if (value) given('conntrack').set(p)
  },
  parse(p, text, option) {
    for (const word of text.split(',')) {
      const found = word === '' ? undefined : TUPLE.find(([name]) => name.startsWith(word.toLowerCase()))
      if (found === undefined) throw new RuleError(`${option}: expected a list of ${TUPLE.map(([name]) => name).join(', ')}, got "${text}"`)
      const [, part, offset, length] = found
      given(part).set(p)
      p.set(offset, new Uint8Array(length).fill(0xff))
    }
  },
  print: (p) => (given('conntrack').get(p) ? 'ct' : undefined),
}

function check(p: Payload): void {
  const has = (...parts: Part[]) => parts.some((part) => given(part).get(p))
  if (has('spiMask') && has('sourcePortMask', 'destinationPortMask')) throw new RuleError('HMARK: --hmark-spi-mask is not for use with the masks of ports')
  if (has('spi') && has('sourcePort', 'destinationPort')) throw new RuleError('HMARK: --hmark-spi is not for use with ports')
  if (!has('sourcePrefix', 'destinationPrefix', 'spiMask', 'sourcePortMask', 'destinationPortMask', 'protocolMask', 'sourcePort', 'destinationPort', 'spi', 'conntrack')) {
    throw new RuleError('HMARK: --hmark-tuple or one of the masks is missing')
  }
}

for (const family of ['ipv4', 'ipv6'] as const) {
  registerExtension({
    kind: 'target', name: 'HMARK', revision: 0, family, size: 60, tables: ['mangle'], check,
    properties: [
      prefix('sourcePrefix', 0, family),
      prefix('destinationPrefix', 16, family),
      number('sourcePortMask', PORT(32), 4),
      number('destinationPortMask', PORT(34), 4),
      number('spiMask', SPI(32), 8),
      number('sourcePort', PORT(36), 4),
      number('destinationPort', PORT(38), 4),
      number('spi', SPI(36), 8),
      number('protocolMask', { offset: 44, width: 2 }, 2),
      { ...number('random', { offset: 48, width: 4 }, 8), mandatory: true },
      { ...number('modulus', { offset: 52, width: 4, min: 1 }, 0), mandatory: true },
      number('offset', { offset: 56, width: 4 }, 0),
      property({ key: 'conntrack', options: [OPTIONS.conntrack], type: tuple }),
    ],
  })
}
