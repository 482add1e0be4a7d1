// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { type Bit, choice, type Not, property, type PropertyType } from '../property.js'
import { fromBigInt, parseUnsigned64, toBigInt, type Unsigned64 } from '../types.js'

/** Counts from one to another, both included; null is no limit. */
export type CountRange = [from: Unsigned64, to: Unsigned64 | null]

/**
 * `-m connbytes` (xt_connbytes_info, include/uapi/linux/netfilter/xt_connbytes.h): how much a connection carried. The kernel
 * switches net.netfilter.nf_conntrack_acct on.
 */
export interface ConnbytesMatch {
  /** Packets, bytes or bytes for each packet, as the mode says. A single count cannot be negated: the struct has no room for it. */
  count: CountRange | Not<CountRange>
  mode: 'packets' | 'bytes' | 'avgpkt'
  direction: 'original' | 'reply' | 'both'
}

declare module '../extension.js' {
  interface Matches { connbytes: ConnbytesMatch }
}

const FROM = 0
const TO = 8
const NO_LIMIT = 0xffffffffffffffffn

/** The struct says "negated" by a range that runs backwards; until the range is written, 1 to 0 stands for it. */
const inverted: Bit = {
  get: (p) => p.u64(FROM) > p.u64(TO),
  set: (p) => p.setU64(FROM, 1n),
}

const ordered = (p: Payload): [bigint, bigint] => (inverted.get(p) ? [p.u64(TO), p.u64(FROM)] : [p.u64(FROM), p.u64(TO)])

function put(p: Payload, from: bigint, to: bigint, fail: (reason: string) => Error): void {
  if (from > to) throw fail('a range that does not run backwards')
  const negated = inverted.get(p)
  if (negated && from === to) throw fail('more than one count where it is negated')
  p.setU64(FROM, negated ? to : from)
  p.setU64(TO, negated ? from : to)
}

const count: PropertyType<CountRange> = {
  decode(p) {
    const [from, to] = ordered(p)
    return [fromBigInt(from), to === NO_LIMIT ? null : fromBigInt(to)]
  },
  encode(p, value, name) {
    if (!Array.isArray(value) || value.length !== 2) throw invalidArgument(name, 'a pair [from, to]', value)
    const to = value[1] === null ? NO_LIMIT : toBigInt(value[1], `${name}[1]`)
    put(p, toBigInt(value[0], `${name}[0]`), to, (reason) => outOfRange(name, reason, value.join(':')))
  },
  parse(p, text, option) {
    const read = (part: string | undefined, missing: bigint) => {
      const value = part === undefined || part === '' ? missing : parseUnsigned64(part)
      if (value === undefined) throw new RuleError(`${option}: expected a number from 0 to ${NO_LIMIT}, got "${part}"`)
      return value
    }
    const [from, to, more] = text.split(':')
    if (more !== undefined) throw new RuleError(`${option}: expected a range, got "${text}"`)
    put(p, read(from, 0n), read(to, NO_LIMIT), (reason) => new RuleError(`${option}: expected ${reason}, got "${text}"`))
  },
  print(p) {
    const [from, to] = ordered(p)
    return to === 0n || to === NO_LIMIT ? String(from) : `${from}:${to}`
  },
}

const mode = choice({ offset: 16, width: 1 }, { packets: 0, bytes: 1, avgpkt: 2 })
const direction = choice({ offset: 17, width: 1 }, { original: 0, reply: 1, both: 2 })

registerExtension({
  kind: 'match', name: 'connbytes', revision: 0, size: 24,
  properties: [
    property({ key: 'count', options: ['--connbytes'], type: count, invert: inverted, mandatory: true }),
    property({ key: 'mode', options: ['--connbytes-mode'], type: mode, mandatory: true }),
    property({ key: 'direction', options: ['--connbytes-dir'], type: direction, mandatory: true }),
  ],
})
