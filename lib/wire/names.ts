// SPDX-License-Identifier: MIT
// Numbers that users see by name: in the fixed headers of messages as well as in attributes.

import { invalidArgument, outOfRange } from '../errors.js'
import type { Codec } from './attributes.js'
import { LITTLE_ENDIAN } from './bytes.js'

/** An open set of names for the integers 0 to `max`: a number without a name stays a number. */
export interface NameTable<N extends string> {
  /** The name, or the number itself. */
  of(number: number): N | number
  /** The number of a name. @throws TypeError, RangeError */
  number(value: N | number, argument: string): number
}

export function nameTable<N extends string>(names: Readonly<Record<N, number>>, max = 255): NameTable<N> {
  const byNumber = new Map(Object.entries<number>(names).map(([name, number]) => [number, name as N]))
  return {
    of: (number) => byNumber.get(number) ?? number,
    number(value, argument) {
      if (typeof value === 'string' && Object.hasOwn(names, value)) return names[value]
      if (typeof value !== 'number') throw invalidArgument(argument, `one of ${Object.keys(names).join(', ')} or a number`, value)
      if (!Number.isInteger(value) || value < 0 || value > max) throw outOfRange(argument, `an integer from 0 to ${max}`, value)
      return value
    },
  }
}

/** A bit that has no name, as hexadecimal text: `0x1000`. */
export type UnnamedFlag = `0x${string}`

/** Names for the bits of an integer; bits without one are kept as {@link UnnamedFlag}. */
export interface FlagTable<N extends string> {
  /** The names of the bits that are set, lowest first. */
  of(bits: number): (N | UnnamedFlag)[]
  /** The bits of a list of names. @throws TypeError */
  bits(value: readonly (N | UnnamedFlag)[], argument: string): number
}

export function flagTable<N extends string>(names: Readonly<Record<N, number>>): FlagTable<N> {
  const entries = Object.entries<number>(names) as [N, number][]
  const byBit = new Map(entries.map(([name, bit]) => [bit, name]))
  return {
    of(bits) {
      const list: (N | UnnamedFlag)[] = []
      for (let i = 0; i < 32; i++) {
        const bit = (1 << i) >>> 0
        if (((bits & bit) >>> 0) !== 0) list.push(byBit.get(bit) ?? `0x${bit.toString(16)}`)
      }
      return list
    },
    bits(value, argument) {
      if (!Array.isArray(value)) throw invalidArgument(argument, `an array of ${entries.map(([name]) => name).join(', ')}`, value)
      let bits = 0
      for (const flag of value as readonly unknown[]) {
        if (typeof flag === 'string' && Object.hasOwn(names, flag)) bits |= names[flag as N]
        else if (typeof flag === 'string' && /^0x[0-9a-f]{1,8}$/i.test(flag)) bits |= Number.parseInt(flag, 16)
        else throw invalidArgument(argument, `one of ${entries.map(([name]) => name).join(', ')}`, flag)
      }
      return bits >>> 0
    },
  }
}

type Width = 1 | 2 | 4

function read(view: DataView, at: number, width: Width): number {
  return width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at, LITTLE_ENDIAN) : view.getUint32(at, LITTLE_ENDIAN)
}

/** An attribute with an open set of names. */
export function named<N extends string>(width: Width, table: NameTable<N>): Codec<N | number> {
  return {
    decode: ({ view }, start, end) => (end - start === width ? table.of(read(view, start, width)) : undefined),
    encode(w, value, name) {
      const number = table.number(value, name)
      if (width === 1) w.u8(number)
      else if (width === 2) w.u16(number)
      else w.u32(number)
    },
  }
}

/** An attribute of bits. */
export function flags<N extends string>(width: Width, table: FlagTable<N>): Codec<(N | UnnamedFlag)[]> {
  return {
    decode: ({ view }, start, end) => (end - start === width ? table.of(read(view, start, width)) : undefined),
    encode(w, value, name) {
      const bits = table.bits(value, name)
      if (bits >= 2 ** (width * 8)) throw outOfRange(name, `flags of ${width * 8} bits`, value)
      if (width === 1) w.u8(bits)
      else if (width === 2) w.u16(bits)
      else w.u32(bits)
    },
  }
}
