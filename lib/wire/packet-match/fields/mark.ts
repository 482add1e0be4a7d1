// SPDX-License-Identifier: MIT

import { Ancillary, BpfOp } from '../../bpf/instruction.js'
import { registerField } from '../field.js'
import { type MaskedNumber, readMasked } from '../values.js'

declare module '../field.js' {
  interface PacketMatchFields {
    /** The packet's mark (skb->mark), or some of its bits. 0 to 4294967295. */
    mark?: number | MaskedNumber
  }
}

const ALL = 0xffffffff

registerField<MaskedNumber>({
  key: 'mark',
  read: (given, name) => readMasked(given, name, ALL),
  layer: () => 'metadata',
  test: ({ value, mask }, packet) => ((packet.mark & mask) >>> 0) === value,
  compile({ value, mask }, code, yes, no) {
    code.fromKernel(Ancillary.mark)
    if (mask !== ALL) code.op(BpfOp.and, mask)
    code.equal(value, yes, no)
  },
})
