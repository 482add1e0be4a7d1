// SPDX-License-Identifier: MIT
// What a watch reports, line by line.

import { Bridge } from '../bridge/bridge.js'
import type { Watch } from '../events.js'
import type { Invocation } from './action.js'
import { type Output, toJson } from './output.js'
import type { Style } from './style.js'
import { printable } from './text.js'

/** A change, or with `--initial` what is there (`present`) and the end of that (`ready`). */
export interface Line { readonly type: string }

export const STYLES: Readonly<Record<string, Style>> = {
  ready: 'dim', learned: 'green', added: 'cyan', moved: 'yellow', changed: 'yellow', aged: 'dim', removed: 'red', overrun: 'red',
  'port-added': 'cyan', 'port-removed': 'red', 'port-state': 'green', 'port-changed': 'yellow', stp: 'yellow',
  'router-added': 'cyan', 'router-removed': 'red',
}

/** How a watch is followed. */
export interface Following<T extends Line> {
  readonly open: (bridge: Bridge) => Watch<T>
  /** What there is, for `--initial`. */
  readonly present: (bridge: Bridge) => T[]
  /** What a line says behind its type. */
  readonly text: (line: T) => string
  /** Width of the longest type. */
  readonly width: number
  /** Whether a line is wanted. */
  readonly filter?: (line: T) => boolean
}

/** Prints what a watch reports until the bridge is deleted, and says that it was. */
export async function follow<T extends Line>({ args: [name], json, out, netns }: Invocation, initial: boolean, how: Following<T>): Promise<void> {
  const { open, present, text, width, filter = () => true } = how
  const bridge = Bridge.open(name!, netns)
  try {
    const changes = open(bridge)
    if (initial) {
      // Read after the subscription: nothing is missed between the two, what comes up in that moment is reported twice.
      for (const line of present(bridge).filter(filter)) await print(out, json, line, text(line), width)
      await print(out, json, { type: 'ready' }, '', width)
    }
    for await (const change of changes) if (filter(change)) await print(out, json, change, text(change), width)
    out.note(`${name} was deleted`)
  } finally {
    bridge.close()
  }
}

async function print(out: Output, json: boolean, line: Line, text: string, width: number): Promise<void> {
  const time = new Date()
  if (json) return out.line(toJson({ time, ...line }))
  const style = STYLES[line.type]
  const what = line.type.padEnd(width)
  const rest = line.type === 'overrun' ? 'changes were lost here' : printable(text)
  await out.line([out.paint('dim', time.toISOString()), style === undefined ? what : out.paint(style, what), rest].join('  ').trimEnd())
}

export const WATCH_OPTIONS = {
  initial: { type: 'flag', help: 'first a line `present` for each of those that are there, and `ready` after the last' },
  resync: { type: 'flag', help: 'after an overrun read everything again and report what changed' },
} as const

export const WATCH_DETAILS = [
  'A line for each change, until it is interrupted (exit status 130, as with tail -f) or the bridge is deleted (0).',
  'overrun: changes came faster than they were read, and some are lost.',
]
