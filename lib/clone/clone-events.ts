// SPDX-License-Identifier: MIT
// What happens to the clone targets of a namespace.

import { NfkitError } from '../errors.js'
import { checkSignal, type Watch, watchReads } from '../events.js'
import { checkKeys } from '../net/check.js'
import type { NetnsLike } from '../netns.js'
import { inputOf } from '../wire/bytes.js'
import { type EventRecord, RECORD_TYPE, RecordCursor } from '../wire/module/record.js'
import { ModuleDevice } from './device.js'

/** What {@link CloneTarget.watch} takes. */
export interface CloneEventsOptions {
  /** Network namespace; that of this process unless told. */
  netns?: NetnsLike | undefined
  /** Ends the iteration: a pending `next()` rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** An item of {@link CloneTarget.watch}: an event, or word of those that found no room, exactly where they are missing: `count` of them. */
export type CloneEvent = { type: 'event' } & Omit<EventRecord, 'lost'> | {
  type: 'loss'
  count: number
}

/** See CloneTarget.watch. */
export function watchCloneTargets(options: CloneEventsOptions = {}): Watch<CloneEvent> {
  checkKeys(options, ['netns', 'signal'], 'options')
  const { netns, signal } = options
  checkSignal(signal)
  const device = ModuleDevice.open(netns)
  try {
    device.startEvents()
  } catch (error) {
    device.close()
    throw error
  }
  return watchReads<CloneEvent>(device.descriptor, decode, (errno) => NfkitError.fromErrno(errno, 'read', 'watching clone targets'), { signal })
}

function decode(bytes: Uint8Array, emit: (item: CloneEvent) => void): void {
  for (const cursor = new RecordCursor(inputOf(bytes), 0, bytes.length); cursor.next();) {
    if (cursor.type !== RECORD_TYPE.event && cursor.type !== RECORD_TYPE.eventsLost) continue
    if (cursor.lost > 0) emit({ type: 'loss', count: cursor.lost })
    if (cursor.type === RECORD_TYPE.eventsLost) continue
    const { lost, ...event } = cursor.event()
    emit({ type: 'event', ...event })
  }
}
