// SPDX-License-Identifier: MIT
// Puts a program together from operations and jumps to labels. A conditional jump reaches 255 instructions; where that is
// not enough an unconditional one, which reaches everywhere, is put behind it.

import { type BpfInstruction, BpfOp } from './instruction.js'
import { isBranch, isJump, isReturn, type Item, type Label, labelsOf, type Operation } from './items.js'
import { optimize } from './optimize.js'

export { Label } from './items.js'

const REACH = 255

export class Assembler {
  readonly #items: Item[] = []

  /** Appends an operation that is no jump. */
  op(code: number, k = 0): void {
    this.#items.push({ code, k })
  }

  /** Appends a jump. */
  jump(to: Label): void {
    to.used = true
    this.#items.push({ to })
  }

  /** Appends a conditional jump: `code` is one of the jumps of BpfOp. */
  branch(code: number, k: number, yes: Label, no: Label): void {
    yes.used = no.used = true
    this.#items.push({ code, k, yes, no, yesFar: false, noFar: false })
  }

  /** Lets a label stand for the place of what is appended next. */
  place(label: Label): void {
    if (label.at >= 0) throw new Error('a label has one place only')
    label.at = this.#items.length
  }

  /** The program, without what no jump leads to and what need not be done. */
  finish(): BpfInstruction[] {
    this.#checkPlaces()
    optimize(this.#items)
    this.#shorten()
    const { items, indexOf } = this.#reachable()
    // Where each item begins; grows until every jump that is too far has its helper.
    const starts = new Int32Array(items.length + 1)
    const distance = (label: Label, from: number) => starts[indexOf(label)]! - from - 1
    const size = (item: Item, i: number) => {
      if (isBranch(item)) return 1 + Number(item.yesFar) + Number(item.noFar)
      return isJump(item) && indexOf(item.to) === i + 1 ? 0 : 1
    }
    for (let settled = false; !settled;) {
      settled = true
      for (const [i, item] of items.entries()) starts[i + 1] = starts[i]! + size(item, i)
      for (const [i, item] of items.entries()) {
        if (!isBranch(item)) continue
        const yesFar = item.yesFar || distance(item.yes, starts[i]!) > REACH
        const noFar = item.noFar || distance(item.no, starts[i]!) > REACH
        if (yesFar === item.yesFar && noFar === item.noFar) continue
        Object.assign(item, { yesFar, noFar })
        settled = false
      }
    }
    return items.flatMap((item, i) => instructions(item, starts[i]!, starts[i + 1]!, distance))
  }

  #checkPlaces(): void {
    for (const [i, item] of this.#items.entries()) {
      for (const label of labelsOf(item)) {
        if (label.at <= i || label.at >= this.#items.length) throw new Error('a jump whose label is not placed after it')
      }
    }
  }

  /** Lets jumps to a jump go where that one goes; from the end, so that those behind already do. */
  #shorten(): void {
    const last = (label: Label): Label => {
      const item = this.#items[label.at]!
      return isJump(item) ? item.to : label
    }
    for (const item of this.#items.toReversed()) {
      if (isBranch(item)) Object.assign(item, { yes: last(item.yes), no: last(item.no) })
      else if (isJump(item)) item.to = last(item.to)
    }
  }

  /** The items that can be reached, and which of them a label stands before. */
  #reachable(): { items: Item[]; indexOf: (label: Label) => number } {
    const reached = new Uint8Array(this.#items.length)
    const indices = new Int32Array(this.#items.length)
    reached[0] = 1
    const items = this.#items.filter((item, i) => {
      if (i > 0) indices[i] = indices[i - 1]! + reached[i - 1]!
      if (reached[i] === 0) return false
      for (const label of labelsOf(item)) reached[label.at] = 1
      if (labelsOf(item).length === 0 && !isReturn((item as Operation).code)) reached[i + 1] = 1
      return true
    })
    return { items, indexOf: (label) => indices[label.at]! }
  }
}

/** What an item becomes between `start` and `end`. */
function instructions(item: Item, start: number, end: number, distance: (label: Label, from: number) => number): BpfInstruction[] {
  if (isJump(item)) return start === end ? [] : [{ code: BpfOp.jump, jt: 0, jf: 0, k: distance(item.to, start) }]
  if (!isBranch(item)) return [{ code: item.code, jt: 0, jf: 0, k: item.k }]
  const far = (label: Label, at: number) => ({ code: BpfOp.jump, jt: 0, jf: 0, k: distance(label, at) })
  const { code, k, yes, no, yesFar, noFar } = item
  const jt = yesFar ? 0 : distance(yes, start)
  const jf = noFar ? Number(yesFar) : distance(no, start)
  return [{ code, jt, jf, k }, ...(yesFar ? [far(yes, start + 1)] : []), ...(noFar ? [far(no, end - 1)] : [])]
}
