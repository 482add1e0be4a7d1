// SPDX-License-Identifier: MIT

import { invalidArgument } from '../../../errors.js'
import type { IpFamily } from '../../ip.js'
import { registerField } from '../field.js'

declare module '../field.js' {
  interface PacketMatchFields {
    /** The family of the IP header. */
    family?: IpFamily
  }
}

registerField<IpFamily>({
  key: 'family',
  read(given, name) {
    if (given !== 'ipv4' && given !== 'ipv6') throw invalidArgument(name, 'ipv4 or ipv6', given)
    return given
  },
  layer: () => 'network',
  families: (family) => [family],
  test: () => true,
  compile: (_, { asm }, yes) => { asm.jump(yes) },
})
