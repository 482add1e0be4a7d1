// SPDX-License-Identifier: MIT
// Records as the module gives them.

import { Struct } from '../../lib/wire/module/layout.js'
import { EVENT_RECORD, PACKET_RECORD, RECORD, RECORD_TYPE } from '../../lib/wire/module/record.js'

/** Of records, unless told: nanoseconds since 1970. */
export const TIME = 1_700_000_000_123_456_789n
/** What a record says of its packet. */
export interface PacketFields { lost?: number; in?: number; out?: number; vlan?: [protocol: number, tci: number]; link?: number; wire?: number; time?: bigint; point?: number; flags?: number }

/** A record of any kind. */
export function record(type: number, header: number, body: Uint8Array, lost = 0, time = TIME): Uint8Array {
  const bytes = new Uint8Array(Math.ceil((header + body.length) / 8) * 8)
  bytes.set(body, header)
  new Struct(RECORD, bytes).set('length', header + body.length).set('type', type).set('header', header).set('lost', lost)
  new DataView(bytes.buffer).setBigUint64(RECORD.fields.timestamp.offset, time, true)
  return bytes
}

/** That of a packet. */
export function packet(data: Uint8Array, { lost, in: by = 3, out = 0, vlan = [0, 0], link = 1, wire = data.length, time, point = 1, flags = 0 }: PacketFields = {}): Uint8Array {
  const bytes = record(RECORD_TYPE.packet, PACKET_RECORD.size, data, lost, time)
  new Struct(PACKET_RECORD, bytes).set('wire_length', wire).set('captured', data.length).set('in', by).set('out', out).set('mark', 7).set('vlan_protocol', vlan[0])
    .set('vlan_tci', vlan[1]).set('link', link).set('point', point).set('flags', flags).set('gso_size', 1448)
  return bytes
}

/** That of an event. */
export function event(number: number, target: string, device = '', ifindex = 0, lost = 0): Uint8Array {
  const bytes = record(RECORD_TYPE.event, EVENT_RECORD.size, new Uint8Array(0), lost)
  new Struct(EVENT_RECORD, bytes).set('event', number).set('ifindex', ifindex).setText('target', target).setText('device', device)
  return bytes
}
