// SPDX-License-Identifier: MIT
// What a rule is to be, checked and made a message.

import { invalidArgument } from '../errors.js'
import { checkInteger, checkInterfaceName } from '../wire/attributes.js'
import { Writer } from '../wire/bytes.js'
import { familyOf, formatIp, type IpFamily, parsePrefix } from '../wire/ip.js'
import { familyNumber, type RouteProtocolName, type RouteTableName } from '../wire/rtnetlink.js'
import {
  encodeRule, FIB_RULE_INVERT, type IpProtocolName, type NumberRange, type RuleActionName, ruleActions, type RuleAttributes,
  type RuleMessage,
} from '../wire/rule.js'
import { checkBoolean, checkKeys } from './check.js'
import { tableNumber } from './route-request.js'

/** Which packets a rule is about and what it does. What `Rule.list` answers can be given back. */
export interface RuleSpec {
  /**
   * The order of looking, 0 to 4294967295; the lowest is first. Unless told, one before the second rule there is, as
   * ip-rule(8) has it. The kernel's own are 0 (local), 32766 (main) and 32767 (default).
   */
  priority?: number
  /** That of `from` and `to`, or `ipv4`. */
  family?: IpFamily
  /** Source prefix. */
  from?: string
  /** Destination prefix. */
  to?: string
  /** Type of service, 0 to 255; 0 is any. */
  tos?: number
  /** The packet's mark, as set by iptables' MARK for example: 0 to 4294967295. */
  fwmark?: number
  /** Which bits of the mark count; all unless told. */
  fwmask?: number
  /** The link that the packet came in by; `lo` stands for packets of this machine. It need not exist. */
  iif?: string
  /** The link that a socket of this machine is bound to. */
  oif?: string
  /** The first and last user id of sockets of this machine. */
  uidRange?: NumberRange
  /** A number or a name such as `tcp`. */
  ipProtocol?: IpProtocolName | number
  /** First and last port, 1 to 65534. */
  sourcePorts?: NumberRange
  destinationPorts?: NumberRange
  /** Which bits of a single port count (Linux 6.15). */
  sourcePortMask?: number
  destinationPortMask?: number
  /** 0 to 63 (Linux 6.13); its mask from Linux 6.15 on. */
  dscp?: number
  dscpMask?: number
  /** IPv6 (Linux 6.14). */
  flowLabel?: number
  flowLabelMask?: number
  /** Id of an IP tunnel, up to 2^53 - 1. */
  tunnelId?: number
  /** The table is that of the packet's L3 master device (CONFIG_NET_L3_MASTER_DEV). */
  l3mdev?: boolean
  /** The rule is about all packets but those. */
  invert?: boolean
  /** The table to look in; the rule's action is `table` then. */
  table?: RouteTableName | number
  /** The priority of the rule to go on with, above this one's; the action is `goto` then. */
  goto?: number
  action?: RuleActionName | number
  /** Routes whose prefix is not longer than this do not count: 0 passes over default routes. */
  suppressPrefixLength?: number
  /** Routes by links of this group do not count. */
  suppressInterfaceGroup?: number
  /** IPv4: from and to realm, 16 bits each. */
  realms?: number
  /** Who made it; `static` unless told. */
  protocol?: RouteProtocolName | number
}

/** The message of a request; what is left out is zero. */
export type RuleRequest = Partial<RuleMessage> & { family: number }

const SELECTORS: readonly (keyof RuleSpec)[] = [
  'from', 'to', 'tos', 'fwmark', 'fwmask', 'iif', 'oif', 'uidRange', 'ipProtocol', 'sourcePorts', 'destinationPorts', 'sourcePortMask',
  'destinationPortMask', 'dscp', 'dscpMask', 'flowLabel', 'flowLabelMask', 'tunnelId', 'l3mdev',
]
/** What a spec can have. */
export const RULE_SPEC = [
  ...SELECTORS, 'priority', 'family', 'invert', 'table', 'goto', 'action', 'suppressPrefixLength', 'suppressInterfaceGroup', 'realms',
  'protocol',
]
const REPORTED = ['flags', 'unknown']
/** What goes into its attribute as it is. */
const PLAIN = [
  'priority', 'fwmark', 'fwmask', 'iif', 'oif', 'uidRange', 'ipProtocol', 'sourcePorts', 'destinationPorts', 'sourcePortMask',
  'destinationPortMask', 'dscp', 'dscpMask', 'flowLabel', 'flowLabelMask', 'tunnelId', 'goto', 'suppressPrefixLength',
  'suppressInterfaceGroup', 'realms', 'protocol',
] as const satisfies readonly (keyof RuleSpec & keyof RuleAttributes)[]

/** The message of a rule that is to be added. */
export function newRule(spec: RuleSpec): RuleRequest {
  const request = requestOf({ ...spec, protocol: spec?.protocol ?? 'static' })
  if (request.action === 0) throw invalidArgument('rule', 'a table, a goto, l3mdev or an action', spec)
  // The kernel would look for an unused table (fib4_rule_configure, net/ipv4/fib_rules.c).
  if (ruleActions.of(request.action!) === 'table' && request.table === 0 && spec.l3mdev !== true) {
    throw invalidArgument('table', 'the table to look in', spec.table)
  }
  return request
}

/** Checks everything. */
export function requestOf(spec: RuleSpec): RuleRequest {
  checkKeys(spec, [...RULE_SPEC, ...REPORTED], 'rule')
  const { from, to, tos, invert, l3mdev, table, iif, oif } = spec
  const family = spec.family ?? (from ?? to ? familyOf(parsePrefix((from ?? to)!, from === undefined ? 'to' : 'from').address) : 'ipv4')
  const number = familyNumber(family)
  const source = from === undefined ? undefined : parsePrefix(from, 'from', family)
  const destination = to === undefined ? undefined : parsePrefix(to, 'to', family)
  checkBoolean(invert, 'invert')
  checkBoolean(l3mdev, 'l3mdev')
  for (const [name, value] of [['iif', iif], ['oif', oif]] as const) if (value !== undefined) checkInterfaceName(value, name)
  for (const name of ['flowLabel', 'flowLabelMask'] as const) if (spec[name] !== undefined) checkInteger(spec[name], 0, 0xfffff, name)
  const { suppressPrefixLength } = spec
  if (suppressPrefixLength !== undefined) checkInteger(suppressPrefixLength, 0, family === 'ipv4' ? 32 : 128, 'suppressPrefixLength')
  const action = spec.action === undefined
    ? (spec.goto !== undefined ? 'goto' : table !== undefined || l3mdev === true ? 'table' : undefined)
    : ruleActions.of(ruleActions.number(spec.action, 'action'))
  if (spec.goto !== undefined && action !== 'goto') throw invalidArgument('goto', `none for the action ${action}`, spec.goto)
  if (spec.goto !== undefined && table !== undefined) throw invalidArgument('goto', 'none beside a table', spec.goto)
  if (l3mdev === true && table !== undefined) throw invalidArgument('table', 'none beside l3mdev', table)
  const request: RuleRequest = {
    family: number,
    toLength: destination?.length ?? 0,
    fromLength: source?.length ?? 0,
    ...(tos === undefined ? {} : { tos }),
    table: table === undefined ? 0 : tableNumber(table),
    action: action === undefined ? 0 : ruleActions.number(action, 'action'),
    flags: invert === true ? FIB_RULE_INVERT : 0,
    attributes: {
      ...(destination === undefined || destination.length === 0 ? {} : { to: formatIp(destination.address) }),
      ...(source === undefined || source.length === 0 ? {} : { from: formatIp(source.address) }),
      ...Object.fromEntries(PLAIN.filter((key) => spec[key] !== undefined).map((key) => [key, spec[key]])),
      ...(l3mdev === true ? { l3mdev } : {}),
    },
  }
  encodeRule(new Writer(), request)
  return request
}
