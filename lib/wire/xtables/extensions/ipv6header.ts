// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, type RuleContext, RuleError } from '../payload.js'
import { flag, nonZero, type Not, property, type PropertyType } from '../property.js'

/** Bits of the mask with the numbers of the headers, in the order in which they are printed (MASK_*). */
const HEADERS = {
  hop: { bit: 128, protocol: 0 }, dst: { bit: 64, protocol: 60 }, route: { bit: 32, protocol: 43 }, frag: { bit: 16, protocol: 44 },
  auth: { bit: 8, protocol: 51 }, esp: { bit: 4, protocol: 50 }, none: { bit: 2, protocol: 59 }, prot: { bit: 1, protocol: 255 },
} as const
/** Hop-by-hop, destination options, routing, fragment, AH, ESP, no next header, any other protocol. */
export type Ipv6Header = keyof typeof HEADERS

/** `-m ipv6header` (ip6t_ipv6header_info, include/uapi/linux/netfilter_ipv6/ip6t_ipv6header.h): which headers an IPv6 packet has. */
export interface Ipv6headerMatch {
  /** At least one. */
  headers: Ipv6Header[] | Not<Ipv6Header[]>
  /** At least one of the headers; without it these and no others. */
  soft?: boolean
}

declare module '../extension.js' {
  interface Matches { ipv6header: Ipv6headerMatch }
}

/** What the option knows beside the names of /etc/protocols, which come first; the first of a number is printed. */
const NAMES: readonly (readonly [name: string, protocol: number])[] = [
  ['hop-by-hop', 0], ['protocol', 255], ['hop', 0], ['dst', 60], ['route', 43], ['frag', 44], ['auth', 51], ['esp', 50], ['none', 59], ['prot', 255],
  ...Object.values(HEADERS).map(({ protocol }) => [String(protocol), protocol] as const),
]

const ALL = Object.keys(HEADERS) as Ipv6Header[]
const expected = `headers of ${ALL.join(', ')}`
const namesIn = (p: Payload) => ALL.filter((name) => (p.u8(0) & HEADERS[name].bit) !== 0)

function bitOf(name: string, option: string, { resolver }: RuleContext): number {
  const protocol = resolver.protocolNumber(name) ?? NAMES.find(([other]) => other === name)?.[1]
  const found = ALL.find((header) => HEADERS[header].protocol === protocol)
  if (found === undefined) throw new RuleError(`${option}: expected ${expected}, got "${name}"`)
  return HEADERS[found].bit
}

function printed(header: Ipv6Header, { resolver }: RuleContext): string {
  const { protocol } = HEADERS[header]
  // 0 has a name in /etc/protocols that iptables does not use.
  const name = protocol === 0 ? undefined : resolver.protocolName(protocol)
  return name ?? NAMES.find(([, number]) => number === protocol)![0]
}

const headers: PropertyType<Ipv6Header[]> = {
  decode: namesIn,
  encode(p, value, name) {
    if (!Array.isArray(value)) throw invalidArgument(name, `a list of ${expected}`, value)
    if (value.length === 0) throw outOfRange(name, 'at least one header', value)
    for (const one of value as unknown[]) if (typeof one !== 'string' || !Object.hasOwn(HEADERS, one)) throw outOfRange(name, expected, one)
    p.setU8(0, value.reduce((bits, one) => bits | HEADERS[one].bit, 0))
  },
  parse(p, text, option, ctx) {
    const bits = text.split(',').filter((name) => name !== '').reduce((sum, name) => sum | bitOf(name, option, ctx), 0)
    if (bits === 0) throw new RuleError(`${option}: expected ${expected}, got "${text}"`)
    p.setU8(0, bits)
  },
  print: (p, ctx) => namesIn(p).map((header) => printed(header, ctx)).join(',') || 'NONE',
}

registerExtension({
  kind: 'match', name: 'ipv6header', family: 'ipv6', revision: 0, size: 3,
  properties: [
    property({ key: 'headers', options: ['--header'], type: headers, invert: nonZero(1, 1, 0xff), mandatory: true }),
    property({ key: 'soft', options: ['--soft'], type: flag(nonZero(2, 1, 0xff)), arguments: 0 }),
  ],
})
