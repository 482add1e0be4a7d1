// SPDX-License-Identifier: MIT

import { type BpfInstruction, checkInstructions, decodeInstructions, encodeInstructions, INSTRUCTION_SIZE } from '../../bpf/instruction.js'
import { parseProgram, printBytecode } from '../../bpf/text.js'
import { type Extension, registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { type Bit, fixedString, type Property, property, type PropertyType } from '../property.js'

/** `-m bpf` (xt_bpf_info, include/uapi/linux/netfilter/xt_bpf.h): a program decides. One of the two must be there. */
export interface BpfMatch {
  /** 1 to 64 instructions of classic BPF; the packet begins with its IP header. Whether the program is valid, the kernel checks. */
  program?: BpfInstruction[]
  /** Path of an eBPF program of type SOCKET_FILTER that is pinned in a bpf file system: 1 to 511 bytes. Revision 1, Linux 4.11. */
  objectPinned?: string
}

declare module '../extension.js' {
  interface Matches { bpf: BpfMatch }
}

/** XT_BPF_MAX_NUM_INSTR */
const MOST = 64

function bytecode(count: number, start: number): PropertyType<BpfInstruction[]> {
  const read = (p: Payload) => decodeInstructions(p.slice(start, Math.min(p.u16(count), MOST) * INSTRUCTION_SIZE))
  const write = (p: Payload, program: readonly BpfInstruction[]) => {
    p.setU16(count, program.length)
    p.set(start, encodeInstructions(program))
  }
  return {
    decode: read,
    encode(p, value, name) {
      checkInstructions(value, name, MOST)
      write(p, value)
    },
    parse(p, text, option) {
      let program: BpfInstruction[]
      try {
        program = parseProgram(text, MOST)
      } catch (error) {
        throw new RuleError(`${option}: ${(error as Error).message}`)
      }
      write(p, program)
    },
    print: (p) => `"${printBytecode(read(p))}"`,
  }
}

const mode = (number: number): Bit => ({ get: (p) => p.u16(0) === number, set: (p) => p.setU16(0, number) })
const common = { kind: 'match', name: 'bpf', size: 528, userSize: 520 } satisfies Partial<Extension>
const program = (type: PropertyType<BpfInstruction[]>, more: { present?: Bit; excludes?: readonly string[] }): Property =>
  property({ key: 'program', options: ['--bytecode'], type, ...more })

// iptables writes the number of its own descriptor beside the path; kernels since 4.15 read the path, and a codec opens nothing.
registerExtension({
  ...common, revision: 1, oneOf: ['program', 'objectPinned'],
  properties: [
    program(bytecode(2, 8), { present: mode(0), excludes: ['objectPinned'] }),
    property({ key: 'objectPinned', options: ['--object-pinned'], type: fixedString(8, 512, { min: 1, quote: false }), present: mode(1) }),
  ],
})

registerExtension({ ...common, revision: 0, oneOf: ['program'], properties: [program(bytecode(0, 4), {})] })
