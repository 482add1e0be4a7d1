// SPDX-License-Identifier: MIT
// A table that is read again and again: drawn in place on a terminal.

import type { Output } from './output.js'
import { Screen } from './screen.js'
import { type Column, formatTable } from './table.js'

export interface LiveTable<R> {
  /** Seconds between two readings. */
  readonly interval: number
  readonly title: string
  readonly columns: readonly Column<R>[]
  /** Undefined: what was watched is gone. */
  read(): R[] | undefined
}

/** Shows it until `q` or Ctrl-C is pressed, or it is gone; answers whether it is gone. */
export async function showLive<R>(out: Output, { interval, title, columns, read }: LiveTable<R>): Promise<boolean> {
  let last: string[] = []
  let wake = () => {}
  let quit = false
  const draw = (rows: readonly R[]) => {
    last = [out.paint('bold', title), ...formatTable(columns, rows, { paint: out.paint, width: out.width })]
    screen.draw([...last, out.paint('dim', `${process.stdin.isTTY ? 'q' : 'Ctrl-C'} quits`)])
  }
  const screen = new Screen((key) => {
    if (key !== 'q' && key !== 'Q') return
    quit = true
    wake()
  }, () => { wake() })
  screen.open()
  try {
    while (!quit) {
      const rows = read()
      if (rows === undefined) break
      draw(rows)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, interval * 1000)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  } finally {
    screen.close()
  }
  // What was last seen stays on the terminal.
  out.lines(last)
  return !quit
}
