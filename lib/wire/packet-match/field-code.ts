// SPDX-License-Identifier: MIT
// What the code of fields is made of: loads from the headers of a packet and jumps by what was loaded.

import { type Assembler, Label } from '../bpf/assembler.js'
import { ANCILLARY_OFFSET, BpfOp } from '../bpf/instruction.js'
import { inputOf } from '../bytes.js'
import type { NumberRange } from '../rule.js'
import type { PacketKind } from './field.js'
import type { MaskedBytes } from './values.js'

export type Width = 1 | 2 | 4

/** Scratch memory. What a slot holds is there once the headers that it is about were read. */
export const Slot = {
  /** Where the network header begins; with EN10MB only, since it is 0 with RAW. */
  network: 0,
  /** EtherType or IEEE 802.3 length. */
  etherType: 1,
  /** VLAN id of the outermost tag in the frame's bytes, or {@link NO_TAG}. */
  vlan: 2,
  /** Bytes from the network header on; with EN10MB only, since they are all with RAW. */
  room: 3,
  totalLength: 4,
  /** Length of the IPv4 header. */
  header: 5,
  /** Transport protocol behind IPv6 extension headers, or {@link NO_PROTOCOL}. */
  protocol: 6,
  /** Where the transport header begins, and how many bytes there are from there on: 0 in a later fragment. */
  transport: 7, available: 8,
  /** For the walk over IPv6 extension headers: where the packet ends, the last place where a header can begin, and where the next one does. */
  end: 9, last: 10, next: 11,
} as const
export const NO_TAG = 0x10000
export const NO_PROTOCOL = 0x100

const LOAD = { 1: BpfOp.load8, 2: BpfOp.load16, 4: BpfOp.load32 } as const
const LOAD_X = { 1: BpfOp.load8x, 2: BpfOp.load16x, 4: BpfOp.load32x } as const

export class FieldCode {
  readonly asm: Assembler
  /** The packets that reach this code. */
  readonly kind: PacketKind

  constructor(asm: Assembler, kind: PacketKind) {
    this.asm = asm
    this.kind = kind
  }

  op(code: number, k = 0): void { this.asm.op(code, k) }

  /** A = the bytes at an offset from the beginning of the frame. */
  fromFrame(width: Width, offset: number): void {
    this.op(LOAD[width], offset)
  }

  /** A = the bytes at an offset from the network header. */
  fromNetwork(width: Width, offset: number): void {
    if (this.kind.linkType === 'RAW') return this.fromFrame(width, offset)
    this.op(BpfOp.loadxMemory, Slot.network)
    this.op(LOAD_X[width], offset)
  }

  /** A = the bytes at an offset from the transport header. */
  fromTransport(width: Width, offset: number): void {
    this.op(BpfOp.loadxMemory, Slot.transport)
    this.op(LOAD_X[width], offset)
  }

  /** A = one of SKF_AD_*. */
  fromKernel(ancillary: number): void { this.op(BpfOp.load32, ANCILLARY_OFFSET + ancillary) }

  /** A = the transport protocol. */
  fromProtocol(): void {
    if (this.kind.family === 'ipv4') this.fromNetwork(1, 9)
    else this.op(BpfOp.loadMemory, Slot.protocol)
  }

  /** A = offset from the beginning of the bytes, of an offset from the network header in A. */
  addNetwork(): void {
    if (this.kind.linkType === 'RAW') return
    this.op(BpfOp.loadxMemory, Slot.network)
    this.op(BpfOp.addx)
  }

  /** A = bytes from the network header on. */
  roomAtNetwork(): void {
    this.op(BpfOp.loadLength)
    if (this.kind.linkType === 'RAW') return
    this.op(BpfOp.loadxMemory, Slot.network)
    this.op(BpfOp.subtractx)
  }

  /** A = the same, once it was found for a packet of IP. */
  fromRoom(): void {
    if (this.kind.linkType === 'RAW') this.op(BpfOp.loadLength)
    else this.op(BpfOp.loadMemory, Slot.room)
  }

  /** x = the same. */
  roomToX(): void {
    if (this.kind.linkType === 'RAW') this.op(BpfOp.loadxLength)
    else this.op(BpfOp.loadxMemory, Slot.room)
  }

  /** Jumps to `no` unless so many bytes of the transport header are there. */
  needTransport(length: number, no: Label): void {
    this.op(BpfOp.loadMemory, Slot.available)
    this.need(BpfOp.jumpGreaterEqual, length, no)
  }

  /** Goes on if a condition holds, else to `no`. */
  need(code: number, k: number, no: Label): void {
    const next = new Label()
    this.asm.branch(code, k, next, no)
    this.asm.place(next)
  }

  /** Goes on unless a condition holds, else to `yes`. */
  unless(code: number, k: number, yes: Label): void {
    const next = new Label()
    this.asm.branch(code, k, yes, next)
    this.asm.place(next)
  }

  equal(value: number, yes: Label, no: Label): void { this.asm.branch(BpfOp.jumpEqual, value, yes, no) }

  /** Whether A, which is at most `max`, is in a range. */
  within([first, last]: NumberRange, max: number, yes: Label, no: Label): void {
    if (first === last) return this.equal(first, yes, no)
    if (first > 0) this.need(BpfOp.jumpGreaterEqual, first, no)
    if (last < max) this.asm.branch(BpfOp.jumpGreater, last, no, yes)
    else this.asm.jump(yes)
  }

  /** Whether A is one of some numbers. */
  oneOf(numbers: readonly number[], yes: Label, no: Label): void {
    for (const number of numbers.slice(0, -1)) this.unless(BpfOp.jumpEqual, number, yes)
    this.equal(numbers.at(-1)!, yes, no)
  }

  /** Whether bytes, which must be there, have a value. */
  bytes(load: (width: Width, offset: number) => void, { value, mask }: MaskedBytes, yes: Label, no: Label): void {
    const values = inputOf(value).view
    const masks = inputOf(mask).view
    for (let at = 0; at < value.length;) {
      const left = value.length - at
      const width: Width = left >= 4 ? 4 : left >= 2 ? 2 : 1
      const read = (view: DataView) => (width === 4 ? view.getUint32(at) : width === 2 ? view.getUint16(at) : view.getUint8(at))
      const bits = read(masks)
      if (bits !== 0) {
        load(width, at)
        if (bits !== 2 ** (8 * width) - 1) this.op(BpfOp.and, bits)
        this.need(BpfOp.jumpEqual, read(values), no)
      }
      at += width
    }
    this.asm.jump(yes)
  }
}
