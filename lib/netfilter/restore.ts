// SPDX-License-Identifier: MIT
// Tables from text: what `nf.restore` does. All of the text is read, and all that can be known without the kernel is checked,
// before the first table is replaced.

import { invalidArgument, NfkitError } from '../errors.js'
import { checkKeys } from '../net/check.js'
import { type AssembledTable, assembleTable } from '../wire/xtables/assemble.js'
import { checkChains } from '../wire/xtables/chain-graph.js'
import { restoreText } from '../wire/xtables/restore.js'
import { TableImage } from '../wire/xtables/table.js'
import { blankTable, type TableName } from '../wire/xtables/tables.js'
import type { TableAccess } from './access.js'
import { neverStill, unchanged } from './commit.js'
import { checkTableName } from './names.js'

/** What {@link Netfilter.restore} takes. */
export interface RestoreTextOptions {
  /** Take over the counters of the text, as `iptables-restore -c`; without it everything that is new counts from zero. */
  counters?: boolean | undefined
  /** Empty each table of the text first, its policies apart; true unless told. False is `iptables-restore -n`. */
  flush?: boolean | undefined
  /** Only the part of this table, as `-T`; the others are not even read. */
  table?: TableName | (string & {}) | undefined
  /** Check the text and change nothing, as `--test`. What only the kernel can judge is not checked. */
  test?: boolean | undefined
  /** Ends the waiting for the lock. */
  signal?: AbortSignal | undefined
}

export function checkRestore(text: unknown, options: RestoreTextOptions): asserts text is string {
  if (typeof text !== 'string') throw invalidArgument('text', 'a string in the format of iptables-save', text)
  checkKeys(options, ['counters', 'flush', 'table', 'test', 'signal'], 'options')
  for (const key of ['counters', 'flush', 'test'] as const) {
    if (options[key] !== undefined && typeof options[key] !== 'boolean') throw invalidArgument(key, 'true or false', options[key])
  }
  if (options.table !== undefined) checkTableName(options.table)
}

/** How often a text is applied anew because somebody changed a table meanwhile. */
const ATTEMPTS = 64

/** A table that is ready to be replaced. */
interface Plan {
  readonly name: string
  readonly assembled: AssembledTable
  /** What it was made from; undefined when nothing of the old table is kept. */
  readonly base: TableImage | undefined
}

/** A table that has been replaced. */
interface Done {
  readonly plan: Plan
  /** What was there before, where it can still be needed, and its counters. */
  readonly before: TableImage | undefined
  readonly counters: Uint8Array
}

/**
 * Applies a text. The caller holds the lock, or does without. Answers the names of the tables in their order.
 * @throws RestoreError, and then nothing was changed; NfkitError of the kernel's when it refused a table: those that had been replaced
 * before it were put back. NFKIT_COUNTERS_LOST (`committed`) when all tables were replaced, but counters were lost. NFKIT_RESTORE_INCOMPLETE when that failed, too: it says which table is which.
 */
export function restoreTables(access: TableAccess, text: string, options: RestoreTextOptions): string[] {
  const done: Done[] = []
  let lost: unknown
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const plans = planAll(access, text, options, new Set(done.map((one) => one.plan.name)))
      if (options.test === true) return plans.map((plan) => plan.name)
      let next = 0
      for (; next < plans.length; next++) {
        const one = replace(access, plans[next]!, done.length > 0 || plans.length > 1)
        if (one === undefined) break
        done.push(one)
        try { giveCounters(access, one.plan, one.counters) } catch (error) { lost ??= error }
      }
      if (next < plans.length) continue
      // Nothing could be put back any better.
      if (lost !== undefined) throw lost
      return done.map((one) => one.plan.name)
    }
    throw neverStill(access, text.match(/^\*\S+/m)?.[0].slice(1) ?? '', ATTEMPTS)
  } catch (error) {
    if (error !== lost) putBack(access, done, error)
    throw error
  }
}

/** Reads the tables that the text names and applies it to them. */
function planAll(access: TableAccess, text: string, { counters, flush = true, table, test }: RestoreTextOptions, done: ReadonlySet<string>): Plan[] {
  const resolver = access.resolver()
  const present = new Set(access.tableNames())
  const bases = new Map<string, TableImage | undefined>()
  const open = (name: string): TableImage => {
    checkTableName(name)
    // Most texts set every policy: then the old table need not be read. One that is not there yet is not made before it must be.
    if (flush && test !== true && present.has(name)) {
      bases.set(name, undefined)
      return blankTable(access.family, access.socket.info(name))
    }
    const image = access.readTable(name)
    bases.set(name, image)
    return image
  }
  const only = (name: string) => (table === undefined || name === table) && !done.has(name)
  const restored = restoreText(text, {
    family: access.family, resolver, kernelHas: access.kernelHas, counters, flush, open, ...(table === undefined && done.size === 0 ? {} : { only }),
  })
  return restored.map(({ name, image, policiesSet }): Plan => {
    let base = bases.get(name)
    if (base === undefined && image.chains.some((chain) => chain.hook !== undefined && !policiesSet.has(chain.name))) {
      base = access.readPresent(name)
      keepPolicies(image, base, policiesSet)
    }
    checkChains(image, image.chains)
    return { name, base, assembled: assembleTable(image, image.chains) }
  })
}

/** The policies that the text did not set are those of the old table, counters included. */
function keepPolicies(image: TableImage, old: TableImage, set: ReadonlySet<string>): void {
  for (const [i, chain] of image.chains.entries()) {
    const before = chain.hook === undefined || set.has(chain.name) ? undefined : old.chains.find((one) => one.hook === chain.hook)
    if (before !== undefined) image.chains[i] = { ...chain, policy: before.policy, policyEntry: before.policyEntry }
  }
}

/** Replaces one table; undefined when it is another one by now. */
function replace(access: TableAccess, plan: Plan, keep: boolean): Done | undefined {
  const { name, base, assembled } = plan
  if (base !== undefined && !unchanged(access, base)) return undefined
  const before = base ?? (keep ? access.readPresent(name) : undefined)
  const counters = access.socket.replace(name, assembled, (before?.info ?? access.socket.info(name)).entries)
  return counters === undefined ? undefined : { plan, before, counters }
}

function giveCounters(access: TableAccess, { name, assembled }: Plan, old: Uint8Array): void {
  const { origins, counters } = assembled
  const any = origins.some((origin) => origin >= 0) || [...counters.values()].some(({ packets, bytes }) => packets !== 0n || bytes !== 0n)
  if (any) access.socket.addCounters(name, assembled, old)
}

/** Undoes what was done before an error, the newest first. */
function putBack(access: TableAccess, done: readonly Done[], cause: unknown): void {
  for (let i = done.length - 1; i >= 0; i--) {
    const { plan: { name, assembled }, before, counters } = done[i]!
    try {
      const old = new TableImage(access.family, before!.info, before!.input.bytes)
      const again = assembleTable(old, old.chains)
      if (access.socket.replace(name, again, assembled.entries) === undefined) throw neverStill(access, name, 1)
      access.socket.addCounters(name, again, counters)
    } catch (error) {
      const left = done.slice(0, i + 1).map((one) => one.plan.name).join(', ')
      throw new NfkitError('NFKIT_RESTORE_INCOMPLETE', `${(cause as Error).message}; and table ${name} could not be put back (${(error as Error).message}): the text was applied to ${left}, not to the other tables`, { cause })
    }
  }
}
