// SPDX-License-Identifier: MIT
// What DNPT and SNPT share: struct ip6t_npt_tginfo (include/uapi/linux/netfilter_ipv6/ip6t_NPT.h).

import { formatIp, parsePrefix } from '../ip.js'
import { outOfRange } from '../../errors.js'
import type { Extension, Hook } from './extension.js'
import { maskLength, prefixMask } from './fixed.js'
import { parseHost, parsePrefixMask } from './host.js'
import { RuleError } from './payload.js'
import { property, type PropertyType } from './property.js'

const LONGEST = 64

function prefix(address: number, length: number): PropertyType<string> {
  const text = (p: Parameters<PropertyType<string>['decode']>[0]) => `${formatIp(p.slice(address, 16))}/${p.u8(length)}`
  return {
    decode: text,
    encode(p, value, name) {
      const given = parsePrefix(value, name, 'ipv6')
      const mask = prefixMask(given.length, 'ipv6')
      if (given.length > LONGEST || given.address.some((byte, i) => (byte & ~mask[i]!) !== 0)) throw outOfRange(name, `a prefix of at most ${LONGEST} bits with zeros behind`, value)
      p.set(address, given.address)
      p.setU8(length, given.length)
    },
    parse(p, given, option, ctx) {
      const slash = given.indexOf('/')
      const found = parseHost(slash < 0 ? given : given.slice(0, slash), option, ctx)
      const mask = slash < 0 ? prefixMask(128, 'ipv6') : parsePrefixMask(given.slice(slash + 1), option, 'ipv6')
      const bits = maskLength(mask)
      // What iptables lets through here, the kernel refuses.
      if (bits === undefined || bits > LONGEST || found.some((byte, i) => (byte & ~mask[i]!) !== 0)) {
        throw new RuleError(`${option}: expected a prefix of at most ${LONGEST} bits with zeros behind, got "${given}"`)
      }
      p.set(address, found)
      p.setU8(length, bits)
    },
    print: (p) => (p.u8(length) === 0 && p.slice(address, 16).every((byte) => byte === 0) ? undefined : text(p)),
  }
}

/** One of the two targets. The checksum's adjustment at the end is the kernel's own. */
export function npt(name: string, hooks: readonly Hook[]): Extension {
  return {
    kind: 'target', name, revision: 0, family: 'ipv6', size: 36, userSize: 34, tables: ['mangle'], hooks,
    properties: [
      property({ key: 'sourcePrefix', options: ['--src-pfx'], type: prefix(0, 32), mandatory: true }),
      property({ key: 'destinationPrefix', options: ['--dst-pfx'], type: prefix(16, 33), mandatory: true }),
    ],
  }
}
