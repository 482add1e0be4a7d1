// SPDX-License-Identifier: MIT
// Programs as text: `tcpdump -ddd` prints the number of instructions and then one a line, as four decimal numbers; the
// `--bytecode` of iptables (nfbpf_compile) and tc has commas in place of the line ends.

import { type BpfInstruction, MOST_INSTRUCTIONS } from './instruction.js'

const INSTRUCTION = /^\s*\+?(\d+)\s+\+?(\d+)\s+\+?(\d+)\s+\+?(\d+)\s*$/

/** Prints a program as `tcpdump -ddd` does, with a line end after each line. */
export function printProgram(program: readonly BpfInstruction[]): string {
  return [String(program.length), ...program.map(line), ''].join('\n')
}

/** Prints a program as `--bytecode` takes it. */
export function printBytecode(program: readonly BpfInstruction[]): string {
  return [String(program.length), ...program.map(line)].join(',')
}

const line = ({ code, jt, jf, k }: BpfInstruction) => `${code} ${jt} ${jf} ${k}`

/**
 * Reads either form; a comma or line end may close the text.
 * @param most how many instructions there may be
 * @throws SyntaxError that says what was expected and what came
 */
export function parseProgram(text: string, most = MOST_INSTRUCTIONS): BpfInstruction[] {
  const [head = '', ...rest] = text.split(text.includes(',') ? ',' : /\r?\n/)
  const length = /^\s*\+?\d+\s*$/.test(head) ? Number(head) : 0
  if (length < 1 || length > most || rest.length === 0) {
    throw new SyntaxError(`expected the number of instructions, 1 to ${most}, and a comma or line end, got "${head.slice(0, 60)}"`)
  }
  if (rest.at(-1)!.trim() === '') rest.pop()
  if (rest.length !== length) throw new SyntaxError(`announces ${length} instructions and has ${rest.length}`)
  return rest.map((one, i) => {
    const [code, jt, jf, k] = (INSTRUCTION.exec(one) ?? []).slice(1).map(Number)
    if (k === undefined || code! > 0xffff || jt! > 0xff || jf! > 0xff || k > 0xffffffff) {
      throw new SyntaxError(`instruction ${i}: expected a code, two jumps and an operand, got "${one.slice(0, 60)}"`)
    }
    return { code: code!, jt: jt!, jf: jf!, k }
  })
}
