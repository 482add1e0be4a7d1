// SPDX-License-Identifier: MIT

import { IpProtocol } from '../../ip-protocol.js'
import { ipProtocols, type NumberRange } from '../../rule.js'
import { type Field, registerField } from '../field.js'
import { transportAt } from '../packet-view.js'
import { type NumberOrRange, readRange, within } from '../values.js'

declare module '../field.js' {
  interface PacketMatchFields {
    /** Source port of TCP, UDP, UDP-Lite, SCTP or DCCP, 0 to 65535. A fragment other than the first has none. */
    sourcePort?: NumberOrRange
    /** Destination port, as {@link sourcePort}. */
    destinationPort?: NumberOrRange
  }
}

/** The protocols whose header begins with two ports (net/netfilter/xt_multiport.c). */
const PROTOCOLS = [IpProtocol.tcp, IpProtocol.udp, IpProtocol.sctp, ipProtocols.number('dccp', 'protocol'), ipProtocols.number('udplite', 'protocol')]
const MOST = 0xffff
const BOTH_PORTS = 4

const port = (key: string, offset: number): Field<NumberRange> => ({
  key,
  read: (given, name) => readRange(given, name, MOST),
  layer: () => 'transport',
  protocols: () => PROTOCOLS,
  test(range, packet) {
    const at = transportAt(packet, BOTH_PORTS)
    return at !== undefined && within(packet.view.getUint16(at + offset), range)
  },
  compile(range, code, yes, no) {
    code.needTransport(BOTH_PORTS, no)
    code.fromTransport(2, offset)
    code.within(range, MOST, yes, no)
  },
})

registerField(port('sourcePort', 0))
registerField(port('destinationPort', 2))
