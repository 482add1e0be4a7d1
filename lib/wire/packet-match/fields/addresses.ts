// SPDX-License-Identifier: MIT

import { familyOf, parsePrefix } from '../../ip.js'
import { type Field, registerField } from '../field.js'
import { bytesMatch, type MaskedBytes } from '../values.js'

declare module '../field.js' {
  interface PacketMatchFields {
    /** Source address, IPv4 or IPv6, or a prefix of it: `192.168.0.0/16`. Bits behind the prefix do not count. */
    source?: string
    /** Destination address, as {@link source}. */
    destination?: string
  }
}

function readPrefix(given: unknown, name: string): MaskedBytes {
  const { address, length } = parsePrefix(given as string, name)
  const mask = address.map((_, i) => 0xff & (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))))
  return { value: address.map((byte, i) => byte & mask[i]!), mask }
}

/** An address that lies at these offsets in the headers of IPv4 and IPv6. */
const address = (key: string, offset4: number, offset6: number): Field<MaskedBytes> => {
  const offset = ({ value }: MaskedBytes) => (value.length === 4 ? offset4 : offset6)
  return {
    key,
    read: readPrefix,
    layer: () => 'network',
    families: ({ value }) => [familyOf(value)],
    test: (prefix, { bytes, network }) => bytesMatch(bytes, network! + offset(prefix), prefix),
    compile(prefix, code, yes, no) {
      code.bytes((width, at) => { code.fromNetwork(width, offset(prefix) + at) }, prefix, yes, no)
    },
  }
}

registerField(address('source', 12, 8))
registerField(address('destination', 16, 24))
