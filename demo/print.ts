// SPDX-License-Identifier: MIT
// Aligned text for people: coloured on a terminal, plain elsewhere.

import * as util from 'node:util'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Text, or text with a style. */
export type Cell = string | readonly [text: string, style: Style]

export interface Column {
  readonly title: string
  /** To the left unless told. */
  readonly align?: 'left' | 'right'
}

type StyleText = (format: string, text: string, options: { validateStream: boolean }) => string
/** Node 20.12 and later have it. */
const styleText = (util as { styleText?: StyleText }).styleText

export class Printer {
  readonly #stream: NodeJS.WriteStream
  readonly #coloured: boolean
  /** Whether lines can be drawn with box characters. */
  readonly #boxes: boolean
  #section = 0

  constructor(stream: NodeJS.WriteStream = process.stdout, env: NodeJS.ProcessEnv = process.env) {
    const terminal = stream.isTTY === true && env['TERM'] !== 'dumb'
    this.#stream = stream
    this.#coloured = terminal && (env['NO_COLOR'] ?? '') === '' && styleText !== undefined
    this.#boxes = terminal && /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '')
  }

  paint(style: Style, text: string): string {
    return this.#coloured && text !== '' ? styleText!(style, text, { validateStream: false }) : text
  }

  line(text = ''): void { this.#stream.write(`${text.trimEnd()}\n`) }

  /** The headline of an act. */
  act(title: string): void {
    this.line()
    this.line(this.paint('bold', title))
    this.line(this.paint('dim', this.draw('='.repeat(title.length))))
  }

  /** A numbered step of the demonstration. */
  section(title: string): void {
    this.line()
    this.line(this.paint('bold', `${++this.#section}. ${title}`))
    this.line()
  }

  /** What is said about what is seen. */
  note(text: string): void { this.line(`   ${this.paint('dim', text)}`) }

  /** A drawing in ASCII, with box characters where the terminal has them. `styles` are by the words that appear in it. */
  drawing(lines: readonly string[], styles: Readonly<Record<string, Style>> = {}): void {
    for (const line of this.#boxes ? withCorners(lines) : lines) {
      let text = this.draw(line)
      for (const [word, style] of Object.entries(styles)) text = text.replaceAll(word, this.paint(style, word))
      this.line(`   ${text}`)
    }
  }

  /** `-|=` as box characters. */
  draw(text: string): string {
    return this.#boxes ? text.replace(/[-=|]/g, (character) => ({ '-': '─', '=': '═', '|': '│' })[character]!) : text
  }

  /** Columns as wide as what is in them, two spaces apart. */
  table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): void {
    const text = (cell: Cell | undefined) => (typeof cell === 'string' ? cell : cell?.[0] ?? '')
    const widths = columns.map(({ title }, i) => Math.max(title.length, ...rows.map((row) => text(row[i]).length)))
    const pad = (value: string, i: number) => (columns[i]!.align === 'right' ? value.padStart(widths[i]!) : value.padEnd(widths[i]!))
    const head = columns.map(({ title }, i) => pad(title, i)).join('  ').trimEnd()
    if (head !== '') this.line(`   ${this.paint('dim', head)}`)
    for (const row of rows) {
      this.line(`   ${columns.map((_, i) => {
        const cell = row[i]
        const padded = pad(text(cell), i)
        return cell === undefined || typeof cell === 'string' ? padded : this.paint(cell[1], padded)
      }).join('  ')}`)
    }
  }

  /** Names and values in two columns of pairs. */
  pairs(pairs: readonly (readonly [name: string, value: Cell])[], across = 2): void {
    const rows: Cell[][] = []
    const height = Math.ceil(pairs.length / across)
    for (let i = 0; i < height; i++) {
      const row: Cell[] = []
      for (let column = 0; column < across; column++) {
        const pair = pairs[column * height + i]
        if (pair !== undefined) row.push([pair[0], 'dim'], pair[1], ' ')
      }
      rows.push(row)
    }
    this.table(Array.from({ length: across * 3 }, () => ({ title: '' })), rows)
  }
}

/** Every `+` by which of its neighbours, in the order left, right, above, below, are lines. */
const CORNERS: Readonly<Record<string, string>> = {
  '0101': '┌', '1001': '┐', '0110': '└', '1010': '┘', '1101': '┬', '1110': '┴', '0111': '├', '1011': '┤', '1111': '┼',
  '1100': '─', '0011': '│',
}

function withCorners(lines: readonly string[]): string[] {
  const joins = (y: number, x: number, line: string) => (`${line}+`.includes(lines[y]?.[x] ?? ' ') ? '1' : '0')
  return lines.map((line, y) => line.replace(/\+/g, (_, x: number) => {
    const around = joins(y, x - 1, '-') + joins(y, x + 1, '-') + joins(y - 1, x, '|') + joins(y + 1, x, '|')
    return CORNERS[around] ?? '+'
  }))
}

/** `0.52 s`; `-` for a timer that does not run. */
export const seconds = (value: number): string => `${value.toFixed(2)} s`
export const timer = (value: number): string => (value === 0 ? '-' : seconds(value))

/** `17 us`, `1.25 ms`. */
export function duration(milliseconds: number): string {
  if (milliseconds < 1) return `${(milliseconds * 1000).toFixed(0)} us`
  return milliseconds < 1000 ? `${milliseconds.toFixed(1)} ms` : seconds(milliseconds / 1000)
}

/** `1.0 MB`. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB']
  let unit = 0
  for (; bytes >= 1000 && unit < units.length - 1; unit++) bytes /= 1000
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`
}
