// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, type Not, property } from '../property.js'
import { parseServicePort, type PortRange, ports } from '../types.js'

/** `-m udp` (xt_udp, include/uapi/linux/netfilter/xt_tcpudp.h). Needs the protocol udp. */
export interface UdpMatch {
  /** Source ports `[from, to]`. */
  sourcePorts?: PortRange | Not<PortRange>
  destinationPorts?: PortRange | Not<PortRange>
}

declare module '../extension.js' {
  interface Matches { udp: UdpMatch }
}

registerExtension({
  kind: 'match', name: 'udp', revision: 0, size: 10, protocols: [17],
  init(p) {
    p.setU16(2, 0xffff)
    p.setU16(6, 0xffff)
  },
  properties: [
    property({
      key: 'sourcePorts', options: ['--sport', '--source-port'], type: ports(0, 2, bit(8, 1), parseServicePort), invert: bit(8, 1),
    }),
    property({
      key: 'destinationPorts', options: ['--dport', '--destination-port'], type: ports(4, 6, bit(8, 2), parseServicePort), invert: bit(8, 2),
    }),
  ],
})
