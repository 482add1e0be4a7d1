// SPDX-License-Identifier: MIT

import { invalidArgument } from '../../../errors.js'
import { formatIp, type IpFamily, parseIp } from '../../ip.js'
import { registerExtension } from '../extension.js'
import { parseNumericIp } from '../fixed.js'
import { RuleError } from '../payload.js'
import { bit, type Not, property, type Property, type PropertyType } from '../property.js'

/** Addresses from one to another, both included. A range that runs backwards has none. */
export type AddressRange = [from: string, to: string]

/** `-m iprange` revision 1 (xt_iprange_mtinfo, include/uapi/linux/netfilter/xt_iprange.h). At least one must be there. */
export interface IprangeMatch {
  source?: AddressRange | Not<AddressRange>
  destination?: AddressRange | Not<AddressRange>
}

declare module '../extension.js' {
  interface Matches { iprange: IprangeMatch }
}

const FLAGS = 64

function addresses(at: number, family: IpFamily): PropertyType<AddressRange> {
  const read = (p: Parameters<PropertyType<AddressRange>['decode']>[0]): AddressRange => {
    const length = family === 'ipv4' ? 4 : 16
    return [formatIp(p.slice(at, length)), formatIp(p.slice(at + 16, length))]
  }
  return {
    decode: read,
    encode(p, value, name) {
      if (!Array.isArray(value) || value.length !== 2) throw invalidArgument(name, 'a pair of addresses [from, to]', value)
      p.set(at, parseIp(value[0], `${name}[0]`, family))
      p.set(at + 16, parseIp(value[1], `${name}[1]`, family))
    },
    parse(p, text, option) {
      const dash = text.indexOf('-')
      const ends = dash < 0 ? [text, text] : [text.slice(0, dash), text.slice(dash + 1)]
      ends.forEach((end, i) => {
        const address = parseNumericIp(end, family)
        if (address === undefined) throw new RuleError(`${option}: expected ${family === 'ipv4' ? 'IPv4' : 'IPv6'} addresses, from-to, got "${text}"`)
        p.set(at + 16 * i, address)
      })
    },
    print: (p) => read(p).join('-'),
  }
}

function range(key: string, option: string, at: number, flag: number, family: IpFamily): Property {
  return property({ key, options: [option], type: addresses(at, family), present: bit(FLAGS, flag), invert: bit(FLAGS, flag << 4) })
}

for (const family of ['ipv4', 'ipv6'] as const) {
  registerExtension({
    kind: 'match', name: 'iprange', revision: 1, family, size: 68, oneOf: ['source', 'destination'],
    properties: [range('source', '--src-range', 0, 1, family), range('destination', '--dst-range', 32, 2, family)],
  })
}
