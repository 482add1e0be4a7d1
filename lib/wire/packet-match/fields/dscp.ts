// SPDX-License-Identifier: MIT

import { BpfOp } from '../../bpf/instruction.js'
import type { NumberRange } from '../../rule.js'
import { registerField } from '../field.js'
import { type NumberOrRange, readRange, within } from '../values.js'

declare module '../field.js' {
  interface PacketMatchFields {
    /** Differentiated services code point (RFC 2474), 0 to 63. */
    dscp?: NumberOrRange
  }
}

const MOST = 63

registerField<NumberRange>({
  key: 'dscp',
  read: (given, name) => readRange(given, name, MOST),
  layer: () => 'network',
  // IPv4: the upper six bits of its second byte; IPv6: of the eight bits behind the version.
  test: (range, { view, network, family }) => within(family === 'ipv4' ? view.getUint8(network! + 1) >> 2 : (view.getUint16(network!) >> 6) & MOST, range),
  compile(range, code, yes, no) {
    if (code.kind.family === 'ipv4') {
      code.fromNetwork(1, 1)
      code.op(BpfOp.shiftRight, 2)
    } else {
      code.fromNetwork(2, 0)
      code.op(BpfOp.shiftRight, 6)
      code.op(BpfOp.and, MOST)
    }
    code.within(range, MOST, yes, no)
  },
})
