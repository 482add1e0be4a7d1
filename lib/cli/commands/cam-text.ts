// SPDX-License-Identifier: MIT
// CAM entries as text for people.

import type { CamChange } from '../../bridge/cam-watch.js'
import type { CamEntry, CamState } from '../../wire/fdb.js'
import type { Output } from '../output.js'
import type { Style } from '../style.js'
import type { Column } from '../table.js'
import { byName, shortSeconds } from '../text.js'

const STATE: Record<CamState, Style | undefined> = { learned: 'green', stale: 'yellow', static: 'cyan', permanent: undefined }

export const ENTRY_COLUMNS: readonly Column<CamEntry>[] = [
  { header: 'MAC', cell: ({ mac }) => mac, style: () => 'bold' },
  { header: 'PORT', cell: ({ port }) => port },
  { header: 'VLAN', cell: ({ vlan }) => (vlan === null ? '-' : String(vlan)), align: 'right' },
  { header: 'STATE', cell: ({ state }) => state, style: ({ state }) => STATE[state] },
  { header: 'AGE', cell: ({ age }) => (age === null ? '-' : shortSeconds(age)), align: 'right' },
  { header: 'USED', cell: ({ used }) => (used === null ? '-' : shortSeconds(used)), align: 'right' },
  { header: 'FLAGS', cell: flagsText, shrinks: true },
]

function flagsText({ isLocal, via, flags, remote }: CamEntry): string {
  return [
    ...(via === 'self' ? ['self'] : []), ...(isLocal ? ['local'] : []), ...flags,
    ...(remote === undefined ? [] : Object.entries(remote).filter(([, value]) => value !== null).map(([key, value]) => `${key}=${value}`)),
  ].join(' ')
}

/** By port, then VLAN, then address: the kernel's order is that of its hash. */
export function sortEntries(entries: CamEntry[]): CamEntry[] {
  const ranks = new Map([...new Set(entries.map(({ port }) => port))].sort(byName).map((port, rank) => [port, rank]))
  return entries.sort((a, b) => ranks.get(a.port)! - ranks.get(b.port)! || (a.vlan ?? 0) - (b.vlan ?? 0) ||
    (a.mac < b.mac ? -1 : a.mac > b.mac ? 1 : 0))
}

export function printEntries(out: Output, entries: readonly CamEntry[]): void {
  out.table(ENTRY_COLUMNS, entries)
}

/** What a watch prints: a change, or with `--initial` an entry that is there. */
export type CamLine = CamChange | { type: 'present'; entry: CamEntry }

/** What happened to an entry: address, port, and what else there is to say. */
export function changeText(change: CamLine): string {
  if (change.type === 'overrun') return ''
  const { entry } = change
  return [
    entry.mac, entry.port, change.type === 'moved' ? `from ${change.from}` : '', entry.vlan === null ? '' : `vlan ${entry.vlan}`,
    entry.state === 'learned' ? '' : entry.state, flagsText(entry),
  ].filter((part) => part !== '').join('  ')
}
