// SPDX-License-Identifier: MIT
// What a program is made of before its jumps have distances.

import { BpfOp } from './instruction.js'

/** A place in a program. All jumps to it come before it, since classic BPF only jumps forwards. */
export class Label {
  /** The index of the item that it stands before; -1 until it is placed. */
  at = -1
  used = false
}

export interface Operation { readonly code: number; readonly k: number }
export interface Jump { to: Label }
export interface Branch extends Operation { yes: Label; no: Label; yesFar: boolean; noFar: boolean }
export type Item = Operation | Jump | Branch

export const isBranch = (item: Item): item is Branch => 'yes' in item
export const isJump = (item: Item): item is Jump => 'to' in item
export const labelsOf = (item: Item): Label[] => (isBranch(item) ? [item.yes, item.no] : isJump(item) ? [item.to] : [])
export const isReturn = (code: number): boolean => code === BpfOp.returnImmediate || code === BpfOp.returnA
