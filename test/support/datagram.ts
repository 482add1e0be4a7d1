// SPDX-License-Identifier: MIT
// UDP datagrams as frames, for tests that decide every byte of what is sent; and TCP segments that are larger than the wire takes.

import { encodeEthernet, encodeIpv4, encodeIpv6, encodeTcp, encodeUdp, EtherType, IpProtocol } from '../../lib/lab/index.js'
import { checksumBetween } from '../../lib/wire/checksum.js'

export interface Datagram {
  /** MAC addresses. */
  to: string
  from?: string
  source: string
  destination: string
  port?: number
  /** Bytes of payload, all of them `fill`. */
  size?: number
  fill?: number
  /** IPv4: do not fragment. */
  dontFragment?: boolean
  /** Of IPv4's header. */
  options?: Uint8Array
}

/** One frame. */
export function datagram(options: Datagram): Uint8Array {
  const { to, from = '02:00:00:00:0f:0f', source } = options
  const isIpv6 = source.includes(':')
  return encodeEthernet({ destination: to, source: from, etherType: isIpv6 ? EtherType.ipv6 : EtherType.ipv4, payload: packet(options) })
}

/** Options of IPv4 (RFC 791, 3.1; RFC 2113): those that routers write into, one that they may look at, as many as there can be. */
export const IPV4_OPTIONS = {
  'record route': Uint8Array.of(7, 15, 4, ...new Uint8Array(12), 0),
  timestamp: Uint8Array.of(68, 12, 5, 0, ...new Uint8Array(8)),
  'router alert': Uint8Array.of(148, 4, 0, 0),
  'nothing, ten words of it': new Uint8Array(40).fill(1),
} as const

function packet({ source, destination, port = 9000, size = 100, fill = 0, dontFragment = false, options = new Uint8Array(0) }: Datagram): Uint8Array {
  const payload = encodeUdp({ sourcePort: 9001, destinationPort: port, payload: new Uint8Array(size).fill(fill) }, { source, destination })
  if (source.includes(':')) return encodeIpv6({ source, destination, nextHeader: IpProtocol.udp, payload })
  return encodeIpv4({ source, destination, protocol: IpProtocol.udp, identification: fill, dontFragment, options, payload })
}

/** The same datagram in fragments, of at most `most` bytes each behind the MAC header. */
export function fragments(options: Datagram, most: number): Uint8Array[] {
  const isIpv6 = options.source.includes(':')
  const whole = packet(options).subarray(isIpv6 ? 40 : 20)
  const step = (most - (isIpv6 ? 48 : 20)) & ~7
  return Array.from({ length: Math.ceil(whole.length / step) }, (_, i) => {
    const place = { source: options.source, destination: options.destination, at: i * step, more: (i + 1) * step < whole.length, payload: whole.subarray(i * step, (i + 1) * step) }
    return encodeEthernet({
      destination: options.to, source: options.from ?? '02:00:00:00:0f:0f', etherType: isIpv6 ? EtherType.ipv6 : EtherType.ipv4,
      payload: isIpv6 ? fragment6(place) : fragment4(place),
    })
  })
}

const IDENTIFICATION = 0x1234

interface Fragment { source: string; destination: string; at: number; more: boolean; payload: Uint8Array }

const fragment4 = ({ at, more, ...packet }: Fragment) => encodeIpv4({ ...packet, protocol: IpProtocol.udp, identification: IDENTIFICATION, fragmentOffset: at, moreFragments: more })

function fragment6({ source, destination, at, more, payload }: Fragment): Uint8Array {
  // RFC 8200, 4.5.
  const header = new Uint8Array([IpProtocol.udp, 0, at >> 8, (at & 0xf8) | (more ? 1 : 0), 0, 0, IDENTIFICATION >> 8, IDENTIFICATION & 0xff])
  return encodeIpv6({ source, destination, nextHeader: 44, payload: new Uint8Array([...header, ...payload]) })
}

/** A TCP segment that a device is to cut into smaller ones: its checksum covers the pseudo header only (include/uapi/linux/virtio_net.h). */
export function largeSegment({ to, from = '02:00:00:00:0f:0f', source, destination, port = 9000, size = 100, fill = 0 }: Datagram): Uint8Array {
  const isIpv6 = source.includes(':')
  const payload = encodeTcp({ sourcePort: 9001, destinationPort: port, sequence: 1, acknowledgement: 1, flags: ['ack'], payload: new Uint8Array(size).fill(fill) }, { source, destination })
  const message = payload.slice()
  message.fill(0)
  // Of zeros, the checksum is that of the pseudo header, complemented.
  const sum = ~checksumBetween({ source, destination }, IpProtocol.tcp, message) & 0xffff
  payload.set([sum >> 8, sum & 0xff], TCP_CHECKSUM)
  return encodeEthernet({
    destination: to, source: from, etherType: isIpv6 ? EtherType.ipv6 : EtherType.ipv4,
    payload: isIpv6 ? encodeIpv6({ source, destination, nextHeader: IpProtocol.tcp, payload })
      : encodeIpv4({ source, destination, protocol: IpProtocol.tcp, identification: 1, dontFragment: true, payload }),
  })
}

/** Where in a TCP header. */
export const TCP_CHECKSUM = 16
