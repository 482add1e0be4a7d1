// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, integer, type Not, property } from '../property.js'
import { nameSet, parseServicePort, type PortRange, ports } from '../types.js'

/** Packet types of RFC 4340 section 5.1; INVALID are the reserved ones, 10 to 15. */
const TYPES = {
  REQUEST: 1 << 0, RESPONSE: 1 << 1, DATA: 1 << 2, ACK: 1 << 3, DATAACK: 1 << 4, CLOSEREQ: 1 << 5, CLOSE: 1 << 6, RESET: 1 << 7, SYNC: 1 << 8,
  SYNCACK: 1 << 9, INVALID: 0xfc00,
} as const
export type DccpType = keyof typeof TYPES

/** `-m dccp` (xt_dccp_info, include/uapi/linux/netfilter/xt_dccp.h). Needs the protocol dccp. */
export interface DccpMatch {
  /** Source ports `[from, to]`. */
  sourcePorts?: PortRange | Not<PortRange>
  destinationPorts?: PortRange | Not<PortRange>
  types?: (DccpType | number)[] | Not<(DccpType | number)[]>
  /** Number of an option that must be there, 1 to 255. */
  option?: number | Not<number>
}

declare module '../extension.js' {
  interface Matches { dccp: DccpMatch }
}

const FLAGS = 8
const INVERT = 10
const always = { get: () => true }
const types = nameSet({ offset: 12, width: 2 }, TYPES, { gaps: true })
/** One reserved type is enough to print the name: older iptables set only the first. */
const printed = nameSet({ offset: 12, width: 2 }, { ...TYPES, INVALID: 1 << 10 })

registerExtension({
  kind: 'match', name: 'dccp', revision: 0, size: 16, protocols: [33],
  properties: [
    property({
      key: 'sourcePorts', options: ['--sport', '--source-port'], type: ports(4, 6, always, parseServicePort),
      present: bit(FLAGS, 1, 2), invert: bit(INVERT, 1, 2),
    }),
    property({
      key: 'destinationPorts', options: ['--dport', '--destination-port'], type: ports(0, 2, always, parseServicePort),
      present: bit(FLAGS, 2, 2), invert: bit(INVERT, 2, 2),
    }),
    property({
      key: 'types', options: ['--dccp-types'], type: { ...types, print: printed.print },
      present: bit(FLAGS, 4, 2), invert: bit(INVERT, 4, 2),
    }),
    property({
      key: 'option', options: ['--dccp-option'], type: integer({ offset: 14, width: 1, min: 1 }),
      present: bit(FLAGS, 8, 2), invert: bit(INVERT, 8, 2),
    }),
  ],
})
