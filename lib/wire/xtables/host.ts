// SPDX-License-Identifier: MIT
// One address with a mask as the options of extensions take it: read as getaddrinfo(3) reads it, and not masked. (-s and -d
// have a syntax of their own, in fixed.ts.)

import { formatIp, type IpFamily, parseIp } from '../ip.js'
import { maskLength, prefixMask } from './fixed.js'
import { type RuleContext, RuleError } from './payload.js'
import { parseUnsigned } from './property.js'

/** IPv4 as inet_aton(3) reads it: one to four numbers, the last one fills what is left. */
function parseAton(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length > 4) return undefined
  const bytes = new Uint8Array(4)
  for (const [i, part] of parts.entries()) {
    const last = i === parts.length - 1
    const value = parseUnsigned(part, 0, last ? 2 ** (8 * (4 - i)) - 1 : 255)
    if (value === undefined || !/^\w/.test(part)) return undefined
    if (!last) bytes[i] = value
    else for (let left = value, at = 3; at >= i; at--, left = Math.floor(left / 256)) bytes[at] = left % 256
  }
  return bytes
}

/** A numeric address; undefined when it is none of the family. */
export function parseNumericHost(text: string, family: IpFamily): Uint8Array | undefined {
  if (family === 'ipv4') return parseAton(text)
  try { return parseIp(text, 'address', 'ipv6') } catch { return undefined }
}

/** One address, by number or name. @throws RuleError for none and for several */
export function parseHost(text: string, option: string, { family, resolver }: RuleContext): Uint8Array {
  const numeric = parseNumericHost(text, family)
  if (numeric !== undefined) return numeric
  const found = resolver.hostAddresses(text, family)
  if (found.length === 0) {
    throw new RuleError(`${option}: expected an ${family === 'ipv4' ? 'IPv4' : 'IPv6'} address or a host that has one, got "${text}"`)
  }
  if (found.some((one) => formatIp(one) !== formatIp(found[0]!))) throw new RuleError(`${option}: ${text} has several addresses`)
  return found[0]!
}

/** A prefix length or a mask written as an address. @throws RuleError */
export function parsePrefixMask(text: string, option: string, family: IpFamily): Uint8Array {
  const bits = family === 'ipv4' ? 32 : 128
  const length = parseUnsigned(text, 0, bits)
  // A mere number past the longest prefix would be an address, too: 33 is 0.0.0.33.
  const mask = length !== undefined ? prefixMask(length, family) : /[.:]/.test(text) ? parseNumericHost(text, family) : undefined
  if (mask === undefined) throw new RuleError(`${option}: expected a prefix length from 0 to ${bits} or a mask, got "${text}"`)
  return mask
}

/** What follows an address when a mask is printed: nothing for a whole one. */
export function formatMask(mask: Uint8Array): string {
  const length = maskLength(mask)
  return length === mask.length * 8 ? '' : `/${length ?? formatIp(mask)}`
}
