// SPDX-License-Identifier: MIT
// What the kernel module counted, by the mark of the copies: /proc/net/nfkit of a namespace (kmod/counters.c).

import { NfkitError } from '../errors.js'
import { type NetnsLike, readProc } from '../netns.js'

/** Why a packet was not cloned, or its copy was not sent. */
export type CloneLoss =
  /** There is no route yet where the packet was met, in PREROUTING for example. */
  | 'noRoute'
  /** The packet came about by sending a copy. */
  | 'loop'
  /** There is no route for the copy: the mirror port is down or gone, or its route is. */
  | 'unroutable'
  /** The copy's route leads back to this box. */
  | 'local'
  /** The copy would leave by the device that the packet came in or goes out by. */
  | 'sameDevice'
  /** Longer than the mirror port's MTU, and must not be fragmented. */
  | 'tooBig'
  /** More copies than the queue takes (sysctl net.nfkit.queue_limit). */
  | 'queueFull'
  | 'noMemory'
  /** The neighbour's address is not known yet; does not happen with ARP off. */
  | 'unresolved'
  /** The mirror port is down, without carrier, or gone. */
  | 'deviceDown'
  /** By the device or its queueing discipline. */
  | 'refused'
  /** Queued when the device or the rule went away. */
  | 'flushed'

/** Packets since the first rule with the mark was made. */
export interface CloneCounters {
  /** That the rules matched. */
  seen: number
  /** Of which a copy was made. */
  cloned: number
  /** Copies that the device took. */
  sent: number
  /** Packets that were not cloned and copies that were not sent, by the reason; without those that are zero. */
  lost: Partial<Record<CloneLoss, number>>
}

/**
 * The counters of a namespace by mark; none where the module is not loaded. Needs no privilege.
 * @throws NfkitError EBADMSG when the file is not as expected
 */
export function readCloneCounters(netns?: NetnsLike): Map<number, CloneCounters> {
  try {
    return parseCloneCounters(readProc('nfkit', netns))
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'ENOENT') return new Map()
    throw error
  }
}

/** The text of the file: a line of names, then a line for each target. @internal */
export function parseCloneCounters(text: string): Map<number, CloneCounters> {
  const [names = [], ...lines] = text.split('\n').filter((line) => line !== '').map((line) => line.split(' '))
  const counters = new Map<number, CloneCounters>()
  for (const [target = '', ...values] of lines) {
    const mark = /^mark:0x([0-9a-f]{1,8})$/.exec(target)?.[1]
    if (mark === undefined) continue
    if (values.length !== names.length - 1 || !values.every((value) => /^\d+$/.test(value))) {
      throw new NfkitError('EBADMSG', `/proc/net/nfkit: a line with ${values.length} counters, expected ${names.length - 1}`)
    }
    const { seen = 0, cloned = 0, sent = 0, ...rest } = Object.fromEntries(names.slice(1).map((name, i) => [camelCase(name), Number(values[i])] as const))
    const lost = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== 0)) as CloneCounters['lost']
    counters.set(Number.parseInt(mark, 16), { seen, cloned, sent, lost })
  }
  return counters
}

const camelCase = (name: string): string => name.replace(/_(\w)/g, (_all, letter: string) => letter.toUpperCase())
