// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { parseUnsigned, property, type PropertyType, requireInteger } from '../property.js'

/**
 * `-j TCPOPTSTRIP` (xt_tcpoptstrip_target_info, include/uapi/linux/netfilter/xt_TCPOPTSTRIP.h): overwrites options of TCP with
 * no-operation. Needs the protocol tcp; only in the mangle table.
 */
export interface TcpoptstripTarget {
  /** Numbers of TCP options, 2 to 255, each once. */
  options?: number[]
}

declare module '../extension.js' {
  interface Targets { TCPOPTSTRIP: TcpoptstripTarget }
}

/** The names that stand for a number (the registry of TCP options at IANA). */
const NAMES: Readonly<Record<string, number>> = { wscale: 3, mss: 2, 'sack-permitted': 4, sack: 5, timestamp: 8, md5: 19 }

/** A bitmap of 256 bits in 32-bit words. */
const has = (p: Payload, option: number) => ((p.u32((option >> 5) * 4) >>> (option & 31)) & 1) !== 0
const add = (p: Payload, option: number) => p.setU32((option >> 5) * 4, (p.u32((option >> 5) * 4) | (1 << (option & 31))) >>> 0)
const list = (p: Payload) => Array.from({ length: 256 }, (_, option) => option).filter((option) => has(p, option))

const type: PropertyType<number[]> = {
  decode(p) {
    const options = list(p)
    return options.length === 0 ? undefined : options
  },
  encode(p, value, name) {
    if (!Array.isArray(value)) throw invalidArgument(name, 'an array of numbers from 2 to 255', value)
    value.forEach((option, i) => {
      requireInteger(option, `${name}[${i}]`, 2, 255)
      if (has(p, option)) throw outOfRange(`${name}[${i}]`, 'each option once', option)
      add(p, option)
    })
  },
  parse(p, text, option) {
    for (const part of text.split(',')) {
      const number = Object.hasOwn(NAMES, part) ? NAMES[part]! : parseUnsigned(part, 2, 255)
      if (number === undefined) throw new RuleError(`${option}: expected numbers from 2 to 255 or ${Object.keys(NAMES).join(', ')}, got "${part}"`)
      if (has(p, number)) throw new RuleError(`${option}: "${part}" is there twice`)
      add(p, number)
    }
  },
  print: (p) => list(p).join(',') || undefined,
}

registerExtension({
  kind: 'target', name: 'TCPOPTSTRIP', revision: 0, size: 32, protocols: [6], tables: ['mangle'],
  properties: [property({ key: 'options', options: ['--strip-options'], type })],
})
