// SPDX-License-Identifier: MIT
// One table as a transaction: read, change, make sure that nobody else changed it, replace, give the counters back. The lock is
// apart from it (lock.ts), since a restore changes several tables under one:
//
//   await withLock(access.lock, () => { for (const table of tables) commitTable(access, table, (image) => chains) }, signal)
//   withLockSync(access.lock, () => ...)
//
// Within the lock everything is synchronous: the kernel answers at once.

import { NfkitError } from '../errors.js'
import { assembleTable } from '../wire/xtables/assemble.js'
import { checkChains } from '../wire/xtables/chain-graph.js'
import type { ChainImage, TableImage, TableInfo } from '../wire/xtables/table.js'
import { sameInfo, type TableAccess } from './access.js'

/** How often a change is made anew because somebody changed the table meanwhile. */
const ATTEMPTS = 64

/**
 * Changes one table. The caller holds the lock, or does without.
 *
 * `change` gets the table as it is and answers the chains that it is to have: built-in ones in the order of their hooks, the others
 * sorted (`insertChain`); or undefined when nothing is to change, and then nothing is written. It can change `image.chains` in
 * place: when somebody else changed the table meanwhile, `change` is called again with a fresh image, so what it
 * decides must come from the image alone. What it throws ends the commit, and the table is as it was.
 *
 * With a lock, "nobody changed it" is a comparison of the sizes and chain offsets that GET_INFO tells; without one (`access.lock` is
 * `off`) the whole table is read again and compared. Both leave a moment before the replacement in which a program that takes no
 * lock goes unseen, unless it changes the number of rules: then the kernel answers EAGAIN.
 *
 * @throws NfkitError NFKIT_NO_SUCH_CHAIN, NFKIT_CHAIN_LOOP with the path, before the kernel is asked; EAGAIN when the table never held
 * still; NFKIT_COUNTERS_LOST (`committed`) when the change was made but counters were lost; EPERM, EINVAL, ENOMEM and others of the kernel's, and
 * then the table is as it was
 * @returns whether the table was replaced
 */
export function commitTable(access: TableAccess, table: string, change: (image: TableImage) => readonly ChainImage[] | undefined): boolean {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const image = access.readTable(table)
    const chains = change(image)
    if (chains === undefined) return false
    checkChains(image, chains)
    const assembled = assembleTable(image, chains)
    if (!unchanged(access, image)) continue
    const old = access.socket.replace(table, assembled, image.info.entries)
    if (old === undefined) continue
    access.socket.addCounters(table, assembled, old)
    return true
  }
  throw neverStill(access, table, ATTEMPTS)
}

/** The error of a table that was another one at each attempt to replace it. */
export function neverStill(access: TableAccess, table: string, attempts: number): NfkitError {
  return new NfkitError('EAGAIN', `table ${table} was changed by others during each of ${attempts} attempts to change it`,
    { hint: access.lock === 'off' ? 'let every program that changes it take the lock' : 'a program changes it without the lock that this one holds' })
}

/** Whether the table is still what was read. */
export function unchanged(access: TableAccess, image: TableImage & { readonly absent?: boolean }): boolean {
  const { name } = image.info
  const info: TableInfo = access.socket.info(name)
  if (!sameInfo(info, image.info)) return false
  // What was assumed of an absent table can be wrong: iptable_filter has a parameter for the policy of FORWARD.
  if (access.lock !== 'off' && image.absent !== true) return true
  const blob = access.socket.entries(info)
  return blob !== undefined && sameEntries(image, blob)
}

/** Whether two blobs of the same size differ in counters and comefrom only. Writes the old ones into the new one. */
function sameEntries({ input, offsets, layout, info }: TableImage, blob: Uint8Array): boolean {
  const { bytes } = input
  for (let entry = 0; entry < info.entries; entry++) {
    // comefrom is just before the counters, with padding between for IPv6.
    const at = offsets[entry]!
    for (let i = at + layout.comefrom; i < at + layout.counters + 16; i++) blob[i] = bytes[i]!
  }
  return Buffer.compare(bytes, blob) === 0
}
