// SPDX-License-Identifier: MIT
// Where mirrors are: a namespace, its journals, and how its tables are changed.

import { invalidArgument } from '../errors.js'
import { checkLockOptions, type LockOptions } from '../netfilter/lock.js'
import { type Netns, type NetnsLike, openNetns } from '../netns.js'
import { JournalStore } from './store.js'

/** Where mirrors are. */
export interface MirrorPlace {
  /** The namespace; this process's own unless told. */
  netns?: NetnsLike | undefined
  /** Directory of the journals; that of the environment variable NFKIT_MIRROR_DIR, else `/run/nfkit/mirror`, unless told. */
  journal?: string | undefined
}

/** What changes mirrors takes beside. */
export interface MirrorChangeOptions extends MirrorPlace {
  /** The lock that changes of the iptables tables take, see `Netfilter.open`. */
  lock?: LockOptions | 'off' | undefined
}

export const PLACE_KEYS = ['netns', 'journal'] as const
export const CHANGE_KEYS = [...PLACE_KEYS, 'lock'] as const

export interface Place {
  readonly netns: { readonly netns?: Netns | undefined }
  readonly store: JournalStore
  readonly lock: LockOptions | 'off'
  close(): void
}

/** Holds the namespace by itself: the caller's handle may be closed before the mirror is. */
export function openPlace({ netns, journal, lock = {} }: MirrorChangeOptions): Place {
  if (journal !== undefined && (typeof journal !== 'string' || journal === '' || journal.includes('\0'))) throw invalidArgument('journal', 'the path of a directory', journal)
  checkLockOptions(lock)
  const own = netns === undefined ? undefined : openNetns(netns)
  try {
    return { netns: { netns: own }, store: new JournalStore(own, journal), lock, close: () => own?.close() }
  } catch (error) {
    own?.close()
    throw error
  }
}
