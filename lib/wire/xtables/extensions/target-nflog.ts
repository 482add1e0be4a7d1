// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { bit, fixedString, integer, property, type PropertyType } from '../property.js'

/** `-j NFLOG` (xt_nflog_info, include/uapi/linux/netfilter/xt_NFLOG.h): a copy of the packet to a user program. Not a verdict. */
export interface NflogTarget {
  /** 1 to 63 bytes, without line feed. */
  prefix?: string
  /** Netlink group, 0 to 65535; 0 unless told. */
  group?: number
  /** Bytes of each packet to copy, 0 for all (kernel 4.9 and newer). */
  size?: number
  /** Meant to be `size`, but the kernel never looked at it. */
  range?: number
  /** Packets to collect before they are sent; the receiver's own unless told. */
  threshold?: number
}

declare module '../extension.js' {
  interface Targets { NFLOG: NflogTarget }
}

const COPY_LENGTH = bit(8, 1, 2)
const PREFIX = 12

const text = fixedString(PREFIX, 64, { min: 1, truncate: true })
const prefix: PropertyType<string> = {
  decode: (p, ctx) => text.decode(p, ctx) || undefined,
  encode(p, value, name, ctx) {
    if (typeof value === 'string' && value.includes('\n')) throw outOfRange(name, 'a string without line feed', value)
    text.encode(p, value, name, ctx)
  },
  parse(p, value, option, ctx) {
    if (value.includes('\n')) throw new RuleError(`${option}: no line feed can be in it`)
    text.parse(p, value, option, ctx)
  },
  print: (p, ctx) => (p.u8(PREFIX) === 0 ? undefined : text.print(p, ctx)),
}

/** A number that is not there when it is 0. */
function unlessZero(type: PropertyType<number>): PropertyType<number> {
  return { ...type, decode: (p, ctx) => type.decode(p, ctx) || undefined, print: (p, ctx) => (type.decode(p, ctx) === 0 ? undefined : type.print(p, ctx)) }
}

const length = integer({ offset: 0, width: 4 })
const uncopied = unlessZero(length)
const range: PropertyType<number> = {
  ...uncopied,
  decode: (p, ctx) => (COPY_LENGTH.get(p) ? undefined : uncopied.decode(p, ctx)),
  print: (p, ctx) => (COPY_LENGTH.get(p) ? undefined : uncopied.print(p, ctx)),
}

registerExtension({
  kind: 'target', name: 'NFLOG', revision: 0, size: 76,
  properties: [
    property({ key: 'prefix', options: ['--nflog-prefix'], type: prefix }),
    property({ key: 'group', options: ['--nflog-group'], type: unlessZero(integer({ offset: 4, width: 2 })) }),
    property({ key: 'size', options: ['--nflog-size'], type: length, present: COPY_LENGTH, excludes: ['range'] }),
    property({ key: 'range', options: ['--nflog-range'], type: range }),
    property({ key: 'threshold', options: ['--nflog-threshold'], type: unlessZero(integer({ offset: 6, width: 2 })) }),
  ],
})
