// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, choice, integer, type Not, property, type PropertyType } from '../property.js'

/** `-m pkttype` (xt_pkttype_info, include/uapi/linux/netfilter/xt_pkttype.h): the kind of the frame's destination. */
export interface PkttypeMatch {
  /** `unicast` is to this host, `otherhost` to another one: PACKET_* of include/uapi/linux/if_packet.h, where it has no name as a number. */
  type: PacketType | number | Not<PacketType | number>
}
export type PacketType = 'unicast' | 'broadcast' | 'multicast' | 'otherhost'

declare module '../extension.js' {
  interface Matches { pkttype: PkttypeMatch }
}

const place = { offset: 0, width: 4 } as const
const NUMBERS = { unicast: 0, broadcast: 1, multicast: 2, otherhost: 3 }
const names = choice(place, NUMBERS)
const spellings = choice(place, { ...NUMBERS, bcast: 1, mcast: 2, host: 0 })

const type: PropertyType<PacketType | number> = {
  decode: (p, ctx) => names.decode(p, ctx) ?? p.u32(0),
  encode: (p, value, name, ctx) => (typeof value === 'number' ? integer(place).encode(p, value, name, ctx) : names.encode(p, value, name, ctx)),
  parse: (p, text, option, ctx) => spellings.parse(p, text.toLowerCase(), option, ctx),
  print: (p, ctx) => names.print(p, ctx) ?? String(p.u32(0) | 0),
}

registerExtension({
  kind: 'match', name: 'pkttype', revision: 0, size: 8,
  properties: [property({ key: 'type', options: ['--pkt-type'], type, invert: bit(4, 1, 4), mandatory: true })],
})
