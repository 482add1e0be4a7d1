// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { property, type PropertyType } from '../property.js'

/**
 * `-j CONNSECMARK` (xt_connsecmark_target_info, include/uapi/linux/netfilter/xt_CONNSECMARK.h): exactly one of the properties. Only in
 * the mangle and security tables.
 */
export interface ConnsecmarkTarget {
  /** Copies the packet's security mark to the connection. */
  save?: boolean
  /** Copies the connection's security mark to the packet. */
  restore?: boolean
}

declare module '../extension.js' {
  interface Targets { CONNSECMARK: ConnsecmarkTarget }
}

const mode = (number: number): PropertyType<boolean> => ({
  decode: (p) => (p.u8(0) === number ? true : undefined),
  encode(p, value, name) {
    if (value !== true) throw outOfRange(name, 'true, or leave it out', value)
    p.setU8(0, number)
  },
  parse: (p) => p.setU8(0, number),
  print: (p) => (p.u8(0) === number ? '' : undefined),
})

registerExtension({
  kind: 'target', name: 'CONNSECMARK', revision: 0, size: 1, tables: ['mangle', 'security'], oneOf: ['save', 'restore'],
  recognises: (p) => p.u8(0) === 1 || p.u8(0) === 2,
  properties: [
    property({ key: 'save', options: ['--save'], type: mode(1), arguments: 0, excludes: ['restore'] }),
    property({ key: 'restore', options: ['--restore'], type: mode(2), arguments: 0 }),
  ],
})
