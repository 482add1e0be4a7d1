// SPDX-License-Identifier: MIT

import { type Extension, type Hook, registerExtension, requireHook } from '../extension.js'
import { type Payload, type RuleContext, RuleError } from '../payload.js'
import { type Bit, bit, flag, type Not, type Property, property } from '../property.js'
import { nameSet } from '../types.js'

/** Kinds of routes (RTN_* of include/uapi/linux/rtnetlink.h) as bits. */
const TYPES = {
  UNSPEC: 1 << 0, UNICAST: 1 << 1, LOCAL: 1 << 2, BROADCAST: 1 << 3, ANYCAST: 1 << 4, MULTICAST: 1 << 5, BLACKHOLE: 1 << 6, UNREACHABLE: 1 << 7,
  PROHIBIT: 1 << 8, THROW: 1 << 9, NAT: 1 << 10, XRESOLVE: 1 << 11,
} as const
export type AddressType = keyof typeof TYPES

/** `-m addrtype` (xt_addrtype, include/uapi/linux/netfilter/xt_addrtype.h): what the routing table says of an address. */
export interface AddrtypeMatch {
  /** At least one of the two lists must be there. IPv6 knows no BROADCAST, BLACKHOLE, PROHIBIT, THROW, NAT and XRESOLVE. */
  sourceTypes?: (AddressType | number)[] | Not<(AddressType | number)[]>
  destinationTypes?: (AddressType | number)[] | Not<(AddressType | number)[]>
  /** Look at the interface that the packet came in by: not in OUTPUT and POSTROUTING. Revision 1. */
  limitInInterface?: boolean
  /** Look at the interface that the packet leaves by: not in PREROUTING and INPUT. Revision 1. */
  limitOutInterface?: boolean
}

declare module '../extension.js' {
  interface Matches { addrtype: AddrtypeMatch }
}

const IN_HOOKS: readonly Hook[] = ['PREROUTING', 'INPUT', 'FORWARD']
const OUT_HOOKS: readonly Hook[] = ['FORWARD', 'OUTPUT', 'POSTROUTING']

function types(invertSource: Bit, invertDestination: Bit): Property[] {
  const given = (offset: number): Bit => ({ get: (p) => p.u16(offset) !== 0, set: () => {} })
  const type = (offset: number) => nameSet({ offset, width: 2 }, TYPES, { abbreviated: true })
  return [
    property({ key: 'sourceTypes', options: ['--src-type'], type: type(0), present: given(0), invert: invertSource }),
    property({ key: 'destinationTypes', options: ['--dst-type'], type: type(2), present: given(2), invert: invertDestination }),
  ]
}

/** What the kernel refuses (net/netfilter/xt_addrtype.c, addrtype_mt_checkentry_v1). */
function check(p: Payload, _seen: ReadonlySet<string>, ctx: RuleContext): void {
  const asked = p.u16(0) | p.u16(2)
  if (ctx.family === 'ipv6' && ((asked & (TYPES.BLACKHOLE | TYPES.BROADCAST)) !== 0 || asked >= TYPES.PROHIBIT)) {
    throw new RuleError('addrtype: IPv6 only has the types UNSPEC, UNICAST, LOCAL, ANYCAST, MULTICAST and UNREACHABLE')
  }
  if ((p.u32(4) & 4) !== 0) requireHook('addrtype: --limit-iface-in', IN_HOOKS, ctx)
  if ((p.u32(4) & 8) !== 0) requireHook('addrtype: --limit-iface-out', OUT_HOOKS, ctx)
}

const common = { kind: 'match', name: 'addrtype', oneOf: ['sourceTypes', 'destinationTypes'] } satisfies Partial<Extension>

registerExtension({
  ...common, revision: 1, size: 8, check,
  properties: [
    ...types(bit(4, 1, 4), bit(4, 2, 4)),
    property({ key: 'limitInInterface', options: ['--limit-iface-in'], type: flag(bit(4, 4, 4)), arguments: 0, excludes: ['limitOutInterface'] }),
    property({ key: 'limitOutInterface', options: ['--limit-iface-out'], type: flag(bit(4, 8, 4)), arguments: 0 }),
  ],
})

// Whole integers here, of which the first bit is set.
registerExtension({ ...common, revision: 0, family: 'ipv4', size: 12, properties: types(bit(4, 1, 4), bit(8, 1, 4)) })
