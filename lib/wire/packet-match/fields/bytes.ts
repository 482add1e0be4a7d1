// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { BpfOp } from '../../bpf/instruction.js'
import { checkInteger } from '../../check.js'
import { registerField } from '../field.js'
import { transportAt } from '../packet-view.js'
import { bytesMatch, checkMasked, type MaskedBytes, readObject } from '../values.js'

/** Bytes anywhere in a packet. */
export interface BytesMatch {
  /**
   * What the offset counts from: `network`, the header behind the Ethernet header and its VLAN tags (IP or other); `transport`, the
   * header behind the IP header, its options and extension headers, which later fragments do not have; `frame`, the destination
   * address of the frame, with link type EN10MB only.
   */
  at: 'network' | 'transport' | 'frame'
  /** Bytes from there, 0 to 65535. */
  offset: number
  /** The value, 1 to 256 bytes, or as hexadecimal text. */
  value: Uint8Array | string
  /** Which bits count, as long as the value; all unless told. */
  mask?: Uint8Array | string
}

declare module '../field.js' {
  interface PacketMatchFields {
    /** A packet that does not have all these bytes does not match. What pads a short frame is no part of the transport header. */
    bytes?: BytesMatch
  }
}

const PLACES = ['network', 'transport', 'frame'] as const
const MOST = 256
const KEYS = ['at', 'offset', 'value', 'mask'] as const

interface Bytes extends MaskedBytes { at: BytesMatch['at']; offset: number; end: number }

function readBytes(given: unknown, name: string): Uint8Array {
  if (typeof given === 'string' && /^(?:[0-9a-f]{2})+$/i.test(given)) {
    return Uint8Array.from({ length: given.length / 2 }, (_, i) => Number.parseInt(given.slice(2 * i, 2 * i + 2), 16))
  }
  if (!(given instanceof Uint8Array)) throw invalidArgument(name, 'bytes (a Uint8Array or hexadecimal text)', given)
  // Unlike slice, which shares the memory of a Buffer.
  return new Uint8Array(given)
}

registerField<Bytes>({
  key: 'bytes',
  read(given, name) {
    const { at, offset, value, mask } = readObject(given, name, KEYS, `{ ${KEYS.join(', ')} }`)
    if (!PLACES.includes(at as BytesMatch['at'])) throw invalidArgument(`${name}.at`, `one of ${PLACES.join(', ')}`, at)
    checkInteger(offset, 0, 0xffff, `${name}.offset`, 'bytes')
    const bytes = readBytes(value, `${name}.value`)
    checkInteger(bytes.length, 1, MOST, `${name}.value`, 'bytes')
    const masked = { value: bytes, mask: mask === undefined ? new Uint8Array(bytes.length).fill(0xff) : readBytes(mask, `${name}.mask`) }
    if (masked.mask.length !== bytes.length) throw outOfRange(`${name}.mask`, `${bytes.length} bytes, as many as the value`, masked.mask.length)
    checkMasked(masked, `${name}.value`, value)
    return { ...masked, at: at as BytesMatch['at'], offset, end: offset + bytes.length }
  },
  layer: ({ at }) => (at === 'transport' ? 'transport' : at === 'network' ? 'frame' : 'link'),
  applies: ({ at }, { linkType, ethernet, family }) => (at === 'transport' ? family !== undefined : at === 'frame' || linkType === 'RAW' || ethernet),
  test(wanted, packet) {
    const { at, offset, end } = wanted
    const from = at === 'transport' ? transportAt(packet, end) : at === 'network' ? packet.network : 0
    return from !== undefined && from + end <= packet.bytes.length && bytesMatch(packet.bytes, from + offset, wanted)
  },
  compile(wanted, code, yes, no) {
    const { at, offset, end } = wanted
    if (at === 'transport') {
      code.needTransport(end, no)
      return code.bytes((width, i) => { code.fromTransport(width, offset + i) }, wanted, yes, no)
    }
    if (at === 'network') {
      code.roomAtNetwork()
      code.need(BpfOp.jumpGreaterEqual, end, no)
      return code.bytes((width, i) => { code.fromNetwork(width, offset + i) }, wanted, yes, no)
    }
    code.op(BpfOp.loadLength)
    code.need(BpfOp.jumpGreaterEqual, end, no)
    code.bytes((width, i) => { code.fromFrame(width, offset + i) }, wanted, yes, no)
  },
})
