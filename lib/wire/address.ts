// SPDX-License-Identifier: MIT
// IP addresses of links: struct ifaddrmsg and IFA_* (include/uapi/linux/if_addr.h, net/ipv4/devinet.c, net/ipv6/addrconf.c).

import { attributeTable, type Codec, field, ip, reported, s32, string, u32, type WithUnknown } from './attributes.js'
import { type Input, LITTLE_ENDIAN, type Writer } from './bytes.js'
import { flagTable, named, nameTable } from './names.js'
import { malformed, type NetlinkMessage } from './netlink.js'

export const ADDRESS_HEADER = 8

/** A lifetime that does not end (INFINITY_LIFE_TIME). */
export const FOREVER = 0xffffffff

/** struct ifa_cacheinfo: lifetimes in seconds from now, the times in seconds since the machine started. */
export interface AddressCacheInfo {
  preferredLifetime: number
  validLifetime: number
  created: number
  updated: number
}

const cacheInfo: Codec<AddressCacheInfo> = {
  decode({ view }, start, end) {
    if (end - start < 16) return undefined
    const word = (i: number) => view.getUint32(start + i * 4, LITTLE_ENDIAN)
    return { preferredLifetime: word(0), validLifetime: word(1), created: word(2) / 100, updated: word(3) / 100 }
  },
  encode(w, { preferredLifetime, validLifetime }) {
    w.u32(preferredLifetime)
    w.u32(validLifetime)
    w.u32(0)
    w.u32(0)
  },
}

/** Who made an address (IFAPROT_*, Linux 5.18); other numbers are for users to keep apart what is theirs. */
export type AddressProtocolName = 'unspec' | 'kernel-lo' | 'kernel-ra' | 'kernel-ll'
export const addressProtocols = nameTable<AddressProtocolName>({ unspec: 0, 'kernel-lo': 1, 'kernel-ra': 2, 'kernel-ll': 3 })

/**
 * IFA_F_*. Users set `nodad` (no duplicate address detection), `optimistic`, `homeaddress`, `managetempaddr`, `noprefixroute`
 * (no route to the prefix) and `mcautojoin`; the kernel reports the others.
 */
export type AddressFlag =
  | 'secondary' | 'temporary' | 'nodad' | 'optimistic' | 'dadfailed' | 'homeaddress' | 'deprecated' | 'tentative' | 'permanent'
  | 'managetempaddr' | 'noprefixroute' | 'mcautojoin' | 'stable-privacy'
const FLAGS = {
  nodad: 0x02, optimistic: 0x04, dadfailed: 0x08, homeaddress: 0x10, deprecated: 0x20, tentative: 0x40, permanent: 0x80,
  managetempaddr: 0x100, noprefixroute: 0x200, mcautojoin: 0x400, 'stable-privacy': 0x800,
}
/** The lowest bit has a name for each family. */
export const addressFlags = {
  ipv4: flagTable<AddressFlag>({ secondary: 0x01, ...FLAGS } as Record<AddressFlag, number>),
  ipv6: flagTable<AddressFlag>({ temporary: 0x01, ...FLAGS } as Record<AddressFlag, number>),
}
/** Those that users set. */
export const SETTABLE_FLAGS =
  FLAGS.nodad | FLAGS.optimistic | FLAGS.homeaddress | FLAGS.managetempaddr | FLAGS.noprefixroute | FLAGS.mcautojoin

/** IFA_* as they are on the wire. */
export interface AddressAttributes {
  /** The address, or the other end's where the link is point to point. */
  address: string
  /** The link's own address; IPv6 leaves it out unless there is another end. */
  local: string
  /** IPv4: the name that old tools show. */
  label: string
  broadcast: string
  anycast: string
  cacheInfo: AddressCacheInfo
  multicast: string
  flags: number
  /** Metric of the route to the prefix. */
  priority: number
  targetNetnsId: number
  protocol: AddressProtocolName | number
}

export const addressAttributes = attributeTable<AddressAttributes>({
  local: field(2, ip),
  address: field(1, ip),
  label: field(3, string(15)),
  broadcast: field(4, ip),
  anycast: reported(5, ip),
  cacheInfo: field(6, cacheInfo),
  multicast: reported(7, ip),
  flags: field(8, u32()),
  priority: field(9, u32()),
  targetNetnsId: field(10, s32),
  protocol: field(11, named(1, addressProtocols)),
})

/** For naming refused attributes. */
export const addressShape = { header: ADDRESS_HEADER, table: addressAttributes }

/** One address as the kernel reports it, and as a request carries it. */
export interface AddressMessage {
  /** AF_INET or AF_INET6; others have addresses too. */
  family: number
  prefixLength: number
  /** IFA_F_* bits; IFA_FLAGS holds more of them. */
  flags: number
  scope: number
  /** Of the link. */
  index: number
  attributes: Partial<AddressAttributes> & WithUnknown
}

/** @throws NfkitError EBADMSG */
export function decodeAddress(input: Input, msg: NetlinkMessage): AddressMessage {
  const { view } = input
  const at = msg.start
  if (at + ADDRESS_HEADER > msg.end) throw malformed('an address message shorter than its header')
  const attributes = addressAttributes.decode(input, at + ADDRESS_HEADER, msg.end)
  return {
    family: view.getUint8(at),
    prefixLength: view.getUint8(at + 1),
    flags: attributes.flags ?? view.getUint8(at + 2),
    scope: view.getUint8(at + 3),
    index: view.getUint32(at + 4, LITTLE_ENDIAN),
    attributes,
  }
}

export function encodeAddress(w: Writer, { family, prefixLength, scope, index, attributes }: Omit<AddressMessage, 'flags'>): void {
  w.u8(family)
  w.u8(prefixLength)
  // All flags are in IFA_FLAGS.
  w.u8(0)
  w.u8(scope)
  w.u32(index)
  addressAttributes.encode(w, attributes, 'address')
}
