// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { bit, flag, integer, property, type PropertyType, requireInteger, requireUnsigned } from '../property.js'

/** `-j NFQUEUE` revision 3 (xt_NFQ_info_v3, include/uapi/linux/netfilter/xt_NFQUEUE.h): the packet goes to a user program. */
export interface NfqueueTarget {
  /** Number of the queue, 0 to 65535; 0 unless told. */
  queue?: number
  /** First and last of several queues, 0 to 65534: packets of one connection go to the same one. Revision 1 and newer. */
  balance?: [first: number, last: number]
  /** Accept what no program listens for (revision 2 and newer). */
  bypass?: boolean
  /** Choose of `balance` by the CPU, not the connection (revision 3 and newer). */
  cpuFanout?: boolean
}

declare module '../extension.js' {
  interface Targets { NFQUEUE: NfqueueTarget }
}

const TOTAL = 2
const LAST_QUEUE = 0xfffe

const number = integer({ offset: 0, width: 2 })
const queue: PropertyType<number> = {
  ...number,
  decode: (p) => (p.u16(TOTAL) > 1 ? undefined : p.u16(0)),
  print: (p) => (p.u16(TOTAL) > 1 ? undefined : String(p.u16(0))),
}
const balance: PropertyType<[number, number]> = {
  decode: (p) => (p.u16(TOTAL) > 1 ? [p.u16(0), p.u16(0) + p.u16(TOTAL) - 1] : undefined),
  encode(p, value, name) {
    if (!Array.isArray(value) || value.length !== 2) throw invalidArgument(name, 'a pair [first, last]', value)
    requireInteger(value[0], `${name}[0]`, 0, LAST_QUEUE)
    requireInteger(value[1], `${name}[1]`, 0, LAST_QUEUE)
    if (value[0] >= value[1]) throw outOfRange(name, 'a last queue behind the first', `${value[0]}:${value[1]}`)
    p.setU16(0, value[0])
    p.setU16(TOTAL, value[1] - value[0] + 1)
  },
  parse(p, text, option) {
    const parts = text.split(':')
    if (parts.length !== 2) throw new RuleError(`${option}: expected first:last, got "${text}"`)
    const first = parts[0] === '' ? 0 : requireUnsigned(parts[0]!, option, 0, LAST_QUEUE)
    const last = parts[1] === '' ? LAST_QUEUE : requireUnsigned(parts[1]!, option, 0, LAST_QUEUE)
    if (first >= last) throw new RuleError(`${option}: the last queue must be behind the first, got "${text}"`)
    p.setU16(0, first)
    p.setU16(TOTAL, last - first + 1)
  },
  print: (p) => (p.u16(TOTAL) > 1 ? `${p.u16(0)}:${p.u16(0) + p.u16(TOTAL) - 1}` : undefined),
}

for (const revision of [3, 2, 1] as const) {
  registerExtension({
    kind: 'target', name: 'NFQUEUE', revision, size: revision === 1 ? 4 : 6,
    init: (p) => p.setU16(TOTAL, 1),
    properties: [
      property({ key: 'queue', options: ['--queue-num'], type: queue, excludes: ['balance'] }),
      property({ key: 'balance', options: ['--queue-balance'], type: balance }),
      ...(revision < 2 ? [] : [property({ key: 'bypass', options: ['--queue-bypass'], type: flag(bit(4, 1, 2)), arguments: 0 })]),
      ...(revision < 3 ? [] : [property({ key: 'cpuFanout', options: ['--queue-cpu-fanout'], type: flag(bit(4, 2, 2)), arguments: 0, requires: ['balance'] })]),
    ],
  })
}
registerExtension({
  kind: 'target', name: 'NFQUEUE', revision: 0, size: 2, properties: [property({ key: 'queue', options: ['--queue-num'], type: number })],
})
