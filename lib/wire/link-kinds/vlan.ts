// SPDX-License-Identifier: MIT
// IFLA_VLAN_*: a device for one VLAN of another device (include/uapi/linux/if_link.h, net/8021q/vlan_netlink.c).

import { invalidArgument } from '../../errors.js'
import { attributeTable, checkInteger, type Codec, field, listOf, u16 } from '../attributes.js'
import { LITTLE_ENDIAN } from '../bytes.js'

/** Switches of a VLAN device (enum vlan_flags, include/uapi/linux/if_vlan.h). */
export interface VlanFlags {
  /** Frames are handed up without their tag; true unless told. Kernel: VLAN_FLAG_REORDER_HDR. */
  reorderHeader: boolean
  /** Registers the VLAN at the switch by GVRP (CONFIG_VLAN_8021Q_GVRP). */
  gvrp: boolean
  /** Stays up when the lower device goes down. */
  looseBinding: boolean
  /** Registers the VLAN at the switch by MVRP (CONFIG_VLAN_8021Q_MVRP). */
  mvrp: boolean
  /** Over a bridge: up only while a port of the bridge in this VLAN is (Linux 5.2). */
  bridgeBinding: boolean
}

const FLAGS: Readonly<Record<keyof VlanFlags, number>> = { reorderHeader: 1, gvrp: 2, looseBinding: 4, mvrp: 8, bridgeBinding: 16 }

/** A line of a priority table. */
export interface VlanQosMapping {
  from: number
  to: number
}

/** What the kernel keeps for a VLAN device. */
export interface VlanAttributes {
  /** 0 to 4094; 0 tags frames with a priority only. */
  id: number
  /** Type of the tag: 802.1Q (0x8100) or the service tag 802.1ad (0x88a8). */
  protocol: '802.1Q' | '802.1ad'
  /** Those that are given are changed. */
  flags: Partial<VlanFlags>
  /** From the packet's priority (any 32-bit number) to the tag's (0 to 7). A change adds to the table. */
  egressQos: VlanQosMapping[]
  /** From the tag's priority (0 to 7) to the packet's. A change adds to the table. */
  ingressQos: VlanQosMapping[]
}

/** struct ifla_vlan_flags: the bits and which of them are meant. */
const flags: Codec<Partial<VlanFlags>> = {
  decode({ view }, start, end) {
    if (end - start !== 8) return undefined
    const bits = view.getUint32(start, LITTLE_ENDIAN)
    return Object.fromEntries(Object.entries(FLAGS).map(([name, bit]) => [name, (bits & bit) !== 0]))
  },
  encode(w, value, name) {
    let bits = 0
    let mask = 0
    if (typeof value !== 'object' || value === null) throw invalidArgument(name, `an object of ${Object.keys(FLAGS).join(', ')}`, value)
    for (const [key, on] of Object.entries(value)) {
      if (on === undefined) continue
      if (!Object.hasOwn(FLAGS, key)) throw invalidArgument(name, `one of ${Object.keys(FLAGS).join(', ')}`, key)
      if (typeof on !== 'boolean') throw invalidArgument(`${name}.${key}`, 'true or false', on)
      const bit = FLAGS[key as keyof VlanFlags]
      mask |= bit
      if (on) bits |= bit
    }
    w.u32(bits)
    w.u32(mask)
  },
}

/** struct ifla_vlan_qos_mapping; the tag's side holds three bits. */
function qosMapping(fromMax: number, toMax: number): Codec<VlanQosMapping> {
  return {
    decode: ({ view }, start, end) =>
      (end - start === 8 ? { from: view.getUint32(start, LITTLE_ENDIAN), to: view.getUint32(start + 4, LITTLE_ENDIAN) } : undefined),
    encode(w, value, name) {
      checkInteger(value?.from, 0, fromMax, `${name}.from`)
      checkInteger(value.to, 0, toMax, `${name}.to`)
      w.u32(value.from)
      w.u32(value.to)
    },
  }
}

const PROTOCOLS = { '802.1Q': 0x8100, '802.1ad': 0x88a8 } as const

/** An Ethernet type in network order. */
const protocol: Codec<VlanAttributes['protocol']> = {
  decode({ view }, start, end) {
    const type = end - start === 2 ? view.getUint16(start) : 0
    return type === PROTOCOLS['802.1Q'] ? '802.1Q' : type === PROTOCOLS['802.1ad'] ? '802.1ad' : undefined
  },
  encode(w, value, name) {
    if (typeof value !== 'string' || !Object.hasOwn(PROTOCOLS, value)) throw invalidArgument(name, "'802.1Q' or '802.1ad'", value)
    w.be16(PROTOCOLS[value])
  },
}

export const vlanAttributes = attributeTable<VlanAttributes>({
  id: field(1, u16(0, 4094)),
  flags: field(2, flags),
  egressQos: field(3, listOf(1, qosMapping(0xffffffff, 7))),
  ingressQos: field(4, listOf(1, qosMapping(7, 0xffffffff))),
  protocol: field(5, protocol),
})
