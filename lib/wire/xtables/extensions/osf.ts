// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { bit, fixedString, integer, type Not, property, type PropertyType } from '../property.js'

/**
 * `-m osf` (xt_osf_info, include/uapi/linux/netfilter/xt_osf.h): the operating system of the sender, guessed from its SYN. IPv4
 * only, needs the protocol tcp; PREROUTING, INPUT and FORWARD only.
 */
export interface OsfMatch {
  /** As the loaded fingerprints name it, `Linux` or `Windows`, at most 31 bytes; `unknown` for what none fits. */
  genre: string | Not<string>
  /** 0: the TTL must be that of the fingerprint. 1: not be above it. 2: does not count. */
  ttl?: number
  /** Log all that fit or are unknown (0), the first only (1), all that are known (2). */
  log?: number
}

declare module '../extension.js' {
  interface Matches { osf: OsfMatch }
}

const LENGTH = 32
const FLAGS = 36
const name = fixedString(0, 32, { quote: false, truncate: true })

/** With its length beside it. */
const genre: PropertyType<string> = {
  ...name,
  encode(p, value, path, ctx) {
    name.encode(p, value, path, ctx)
    p.setU32(LENGTH, p.slice(0, LENGTH).indexOf(0))
  },
  parse(p, text, option, ctx) {
    name.parse(p, text, option, ctx)
    p.setU32(LENGTH, p.slice(0, LENGTH).indexOf(0))
  },
}

registerExtension({
  kind: 'match', name: 'osf', family: 'ipv4', revision: 0, size: 48, protocols: [6], hooks: ['PREROUTING', 'INPUT', 'FORWARD'],
  properties: [
    property({ key: 'genre', options: ['--genre'], type: genre, invert: bit(FLAGS, 8, 4), mandatory: true }),
    property({ key: 'ttl', options: ['--ttl'], type: integer({ offset: 44, width: 4, max: 2 }), present: bit(FLAGS, 2, 4) }),
    property({ key: 'log', options: ['--log'], type: integer({ offset: 40, width: 4, max: 2 }), present: bit(FLAGS, 4, 4) }),
  ],
})
