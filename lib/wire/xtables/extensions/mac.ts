// SPDX-License-Identifier: MIT

import { formatMac, type MacAddress, parseMac } from '../../mac.js'
import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { bit, type Not, property, type PropertyType } from '../property.js'

/** `-m mac` (xt_mac_info, include/uapi/linux/netfilter/xt_mac.h). PREROUTING, INPUT and FORWARD only. */
export interface MacMatch {
  /** Source address of the Ethernet frame. */
  source: MacAddress | Not<MacAddress>
}

declare module '../extension.js' {
  interface Matches { mac: MacMatch }
}

const source: PropertyType<MacAddress> = {
  decode: (p) => formatMac(p.slice(0, 6)),
  encode: (p, value, name) => p.set(0, parseMac(value, name)),
  parse(p, text, option) {
    // Leading zeros may be missing, even all of them.
    if (!/^[0-9a-f]{0,2}(?::[0-9a-f]{0,2}){5}$/i.test(text)) {
      throw new RuleError(`${option}: expected a MAC address such as 02:00:5e:10:00:01, got "${text}"`)
    }
    p.set(0, Uint8Array.from(text.split(':'), (part) => Number.parseInt(part || '0', 16)))
  },
  print: (p) => formatMac(p.slice(0, 6)),
}

registerExtension({
  kind: 'match', name: 'mac', revision: 0, size: 12, hooks: ['PREROUTING', 'INPUT', 'FORWARD'],
  properties: [property({ key: 'source', options: ['--mac-source'], type: source, invert: bit(8, 1, 4), mandatory: true })],
})
