// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { property, type PropertyType, requireInteger, requireUnsigned } from '../property.js'

/**
 * `-j ECN` (ipt_ECN_info, include/uapi/linux/netfilter_ipv4/ipt_ECN.h): changes the bits of explicit congestion notification (RFC
 * 3168). IPv4, only in the mangle table; what changes TCP needs the protocol tcp.
 */
export interface EcnTarget {
  /** Clears both TCP bits. */
  tcpRemove?: boolean
  /** The TCP bit "ECN echo", 0 or 1. */
  tcpEce?: 0 | 1
  /** The TCP bit "congestion window reduced", 0 or 1. */
  tcpCwr?: 0 | 1
  /** The code point in the IPv4 header, 0 to 3. */
  ipEct?: number
}

declare module '../extension.js' {
  interface Targets { ECN: EcnTarget }
}

const SET_IP = 0x01
const SET_ECE = 0x10
const SET_CWR = 0x20
const removes = (p: Payload) => p.u8(0) === (SET_ECE | SET_CWR) && (p.u8(2) & 3) === 0

const remove: PropertyType<boolean> = {
  decode: (p) => (removes(p) ? true : undefined),
  encode(p, value, name) {
    if (value !== true) throw outOfRange(name, 'true, or leave it out', value)
    p.setU8(0, SET_ECE | SET_CWR)
  },
  parse(p) {
    p.setU8(0, SET_ECE | SET_CWR)
    p.setU8(2, 0)
  },
  print: (p) => (removes(p) ? '' : undefined),
}

/** A field with the bit that says that it counts. */
function field(operation: number, max: number, read: (p: Payload) => number, write: (p: Payload, value: number) => void): PropertyType<number> {
  const put = (p: Payload, value: number) => {
    p.setU8(0, p.u8(0) | operation)
    write(p, value)
  }
  const given = (p: Payload) => (p.u8(0) & operation) !== 0 && !removes(p)
  return {
    decode: (p) => (given(p) ? read(p) : undefined),
    encode(p, value, name) {
      requireInteger(value, name, 0, max)
      put(p, value)
    },
    parse: (p, text, option) => put(p, requireUnsigned(text, option, 0, max)),
    print: (p) => (given(p) ? String(read(p)) : undefined),
  }
}
const tcpBit = (operation: number, shift: number) =>
  field(operation, 1, (p) => (p.u8(2) >> shift) & 1, (p, value) => p.setU8(2, (p.u8(2) & ~(1 << shift)) | (value << shift)))

registerExtension({
  kind: 'target', name: 'ECN', revision: 0, family: 'ipv4', size: 3, tables: ['mangle'], oneOf: ['tcpRemove', 'tcpEce', 'tcpCwr', 'ipEct'],
  check(p, _seen, ctx) {
    if ((p.u8(0) & (SET_ECE | SET_CWR)) !== 0 && (ctx.protocol !== 6 || ctx.protocolNegated)) throw new RuleError('ECN: the bits of TCP need -p tcp')
  },
  properties: [
    property({ key: 'tcpRemove', options: ['--ecn-tcp-remove'], type: remove, arguments: 0, excludes: ['tcpEce', 'tcpCwr'] }),
    property({ key: 'tcpEce', options: ['--ecn-tcp-ece'], type: tcpBit(SET_ECE, 0) }),
    property({ key: 'tcpCwr', options: ['--ecn-tcp-cwr'], type: tcpBit(SET_CWR, 1) }),
    property({ key: 'ipEct', options: ['--ecn-ip-ect'], type: field(SET_IP, 3, (p) => p.u8(1), (p, value) => p.setU8(1, value)) }),
  ],
})
