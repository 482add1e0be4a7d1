// SPDX-License-Identifier: MIT
// IFLA_MACVLAN_*: a device with a MAC address of its own on top of another (include/uapi/linux/if_link.h, drivers/net/macvlan.c).

import { attributeTable, choice, field, listOf, mac, reported, s32, u32 } from '../attributes.js'
import { flags, flagTable, type UnnamedFlag } from '../names.js'

export type MacvlanMode = 'private' | 'vepa' | 'bridge' | 'passthru' | 'source'
export type MacvlanFlag = 'nopromisc' | 'nodst'

/** What the kernel keeps for a macvlan device. */
export interface MacvlanAttributes {
  /**
   * Which other macvlan devices of the same lower device it reaches: none (`private`), through the external switch
   * (`vepa`, the kernel's default), directly (`bridge`). `passthru` takes the lower device over; `source` receives from listed
   * addresses only.
   */
  mode: MacvlanMode
  /** `nopromisc`: passthru leaves the lower device out of promiscuous mode. `nodst`: source mode keeps matches to itself (Linux 5.13). */
  flags: (MacvlanFlag | UnnamedFlag)[]
  /** Source mode, when changing the list: what to do with `macAddress` or `macAddressData`. */
  macAddressMode: 'add' | 'delete' | 'flush' | 'set'
  macAddress: string
  /** Source mode: the list of addresses. */
  macAddressData: string[]
  /** Source mode: how many addresses the list holds. */
  macAddressCount: number
  /** Packets that wait for broadcasting, 1000 unless told (Linux 5.11). */
  broadcastQueueLength: number
  /** The longest of all devices on the lower one, which is what counts (Linux 5.11). */
  broadcastQueueLengthUsed: number
  /** How many devices may share a multicast address before it is queued; negative: never queued (Linux 6.4). */
  broadcastCutoff: number
}

const FLAGS = flagTable<MacvlanFlag>({ nopromisc: 1, nodst: 2 })

export const macvlanAttributes = attributeTable<MacvlanAttributes>({
  mode: field(1, choice(4, { private: 1, vepa: 2, bridge: 4, passthru: 8, source: 16 })),
  flags: field(2, flags(2, FLAGS)),
  macAddressMode: field(3, choice(4, { add: 0, delete: 1, flush: 2, set: 3 })),
  macAddress: field(4, mac),
  macAddressData: field(5, listOf(4, mac)),
  macAddressCount: reported(6, u32()),
  broadcastQueueLength: field(7, u32()),
  broadcastQueueLengthUsed: reported(8, u32()),
  broadcastCutoff: field(9, s32),
})
