// SPDX-License-Identifier: MIT
// What a device without offloads makes of a packet, worked out here; and devices that have none.

import type { Host } from '../../lib/lab/index.js'
import { openSocket, SOCK_DGRAM } from '../../lib/lab/socket.js'
import { check } from '../../lib/native.js'
import { internetChecksum, transportChecksum } from '../../lib/wire/checksum.js'
import { EtherType, IpProtocol } from '../../lib/lab/index.js'

/** Where the IP header of a frame is, and that of its transport. */
function headersOf(frame: Buffer): { ip: number; transport: number; isIpv6: boolean; protocol: number } {
  let at = 12
  while ([EtherType.vlan, EtherType.serviceVlan].includes(frame.readUInt16BE(at) as never)) at += 4
  const ip = at + 2
  const isIpv6 = frame.readUInt16BE(at) === EtherType.ipv6
  return { ip, isIpv6, transport: ip + (isIpv6 ? 40 : 20), protocol: frame[ip + (isIpv6 ? 6 : 9)]! }
}

/** Bytes from the IP header on. */
export const ipLength = (frame: Buffer) => frame.length - headersOf(frame).ip

/** How much is before what is cut: all headers. */
function headerLength(frame: Buffer): number {
  const { transport, protocol } = headersOf(frame)
  return transport + (protocol === IpProtocol.tcp ? (frame[transport + 12]! >> 4) * 4 : 8)
}

const FIN_PSH = 0x09
const CWR = 0x80

/**
 * The frames that leave, each with its checksums, of a packet without IP options or extension headers that is to be cut into payloads of `size` bytes; 0: it is a
 * single one (inet_gso_segment, tcp_gso_segment, __udp_gso_segment).
 */
export function segmentsOf(frame: Buffer, size: number): Buffer[] {
  const { ip, transport, isIpv6, protocol } = headersOf(frame)
  const header = headerLength(frame)
  const payload = frame.subarray(header)
  const step = size === 0 ? Math.max(1, payload.length) : size
  const count = Math.max(1, Math.ceil(payload.length / step))
  return Array.from({ length: count }, (_, i) => {
    const one = Buffer.concat([frame.subarray(0, header), payload.subarray(i * step, (i + 1) * step)])
    const isLast = i + 1 === count
    if (isIpv6) {
      one.writeUInt16BE(one.length - transport, ip + 4)
    } else {
      one.writeUInt16BE(one.length - ip, ip + 2)
      one.writeUInt16BE((frame.readUInt16BE(ip + 4) + i) & 0xffff, ip + 4)
      one.writeUInt16BE(0, ip + 10)
      one.writeUInt16BE(internetChecksum(one.subarray(ip, transport)), ip + 10)
    }
    let checksum = transport + 6
    if (protocol === IpProtocol.tcp) {
      checksum = transport + 16
      one.writeUInt32BE((frame.readUInt32BE(transport + 4) + i * step) >>> 0, transport + 4)
      one[transport + 13] = one[transport + 13]! & (isLast ? 0xff : ~FIN_PSH) & (i === 0 ? 0xff : ~CWR)
    } else {
      one.writeUInt16BE(one.length - transport, transport + 4)
    }
    one.writeUInt16BE(0, checksum)
    const [from, length] = isIpv6 ? [ip + 8, 16] : [ip + 12, 4]
    const sum = transportChecksum(one.subarray(from, from + length), one.subarray(from + length, from + 2 * length), protocol, one.subarray(transport))
    // RFC 768: of UDP, 0 would say that there is none.
    one.writeUInt16BE(sum === 0 && protocol === IpProtocol.udp ? 0xffff : sum, checksum)
    return one
  })
}

const SIOCETHTOOL = 0x8946
const IFNAMSIZ = 16
// include/uapi/linux/ethtool.h
const [STXCSUM, GTSO, GGSO, GFLAGS, SFLAGS] = [0x17, 0x1e, 0x23, 0x25, 0x26]
const FLAG_TXVLAN = 1 << 7

/** Takes from a device what it does for the stack: checksums and with them segmentation, and tags. As `ethtool -K DEVICE tx off txvlan off` does. */
export function withoutOffloads(host: Host, device: string): void {
  const socket = openSocket(host.netns, 'ipv4', SOCK_DGRAM, 0, 'ethtool')
  const ask = (command: number, value = 0) => {
    const data = Buffer.alloc(8)
    data.writeUInt32LE(command)
    data.writeUInt32LE(value, 4)
    const request = Buffer.alloc(40)
    request.write(device, 'latin1')
    check(socket.ioctl(SIOCETHTOOL, request, [request, IFNAMSIZ, data]), 'ioctl', `ethtool of ${device}`)
    return data.readUInt32LE(4)
  }
  try {
    ask(STXCSUM, 0)
    ask(SFLAGS, ask(GFLAGS) & ~FLAG_TXVLAN)
    const left = [GTSO, GGSO].map((command) => ask(command))
    if (left[0] !== 0 || (ask(GFLAGS) & FLAG_TXVLAN) !== 0) throw new Error(`${device} still has offloads: ${left.join(' ')}`)
  } finally {
    socket.close()
  }
}
