// SPDX-License-Identifier: MIT
// The CAM table on a terminal, as it changes: what changed last is at the top.

import type { Cam } from '../../bridge/cam.js'
import type { CamChange } from '../../bridge/cam-watch.js'
import type { Watch } from '../../events.js'
import type { CamEntry } from '../../wire/fdb.js'
import type { Output } from '../output.js'
import { STYLES } from '../follow.js'
import { Screen } from '../screen.js'
import { type Column, formatTable } from '../table.js'
import { printable, shortSeconds } from '../text.js'
import { ENTRY_COLUMNS, sortEntries } from './cam-text.js'

/** Milliseconds between two pictures at most, and at least, since ages grow. */
const FASTEST = 100
const SLOWEST = 1000
/** How long an entry that went stays visible. */
const FAREWELL = 5000

interface Row extends CamEntry {
  change?: Exclude<CamChange['type'], 'overrun'>
  from?: string
  /** performance.now() of the change. */
  at: number
}

const LAST_CHANGE: Column<Row> = {
  header: 'LAST CHANGE',
  cell: ({ change, from, at }) => (change === undefined ? '' : `${change}${from === undefined ? '' : ` from ${from}`} ${sinceText(at)} ago`),
  style: ({ change }) => (change === undefined ? undefined : STYLES[change]),
}

/** What is of interest first: a narrow terminal shows the left part. */
const COLUMNS: readonly Column<Row>[] = [
  ...ENTRY_COLUMNS.filter(({ header }) => header !== 'FLAGS' && header !== 'USED').map(dimmedWhenGone),
  LAST_CHANGE,
  ...ENTRY_COLUMNS.filter(({ header }) => header === 'FLAGS').map(dimmedWhenGone),
]

/** Where an entry was last is not where it is: what went is dim all over. */
function dimmedWhenGone(column: Column<CamEntry>): Column<Row> {
  return { ...column, style: (row) => (isGone(row) ? 'dim' : column.style?.(row)) }
}

function sinceText(at: number): string {
  const seconds = Math.floor((performance.now() - at) / 1000)
  return seconds < 3600 ? `${seconds} s` : shortSeconds(seconds)
}

function isGone({ change }: Row): boolean { return change === 'aged' || change === 'removed' }

/** Which entries are shown. */
export type Wanted = (entry: CamEntry) => boolean

/** Shows the table until `q` or Ctrl-C is pressed or the bridge is gone; answers whether it is gone. */
export async function liveCam(
  out: Output, name: string, cam: Cam, watch: Watch<CamChange>, wanted: Wanted, via: 'master' | 'self' | 'any',
): Promise<boolean> {
  // In the order of their last change: the newest is last.
  const rows = new Map<string, Row>()
  const counts = { learned: 0, added: 0, moved: 0, aged: 0, removed: 0, overrun: 0 }
  let quit = false
  let timer: NodeJS.Timeout | undefined
  let drawn = 0
  let last: string[] = []

  for (const entry of sortEntries(cam.entries({ via })).reverse()) if (wanted(entry)) rows.set(keyOf(entry), { ...entry, at: 0 })

  function apply(change: CamChange): void {
    if (change.type in counts) counts[change.type as keyof typeof counts]++
    if (change.type === 'overrun' || !wanted(change.entry)) return
    const key = keyOf(change.entry)
    rows.delete(key)
    rows.set(key, { ...change.entry, change: change.type, ...(change.type === 'moved' ? { from: change.from } : {}), at: performance.now() })
  }

  /** The first rows from the top, without those that went long ago. */
  function visible(limit: number): { shown: Row[]; total: number } {
    const now = performance.now()
    for (const [key, row] of rows) if (isGone(row) && now - row.at > FAREWELL) rows.delete(key)
    const shown = [...rows.values()].slice(-limit).reverse()
    let total = rows.size
    for (const row of rows.values()) if (isGone(row)) total--
    return { shown, total }
  }

  /** Seen and used times move on without a notification: asked again for what is on the screen. */
  function refresh(row: Row): void {
    if (isGone(row) || row.via !== 'master') return
    const now = cam.lookup(row.mac, { vlan: row.vlan })
    if (now?.portIndex === row.portIndex) Object.assign(row, { age: now.age, used: now.used, state: now.state })
  }

  function draw(): void {
    clearTimeout(timer)
    const room = Math.max(1, screen.rows - 3)
    const { shown, total } = visible(room)
    try {
      shown.forEach(refresh)
    } catch {
      // The bridge is being deleted: the watch is about to end.
    }
    const { learned, added, moved, aged, removed, overrun } = counts
    const told = [
      `${total} ${total === 1 ? 'entry' : 'entries'}`,
      `${learned} learned`, `${added} added`, `${moved} moved`, `${aged} aged`, `${removed} removed`,
    ]
    const lost = overrun === 0 ? '' : `, ${out.paint('red', `${overrun} times changes were lost and the table was read again`)}`
    const hidden = total > shown.length ? `${total - shown.length} more; ` : ''
    last = [
      `${out.paint('bold', printable(name))}: ${told.join(', ')}${lost}`,
      ...formatTable(COLUMNS, shown, { paint: out.paint, width: out.width }),
      out.paint('dim', `${hidden}${process.stdin.isTTY ? 'q' : 'Ctrl-C'} quits`),
    ]
    screen.draw(last)
    drawn = performance.now()
    timer = setTimeout(draw, SLOWEST)
  }

  function drawSoon(): void {
    clearTimeout(timer)
    timer = setTimeout(draw, Math.max(0, drawn + FASTEST - performance.now()))
  }

  const screen = new Screen((key) => {
    if (key !== 'q' && key !== 'Q') return
    quit = true
    void watch.return!()
  }, draw)
  screen.open()
  try {
    draw()
    for await (const change of watch) {
      apply(change)
      drawSoon()
    }
    draw()
  } finally {
    clearTimeout(timer)
    screen.close()
  }
  // What was last seen stays on the terminal.
  out.lines(last.slice(0, -1))
  return !quit
}

function keyOf({ mac, vlan, via, portIndex }: CamEntry): string {
  return via === 'master' ? `${mac}/${vlan ?? ''}` : `${mac}/${vlan ?? ''}/${portIndex}`
}
