// SPDX-License-Identifier: MIT

import { invalidArgument } from '../../../errors.js'
import { BpfOp } from '../../bpf/instruction.js'
import { IpProtocol } from '../../ip-protocol.js'
import { TCP_FLAGS, type TcpFlag } from '../../tcp.js'
import { registerField } from '../field.js'
import { transportAt } from '../packet-view.js'
import { type MaskedNumber, readMasked, readObject } from '../values.js'

/** Which control bits of TCP are looked at, and which of these are set; the others must not be. */
export interface TcpFlagsMatch {
  /** Which are looked at. */
  mask: readonly TcpFlag[]
  /** Which of these are set. */
  set: readonly TcpFlag[]
}

declare module '../field.js' {
  interface PacketMatchFields {
    /** Control bits of TCP: `{ mask: ['syn', 'ack'], set: ['syn'] }` is a segment that opens a connection. */
    tcpFlags?: TcpFlagsMatch
  }
}

const FLAGS_AT = 13

function bitsOf(given: unknown, name: string): number {
  if (!Array.isArray(given)) throw invalidArgument(name, `an array of ${TCP_FLAGS.join(', ')}`, given)
  return given.reduce<number>((bits, flag: unknown) => {
    const bit = TCP_FLAGS.indexOf(flag as TcpFlag)
    if (bit < 0) throw invalidArgument(name, `some of ${TCP_FLAGS.join(', ')}`, flag)
    return bits | (1 << bit)
  }, 0)
}

registerField<MaskedNumber>({
  key: 'tcpFlags',
  read(given, name) {
    const { mask, set } = readObject(given, name, ['mask', 'set'], '{ mask, set }')
    return readMasked({ mask: bitsOf(mask, `${name}.mask`), value: bitsOf(set, `${name}.set`) }, name, 0xff)
  },
  layer: () => 'transport',
  protocols: () => [IpProtocol.tcp],
  test({ value, mask }, packet) {
    const at = transportAt(packet, FLAGS_AT + 1)
    return at !== undefined && (packet.bytes[at + FLAGS_AT]! & mask) === value
  },
  compile({ value, mask }, code, yes, no) {
    code.needTransport(FLAGS_AT + 1, no)
    code.fromTransport(1, FLAGS_AT)
    code.op(BpfOp.and, mask)
    code.equal(value, yes, no)
  },
})
