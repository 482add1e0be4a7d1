// SPDX-License-Identifier: MIT
// The rows as one aligned table of plain text.

import type { Row, Summary } from './harness.js'

const HEADER = ['what', 'size', 'ours', 'peer', 'ratio', 'target', 'met']

/** Three significant digits, and none lost of what is larger. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '-'
  const size = Math.abs(value)
  if (size >= 100) return Math.round(value).toLocaleString('en-US')
  return value.toFixed(size >= 10 ? 1 : size >= 1 || size === 0 ? 2 : 3)
}

export function value(it: Summary | string): string {
  if (typeof it === 'string') return it
  // Times far below a millisecond read better in microseconds.
  const [scale, unit] = it.unit === 'ms' && it.median < 0.5 ? [1000, 'us'] : [1, it.unit]
  const best = it.count > 1 ? ` (${number(it.best * scale)})` : ''
  return `${number(it.median * scale)} ${unit}${best}`
}

function ratio({ ratio, ratioOfBest, reading, ours }: Row): string {
  if (ratio === undefined) return '-'
  const unit = typeof ours === 'object' ? ours.unit : undefined
  const words = reading === 'speed' ? 'x as fast' : unit === 'MiB' ? 'x the memory' : unit === 'instr' ? 'x the instructions' : 'x the time'
  return `${number(ratio)} ${words}${ratioOfBest === undefined ? '' : ` (${number(ratioOfBest)})`}`
}

/** One line for each row below a header, in columns; those of numbers are not padded to the right edge of a line. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what, row.size, value(row.ours), row.peer === undefined ? '-' : `${row.peer.name} ${value(row.peer.value)}`,
    ratio(row), row.target ?? '-', row.met === undefined ? '-' : row.met ? 'yes' : 'NO',
  ])
  const widths = HEADER.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]!.length)))
  const line = (row: readonly string[]) => row.map((cell, i) => (i === 1 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!))).join('  ').trimEnd()
  return [line(HEADER), line(widths.map((width) => '-'.repeat(width))), ...cells.map(line)].join('\n')
}
