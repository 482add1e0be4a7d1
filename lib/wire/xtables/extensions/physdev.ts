// SPDX-License-Identifier: MIT

import { invalidArgument } from '../../../errors.js'
import { registerExtension, requireHook } from '../extension.js'
import { putInterfaceName, readInterfaceName } from '../fixed.js'
import { type Payload, type RuleContext, RuleError } from '../payload.js'
import { bit, flag, type Not, property, type Property, type PropertyType } from '../property.js'

/**
 * `-m physdev` (xt_physdev_info, include/uapi/linux/netfilter/xt_physdev.h): the bridge ports of a packet that crosses a bridge.
 * At least one must be there.
 */
export interface PhysdevMatch {
  /** It came in by a bridge port. */
  isIn?: true | Not<true>
  /** Name of the port where it came in; a closing `+` stands for any further characters. */
  in?: string | Not<string>
  /** It will leave by a bridge port. In OUTPUT this and `out` are only for bridged packets. */
  isOut?: true | Not<true>
  /** Name of the port where it will leave; a closing `+` stands for any further characters. */
  out?: string | Not<string>
  /** It is bridged, not routed. */
  isBridged?: true | Not<true>
}

declare module '../extension.js' {
  interface Matches { physdev: PhysdevMatch }
}

const INVERT = 64
const GIVEN = 65
/** XT_PHYSDEV_OP_*. */
const OP = { in: 1, out: 2, isBridged: 4, isIn: 8, isOut: 16 } as const

function port(at: number): PropertyType<string> {
  const read = (p: Payload) => readInterfaceName(p, at)
  return {
    decode: read,
    encode(p, value, name) {
      if (typeof value !== 'string') throw invalidArgument(name, 'an interface name', value)
      putInterfaceName(p, at, at + 16, value, (expected) => invalidArgument(name, expected, value))
    },
    parse: (p, text, option) => putInterfaceName(p, at, at + 16, text, (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`)),
    print: read,
  }
}

const one = <T>(key: keyof typeof OP, option: string, type: PropertyType<T>, more: { arguments?: 0 } = {}): Property =>
  property({ key, options: [option], type, present: bit(GIVEN, OP[key]), invert: bit(INVERT, OP[key]), ...more })
const fact = (key: keyof typeof OP, option: string) => one(key, option, flag(bit(GIVEN, OP[key])), { arguments: 0 })

function check(p: Payload, _seen: ReadonlySet<string>, ctx: RuleContext): void {
  const bridged = (p.u8(GIVEN) & ~p.u8(INVERT) & OP.isBridged) !== 0
  if (!bridged && (p.u8(GIVEN) & (OP.out | OP.isOut)) !== 0) {
    requireHook('physdev: --physdev-out and --physdev-is-out without --physdev-is-bridged', ['PREROUTING', 'INPUT', 'FORWARD', 'POSTROUTING'], ctx)
  }
}

registerExtension({
  kind: 'match', name: 'physdev', revision: 0, size: 66, oneOf: ['isIn', 'in', 'isOut', 'out', 'isBridged'], check,
  properties: [
    fact('isIn', '--physdev-is-in'),
    one('in', '--physdev-in', port(0)),
    fact('isOut', '--physdev-is-out'),
    one('out', '--physdev-out', port(32)),
    fact('isBridged', '--physdev-is-bridged'),
  ],
})
