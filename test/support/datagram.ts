// SPDX-License-Identifier: MIT
// UDP datagrams as frames, for tests that decide every byte of what is sent.

import { encodeEthernet, encodeIpv4, encodeIpv6, encodeUdp, EtherType, IpProtocol } from '../../lib/lab/index.js'

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
}

/** One frame. */
export function datagram(options: Datagram): Uint8Array {
  const { to, from = '02:00:00:00:0f:0f', source } = options
  const isIpv6 = source.includes(':')
  return encodeEthernet({ destination: to, source: from, etherType: isIpv6 ? EtherType.ipv6 : EtherType.ipv4, payload: packet(options) })
}

function packet({ source, destination, port = 9000, size = 100, fill = 0, dontFragment = false }: Datagram): Uint8Array {
  const payload = encodeUdp({ sourcePort: 9001, destinationPort: port, payload: new Uint8Array(size).fill(fill) }, { source, destination })
  if (source.includes(':')) return encodeIpv6({ source, destination, nextHeader: IpProtocol.udp, payload })
  return encodeIpv4({ source, destination, protocol: IpProtocol.udp, identification: fill, dontFragment, payload })
}

/** The same datagram in fragments of IPv4, of at most `most` bytes each behind the MAC header. */
export function fragments(options: Datagram, most: number): Uint8Array[] {
  const whole = packet(options).subarray(20)
  const step = (most - 20) & ~7
  return Array.from({ length: Math.ceil(whole.length / step) }, (_, i) => encodeEthernet({
    destination: options.to, source: options.from ?? '02:00:00:00:0f:0f', etherType: EtherType.ipv4,
    payload: encodeIpv4({
      source: options.source, destination: options.destination, protocol: IpProtocol.udp, identification: 0x1234,
      fragmentOffset: i * step, moreFragments: (i + 1) * step < whole.length, payload: whole.subarray(i * step, (i + 1) * step),
    }),
  }))
}
