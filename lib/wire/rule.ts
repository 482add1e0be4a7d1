// SPDX-License-Identifier: MIT
// Policy rules: struct fib_rule_hdr and FRA_* (include/uapi/linux/fib_rules.h, net/core/fib_rules.c).

import { invalidArgument } from '../errors.js'
import {
  attributeTable, be32, bool, type Codec, checkInteger, field, interfaceName, ip, u16, u32, u8, type WithUnknown,
} from './attributes.js'
import { type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { flagTable, named, nameTable } from './names.js'
import { malformed, type NetlinkMessage } from './netlink.js'
import { type RouteProtocolName, routeProtocols } from './rtnetlink.js'

export const RULE_HEADER = 12

/** What a rule does with the packets that it is about (FR_ACT_*): look in a table, go to a later rule, nothing, or drop them. */
export type RuleActionName = 'table' | 'goto' | 'nop' | 'blackhole' | 'unreachable' | 'prohibit'
export const ruleActions = nameTable<RuleActionName>({ table: 1, goto: 2, nop: 3, blackhole: 6, unreachable: 7, prohibit: 8 })

/** FIB_RULE_*: cannot be deleted; negated; the target of its goto, its iif, its oif do not exist now. */
export type RuleFlag = 'permanent' | 'invert' | 'unresolved' | 'iif-detached' | 'oif-detached' | 'find-saddr'
export const ruleFlags = flagTable<RuleFlag>({
  permanent: 0x1, invert: 0x2, unresolved: 0x4, 'iif-detached': 0x8, 'oif-detached': 0x10, 'find-saddr': 0x10000,
})
export const FIB_RULE_INVERT = 0x2

/** IP protocols by name (IANA protocol-numbers). */
export type IpProtocolName =
  | 'icmp' | 'igmp' | 'ipip' | 'tcp' | 'udp' | 'dccp' | 'gre' | 'esp' | 'ah' | 'icmpv6' | 'ospf' | 'sctp' | 'udplite'
export const ipProtocols = nameTable<IpProtocolName>({
  icmp: 1, igmp: 2, ipip: 4, tcp: 6, udp: 17, dccp: 33, gre: 47, esp: 50, ah: 51, icmpv6: 58, ospf: 89, sctp: 132, udplite: 136,
})

/** From the first to the last, both included. */
export type NumberRange = [first: number, last: number]

/** Two integers of `width` bytes, the first not above the second. */
function range(width: 2 | 4, min: number, max: number): Codec<NumberRange> {
  return {
    decode({ view }, start, end) {
      if (end - start !== width * 2) return undefined
      return width === 2 ? [view.getUint16(start, LITTLE_ENDIAN), view.getUint16(start + 2, LITTLE_ENDIAN)]
        : [view.getUint32(start, LITTLE_ENDIAN), view.getUint32(start + 4, LITTLE_ENDIAN)]
    },
    encode(w, value, name) {
      if (!Array.isArray(value) || value.length !== 2) throw invalidArgument(name, 'an array of the first and the last', value)
      checkInteger(value[0], min, max, `${name}[0]`)
      checkInteger(value[1], value[0], max, `${name}[1]`)
      for (const number of value) width === 2 ? w.u16(number) : w.u32(number)
    },
  }
}

/** A 64-bit number in network order. */
const be64: Codec<number> = {
  decode({ view }, start, end) {
    const value = end - start === 8 ? view.getBigUint64(start) : -1n
    return value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(value)
  },
  encode(w, value, name) {
    checkInteger(value, 0, Number.MAX_SAFE_INTEGER, name)
    w.be32(Math.floor(value / 2 ** 32))
    w.be32(value >>> 0)
  },
}

/** FRA_* as they are on the wire. */
export interface RuleAttributes {
  to: string
  from: string
  iif: string
  goto: number
  priority: number
  fwmark: number
  realms: number
  tunnelId: number
  suppressInterfaceGroup: number
  suppressPrefixLength: number
  table: number
  fwmask: number
  oif: string
  l3mdev: boolean
  uidRange: NumberRange
  protocol: RouteProtocolName | number
  ipProtocol: IpProtocolName | number
  sourcePorts: NumberRange
  destinationPorts: NumberRange
  dscp: number
  flowLabel: number
  flowLabelMask: number
  sourcePortMask: number
  destinationPortMask: number
  dscpMask: number
}

export const ruleAttributes = attributeTable<RuleAttributes>({
  to: field(1, ip),
  from: field(2, ip),
  iif: field(3, interfaceName),
  goto: field(4, u32()),
  priority: field(6, u32()),
  fwmark: field(10, u32()),
  realms: field(11, u32()),
  tunnelId: field(12, be64),
  suppressInterfaceGroup: field(13, u32()),
  suppressPrefixLength: field(14, u32()),
  table: field(15, u32()),
  fwmask: field(16, u32()),
  oif: field(17, interfaceName),
  l3mdev: field(19, bool()),
  uidRange: field(20, range(4, 0, 0xffffffff)),
  protocol: field(21, named(1, routeProtocols)),
  ipProtocol: field(22, named(1, ipProtocols)),
  // Neither 0 nor 65535 (fib_rule_port_range_valid, include/net/fib_rules.h).
  sourcePorts: field(23, range(2, 1, 65534)),
  destinationPorts: field(24, range(2, 1, 65534)),
  dscp: field(25, u8(0, 63)),
  flowLabel: field(26, be32()),
  flowLabelMask: field(27, be32()),
  sourcePortMask: field(28, u16()),
  destinationPortMask: field(29, u16()),
  dscpMask: field(30, u8(0, 63)),
}, { padding: 18 })

/** For naming refused attributes. */
export const ruleShape = { header: RULE_HEADER, table: ruleAttributes }

/** One rule as the kernel reports it, and as a request carries it. */
export interface RuleMessage {
  /** AF_INET or AF_INET6; multicast routing has rules of its own. */
  family: number
  toLength: number
  fromLength: number
  tos: number
  /** The table, whatever its number; 0 for none. */
  table: number
  action: number
  flags: number
  attributes: Partial<RuleAttributes> & WithUnknown
}

/** @throws NfkitError EBADMSG */
export function decodeRule(input: Input, msg: NetlinkMessage): RuleMessage {
  const { view } = input
  const at = msg.start
  if (at + RULE_HEADER > msg.end) throw malformed('a rule message shorter than its header')
  const byte = (i: number) => view.getUint8(at + i)
  const attributes = ruleAttributes.decode(input, at + RULE_HEADER, msg.end)
  return {
    family: byte(0), toLength: byte(1), fromLength: byte(2), tos: byte(3), table: attributes.table ?? byte(4), action: byte(7),
    flags: view.getUint32(at + 8, LITTLE_ENDIAN), attributes,
  }
}

/** Fields that are left out are zero. */
export function encodeRule(w: Writer, rule: Partial<RuleMessage> & { family: number }): void {
  const { family, toLength = 0, fromLength = 0, tos = 0, table = 0, action = 0, flags = 0, attributes = {} } = rule
  checkInteger(tos, 0, 255, 'tos')
  for (const value of [family, toLength, fromLength, tos, table > 255 ? 0 : table, 0, 0, action]) w.u8(value)
  w.u32(flags)
  ruleAttributes.encode(w, { ...attributes, ...(table > 255 ? { table } : {}) }, 'rule')
}
