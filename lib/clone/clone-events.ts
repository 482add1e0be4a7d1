// SPDX-License-Identifier: MIT
// What happens to the clone targets of a namespace.

import { NfkitError } from '../errors.js'
import { type Watch, forEachRecord, watchDescriptor } from '../events.js'
import { checkKeys } from '../net/check.js'
import type { NetnsLike } from '../netns.js'
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

/** Bytes that may wait in this process; the kernel keeps at least 1024 events beside. */
const WATCH_LIMIT = 1 << 20

/** See CloneTarget.watch. */
export function watchCloneTargets(options: CloneEventsOptions = {}): Watch<CloneEvent> {
  checkKeys(options, ['netns', 'signal'], 'options')
  const { netns, signal } = options
  if (signal?.aborted === true) throw signal.reason
  const device = ModuleDevice.open(netns)
  try {
    device.startEvents()
  } catch (error) {
    device.close()
    throw error
  }
  return watchDescriptor<CloneEvent>(device.descriptor, 'pause', WATCH_LIMIT, decode, { signal })
}

function decode(chunk: Uint8Array, emit: (item: CloneEvent) => void): void {
  forEachRecord(chunk, (read) => {
    if (read.kind === 'overrun') throw new NfkitError('ENOMEM', 'watching clone targets: no memory for what was read')
    if (read.kind === 'error') throw NfkitError.fromErrno(read.errno, 'read', 'watching clone targets')
    for (const cursor = new RecordCursor(read.input, read.start, read.end); cursor.next();) {
      if (cursor.type !== RECORD_TYPE.event && cursor.type !== RECORD_TYPE.eventsLost) continue
      if (cursor.lost > 0) emit({ type: 'loss', count: cursor.lost })
      if (cursor.type === RECORD_TYPE.eventsLost) continue
      const { lost, ...event } = cursor.event()
      emit({ type: 'event', ...event })
    }
  })
}
