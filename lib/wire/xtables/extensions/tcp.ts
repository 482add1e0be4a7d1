// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { type Payload, type RuleContext, RuleError } from '../payload.js'
import { bit, type Not, property, type PropertyType, requireInteger } from '../property.js'
import { invalidArgument, outOfRange } from '../../../errors.js'
import { type PortRange, ports } from '../types.js'

/** The flags of RFC 9293 section 3.1 that the match knows, in the order in which they are printed. */
const FLAGS = { FIN: 0x01, SYN: 0x02, RST: 0x04, PSH: 0x08, ACK: 0x10, URG: 0x20 } as const
export type TcpFlag = keyof typeof FLAGS

/** Which flags are looked at, and which of these must be set. */
export interface TcpFlagMatch { mask: TcpFlag[]; set: TcpFlag[] }

/** `-m tcp` (xt_tcp, include/uapi/linux/netfilter/xt_tcpudp.h). Needs the protocol tcp. */
export interface TcpMatch {
  /** Source ports `[from, to]`. */
  sourcePorts?: PortRange | Not<PortRange>
  destinationPorts?: PortRange | Not<PortRange>
  flags?: TcpFlagMatch | Not<TcpFlagMatch>
  /** Number of a TCP option that must be there. */
  option?: number | Not<number>
}

declare module '../extension.js' {
  interface Matches { tcp: TcpMatch }
}

const MASK = 9
const SET = 10
const INVERT = 11

function parseFlags(text: string, option: string): number {
  if (text === 'ALL') return 0x3f
  if (text === 'NONE') return 0
  let bits = 0
  for (const name of text.split(',')) {
    const flag = name.toUpperCase()
    if (flag === 'ALL') bits |= 0x3f
    else if (Object.hasOwn(FLAGS, flag)) bits |= FLAGS[flag as TcpFlag]
    else if (flag !== 'NONE') throw new RuleError(`${option}: unknown flag "${name}"`)
  }
  return bits
}

function printFlags(bits: number): string {
  const names = (Object.keys(FLAGS) as TcpFlag[]).filter((name) => (bits & FLAGS[name]) !== 0)
  return names.length === 0 ? 'NONE' : names.join(',')
}

const flags: PropertyType<TcpFlagMatch> = {
  decode(p) {
    if (p.u8(MASK) === 0 && p.u8(SET) === 0 && (p.u8(INVERT) & 4) === 0) return undefined
    const names = (bits: number) => (Object.keys(FLAGS) as TcpFlag[]).filter((name) => (bits & FLAGS[name]) !== 0)
    return { mask: names(p.u8(MASK)), set: names(p.u8(SET)) }
  },
  encode(p, value, name) {
    const bits = (list: unknown, part: string) => {
      if (!Array.isArray(list)) throw invalidArgument(`${name}.${part}`, 'an array of flags', list)
      return list.reduce<number>((sum, one: unknown) => {
        if (typeof one !== 'string' || !Object.hasOwn(FLAGS, one)) throw outOfRange(`${name}.${part}`, `flags of ${Object.keys(FLAGS).join(', ')}`, one)
        return sum | FLAGS[one as TcpFlag]
      }, 0)
    }
    p.setU8(MASK, bits(value.mask, 'mask'))
    p.setU8(SET, bits(value.set, 'set'))
  },
  parse(p, text, option) {
    const [mask, set, more] = text.split(' ')
    if (set === undefined || more !== undefined) throw new RuleError(`${option}: expected two lists of flags`)
    p.setU8(MASK, parseFlags(mask!, option))
    p.setU8(SET, parseFlags(set, option))
  },
  print: (p) => (p.u8(MASK) === 0 && (p.u8(INVERT) & 4) === 0 ? undefined : `${printFlags(p.u8(MASK))} ${printFlags(p.u8(SET))}`),
}

/** `--syn`: --tcp-flags FIN,SYN,RST,ACK SYN. */
const syn: PropertyType<boolean> = {
  decode: () => undefined,
  encode: () => {},
  parse(p) {
    p.setU8(MASK, FLAGS.SYN | FLAGS.RST | FLAGS.ACK | FLAGS.FIN)
    p.setU8(SET, FLAGS.SYN)
  },
  print: () => undefined,
}

const tcpOption: PropertyType<number> = {
  decode: (p) => p.u8(8) || undefined,
  encode(p, value, name) {
    requireInteger(value, name, 1, 255)
    p.setU8(8, value)
  },
  parse(p: Payload, text: string, option: string, _ctx: RuleContext) {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < 1 || value > 255) throw new RuleError(`${option}: expected a number from 1 to 255, got "${text}"`)
    p.setU8(8, value)
  },
  print: (p) => (p.u8(8) === 0 && (p.u8(INVERT) & 8) === 0 ? undefined : String(p.u8(8))),
}

registerExtension({
  kind: 'match', name: 'tcp', revision: 0, size: 12, protocols: [6],
  init(p) {
    p.setU16(2, 0xffff)
    p.setU16(6, 0xffff)
  },
  properties: [
    property({ key: 'sourcePorts', options: ['--sport', '--source-port'], type: ports(0, 2, bit(INVERT, 1)), invert: bit(INVERT, 1) }),
    property({ key: 'destinationPorts', options: ['--dport', '--destination-port'], type: ports(4, 6, bit(INVERT, 2)), invert: bit(INVERT, 2) }),
    property({ key: 'option', options: ['--tcp-option'], type: tcpOption, invert: bit(INVERT, 8) }),
    property({ key: 'flags', options: ['--tcp-flags'], type: flags, invert: bit(INVERT, 4), arguments: 2 }),
    property({ key: 'flags', options: ['--syn'], type: syn, invert: bit(INVERT, 4), arguments: 0, alias: true }),
  ],
})
