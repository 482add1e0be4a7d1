// SPDX-License-Identifier: MIT
// nfkit mirror watch

import { Mirror } from '../../mirror/mirror.js'
import type { MirrorStats } from '../../mirror/stats.js'
import { action, type Invocation } from '../action.js'
import { type Counter, LIVE_DETAILS, LIVE_OPTIONS, watchCounters } from '../live-counters.js'
import type { Column } from '../table.js'
import { words } from '../text.js'
import { lostOf } from './clone-text.js'
import { type Listed, portText, withCounters } from './mirror-text.js'

/** A mirror, or one port of several. */
interface Line {
  /** With the port, if it is of one. */
  readonly name: string
  readonly mirror: Listed
  readonly to: string
  readonly counters: Omit<MirrorStats, 'outputs'> | undefined
}

const COLUMNS: readonly Column<Line>[] = [
  { header: 'NAME', cell: ({ name, mirror }) => (name === mirror.name ? name : '') },
  { header: 'TO', cell: ({ to }) => to, shrinks: true },
]

const COUNTERS: readonly Counter<Line>[] = [
  { header: 'SEEN', of: ({ counters }) => counters?.seen ?? 0 }, { header: 'SENT', of: ({ counters }) => counters?.sent ?? 0 },
  { header: 'BYTES', of: ({ counters }) => counters?.bytes ?? 0 }, { header: 'LOST', of: ({ counters }) => (counters === undefined ? 0 : lostOf(counters)) },
]

const WHY: Column<Line> = { header: 'WHY', cell: ({ counters }) => Object.entries(counters?.lost ?? {}).map(([reason, count]) => `${words(reason)} ${count}`).join(', '), shrinks: true }

function read(name: string | undefined, netns: Invocation['netns']): Listed[] {
  return Mirror.list(netns).filter((one) => name === undefined || one.name === name).map((info) => withCounters(info, netns))
}

function linesOf(mirror: Listed): Line[] {
  const { name, to = [], counters } = mirror
  const whole = { name, mirror, to: to.join(' '), counters }
  const outputs = counters?.outputs ?? []
  return outputs.length < 2 ? [whole] : [whole, ...outputs.map((output) => ({ name: `${name} ${output.device}`, mirror, to: `  ${portText(output)}`, counters: output }))]
}

export const watch = action({
  words: 'watch', args: '[NAME]', summary: 'what mirrors count, as it grows; by port where there are several',
  details: LIVE_DETAILS,
  options: LIVE_OPTIONS,
  async run({ args: [name], options, netns, json, out }) {
    // An error if it is not there at all.
    if (name !== undefined) await Mirror.open(name, netns).close()
    const gone = json || !out.isTerminal
      ? await watchCounters(out, json, options, {
        what: ['mirror', 'mirrors'], columns: [], read: () => read(name, netns), counters: COUNTERS.map(({ header, of }) => ({ header, of: (mirror: Listed) => of(linesOf(mirror)[0]!) })),
      })
      : await watchCounters(out, json, options, { what: ['mirror and port', 'mirrors and ports'], columns: [...COLUMNS, WHY], counters: COUNTERS, read: () => read(name, netns).flatMap(linesOf) })
    if (gone) out.note(name === undefined ? 'there are no mirrors' : `mirror ${name} was removed`)
  },
})
