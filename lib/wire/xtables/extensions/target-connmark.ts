// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { bitwise, type MarkPlace, setBits, withMask } from '../marks.js'
import type { Payload } from '../payload.js'
import { type Bit, integer, type Masked, property, type PropertyType, requireInteger, requireUnsigned } from '../property.js'

/**
 * `-j CONNMARK` (xt_connmark_tginfo2, include/uapi/linux/netfilter/xt_connmark.h): one of `mark`, `save` and `restore`. The shifts
 * are revision 2, kernel 4.17 and newer.
 */
export interface ConnmarkTarget {
  /** The connection's mark: a number, or with a mask its bits are cleared first and the value is exclusive-ored. */
  mark?: Masked
  /** Copies the packet's mark to the connection. */
  save?: boolean
  /** Copies the connection's mark to the packet. */
  restore?: boolean
  /** Which bits of the packet's mark take part; all unless told. */
  packetMask?: number
  /** Which bits of the connection's mark take part; all unless told. */
  connectionMask?: number
  /** Both masks at once. */
  bothMasks?: number
  /** Bits, 0 to 32. */
  leftShift?: number
  rightShift?: number
}

declare module '../extension.js' {
  interface Targets { CONNMARK: ConnmarkTarget }
}

const PLACE: MarkPlace = { value: { offset: 0, width: 4 }, mask: { offset: 4, width: 4 } }
const CTMASK = 4
const NFMASK = 8
const SHIFT_DIRECTION = 12
const SHIFT_BITS = 13

function register(revision: 1 | 2): void {
  const MODE = revision === 1 ? 12 : 14
  const mode = (number: number): Bit => ({ get: (p) => p.u8(MODE) === number, set: (p) => p.setU8(MODE, number) })
  const nothing: PropertyType<boolean> = {
    decode: () => true,
    encode(_p, value, name) {
      if (value !== true) throw outOfRange(name, 'true, or leave it out', value)
    },
    parse: () => {},
    print: () => '',
  }
  const maskAt = (offset: number): PropertyType<number> => ({
    ...integer({ offset, width: 4 }, 'hex'),
    // Beside `mark` the connection's mask is part of it, and the packet's is idle.
    decode: (p) => (p.u8(MODE) === 0 && (offset === CTMASK || p.u32(offset) === 0xffffffff) ? undefined : p.u32(offset)),
    print: (p) => (p.u8(MODE) === 0 ? undefined : `0x${p.u32(offset).toString(16)}`),
  })
  const put = (p: Payload, bits: number) => {
    p.setU32(CTMASK, bits)
    p.setU32(NFMASK, bits)
  }
  const both: PropertyType<number> = {
    decode: () => undefined,
    encode(p, value, name) {
      requireInteger(value, name, 0, 0xffffffff)
      put(p, value)
    },
    parse: (p, text, option) => put(p, requireUnsigned(text, option)),
    print: () => undefined,
  }
  const shift = (direction: 0 | 1): PropertyType<number> => ({
    decode: (p) => (p.u8(SHIFT_DIRECTION) === direction && (direction === 1 || p.u8(SHIFT_BITS) !== 0) ? p.u8(SHIFT_BITS) : undefined),
    encode(p, value, name) {
      requireInteger(value, name, 0, 32)
      if (p.u8(SHIFT_BITS) !== 0) throw outOfRange(name, 'a shift to the left or to the right, not both', value)
      p.setU8(SHIFT_DIRECTION, direction)
      p.setU8(SHIFT_BITS, value)
    },
    parse(p, text, option) {
      p.setU8(SHIFT_BITS, requireUnsigned(text, option, 0, 32))
      p.setU8(SHIFT_DIRECTION, direction)
    },
    print: (p) => (p.u8(SHIFT_DIRECTION) === direction && p.u8(SHIFT_BITS) !== 0 ? String(p.u8(SHIFT_BITS)) : undefined),
  })
  registerExtension({
    kind: 'target', name: 'CONNMARK', revision, size: revision === 1 ? 13 : 15, oneOf: ['mark', 'save', 'restore'],
    init: (p) => put(p, 0xffffffff),
    recognises: (p) => p.u8(MODE) <= 2 && (revision === 1 || p.u8(SHIFT_DIRECTION) <= 1),
    properties: [
      property({ key: 'mark', options: ['--set-xmark'], type: withMask(PLACE), present: mode(0), excludes: ['save', 'restore'] }),
      property({ key: 'mark', options: ['--set-mark'], type: setBits(PLACE), present: mode(0), alias: true }),
      property({ key: 'mark', options: ['--and-mark'], type: bitwise('and', PLACE), present: mode(0), alias: true }),
      property({ key: 'mark', options: ['--or-mark'], type: bitwise('or', PLACE), present: mode(0), alias: true }),
      property({ key: 'mark', options: ['--xor-mark'], type: bitwise('xor', PLACE), present: mode(0), alias: true }),
      property({ key: 'save', options: ['--save-mark'], type: nothing, present: mode(1), arguments: 0, excludes: ['restore'] }),
      property({ key: 'restore', options: ['--restore-mark'], type: nothing, present: mode(2), arguments: 0 }),
      property({ key: 'packetMask', options: ['--nfmask'], type: maskAt(NFMASK), excludes: ['bothMasks'] }),
      property({ key: 'connectionMask', options: ['--ctmask'], type: maskAt(CTMASK), excludes: ['bothMasks'] }),
      property({ key: 'bothMasks', options: ['--mask'], type: both }),
      ...(revision === 1 ? [] : [
        property({ key: 'leftShift', options: ['--left-shift-mark'], type: shift(0) }),
        property({ key: 'rightShift', options: ['--right-shift-mark'], type: shift(1) }),
      ]),
    ],
  })
}

register(2)
register(1)
