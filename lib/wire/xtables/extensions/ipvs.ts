// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { formatProtocol, parseProtocol } from '../fixed.js'
import { hostMask } from '../host-mask.js'
import { type Payload, RuleError } from '../payload.js'
import { type Bit, bit, choice, flag, integer, type Not, property, type PropertyType, requireInteger } from '../property.js'
import { parseServicePort } from '../types.js'

/**
 * `-m ipvs` (xt_ipvs_mtinfo, include/uapi/linux/netfilter/xt_ipvs.h): the packet belongs to a connection of the IP virtual server.
 * At least one must be there; all but `ipvs` imply it, also negated ones.
 */
export interface IpvsMatch {
  /** Any such connection, or none; a negated one stands alone. Not read where the others imply it. */
  ipvs?: boolean | Not<true>
  /** Protocol of the virtual service: name or number from 0 to 255. */
  protocol?: string | number | Not<string | number>
  /** Address of the virtual service, with a prefix length or mask. */
  address?: string | Not<string>
  /** Port of the virtual service, 0 to 65535. */
  port?: number | Not<number>
  direction?: 'ORIGINAL' | 'REPLY'
  /** How packets get to the real servers. */
  method?: 'GATE' | 'IPIP' | 'MASQ' | Not<'GATE' | 'IPIP' | 'MASQ'>
  /** Port of the virtual service of the controlling connection, such as 21 for FTP, 0 to 65535. */
  controlPort?: number | Not<number>
}

declare module '../extension.js' {
  interface Matches { ipvs: IpvsMatch }
}

const PORT = 32
const PROTOCOL = 34
const METHOD = 35
const CONTROL_PORT = 36
const INVERT = 38
const GIVEN = 39
/** XT_IPVS_*. */
const IPVS_PROPERTY = 1
const DIRECTION = 1 << 4

/** Alone: beside others the bit is only what they imply. */
const only: Bit = { get: (p) => p.u8(GIVEN) === IPVS_PROPERTY, set: (p) => p.setU8(GIVEN, p.u8(GIVEN) | IPVS_PROPERTY) }

const protocol: PropertyType<string | number> = {
  decode: (p, { resolver }) => formatProtocol(p.u8(PROTOCOL), resolver),
  encode(p, value, name, { resolver }) {
    const number = typeof value === 'string' ? parseProtocol(value, resolver) : value
    if (number === undefined) throw outOfRange(name, 'a protocol name or a number from 0 to 255', value)
    requireInteger(number, name, 0, 255)
    p.setU8(PROTOCOL, number)
  },
  parse(p, text, option, { resolver }) {
    const number = parseProtocol(text, resolver)
    if (number === undefined) throw new RuleError(`${option}: unknown protocol "${text}"`)
    p.setU8(PROTOCOL, number)
  },
  print: (p) => String(p.u8(PROTOCOL)),
}

const port = (offset: number): PropertyType<number> => ({
  ...integer({ offset, width: 2, bigEndian: true }),
  parse: (p, text, option, ctx) => p.setBe16(offset, parseServicePort(text, option, ctx)),
})

const nameOfDirection = (p: Payload) => ((p.u8(INVERT) & DIRECTION) !== 0 ? 'REPLY' as const : 'ORIGINAL' as const)
function putDirection(p: Payload, text: unknown, fail: () => Error): void {
  if (text !== 'ORIGINAL' && text !== 'REPLY') throw fail()
  if (text === 'REPLY') p.setU8(INVERT, p.u8(INVERT) | DIRECTION)
}

const direction: PropertyType<'ORIGINAL' | 'REPLY'> = {
  decode: nameOfDirection,
  encode: (p, value, name) => putDirection(p, value, () => invalidArgument(name, 'ORIGINAL or REPLY', value)),
  parse: (p, text, option) => putDirection(p, text.toUpperCase(), () => new RuleError(`${option}: expected ORIGINAL or REPLY, got "${text}"`)),
  print: nameOfDirection,
}

/** IP_VS_CONN_F_DROUTE, TUNNEL and MASQ (include/uapi/linux/ip_vs.h). */
const names = choice({ offset: METHOD, width: 1 }, { GATE: 3, IPIP: 2, MASQ: 0 })
const method: PropertyType<'GATE' | 'IPIP' | 'MASQ'> = {
  ...names,
  parse: (p, text, option, ctx) => names.parse(p, text.toUpperCase(), option, ctx),
  print: (p, ctx) => names.print(p, ctx) ?? 'UNKNOWN',
}

function check(p: Payload): void {
  if ((p.u8(GIVEN) & ~IPVS_PROPERTY) === 0) return
  if ((p.u8(INVERT) & IPVS_PROPERTY) !== 0) throw new RuleError('ipvs: ! --ipvs cannot be given beside other options')
  only.set(p)
}

const one = <T>(key: string, option: string, mask: number, type: PropertyType<T>) =>
  property({ key, options: [option], type, present: bit(GIVEN, mask), invert: bit(INVERT, mask) })

registerExtension({
  kind: 'match', name: 'ipvs', revision: 0, size: 40, check, oneOf: ['ipvs', 'protocol', 'address', 'port', 'direction', 'method', 'controlPort'],
  properties: [
    property({ key: 'ipvs', options: ['--ipvs'], type: flag(only), invert: bit(INVERT, IPVS_PROPERTY), arguments: 0 }),
    one('protocol', '--vproto', 1 << 1, protocol),
    one('address', '--vaddr', 1 << 2, hostMask(0, 16)),
    one('port', '--vport', 1 << 3, port(PORT)),
    property({ key: 'direction', options: ['--vdir'], type: direction, present: bit(GIVEN, DIRECTION) }),
    one('method', '--vmethod', 1 << 5, method),
    one('controlPort', '--vportctl', 1 << 6, port(CONTROL_PORT)),
  ],
})
