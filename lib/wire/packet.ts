// SPDX-License-Identifier: MIT
// A frame taken apart as far as the codecs here reach.

import { type ArpPacket, decodeArp } from './arp.js'
import { type EthernetFrame, decodeEthernet, EtherType } from './ethernet.js'
import { decodeIcmp, type IcmpMessage } from './icmp.js'
import { type DecodedIpv4, decodeIpv4 } from './ipv4.js'
import { type DecodedIpv6, decodeIpv6, ipv6Transport } from './ipv6.js'
import { IpProtocol } from './ip-protocol.js'
import { decodeTcp, type TcpSegment } from './tcp.js'
import { decodeUdp, type UdpDatagram } from './udp.js'

/** The layers of a frame; each is there if the frame has it and it could be read. Payloads are views of the frame's bytes. */
export interface Packet {
  ethernet: EthernetFrame
  arp?: ArpPacket
  ipv4?: DecodedIpv4
  ipv6?: DecodedIpv6
  icmp?: IcmpMessage
  icmpv6?: IcmpMessage
  udp?: UdpDatagram
  tcp?: Required<TcpSegment>
  /** Why the layer after the last one here could not be read. */
  malformed?: string
}

/**
 * Takes a frame apart. What is malformed above the Ethernet header ends the packet there and is said in `malformed`.
 * @throws NfkitError EBADMSG when there is not even an Ethernet header.
 */
export function decodePacket(frame: Uint8Array): Packet {
  const packet: Packet = { ethernet: decodeEthernet(frame) }
  try {
    network(packet)
  } catch (error) {
    packet.malformed = (error as Error).message
  }
  return packet
}

function network(packet: Packet): void {
  const { etherType, payload } = packet.ethernet
  if (etherType === EtherType.arp) packet.arp = decodeArp(payload)
  else if (etherType === EtherType.ipv4) {
    const ipv4 = packet.ipv4 = decodeIpv4(payload)
    if (ipv4.fragmentOffset === 0) transport(packet, ipv4.protocol, ipv4.payload)
  } else if (etherType === EtherType.ipv6) {
    const ipv6 = packet.ipv6 = decodeIpv6(payload)
    const { protocol, payload: rest, laterFragment } = ipv6Transport(ipv6)
    if (!laterFragment) transport(packet, protocol, rest)
  }
}

function transport(packet: Packet, protocol: number, payload: Uint8Array): void {
  if (protocol === IpProtocol.icmp) packet.icmp = decodeIcmp(payload)
  else if (protocol === IpProtocol.icmpv6) packet.icmpv6 = decodeIcmp(payload)
  else if (protocol === IpProtocol.udp) packet.udp = decodeUdp(payload)
  else if (protocol === IpProtocol.tcp) packet.tcp = decodeTcp(payload)
}
