// SPDX-License-Identifier: MIT
// An address with a mask, both as union nf_inet_addr: four bytes of sixteen for IPv4. The address keeps its bits outside the mask.

import { invalidArgument } from '../../errors.js'
import { formatIp } from '../ip.js'
import { maskLength } from './fixed.js'
import { formatMask, parseHost, parsePrefixMask } from './host.js'
import type { Payload, RuleContext } from './payload.js'
import type { PropertyType } from './property.js'

/** `address[/mask]` with the address at one offset and the mask at another. */
export function hostMask(at: number, maskAt: number): PropertyType<string> {
  const read = (p: Payload, { family }: RuleContext): [Uint8Array, Uint8Array] => {
    const length = family === 'ipv4' ? 4 : 16
    return [p.slice(at, length), p.slice(maskAt, length)]
  }
  const put = (p: Payload, text: string, name: string, ctx: RuleContext) => {
    const slash = text.indexOf('/')
    const address = parseHost(slash < 0 ? text : text.slice(0, slash), name, ctx)
    p.set(at, address)
    const mask = slash < 0 ? undefined : parsePrefixMask(text.slice(slash + 1), name, ctx.family)
    // As iptables leaves it: ones behind an IPv4 mask unless it came of a prefix length.
    p.set(maskAt, new Uint8Array(16).fill(mask === undefined || maskLength(mask) === undefined ? 0xff : 0))
    if (mask !== undefined) p.set(maskAt, mask)
  }
  return {
    decode(p, ctx) {
      const [host, mask] = read(p, ctx)
      // "/32" and nothing are the same to the kernel, not the same bytes.
      const written = ctx.family === 'ipv4' && maskLength(mask) === 32 && p.u8(maskAt + 15) === 0 ? '/32' : formatMask(mask)
      return `${formatIp(host)}${written}`
    },
    encode(p, value, name, ctx) {
      if (typeof value !== 'string') throw invalidArgument(name, 'an address such as 192.168.0.3 or 10.0.0.0/8', value)
      put(p, value, name, ctx)
    },
    parse: (p, text, option, ctx) => put(p, text, option, ctx),
    print(p, ctx) {
      const [host, mask] = read(p, ctx)
      return `${formatIp(host)}${formatMask(mask)}`
    },
  }
}
