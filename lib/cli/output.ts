// SPDX-License-Identifier: MIT
// Where a command writes: text for people, JSON for programs.

import { painter, type Paint, wantsColour } from './style.js'
import { type Column, formatTable, type TableOptions } from './table.js'
import { printable } from './text.js'

export class Output {
  readonly paint: Paint
  readonly #stream: NodeJS.WriteStream
  readonly #notes: { write(text: string): unknown }

  constructor(stream: NodeJS.WriteStream, notes: { write(text: string): unknown }, env: NodeJS.ProcessEnv) {
    this.#stream = stream
    this.#notes = notes
    this.paint = painter(wantsColour(stream, env))
  }

  get isTerminal(): boolean { return this.#stream.isTTY === true }

  /** Characters in a line of the terminal; undefined on a pipe. */
  get width(): number | undefined { return this.isTerminal && this.#stream.columns > 0 ? this.#stream.columns : undefined }

  /** Resolves when there is room for more: what follows a watch waits for a slow reader here. */
  async line(text: string): Promise<void> {
    if (!this.#stream.write(`${text}\n`)) await new Promise<void>((resolve) => { this.#stream.once('drain', resolve) })
  }

  lines(texts: readonly string[]): void {
    if (texts.length > 0) this.#stream.write(`${texts.join('\n')}\n`)
  }

  table<R>(columns: readonly Column<R>[], rows: readonly R[], options: Omit<TableOptions, 'paint' | 'width'> = {}): void {
    this.lines(formatTable(columns, rows, { ...options, paint: this.paint, width: this.width }))
  }

  /** Something beside the output, on standard error. */
  note(text: string): void {
    this.#notes.write(`nfkit: ${printable(text)}\n`)
  }

  /** One value: spread over lines on a terminal, in one line for a program. */
  json(value: unknown): void {
    this.#stream.write(`${toJson(value, this.isTerminal ? 2 : 0)}\n`)
  }
}

/** JSON of what the library answers: bytes in hexadecimal, 64-bit numbers as decimal text. */
export function toJson(value: unknown, indent = 0): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key: string, item: unknown) {
    // A Buffer has a toJSON of its own, whose result is what comes as the item.
    const own = this[key]
    if (own instanceof Uint8Array) return Buffer.from(own.buffer, own.byteOffset, own.byteLength).toString('hex')
    return typeof item === 'bigint' ? String(item) : item
  }, indent)
}
