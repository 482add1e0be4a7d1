// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { integer, property, type PropertyType } from '../property.js'

/**
 * `-j TCPMSS` (xt_tcpmss_info, include/uapi/linux/netfilter/xt_TCPMSS.h): changes the maximum segment size of SYN packets. Needs the
 * protocol tcp and, says the kernel, a tcp match of the SYN flag. One of the two properties.
 */
export interface TcpmssTarget {
  /** Bytes: 0 to 65515 for IPv4, to 65495 for IPv6. */
  mss?: number
  /** The path's maximum transmission unit less the headers. Not in PREROUTING and INPUT. */
  clampToPathMtu?: boolean
}

declare module '../extension.js' {
  interface Targets { TCPMSS: TcpmssTarget }
}

const CLAMP = 0xffff

const clamp: PropertyType<boolean> = {
  decode: (p) => (p.u16(0) === CLAMP ? true : undefined),
  encode(p, value, name) {
    if (value !== true) throw outOfRange(name, 'true, or leave it out', value)
    p.setU16(0, CLAMP)
  },
  parse: (p) => p.setU16(0, CLAMP),
  print: (p) => (p.u16(0) === CLAMP ? '' : undefined),
}

for (const family of ['ipv4', 'ipv6'] as const) {
  const number = integer({ offset: 0, width: 2, max: 0xffff - (family === 'ipv4' ? 20 : 40) })
  const mss: PropertyType<number> = {
    ...number,
    decode: (p) => (p.u16(0) === CLAMP ? undefined : p.u16(0)),
    print: (p, ctx) => (p.u16(0) === CLAMP ? undefined : number.print(p, ctx)),
  }
  registerExtension({
    kind: 'target', name: 'TCPMSS', revision: 0, family, size: 2, protocols: [6], oneOf: ['mss', 'clampToPathMtu'],
    properties: [
      property({ key: 'mss', options: ['--set-mss'], type: mss }),
      property({ key: 'clampToPathMtu', options: ['--clamp-mss-to-pmtu'], type: clamp, arguments: 0 }),
    ],
  })
}
