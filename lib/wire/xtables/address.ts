// SPDX-License-Identifier: MIT
// An address without a mask, or the name of a host that has only one.

import { formatIp, type IpFamily, parseIp } from '../ip.js'
import { parseHost } from './host.js'
import type { PropertyType } from './property.js'

/** An address in network order; typed values are numbers only. */
export function host(offset: number, family: IpFamily): PropertyType<string> {
  const text = (p: Parameters<PropertyType<string>['decode']>[0]) => formatIp(p.slice(offset, family === 'ipv4' ? 4 : 16))
  return {
    decode: text,
    encode: (p, value, name) => p.set(offset, parseIp(value, name, family)),
    parse: (p, given, option, ctx) => p.set(offset, parseHost(given, option, ctx)),
    print: text,
  }
}
