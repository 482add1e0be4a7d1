// SPDX-License-Identifier: MIT
// Leaves out what a program need not do: loads of what is in a register already, questions that are answered already, and results that
// nobody uses. Jumps only lead forwards, so one pass sees everything that can come before an item, and one from the end all that can follow it.

import { BpfOp as Op, SCRATCH_WORDS } from './instruction.js'
import { type Branch, isBranch, isJump, isReturn, type Item, Label } from './items.js'

/** Numbers stand for values: equal numbers are equal values, as far as that is known. */
interface State {
  readonly a: number
  readonly x: number
  readonly memory: readonly number[]
  /** What is known of values by the questions before: the least and the most that they can be. */
  readonly bounds: ReadonlyMap<number, Bounds>
}

type Bounds = readonly [least: number, most: number]
const ANY: Bounds = [0, 0xffffffff]

/** Where a value comes from by its bits: 8-bit loads are at most 255. */
const MOST_OF: ReadonlyMap<number, number> = new Map([[Op.load8, 0xff], [Op.load8x, 0xff], [Op.load16, 0xffff], [Op.load16x, 0xffff], [Op.loadxHeader, 60]])

/** Changes the items in place; those that go become jumps to the next one. */
export function optimize(items: Item[]): void {
  for (let shorter = true; shorter;) shorter = [forgetKnown(items), forgetUnused(items)].some(Boolean)
}

const skip = (items: Item[], at: number) => { items[at] = { to: Object.assign(new Label(), { at: at + 1, used: true }) } }

function forgetKnown(items: Item[]): boolean {
  const numbers = new Map<string, number>()
  const own: Bounds[] = []
  const number = (what: string, bounds: Bounds = ANY): number => {
    let found = numbers.get(what)
    if (found === undefined) {
      numbers.set(what, found = own.length)
      own.push(bounds)
    }
    return found
  }
  /** The states with which an item is reached. */
  const reaching: State[][] = items.map(() => [])
  const start = number('nothing')
  reaching[0]!.push({ a: start, x: start, memory: new Array<number>(SCRATCH_WORDS).fill(start), bounds: new Map() })
  let changed = false
  for (const [at, item] of items.entries()) {
    const states = reaching[at]!
    reaching[at] = []
    if (states.length === 0) continue
    const state = states.length === 1 ? states[0]! : merged(states, (values) => number(`${at}: ${values.join()}`, union(values.map((value) => own[value]!))))
    if (isJump(item)) reaching[item.to.at]!.push(state)
    else if (isBranch(item)) {
      const [yes, no] = answers(item, state, state.bounds.get(state.a) ?? own[state.a]!)
      if (yes !== undefined) reaching[item.yes.at]!.push(yes)
      if (no !== undefined) reaching[item.no.at]!.push(no)
      if (yes === undefined || no === undefined) {
        items[at] = { to: yes === undefined ? item.no : item.yes }
        changed = true
      }
    } else if (!isReturn(item.code)) {
      const next = after(item.code, item.k, state, number)
      if (next === state) {
        skip(items, at)
        changed = true
      }
      reaching[at + 1]!.push(next)
    }
  }
  return changed
}

/** What holds whichever way an item was reached. Values that are equal on each way stay equal. */
function merged(states: readonly State[], join: (values: number[]) => number): State {
  const [first] = states as [State]
  const of = (pick: (state: State) => number): number => {
    const values = states.map(pick)
    return values.every((value) => value === values[0]) ? values[0]! : join(values)
  }
  const bounds = new Map([...first.bounds].flatMap(([value]): [number, Bounds][] => {
    const all = states.map((state) => state.bounds.get(value))
    return all.every((one) => one !== undefined) ? [[value, union(all)]] : []
  }))
  return { a: of(({ a }) => a), x: of(({ x }) => x), memory: first.memory.map((_, slot) => of(({ memory }) => memory[slot]!)), bounds }
}

const union = (all: readonly Bounds[]): Bounds => [Math.min(...all.map(([least]) => least)), Math.max(...all.map(([, most]) => most))]

/** The state behind an operation; the same one when it changes nothing. */
function after(code: number, k: number, state: State, number: (what: string, bounds?: Bounds) => number): State {
  const { a, x, memory } = state
  const withA = (value: number): State => (value === a ? state : { ...state, a: value })
  const withX = (value: number): State => (value === x ? state : { ...state, x: value })
  const most = MOST_OF.get(code)
  const bounds = most === undefined ? ANY : [0, most] as const
  switch (code) {
    case Op.loadMemory: return withA(memory[k]!)
    case Op.loadxMemory: return withX(memory[k]!)
    case Op.loadLength: return withA(number('length'))
    case Op.loadxLength: return withX(number('length'))
    case Op.loadImmediate: return withA(number(`${k}`, [k, k]))
    case Op.loadxImmediate: return withX(number(`${k}`, [k, k]))
    case Op.toX: return withX(a)
    case Op.fromX: return withA(x)
    case Op.store: return memory[k] === a ? state : { ...state, memory: memory.with(k, a) }
    case Op.storex: return memory[k] === x ? state : { ...state, memory: memory.with(k, x) }
    // Some of what the kernel knows is not the same twice (SKF_AD_RANDOM), and one of it is made of A and x (SKF_AD_ALU_XOR_X).
    case Op.load32: return withA(number(`${code} ${k} ${a} ${x}`))
    case Op.load8: case Op.load16: return withA(number(`${code} ${k}`, bounds))
    case Op.load8x: case Op.load16x: case Op.load32x: return withA(number(`${code} ${k} ${x}`, bounds))
    case Op.loadxHeader: return withX(number(`${code} ${k}`, bounds))
    case Op.and: return withA(number(`${code} ${k} ${a}`, [0, k]))
    default: return withA(number(`${code} ${k} ${a} ${x}`))
  }
}

/** The states on the two ways behind a question; undefined: that way is never gone. */
function answers({ code, k }: Branch, state: State, [least, most]: Bounds): readonly [State | undefined, State | undefined] {
  const known = (from: number, to: number): State | undefined => {
    const [low, high] = [Math.max(least, from), Math.min(most, to)]
    return low > high ? undefined : { ...state, bounds: new Map(state.bounds).set(state.a, [low, high]) }
  }
  switch (code) {
    case Op.jumpGreater: return [known(k + 1, ANY[1]), known(0, k)]
    case Op.jumpGreaterEqual: return [known(k, ANY[1]), known(0, k - 1)]
    // What is learned by it is hardly ever asked again, and there are programs of thousands of them.
    case Op.jumpEqual: return [k < least || k > most ? undefined : state, k === least && k === most ? undefined : state]
    default: return [state, state]
  }
}

const A = 1 << SCRATCH_WORDS
const X = A << 1
const memoryBit = (slot: number) => 1 << slot

/** What an operation sets and uses, and whether it stays even if nobody uses that, since it can end the program. */
function effectOf(code: number, k: number): { sets: number; uses: number; stays: boolean } {
  switch (code) {
    case Op.loadMemory: return { sets: A, uses: memoryBit(k), stays: false }
    case Op.loadxMemory: return { sets: X, uses: memoryBit(k), stays: false }
    case Op.loadLength: case Op.loadImmediate: return { sets: A, uses: 0, stays: false }
    case Op.loadxLength: case Op.loadxImmediate: return { sets: X, uses: 0, stays: false }
    case Op.toX: return { sets: X, uses: A, stays: false }
    case Op.fromX: return { sets: A, uses: X, stays: false }
    case Op.store: return { sets: memoryBit(k), uses: A, stays: false }
    case Op.storex: return { sets: memoryBit(k), uses: X, stays: false }
    case Op.add: case Op.subtract: case Op.and: case Op.shiftLeft: case Op.shiftRight: return { sets: A, uses: A, stays: false }
    case Op.addx: case Op.subtractx: return { sets: A, uses: A | X, stays: false }
    case Op.load8: case Op.load16: return { sets: A, uses: 0, stays: true }
    case Op.load8x: case Op.load16x: case Op.load32x: return { sets: A, uses: X, stays: true }
    case Op.loadxHeader: return { sets: X, uses: 0, stays: true }
    // Others, and loads that may be of what the kernel knows.
    default: return { sets: A, uses: A | X, stays: true }
  }
}

function forgetUnused(items: Item[]): boolean {
  let changed = false
  /** What is used from an item on. */
  const used = new Int32Array(items.length + 1)
  for (let at = items.length - 1; at >= 0; at--) {
    const item = items[at]!
    if (isJump(item)) used[at] = used[item.to.at]!
    else if (isBranch(item)) {
      const either = used[item.yes.at]! | used[item.no.at]!
      const needsX = item.code === Op.jumpEqualx || item.code === Op.jumpGreaterx || item.code === Op.jumpGreaterEqualx || item.code === Op.jumpSetx
      used[at] = either | A | (needsX ? X : 0)
    } else if (isReturn(item.code)) used[at] = item.code === Op.returnA ? A : 0
    else {
      const { sets, uses, stays } = effectOf(item.code, item.k)
      if (!stays && (used[at + 1]! & sets) === 0) {
        used[at] = used[at + 1]!
        skip(items, at)
        changed = true
      } else used[at] = (used[at + 1]! & ~sets) | uses
    }
  }
  return changed
}
