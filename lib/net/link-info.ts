// SPDX-License-Identifier: MIT
// The plain object of a link.

import { NfkitError } from '../errors.js'
import {
  type AddrGenMode, addrGenModeOf, IFF, type LinkMessage, linkStatistics, type LinkStatistics, type OperationalState,
} from '../wire/link.js'
import type { RawAttribute } from '../wire/netlink.js'
import type { LinkKinds } from './link-kinds.js'

/** A network device as the kernel reports it. What the device or the kernel does not have is absent. */
export interface LinkInfo<N extends number | bigint = number> {
  /** The interface index, unique within the namespace. */
  index: number
  name: string
  /** Further names (Linux 5.5). */
  alternativeNames?: string[]
  /** `bridge`, `veth`, `vlan`, ...; absent for physical devices and the loopback. */
  kind?: string
  /** The kind's own attributes; bytes when nfkit has no table for the kind. {@link isKind} tells its type. */
  kindData?: object | Uint8Array
  /** ARPHRD_* (include/uapi/linux/if_arp.h): 1 is Ethernet, 772 the loopback. */
  hardwareType: number
  mac?: string
  broadcast?: string
  /** What the hardware was made with (Linux 5.6). */
  permanentMac?: string
  /** Bytes of a packet without the link-layer header. */
  mtu: number
  /** Least and greatest `mtu` of the device; 0 for no limit (Linux 4.19). */
  minMtu?: number
  maxMtu?: number
  /** Administratively up (IFF_UP). */
  up: boolean
  /** Up and operational (IFF_RUNNING, RFC 2863). */
  running: boolean
  loopback: boolean
  /** Set by a user (IFF_PROMISC); see `promiscuity` for what the kernel itself asks for. */
  promiscuous: boolean
  /** How many users, kernel ones included, want every frame: a bridge port counts one. */
  promiscuity: number
  allMulticast: boolean
  /** Can send to groups (IFF_MULTICAST). */
  multicast: boolean
  /** Whether ARP is used (IFF_NOARP clear). */
  arp: boolean
  operationalState: OperationalState
  linkMode?: 'default' | 'dormant'
  carrier?: boolean
  /** How often the carrier came or went. */
  carrierChanges?: number
  carrierUpCount?: number
  carrierDownCount?: number
  /** Kept down by the kernel or a protocol of user space. */
  protocolDown?: boolean
  /** Index of the master device, a bridge for example. */
  master?: number
  masterKind?: string
  /** What the master keeps for this link. */
  masterData?: object | Uint8Array
  /** Index of the lower device or the veth peer, in the namespace `linkNetnsId` if that is given. */
  link?: number
  /** The id that this namespace has for the one that `link` is in (ip-netns(8), `ip netns list-id`). */
  linkNetnsId?: number
  alias?: string
  /** Packets. */
  txQueueLength?: number
  txQueues?: number
  rxQueues?: number
  group?: number
  qdisc?: string
  /** How IPv6 link-local addresses are made; absent where the link has no IPv6. */
  addrGenMode?: AddrGenMode
  physicalPortName?: string
  /** Hexadecimal. */
  physicalPortId?: string
  /** The same for all ports of one switch; hexadecimal. */
  physicalSwitchId?: string
  /** Bus address of the hardware and the bus (Linux 5.14). */
  parentDevice?: string
  parentBus?: string
  /** Largest packet, in bytes, that is handed to the device to be segmented there. */
  gsoMaxSize?: number
  gsoMaxSegments?: number
  groMaxSize?: number
  /** Whether moving to another namespace is refused (Linux 6.15). */
  netnsImmutable?: boolean
  statistics?: LinkStatistics<N>
  /** Attributes that nfkit has no name for. */
  unknown?: RawAttribute[]
}

/** A link whose kind is known to the type system. */
export type LinkOfKind<K extends keyof LinkKinds, N extends number | bigint = number> = LinkInfo<N> & {
  kind: K
  kindData: LinkKinds[K]['data']
}

/** Whether a link is of a kind; its `kindData` has that kind's type from then on. */
export function isKind<K extends keyof LinkKinds, N extends number | bigint>(link: LinkInfo<N>, kind: K): link is LinkOfKind<K, N> {
  return link.kind === kind
}

/**
 * The plain object of a link message. Left out: what has no meaning without the hardware's documentation.
 * @internal
 */
export function linkInfo(message: LinkMessage, bigint: true): LinkInfo<bigint>
/** @internal */
export function linkInfo(message: LinkMessage, bigint?: boolean): LinkInfo
export function linkInfo({ index, flags, hardwareType, attributes }: LinkMessage, bigint = false): LinkInfo | LinkInfo<bigint> {
  const {
    name, mtu, promiscuity, operationalState, kindInfo, familySpec, statistics, physicalPortId, physicalSwitchId,
    // Told in another way, or about a moment rather than the link.
    statistics32: _1, protocolInfo: _2, map: _3, netnsFd: _4, event: _5, newNetnsId: _6, newIndex: _7, xdp: _8, devlinkPort: _9,
    dpllPin: _10, allMulticastCount: _11, tsoMaxSize: _12, tsoMaxSegments: _13, gsoIpv4MaxSize: _14, groIpv4MaxSize: _15, headroom: _16,
    tailroom: _17, pacingOffloadHorizon: _18,
    master, alternativeNames, ...rest
  } = attributes
  if (name === undefined) throw new NfkitError('EBADMSG', 'malformed netlink data: a link without a name')
  const optional = {
    alternativeNames, kind: kindInfo?.kind, kindData: kindInfo?.data, master: master === 0 ? undefined : master,
    masterKind: kindInfo?.masterKind, masterData: kindInfo?.masterData,
    addrGenMode: familySpec === undefined ? undefined : addrGenModeOf(familySpec),
    physicalPortId: hex(physicalPortId), physicalSwitchId: hex(physicalSwitchId),
    ...rest,
    statistics: statistics === undefined ? undefined : linkStatistics(statistics, bigint),
  }
  return {
    index,
    name,
    hardwareType,
    mtu: mtu ?? 0,
    up: (flags & IFF.up) !== 0,
    running: (flags & IFF.running) !== 0,
    loopback: (flags & IFF.loopback) !== 0,
    promiscuous: (flags & IFF.promiscuous) !== 0,
    promiscuity: promiscuity ?? 0,
    allMulticast: (flags & IFF.allMulticast) !== 0,
    multicast: (flags & IFF.multicast) !== 0,
    arp: (flags & IFF.noArp) === 0,
    operationalState: operationalState ?? 'unknown',
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  }
}

function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('hex')
}
