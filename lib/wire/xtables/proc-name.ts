// SPDX-License-Identifier: MIT
// The name of a file that a match has below /proc/net: the kernel takes no path for it (xt_check_proc_name, net/netfilter/x_tables.c).

import { invalidArgument, outOfRange } from '../../errors.js'
import { type Payload, RuleError } from './payload.js'
import { type PropertyType, quoted } from './property.js'

/** In an array of `length` bytes with a NUL. iptables shortens an over-long argument without a word; a typed value is refused. */
export function procName(offset: number, length: number): PropertyType<string> {
  const read = (p: Payload) => {
    const data = p.slice(offset, length)
    const nul = data.indexOf(0)
    return new TextDecoder().decode(nul < 0 ? data : data.subarray(0, nul))
  }
  const put = (p: Payload, text: string, data: Uint8Array, fail: (expected: string) => Error) => {
    if (data.length < 1 || data.length > length - 1 || data.includes(0) || text === '.' || text === '..' || text.includes('/')) {
      throw fail(`a name of 1 to ${length - 1} bytes that is no path`)
    }
    // A longer name that was there before keeps its end, as with strncpy(3).
    p.set(offset, data)
    p.setU8(offset + data.length, 0)
  }
  const bytes = (text: string) => new TextEncoder().encode(text)
  return {
    decode: read,
    encode(p, value, name) {
      if (typeof value !== 'string') throw invalidArgument(name, 'a string', value)
      put(p, value, bytes(value), (expected) => outOfRange(name, expected, value))
    },
    parse: (p, text, option) => put(p, text, bytes(text).subarray(0, length - 1), (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`)),
    // iptables never quotes it; what would fall into several words is quoted all the same.
    print: (p) => (/[\s"]/.test(read(p)) ? quoted(read(p)) : read(p)),
  }
}
