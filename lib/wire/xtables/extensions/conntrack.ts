// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { formatProtocol, parseProtocol } from '../fixed.js'
import { hostMask } from '../host-mask.js'
import { RuleError } from '../payload.js'
import { bit, type Not, type Property, property, type PropertyType, range, requireInteger } from '../property.js'
import { nameSet, parseServicePort, type PortRange, ports } from '../types.js'

/** Bits of the state mask, in the order in which they are printed (XT_CONNTRACK_STATE_*; SNAT and DNAT are not states of the packet). */
export const STATES = { INVALID: 1, NEW: 8, RELATED: 4, ESTABLISHED: 2, UNTRACKED: 256, SNAT: 64, DNAT: 128 } as const
export type ConntrackState = keyof typeof STATES

/** The order in which a beginning of a name is looked for. */
export const STATE_ORDER = ['INVALID', 'NEW', 'ESTABLISHED', 'RELATED', 'UNTRACKED', 'SNAT', 'DNAT']

/** The first bits of enum ip_conntrack_status (include/uapi/linux/netfilter/nf_conntrack_common.h). */
const STATUSES = { EXPECTED: 1, SEEN_REPLY: 2, ASSURED: 4, CONFIRMED: 8, NONE: 0 } as const
export type ConntrackStatus = keyof typeof STATUSES

/** `-m conntrack` (xt_conntrack_mtinfo3, include/uapi/linux/netfilter/xt_conntrack.h). At least one must be there. */
export interface ConntrackMatch {
  /** UNTRACKED needs revision 2. Bits without a name are a number. */
  states?: (ConntrackState | number)[] | Not<(ConntrackState | number)[]>
  /** Name or number from 1 on. */
  protocol?: string | number | Not<string | number>
  /** Address with a prefix length or mask, in the original direction. Its bits outside the mask are kept. */
  originalSource?: string | Not<string>
  originalDestination?: string | Not<string>
  /** In the direction of the replies. */
  replySource?: string | Not<string>
  replyDestination?: string | Not<string>
  /** Ports `[from, to]`; before revision 3 only one port. */
  originalSourcePorts?: PortRange | Not<PortRange>
  originalDestinationPorts?: PortRange | Not<PortRange>
  replySourcePorts?: PortRange | Not<PortRange>
  replyDestinationPorts?: PortRange | Not<PortRange>
  statuses?: (ConntrackStatus | number)[] | Not<(ConntrackStatus | number)[]>
  /** Seconds that the connection has left, from one to another: 0 to 4294967295. */
  expires?: [from: number, to: number] | Not<[from: number, to: number]>
  /** The direction of the packet. */
  direction?: 'ORIGINAL' | 'REPLY'
}

declare module '../extension.js' {
  interface Matches { conntrack: ConntrackMatch }
}

const EXPIRES = 128
const PROTOCOL = 136
const PORTS = 138
export const MATCH_FLAGS = 146
export const INVERT_FLAGS = 148
export const STATE_MASK = 150
const PORTS_HIGH = 154
/** Bits of both flags. */
export const XT_CONNTRACK_STATE = 1
const DIRECTION = 1 << 12
/** The rule was written as `-m state`. */
export const XT_CONNTRACK_STATE_ALIAS = 1 << 13

/** sizeof by revision. */
export const CONNTRACK_SIZES = { 1: 152, 2: 156, 3: 164 } as const
type Revision = keyof typeof CONNTRACK_SIZES

const protocol: PropertyType<string | number> = {
  decode: (p, { resolver }) => formatProtocol(p.u16(PROTOCOL), resolver),
  encode(p, value, name, { resolver }) {
    const number = typeof value === 'string' ? parseProtocol(value, resolver) : value
    if (number === undefined) throw outOfRange(name, 'a protocol name or a number from 1 to 255', value)
    requireInteger(number, name, 1, 255)
    p.setU16(PROTOCOL, number)
  },
  parse(p, text, option, { resolver }) {
    const number = parseProtocol(text, resolver)
    if (number === undefined) throw new RuleError(`${option}: unknown protocol "${text}"`)
    if (number === 0) throw new RuleError(`${option}: 0 would match always or never`)
    p.setU16(PROTOCOL, number)
  },
  print: (p) => String(p.u16(PROTOCOL)),
}

/** Before revision 3 one port in network order. */
function singlePort(offset: number): PropertyType<PortRange> {
  return {
    decode: (p) => [p.be16(offset), p.be16(offset)],
    encode(p, value, name) {
      if (!Array.isArray(value) || value.length !== 2) throw invalidArgument(name, 'a pair of ports [from, to]', value)
      requireInteger(value[0], `${name}[0]`, 0, 65535)
      if (value[0] !== value[1]) throw outOfRange(name, 'one port: ranges need revision 3 of the match', value.join(':'))
      p.setBe16(offset, value[0])
    },
    parse(p, text, option, ctx) {
      if (text.includes(':')) throw new RuleError(`${option}: ranges of ports need revision 3 of the match`)
      p.setBe16(offset, parseServicePort(text, option, ctx))
    },
    print: (p) => String(p.be16(offset)),
  }
}

const direction: PropertyType<'ORIGINAL' | 'REPLY'> = {
  decode: (p) => ((p.u16(INVERT_FLAGS) & DIRECTION) !== 0 ? 'REPLY' : 'ORIGINAL'),
  encode(p, value, name) {
    if (value !== 'ORIGINAL' && value !== 'REPLY') throw invalidArgument(name, 'ORIGINAL or REPLY', value)
    if (value === 'REPLY') p.setU16(INVERT_FLAGS, p.u16(INVERT_FLAGS) | DIRECTION)
  },
  parse(p, text, option) {
    const value = text.toUpperCase()
    if (value !== 'ORIGINAL' && value !== 'REPLY') throw new RuleError(`${option}: expected ORIGINAL or REPLY, got "${text}"`)
    if (value === 'REPLY') p.setU16(INVERT_FLAGS, p.u16(INVERT_FLAGS) | DIRECTION)
  },
  print: (p) => ((p.u16(INVERT_FLAGS) & DIRECTION) !== 0 ? 'REPLY' : 'ORIGINAL'),
}

const always = { get: () => true }

function properties(revision: Revision): Property[] {
  const width = revision === 1 ? 1 : 2
  const one = <T>(key: string, option: string, flag: number, type: PropertyType<T>) =>
    property({ key, options: [option], type, present: bit(MATCH_FLAGS, flag, 2), invert: bit(INVERT_FLAGS, flag, 2) })
  const port = (index: number) =>
    revision === 3 ? ports(PORTS + 2 * index, PORTS_HIGH + 2 * index, always, parseServicePort) : singlePort(PORTS + 2 * index)
  return [
    one('states', '--ctstate', XT_CONNTRACK_STATE, nameSet({ offset: STATE_MASK, width }, STATES, { abbreviated: true, order: STATE_ORDER })),
    one('protocol', '--ctproto', 1 << 1, protocol),
    one('originalSource', '--ctorigsrc', 1 << 2, hostMask(0, 16)),
    one('originalDestination', '--ctorigdst', 1 << 3, hostMask(32, 48)),
    one('replySource', '--ctreplsrc', 1 << 4, hostMask(64, 80)),
    one('replyDestination', '--ctrepldst', 1 << 5, hostMask(96, 112)),
    one('originalSourcePorts', '--ctorigsrcport', 1 << 8, port(0)),
    one('originalDestinationPorts', '--ctorigdstport', 1 << 9, port(1)),
    one('replySourcePorts', '--ctreplsrcport', 1 << 10, port(2)),
    one('replyDestinationPorts', '--ctrepldstport', 1 << 11, port(3)),
    one('statuses', '--ctstatus', 1 << 6, nameSet({ offset: STATE_MASK + width, width }, STATUSES, {
      abbreviated: true, order: ['NONE', 'EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED'],
    })),
    one('expires', '--ctexpire', 1 << 7, range({ offset: EXPIRES, width: 4 }, { offset: EXPIRES + 4, width: 4 })),
    property({ key: 'direction', options: ['--ctdir'], type: direction, present: bit(MATCH_FLAGS, DIRECTION, 2) }),
  ]
}

for (const revision of [3, 2, 1] as const) {
  const list = properties(revision)
  registerExtension({
    kind: 'match', name: 'conntrack', revision, size: CONNTRACK_SIZES[revision], properties: list, oneOf: [...new Set(list.map((one) => one.key))],
  })
}
