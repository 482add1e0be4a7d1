// SPDX-License-Identifier: MIT
/**
 * Virtual hosts and wires in private network namespaces, for scripted tests.
 *
 * @module nfkit/lab
 */

export { Lab, type Topology } from './lab.js'
export { endAs, ensurePrivilege, type ExitResult, isPrivileged, runPrivately } from './reexec.js'
export { type Destination, Host, type HostOptions, type HostRole } from './host.js'
export { Wire, type WireEnd, type WireEndSpec, type WireOptions } from './wire.js'
export type { PingError, PingOptions, PingReply, PingResult } from './ping.js'
export type { WaitOptions } from './deadline.js'
export type { SocketOptions } from './socket.js'
export { type ConnectOptions, type ListenOptions, type Serve, TcpConnection, TcpListener } from './tcp.js'
export { type UdpConnectOptions, type UdpListenOptions, type UdpMessage, UdpSocket } from './udp.js'
export type { FlowOptions, FlowOutcome, FlowResult } from './flow.js'
export { type CapturedFrame, type CaptureEvent, type CaptureOptions, collect, type CollectOptions } from './frames.js'
export type { RunOptions, RunResult, SpawnOptions } from './program.js'
export type { PacketType, SocketAddress } from '../wire/sockaddr.js'

// Frames to send, and what captured ones are made of.
export type { AddressPair } from '../wire/checksum.js'
export { decodeEthernet, encodeEthernet, type EthernetFrame, EtherType, type VlanTag } from '../wire/ethernet.js'
export { ArpOperation, type ArpPacket, decodeArp, encodeArp } from '../wire/arp.js'
export { decodeIpv4, type DecodedIpv4, encodeIpv4, type Ipv4Packet } from '../wire/ipv4.js'
export { decodeIpv6, type DecodedIpv6, encodeIpv6, type Ipv6Packet, type Ipv6Transport, ipv6Transport } from '../wire/ipv6.js'
export { IpProtocol } from '../wire/ip-protocol.js'
export { decodeIcmp, encodeIcmp, type IcmpMessage, type IcmpReason, icmpReason, IcmpType, Icmpv6Type } from '../wire/icmp.js'
export { decodeUdp, encodeUdp, type UdpDatagram } from '../wire/udp.js'
export { decodeTcp, encodeTcp, type TcpFlag, type TcpSegment } from '../wire/tcp.js'
export { decodePacket, type Packet } from '../wire/packet.js'
