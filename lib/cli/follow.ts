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
  'router-added': 'cyan', 'router-removed': 'red', loss: 'red',
  'target-new': 'cyan', 'target-changed': 'yellow', 'target-deleted': 'red', 'device-gone': 'red', 'device-back': 'green', 'target-paused': 'red', 'target-resumed': 'green',
}

/** How lines are printed. */
export interface Lines<T extends Line> {
  /** What a line says behind its type. */
  readonly text: (line: T) => string
  /** Width of the longest type. */
  readonly width: number
  /** What stands for the type in text, if it is not the type. */
  readonly word?: (line: T) => string
  /** When it was, if that is known; else it is now. */
  readonly time?: (line: T) => Date | undefined
  /** Whether a line is wanted. */
  readonly filter?: (line: T) => boolean
}

/** How a watch of a bridge is followed. */
export interface Following<T extends Line> extends Lines<T> {
  readonly open: (bridge: Bridge) => Watch<T>
  /** What there is, for `--initial`. */
  readonly present: (bridge: Bridge) => T[]
}

/** Prints what a watch reports until the bridge is deleted, and says that it was. */
export async function follow<T extends Line>({ args: [name], json, out, netns }: Invocation, initial: boolean, how: Following<T>): Promise<void> {
  const bridge = Bridge.open(name!, netns)
  try {
    await followLines(out, json, how.open(bridge), initial ? () => how.present(bridge) : undefined, how)
    out.note(`${name} was deleted`)
  } finally {
    bridge.close()
  }
}

/** Prints what a watch reports until it ends, or `most` lines of it; first what there is, if that is wanted. */
export async function followLines<T extends Line>(
  out: Output, json: boolean, changes: Watch<T>, present: (() => T[]) | undefined, how: Lines<T>, most = Infinity,
): Promise<void> {
  const { filter = () => true } = how
  try {
    if (present !== undefined) {
      // Read after the subscription: nothing is missed between the two, what comes up in that moment is reported twice.
      for (const line of present().filter(filter)) await print(out, json, line, how)
      await print<Line>(out, json, { type: 'ready' }, { text: () => '', width: how.width })
    }
    let printed = 0
    for await (const change of changes) {
      if (!filter(change)) continue
      await print(out, json, change, how)
      if (++printed === most) return
    }
  } finally {
    await changes.return!()
  }
}

async function print<T extends Line>(out: Output, json: boolean, line: T, { text, width, word, time: timeOf }: Lines<T>): Promise<void> {
  const time = timeOf?.(line) ?? new Date()
  if (json) return out.line(toJson({ time, ...line }))
  const what = word?.(line) ?? line.type
  const style = STYLES[what]
  const rest = line.type === 'overrun' ? 'changes were lost here' : printable(text(line))
  await out.line([out.paint('dim', time.toISOString()), style === undefined ? what.padEnd(width) : out.paint(style, what.padEnd(width)), rest].join('  ').trimEnd())
}

export const WATCH_OPTIONS = {
  initial: { type: 'flag', help: 'first a line `present` for each of those that are there, and `ready` after the last' },
  resync: { type: 'flag', help: 'after an overrun read everything again and report what changed' },
} as const

export const WATCH_DETAILS = [
  'A line for each change, until it is interrupted (exit status 130, as with tail -f) or the bridge is deleted (0).',
  'overrun: changes came faster than they were read, and some are lost.',
]
