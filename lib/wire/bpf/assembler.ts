// SPDX-License-Identifier: MIT
// Puts a program together from operations and jumps to labels. A conditional jump reaches 255 instructions; where that is
// not enough an unconditional one, which reaches everywhere, is put behind it.

import { type BpfInstruction, BpfOp } from './instruction.js'

/** A place in a program. All jumps to it come before it, since classic BPF only jumps forwards. */
export class Label {
  /** The index of the item that it stands before; -1 until it is placed. */
  at = -1
  used = false
}

interface Operation { readonly code: number; readonly k: number }
interface Jump { readonly to: Label }
interface Branch extends Operation { readonly yes: Label; readonly no: Label; yesFar: boolean; noFar: boolean }
type Item = Operation | Jump | Branch

const isBranch = (item: Item): item is Branch => 'yes' in item
const isJump = (item: Item): item is Jump => 'to' in item
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

  /** Places a new label here. */
  here(): Label {
    const label = new Label()
    this.place(label)
    return label
  }

  /** The program. */
  finish(): BpfInstruction[] {
    const items = this.#items
    const starts = new Int32Array(items.length + 1)
    const distance = (label: Label, from: number) => starts[label.at]! - from - 1
    for (let settled = false; !settled;) {
      settled = true
      for (const [i, item] of items.entries()) starts[i + 1] = starts[i]! + this.#size(item, i)
      for (const [i, item] of items.entries()) {
        if (!isBranch(item)) continue
        const yesFar = item.yesFar || distance(item.yes, starts[i]!) > REACH
        const noFar = item.noFar || distance(item.no, starts[i]!) > REACH
        if (yesFar === item.yesFar && noFar === item.noFar) continue
        Object.assign(item, { yesFar, noFar })
        settled = false
      }
    }
    return items.flatMap((item, i) => this.#instructions(item, starts[i]!, starts[i + 1]!, distance))
  }

  #size(item: Item, index: number): number {
    for (const label of isBranch(item) ? [item.yes, item.no] : isJump(item) ? [item.to] : []) {
      if (label.at <= index) throw new Error('a jump whose label is not placed after it')
    }
    if (isBranch(item)) return 1 + Number(item.yesFar) + Number(item.noFar)
    return isJump(item) && item.to.at === index + 1 ? 0 : 1
  }

  #instructions(item: Item, start: number, end: number, distance: (label: Label, from: number) => number): BpfInstruction[] {
    if (isJump(item)) return start === end ? [] : [{ code: BpfOp.jump, jt: 0, jf: 0, k: distance(item.to, start) }]
    if (!isBranch(item)) return [{ code: item.code, jt: 0, jf: 0, k: item.k }]
    const far = (label: Label, at: number) => ({ code: BpfOp.jump, jt: 0, jf: 0, k: distance(label, at) })
    const { code, k, yes, no, yesFar, noFar } = item
    const jt = yesFar ? 0 : distance(yes, start)
    const jf = noFar ? Number(yesFar) : distance(no, start)
    return [{ code, jt, jf, k }, ...(yesFar ? [far(yes, start + 1)] : []), ...(noFar ? [far(no, end - 1)] : [])]
  }
}
