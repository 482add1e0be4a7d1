// SPDX-License-Identifier: MIT

import { Label } from '../../bpf/assembler.js'
import { BpfOp } from '../../bpf/instruction.js'
import type { NumberRange } from '../../rule.js'
import { registerField } from '../field.js'
import { Slot } from '../field-code.js'
import { MOST_LENGTH_8023 } from '../packet-view.js'
import { type NumberOrRange, readRange, within } from '../values.js'

declare module '../field.js' {
  interface PacketMatchFields {
    /**
     * Bytes. With link type RAW, of the IP packet, by its header: IPv4's total length, IPv6's payload length and 40. With EN10MB, of the
     * frame without padding: its headers and the IP packet, or what an IEEE 802.3 frame says; other frames with all their bytes. A VLAN
     * tag that was taken off does not count.
     */
    length?: NumberOrRange
  }
}

const MOST = 0xffffffff

registerField<NumberRange>({
  key: 'length',
  read: (given, name) => readRange(given, name, MOST),
  layer: () => 'network',
  applies: (_, { family, ethernet }) => family !== undefined || ethernet,
  test(range, { linkType, network, ip, etherType, bytes }) {
    const link = linkType === 'RAW' ? 0 : network!
    if (ip !== undefined) return within(link + ip.totalLength, range)
    return within(etherType! <= MOST_LENGTH_8023 ? link + etherType! : bytes.length, range)
  },
  compile(range, code, yes, no) {
    const ask = new Label()
    if (code.kind.family === undefined) {
      const whole = new Label()
      code.op(BpfOp.loadMemory, Slot.etherType)
      code.unless(BpfOp.jumpGreater, MOST_LENGTH_8023, whole)
      code.addNetwork()
      code.asm.jump(ask)
      code.asm.place(whole)
      code.op(BpfOp.loadLength)
    } else {
      code.op(BpfOp.loadMemory, Slot.totalLength)
      code.addNetwork()
    }
    code.asm.place(ask)
    code.within(range, MOST, yes, no)
  },
})
