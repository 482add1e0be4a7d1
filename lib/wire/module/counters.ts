// SPDX-License-Identifier: MIT
// What clone targets count, as struct nfkit_stats has it.

import type { Struct } from './layout.js'
import { STATS } from './structs.js'

/** Why a packet was not cloned, or its copy was not sent. */
export type CloneLoss =
  /** The target was not defined. */
  | 'noTarget'
  /** Reroute: there is no route yet where the packet was met, in PREROUTING for example. */
  | 'noRoute'
  /** The packet came about by sending a copy. */
  | 'loop'
  /** Devices: there is no such device, or it is not Ethernet. */
  | 'noDevice'
  /** Reroute: there is no route for the copy: the mirror port is down or gone, or its route is. */
  | 'unroutable'
  /** Reroute: the copy's route leads back to this box. */
  | 'local'
  /** The copy would leave by the device that the packet came in or goes out by. */
  | 'sameDevice'
  /** Longer than the MTU of the copy's way. */
  | 'tooBig'
  /** More copies than the queue takes (sysctl net.nfkit.queue_limit, and the target's own limit). */
  | 'queueFull'
  /** There was no memory for the copy. */
  | 'noMemory'
  /** Capture: nobody captures the target. */
  | 'noReader'
  /** Capture: no room in the buffer of any who captures it. */
  | 'bufferFull'
  /** Reroute: the neighbour's address is not known yet; does not happen with ARP off. */
  | 'unresolved'
  /** The device is down, without carrier, or went away. */
  | 'deviceDown'
  /** By the device or its queueing discipline. */
  | 'refused'
  /** Queued when the device or the target went away. */
  | 'flushed'
  /** Queued when the queue was full and a newer copy came. */
  | 'droppedOldest'

/** What happened to the packets that rules and hooks handed to a clone target. The kernel counts in 64 bits: above 2^53 the last digits are not exact. */
export interface CloneCounters {
  /** Packets; of a device, those that were to be copied to it. */
  seen: number
  /** Packets not chosen by `sample`. */
  sampledOut: number
  /** Packets above the `rate`. */
  limited: number
  /** Copies that were made. */
  cloned: number
  /** Copies that the device took, or a capture. */
  sent: number
  /** Length of what was sent by devices and captured, in bytes, without FCS and hardware VLAN tags. */
  bytes: number
  /** Copies that wait now. */
  queued: number
  /** Packets that were not cloned and copies that were not sent, by the reason; without those that are zero. */
  lost: Partial<Record<CloneLoss, number>>
}

const OTHERS = { seen: 'seen', sampledOut: 'sampled_out', limited: 'limited', cloned: 'cloned', sent: 'sent', bytes: 'bytes', queued: 'queued' } as const

/** The reasons by their names in the module. */
export const LOSSES: Readonly<Record<CloneLoss, keyof typeof STATS.fields>> = {
  noTarget: 'no_target', noRoute: 'no_route', loop: 'loop', noDevice: 'no_device', unroutable: 'unroutable', local: 'local', sameDevice: 'same_device',
  tooBig: 'too_big', queueFull: 'queue_full', noMemory: 'no_memory', noReader: 'no_reader', bufferFull: 'buffer_full', unresolved: 'unresolved',
  deviceDown: 'device_down', refused: 'refused', flushed: 'flushed', droppedOldest: 'dropped_oldest',
}

export function decodeStats(stats: Struct<keyof typeof STATS.fields>): CloneCounters {
  const numbers = Object.fromEntries(Object.entries(OTHERS).map(([key, field]) => [key, stats.get(field)])) as unknown as Omit<CloneCounters, 'lost'>
  const lost = Object.entries(LOSSES).map(([key, field]) => [key, stats.get(field)] as const).filter(([, value]) => value !== 0)
  return { ...numbers, lost: Object.fromEntries(lost) }
}
