// SPDX-License-Identifier: MIT
// Instructions of classic BPF and the struct that holds one (include/uapi/linux/filter.h, bpf_common.h).

import { invalidArgument, NfkitError, outOfRange } from '../../errors.js'
import { inputOf, LITTLE_ENDIAN } from '../bytes.js'
import { checkInteger } from '../check.js'

/** One instruction of a classic BPF program (struct sock_filter, include/uapi/linux/filter.h). */
export interface BpfInstruction {
  /** 0 to 65535. */
  code: number
  /** Instructions to skip when a condition holds, 0 to 255. */
  jt: number
  /** Instructions to skip when it does not, 0 to 255. */
  jf: number
  /** 0 to 4294967295. */
  k: number
}

/** The longest program that the kernel takes, in instructions (BPF_MAXINSNS). */
export const MOST_INSTRUCTIONS = 4096
/** Words of scratch memory (BPF_MEMWORDS). */
export const SCRATCH_WORDS = 16
/** sizeof(struct sock_filter). */
export const INSTRUCTION_SIZE = 8

/** Every operation that the kernel takes, by what it does: `x` is the index register, A the accumulator, M the scratch memory. */
export const BpfOp = {
  /** A = packet[k], of 4, 2 and 1 bytes in network order. */
  load32: 0x20, load16: 0x28, load8: 0x30,
  /** A = packet[x + k]. */
  load32x: 0x40, load16x: 0x48, load8x: 0x50,
  /** A = k, M[k], the packet's length. */
  loadImmediate: 0x00, loadMemory: 0x60, loadLength: 0x80,
  /** x = k, M[k], the packet's length, 4 * (packet[k] & 15). */
  loadxImmediate: 0x01, loadxMemory: 0x61, loadxLength: 0x81, loadxHeader: 0xb1,
  /** M[k] = A, M[k] = x. */
  store: 0x02, storex: 0x03,
  add: 0x04, addx: 0x0c, subtract: 0x14, subtractx: 0x1c, multiply: 0x24, multiplyx: 0x2c, divide: 0x34, dividex: 0x3c,
  or: 0x44, orx: 0x4c, and: 0x54, andx: 0x5c, shiftLeft: 0x64, shiftLeftx: 0x6c, shiftRight: 0x74, shiftRightx: 0x7c,
  negate: 0x84, modulo: 0x94, modulox: 0x9c, xor: 0xa4, xorx: 0xac,
  jump: 0x05, jumpEqual: 0x15, jumpEqualx: 0x1d, jumpGreater: 0x25, jumpGreaterx: 0x2d, jumpGreaterEqual: 0x35, jumpGreaterEqualx: 0x3d,
  jumpSet: 0x45, jumpSetx: 0x4d,
  returnImmediate: 0x06, returnA: 0x16,
  /** x = A, A = x. */
  toX: 0x07, fromX: 0x87,
} as const

/** Where loads of what the kernel knows of a packet begin (SKF_AD_OFF), and those from its network and link header (SKF_NET_OFF, SKF_LL_OFF). */
export const ANCILLARY_OFFSET = 0xfffff000
export const NETWORK_OFFSET = 0xfff00000
export const LINK_OFFSET = 0xffe00000

/** What the kernel knows of a packet beside its bytes (SKF_AD_*), by its distance from {@link ANCILLARY_OFFSET}. */
export const Ancillary = {
  protocol: 0, packetType: 4, interfaceIndex: 8, netlinkAttribute: 12, nestedNetlinkAttribute: 16, mark: 20, queue: 24, hardwareType: 28,
  receiveHash: 32, cpu: 36, xorX: 40, vlanTag: 44, vlanTagPresent: 48, payloadOffset: 52, random: 56, vlanProtocol: 60,
} as const
export type AncillaryName = keyof typeof Ancillary

/**
 * Checks that a value is a list of instructions whose fields are in their ranges; {@link checkProgram} also asks whether the
 * kernel would run them.
 * @throws TypeError, RangeError
 */
export function checkInstructions(value: unknown, name: string, most = MOST_INSTRUCTIONS): asserts value is readonly BpfInstruction[] {
  if (!Array.isArray(value)) throw invalidArgument(name, 'a list of instructions', value)
  if (value.length < 1 || value.length > most) throw outOfRange(name, `1 to ${most} instructions`, value.length)
  value.forEach((one: unknown, i) => {
    if (typeof one !== 'object' || one === null) throw invalidArgument(`${name}[${i}]`, 'an instruction { code, jt, jf, k }', one)
    const { code, jt, jf, k } = one as Partial<BpfInstruction>
    checkInteger(code, 0, 0xffff, `${name}[${i}].code`)
    checkInteger(jt, 0, 0xff, `${name}[${i}].jt`)
    checkInteger(jf, 0, 0xff, `${name}[${i}].jf`)
    checkInteger(k, 0, 0xffffffff, `${name}[${i}].k`)
  })
}

/** Writes an array of struct sock_filter. The instructions must have been checked. */
export function encodeInstructions(program: readonly BpfInstruction[]): Uint8Array {
  const bytes = new Uint8Array(program.length * INSTRUCTION_SIZE)
  const { view } = inputOf(bytes)
  program.forEach(({ code, jt, jf, k }, i) => {
    const at = i * INSTRUCTION_SIZE
    view.setUint16(at, code, LITTLE_ENDIAN)
    bytes[at + 2] = jt
    bytes[at + 3] = jf
    view.setUint32(at + 4, k, LITTLE_ENDIAN)
  })
  return bytes
}

/**
 * Reads an array of struct sock_filter.
 * @throws NfkitError EBADMSG when the bytes are no whole number of them.
 */
export function decodeInstructions(bytes: Uint8Array): BpfInstruction[] {
  if (bytes.length % INSTRUCTION_SIZE !== 0) {
    throw new NfkitError('EBADMSG', `malformed BPF program: ${bytes.length} bytes where a multiple of ${INSTRUCTION_SIZE} should be`)
  }
  const { view } = inputOf(bytes)
  return Array.from({ length: bytes.length / INSTRUCTION_SIZE }, (_, i) => {
    const at = i * INSTRUCTION_SIZE
    return { code: view.getUint16(at, LITTLE_ENDIAN), jt: bytes[at + 2]!, jf: bytes[at + 3]!, k: view.getUint32(at + 4, LITTLE_ENDIAN) }
  })
}
