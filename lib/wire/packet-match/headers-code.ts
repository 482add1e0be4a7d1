// SPDX-License-Identifier: MIT
// Code that reads the headers of a packet into scratch memory: the counterpart of packet-view.ts.

import { Label } from '../bpf/assembler.js'
import { BpfOp as Op } from '../bpf/instruction.js'
import { ETHERNET_HEADER, EtherType } from '../ethernet.js'
import { IpProtocol } from '../ip-protocol.js'
import { type FieldCode, NO_PROTOCOL, NO_TAG, Slot } from './field-code.js'
import { EXTENSION_HEADERS, IPV4_HEADER, IPV6_HEADER, MOST_EXTENSION_HEADERS, MOST_TAGS } from './packet-view.js'

/** Ethernet header and VLAN tags; to `short` when there is no Ethernet header. */
export function linkCode(code: FieldCode, short: Label): void {
  const { asm } = code
  const done = new Label()
  code.op(Op.loadLength)
  code.need(Op.jumpGreaterEqual, ETHERNET_HEADER, short)
  code.op(Op.loadImmediate, NO_TAG)
  code.op(Op.store, Slot.vlan)
  let at = ETHERNET_HEADER - 2
  const typeAt = () => {
    code.fromFrame(2, at)
    code.op(Op.store, Slot.etherType)
    code.op(Op.loadxImmediate, at + 2)
    code.op(Op.storex, Slot.network)
  }
  typeAt()
  for (let tags = 0; tags < MOST_TAGS; tags++) {
    const tagged = new Label()
    code.unless(Op.jumpEqual, EtherType.vlan, tagged)
    code.equal(EtherType.serviceVlan, tagged, done)
    asm.place(tagged)
    code.op(Op.loadLength)
    code.need(Op.jumpGreaterEqual, at + 6, done)
    if (tags === 0) {
      code.fromFrame(2, at + 2)
      code.op(Op.and, 0xfff)
      code.op(Op.store, Slot.vlan)
    }
    at += 4
    typeAt()
  }
  asm.place(done)
}

/** To the code for the family that a packet says it is of. With RAW at least an IPv4 header is there. */
export function familyCode(code: FieldCode, ipv4: Label, ipv6: Label, other: Label): void {
  if (code.kind.linkType === 'EN10MB') {
    code.op(Op.loadMemory, Slot.etherType)
    code.unless(Op.jumpEqual, EtherType.ipv4, ipv4)
    code.equal(EtherType.ipv6, ipv6, other)
    return
  }
  code.op(Op.loadLength)
  code.need(Op.jumpGreaterEqual, IPV4_HEADER, other)
  version(code)
  code.unless(Op.jumpEqual, 4, ipv4)
  code.equal(6, ipv6, other)
}

function version(code: FieldCode): void {
  code.fromNetwork(1, 0)
  code.op(Op.shiftRight, 4)
}

function roomAndVersion(code: FieldCode, header: number, wanted: number, other: Label): void {
  code.roomAtNetwork()
  code.op(Op.store, Slot.room)
  code.need(Op.jumpGreaterEqual, header, other)
  if (code.kind.linkType === 'RAW') return
  version(code)
  code.need(Op.jumpEqual, wanted, other)
}

/** IPv4 header; to `other` when it is not sound. */
export function ipv4Code(code: FieldCode, other: Label): void {
  const { asm } = code
  const big = new Label()
  const known = new Label()
  roomAndVersion(code, IPV4_HEADER, 4, other)
  code.fromNetwork(1, 0)
  code.op(Op.and, 15)
  code.op(Op.shiftLeft, 2)
  code.need(Op.jumpGreaterEqual, IPV4_HEADER, other)
  code.op(Op.store, Slot.header)
  code.op(Op.loadxMemory, Slot.room)
  const fits = new Label()
  asm.branch(Op.jumpGreaterx, 0, other, fits)
  asm.place(fits)
  code.fromNetwork(2, 2)
  code.unless(Op.jumpEqual, 0, big)
  code.op(Op.loadxMemory, Slot.header)
  asm.branch(Op.jumpGreaterEqualx, 0, known, other)
  asm.place(big)
  code.op(Op.loadMemory, Slot.room)
  asm.place(known)
  code.op(Op.store, Slot.totalLength)
}

/** Where the transport header is in IPv4. */
export function ipv4TransportCode(code: FieldCode): void {
  const { asm } = code
  const later = new Label()
  const first = new Label()
  const done = new Label()
  code.fromNetwork(2, 6)
  asm.branch(Op.jumpSet, 0x1fff, later, first)
  asm.place(later)
  code.op(Op.loadImmediate, 0)
  code.op(Op.store, Slot.transport)
  code.op(Op.store, Slot.available)
  asm.jump(done)
  asm.place(first)
  presentLength(code)
  code.op(Op.loadxMemory, Slot.header)
  code.op(Op.subtractx)
  code.op(Op.store, Slot.available)
  code.op(Op.fromX)
  code.addNetwork()
  code.op(Op.store, Slot.transport)
  asm.place(done)
}

/** A = the bytes of the packet that are there, without padding. */
function presentLength(code: FieldCode): void {
  const cut = new Label()
  const whole = new Label()
  code.op(Op.loadMemory, Slot.totalLength)
  code.op(Op.loadxMemory, Slot.room)
  code.asm.branch(Op.jumpGreaterx, 0, cut, whole)
  code.asm.place(cut)
  code.op(Op.fromX)
  code.asm.place(whole)
}

/** IPv6 header; to `other` when it is not sound. */
export function ipv6Code(code: FieldCode, other: Label): void {
  const { asm } = code
  const none = new Label()
  const known = new Label()
  const done = new Label()
  roomAndVersion(code, IPV6_HEADER, 6, other)
  code.fromNetwork(1, 6)
  code.op(Op.store, Slot.protocol)
  code.fromNetwork(2, 4)
  code.need(Op.jumpEqual, 0, known)
  code.op(Op.loadMemory, Slot.protocol)
  code.unless(Op.jumpEqual, IpProtocol.noNext, none)
  code.op(Op.loadMemory, Slot.room)
  asm.jump(done)
  asm.place(none)
  code.op(Op.loadImmediate, 0)
  asm.place(known)
  code.op(Op.add, IPV6_HEADER)
  asm.place(done)
  code.op(Op.store, Slot.totalLength)
}

/** Walks the extension headers of IPv6; to `long` when there are too many. The protocol slot holds the first header's. */
export function ipv6TransportCode(code: FieldCode, long: Label): void {
  const { asm } = code
  const missing = new Label()
  const later = new Label()
  const done = new Label()
  const end = new Label()
  presentLength(code)
  code.addNetwork()
  code.op(Op.store, Slot.end)
  code.op(Op.loadImmediate, IPV6_HEADER)
  code.addNetwork()
  code.op(Op.toX)
  // From here on x is where the next header begins, and A its kind where one is asked for.
  code.op(Op.loadMemory, Slot.protocol)
  for (let headers = 0; headers <= MOST_EXTENSION_HEADERS; headers++) {
    const extension = new Label()
    code.oneOf(EXTENSION_HEADERS, headers === MOST_EXTENSION_HEADERS ? long : extension, done)
    if (headers < MOST_EXTENSION_HEADERS) {
      asm.place(extension)
      extensionCode(code, missing, later)
    }
  }
  asm.place(later)
  code.op(Op.loadMemory, Slot.next)
  code.op(Op.store, Slot.protocol)
  code.op(Op.loadImmediate, 0)
  code.op(Op.store, Slot.available)
  code.op(Op.store, Slot.transport)
  asm.jump(end)
  asm.place(done)
  code.op(Op.storex, Slot.transport)
  code.op(Op.loadMemory, Slot.end)
  const there = new Label()
  asm.branch(Op.jumpGreaterEqualx, 0, there, missing)
  asm.place(there)
  code.op(Op.subtractx)
  code.op(Op.store, Slot.available)
  asm.jump(end)
  asm.place(missing)
  code.op(Op.loadImmediate, NO_PROTOCOL)
  code.op(Op.store, Slot.protocol)
  code.op(Op.loadImmediate, 0)
  code.op(Op.store, Slot.available)
  code.op(Op.store, Slot.transport)
  asm.place(end)
}

/** One extension header at x, whose kind is in the protocol slot; then the next one's is there and in A. */
function extensionCode(code: FieldCode, missing: Label, later: Label): void {
  const { asm } = code
  const there = new Label()
  const fragment = new Label()
  const authentication = new Label()
  const advance = new Label()
  // Eight bytes are there: end - 8 >= x, and end is at least the length of an IPv6 header.
  code.op(Op.loadMemory, Slot.end)
  code.op(Op.subtract, 8)
  asm.branch(Op.jumpGreaterEqualx, 0, there, missing)
  asm.place(there)
  code.op(Op.load8x, 0)
  code.op(Op.store, Slot.next)
  code.op(Op.loadMemory, Slot.protocol)
  code.unless(Op.jumpEqual, IpProtocol.fragment, fragment)
  code.unless(Op.jumpEqual, IpProtocol.ah, authentication)
  code.op(Op.load8x, 1)
  code.op(Op.add, 1)
  code.op(Op.shiftLeft, 3)
  asm.jump(advance)
  asm.place(authentication)
  code.op(Op.load8x, 1)
  code.op(Op.add, 2)
  code.op(Op.shiftLeft, 2)
  asm.jump(advance)
  asm.place(fragment)
  code.op(Op.load16x, 2)
  code.unless(Op.jumpSet, 0xfff8, later)
  code.op(Op.loadImmediate, 8)
  asm.place(advance)
  code.op(Op.addx)
  code.op(Op.toX)
  code.op(Op.loadMemory, Slot.next)
  code.op(Op.store, Slot.protocol)
}
