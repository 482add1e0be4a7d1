// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { bit, flag, integer, type Not, property } from '../property.js'

/** `-m ecn` (xt_ecn_info, include/uapi/linux/netfilter/xt_ecn.h; RFC 3168). At least one must be there. */
export interface EcnMatch {
  /** The ECE bit of the TCP header. Needs the protocol tcp. */
  tcpEce?: boolean | Not<true>
  /** The CWR bit of the TCP header. Needs the protocol tcp. */
  tcpCwr?: boolean | Not<true>
  /** The code point of the IP header, 0 to 3. */
  ipEct?: number | Not<number>
}

declare module '../extension.js' {
  interface Matches { ecn: EcnMatch }
}

const OPERATION = 0
const INVERT = 1
const ECE = 0x10
const CWR = 0x20

registerExtension({
  kind: 'match', name: 'ecn', revision: 0, size: 4, oneOf: ['tcpEce', 'tcpCwr', 'ipEct'],
  check(p, _seen, { protocol, protocolNegated }) {
    if ((p.u8(OPERATION) & (ECE | CWR)) !== 0 && (protocol !== 6 || protocolNegated)) {
      throw new RuleError('ecn: --ecn-tcp-ece and --ecn-tcp-cwr need -p tcp')
    }
  },
  properties: [
    property({ key: 'tcpEce', options: ['--ecn-tcp-ece'], type: flag(bit(OPERATION, ECE)), invert: bit(INVERT, ECE), arguments: 0 }),
    property({ key: 'tcpCwr', options: ['--ecn-tcp-cwr'], type: flag(bit(OPERATION, CWR)), invert: bit(INVERT, CWR), arguments: 0 }),
    property({
      key: 'ipEct', options: ['--ecn-ip-ect'], type: integer({ offset: 2, width: 1, max: 3 }), present: bit(OPERATION, 1), invert: bit(INVERT, 1),
    }),
  ],
})
