// SPDX-License-Identifier: MIT
// What packets carry about their connection: CTA_* of NFQA_CT and NFULA_CT (include/uapi/linux/netfilter/nfnetlink_conntrack.h)
// and enum ip_conntrack_info (nf_conntrack_common.h). All integers are in network order.

import { attributeTable, be16, be32, field, ip, raw, table, u8, type WithUnknown } from './attributes.js'
import { type Input, inputOf } from './bytes.js'
import { flagTable, nameTable, type UnnamedFlag } from './names.js'

/**
 * enum ip_conntrack_info: how the packet belongs to its connection. `established` and `related` in the original direction, the
 * same with `-reply` in the other.
 */
export type ConntrackState = 'established' | 'related' | 'new' | 'established-reply' | 'related-reply' | 'untracked'
const states = nameTable<ConntrackState>({ established: 0, related: 1, new: 2, 'established-reply': 3, 'related-reply': 4, untracked: 7 }, 0xffffffff)

/** IPS_*: of the connection. */
export type ConntrackStatus =
  | 'expected' | 'seen-reply' | 'assured' | 'confirmed' | 'source-nat' | 'destination-nat' | 'sequence-adjust' | 'source-nat-done'
  | 'destination-nat-done' | 'dying' | 'fixed-timeout' | 'template' | 'untracked' | 'helper' | 'offload' | 'hardware-offload'
const statuses = flagTable<ConntrackStatus>({
  expected: 1, 'seen-reply': 2, assured: 4, confirmed: 8, 'source-nat': 16, 'destination-nat': 32, 'sequence-adjust': 64, 'source-nat-done': 128,
  'destination-nat-done': 256, dying: 512, 'fixed-timeout': 1024, template: 2048, untracked: 4096, helper: 8192, offload: 16384, 'hardware-offload': 32768,
})

/** One direction of a connection. */
export interface ConntrackTuple {
  source: string
  destination: string
  /** IPPROTO_* */
  protocol: number
  /** TCP, UDP, SCTP, DCCP. */
  sourcePort?: number
  destinationPort?: number
  /** ICMP and ICMPv6. */
  icmp?: { type: number; code: number; id: number }
}

/** The connection that a packet belongs to. */
export interface PacketConntrack {
  state: ConntrackState | number
  /** Of the connection, as conntrack(8) prints it with `-o id`. */
  id?: number
  status?: (ConntrackStatus | UnnamedFlag)[]
  /** Of the connection, what `-j CONNMARK` sets. */
  mark?: number
  zone?: number
  original?: ConntrackTuple
  reply?: ConntrackTuple
  /** All attributes as they came, CTA_*. */
  bytes: Uint8Array
}

const addresses = attributeTable<{ source4: string; destination4: string; source6: string; destination6: string }>({
  source4: field(1, ip), destination4: field(2, ip), source6: field(3, ip), destination6: field(4, ip),
})

const protocol = attributeTable<{
  number: number; sourcePort: number; destinationPort: number; icmpId: number; icmpType: number; icmpCode: number; icmp6Id: number; icmp6Type: number; icmp6Code: number
}>({
  number: field(1, u8()), sourcePort: field(2, be16()), destinationPort: field(3, be16()), icmpId: field(4, be16()), icmpType: field(5, u8()),
  icmpCode: field(6, u8()), icmp6Id: field(7, be16()), icmp6Type: field(8, u8()), icmp6Code: field(9, u8()),
})

const tuple = attributeTable<{
  ip: Partial<{ source4: string; destination4: string; source6: string; destination6: string }> & WithUnknown
  protocol: ReturnType<typeof protocol.decode>
  zone: number
}>({ ip: field(1, table(addresses)), protocol: field(2, table(protocol)), zone: field(3, be16()) })

/** CTA_*, those that are of use with a packet. */
export interface ConntrackAttributes {
  original: ReturnType<typeof tuple.decode>
  reply: ReturnType<typeof tuple.decode>
  status: number
  helper: Uint8Array
  timeout: number
  mark: number
  id: number
  zone: number
}

export const conntrackAttributes = attributeTable<ConntrackAttributes>({
  original: field(1, table(tuple)),
  reply: field(2, table(tuple)),
  status: field(3, be32()),
  helper: field(5, raw),
  timeout: field(7, be32()),
  mark: field(8, be32()),
  id: field(12, be32()),
  zone: field(18, be16()),
})

/** The connection of a packet; undefined when the kernel told none. @throws NfkitError EBADMSG */
export function decodePacketConntrack(bytes: Uint8Array | null, info: number | null): PacketConntrack | undefined {
  if (bytes === null || info === null) return undefined
  const input: Input = inputOf(bytes)
  const { original, reply, status, mark, id, zone } = conntrackAttributes.decode(input, 0, bytes.length)
  const connection: PacketConntrack = { state: states.of(info), bytes: bytes.slice() }
  if (id !== undefined) connection.id = id
  if (status !== undefined) connection.status = statuses.of(status)
  if (mark !== undefined) connection.mark = mark
  if (zone !== undefined) connection.zone = zone
  const there = tupleOf(original)
  const back = tupleOf(reply)
  if (there !== undefined) connection.original = there
  if (back !== undefined) connection.reply = back
  return connection
}

function tupleOf(attributes: ConntrackAttributes['original'] | undefined): ConntrackTuple | undefined {
  const source = attributes?.ip?.source4 ?? attributes?.ip?.source6
  const destination = attributes?.ip?.destination4 ?? attributes?.ip?.destination6
  const { number, sourcePort, destinationPort, icmpId, icmpType, icmpCode, icmp6Id, icmp6Type, icmp6Code } = attributes?.protocol ?? {}
  if (source === undefined || destination === undefined || number === undefined) return undefined
  const value: ConntrackTuple = { source, destination, protocol: number }
  if (sourcePort !== undefined && destinationPort !== undefined) Object.assign(value, { sourcePort, destinationPort })
  const [id, type, code] = [icmpId ?? icmp6Id, icmpType ?? icmp6Type, icmpCode ?? icmp6Code]
  if (id !== undefined && type !== undefined && code !== undefined) value.icmp = { type, code, id }
  return value
}
