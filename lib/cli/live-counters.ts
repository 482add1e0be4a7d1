// SPDX-License-Identifier: MIT
// Counters as they grow: a table that is drawn again and again on a terminal, else a line for each object and interval.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Output, toJson } from './output.js'
import { Screen } from './screen.js'
import { type Column, formatTable } from './table.js'
import { UsageError } from './usage.js'
import { decimal, integer } from './values.js'

/** One of the counters. */
export interface Counter<T> { readonly header: string; readonly of: (state: T) => number }

export interface LiveCounters<T extends { readonly name: string }> {
  /** In the title: `3 hooks`. */
  readonly what: readonly [one: string, many: string]
  /** What there is now; empty: the watch ends if it was asked for by name. */
  readonly read: () => T[]
  readonly columns: readonly Column<T>[]
  readonly counters: readonly Counter<T>[]
  /** Ends it, as a key does. Who has one sees to the signals that end the program, too. */
  readonly until?: AbortSignal
}

/** Counters as columns of a table of one moment. */
export function counterColumns<T>(counters: readonly Counter<T>[]): Column<T>[] {
  return counters.map(({ header, of }) => ({ header, align: 'right', cell: (state) => String(of(state)) }))
}

export const LIVE_OPTIONS = {
  interval: { type: 'value', value: 'SECONDS', help: 'between two looks, 0.1 to 3600; 1 unless told' },
  count: { type: 'value', value: 'NUMBER', help: 'stop after so many looks' },
} as const

export const LIVE_DETAILS = [
  'On a terminal a table that is drawn anew, with what was counted per second; else, and with --json, a line for each at every look.',
  'Until it is interrupted (exit status 130, as with tail -f; q on a terminal, 0), or NAME is gone (0).',
]

type Previous<T> = ReadonlyMap<string, T>
interface Row<T> { readonly state: T; readonly rates: readonly (number | undefined)[] }

/** Shows counters until there is nothing to show, `count` looks were had, or somebody quits. Answers whether there is nothing left. */
export async function watchCounters<T extends { readonly name: string }>(
  out: Output, json: boolean, options: { readonly interval?: string | undefined; readonly count?: string | undefined }, live: LiveCounters<T>,
): Promise<boolean> {
  const interval = options.interval === undefined ? 1 : decimal('--interval', options.interval)
  if (interval < 0.1 || interval > 3600) throw new UsageError(`--interval: expected 0.1 to 3600 seconds, got ${interval}`)
  const looks = options.count === undefined ? Infinity : integer('--count', options.count)
  return out.isTerminal && !json ? drawn(out, interval * 1000, looks, live) : printed(out, json, interval * 1000, looks, live)
}

/** So many milliseconds, or until the signal comes. */
async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(() => {})
}

async function printed<T extends { readonly name: string }>(out: Output, json: boolean, interval: number, looks: number, { read, counters, until }: LiveCounters<T>): Promise<boolean> {
  for (let i = 0; i < looks; i++) {
    if (i > 0) await pause(interval, until)
    if (until?.aborted === true) break
    const states = read()
    if (states.length === 0) return true
    const time = new Date()
    for (const state of states) {
      await out.line(json
        ? toJson({ time, ...state })
        : [time.toISOString(), state.name, ...counters.map(({ header, of }) => `${header.toLowerCase()} ${of(state)}`)].join('  '))
    }
  }
  return false
}

async function drawn<T extends { readonly name: string }>(out: Output, interval: number, looks: number, live: LiveCounters<T>): Promise<boolean> {
  const quit = new AbortController()
  const end = () => { quit.abort() }
  live.until?.addEventListener('abort', end, { once: true })
  let before: Previous<T> = new Map()
  let seconds = 0
  let rows: Row<T>[] = []
  let last: string[] = []
  const columns = columnsOf(live)
  const draw = () => {
    const [one, many] = live.what
    const title = out.paint('bold', `${rows.length} ${rows.length === 1 ? one : many}`)
    last = [title, ...formatTable(columns, rows.slice(0, Math.max(1, screen.rows - 3)), { paint: out.paint, width: out.width })]
    screen.draw([...last, out.paint('dim', `${process.stdin.isTTY ? 'q' : 'Ctrl-C'} quits`)])
  }
  const screen = new Screen((key) => { if (key === 'q' || key === 'Q') end() }, draw, { dies: live.until === undefined })
  screen.open()
  try {
    for (let i = 0, at = performance.now(); i < looks && !quit.signal.aborted; i++) {
      if (i > 0) await pause(interval, quit.signal)
      if (quit.signal.aborted) break
      const states = live.read()
      const now = performance.now()
      seconds = (now - at) / 1000
      at = now
      rows = states.map((state) => ({ state, rates: ratesOf(live.counters, state, before.get(state.name), seconds) }))
      if (states.length === 0) return true
      before = new Map(states.map((state) => [state.name, state]))
      draw()
    }
    return false
  } finally {
    live.until?.removeEventListener('abort', end)
    screen.close()
    // What was last seen stays on the terminal.
    out.lines(last)
  }
}

/** Undefined at the first look. */
function ratesOf<T>(counters: readonly Counter<T>[], state: T, previous: T | undefined, seconds: number): (number | undefined)[] {
  return counters.map(({ of }) => (previous === undefined || seconds === 0 ? undefined : Math.max(0, of(state) - of(previous)) / seconds))
}

function columnsOf<T>({ columns, counters }: LiveCounters<T & { readonly name: string }>): Column<Row<T>>[] {
  return [
    ...columns.map((column): Column<Row<T>> => ({
      header: column.header, cell: ({ state }) => column.cell(state as never), ...(column.align === undefined ? {} : { align: column.align }),
      ...(column.shrinks === undefined ? {} : { shrinks: column.shrinks }), style: ({ state }) => column.style?.(state as never),
    })),
    ...counters.flatMap(({ header, of }, i): Column<Row<T>>[] => [
      { header, align: 'right', cell: ({ state }) => String(of(state as never)) },
      { header: '/S', align: 'right', cell: ({ rates }) => (rates[i] === undefined ? '' : rates[i].toFixed(0)), style: ({ rates }) => ((rates[i] ?? 0) > 0 ? 'green' : 'dim') },
    ]),
  ]
}
