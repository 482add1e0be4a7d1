// SPDX-License-Identifier: MIT
// nfkit mirror watch

import { Mirror } from '../../mirror/mirror.js'
import type { MirrorOutputStats } from '../../mirror/stats.js'
import type { CloneCounters } from '../../wire/module/counters.js'
import { action, type Invocation } from '../action.js'
import { showLive } from '../live-table.js'
import { toJson } from '../output.js'
import type { Column } from '../table.js'
import { printable, words } from '../text.js'
import { UsageError } from '../usage.js'
import { decimal } from '../values.js'
import { type Listed, lostOf, number, withCounters } from './mirror-text.js'

/** Seconds; a reading is some system calls for each mirror. */
const SHORTEST = 0.1

/** A mirror, or one port of several. */
interface Row {
  readonly name: string
  readonly port: string
  readonly counters: CloneCounters | undefined
  /** In a second, since the reading before. */
  readonly packets: number | undefined
  readonly bits: number | undefined
}

const rate = (value: number | undefined): string => {
  if (value === undefined) return ''
  const units = ['', 'k', 'M', 'G', 'T']
  let unit = 0
  for (; value >= 10_000 && unit < units.length - 1; unit++) value /= 1000
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)}${units[unit]}`
}

function reasons({ counters }: Row): string {
  return Object.entries(counters?.lost ?? {}).map(([reason, count]) => `${words(reason)} ${count}`).join(', ')
}

const COLUMNS: readonly Column<Row>[] = [
  { header: 'NAME', cell: ({ name }) => name },
  { header: 'PORT', cell: ({ port }) => port },
  { header: 'SEEN', align: 'right', cell: ({ counters }) => number(counters?.seen) },
  { header: 'SENT', align: 'right', cell: ({ counters }) => number(counters?.sent) },
  { header: 'PACKETS/S', align: 'right', cell: ({ packets }) => rate(packets) },
  { header: 'BITS/S', align: 'right', cell: ({ bits }) => rate(bits) },
  { header: 'QUEUED', align: 'right', cell: ({ counters }) => number(counters?.queued) },
  { header: 'LOST', align: 'right', cell: ({ counters }) => number(lostOf(counters)), style: ({ counters }) => ((lostOf(counters) ?? 0) > 0 ? 'red' : undefined) },
  { header: 'WHY', cell: reasons, shrinks: true },
]

function rowOf(name: string, port: string, now: CloneCounters | undefined, before: CloneCounters | undefined, seconds: number): Row {
  const perSecond = (value: (counters: CloneCounters) => number) =>
    (now === undefined || before === undefined || seconds <= 0 ? undefined : Math.max(0, value(now) - value(before)) / seconds)
  return { name, port, counters: now, packets: perSecond(({ sent }) => sent), bits: perSecond(({ bytes }) => 8 * bytes) }
}

function rowsOf(mirrors: readonly Listed[], before: readonly Listed[], seconds: number): Row[] {
  return mirrors.flatMap(({ name, to = [], counters }) => {
    const old = before.find((one) => one.name === name)?.counters
    const whole = rowOf(name, to.join(' '), counters, old, seconds)
    const outputs: readonly MirrorOutputStats[] = counters?.outputs ?? []
    if (outputs.length < 2) return [whole]
    return [whole, ...outputs.map((output) => rowOf('', output.device, output, old?.outputs.find(({ device }) => device === output.device), seconds))]
  })
}

/** Reads the mirrors that are wanted; undefined once the one that is is gone. */
function reader(name: string | undefined, netns: Invocation['netns']): () => Listed[] | undefined {
  return () => {
    const found = Mirror.list(netns).filter((one) => name === undefined || one.name === name)
    return found.length === 0 && name !== undefined ? undefined : found.map((info) => withCounters(info, netns))
  }
}

async function followLines({ json, out }: Invocation, read: () => Listed[] | undefined, interval: number): Promise<void> {
  for (let mirrors = read(); mirrors !== undefined; mirrors = read()) {
    const time = new Date()
    for (const { name, state, counters } of mirrors) {
      if (json) await out.line(toJson({ time, name, state, counters }))
      else await out.line(`${time.toISOString()}  ${printable(name)}  seen ${number(counters?.seen)}  sent ${number(counters?.sent)}  lost ${number(lostOf(counters))}`)
    }
    await new Promise((resolve) => { setTimeout(resolve, interval * 1000) })
  }
}

export const watch = action({
  words: 'watch', args: '[NAME]', summary: 'the counters of a mirror, or of all, as they grow; by port where there are several',
  details: [
    'On a terminal a table in place, else lines, with --json one object each; until it is interrupted or the mirror NAME is removed.',
    'BITS/S is of whole frames, and of mirrors via devices alone.',
  ],
  options: { interval: { type: 'value', value: 'SECONDS', help: 'between two readings, 0.1 or more; 1 unless told' } },
  async run(invocation) {
    const { args: [name], options, netns, json, out } = invocation
    const interval = options.interval === undefined ? 1 : decimal('--interval', options.interval)
    if (interval < SHORTEST) throw new UsageError(`--interval: expected ${SHORTEST} or more`)
    // An error if it is not there at all.
    if (name !== undefined) await Mirror.open(name, netns).close()
    const read = reader(name, netns)
    if (json || !out.isTerminal) await followLines(invocation, read, interval)
    else {
      let before: Listed[] = []
      let at = performance.now()
      const gone = await showLive(out, {
        interval, title: name === undefined ? 'mirrors' : printable(name), columns: COLUMNS,
        read() {
          const mirrors = read()
          if (mirrors === undefined) return undefined
          const now = performance.now()
          const rows = rowsOf(mirrors, before, (now - at) / 1000)
          before = mirrors
          at = now
          return rows
        },
      })
      if (!gone) return
    }
    if (name !== undefined) out.note(`mirror ${name} was removed`)
  },
})
