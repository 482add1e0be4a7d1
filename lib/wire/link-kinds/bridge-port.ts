// SPDX-License-Identifier: MIT
// IFLA_BRPORT_*: what a bridge keeps for each of its ports (include/uapi/linux/if_link.h, net/bridge/br_netlink.c:
// br_port_policy, br_setport, br_port_fill_attrs), as of Linux 6.12. Times travel as clock_t: ticks of 1/100 s.

import { attributeTable, bool, choice, field, flag, reported, seconds, u16, u32 } from '../attributes.js'
import { type BridgeId, bridgeIdCodec, forwardMask, multicastRouterModes } from './bridge.js'

/** 802.1D port state (BR_STATE_*, include/uapi/linux/if_bridge.h). */
export type PortState = 'disabled' | 'listening' | 'learning' | 'forwarding' | 'blocking'
export const portStates = { disabled: 0, listening: 1, learning: 2, forwarding: 3, blocking: 4 } as const

/** As for a bridge; `temporary` lasts as long as a membership unless it is set again. */
export type PortMulticastRouterMode = 'disabled' | 'auto' | 'permanent' | 'temporary'
export const portMulticastRouterModes = { ...multicastRouterModes, temporary: 3 } as const

/** What a bridge keeps for a port, by the kernel's names in camel case. */
export interface BridgePortAttributes {
  /** Settable while the kernel does not run STP, on a port that is up; without carrier only `disabled`. */
  state: PortState
  /** First part of the port id, 0 to 63; the lower the better. Default 32. */
  priority: number
  /** Path cost, 1 to 65535. Default by speed: 2 at 10 Gbit/s, 4 at 1 Gbit/s, 19 at 100 Mbit/s, 100 at 10 Mbit/s and unknown. */
  cost: number
  /** Frames may leave through the port they came in by. IFLA_BRPORT_MODE, BR_HAIRPIN_MODE. */
  hairpin: boolean
  /** A BPDU that comes in shuts the port down. BR_BPDU_GUARD. */
  guard: boolean
  /** The port never becomes the root port. IFLA_BRPORT_PROTECT, BR_ROOT_BLOCK. */
  protect: boolean
  /** A multicast leave takes effect without asking for other members. BR_MULTICAST_FAST_LEAVE. */
  fastLeave: boolean
  /** Source addresses are learned into the CAM table. BR_LEARNING. */
  learning: boolean
  /** Frames to unknown unicast addresses leave here. BR_FLOOD. */
  unicastFlood: boolean
  /** The bridge answers ARP for hosts behind this port. BR_PROXYARP. */
  proxyarp: boolean
  /** Addresses learned by the hardware are taken over. Neither reported nor taken by current kernels. */
  learningSync: boolean
  /** As proxyarp, for access points that isolate stations. BR_PROXYARP_WIFI. */
  proxyarpWifi: boolean
  rootId: BridgeId
  /** The bridge that serves the segment behind the port. */
  bridgeId: BridgeId
  /** Port id of that bridge's port: priority in the upper six bits, number in the lower ten. */
  designatedPort: number
  designatedCost: number
  /** Port id of this port, in the same form. */
  id: number
  /** The port's number on the bridge, 1 to 1023. */
  number: number
  topologyChangeAck: boolean
  configPending: boolean
  /** Seconds until what was heard from the designated bridge expires; 0 when the timer does not run. */
  messageAgeTimer: number
  /** Seconds until the next state on the way to forwarding. */
  forwardDelayTimer: number
  /** Seconds until the next BPDU may be sent. */
  holdTimer: number
  /** Write only: forgets the port's dynamic CAM entries. */
  flush: true
  multicastRouter: PortMulticastRouterMode
  /** Frames to unknown multicast groups leave here. BR_MCAST_FLOOD. */
  multicastFlood: boolean
  /** Multicast is sent to each member's own MAC address. BR_MULTICAST_TO_UNICAST. */
  multicastToUnicast: boolean
  /** VLANs are mapped to tunnel ids. BR_VLAN_TUNNEL. */
  vlanTunnel: boolean
  /** Broadcast leaves here. BR_BCAST_FLOOD. */
  broadcastFlood: boolean
  /** Bit N lets frames to 01:80:c2:00:00:0N pass; bit 1 (pause) is refused. */
  groupForwardMask: number
  /** ARP and neighbour discovery are answered instead of flooded. BR_NEIGH_SUPPRESS. */
  neighbourSuppress: boolean
  /** Isolated ports cannot talk to each other. Linux 4.18. BR_ISOLATED. */
  isolated: boolean
  /** Index of the port that takes over while this one has no carrier; 0 for none. */
  backupPort: number
  /** Media Redundancy Protocol: the ring lost its continuity. */
  mrpRingOpen: boolean
  mrpInOpen: boolean
  /** Most hosts that are tracked for fast leave of IGMPv3 and MLDv2, from 1. Default 512. Linux 5.12. */
  multicastEhtHostsLimit: number
  multicastEhtHostsCount: number
  /** Only known source addresses may send (802.1X). Linux 5.18. BR_PORT_LOCKED. */
  locked: boolean
  /** MAC authentication bypass: unknown sources become locked entries; needs `locked` and `learning`. Linux 6.2. BR_PORT_MAB. */
  mab: boolean
  /** Groups joined. Linux 6.3. */
  multicastGroups: number
  /** Most groups to be joined; 0 for no limit. Linux 6.3. */
  multicastMaxGroups: number
  /** neighbourSuppress by VLAN. Linux 6.4. BR_NEIGH_VLAN_SUPPRESS. */
  neighbourVlanSuppress: boolean
  /** Nexthop id that goes with redirected frames of a backup port; 0 for none. Linux 6.6. */
  backupNexthop: number
}

export const bridgePortAttributes = attributeTable<BridgePortAttributes>({
  state: field(1, choice(1, portStates)),
  priority: field(2, u16(0, 63)),
  cost: field(3, u32(1, 65535)),
  hairpin: field(4, bool()),
  guard: field(5, bool()),
  protect: field(6, bool()),
  fastLeave: field(7, bool()),
  learning: field(8, bool()),
  unicastFlood: field(9, bool()),
  proxyarp: field(10, bool()),
  learningSync: reported(11, bool()),
  proxyarpWifi: field(12, bool()),
  rootId: reported(13, bridgeIdCodec),
  bridgeId: reported(14, bridgeIdCodec),
  designatedPort: reported(15, u16()),
  designatedCost: reported(16, u16()),
  id: reported(17, u16()),
  number: reported(18, u16()),
  topologyChangeAck: reported(19, bool()),
  configPending: reported(20, bool()),
  messageAgeTimer: reported(21, seconds(8)),
  forwardDelayTimer: reported(22, seconds(8)),
  holdTimer: reported(23, seconds(8)),
  flush: field(24, flag),
  multicastRouter: field(25, choice(1, portMulticastRouterModes)),
  multicastFlood: field(27, bool()),
  multicastToUnicast: field(28, bool()),
  vlanTunnel: field(29, bool()),
  broadcastFlood: field(30, bool()),
  groupForwardMask: field(31, forwardMask(0x2)),
  neighbourSuppress: field(32, bool()),
  isolated: field(33, bool()),
  backupPort: field(34, u32()),
  mrpRingOpen: reported(35, bool()),
  mrpInOpen: reported(36, bool()),
  multicastEhtHostsLimit: field(37, u32(1)),
  multicastEhtHostsCount: reported(38, u32()),
  locked: field(39, bool()),
  mab: field(40, bool()),
  multicastGroups: reported(41, u32()),
  multicastMaxGroups: field(42, u32()),
  neighbourVlanSuppress: field(43, bool()),
  backupNexthop: field(44, u32()),
}, { padding: 26 })
