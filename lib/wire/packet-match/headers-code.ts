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

/** To the code for the family that a packet says it is of. With RAW at least an IPv4 header is there, and its length is not below the least. */
export function familyCode(code: FieldCode, ipv4: Label, ipv6: Label, other: Label): void {
  if (code.kind.linkType === 'EN10MB') {
    code.op(Op.loadMemory, Slot.etherType)
    code.unless(Op.jumpEqual, EtherType.ipv4, ipv4)
    code.equal(EtherType.ipv6, ipv6, other)
    return
  }
  const notFour = new Label()
  code.op(Op.loadLength)
  code.need(Op.jumpGreaterEqual, IPV4_HEADER, other)
  // Version and, in IPv4, length of the header: 0x45 to 0x4f. Version and a part of the traffic class in IPv6: 0x60 to 0x6f.
  code.fromNetwork(1, 0)
  code.unless(Op.jumpGreaterEqual, 0x50, notFour)
  code.asm.branch(Op.jumpGreaterEqual, 0x40 + IPV4_HEADER / 4, ipv4, other)
  code.asm.place(notFour)
  code.unless(Op.jumpGreaterEqual, 0x70, other)
  code.asm.branch(Op.jumpGreaterEqual, 0x60, ipv6, other)
}

/** The room at the network header, which must be enough for the least header. */
function roomFor(code: FieldCode, header: number, other: Label): void {
  code.roomAtNetwork()
  if (code.kind.linkType !== 'RAW') code.op(Op.store, Slot.room)
  code.need(Op.jumpGreaterEqual, header, other)
}

/** IPv4 header; to `other` when it is not sound. */
export function ipv4Code(code: FieldCode, other: Label): void {
  const { asm } = code
  const big = new Label()
  const known = new Label()
  roomFor(code, IPV4_HEADER, other)
  if (code.kind.linkType === 'RAW') code.op(Op.loadxHeader, 0)
  else {
    code.fromNetwork(1, 0)
    code.unless(Op.jumpGreaterEqual, 0x50, other)
    code.need(Op.jumpGreaterEqual, 0x40 + IPV4_HEADER / 4, other)
    code.op(Op.and, 15)
    code.op(Op.shiftLeft, 2)
    code.op(Op.toX)
  }
  code.op(Op.storex, Slot.header)
  code.fromRoom()
  const fits = new Label()
  asm.branch(Op.jumpGreaterEqualx, 0, fits, other)
  asm.place(fits)
  code.fromNetwork(2, 2)
  code.unless(Op.jumpEqual, 0, big)
  code.op(Op.loadxMemory, Slot.header)
  asm.branch(Op.jumpGreaterEqualx, 0, known, other)
  asm.place(big)
  code.fromRoom()
  asm.place(known)
  code.op(Op.store, Slot.totalLength)
}

/** Where the transport header is in IPv4. */
export function ipv4TransportCode(code: FieldCode): void {
  const { asm } = code
  const first = new Label()
  const done = new Label()
  code.fromNetwork(2, 6)
  const later = new Label()
  asm.branch(Op.jumpSet, 0x1fff, later, first)
  asm.place(later)
  noTransport(code)
  asm.jump(done)
  asm.place(first)
  presentLength(code)
  code.op(Op.loadxMemory, Slot.header)
  code.op(Op.subtractx)
  code.op(Op.store, Slot.available)
  transportAtHeader(code)
  asm.place(done)
}

/** Nothing of a transport header is there. */
function noTransport(code: FieldCode): void {
  code.op(Op.loadxImmediate, 0)
  code.op(Op.storex, Slot.transport)
  code.op(Op.loadImmediate, 0)
  code.op(Op.store, Slot.available)
}

/** The transport header begins so many bytes behind the network header as x says; A is what is available there, and stays so. */
function transportAtHeader(code: FieldCode): void {
  if (code.kind.linkType !== 'RAW') {
    code.op(Op.fromX)
    code.addNetwork()
    code.op(Op.toX)
    code.op(Op.loadMemory, Slot.available)
  }
  code.op(Op.storex, Slot.transport)
}

/** A = the bytes of the packet that are there, without padding. */
function presentLength(code: FieldCode): void {
  const cut = new Label()
  const whole = new Label()
  code.op(Op.loadMemory, Slot.totalLength)
  code.roomToX()
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
  roomFor(code, IPV6_HEADER, other)
  if (code.kind.linkType !== 'RAW') {
    code.fromNetwork(1, 0)
    code.op(Op.shiftRight, 4)
    code.need(Op.jumpEqual, 6, other)
  }
  code.fromNetwork(2, 4)
  code.need(Op.jumpEqual, 0, known)
  code.fromNetwork(1, 6)
  code.unless(Op.jumpEqual, IpProtocol.noNext, none)
  code.fromRoom()
  asm.jump(done)
  asm.place(none)
  code.op(Op.loadImmediate, 0)
  asm.place(known)
  code.op(Op.add, IPV6_HEADER)
  asm.place(done)
  code.op(Op.store, Slot.totalLength)
}

/** Walks the extension headers of IPv6; to `long` when there are too many. */
export function ipv6TransportCode(code: FieldCode, long: Label): void {
  const { asm } = code
  const missing = new Label()
  const later = new Label()
  const done = new Label()
  const end = new Label()
  presentLength(code)
  code.addNetwork()
  code.op(Op.store, Slot.end)
  code.op(Op.subtract, EXTENSION_HEADER)
  code.op(Op.store, Slot.last)
  // From here on x is where the next header begins, and A its kind where one is asked for.
  code.fromNetwork(1, 6)
  code.op(Op.store, Slot.protocol)
  code.op(Op.loadImmediate, IPV6_HEADER)
  code.addNetwork()
  code.op(Op.toX)
  code.op(Op.loadMemory, Slot.protocol)
  for (let headers = 0; headers < MOST_EXTENSION_HEADERS; headers++) extensionCode(code, missing, later, done)
  code.oneOf(EXTENSION_HEADERS, long, done)
  asm.place(later)
  code.op(Op.load8x, 0)
  code.op(Op.store, Slot.protocol)
  noTransport(code)
  asm.jump(end)
  asm.place(done)
  code.op(Op.store, Slot.protocol)
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
  noTransport(code)
  asm.place(end)
}

/** An extension header of which 8 bytes are there has at least its first two fields, and its whole in a fragment's. */
const EXTENSION_HEADER = 8

/** The header at x, whose kind is A: to `done` if it is no extension header, else x is behind it, and A is the kind of the next one. */
function extensionCode(code: FieldCode, missing: Label, later: Label, done: Label): void {
  const { asm } = code
  const fragment = new Label()
  const authentication = new Label()
  const inFours = new Label()
  const advance = new Label()
  const others = new Label()
  code.unless(Op.jumpEqual, IpProtocol.fragment, fragment)
  code.unless(Op.jumpEqual, IpProtocol.ah, authentication)
  code.oneOf(EXTENSION_HEADERS.filter((kind) => kind !== IpProtocol.fragment && kind !== IpProtocol.ah), others, done)
  asm.place(others)
  isThere(code, missing)
  code.op(Op.load8x, 1)
  code.op(Op.add, 1)
  code.op(Op.shiftLeft, 1)
  asm.jump(inFours)
  asm.place(authentication)
  isThere(code, missing)
  code.op(Op.load8x, 1)
  code.op(Op.add, 2)
  asm.place(inFours)
  code.op(Op.shiftLeft, 2)
  asm.jump(advance)
  asm.place(fragment)
  isThere(code, missing)
  code.op(Op.load16x, 2)
  code.unless(Op.jumpSet, 0xfff8, later)
  code.op(Op.loadImmediate, EXTENSION_HEADER)
  asm.place(advance)
  code.op(Op.addx)
  code.op(Op.store, Slot.next)
  code.op(Op.load8x, 0)
  code.op(Op.loadxMemory, Slot.next)
}

/** The least extension header is there: x is not behind the last place where one can begin, which is not below 32. */
function isThere(code: FieldCode, missing: Label): void {
  const there = new Label()
  code.op(Op.loadMemory, Slot.last)
  code.asm.branch(Op.jumpGreaterEqualx, 0, there, missing)
  code.asm.place(there)
}
