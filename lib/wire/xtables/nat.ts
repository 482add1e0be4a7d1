// SPDX-License-Identifier: MIT
// The address and port ranges of the NAT targets: struct nf_nat_ipv4_multi_range_compat, nf_nat_range and nf_nat_range2
// (include/uapi/linux/netfilter/nf_nat.h).

import { invalidArgument, outOfRange } from '../../errors.js'
import { formatIp, type IpFamily, parseIp } from '../ip.js'
import { type Payload, type RuleContext, RuleError } from './payload.js'
import { bit, type Bit, flag, property, type Property, type PropertyType, requireInteger } from './property.js'
import type { PortRange } from './types.js'

/** Where packets are sent to, or come from afterwards: addresses, ports or both. */
export interface NatRange {
  /** First and last address; the same twice for one. */
  addresses?: [first: string, last: string]
  /** First and last port; needs a protocol with ports. */
  ports?: PortRange
  /** Kernel 4.18 and newer, DNAT: ports shift, this one becomes the first of `ports`. 1 to 65535. */
  basePort?: number
}

/** What all NAT targets can say beside their range. */
export interface NatFlags {
  /** Choose the port by a hash. */
  random?: boolean
}

/** Where the parts of a range are. */
export interface NatLayout {
  readonly family: IpFamily
  readonly flags: number
  readonly min: number
  readonly max: number
  readonly minPort: number
  readonly maxPort: number
  readonly basePort?: number
  readonly size: number
}

/** struct nf_nat_ipv4_multi_range_compat with its one range. */
export const ipv4Compat: NatLayout = { family: 'ipv4', flags: 4, min: 8, max: 12, minPort: 16, maxPort: 18, size: 20 }
/** struct nf_nat_range. */
export const ipv6Range: NatLayout = { family: 'ipv6', flags: 0, min: 4, max: 20, minPort: 36, maxPort: 38, size: 40 }
/** struct nf_nat_range2. */
export const range2 = (family: IpFamily): NatLayout => ({ family, flags: 0, min: 4, max: 20, minPort: 36, maxPort: 38, basePort: 40, size: 44 })

/** NF_NAT_RANGE_* */
export const NAT = { MAP_IPS: 1, PROTO_SPECIFIED: 2, PROTO_RANDOM: 4, PERSISTENT: 8, PROTO_RANDOM_FULLY: 16, PROTO_OFFSET: 32 } as const

/** The protocols with ports, or with the identifier of an ICMP query, that NAT can change. */
const WITH_PORTS = [6, 17, 132, 33, 1]

/** The single range of the older IPv4 struct. */
export function initCompat(p: Payload): void {
  p.setU32(0, 1)
}

export const natFlag = (layout: NatLayout, mask: number): Bit => bit(layout.flags, mask, 4)

const addressLength = ({ family }: NatLayout) => (family === 'ipv4' ? 4 : 16)

function requirePorts(ctx: RuleContext, option: string): void {
  if (!WITH_PORTS.includes(ctx.protocol)) throw new RuleError(`${option}: ports need -p tcp, udp, sctp, dccp or icmp`)
}

/** A number at the beginning of a text, as strtoul(3) takes it, and what follows. */
function leadingPort(text: string, min: number): { port: number; rest: string } | undefined {
  const match = /^(?:0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)/i.exec(text)
  if (match === null) return undefined
  const digits = match[0]
  const port = /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits)
  return port < min || port > 65535 ? undefined : { port, rest: text.slice(digits.length) }
}

function parsePorts(p: Payload, layout: NatLayout, text: string, option: string, ctx: RuleContext): void {
  requirePorts(ctx, option)
  const fail = () => new RuleError(`${option}: expected a port, a service or first-last, got "${text}"`)
  const service = (name: string) => {
    const port = ctx.resolver.servicePort(name, ctx.protocol)
    if (port === undefined) throw fail()
    return { port, rest: '' }
  }
  const first = leadingPort(text, 0) ?? service(text)
  let last = first
  if (first.rest !== '') {
    if (!first.rest.startsWith('-')) throw fail()
    const found = leadingPort(first.rest.slice(1), 0)
    if (found === undefined) throw fail()
    last = found
    if (last.port < first.port) throw new RuleError(`${option}: the ports ${text} run backwards`)
  }
  writePorts(p, layout, [first.port, last.port])
  if (last.rest === '') return
  if (!last.rest.startsWith('/')) throw fail()
  if (layout.basePort === undefined) throw new RuleError(`${option}: only DNAT revision 2 can shift ports`)
  const base = leadingPort(last.rest.slice(1), 1) ?? service(last.rest.slice(1))
  if (base.rest !== '') throw fail()
  natFlag(layout, NAT.PROTO_OFFSET).set(p)
  p.setBe16(layout.basePort, base.port)
}

function writePorts(p: Payload, layout: NatLayout, [first, last]: PortRange): void {
  natFlag(layout, NAT.PROTO_SPECIFIED).set(p)
  p.setBe16(layout.minPort, first)
  p.setBe16(layout.maxPort, last)
}

function requirePortRange(value: unknown, name: string, ctx: RuleContext): asserts value is PortRange {
  if (!Array.isArray(value) || value.length !== 2) throw invalidArgument(name, 'a pair of ports [first, last]', value)
  requireInteger(value[0], `${name}[0]`, 0, 65535)
  requireInteger(value[1], `${name}[1]`, 0, 65535)
  if (value[0] > value[1]) throw outOfRange(name, 'a range that does not run backwards', `${value[0]}-${value[1]}`)
  requirePorts(ctx, name)
}

function printPorts(p: Payload, layout: NatLayout): string {
  const [first, last] = [p.be16(layout.minPort), p.be16(layout.maxPort)]
  const shifted = natFlag(layout, NAT.PROTO_OFFSET).get(p) ? `/${layout.basePort === undefined ? 0 : p.be16(layout.basePort)}` : ''
  return `${first}${last === first ? '' : `-${last}`}${shifted}`
}

/** `--to-ports`: first and last. */
export function natPorts(layout: NatLayout): PropertyType<PortRange> {
  const given = natFlag(layout, NAT.PROTO_SPECIFIED)
  return {
    decode: (p) => (given.get(p) ? [p.be16(layout.minPort), p.be16(layout.maxPort)] : undefined),
    encode(p, value, name, ctx) {
      requirePortRange(value, name, ctx)
      writePorts(p, layout, value)
    },
    parse: (p, text, option, ctx) => parsePorts(p, layout, text, option, ctx),
    print: (p) => (given.get(p) ? printPorts(p, layout) : undefined),
  }
}

function addressOf(text: string, family: IpFamily, option: string): Uint8Array {
  try {
    return parseIp(text, option, family)
  } catch {
    throw new RuleError(`${option}: expected an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address, got "${text}"`)
  }
}

/** `--to-source` and `--to-destination`: `address[-address][:port[-port[/base]]]`, IPv6 addresses in brackets when ports follow. */
export function natRange(layout: NatLayout): PropertyType<NatRange> {
  const mapped = natFlag(layout, NAT.MAP_IPS)
  const withPorts = natFlag(layout, NAT.PROTO_SPECIFIED)
  const shifted = natFlag(layout, NAT.PROTO_OFFSET)
  const length = addressLength(layout)
  const { family } = layout
  const put = (p: Payload, first: Uint8Array, last: Uint8Array) => {
    mapped.set(p)
    p.set(layout.min, first)
    p.set(layout.max, last)
  }
  return {
    decode(p) {
      const value: NatRange = {}
      if (mapped.get(p)) value.addresses = [formatIp(p.slice(layout.min, length)), formatIp(p.slice(layout.max, length))]
      if (withPorts.get(p)) value.ports = [p.be16(layout.minPort), p.be16(layout.maxPort)]
      if (shifted.get(p) && layout.basePort !== undefined) value.basePort = p.be16(layout.basePort)
      return value
    },
    encode(p, value, name, ctx) {
      if (typeof value !== 'object' || value === null) throw invalidArgument(name, 'an object with addresses, ports or both', value)
      const { addresses, ports, basePort } = value
      if (addresses === undefined && ports === undefined) throw invalidArgument(name, 'addresses, ports or both', value)
      if (addresses !== undefined) {
        if (!Array.isArray(addresses) || addresses.length !== 2) throw invalidArgument(`${name}.addresses`, 'a pair of addresses [first, last]', addresses)
        put(p, parseIp(addresses[0], `${name}.addresses[0]`, family), parseIp(addresses[1], `${name}.addresses[1]`, family))
      }
      if (ports !== undefined) {
        requirePortRange(ports, `${name}.ports`, ctx)
        writePorts(p, layout, ports)
      }
      if (basePort !== undefined) {
        requireInteger(basePort, `${name}.basePort`, 1, 65535)
        if (ports === undefined || layout.basePort === undefined) throw invalidArgument(`${name}.basePort`, 'ports beside it, and a target that can shift them', basePort)
        shifted.set(p)
        p.setBe16(layout.basePort, basePort)
      }
    },
    parse(p, text, option, ctx) {
      const bracket = text.startsWith('[')
      let addresses = text
      let ports: string | undefined
      if (bracket) {
        const end = text.indexOf(']')
        if (end < 0 || family === 'ipv4') throw new RuleError(`${option}: brackets are for IPv6 addresses and come in pairs, got "${text}"`)
        addresses = text.slice(1, end)
        const rest = text.slice(end + 1)
        if (rest !== '' && !rest.startsWith(':')) throw new RuleError(`${option}: only :ports can follow the "]", got "${text}"`)
        if (rest !== '') ports = rest.slice(1)
      } else {
        const colon = text.indexOf(':')
        if (colon >= 0 && text.indexOf(':', colon + 1) < 0) {
          addresses = text.slice(0, colon)
          ports = text.slice(colon + 1)
        }
      }
      if (ports !== undefined) {
        parsePorts(p, layout, ports, option, ctx)
        if (addresses === '') return
      }
      const dash = addresses.indexOf('-')
      const first = addressOf(dash < 0 ? addresses : addresses.slice(0, dash), family, option)
      put(p, first, dash < 0 ? first : addressOf(addresses.slice(dash + 1), family, option))
    },
    print(p) {
      let text = ''
      const brackets = family === 'ipv6' && withPorts.get(p)
      if (mapped.get(p)) {
        const [first, last] = [formatIp(p.slice(layout.min, length)), formatIp(p.slice(layout.max, length))]
        text = first === last ? first : `${first}-${last}`
        if (brackets) text = `[${text}]`
      }
      if (withPorts.get(p)) text += `:${printPorts(p, layout)}`
      return text === '' ? undefined : text
    },
  }
}

/** The flags that follow a range, in the order in which they are printed. */
export function natFlags(layout: NatLayout, which: readonly ('random' | 'randomFully' | 'persistent')[]): Property[] {
  const masks = { random: NAT.PROTO_RANDOM, randomFully: NAT.PROTO_RANDOM_FULLY, persistent: NAT.PERSISTENT }
  const options = { random: '--random', randomFully: '--random-fully', persistent: '--persistent' }
  return which.map((key) => property({ key, options: [options[key]], type: flag(natFlag(layout, masks[key])), arguments: 0 }))
}
