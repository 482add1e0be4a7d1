// SPDX-License-Identifier: MIT
// Ports of a bridge: what they are set to and what they report, in plain names.

import { invalidArgument, NfkitError } from '../errors.js'
import * as Link from '../net/link.js'
import { getMessage, linkInfo } from '../net/link.js'
import { rtm } from '../netlink/route.js'
import type { NetlinkSocket } from '../netlink/socket.js'
import { bridgePortShape, encodeBridgePort } from '../wire/bridge-port.js'
import type { BridgeId } from '../wire/link-kinds/bridge.js'
import {
  type BridgePortAttributes, bridgePortAttributes, type PortMulticastRouterMode, type PortState,
} from '../wire/link-kinds/bridge-port.js'
import type { RawAttribute } from '../wire/netlink.js'
import { checkValue } from './check.js'
import { notTakenBack } from './journal.js'
import type { BridgeRef } from './ref.js'
import { present } from './present.js'

/** What can be set on a port. What is left out stays as it is, or is the kernel's default on a new port. */
export interface PortSettings {
  /**
   * 802.1D state. The kernel sets it itself while it runs STP (EBUSY); without STP only `disabled` and `forwarding` stay, the
   * others are for a spanning tree daemon ({@link StpStatus.mode} `user`). The port must be up and have carrier (ENETDOWN),
   * or only up for `disabled`. A carrier that comes later makes the port forward, whatever its state was
   * (br_port_carrier_check, net/bridge/br_if.c); a device that is brought up gets its carrier a moment after.
   */
  state?: PortState | undefined
  /** First part of the port id: 0 to 63, the lower the better. Default 32. */
  priority?: number | undefined
  /** Path cost: 1 to 65535. By the speed of the link unless set: 100 at 10 Mbit/s, 19 at 100 Mbit/s, 5 at 1 Gbit/s, 2 at 10 Gbit/s. */
  cost?: number | undefined
  /** Frames may leave through the port that they came in by. Default false. */
  hairpin?: boolean | undefined
  /** A BPDU that comes in shuts the port down (BPDU guard). Default false. */
  guard?: boolean | undefined
  /** The port never becomes the root port (root guard). Default false. */
  protect?: boolean | undefined
  /** A multicast leave takes effect at once, without asking for other members. Default false. */
  fastLeave?: boolean | undefined
  /** Source addresses go into the CAM table. Default true. */
  learning?: boolean | undefined
  /** Frames to unknown addresses leave here. Default true. */
  unicastFlood?: boolean | undefined
  /** Frames to unknown groups leave here. Default true. */
  multicastFlood?: boolean | undefined
  /** Broadcast leaves here. Default true. */
  broadcastFlood?: boolean | undefined
  /** Multicast is sent to each member's own MAC address. Default false. */
  multicastToUnicast?: boolean | undefined
  /** Whether multicast goes there as to a router. Default auto. */
  multicastRouter?: PortMulticastRouterMode | undefined
  /** Hosts tracked for the fast leave of IGMPv3 and MLDv2: from 1, default 512. Linux 5.12. */
  multicastEhtHostsLimit?: number | undefined
  /** Most groups to be joined; 0 (default) for no limit. Linux 6.3. */
  multicastMaxGroups?: number | undefined
  /** The bridge answers ARP for hosts behind this port. Default false. */
  proxyarp?: boolean | undefined
  /** The same for access points that keep their stations apart. Default false. */
  proxyarpWifi?: boolean | undefined
  /** ARP and neighbour discovery are answered from the neighbour table instead of flooded. Default false. */
  neighbourSuppress?: boolean | undefined
  /** neighbourSuppress only where the VLAN has it too. Default false. Linux 6.4. */
  neighbourVlanSuppress?: boolean | undefined
  /** VLANs are mapped to tunnel ids. Default false. */
  vlanTunnel?: boolean | undefined
  /** Isolated ports cannot talk to each other, only to others. Default false. Linux 4.18. */
  isolated?: boolean | undefined
  /** Only known source addresses may send (802.1X). Default false. Linux 5.18. */
  locked?: boolean | undefined
  /** Unknown sources become locked CAM entries for a control plane to decide; needs `locked` and `learning`. Linux 6.2. */
  mab?: boolean | undefined
  /** Bit N lets frames to 01:80:c2:00:00:0N pass; bit 1 (pause) is refused. Default 0. */
  groupForwardMask?: number | undefined
  /** The port that takes over while this one has no carrier: its name or index; null for none. Linux 4.19. */
  backupPort?: Link.LinkRef | null | undefined
  /** Nexthop id that goes with frames sent to the backup port; 0 for none. Linux 6.6. */
  backupNexthop?: number | undefined
}

/** A port as the kernel reports it. Optional fields are unknown to older kernels. */
export interface BridgePort extends Omit<PortSettings, 'backupPort' | 'state' | 'priority' | 'cost'> {
  /** The device. */
  name: string
  index: number
  mac: string
  /** Administratively up. */
  up: boolean
  /** Up and with carrier. */
  running: boolean
  /** Set by a user; see `promiscuity`. */
  promiscuous: boolean
  /** How many want every frame: the bridge itself counts one. */
  promiscuity: number
  /** The port's number on the bridge, from 1. */
  number: number
  /** Priority in the upper six bits, number in the lower ten. */
  id: number
  state: PortState
  priority: number
  cost: number
  designatedRoot: BridgeId
  /** The bridge that serves the segment behind the port, and the id of its port there. */
  designatedBridge: BridgeId
  designatedPort: number
  designatedCost: number
  topologyChangeAck: boolean
  configPending: boolean
  /** Seconds until each fires; 0 for one that does not run. */
  timers: {
    /** What was heard from the designated bridge expires. */
    messageAge: number
    /** The next state on the way to forwarding. */
    forwardDelay: number
    /** The next BPDU may be sent. */
    hold: number
  }
  /** Name of the port that takes over, or `#index` if it is gone. */
  backupPort?: string
  multicastEhtHostsCount?: number
  /** Groups joined. */
  multicastGroups?: number
  /** Media Redundancy Protocol. */
  mrpRingOpen?: boolean
  mrpInOpen?: boolean
  /** Attributes that nfkit has no name for. */
  unknown?: RawAttribute[]
}

type PortKey = Exclude<keyof PortSettings, 'backupPort'>

/** Settings that carry over between both sides under the same name. */
const SETTINGS: readonly PortKey[] = [
  'state', 'priority', 'cost', 'hairpin', 'guard', 'protect', 'fastLeave', 'learning', 'unicastFlood', 'multicastFlood', 'broadcastFlood',
  'multicastToUnicast', 'multicastRouter', 'multicastEhtHostsLimit', 'multicastMaxGroups', 'proxyarp', 'proxyarpWifi', 'neighbourSuppress',
  'neighbourVlanSuppress', 'vlanTunnel', 'isolated', 'locked', 'mab', 'groupForwardMask', 'backupNexthop',
]

/** Since which Linux the kernel knows what it does not report otherwise. */
const SINCE: Partial<Record<keyof BridgePortAttributes, string>> = {
  isolated: '4.18', multicastEhtHostsLimit: '5.12', locked: '5.18', mab: '6.2', multicastMaxGroups: '6.3', neighbourVlanSuppress: '6.4',
  backupNexthop: '6.6',
}

/** Throws the TypeError or RangeError of a wrong setting. */
export function checkPortSettings(settings: PortSettings): void {
  for (const [name, value] of Object.entries(settings)) {
    if (value === undefined) continue
    if (name === 'backupPort') {
      if (value !== null) Link.checkLinkRef(value, name)
    } else if (!SETTINGS.includes(name as PortKey)) throw invalidArgument('port settings', `one of ${SETTINGS.join(', ')}, backupPort`, name)
    else checkValue(bridgePortAttributes.fields[name as PortKey], value, name)
  }
}

/** The ports of a bridge in the order of their numbers. */
export function listPorts(bridge: BridgeRef): BridgePort[] {
  const links = Link.list({ netns: bridge.netns, master: bridge.index })
  const names = new Map(links.map((link) => [link.index, link.name]))
  return links.map((link) => portOf(link, (index) => names.get(index) ?? `#${index}`)).sort((a, b) => a.number - b.number)
}

/** The port of a link that a bridge is master of. */
export function portOf(link: Link.LinkInfo, nameOf: (index: number) => string): BridgePort {
  const at = (link.masterData ?? {}) as Partial<BridgePortAttributes> & { unknown?: RawAttribute[] }
  const none: BridgeId = { priority: 0, mac: '00:00:00:00:00:00' }
  const settings = Object.fromEntries(SETTINGS.filter((key) => at[key] !== undefined).map((key) => [key, at[key]])) as Partial<BridgePort>
  return {
    name: link.name,
    index: link.index,
    mac: link.mac ?? '',
    up: link.up,
    running: link.running,
    promiscuous: link.promiscuous,
    promiscuity: link.promiscuity,
    number: at.number ?? 0,
    id: at.id ?? 0,
    designatedRoot: at.rootId ?? none,
    designatedBridge: at.bridgeId ?? none,
    designatedPort: at.designatedPort ?? 0,
    designatedCost: at.designatedCost ?? 0,
    topologyChangeAck: at.topologyChangeAck ?? false,
    configPending: at.configPending ?? false,
    timers: { messageAge: at.messageAgeTimer ?? 0, forwardDelay: at.forwardDelayTimer ?? 0, hold: at.holdTimer ?? 0 },
    ...settings,
    state: at.state ?? 'disabled',
    priority: at.priority ?? 0,
    cost: at.cost ?? 0,
    ...present({
      backupPort: at.backupPort === undefined ? undefined : nameOf(at.backupPort),
      multicastEhtHostsCount: at.multicastEhtHostsCount,
      multicastGroups: at.multicastGroups,
      mrpRingOpen: at.mrpRingOpen,
      mrpInOpen: at.mrpInOpen,
      unknown: at.unknown,
    }),
  }
}

/** The link of a port. @throws NfkitError ENODEV without such a device, NFKIT_NOT_A_PORT when it is not on this bridge */
export function portLink(bridge: BridgeRef, ref: Link.LinkRef): Link.LinkInfo {
  const link = Link.get(ref, { netns: bridge.netns })
  if (link.master !== bridge.index) throw new NfkitError('NFKIT_NOT_A_PORT', `${link.name} is not a port of ${bridge.name}`)
  return link
}

/**
 * Changes a port. When the kernel refuses one of several changes the others are taken back.
 * @throws NfkitError NFKIT_KERNEL_TOO_OLD for a setting that this kernel does not know
 */
export function setPort(bridge: BridgeRef, socket: NetlinkSocket, link: Link.LinkInfo, settings: PortSettings): void {
  checkPortSettings(settings)
  const { backupPort, ...rest } = settings
  const changes: Partial<BridgePortAttributes> = {
    ...(present(rest) as Partial<BridgePortAttributes>),
    ...(backupPort === undefined ? {} : { backupPort: backupPort === null ? 0 : Link.resolveIndex(socket, backupPort) }),
  }
  const keys = Object.keys(changes) as (keyof BridgePortAttributes)[]
  if (keys.length === 0) return
  const before = (link.masterData ?? {}) as Partial<BridgePortAttributes>
  for (const key of keys) if (before[key] === undefined && !isSilent(key)) throw tooOld(key)
  try {
    write(socket, link, changes, `setting port ${link.name} of ${bridge.name}`)
    checkTaken(changes, (Link.get(link.index, { netns: bridge.netns }).masterData ?? {}) as Partial<BridgePortAttributes>, link.name)
  } catch (error) {
    if (keys.length > 1 || UNSURE.has(keys[0]!)) undo(socket, link, before, keys, error)
    throw error
  }
}

/** Attributes that the kernel does not report while they are zero. */
function isSilent(key: keyof BridgePortAttributes): boolean { return key === 'backupPort' || key === 'backupNexthop' }

/** What can turn out not to have been taken although the kernel refused nothing. */
const UNSURE = new Set<keyof BridgePortAttributes>(['state', 'backupNexthop'])

function checkTaken(changes: Partial<BridgePortAttributes>, now: Partial<BridgePortAttributes>, port: string): void {
  if ((changes.backupNexthop ?? 0) !== 0 && now.backupNexthop === undefined) throw tooOld('backupNexthop')
  if (changes.state !== undefined && changes.state !== now.state) {
    throw new NfkitError('NFKIT_STATE_NOT_KEPT', `port ${port} went from ${changes.state} to ${now.state} by itself`,
      { hint: 'without STP the kernel brings every port that is not disabled to forwarding (br_port_state_selection, net/bridge/br_stp.c)' })
  }
}

function tooOld(key: keyof BridgePortAttributes): NfkitError {
  const since = SINCE[key]
  return new NfkitError('NFKIT_KERNEL_TOO_OLD', `this kernel does not know the port setting ${key}`,
    since === undefined ? { hint: 'multicast settings need CONFIG_BRIDGE_IGMP_SNOOPING' } : { hint: `it needs Linux ${since}` })
}

/** br_setport takes one attribute after the other and stops at the first that it refuses. */
function undo(
  socket: NetlinkSocket, link: Link.LinkInfo, before: Partial<BridgePortAttributes>, keys: (keyof BridgePortAttributes)[], cause: unknown,
): void {
  const now = (linkInfo(getMessage(socket, link.index)).masterData ?? {}) as Partial<BridgePortAttributes>
  // What is as it was is not written: a state is refused while the kernel runs STP.
  const changed = keys.filter((key) => now[key] !== before[key])
  const { state, ...others } = Object.fromEntries(changed.map((key) => [key, before[key] ?? 0])) as Partial<BridgePortAttributes>
  write(socket, link, others, `restoring port ${link.name}`, cause)
  if (state === undefined) return
  try {
    write(socket, link, { state }, `restoring port ${link.name}`)
  } catch (error) {
    // The kernel has taken the state over meanwhile: it runs STP, or the carrier is gone.
    if (!(error instanceof NfkitError) || !['EBUSY', 'ENETDOWN'].includes(error.code)) throw notTakenBack(cause, error)
  }
}

function write(socket: NetlinkSocket, link: Link.LinkInfo, attributes: Partial<BridgePortAttributes>, doing: string, cause?: unknown): void {
  if (Object.keys(attributes).length === 0) return
  try {
    socket.request(rtm('RTM_SETLINK', {
      write: (w) => encodeBridgePort(w, link.index, attributes), doing, shape: bridgePortShape,
      hints: {
        EBUSY: 'the kernel runs STP on this bridge and sets the states itself',
        ENETDOWN: 'the state of a port can be set while it is up and has carrier',
      },
    }))
  } catch (error) {
    if (cause === undefined) throw error
    throw notTakenBack(cause, error)
  }
}
