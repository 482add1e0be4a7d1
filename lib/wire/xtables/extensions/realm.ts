// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { type Masked, nonZero, type Not, property } from '../property.js'
import { namedMask } from '../types.js'

/** `-m realm` (xt_realm_info, include/uapi/linux/netfilter/xt_realm.h): the realm of the route (`ip route ... realm`). IPv4 only; not in PREROUTING. */
export interface RealmMatch {
  /** Number, its bits and mask, or a name of /etc/iproute2/rt_realms. Read as a number. */
  realm: Masked | string | Not<Masked | string>
}

declare module '../extension.js' {
  interface Matches { realm: RealmMatch }
}

registerExtension({
  kind: 'match', name: 'realm', family: 'ipv4', revision: 0, size: 12, hooks: ['INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  properties: [
    property({
      key: 'realm', options: ['--realm'], invert: nonZero(8), mandatory: true,
      type: namedMask({ offset: 0, width: 4 }, { offset: 4, width: 4 }, '/etc/iproute2/rt_realms'),
    }),
  ],
})
