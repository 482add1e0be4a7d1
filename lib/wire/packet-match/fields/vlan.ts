// SPDX-License-Identifier: MIT

import { Label } from '../../bpf/assembler.js'
import { Ancillary, BpfOp } from '../../bpf/instruction.js'
import type { NumberRange } from '../../rule.js'
import { registerField } from '../field.js'
import { Slot } from '../field-code.js'
import { type NumberOrRange, readRange, within } from '../values.js'

declare module '../field.js' {
  interface PacketMatchFields {
    /**
     * VLAN id of the outermost tag, 0 to 4095 (0: a priority tag): of the one that the device or the kernel took off, or else, with
     * link type EN10MB, of the one in the frame. A packet without a tag has none.
     */
    vlan?: NumberOrRange
  }
}

const MOST = 0xfff

registerField<NumberRange>({
  key: 'vlan',
  read: (given, name) => readRange(given, name, MOST),
  layer: () => 'frame',
  test: (range, { vlan }) => vlan !== undefined && within(vlan, range),
  compile(range, code, yes, no) {
    const ask = new Label()
    const inFrame = code.kind.ethernet ? new Label() : no
    code.fromKernel(Ancillary.vlanTagPresent)
    code.unless(BpfOp.jumpEqual, 0, inFrame)
    code.fromKernel(Ancillary.vlanTag)
    code.op(BpfOp.and, MOST)
    if (code.kind.ethernet) {
      code.asm.jump(ask)
      code.asm.place(inFrame)
      code.op(BpfOp.loadMemory, Slot.vlan)
      code.asm.place(ask)
    }
    // Not at most 4095: no tag is a larger number.
    code.within(range, Infinity, yes, no)
  },
})
