// SPDX-License-Identifier: MIT
import { bit, choice, integer, property, registerExtension, RuleError } from '../../lib/netfilter/extension.js'

/** `-m l2tp` (struct xt_l2tp_info, linux/netfilter/xt_l2tp.h): tunnels of L2TP. */
export interface L2tpMatch {
  /** 1 to 4294967295. */
  tunnel?: number
  session?: number
  version?: 2 | 3
  type?: 'control' | 'data'
}

declare module '../../lib/netfilter/extension.js' {
  interface UserMatches { l2tp: L2tpMatch }
}

const FLAGS = 10
const given = (number: number) => bit(FLAGS, 1 << number)

registerExtension({
  kind: 'match', name: 'l2tp', revision: 0, size: 12,
  // UDP, or the protocol of its own
  protocols: [17, 115],
  properties: [
    property({ key: 'tunnel', options: ['--tid'], type: integer({ offset: 0, width: 4, min: 1 }), present: given(0) }),
    property({ key: 'session', options: ['--sid'], type: integer({ offset: 4, width: 4, min: 1 }), present: given(1) }),
    property({ key: 'version', options: ['--pversion'], type: integer({ offset: 8, width: 1, min: 2, max: 3 }), present: given(2) }),
    property({ key: 'type', options: ['--type'], type: choice({ offset: 9, width: 1 }, { control: 0, data: 1 }), present: given(3) }),
  ],
  check(p, seen) {
    if (!seen.has('tunnel') && !seen.has('session') && !(seen.has('type') && p.u8(9) === 0)) throw new RuleError('l2tp: --tid, --sid or --type control is missing')
    if (p.u8(8) === 2 && (p.u32(0) > 0xffff || p.u32(4) > 0xffff)) throw new RuleError('l2tp: version 2 has numbers up to 65535')
  },
})
