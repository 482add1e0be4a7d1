// SPDX-License-Identifier: MIT

import { formatIp, type IpFamily, parsePrefix } from '../../ip.js'
import { registerExtension } from '../extension.js'
import { maskLength, prefixMask } from '../fixed.js'
import { parseHost, parsePrefixMask } from '../host.js'
import { initCompat, ipv4Compat, ipv6Range, NAT, natFlag, type NatLayout } from '../nat.js'
import { type Payload, RuleError } from '../payload.js'
import { property, type PropertyType } from '../property.js'

/**
 * `-j NETMAP` (nf_nat_ipv4_multi_range_compat, nf_nat_range, include/uapi/linux/netfilter/nf_nat.h): exchanges the network part of
 * the address. Only in the nat table, not in FORWARD.
 */
export interface NetmapTarget {
  /** The network with its prefix length. */
  to: string
}

declare module '../extension.js' {
  interface Targets { NETMAP: NetmapTarget }
}

function network(layout: NatLayout): PropertyType<string> {
  const family: IpFamily = layout.family
  const length = family === 'ipv4' ? 4 : 16
  const put = (p: Payload, address: Uint8Array, mask: Uint8Array) => {
    natFlag(layout, NAT.MAP_IPS).set(p)
    p.set(layout.min, address.map((byte, i) => byte & mask[i]!))
    p.set(layout.max, address.map((byte, i) => (byte & mask[i]!) | (~mask[i]! & 0xff)))
  }
  const text = (p: Payload) => {
    const [min, max] = [p.slice(layout.min, length), p.slice(layout.max, length)]
    const mask = min.map((byte, i) => ~(byte ^ max[i]!) & 0xff)
    return `${formatIp(min)}/${maskLength(mask) ?? formatIp(mask)}`
  }
  return {
    decode: text,
    encode(p, value, name) {
      const prefix = parsePrefix(value, name, family)
      put(p, prefix.address, prefixMask(prefix.length, family))
    },
    parse(p, given, option, ctx) {
      const slash = given.indexOf('/')
      const mask = slash < 0 ? prefixMask(128, family) : parsePrefixMask(given.slice(slash + 1), option, family)
      // iptables takes a mask with holes, but for a whole one.
      if (maskLength(mask) === undefined) throw new RuleError(`${option}: expected a mask without holes, got "${given}"`)
      put(p, parseHost(slash < 0 ? given : given.slice(0, slash), option, ctx), mask)
    },
    print: text,
  }
}

for (const layout of [ipv4Compat, ipv6Range]) {
  registerExtension({
    kind: 'target', name: 'NETMAP', revision: 0, family: layout.family, size: layout.size, tables: ['nat'],
    hooks: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
    ...(layout === ipv4Compat ? { init: initCompat } : {}),
    properties: [property({ key: 'to', options: ['--to'], type: network(layout), mandatory: true })],
  })
}
