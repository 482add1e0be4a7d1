// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { nonZero, type Not, property, type PropertyType, requireInteger } from '../property.js'

/** enum xt_u32_ops. */
const OPERATORS = ['&', '<<', '>>', '@'] as const

/** One step from a number to the next: mask it, shift it, or take it as a further offset and read there. */
export interface U32Step {
  operator: typeof OPERATORS[number]
  /** 0 to 4294967295; bits of a shift are 0 to 31. */
  operand: number
}

/** Read 32 bits in network order at `offset` from the IP header on, take the steps, and compare. */
export interface U32Test {
  /** Bytes, 0 to 4294967295. */
  offset: number
  /** At most 9. */
  steps?: U32Step[]
  /** 1 to 10 ranges, of which one must hold. */
  values: [from: number, to: number][]
}

/** `-m u32` (xt_u32, include/uapi/linux/netfilter/xt_u32.h): 1 to 10 tests of the packet's bytes that must all hold. */
export interface U32Match {
  tests: U32Test[] | Not<U32Test[]>
}

declare module '../extension.js' {
  interface Matches { u32: U32Match }
}

/** What iptables writes of each; the struct has room for one more. */
const MOST = 10
const ROOM = 11
const TEST_SIZE = 180
const VALUES = 88
const NUMBERS = 176
const VALUE_COUNT = 177
const TESTS = 1980

/** Other bytes are no rule of u32. */
function wellFormed(p: Payload): boolean {
  if (p.u8(TESTS) > ROOM) return false
  for (let at = 0; at < p.u8(TESTS) * TEST_SIZE; at += TEST_SIZE) {
    if (p.u8(at + NUMBERS) < 1 || p.u8(at + NUMBERS) > ROOM || p.u8(at + VALUE_COUNT) > ROOM) return false
    for (let i = 1; i < p.u8(at + NUMBERS); i++) if (p.u8(at + 8 * i + 4) >= OPERATORS.length) return false
  }
  return true
}

function readTest(p: Payload, at: number): U32Test {
  const test: U32Test = { offset: p.u32(at), values: [] }
  const steps = p.u8(at + NUMBERS) - 1
  if (steps > 0) {
    test.steps = Array.from({ length: steps }, (_, i) => ({ operator: OPERATORS[p.u8(at + 8 * i + 12)]!, operand: p.u32(at + 8 * i + 8) }))
  }
  for (let i = 0; i < p.u8(at + VALUE_COUNT); i++) test.values.push([p.u32(at + VALUES + 8 * i), p.u32(at + VALUES + 8 * i + 4)])
  return test
}

const read = (p: Payload) => Array.from({ length: p.u8(TESTS) }, (_, i) => readTest(p, i * TEST_SIZE))

function write(p: Payload, tests: readonly U32Test[], fail: (expected: string) => Error): void {
  if (tests.length < 1 || tests.length > MOST) throw fail(`1 to ${MOST} tests`)
  tests.forEach(({ offset, steps = [], values }, i) => {
    if (steps.length > MOST - 1) throw fail(`at most ${MOST - 1} steps in a test`)
    // New kernels refuse it, and old ones leave it to the processor what comes out.
    if (steps.some(({ operator, operand }) => (operator === '<<' || operator === '>>') && operand > 31)) throw fail('shifts by 0 to 31 bits')
    if (values.length < 1 || values.length > MOST) throw fail(`1 to ${MOST} values in a test`)
    const at = i * TEST_SIZE
    p.setU32(at, offset)
    steps.forEach(({ operator, operand }, j) => {
      p.setU32(at + 8 * j + 8, operand)
      p.setU8(at + 8 * j + 12, OPERATORS.indexOf(operator))
    })
    values.forEach(([from, to], j) => {
      p.setU32(at + VALUES + 8 * j, from)
      p.setU32(at + VALUES + 8 * j + 4, to)
    })
    p.setU8(at + NUMBERS, steps.length + 1)
    p.setU8(at + VALUE_COUNT, values.length)
  })
  p.setU8(TESTS, tests.length)
}

/** Reads the text from left to right. */
class Scanner {
  readonly #text: string
  readonly #option: string
  #at = 0

  constructor(text: string, option: string) {
    this.#text = text
    this.#option = option
  }

  /** Takes one of the tokens when it is next, behind white space. */
  take<T extends string>(...tokens: readonly T[]): T | undefined {
    this.#skip()
    const token = tokens.find((one) => this.#text.startsWith(one, this.#at))
    if (token !== undefined) this.#at += token.length
    return token
  }

  number(): number {
    this.#skip()
    const match = /^\+?(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)/i.exec(this.#text.slice(this.#at))
    const digits = match?.[1] ?? ''
    const value = /^0[0-7]/.test(digits) ? Number.parseInt(digits, 8) : Number(digits)
    if (match === null || value > 0xffffffff) throw this.expected('a number from 0 to 4294967295')
    this.#at += match[0].length
    return value
  }

  atEnd(): boolean {
    this.#skip()
    return this.#at === this.#text.length
  }

  expected(what: string): RuleError {
    return new RuleError(`${this.#option}: expected ${what} at character ${this.#at} of "${this.#text}"`)
  }

  #skip(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++
  }
}

function parseTests(text: string, option: string): U32Test[] {
  const scanner = new Scanner(text, option)
  const tests: U32Test[] = []
  do {
    const test: U32Test = { offset: scanner.number(), steps: [], values: [] }
    while (scanner.take('=') === undefined) {
      const operator = scanner.take(...OPERATORS)
      if (operator === undefined) throw scanner.expected(`= or one of ${OPERATORS.join(' ')}`)
      test.steps!.push({ operator, operand: scanner.number() })
    }
    do {
      const from = scanner.number()
      test.values.push([from, scanner.take(':') === undefined ? from : scanner.number()])
    } while (scanner.take(',') !== undefined)
    tests.push(test)
  } while (scanner.take('&&') !== undefined)
  if (!scanner.atEnd()) throw scanner.expected('":", "," or "&&"')
  return tests
}

const hex = (value: number) => `0x${value.toString(16)}`

function printTest({ offset, steps = [], values }: U32Test): string {
  const location = hex(offset) + steps.map(({ operator, operand }) => `${operator}${hex(operand)}`).join('')
  return `${location}=${values.map(([from, to]) => (from === to ? hex(from) : `${hex(from)}:${hex(to)}`)).join(',')}`
}

function checkTest(value: unknown, name: string): void {
  if (typeof value !== 'object' || value === null) throw invalidArgument(name, 'a test { offset, steps, values }', value)
  const { offset, steps = [], values } = value as Partial<U32Test>
  requireInteger(offset, `${name}.offset`, 0, 0xffffffff)
  if (!Array.isArray(steps)) throw invalidArgument(`${name}.steps`, 'a list of steps { operator, operand }', steps)
  steps.forEach((step: unknown, i) => {
    if (typeof step !== 'object' || step === null) throw invalidArgument(`${name}.steps[${i}]`, 'a step { operator, operand }', step)
    const { operator, operand } = step as Partial<U32Step>
    if (!OPERATORS.some((one) => one === operator)) throw invalidArgument(`${name}.steps[${i}].operator`, `one of ${OPERATORS.join(' ')}`, operator)
    requireInteger(operand, `${name}.steps[${i}].operand`, 0, 0xffffffff)
  })
  if (!Array.isArray(values)) throw invalidArgument(`${name}.values`, 'a list of ranges [from, to]', values)
  values.forEach((range: unknown, i) => {
    if (!Array.isArray(range) || range.length !== 2) throw invalidArgument(`${name}.values[${i}]`, 'a pair [from, to]', range)
    range.forEach((end: unknown, j) => requireInteger(end, `${name}.values[${i}][${j}]`, 0, 0xffffffff))
  })
}

const tests: PropertyType<U32Test[]> = {
  decode: read,
  encode(p, value, name) {
    if (!Array.isArray(value)) throw invalidArgument(name, 'a list of tests { offset, steps, values }', value)
    value.forEach((one, i) => checkTest(one, `${name}[${i}]`))
    write(p, value, (expected) => outOfRange(name, expected, value))
  },
  parse: (p, text, option) => write(p, parseTests(text, option), (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`)),
  print: (p) => `"${read(p).map(printTest).join('&&')}"`,
}

registerExtension({
  kind: 'match', name: 'u32', revision: 0, size: 1984, recognises: wellFormed,
  properties: [property({ key: 'tests', options: ['--u32'], type: tests, invert: nonZero(TESTS + 1), mandatory: true })],
})
