// SPDX-License-Identifier: MIT

import { BpfOp } from '../../bpf/instruction.js'
import { EtherType } from '../../ethernet.js'
import type { NumberRange } from '../../rule.js'
import { registerField } from '../field.js'
import { Slot } from '../field-code.js'
import { type NumberOrRange, readRange, within } from '../values.js'

/** EtherTypes by name (include/uapi/linux/if_ether.h). */
export type EtherTypeName = keyof typeof EtherType

declare module '../field.js' {
  interface PacketMatchFields {
    /**
     * What the frame carries, behind up to two VLAN tags in it: a name or 0 to 65535. Below 1536 is the length of an IEEE 802.3 frame:
     * `[0, 1535]` are all of them. Link type EN10MB only.
     */
    etherType?: EtherTypeName | NumberOrRange
  }
}

const MOST = 0xffff

registerField<NumberRange>({
  key: 'etherType',
  read(given, name) {
    if (typeof given === 'string' && Object.hasOwn(EtherType, given)) return [EtherType[given as EtherTypeName], EtherType[given as EtherTypeName]]
    return readRange(given, name, MOST)
  },
  layer: () => 'link',
  test: (range, { etherType }) => within(etherType!, range),
  compile(range, code, yes, no) {
    code.op(BpfOp.loadMemory, Slot.etherType)
    code.within(range, MOST, yes, no)
  },
})
