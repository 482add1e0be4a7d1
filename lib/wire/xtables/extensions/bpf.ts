// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { type Extension, registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { type Bit, fixedString, type Property, property, type PropertyType, requireInteger } from '../property.js'

/** One instruction of a classic BPF program (struct sock_filter, include/uapi/linux/filter.h). */
export interface BpfInstruction {
  /** 0 to 65535. */
  code: number
  /** Instructions to skip when a condition holds, and when not: 0 to 255. */
  jt: number
  jf: number
  /** 0 to 4294967295. */
  k: number
}

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

const MOST = 64
const INSTRUCTION = /^\s*\+?(\d+)\s+\+?(\d+)\s+\+?(\d+)\s+\+?(\d+)\s*$/

function bytecode(count: number, start: number): PropertyType<BpfInstruction[]> {
  const read = (p: Payload): BpfInstruction[] => Array.from({ length: Math.min(p.u16(count), MOST) }, (_, i) => {
    const at = start + 8 * i
    return { code: p.u16(at), jt: p.u8(at + 2), jf: p.u8(at + 3), k: p.u32(at + 4) }
  })
  const write = (p: Payload, program: readonly BpfInstruction[]) => {
    p.setU16(count, program.length)
    program.forEach(({ code, jt, jf, k }, i) => {
      const at = start + 8 * i
      p.setU16(at, code)
      p.setU8(at + 2, jt)
      p.setU8(at + 3, jf)
      p.setU32(at + 4, k)
    })
  }
  return {
    decode: read,
    encode(p, value, name) {
      if (!Array.isArray(value)) throw invalidArgument(name, 'a list of instructions', value)
      if (value.length < 1 || value.length > MOST) throw outOfRange(name, `1 to ${MOST} instructions`, value.length)
      value.forEach((one: unknown, i) => {
        if (typeof one !== 'object' || one === null) throw invalidArgument(`${name}[${i}]`, 'an instruction { code, jt, jf, k }', one)
        const { code, jt, jf, k } = one as Partial<BpfInstruction>
        requireInteger(code, `${name}[${i}].code`, 0, 0xffff)
        requireInteger(jt, `${name}[${i}].jt`, 0, 0xff)
        requireInteger(jf, `${name}[${i}].jf`, 0, 0xff)
        requireInteger(k, `${name}[${i}].k`, 0, 0xffffffff)
      })
      write(p, value)
    },
    parse(p, text, option) {
      const [head, ...rest] = text.split(',')
      const length = /^\s*\+?\d+$/.test(head!) ? Number(head) : 0
      if (length < 1 || length > MOST || rest.length === 0) {
        throw new RuleError(`${option}: expected the number of instructions, 1 to ${MOST}, and a comma, got "${text}"`)
      }
      // A comma may close the text.
      if (rest.at(-1) === '') rest.pop()
      if (rest.length !== length) throw new RuleError(`${option}: announces ${length} instructions and has ${rest.length}`)
      write(p, rest.map((one, i) => {
        const [code, jt, jf, k] = (INSTRUCTION.exec(one) ?? []).slice(1).map(Number)
        if (k === undefined || code! > 0xffff || jt! > 0xff || jf! > 0xff || k > 0xffffffff) {
          throw new RuleError(`${option}: instruction ${i}: expected a code, two jumps and an operand, got "${one}"`)
        }
        return { code: code!, jt: jt!, jf: jf!, k }
      }))
    },
    print: (p) => `"${p.u16(count)},${read(p).map(({ code, jt, jf, k }) => `${code} ${jt} ${jf} ${k}`).join(',')}"`,
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
