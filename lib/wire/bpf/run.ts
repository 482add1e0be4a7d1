// SPDX-License-Identifier: MIT
// Runs a program over a packet as the kernel does (bpf_convert_filter, net/core/filter.c; Documentation/networking/filter.rst).

import { NfkitError } from '../../errors.js'
import { inputOf, type Input } from '../bytes.js'
import {
  Ancillary, ANCILLARY_OFFSET, type AncillaryName, type BpfInstruction, BpfOp as Op, LINK_OFFSET, NETWORK_OFFSET, SCRATCH_WORDS,
} from './instruction.js'

/** What the kernel knows of a packet beside the bytes that a program is given. */
export interface BpfContext {
  /** Where the network header lies in the bytes; loads from it end the program with 0 unless told. */
  networkOffset?: number
  /** Where the link-layer header lies in the bytes; loads from it end the program with 0 unless told. */
  linkOffset?: number
  /**
   * Ancillary values; 0 unless told. Without `interfaceIndex` and `hardwareType` the packet has no device, and a load of one of
   * the two ends the program with 0.
   */
  ancillary?: Partial<Record<AncillaryName, number>>
}

const NAMES = new Map<number, AncillaryName>(Object.entries(Ancillary).map(([name, offset]) => [offset + ANCILLARY_OFFSET, name as AncillaryName]))

/**
 * What a program returns for a packet: 0 to 4294967295, for a filter the bytes to keep. A load outside the packet and a division by zero
 * end it with 0. The program must be one that {@link checkProgram} takes.
 * @throws NfkitError ENOTSUP when it looks for netlink attributes, EINVAL when it is no such program
 */
export function runProgram(program: readonly BpfInstruction[], packet: Uint8Array, context: BpfContext = {}): number {
  const input = inputOf(packet)
  const memory = new Uint32Array(SCRATCH_WORDS)
  let a = 0
  let x = 0
  for (let at = 0; at < program.length; at++) {
    const { code, jt, jf, k } = program[at]!
    switch (code) {
      case Op.load32: case Op.load16: case Op.load8: {
        const name = NAMES.get(k)
        if (name === 'xorX') { a = (a ^ x) >>> 0; break }
        const value = name === undefined ? load(input, k, widthOf(code), context) : ancillary(name, context)
        if (value === undefined) return 0
        a = value
        break
      }
      case Op.load32x: case Op.load16x: case Op.load8x: {
        const value = load(input, (x + k) >>> 0, widthOf(code), context)
        if (value === undefined) return 0
        a = value
        break
      }
      case Op.loadxHeader: {
        const value = load(input, k, 1, context)
        if (value === undefined) return 0
        x = (value & 15) << 2
        break
      }
      case Op.loadImmediate: a = k; break
      case Op.loadMemory: a = memory[k]!; break
      case Op.loadLength: a = packet.length; break
      case Op.loadxImmediate: x = k; break
      case Op.loadxMemory: x = memory[k]!; break
      case Op.loadxLength: x = packet.length; break
      case Op.store: memory[k] = a; break
      case Op.storex: memory[k] = x; break
      case Op.toX: x = a; break
      case Op.fromX: a = x; break
      case Op.negate: a = -a >>> 0; break
      case Op.jump: at += k; break
      case Op.returnImmediate: return k
      case Op.returnA: return a
      default: {
        const operand = (code & 8) === 0 ? k : x
        if ((code & 7) === 5) at += holds(code & 0xf0, a, operand) ? jt : jf
        else if ((code & 7) === 4) {
          const result = calculate(code & 0xf0, a, operand)
          if (result === undefined) return 0
          a = result
        } else throw new NfkitError('EINVAL', `instruction ${at} of a BPF program: unknown code ${code}`)
      }
    }
  }
  throw new NfkitError('EINVAL', 'a BPF program that does not return')
}

const widthOf = (code: number): 1 | 2 | 4 => ((code & 0x18) === 0 ? 4 : (code & 0x18) === 8 ? 2 : 1)

function load({ bytes, view }: Input, offset: number, width: 1 | 2 | 4, { networkOffset, linkOffset }: BpfContext): number | undefined {
  let at = offset
  if (offset >= 0x80000000) {
    // bpf_internal_load_pointer_neg_helper
    if (offset >= NETWORK_OFFSET) {
      if (networkOffset === undefined) return undefined
      at = networkOffset + offset - NETWORK_OFFSET
    } else if (offset >= LINK_OFFSET) {
      if (linkOffset === undefined) return undefined
      at = linkOffset + offset - LINK_OFFSET
    } else return undefined
  }
  if (at < 0 || at + width > bytes.length) return undefined
  return width === 1 ? bytes[at]! : width === 2 ? view.getUint16(at) : view.getUint32(at)
}

function ancillary(name: AncillaryName, { ancillary: values = {} }: BpfContext): number | undefined {
  if (name === 'netlinkAttribute' || name === 'nestedNetlinkAttribute') {
    throw new NfkitError('ENOTSUP', 'a BPF program that looks for netlink attributes is not interpreted')
  }
  const value = values[name]
  if (value !== undefined) return value >>> 0
  return name === 'interfaceIndex' || name === 'hardwareType' ? undefined : 0
}

function holds(operation: number, a: number, operand: number): boolean {
  switch (operation) {
    case 0x10: return a === operand
    case 0x20: return a > operand
    case 0x30: return a >= operand
    case 0x40: return (a & operand) !== 0
    default: throw new NfkitError('EINVAL', `a BPF program with an unknown jump ${operation}`)
  }
}

/** In 32 bits without sign; a shift counts modulo 32. Undefined for a division by zero. */
function calculate(operation: number, a: number, operand: number): number | undefined {
  switch (operation) {
    case 0x00: return (a + operand) >>> 0
    case 0x10: return (a - operand) >>> 0
    case 0x20: return Math.imul(a, operand) >>> 0
    case 0x30: return operand === 0 ? undefined : Math.floor(a / operand)
    case 0x40: return (a | operand) >>> 0
    case 0x50: return (a & operand) >>> 0
    case 0x60: return (a << (operand & 31)) >>> 0
    case 0x70: return a >>> (operand & 31)
    case 0x90: return operand === 0 ? undefined : a % operand
    case 0xa0: return (a ^ operand) >>> 0
    default: throw new NfkitError('EINVAL', `a BPF program with an unknown operation ${operation}`)
  }
}
