// SPDX-License-Identifier: MIT
// What users say of entries of the multicast database, checked.

import { invalidArgument } from '../errors.js'
import type { LinkRef } from '../net/link.js'
import { checkInterfaceName } from '../wire/attributes.js'
import { checkInteger } from '../wire/check.js'
import { formatIp, parseIp } from '../wire/ip.js'
import { formatMac } from '../wire/mac.js'
import { type FilterMode, type MdbGroup, type MdbRequest, parseGroup } from '../wire/mdb.js'

/** Which entries are meant. What is left out matches all. */
export interface MdbFilter {
  /** Port by name or index; `'self'` or the bridge's own name for what the box itself joined. */
  port?: LinkRef | undefined
  /** VLAN 1 to 4094, or null for entries without one. */
  vlan?: number | null | undefined
  group?: string | undefined
}

/** An entry to add or replace. */
export interface MdbSpec {
  /** Port by name or index; `'self'` or the bridge's own name to join on the bridge itself (temporary, no sources). */
  port: LinkRef
  /** IPv4 or IPv6 group, or a multicast MAC address (`permanent` only). */
  group: string
  /** Only from this source: (S, G). */
  source?: string | undefined
  /** VLAN 1 to 4094. Without one, a bridge with VLAN filtering takes every VLAN of the port. */
  vlan?: number | null | undefined
  /** `temporary` ends after `multicast.membershipInterval` unless a report comes. Default permanent on ports. */
  state?: 'temporary' | 'permanent' | undefined
  /** Sources that are left out (`exclude`) or the only ones (`include`); at most 31. Linux 6.2. */
  sources?: readonly string[] | undefined
  /** Default exclude. Linux 6.2. */
  filterMode?: FilterMode | undefined
  /** Who set it: a routing protocol number of rtnetlink (RTPROT_*), 4 to 255. Default 4, static. Linux 6.2. */
  protocol?: number | undefined
}

/** Names one entry. */
export interface MdbKey {
  port: LinkRef
  group: string
  source?: string | undefined
  vlan?: number | null | undefined
}

/** Which entries a flush removes. */
export interface MdbFlushFilter {
  port?: LinkRef | undefined
  vlan?: number | undefined
  state?: 'temporary' | 'permanent' | undefined
}

export interface CheckedMdbSpec {
  readonly port: LinkRef
  readonly state: 'temporary' | 'permanent' | undefined
  readonly group: MdbGroup
  readonly vid: number
  readonly attributes: NonNullable<MdbRequest['attributes']>
}

export function checkSpec(spec: MdbSpec): CheckedMdbSpec {
  if (typeof spec !== 'object' || spec === null) throw invalidArgument('entry', 'an object with port and group', spec)
  const { port, state, source, sources, filterMode, protocol } = spec
  checkPort(port)
  const group = parseGroup(spec.group)
  if (state !== undefined && state !== 'temporary' && state !== 'permanent') throw invalidArgument('state', 'temporary or permanent', state)
  if (state === 'temporary' && group.family === 'ethernet') throw invalidArgument('state', 'permanent for a MAC address', state)
  if (![undefined, 'include', 'exclude'].includes(filterMode)) throw invalidArgument('filterMode', 'include or exclude', filterMode)
  if (source !== undefined && (sources !== undefined || filterMode !== undefined)) {
    throw invalidArgument('source', 'either source or sources with filterMode', source)
  }
  // PG_SRC_ENT_LIMIT of net/bridge/br_private.h.
  if (sources !== undefined && (!Array.isArray(sources) || sources.length > 31)) {
    throw invalidArgument('sources', 'an array of at most 31 addresses', sources)
  }
  if (filterMode === 'include' && (sources === undefined || sources.length === 0)) {
    throw invalidArgument('sources', 'at least one address with filterMode include', sources)
  }
  if (protocol !== undefined) checkInteger(protocol, 4, 255, 'protocol')
  return {
    port, state, group, vid: vlanOf(spec.vlan),
    attributes: {
      ...(source === undefined ? {} : { source: sourceOf(source, group, 'source') }),
      ...(filterMode === undefined && sources === undefined ? {} : { filterMode: filterMode ?? 'exclude' }),
      ...(sources === undefined || sources.length === 0
        ? {} : { sources: sources.map((address, i) => ({ address: sourceOf(address, group, `sources[${i}]`) })) }),
      ...(protocol === undefined ? {} : { protocol }),
    },
  }
}

/** A source of the same family as its group, in the form that the kernel's answers are printed in. */
export function sourceOf(text: string, group: MdbGroup, name: string): string {
  if (group.family === 'ethernet') throw invalidArgument(name, 'no source for a MAC address', text)
  return formatIp(parseIp(text, name, group.family))
}

export function checkPort(port: LinkRef): void {
  if (typeof port === 'number') checkInteger(port, 1, 0x7fffffff, 'port')
  else checkInterfaceName(port, 'port')
}

export function checkFilter({ port, vlan, group }: MdbFilter): { vlan: number | null | undefined; group: string | undefined } {
  if (port !== undefined) checkPort(port)
  if (vlan !== undefined) vlanOf(vlan)
  return { vlan, group: group === undefined ? undefined : formatGroup(parseGroup(group)) }
}

export function formatGroup(group: MdbGroup): string {
  return group.family === 'ethernet' ? formatMac(group.bytes) : formatIp(group.bytes)
}

export function vlanOf(vlan: number | null | undefined): number {
  if (vlan === undefined || vlan === null) return 0
  checkInteger(vlan, 1, 4094, 'vlan')
  return vlan
}
