// SPDX-License-Identifier: MIT
// IFLA_BR_*: a bridge's own attributes (include/uapi/linux/if_link.h, net/bridge/br_netlink.c: br_policy, br_changelink,
// br_fill_info), as of Linux 6.12. Times travel as clock_t: ticks of 1/100 s.

import { attributeTable, bool, type Codec, choice, field, flag, ip, mac, reported, seconds, struct, table, u16, u32, u8 } from '../attributes.js'
import { LITTLE_ENDIAN } from '../bytes.js'
import { invalidArgument, outOfRange } from '../../errors.js'
import { formatMac, parseMac } from '../mac.js'

/** An 802.1D identifier: what is compared to elect the root bridge, the lower the better. */
export interface BridgeId {
  /** 0 to 65535; 32768 unless changed. */
  priority: number
  mac: string
}

/** Who does the spanning tree: nobody, the kernel, or a daemon started by /sbin/bridge-stp (net/bridge/br_stp_if.c). */
export type StpMode = 'off' | 'kernel' | 'user'

/** Which VLAN tag the bridge filters: C-tags (EtherType 0x8100) or S-tags (0x88a8). */
export type VlanProtocol = '802.1Q' | '802.1ad'

/**
 * Whether multicast goes there as to a router: never, when a query or a router's advertisement was heard, or always
 * (MDB_RTR_TYPE_*, include/uapi/linux/if_bridge.h).
 */
export type MulticastRouterMode = 'disabled' | 'auto' | 'permanent'
export const multicastRouterModes = { disabled: 0, auto: 1, permanent: 2 } as const

/** IFLA_BR_MULTI_BOOLOPT: switches; absent ones are not known to the kernel (when read) or left as they are (when written). */
export interface BridgeSwitches {
  /** No learning from link-local frames (01:80:c2:00:00:0x). Linux 5.0. BR_BOOLOPT_NO_LL_LEARN. */
  noLinkLocalLearn?: boolean
  /** Multicast snooping for each VLAN on its own. Linux 5.15. BR_BOOLOPT_MCAST_VLAN_SNOOPING. */
  multicastVlanSnooping?: boolean
  /** Multiple spanning trees; needs a bridge without VLANs to switch. Linux 5.18. BR_BOOLOPT_MST_ENABLE. */
  mst?: boolean
  /** Notify of MDB entries that the hardware refused. Linux 6.16. BR_BOOLOPT_MDB_OFFLOAD_FAIL_NOTIFICATION. */
  mdbOffloadFailNotification?: boolean
  /** The bridge's own addresses only in VLAN 0 of the CAM table. Linux 6.18. BR_BOOLOPT_FDB_LOCAL_VLAN_0. */
  fdbLocalVlan0?: boolean
  /** Bits that nfkit has no name for. */
  unknown?: { values: number; mask: number }
}

const switchBits = { noLinkLocalLearn: 1, multicastVlanSnooping: 2, mst: 4, mdbOffloadFailNotification: 8, fdbLocalVlan0: 16 } as const
const knownSwitches = Object.values(switchBits).reduce((all, bit) => all | bit, 0)

const switches: Codec<BridgeSwitches> = {
  decode({ view }, start, end) {
    if (end - start !== 8) return undefined
    const values = view.getUint32(start, LITTLE_ENDIAN)
    const mask = view.getUint32(start + 4, LITTLE_ENDIAN)
    const result: BridgeSwitches = {}
    for (const [name, bit] of Object.entries(switchBits)) {
      if ((mask & bit) !== 0) result[name as keyof typeof switchBits] = (values & bit) !== 0
    }
    const rest = (mask & ~knownSwitches) >>> 0
    if (rest !== 0) result.unknown = { values: (values & rest) >>> 0, mask: rest }
    return result
  },
  encode(w, value, name) {
    let values = value.unknown?.values ?? 0
    let mask = value.unknown?.mask ?? 0
    for (const [key, on] of Object.entries(value)) {
      if (key === 'unknown' || on === undefined) continue
      if (!Object.hasOwn(switchBits, key)) throw invalidArgument(name, `one of ${Object.keys(switchBits).join(', ')}`, key)
      if (typeof on !== 'boolean') throw invalidArgument(`${name}.${key}`, 'true or false', on)
      const bit = switchBits[key as keyof typeof switchBits]
      mask |= bit
      if (on) values |= bit
    }
    w.u32(values >>> 0)
    w.u32(mask >>> 0)
  },
}

/** IFLA_BR_MCAST_QUERIER_STATE: who asks for multicast members (BRIDGE_QUERIER_*, br_multicast_dump_querier_state). */
export interface QuerierState {
  /** The elected IPv4 querier; 0.0.0.0 is the bridge itself. */
  ipv4Address?: string
  /** Index of the port behind which it is. */
  ipv4Port?: number
  /** Seconds until that querier counts as gone. */
  ipv4OtherTimer?: number
  ipv6Address?: string
  ipv6Port?: number
  ipv6OtherTimer?: number
}

export const querierState = attributeTable<QuerierState>({
  ipv4Address: reported(1, ip),
  ipv4Port: reported(2, u32()),
  ipv4OtherTimer: reported(3, seconds(8)),
  ipv6Address: reported(5, ip),
  ipv6Port: reported(6, u32()),
  ipv6OtherTimer: reported(7, seconds(8)),
})

/** What the kernel keeps for a bridge, by the kernel's names in camel case. */
export interface BridgeAttributes {
  /** Seconds in each of listening and learning; 2 to 30 while STP is on, any when it is off. Default 15. */
  forwardDelay: number
  /** Seconds between BPDUs; 1 to 10. Default 2. */
  helloTime: number
  /** Seconds until a root bridge that is not heard from is given up; 6 to 40. Default 20. */
  maxAge: number
  /** Seconds that an address stays in the CAM table without being seen. Default 300. */
  ageingTime: number
  /** `user` cannot be asked for: the kernel chooses it when /sbin/bridge-stp answers. */
  stpState: StpMode
  /** First half of the bridge id, 0 to 65535; 802.1D-2004 wants multiples of 4096. Default 32768. */
  priority: number
  /** 802.1Q filtering. CONFIG_BRIDGE_VLAN_FILTERING. */
  vlanFiltering: boolean
  vlanProtocol: VlanProtocol
  /** Bit N lets frames to 01:80:c2:00:00:0N pass; bits 0 to 2 (STP, pause, LACP) are refused. Default 0. */
  groupForwardMask: number
  /** The bridge that this one believes to be the root. */
  rootId: BridgeId
  bridgeId: BridgeId
  /** Number of the port towards the root; 0 when this bridge is the root. */
  rootPort: number
  rootPathCost: number
  /** A topology change is being announced. */
  topologyChange: boolean
  topologyChangeDetected: boolean
  /** Seconds until the next hello; 0 when it does not run. */
  helloTimer: number
  /** Seconds until a topology change is announced again. */
  tcnTimer: number
  /** Seconds until the topology change ends. */
  topologyChangeTimer: number
  /** Seconds until the CAM table is next searched for aged entries. */
  gcTimer: number
  /** Where BPDUs are sent: 01:80:c2:00:00:0X, X not 1, 2 or 3. */
  groupAddress: string
  /** Write only: forgets the dynamic entries of the CAM table. */
  fdbFlush: true
  multicastRouter: MulticastRouterMode
  /** IGMP and MLD snooping. CONFIG_BRIDGE_IGMP_SNOOPING. */
  multicastSnooping: boolean
  /** Queries carry the bridge's address instead of 0.0.0.0. */
  multicastQueryUseIfaddr: boolean
  /** The bridge sends queries itself. */
  multicastQuerier: boolean
  /** Always 16 since Linux 5.0. */
  multicastHashElasticity: number
  /** Most groups in the multicast database. Default 4096. */
  multicastHashMax: number
  /** Queries before a group is given up. Default 2. */
  multicastLastMemberCount: number
  /** Queries at start. Default 2. */
  multicastStartupQueryCount: number
  /** Seconds between the queries after a leave. Default 1. */
  multicastLastMemberInterval: number
  /** Seconds that a membership lasts without a report. Default 260. */
  multicastMembershipInterval: number
  /** Seconds until another querier counts as gone. Default 255. */
  multicastQuerierInterval: number
  /** Seconds between queries, at least 1. Default 125. */
  multicastQueryInterval: number
  /** Seconds that members have for answering. Default 10. */
  multicastQueryResponseInterval: number
  /** Seconds between the queries at start, at least 1. Default 31.25. */
  multicastStartupQueryInterval: number
  /** Bridged IPv4 passes iptables although the namespace's switch is off. CONFIG_BRIDGE_NETFILTER. */
  nfCallIptables: boolean
  nfCallIp6tables: boolean
  nfCallArptables: boolean
  /** VLAN of untagged frames on new ports, 1 to 4094; 0 for none. Default 1. */
  vlanDefaultPvid: number
  /** Counters for each VLAN. */
  vlanStatsEnabled: boolean
  multicastStatsEnabled: boolean
  /** 2 or 3. */
  multicastIgmpVersion: number
  /** 1 or 2. */
  multicastMldVersion: number
  /** Counters for each VLAN of each port; settable while no port has VLANs. */
  vlanStatsPerPort: boolean
  switches: BridgeSwitches
  querierState: QuerierState
  /** Learned entries now in the CAM table. Linux 6.7. */
  fdbLearned: number
  /** Most entries to be learned; 0 for no limit. Linux 6.7. */
  fdbMaxLearned: number
}

const bridgeId = struct<BridgeId>(8, (view, at) => ({
  priority: view.getUint16(at),
  mac: formatMac(new Uint8Array(view.buffer, view.byteOffset + at + 2, 6)),
}))
export { bridgeId as bridgeIdCodec }

/** A choice of EtherTypes in network order. */
export const vlanProtocol: Codec<VlanProtocol> = {
  decode({ view }, start, end) {
    if (end - start !== 2) return undefined
    const type = view.getUint16(start)
    return type === 0x8100 ? '802.1Q' : type === 0x88a8 ? '802.1ad' : undefined
  },
  encode(w, value, name) {
    if (value !== '802.1Q' && value !== '802.1ad') throw invalidArgument(name, "'802.1Q' or '802.1ad'", value)
    w.be16(value === '802.1Q' ? 0x8100 : 0x88a8)
  },
}

/** Bits of 01:80:c2:00:00:0N; `restricted` ones are refused by the kernel (BR_GROUPFWD_*, net/bridge/br_private.h). */
export function forwardMask(restricted: number): Codec<number> {
  const codec = u16()
  return {
    decode: codec.decode,
    encode(w, value, name) {
      const expected = `a bit mask without the bits 0x${restricted.toString(16)}`
      if (typeof value === 'number' && (value & restricted) !== 0) throw outOfRange(name, expected, value)
      codec.encode(w, value, name)
    },
  }
}

/** An address that 802.1D reserves and that is not pause, slow protocols or 802.1X (br_changelink). */
const groupAddress: Codec<string> = {
  decode: mac.decode,
  encode(w, value, name) {
    const bytes = parseMac(value, name)
    const last = bytes[5]!
    const reserved = [0x01, 0x80, 0xc2, 0, 0].every((byte, i) => bytes[i] === byte)
    if (!reserved || last > 15 || (last >= 1 && last <= 3)) throw outOfRange(name, '01:80:c2:00:00:0X, X not 1, 2 or 3', value)
    w.raw(bytes)
  },
}

export const bridgeAttributes = attributeTable<BridgeAttributes>({
  // The kernel takes the delay before it switches STP: it must stand first when both are given.
  forwardDelay: field(1, seconds(4)),
  helloTime: field(2, seconds(4, 1, 10)),
  maxAge: field(3, seconds(4, 6, 40)),
  ageingTime: field(4, seconds(4)),
  stpState: field(5, choice(4, { off: 0, kernel: 1, user: 2 })),
  priority: field(6, u16()),
  vlanFiltering: field(7, bool()),
  vlanProtocol: field(8, vlanProtocol),
  groupForwardMask: field(9, forwardMask(0x7)),
  rootId: reported(10, bridgeId),
  bridgeId: reported(11, bridgeId),
  rootPort: reported(12, u16()),
  rootPathCost: reported(13, u32()),
  topologyChange: reported(14, bool()),
  topologyChangeDetected: reported(15, bool()),
  helloTimer: reported(16, seconds(8)),
  tcnTimer: reported(17, seconds(8)),
  topologyChangeTimer: reported(18, seconds(8)),
  gcTimer: reported(19, seconds(8)),
  groupAddress: field(20, groupAddress),
  fdbFlush: field(21, flag),
  multicastRouter: field(22, choice(1, multicastRouterModes)),
  multicastSnooping: field(23, bool()),
  multicastQueryUseIfaddr: field(24, bool()),
  multicastQuerier: field(25, bool()),
  multicastHashElasticity: reported(26, u32()),
  multicastHashMax: field(27, u32()),
  multicastLastMemberCount: field(28, u32()),
  multicastStartupQueryCount: field(29, u32()),
  multicastLastMemberInterval: field(30, seconds(8)),
  multicastMembershipInterval: field(31, seconds(8)),
  multicastQuerierInterval: field(32, seconds(8)),
  // Below and above these the kernel takes the limit instead and says so in its log only (BR_MULTICAST_QUERY_INTVL_*).
  multicastQueryInterval: field(33, seconds(8, 1, 86400)),
  multicastQueryResponseInterval: field(34, seconds(8)),
  multicastStartupQueryInterval: field(35, seconds(8, 1, 86400)),
  nfCallIptables: field(36, bool()),
  nfCallIp6tables: field(37, bool()),
  nfCallArptables: field(38, bool()),
  vlanDefaultPvid: field(39, u16(0, 4094)),
  vlanStatsEnabled: field(41, bool()),
  multicastStatsEnabled: field(42, bool()),
  multicastIgmpVersion: field(43, u8(2, 3)),
  multicastMldVersion: field(44, u8(1, 2)),
  vlanStatsPerPort: field(45, bool()),
  switches: field(46, switches),
  querierState: reported(47, table(querierState)),
  fdbLearned: reported(48, u32()),
  fdbMaxLearned: field(49, u32()),
}, { padding: 40 })
