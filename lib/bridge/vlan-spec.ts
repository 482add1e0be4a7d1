// SPDX-License-Identifier: MIT
// What users say of VLANs, checked.

import { invalidArgument, outOfRange } from '../errors.js'
import type { LinkRef } from '../net/link.js'
import { VLAN_INFO, type VlanAttributes, vlanAttributes, type VlanGlobalAttributes, vlanGlobalAttributes } from '../wire/bridge-vlan.js'
import { checkInteger } from '../wire/check.js'
import type { PortMulticastRouterMode, PortState } from '../wire/link-kinds/bridge-port.js'
import { Rtm } from '../wire/rtnetlink.js'
import { checkValue } from './check.js'
import { present } from './present.js'

/** One VLAN 1 to 4094, or the first and last of a range. */
export type VlanIds = number | readonly [first: number, last: number]

/** What can be set for one VLAN of one port. */
export interface VlanOptions {
  /** Spanning tree state of the port in this VLAN; settable while the kernel runs neither STP nor MST for the bridge. */
  state?: PortState | undefined
  /** Whether multicast goes there as to a router; with `multicast.vlanSnooping`. Linux 5.15. */
  multicastRouter?: PortMulticastRouterMode | undefined
  /** Most groups to be joined, 0 for no limit; ports only, with `multicast.vlanSnooping`. Linux 6.3. */
  multicastMaxGroups?: number | undefined
  /** Answer ARP and neighbour discovery here, on a port with `neighbourVlanSuppress`. Linux 6.4. */
  neighbourSuppress?: boolean | undefined
  /** Tunnel id 0 to 16777215 that the VLAN is mapped to, on a port with `vlanTunnel`; a range counts up. Null removes it. */
  tunnelId?: number | null | undefined
}

/** VLANs to add or replace. */
export interface VlanSpec extends VlanOptions {
  /** Port by name or index; `'self'` or the bridge's own name for the bridge device itself. */
  port: LinkRef
  vid: VlanIds
  /** Untagged frames that come in belong to this VLAN. Not for ranges. Default false. */
  pvid?: boolean | undefined
  /** Frames go out without a tag. Default false. */
  untagged?: boolean | undefined
}

/** Names VLANs of one port. */
export interface VlanKey {
  port: LinkRef
  vid: VlanIds
}

/** What a VLAN is set to on the whole bridge. Times are seconds in steps of 0.01. Linux 5.15. */
export interface VlanGlobalOptions {
  multicastSnooping?: boolean | undefined
  /** 2 or 3. */
  multicastIgmpVersion?: number | undefined
  /** 1 or 2. */
  multicastMldVersion?: number | undefined
  multicastLastMemberCount?: number | undefined
  multicastStartupQueryCount?: number | undefined
  multicastLastMemberInterval?: number | undefined
  multicastMembershipInterval?: number | undefined
  multicastQuerierInterval?: number | undefined
  /** 1 to 86400. */
  multicastQueryInterval?: number | undefined
  multicastQueryResponseInterval?: number | undefined
  /** 1 to 86400. */
  multicastStartupQueryInterval?: number | undefined
  multicastQuerier?: boolean | undefined
  /** Multiple spanning tree instance: 0 to 4095. Linux 5.18. */
  msti?: number | undefined
}

export function range(vid: VlanIds): { first: number; last: number } {
  if (!Array.isArray(vid)) {
    checkInteger(vid, 1, 4094, 'vid')
    return { first: vid, last: vid }
  }
  const [first, last, ...rest] = vid as readonly unknown[]
  if (rest.length > 0) throw invalidArgument('vid', 'a VLAN or the first and last of a range', vid)
  checkInteger(first, 1, 4094, 'vid[0]')
  checkInteger(last, 1, 4094, 'vid[1]')
  if (last < first) throw outOfRange('vid', 'a range that ends after its beginning', `${first} to ${last}`)
  return { first, last }
}

export function checkSpec(spec: VlanSpec): { first: number; last: number; flags: number; options: VlanOptions } {
  if (typeof spec !== 'object' || spec === null) throw invalidArgument('VLAN', 'an object with port and vid', spec)
  const { port: _port, vid, pvid = false, untagged = false, ...options } = spec
  const { first, last } = range(vid)
  if (typeof pvid !== 'boolean') throw invalidArgument('pvid', 'true or false', pvid)
  if (typeof untagged !== 'boolean') throw invalidArgument('untagged', 'true or false', untagged)
  if (pvid && last > first) throw invalidArgument('pvid', 'false for a range: a port has one PVID', pvid)
  checkOptions(options)
  return { first, last, flags: (pvid ? VLAN_INFO.pvid : 0) | (untagged ? VLAN_INFO.untagged : 0), options }
}

const OPTIONS = ['state', 'multicastRouter', 'multicastMaxGroups', 'neighbourSuppress'] as const

export function checkOptions(options: VlanOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue
    if (name === 'tunnelId') {
      if (value !== null) checkInteger(value, 0, 0xffffff, name)
    } else if (!(OPTIONS as readonly string[]).includes(name)) throw invalidArgument('VLAN options', `one of ${OPTIONS.join(', ')}, tunnelId`, name)
    else checkValue(vlanAttributes.fields[name as (typeof OPTIONS)[number]], value, name)
  }
}

export function entryOf(first: number, last: number, flags: number, { tunnelId, ...options }: VlanOptions): Partial<VlanAttributes> {
  const command = tunnelId === null ? { command: Rtm.RTM_DELLINK } : { id: tunnelId!, command: Rtm.RTM_SETLINK }
  const tunnel = tunnelId === undefined ? {} : { tunnel: command }
  return { info: { flags, vid: first }, ...(last > first ? { rangeEnd: last } : {}), ...(present(options) as Partial<VlanAttributes>), ...tunnel }
}

export function checkGlobalOptions(options: VlanGlobalOptions): Partial<VlanGlobalAttributes> {
  const changes = present(options) as Partial<VlanGlobalAttributes>
  for (const [name, value] of Object.entries(changes)) {
    const known = Object.hasOwn(vlanGlobalAttributes.fields, name) && name !== 'vid' && name !== 'rangeEnd'
    if (!known) throw invalidArgument('VLAN options', 'options of VlanGlobalOptions', name)
    checkValue(vlanGlobalAttributes.fields[name as keyof VlanGlobalAttributes], value, name)
  }
  return changes
}
