// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, type RuleContext, RuleError } from '../payload.js'
import { type Bit, bit, type Not, property, type PropertyType, requireInteger } from '../property.js'
import { parsePort, type PortRange } from '../types.js'

/** Ports and ranges of ports; a range takes two of the fifteen places. */
export type PortList = (number | PortRange)[]

/**
 * `-m multiport` (xt_multiport_v1, include/uapi/linux/netfilter/xt_multiport.h). Exactly one of the three lists. Needs the
 * protocol tcp, udp, udplite, sctp or dccp, given before it in text.
 */
export interface MultiportMatch {
  sourcePorts?: PortList | Not<PortList>
  destinationPorts?: PortList | Not<PortList>
  /** The source or the destination port. */
  ports?: PortList | Not<PortList>
}

declare module '../extension.js' {
  interface Matches { multiport: MultiportMatch }
}

const PLACES = 15
const COUNT = 1
const PORTS = 2
/** Whether the port at the same place begins a range. */
const RANGES = 32
const PROTOCOLS = [6, 17, 136, 132, 33]

/** Bytes beyond what the struct can hold are not there. */
const read = (p: Payload): PortList => {
  const list: PortList = []
  const count = Math.min(p.u8(COUNT), PLACES)
  for (let i = 0; i < count; i++) {
    const port = p.u16(PORTS + 2 * i)
    if (p.u8(RANGES + i) === 0 || i + 1 >= PLACES) list.push(port)
    else list.push([port, p.u16(PORTS + 2 * ++i)])
  }
  return list
}

function put(p: Payload, list: PortList, fail: (expected: string) => Error): void {
  if (list.length === 0 || list.reduce<number>((sum, one) => sum + (typeof one === 'number' ? 1 : 2), 0) > PLACES) {
    throw fail(`1 to ${PLACES} ports, where a range counts as two`)
  }
  let i = 0
  for (const one of list) {
    if (typeof one === 'number') p.setU16(PORTS + 2 * i++, one)
    else {
      if (one[0] >= one[1]) throw fail('ranges that run forwards')
      p.setU8(RANGES + i, 1)
      for (const port of one) p.setU16(PORTS + 2 * i++, port)
    }
  }
  p.setU8(COUNT, i)
}

function checkProtocol({ protocol, protocolNegated }: RuleContext): void {
  if (protocolNegated || !PROTOCOLS.includes(protocol)) throw new RuleError('multiport: needs -p tcp, udp, udplite, sctp or dccp before it')
}

const portList: PropertyType<PortList> = {
  decode: read,
  encode(p, value, name, ctx) {
    checkProtocol(ctx)
    if (!Array.isArray(value)) throw invalidArgument(name, 'a list of ports and ranges [from, to]', value)
    value.forEach((one: unknown, i) => {
      if (!Array.isArray(one)) return requireInteger(one, `${name}[${i}]`, 0, 65535)
      if (one.length !== 2) throw invalidArgument(`${name}[${i}]`, 'a pair of ports [from, to]', one)
      one.forEach((port: unknown, end) => requireInteger(port, `${name}[${i}][${end}]`, 0, 65535))
    })
    put(p, value, (expected) => outOfRange(name, expected, value.join(',')))
  },
  parse(p, text, option, ctx) {
    checkProtocol(ctx)
    const list = text.split(',').map((part): number | PortRange => {
      const colon = part.indexOf(':')
      return colon < 0 ? parsePort(part, option, ctx) : [parsePort(part.slice(0, colon), option, ctx), parsePort(part.slice(colon + 1), option, ctx)]
    })
    put(p, list, (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`))
  },
  print: (p) => read(p).map((one) => (typeof one === 'number' ? one : one.join(':'))).join(','),
}

const which = (number: number): Bit => ({ get: (p) => p.u8(0) === number, set: (p) => p.setU8(0, number) })
const common = { type: portList, invert: bit(47, 1) }

registerExtension({
  kind: 'match', name: 'multiport', revision: 1, size: 48, protocols: PROTOCOLS, oneOf: ['sourcePorts', 'destinationPorts', 'ports'],
  properties: [
    property({ key: 'sourcePorts', options: ['--sports', '--source-ports'], present: which(0), excludes: ['destinationPorts', 'ports'], ...common }),
    property({ key: 'destinationPorts', options: ['--dports', '--destination-ports'], present: which(1), excludes: ['ports'], ...common }),
    property({ key: 'ports', options: ['--ports'], present: which(2), ...common }),
  ],
})
