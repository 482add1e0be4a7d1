// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { bit, fixedString, flag, property, type Property, type PropertyType, requireInteger, requireUnsigned } from '../property.js'

/** Bits of enum ip_conntrack_events (include/uapi/linux/netfilter/nf_conntrack_common.h) that the option knows. */
const EVENTS = {
  new: 0, related: 1, destroy: 2, reply: 3, assured: 4, protoinfo: 5, helper: 6, mark: 7, natseqinfo: 8, secmark: 9,
} as const
export type ConntrackEvent = keyof typeof EVENTS
/** Bits of enum ip_conntrack_expect_events. */
const EXPECT_EVENTS = { new: 0 } as const

/**
 * `-j CT` (xt_ct_target_info_v1, include/uapi/linux/netfilter/xt_CT.h): how the connection is tracked. Only in the raw table.
 * The directions of zones need kernel 4.3, `helper` a helper and `timeout` a policy that exist.
 */
export interface CtTarget {
  notrack?: boolean
  /** Name of a conntrack helper, at most 15 bytes. */
  helper?: string
  /** Name of a timeout policy, at most 31 bytes; revision 1 and newer. */
  timeout?: string
  /** The only events to be told of. */
  events?: ConntrackEvent[]
  expectationEvents?: (keyof typeof EXPECT_EVENTS)[]
  /** Zone of both directions: 0 to 65535, or the packet's mark. */
  zone?: number | 'mark'
  /** Zone of the original direction only. */
  zoneOriginal?: number | 'mark'
  /** Zone of the reply direction only. */
  zoneReply?: number | 'mark'
}

declare module '../extension.js' {
  interface Targets { CT: CtTarget }
}

const NOTRACK = 1
const ALIAS = 2
const ORIGINAL = 4
const REPLY = 8
const MARK = 16
const HELPER = 12
const TIMEOUT = 28

function events<N extends string>(offset: number, names: Readonly<Record<N, number>>): PropertyType<N[]> {
  const all = Object.keys(names) as N[]
  const bits = (list: readonly string[], fail: (name: string) => Error) => list.reduce((sum, name) => {
    if (!Object.hasOwn(names, name)) throw fail(name)
    return sum | (1 << names[name as N])
  }, 0) >>> 0
  const list = (p: Payload) => all.filter((name) => (p.u32(offset) & (1 << names[name])) !== 0)
  return {
    decode: (p) => (p.u32(offset) === 0 ? undefined : list(p)),
    encode(p, value, name) {
      if (!Array.isArray(value)) throw invalidArgument(name, `an array of ${all.join(', ')}`, value)
      p.setU32(offset, bits(value, (one) => outOfRange(name, `events of ${all.join(', ')}`, one)))
    },
    parse: (p, text, option) => p.setU32(offset, bits(text.split(','), (one) => new RuleError(`${option}: unknown event "${one}"`))),
    print: (p) => (p.u32(offset) === 0 ? undefined : list(p).join(',')),
  }
}

const flags = (p: Payload) => p.u16(0)

function zone(direction: number): PropertyType<number | 'mark'> {
  const set = (p: Payload, value: number | 'mark') => {
    p.setU16(0, flags(p) | direction | (value === 'mark' ? MARK : 0))
    p.setU16(2, value === 'mark' ? 0 : value)
  }
  const given = (p: Payload) => (flags(p) & MARK) !== 0 || p.u16(2) !== 0
  const read = (p: Payload) => ((flags(p) & MARK) !== 0 ? 'mark' as const : p.u16(2))
  return {
    decode: (p) => (direction === 0 ? (flags(p) & (ORIGINAL | REPLY)) === 0 && given(p) : (flags(p) & direction) !== 0) ? read(p) : undefined,
    encode(p, value, name) {
      if (value !== 'mark') requireInteger(value, name, 0, 0xffff)
      if ((flags(p) & (ORIGINAL | REPLY)) !== 0 && read(p) !== value) throw outOfRange(name, 'the same zone as for the other direction: there is room for one', value)
      set(p, value)
    },
    parse: (p, text, option) => set(p, text.toLowerCase() === 'mark' ? 'mark' : requireUnsigned(text, option, 0, 0xffff)),
    // Both directions named are printed like none named.
    print(p) {
      const named = flags(p) & (ORIGINAL | REPLY)
      return given(p) && (named === (ORIGINAL | REPLY) ? 0 : named) === direction ? String(read(p)) : undefined
    },
  }
}

/** A name that is printed as it is, when there is one. */
function name(offset: number, length: number): PropertyType<string> {
  const type = fixedString(offset, length, { quote: false, truncate: true })
  return {
    ...type,
    decode: (p, ctx) => type.decode(p, ctx) || undefined,
    print: (p, ctx) => type.print(p, ctx) || undefined,
  }
}

function properties(revision: number): Property[] {
  return [
    property({ key: 'notrack', options: ['--notrack'], type: flag(bit(0, NOTRACK, 2)), arguments: 0 }),
    property({ key: 'helper', options: ['--helper'], type: name(HELPER, 16) }),
    ...(revision === 0 ? [] : [property({ key: 'timeout', options: ['--timeout'], type: name(TIMEOUT, 32) })]),
    property({ key: 'events', options: ['--ctevents'], type: events(4, EVENTS) }),
    property({ key: 'expectationEvents', options: ['--expevents'], type: events(8, EXPECT_EVENTS) }),
    property({ key: 'zoneOriginal', options: ['--zone-orig'], type: zone(ORIGINAL) }),
    property({ key: 'zoneReply', options: ['--zone-reply'], type: zone(REPLY) }),
    property({ key: 'zone', options: ['--zone'], type: zone(0) }),
  ]
}

for (const revision of [2, 1, 0]) {
  registerExtension({
    kind: 'target', name: 'CT', revision, size: revision === 0 ? 40 : 72, userSize: revision === 0 ? 32 : 64, tables: ['raw'],
    // A NOTRACK is a CT with one more flag: ./target-notrack.ts.
    recognises: (p) => (flags(p) & ALIAS) === 0,
    properties: properties(revision),
  })
}
