// SPDX-License-Identifier: MIT

import { type IpProtocolName, ipProtocols } from '../../rule.js'
import { registerField } from '../field.js'

declare module '../field.js' {
  interface PacketMatchFields {
    /**
     * What the IP packet carries: IPv4's protocol; in IPv6 what stands behind the extension headers hop-by-hop, routing, fragment,
     * authentication and destination options. A packet of which these are not all there has none.
     */
    protocol?: IpProtocolName | number
  }
}

registerField<number>({
  key: 'protocol',
  read: (given, name) => ipProtocols.number(given as number, name),
  layer: () => 'protocol',
  implies: (protocol) => [protocol],
  test: (protocol, { ip }) => ip!.protocol === protocol,
  compile(protocol, code, yes, no) {
    code.fromProtocol()
    code.equal(protocol, yes, no)
  },
})
