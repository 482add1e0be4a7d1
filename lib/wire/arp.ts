// SPDX-License-Identifier: MIT
// ARP for IPv4 over Ethernet (RFC 826).

import { checkInteger } from './check.js'
import { inputOf, Writer } from './bytes.js'
import { formatIp, parseIp } from './ip.js'
import { formatMac, type MacAddress, parseMac } from './mac.js'
import { malformedPacket, needBytes } from './packet-error.js'

export interface ArpPacket {
  /** 1 asks, 2 answers; other operations (RARP, InARP) have their number. */
  operation: number
  senderMac: MacAddress
  senderIp: string
  /** All zero in a request. */
  targetMac: MacAddress
  targetIp: string
}

export const ArpOperation = { request: 1, reply: 2 } as const

const SIZE = 28
const ETHERNET = 1
const IPV4 = 0x0800

/** @throws NfkitError EBADMSG when it is too short or not about IPv4 over Ethernet. */
export function decodeArp(bytes: Uint8Array): ArpPacket {
  needBytes(bytes, SIZE, 'an ARP packet')
  const { view } = inputOf(bytes)
  if (view.getUint16(0) !== ETHERNET || view.getUint16(2) !== IPV4 || bytes[4] !== 6 || bytes[5] !== 4) {
    throw malformedPacket('an ARP packet that is not about IPv4 over Ethernet')
  }
  return {
    operation: view.getUint16(6),
    senderMac: formatMac(bytes, 8),
    senderIp: formatIp(bytes.subarray(14, 18)),
    targetMac: formatMac(bytes, 18),
    targetIp: formatIp(bytes.subarray(24, 28)),
  }
}

/** @throws TypeError or RangeError for a field that does not fit. */
export function encodeArp({ operation, senderMac, senderIp, targetMac, targetIp }: ArpPacket): Uint8Array {
  checkInteger(operation, 0, 0xffff, 'operation')
  const w = new Writer(SIZE)
  w.be16(ETHERNET)
  w.be16(IPV4)
  w.u8(6)
  w.u8(4)
  w.be16(operation)
  w.raw(parseMac(senderMac, 'senderMac'))
  w.raw(parseIp(senderIp, 'senderIp', 'ipv4'))
  w.raw(parseMac(targetMac, 'targetMac'))
  w.raw(parseIp(targetIp, 'targetIp', 'ipv4'))
  return w.finish()
}
