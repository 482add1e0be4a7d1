// SPDX-License-Identifier: MIT
// Undoing a mirror by its journal.

import { NfkitError } from '../errors.js'
import type { Place } from './place.js'
import { describeStep, type StepContext, undoStep, type UndoResult } from './step.js'
import type { JournalStore } from './store.js'

/** What became of one step of a removed mirror. */
export interface UndoneStep {
  /** In words. */
  step: string
  /** What became of it. */
  result: UndoResult
}

export function noSuchMirror(name: string): NfkitError {
  return new NfkitError('NFKIT_NO_SUCH_MIRROR', `there is no mirror ${name} in this namespace`, { hint: 'Mirror.list() or "nfkit mirror list" has those that there are' })
}

/** `id`: only if it is still that very one. */
export function removeFrom({ store, netns, lock }: Place, name: string, id?: string): Promise<UndoneStep[]> {
  return store.locked(async () => {
    const record = store.get(name)
    if (record === undefined || (id !== undefined && record.id !== id)) throw noSuchMirror(name)
    const others = store.read().records.filter((other) => other.name !== name)
    record.state = 'removing'
    store.write(record)
    return undo(store, { netns, record, others, lock })
  })
}

/**
 * Undoes the steps of a record, the last one first, and deletes its journal. A step that cannot be undone stays in it, and the
 * others are undone all the same. `cause`: what failed before, if this is the undoing of a set-up.
 */
export async function undo(store: JournalStore, context: StepContext, cause?: unknown): Promise<UndoneStep[]> {
  const { record } = context
  const undone: UndoneStep[] = []
  const failed: { step: string; error: unknown }[] = []
  for (const step of record.steps.slice().reverse()) {
    try {
      undone.push({ step: describeStep(step), result: await undoStep(step, context) })
      record.steps.splice(record.steps.indexOf(step), 1)
      store.write(record)
    } catch (error) {
      failed.push({ step: describeStep(step), error })
    }
  }
  if (failed.length > 0) {
    const why = failed.map(({ step, error }) => `${step} (${(error as Error).message})`).join(', ')
    throw new NfkitError('NFKIT_PARTIAL', `${cause === undefined ? '' : `${(cause as Error).message}; `}mirror ${record.name}: not undone: ${why}`, {
      cause: cause ?? failed[0]!.error, hint: `try again with Mirror.remove('${record.name}') or "nfkit mirror remove ${record.name}"`,
    })
  }
  store.delete(record.name)
  return undone
}
