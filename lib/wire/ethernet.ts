// SPDX-License-Identifier: MIT
// Ethernet frames (IEEE 802.3, 3.1) with VLAN tags (IEEE 802.1Q, 9), without preamble and frame check sequence.

import { checkBytes, checkInteger } from './check.js'
import { inputOf, Writer } from './bytes.js'
import { formatMac, type MacAddress, parseMac } from './mac.js'
import { malformedPacket, needBytes } from './packet-error.js'

/** The shortest frame that the kernel sends: two addresses and a type. */
export const ETHERNET_HEADER = 14

/** EtherTypes (include/uapi/linux/if_ether.h, ETH_P_*). */
export const EtherType = {
  ipv4: 0x0800, arp: 0x0806, wakeOnLan: 0x0842, vlan: 0x8100, ipv6: 0x86dd, serviceVlan: 0x88a8, macsec: 0x88e5, lldp: 0x88cc,
} as const

/** One VLAN tag. */
export interface VlanTag {
  /** The tag protocol identifier: 0x8100 (802.1Q, the default), or 0x88a8 (802.1ad service tag). */
  protocol?: number
  /** VLAN identifier, 0 to 4095; 0 is a priority tag. */
  id: number
  /** Priority code point, 0 to 7; 0 unless told. */
  priority?: number
  /** Drop eligible indicator; false unless told. */
  dropEligible?: boolean
}

/** An Ethernet frame. */
export interface EthernetFrame {
  destination: MacAddress
  source: MacAddress
  /** The tags between source and type, outermost first; absent when there is none. */
  vlans?: VlanTag[]
  /** What the payload is, 0x0600 to 0xffff; a smaller value is the length of an IEEE 802.3 frame, whose payload begins with LLC. */
  etherType: number
  payload: Uint8Array
}

const isTag = (type: number) => type === EtherType.vlan || type === EtherType.serviceVlan

/**
 * Reads a frame. The payload is a view of `bytes`, with the padding that a short frame has.
 * @throws NfkitError EBADMSG when the bytes end within the header.
 */
export function decodeEthernet(bytes: Uint8Array): EthernetFrame {
  needBytes(bytes, ETHERNET_HEADER, 'an Ethernet header')
  const { view } = inputOf(bytes)
  const vlans: VlanTag[] = []
  let at = 12
  for (let type = view.getUint16(at); isTag(type); type = view.getUint16(at)) {
    if (at + 6 > bytes.length) throw malformedPacket('a frame that ends within a VLAN tag')
    vlans.push(vlanTag(type, view.getUint16(at + 2)))
    at += 4
  }
  return {
    destination: formatMac(bytes, 0),
    source: formatMac(bytes, 6),
    ...(vlans.length === 0 ? {} : { vlans }),
    etherType: view.getUint16(at),
    payload: bytes.subarray(at + 2),
  }
}

/** The tag of a TPID and the 16 bits of tag control information. */
export function vlanTag(protocol: number, tci: number): Required<VlanTag> {
  return { protocol, id: tci & 0xfff, priority: tci >> 13, dropEligible: (tci & 0x1000) !== 0 }
}

/**
 * Writes a frame. It is not padded: the kernel and the device do that where the medium asks for it.
 * @throws TypeError or RangeError for a field that does not fit.
 */
export function encodeEthernet(frame: EthernetFrame): Uint8Array {
  const { destination, source, vlans = [], etherType, payload } = frame
  checkInteger(etherType, 0, 0xffff, 'etherType')
  checkBytes(payload, 'payload')
  const w = new Writer(ETHERNET_HEADER + vlans.length * 4 + payload.length)
  w.raw(parseMac(destination, 'destination'))
  w.raw(parseMac(source, 'source'))
  vlans.forEach(({ protocol = EtherType.vlan, id, priority = 0, dropEligible = false }, i) => {
    checkInteger(protocol, 0, 0xffff, `vlans[${i}].protocol`)
    checkInteger(id, 0, 4095, `vlans[${i}].id`)
    checkInteger(priority, 0, 7, `vlans[${i}].priority`)
    w.be16(protocol)
    w.be16((priority << 13) | (dropEligible ? 0x1000 : 0) | id)
  })
  w.be16(etherType)
  w.raw(payload)
  return w.finish()
}
