// SPDX-License-Identifier: MIT
// Mirrors as text.

import { NfkitError } from '../../errors.js'
import type { MirrorInfo } from '../../mirror/info.js'
import { Mirror } from '../../mirror/mirror.js'
import { standardTable } from '../../mirror/source.js'
import type { MirrorOutputStats, MirrorStats } from '../../mirror/stats.js'
import type { CloneCounters } from '../../wire/module/counters.js'
import type { Invocation } from '../action.js'
import { type Output, toJson } from '../output.js'
import type { Column } from '../table.js'
import { printable, words } from '../text.js'
import { hex, lostOf } from './clone-text.js'
import { deviceText } from './target-devices.js'

/** A mirror, and what it counted if its rules are there. */
export type Listed = MirrorInfo & { counters?: MirrorStats }

export function withCounters(info: MirrorInfo, netns: Invocation['netns']): Listed {
  if (info.state === 'damaged') return info
  let mirror: Mirror | undefined
  try {
    mirror = Mirror.open(info.name, netns)
    return { ...info, counters: mirror.stats() }
  } catch (error) {
    // Its rules, or all of it, went meanwhile.
    if (error instanceof NfkitError && error.code.startsWith('NFKIT_')) return info
    throw error
  } finally {
    void mirror?.close()
  }
}

export function sourceOf({ from }: MirrorInfo): string {
  if (from === undefined) return ''
  if ('at' in from) {
    const { at, match, ...rest } = from
    return [at, ...Object.entries(rest).map(([key, value]) => `${words(key)} ${String(value)}`), ...(match === undefined ? [] : [toJson(match)])].join(' ')
  }
  const { table, chain, rules } = from
  return rules.map((rule) => `${table === standardTable(chain) ? '' : `-t ${table} `}${chain} ${rule}`.trim()).join(', ')
}

export function keptBy({ persistent, abandoned, pid }: MirrorInfo): string {
  if (pid === undefined) return ''
  return persistent === true ? 'itself' : abandoned === true ? 'nobody' : `process ${pid}`
}

export const hexOrNone = (mark: number | undefined): string => (mark === undefined ? '' : hex(mark))
export const number = (value: number | undefined): string => (value === undefined ? '' : String(value))

/** A port, and what is done to copies that leave by it. */
export const portText = (output: MirrorOutputStats): string => `${deviceText(output)}${output.index === null ? ' (not there)' : ''}`

export const COLUMNS: readonly Column<Listed>[] = [
  { header: 'NAME', cell: ({ name }) => name },
  { header: 'STATE', cell: ({ state }) => state, style: ({ state }) => (state === 'up' ? 'green' : 'yellow') },
  { header: 'FROM', cell: sourceOf, shrinks: true },
  { header: 'TO', cell: ({ to = [] }) => to.join(' ') },
  { header: 'VIA', cell: ({ via = '', mark }) => (mark === undefined ? via : `${via} ${hex(mark)}`) },
  { header: 'SEEN', align: 'right', cell: ({ counters }) => number(counters?.seen) },
  { header: 'SENT', align: 'right', cell: ({ counters }) => number(counters?.sent) },
  { header: 'LOST', align: 'right', cell: ({ counters }) => counters === undefined ? '' : String(lostOf(counters)) },
  { header: 'KEPT BY', cell: keptBy },
]

/** Everything about one. */
export function print(out: Output, mirror: Listed): void {
  const { name, state, families = [], to = [], via = '', target = '', mark, table, created = '', steps = [], counters } = mirror
  const facts: [string, string][] = [
    ['state', state], ['from', sourceOf(mirror)], ['families', families.join(' ')], ['to', to.join(' ')], ['via', via], ['target', target], ['mark', hexOrNone(mark)],
    ['table', number(table)], ['created', created], ['kept by', keptBy(mirror)],
  ]
  const lines = facts.filter(([, value]) => value !== '').map(([key, value]) => `  ${key.padEnd(9)} ${printable(value)}`)
  out.lines([out.paint('bold', printable(name)), ...lines, '', 'set up', ...steps.map((step) => `  ${printable(step)}`)])
  if (counters === undefined) return
  const { outputs, ...whole } = counters
  out.lines(['', 'packets', ...countersOf(whole)])
  if (via === 'devices') for (const output of outputs) out.lines(['', `by ${printable(portText(output))}`, ...countersOf(output)])
}

/** A line for each that counted, and the three that always matter. */
function countersOf({ seen, sampledOut, limited, cloned, sent, bytes, queued, lost }: CloneCounters): string[] {
  const some = Object.entries({ sampledOut, limited, bytes, queued, ...lost }).filter(([, value]) => value !== 0)
  const counted = [...Object.entries({ seen, cloned, sent }), ...some].map(([key, value]) => [words(key), number(value)] as const)
  const widest = Math.max(...counted.map(([key]) => key.length))
  return counted.map(([key, value]) => `  ${key.padEnd(widest)}  ${value}`)
}
