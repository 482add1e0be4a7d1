// SPDX-License-Identifier: MIT
// Tables for people: aligned columns as wide as their content, cut to the width of the terminal.

import type { Paint, Style } from './style.js'
import { printable } from './text.js'

export interface Column<R> {
  readonly header: string
  readonly cell: (row: R) => string
  /** Numbers are easier to compare at the right. Default left. */
  readonly align?: 'left' | 'right'
  /** May be cut where the terminal is too narrow. */
  readonly shrinks?: boolean
  readonly style?: (row: R) => Style | undefined
}

export interface TableOptions {
  readonly paint: Paint
  /** Characters in a line; no limit unless told. */
  readonly width?: number | undefined
  /** Characters before each line. */
  readonly indent?: number
  /** Leave out columns without content, where the header says nothing either. */
  readonly hideEmpty?: boolean
}

const GAP = 2
const NARROWEST = 6

/** The lines of a table, header first. */
export function formatTable<R>(columns: readonly Column<R>[], rows: readonly R[], options: TableOptions): string[] {
  const { paint, width, indent = 0, hideEmpty = false } = options
  let used = columns.map((column) => ({ column, cells: rows.map((row) => printable(column.cell(row))) }))
  if (hideEmpty) used = used.filter(({ cells }) => cells.some((cell) => cell !== ''))
  const widths = used.map(({ column, cells }) => cells.reduce((widest, cell) => Math.max(widest, columnsOf(cell)), column.header.length))
  if (width !== undefined) shrink(widths, used.map(({ column }) => column.shrinks === true), width - indent)
  const margin = ' '.repeat(indent)
  const line = (texts: readonly string[], styles: readonly (Style | undefined)[]) => {
    let out = margin
    let pending = ''
    texts.forEach((text, i) => {
      const shown = cut(text, widths[i]!)
      const fill = ' '.repeat(widths[i]! - columnsOf(shown))
      const right = used[i]!.column.align === 'right'
      if (right) pending += fill
      if (shown !== '') {
        out += pending + (styles[i] === undefined ? shown : paint(styles[i], shown))
        pending = ''
      }
      pending += (right ? '' : fill) + ' '.repeat(GAP)
    })
    return out.trimEnd() === '' ? '' : out
  }
  return [
    line(used.map(({ column }) => column.header), used.map(() => 'bold')),
    ...rows.map((row, r) => line(used.map(({ cells }) => cells[r]!), used.map(({ column }) => column.style?.(row)))),
  ]
}

/** Takes from the widest column that may shrink until the line fits or nothing is left to take. */
function shrink(widths: number[], shrinks: readonly boolean[], limit: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) + GAP * (widths.length - 1) - limit
  for (; excess > 0; excess--) {
    let widest = -1
    widths.forEach((width, i) => { if (shrinks[i] === true && width > NARROWEST && (widest < 0 || width > widths[widest]!)) widest = i })
    if (widest < 0) return
    widths[widest]!--
  }
}

function cut(text: string, width: number): string {
  if (columnsOf(text) <= width) return text
  return `${Array.from(text).slice(0, width - 1).join('')}…`
}

/** Columns that a text takes on a terminal, as long as nobody names devices in Chinese. */
function columnsOf(text: string): number {
  // Almost everything is ASCII, where this is the length; Array.from is slow.
  return /[^\x20-\x7e]/.test(text) ? Array.from(text).length : text.length
}
