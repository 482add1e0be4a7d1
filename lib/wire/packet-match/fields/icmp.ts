// SPDX-License-Identifier: MIT

import { Label } from '../../bpf/assembler.js'
import type { IpFamily } from '../../ip.js'
import { IpProtocol } from '../../ip-protocol.js'
import type { NumberRange } from '../../rule.js'
import { type Field, registerField } from '../field.js'
import { transportAt } from '../packet-view.js'
import { type NumberOrRange, readObject, readRange, within } from '../values.js'

/** Type and code of an ICMP message (IANA icmp-parameters, icmpv6-parameters). */
export interface IcmpMatch {
  /** 0 to 255. */
  type: NumberOrRange
  /** 0 to 255; any unless told. */
  code?: NumberOrRange
}

declare module '../field.js' {
  interface PacketMatchFields {
    /** An ICMP message in an IPv4 packet. A fragment other than the first is none. */
    icmp?: IcmpMatch
    /** An ICMPv6 message in an IPv6 packet. */
    icmpv6?: IcmpMatch
  }
}

interface Message { type: NumberRange; code: NumberRange | undefined }
const MOST = 0xff
const TYPE_AND_CODE = 2

const message = (key: string, family: IpFamily, protocol: number): Field<Message> => ({
  key,
  read(given, name) {
    const { type, code } = readObject(given, name, ['type', 'code'], '{ type, code }')
    return { type: readRange(type, `${name}.type`, MOST), code: code === undefined ? undefined : readRange(code, `${name}.code`, MOST) }
  },
  layer: () => 'transport',
  families: () => [family],
  protocols: () => [protocol],
  test({ type, code }, packet) {
    const at = transportAt(packet, TYPE_AND_CODE)
    return at !== undefined && within(packet.bytes[at]!, type) && (code === undefined || within(packet.bytes[at + 1]!, code))
  },
  compile({ type, code: wanted }, code, yes, no) {
    const next = new Label()
    code.needTransport(TYPE_AND_CODE, no)
    code.fromTransport(1, 0)
    code.within(type, MOST, wanted === undefined ? yes : next, no)
    if (wanted === undefined) return
    code.asm.place(next)
    code.fromTransport(1, 1)
    code.within(wanted, MOST, yes, no)
  },
})

registerField(message('icmp', 'ipv4', IpProtocol.icmp))
registerField(message('icmpv6', 'ipv6', IpProtocol.icmpv6))
