// SPDX-License-Identifier: MIT
// Classic BPF. Programs of tcpdump 4.99.3 with libpcap 1.10.3: `tcpdump -y EN10MB -ddd FILTER`.

import fc from '../support/fast-check.js'
import t from 'tap'
import { Assembler, Label } from '../../lib/wire/bpf/assembler.js'
import { checkProgram, programFault } from '../../lib/wire/bpf/check.js'
import {
  Ancillary, ANCILLARY_OFFSET, type BpfInstruction, BpfOp, decodeInstructions, encodeInstructions, LINK_OFFSET, NETWORK_OFFSET,
} from '../../lib/wire/bpf/instruction.js'
import { isBranch, isJump, type Item } from '../../lib/wire/bpf/items.js'
import { optimize } from '../../lib/wire/bpf/optimize.js'
import { runProgram } from '../../lib/wire/bpf/run.js'
import { parseProgram, printBytecode, printProgram } from '../../lib/wire/bpf/text.js'
import { bytesOf, hexOf } from './support.js'

const op = (code: number, k = 0, jt = 0, jf = 0): BpfInstruction => ({ code, jt, jf, k })
const RETURN_A = op(BpfOp.returnA)

// tcpdump -y EN10MB -ddd 'tcp port 80'
const TCP_80 = `20
40 0 0 12
21 0 6 34525
48 0 0 20
21 0 15 6
40 0 0 54
21 12 0 80
40 0 0 56
21 10 11 80
21 0 10 2048
48 0 0 23
21 0 8 6
40 0 0 20
69 6 0 8191
177 0 0 14
72 0 0 14
21 2 0 80
72 0 0 16
21 0 1 80
6 0 0 262144
6 0 0 0
`

t.test('the two text forms', async (t) => {
  const program = parseProgram(TCP_80)
  t.equal(program.length, 20)
  t.same(program[1], { code: 21, jt: 0, jf: 6, k: 34525 })
  t.equal(printProgram(program), TCP_80)
  t.equal(printBytecode(program), TCP_80.trim().replaceAll('\n', ','))
  t.same(parseProgram(printBytecode(program)), program)
  t.same(parseProgram('1,6 0 0 4294967295,'), [op(6, 4294967295)])
  for (const bad of ['', '0,', '1', '1,', '2,6 0 0 1', '1,6 0 0 1,6 0 0 1', '1,6 0 0', '1,6 256 0 0', '1,65536 0 0 0', '1,6 0 0 4294967296', '1;6 0 0 1', '4097,6 0 0 0']) {
    t.throws(() => parseProgram(bad), SyntaxError, bad)
  }
})

t.test('struct sock_filter', async (t) => {
  // jeq #0x86dd, 1, 2 on a little-endian machine
  t.equal(hexOf(encodeInstructions([op(0x15, 0x86dd, 1, 2)])), '15000102dd860000')
  t.same(decodeInstructions(bytesOf('15000102dd86000006000000ffffffff')), [op(0x15, 0x86dd, 1, 2), op(6, 0xffffffff)])
  t.throws(() => decodeInstructions(new Uint8Array(9)), { code: 'EBADMSG' })
})

t.test('what the kernel refuses is refused', async (t) => {
  const bad: [BpfInstruction[], RegExp][] = [
    [[op(BpfOp.loadLength)], /last instruction is no return/],
    [[op(0x0e)], /unknown code/], [[op(0xffff), RETURN_A], /unknown code 0xffff/],
    [[op(BpfOp.divide), RETURN_A], /division by zero/], [[op(BpfOp.modulo), RETURN_A], /division by zero/],
    [[op(BpfOp.shiftLeft, 32), RETURN_A], /shift/],
    [[op(BpfOp.store, 16), RETURN_A], /scratch memory 16/],
    [[op(BpfOp.loadMemory, 3), RETURN_A], /read before it is written/],
    [[op(BpfOp.jumpEqual, 0, 1, 0), op(BpfOp.store, 3), op(BpfOp.loadMemory, 3), RETURN_A], /read before it is written/],
    [[op(BpfOp.store, 3), op(BpfOp.jump, 1), RETURN_A, op(BpfOp.loadMemory, 4), RETURN_A], /scratch memory 4/],
    [[op(BpfOp.jump, 1), RETURN_A], /beyond the end/], [[op(BpfOp.jump, 0xffffffff), RETURN_A], /beyond the end/],
    [[op(BpfOp.jumpSet, 1, 0, 1), RETURN_A], /beyond the end/],
    [[op(BpfOp.load32, ANCILLARY_OFFSET + 64), RETURN_A], /ancillary/], [[op(BpfOp.load8, ANCILLARY_OFFSET + 1), RETURN_A], /ancillary/],
  ]
  for (const [program, message] of bad) {
    t.match(programFault(program), message)
    t.throws(() => checkProgram(program, 'program'), { name: 'TypeError', message })
  }
  t.equal(programFault([op(BpfOp.jumpEqual, 0, 1, 0), op(BpfOp.store, 3), op(BpfOp.store, 3), op(BpfOp.loadMemory, 3), RETURN_A]), undefined)
  t.equal(programFault([op(BpfOp.loadxHeader, 0xffffffff), RETURN_A]), undefined, 'a load that can only fail')
  // Behind a return, what the jumps to there have written counts only if the return has it, too (check_load_and_stores).
  t.match(programFault([op(BpfOp.jumpEqual, 0, 0, 2), op(BpfOp.store), op(BpfOp.jump, 1), RETURN_A, op(BpfOp.loadMemory), RETURN_A]), /read before/)
  const long = [op(BpfOp.jump, 3000), ...new Array<BpfInstruction>(3000).fill(op(BpfOp.load8)), RETURN_A]
  t.match(programFault(long), /too far/)
  t.throws(() => checkProgram('x', 'program'), { name: 'TypeError' })
  t.throws(() => checkProgram([], 'program'), { name: 'RangeError' })
  t.throws(() => checkProgram([op(6, -1)], 'program'), { name: 'RangeError', message: 'program[0].k: expected an integer from 0 to 4294967295, got -1' })
  t.throws(() => checkProgram([op(6, 0, 256)], 'program'), { name: 'RangeError' })
  t.throws(() => checkProgram(new Array(4097).fill(RETURN_A), 'program'), { name: 'RangeError' })
})

t.test('operations', async (t) => {
  const packet = bytesOf('45000102f00304')
  const a = (...program: BpfInstruction[]) => runProgram([...program, RETURN_A], packet)
  const x = (...program: BpfInstruction[]) => a(...program, op(BpfOp.fromX))
  const binary = (code: number, left: number, right: number) => {
    const byK = a(op(BpfOp.loadImmediate, left), op(code, right))
    t.equal(a(op(BpfOp.loadImmediate, left), op(BpfOp.loadxImmediate, right), op(code + 8)), byK)
    return byK
  }
  t.equal(a(op(BpfOp.load32, 0)), 0x45000102)
  t.equal(a(op(BpfOp.load16, 5)), 0x0304)
  t.equal(a(op(BpfOp.load8, 6)), 4)
  for (const code of [BpfOp.load32, BpfOp.load16, BpfOp.load8]) {
    t.equal(runProgram([op(code, 7), op(BpfOp.returnImmediate, 9)], packet), 0, 'outside: the program ends')
    t.equal(runProgram([op(code, 0x7fffffff), op(BpfOp.returnImmediate, 9)], packet), 0)
  }
  t.equal(a(op(BpfOp.loadxImmediate, 0xffffffff), op(BpfOp.load8x, 3)), 1, 'an index wraps')
  t.equal(a(op(BpfOp.loadLength)), 7)
  t.equal(x(op(BpfOp.loadxLength)), 7)
  t.equal(x(op(BpfOp.loadxHeader)), 20)
  t.equal(x(op(BpfOp.loadImmediate, 5), op(BpfOp.toX)), 5)
  t.equal(a(op(BpfOp.loadImmediate, 5), op(BpfOp.store, 15), op(BpfOp.loadImmediate), op(BpfOp.loadMemory, 15)), 5)
  t.equal(x(op(BpfOp.loadxImmediate, 6), op(BpfOp.storex, 1), op(BpfOp.loadxImmediate), op(BpfOp.loadxMemory, 1)), 6)
  t.equal(binary(BpfOp.add, 0xffffffff, 2), 1)
  t.equal(binary(BpfOp.subtract, 1, 2), 0xffffffff)
  t.equal(binary(BpfOp.multiply, 0xffffffff, 0xffffffff), 1)
  t.equal(binary(BpfOp.divide, 0xffffffff, 2), 0x7fffffff)
  t.equal(binary(BpfOp.modulo, 0xffffffff, 10), 5)
  t.equal(binary(BpfOp.or, 0x80000000, 1), 0x80000001)
  t.equal(binary(BpfOp.and, 0xffffffff, 0xf0000000), 0xf0000000)
  t.equal(binary(BpfOp.xor, 0xffffffff, 1), 0xfffffffe)
  t.equal(binary(BpfOp.shiftLeft, 3, 31), 0x80000000)
  t.equal(binary(BpfOp.shiftRight, 0x80000000, 31), 1)
  t.equal(a(op(BpfOp.loadImmediate, 1), op(BpfOp.negate)), 0xffffffff)
  t.equal(runProgram([op(BpfOp.dividex), op(BpfOp.returnImmediate, 9)], packet), 0)
  t.equal(runProgram([op(BpfOp.modulox), op(BpfOp.returnImmediate, 9)], packet), 0)
  for (const [code, left, right, holds] of [
    [BpfOp.jumpEqual, 5, 5, true], [BpfOp.jumpEqual, 5, 6, false], [BpfOp.jumpGreater, 0xffffffff, 1, true], [BpfOp.jumpGreater, 5, 5, false],
    [BpfOp.jumpGreaterEqual, 5, 5, true], [BpfOp.jumpGreaterEqual, 1, 0x80000000, false], [BpfOp.jumpSet, 0x80000000, 0x80000000, true], [BpfOp.jumpSet, 6, 1, false],
  ] as const) {
    const rest = [op(BpfOp.returnImmediate, 1), op(BpfOp.returnImmediate, 0)]
    t.equal(runProgram([op(BpfOp.loadImmediate, left), op(code, right, 0, 1), ...rest], packet), Number(holds))
    t.equal(runProgram([op(BpfOp.loadImmediate, left), op(BpfOp.loadxImmediate, right), op(code + 8, 0, 0, 1), ...rest], packet), Number(holds))
  }
})

t.test('what the kernel knows beside the bytes', async (t) => {
  const packet = bytesOf('0102030445')
  const load = (k: number, context = {}) => runProgram([op(BpfOp.load8, k), RETURN_A], packet, context)
  t.equal(load(ANCILLARY_OFFSET + Ancillary.mark, { ancillary: { mark: 0xdeadbeef } }), 0xdeadbeef)
  t.equal(load(ANCILLARY_OFFSET + Ancillary.vlanTag, { ancillary: { vlanTag: 0x100a } }), 0x100a)
  t.equal(load(ANCILLARY_OFFSET + Ancillary.mark), 0)
  t.equal(runProgram([op(BpfOp.load8, ANCILLARY_OFFSET + Ancillary.interfaceIndex), op(BpfOp.returnImmediate, 9)], packet), 0, 'no device')
  t.equal(runProgram([op(BpfOp.loadImmediate, 6), op(BpfOp.loadxImmediate, 3), op(BpfOp.load32, ANCILLARY_OFFSET + Ancillary.xorX), RETURN_A], packet), 5)
  t.throws(() => load(ANCILLARY_OFFSET + Ancillary.netlinkAttribute), { code: 'ENOTSUP' })
  t.equal(load(NETWORK_OFFSET, { networkOffset: 4 }), 0x45)
  t.equal(load(NETWORK_OFFSET - 1, { networkOffset: 4, linkOffset: 0 }), 0)
  t.equal(load(LINK_OFFSET + 1, { linkOffset: 0 }), 2)
  t.equal(load(NETWORK_OFFSET), 0)
})

t.test('programs of tcpdump', async (t) => {
  const program = parseProgram(TCP_80)
  const syn = bytesOf('0200000000020200000000010800' + '4500003c8cb3400040062cb3c0a80002c0a80003' + 'd04e005091c0bb8600000000a002faf0ca6700000204')
  t.equal(runProgram(program, syn), 262144)
  t.equal(runProgram(program, syn.with(37, 81)), 0)
  t.equal(runProgram(program, syn.with(20, 0).with(21, 1)), 0, 'a later fragment')
  t.equal(runProgram(program, syn.subarray(0, 36)), 0, 'cut within the ports')
})

t.test('an assembled program goes where its labels are, however far', async () => {
  // A chain of tests, each of which goes on or to one of two ends; between them so much that 255 is not enough.
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.nat(140)), { minLength: 1, maxLength: 12 }), fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), (steps, answers) => {
    const asm = new Assembler()
    const labels = [...steps.map(() => new Label()), new Label(), new Label(), new Label()]
    const targets = steps.map(([yes, no], i) => [yes, no].map((skip) => Math.min(i + 1 + skip, labels.length - 1)) as [number, number])
    steps.forEach(([, , padding], i) => {
      asm.place(labels[i]!)
      asm.op(BpfOp.load8, i)
      for (let j = 0; j < padding; j++) asm.op(BpfOp.or, 0)
      asm.branch(BpfOp.jumpEqual, 1, labels[targets[i]![0]]!, labels[targets[i]![1]]!)
    })
    for (let end = steps.length; end < labels.length; end++) {
      asm.place(labels[end]!)
      asm.op(BpfOp.returnImmediate, end)
    }
    const program = asm.finish()
    const packet = Uint8Array.from(answers, Number)
    let at = 0
    while (at < steps.length) at = targets[at]![answers[at]! ? 0 : 1]
    return programFault(program) === undefined && runProgram(program, packet) === at
  }), { numRuns: 300 })
})

/** What is left of a program that is optimized: what goes becomes a jump to the next instruction. */
function optimized(program: readonly BpfInstruction[]): BpfInstruction[] {
  const labels = program.map((_, at) => Object.assign(new Label(), { at, used: true }))
  const items = program.map(({ code, k, jt, jf }, at): Item => {
    if (code === BpfOp.jump) return { to: labels[at + 1 + k]! }
    const isQuestion = (code & 7) === 5
    return isQuestion ? { code, k, yes: labels[at + 1 + jt]!, no: labels[at + 1 + jf]!, yesFar: false, noFar: false } : { code, k }
  })
  optimize(items)
  return items.map((item, at) => {
    if (isJump(item)) return op(BpfOp.jump, item.to.at - at - 1)
    return isBranch(item) ? op(item.code, item.k, item.yes.at - at - 1, item.no.at - at - 1) : op(item.code, item.k)
  })
}

t.test('a program without what it need not do answers the same', async (t) => {
  const { load8, load16, load32, load8x, loadImmediate, loadxImmediate, loadMemory, loadxMemory, loadLength, loadxLength, loadxHeader, store, storex, add, addx, subtract, subtractx, and, shiftLeft, shiftRight, toX, fromX, multiplyx, dividex } = BpfOp
  const slots = fc.nat(1)
  const small = fc.oneof(fc.nat(2), fc.nat(40))
  const operation = fc.oneof(
    fc.tuple(fc.constantFrom(loadMemory, loadxMemory, store, storex), slots), fc.tuple(fc.constantFrom(loadMemory, loadxMemory, store, storex), slots),
    fc.tuple(fc.constantFrom(load8, load16, load32, load8x, loadxHeader), small), fc.tuple(fc.constantFrom(loadImmediate, loadxImmediate, add, subtract, and), small),
    fc.tuple(fc.constantFrom(shiftLeft, shiftRight), fc.nat(4)), fc.tuple(fc.constantFrom(loadLength, loadxLength, addx, subtractx, toX, fromX, multiplyx, dividex), fc.constant(0)),
    fc.tuple(fc.constantFrom(loadLength, load8), fc.constant(0)),
  ).map(([code, k]) => op(code, k))
  const question = fc.record({
    code: fc.constantFrom(BpfOp.jumpEqual, BpfOp.jumpGreater, BpfOp.jumpGreaterEqual, BpfOp.jumpGreaterEqual, BpfOp.jumpSet, BpfOp.jumpEqualx, BpfOp.jumpGreaterx), k: small, jt: fc.nat(4), jf: fc.nat(4),
  })
  const jump = fc.nat(3).map((k) => op(BpfOp.jump, k))
  const bodies = fc.array(fc.oneof({ weight: 5, arbitrary: operation }, { weight: 3, arbitrary: question }, { weight: 1, arbitrary: jump }), { minLength: 1, maxLength: 40 })
  let went = 0
  fc.assert(fc.property(bodies, fc.array(fc.uint8Array({ maxLength: 48 }), { minLength: 3, maxLength: 6 }), (body, packets) => {
    // All memory that is read was written; jumps end at the last instruction at most.
    const head = [op(loadImmediate, 7), ...[0, 1].map((slot) => op(store, slot)), op(loadxImmediate, 3)]
    const program = [...head, ...body, RETURN_A].map((one, at, { length }) => {
      const most = length - at - 2
      return (one.code & 7) === 5 ? { ...one, jt: Math.min(one.jt, most), jf: Math.min(one.jf, most), k: one.code === BpfOp.jump ? Math.min(one.k, most) : one.k } : one
    })
    const less = optimized(program)
    for (const packet of packets) {
      if (runProgram(program, packet) !== runProgram(less, packet)) throw new Error(`${printProgram(program)} became ${printProgram(less)}, for ${hexOf(packet)}`)
    }
    went += less.filter(({ code, k }, at) => code === BpfOp.jump && program[at]!.code !== BpfOp.jump && k === 0).length
  }), { numRuns: Number(process.env['NFKIT_FUZZ'] ?? 1000) })
  t.ok(went > 1000, `${went} instructions went`)
})

t.test('what goes', async (t) => {
  const left = (program: readonly BpfInstruction[]) => optimized(program).filter(({ code, k }) => code !== BpfOp.jump || k !== 0).length
  const { load8, loadMemory, loadxMemory, loadLength, store, storex, loadxImmediate, jumpGreaterEqual, returnImmediate } = BpfOp
  t.equal(left([op(load8, 9), op(store, 3), op(loadMemory, 3), RETURN_A]), 2, 'a value that is there, and then its store')
  t.equal(left([op(loadxImmediate, 5), op(storex, 1), op(load8, 0), op(loadxMemory, 1), op(BpfOp.addx), RETURN_A]), 4, 'x likewise')
  t.equal(left([op(loadLength), op(jumpGreaterEqual, 34, 0, 2), op(loadLength), op(jumpGreaterEqual, 20, 1, 0), op(returnImmediate, 0), op(returnImmediate, 1)]), 5, 'a question that is answered already, and what it asked about')
  t.equal(left([op(load8, 50), op(returnImmediate, 1)]), 2, 'but not a load that can end the program')
})

t.test('any list of instructions is refused, or runs to its end', async () => {
  const codes = fc.constantFrom<number>(...Object.values(BpfOp))
  const k = fc.oneof(fc.nat(20), fc.nat(0xffffffff), fc.nat(64).map((n) => ANCILLARY_OFFSET + n))
  const one = fc.record({ code: fc.oneof({ arbitrary: codes, weight: 20 }, { arbitrary: fc.nat(0xffff), weight: 1 }), jt: fc.nat(3), jf: fc.nat(3), k }, { noNullPrototype: true })
  fc.assert(fc.property(fc.array(one, { maxLength: 12 }), fc.uint8Array({ maxLength: 40 }), (instructions, packet) => {
    const program = [...instructions, op(BpfOp.returnImmediate, 1), op(BpfOp.returnImmediate, 1), op(BpfOp.returnImmediate, 1), RETURN_A]
    if (programFault(program) !== undefined) return true
    try {
      const result = runProgram(program, packet)
      return Number.isInteger(result) && result >= 0 && result <= 0xffffffff
    } catch (error) {
      return (error as { code?: string }).code === 'ENOTSUP'
    }
  }), { numRuns: 2000 })
})
