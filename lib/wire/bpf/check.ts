// SPDX-License-Identifier: MIT
// Whether the kernel would take a program: what bpf_check_classic and bpf_convert_filter ask (net/core/filter.c).

import { invalidArgument } from '../../errors.js'
import { Ancillary, ANCILLARY_OFFSET, type BpfInstruction, BpfOp as Op, checkInstructions, SCRATCH_WORDS } from './instruction.js'

const KNOWN = new Set<number>(Object.values(Op))
const ANCILLARY = new Set<number>(Object.values(Ancillary))
/** The longest jump of the form into which the kernel translates a program, in its own instructions (S16_MAX). */
const LONGEST_JUMP = 0x7fff

export const isConditional = (code: number): boolean => (code & 7) === 5 && code !== Op.jump
const isReturn = (code: number) => code === Op.returnImmediate || code === Op.returnA
const isAbsoluteLoad = (code: number) => code === Op.load32 || code === Op.load16 || code === Op.load8

/** Why the kernel refuses a program, with EINVAL; undefined when it does not. The fields must be in their ranges. */
export function programFault(program: readonly BpfInstruction[]): string | undefined {
  for (const [at, one] of program.entries()) {
    const fault = instructionFault(one, at, program.length)
    if (fault !== undefined) return `instruction ${at}: ${fault}`
  }
  if (!isReturn(program.at(-1)!.code)) return 'the last instruction is no return'
  return memoryFault(program) ?? distanceFault(program)
}

/** @throws TypeError, RangeError for what is no program, and a TypeError for one that the kernel would refuse. */
export function checkProgram(value: unknown, name: string): asserts value is readonly BpfInstruction[] {
  checkInstructions(value, name)
  const fault = programFault(value)
  if (fault !== undefined) throw invalidArgument(name, 'a program that the kernel takes', fault)
}

function instructionFault({ code, jt, jf, k }: BpfInstruction, at: number, length: number): string | undefined {
  if (!KNOWN.has(code)) return `unknown code 0x${code.toString(16)}`
  const left = length - at - 1
  if ((code === Op.divide || code === Op.modulo) && k === 0) return 'division by zero'
  if ((code === Op.shiftLeft || code === Op.shiftRight) && k >= 32) return `a shift by ${k} bits`
  const usesMemory = code === Op.loadMemory || code === Op.loadxMemory || code === Op.store || code === Op.storex
  if (usesMemory && k >= SCRATCH_WORDS) return `scratch memory ${k} of ${SCRATCH_WORDS}`
  if (code === Op.jump && k >= left) return 'a jump beyond the end'
  if (isConditional(code) && (jt >= left || jf >= left)) return 'a jump beyond the end'
  if (isAbsoluteLoad(code) && k >= ANCILLARY_OFFSET && !ANCILLARY.has(k - ANCILLARY_OFFSET)) return `unknown ancillary load ${k - ANCILLARY_OFFSET}`
  return undefined
}

/**
 * Scratch memory is read only where every way has written it. As in check_load_and_stores, what comes behind a return is taken to be
 * reached from it, too.
 */
function memoryFault(program: readonly BpfInstruction[]): string | undefined {
  const all = (1 << SCRATCH_WORDS) - 1
  const written = new Uint16Array(program.length).fill(all)
  let now = 0
  for (const [at, { code, jt, jf, k }] of program.entries()) {
    now &= written[at]!
    if (code === Op.store || code === Op.storex) now |= 1 << k
    else if (code === Op.loadMemory || code === Op.loadxMemory) {
      if ((now & (1 << k)) === 0) return `instruction ${at}: scratch memory ${k} is read before it is written`
    } else if (code === Op.jump || isConditional(code)) {
      for (const target of code === Op.jump ? [at + 1 + k] : [at + 1 + jt, at + 1 + jf]) written[target]! &= now
      now = all
    }
  }
  return undefined
}

/** How many instructions of the kernel's own one becomes, at most. */
function expansion({ code }: BpfInstruction): number {
  if (isAbsoluteLoad(code)) return 17
  if (code === Op.load32x || code === Op.load16x || code === Op.load8x) return 9
  if (code === Op.loadxHeader) return 24
  if (code === Op.dividex || code === Op.modulox) return 5
  if (isConditional(code)) return 3
  return 2
}

function distanceFault(program: readonly BpfInstruction[]): string | undefined {
  const starts = [0]
  for (const one of program) starts.push(starts.at(-1)! + expansion(one))
  if (starts.at(-1)! <= LONGEST_JUMP) return undefined
  for (const [at, { code, jt, jf, k }] of program.entries()) {
    const furthest = code === Op.jump ? k : isConditional(code) ? Math.max(jt, jf) : 0
    if (starts[at + 1 + furthest]! - starts[at]! > LONGEST_JUMP) return `instruction ${at}: a jump that may be too far once the kernel has translated it`
  }
  return undefined
}
