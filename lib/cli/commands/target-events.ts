// SPDX-License-Identifier: MIT
// nfkit targets events

import { checkObjectName } from '../../clone/check.js'
import type { CloneEvent } from '../../clone/clone-events.js'
import { CloneTarget } from '../../clone/clone-target.js'
import { action } from '../action.js'
import { followLines } from '../follow.js'
import { UsageError } from '../usage.js'
import { integer } from '../values.js'

type EventLine = CloneEvent | { type: 'present'; target: string }

const NANOSECONDS_IN_MILLISECOND = 1_000_000n

const timeOf = (line: EventLine): Date | undefined => (line.type === 'event' ? new Date(Number(line.timestamp / NANOSECONDS_IN_MILLISECOND)) : undefined)

function textOf(line: EventLine): string {
  if (line.type === 'loss') return `${line.count} event${line.count === 1 ? ' was' : 's were'} lost here`
  return line.type === 'event' && line.device !== null ? `${line.target}  ${line.device.name}` : line.target
}

export const events = action({
  words: 'events', args: '[NAME]', summary: 'what happens to clone targets: defined, changed, deleted; devices gone and back; paused and resumed',
  details: [
    'A line for each event, of the clone target NAME alone or of all, until it is interrupted (exit status 130, as with tail -f).',
    'NAME need not be defined. loss: events came faster than they were read, and some are lost.',
  ],
  options: {
    initial: { type: 'flag', help: 'first a line `present` for each clone target that is there, and `ready` after the last' },
    count: { type: 'value', value: 'NUMBER', help: 'stop after so many events' },
  },
  async run({ args: [name], options: { initial, count }, netns: { netns }, json, out }) {
    if (name !== undefined) checkObjectName(name, 'name')
    const most = count === undefined ? Infinity : integer('--count', count)
    if (most === 0) throw new UsageError('--count: expected at least 1')
    const present = (): EventLine[] => CloneTarget.list(netns).map((target) => ({ type: 'present', target }))
    await followLines<EventLine>(out, json, CloneTarget.watch({ netns }), initial === true ? present : undefined, {
      text: textOf, width: 14, word: (line) => (line.type === 'event' ? String(line.event) : line.type), time: timeOf,
      filter: (line) => name === undefined || line.type === 'loss' || line.target === name,
    }, most)
  },
})
