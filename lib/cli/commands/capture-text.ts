// SPDX-License-Identifier: MIT
// A captured packet in a line of text.

import type { CapturedPacket } from '../../clone/capture-batch.js'
import { NfkitError } from '../../errors.js'
import { ETHERNET_HEADER, EtherType } from '../../wire/ethernet.js'
import { decodePacket, type Packet } from '../../wire/packet.js'
import type { Paint } from '../style.js'
import { printable } from '../text.js'

const NANOSECONDS = 1_000_000_000n

/** RFC 3339 with nanoseconds. */
function timeText(timestamp: bigint): string {
  const seconds = new Date(Number(timestamp / NANOSECONDS) * 1000).toISOString().slice(0, 19)
  return `${seconds}.${String(timestamp % NANOSECONDS).padStart(9, '0')}Z`
}

/** The packet as a frame, so that there is one way to take it apart. */
function frameOf({ link, data }: CapturedPacket): Uint8Array {
  if (link !== 'RAW') return data
  const frame = new Uint8Array(ETHERNET_HEADER + data.length)
  new DataView(frame.buffer).setUint16(ETHERNET_HEADER - 2, (data[0] ?? 0) >> 4 === 6 ? EtherType.ipv6 : EtherType.ipv4)
  frame.set(data, ETHERNET_HEADER)
  return frame
}

function layersText({ ethernet, arp, ipv4, ipv6, icmp, icmpv6, udp, tcp, malformed }: Packet, isFrame: boolean): string[] {
  const ip = ipv4 ?? ipv6
  const what: string[] = []
  if (ip !== undefined) {
    const ports = udp ?? tcp
    const end = (address: string, port: number | undefined) => (port === undefined ? address : ipv6 === undefined ? `${address}:${port}` : `[${address}]:${port}`)
    what.push(`${end(ip.source, ports?.sourcePort)} > ${end(ip.destination, ports?.destinationPort)}`)
    what.push(udp !== undefined ? 'udp' : tcp !== undefined ? 'tcp' : icmp !== undefined ? `icmp type ${icmp.type}` : icmpv6 !== undefined ? `icmpv6 type ${icmpv6.type}` :
      `protocol ${ipv4?.protocol ?? ipv6!.nextHeader}`)
  } else {
    if (isFrame) what.push(`${ethernet.source} > ${ethernet.destination}`)
    what.push(arp !== undefined ? 'arp' : `type 0x${ethernet.etherType.toString(16).padStart(4, '0')}`)
  }
  // What was cut off by the snaplen is no fault of the packet.
  return malformed === undefined || ip !== undefined ? what : [...what, malformed]
}

/** `TIME  POINT  DEVICES  WHAT  LENGTH`. */
export function packetText(packet: CapturedPacket, paint: Paint): string {
  const { timestamp, point, byRule, in: by, out, vlan, mark, link, wireLength } = packet
  const device = (each: CapturedPacket['in']) => each?.name ?? (each === null ? '' : `#${each.index}`)
  const devices = out === null ? device(by) : by === null ? `> ${device(out)}` : `${device(by)} > ${device(out)}`
  let what: string[]
  try {
    what = layersText(decodePacket(frameOf(packet)), link !== 'RAW')
  } catch (error) {
    if (!(error instanceof NfkitError)) throw error
    what = ['too short']
  }
  return [
    paint('dim', timeText(timestamp)), `${point}${byRule ? ' rule' : ''}`, printable(devices), ...(vlan === null ? [] : [`vlan ${vlan.id}`]),
    ...(mark === 0 ? [] : [`mark 0x${mark.toString(16)}`]), ...what, `length ${wireLength}`,
  ].join('  ')
}
