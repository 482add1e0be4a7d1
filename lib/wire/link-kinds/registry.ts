// SPDX-License-Identifier: MIT
// Link kinds by the name that IFLA_INFO_KIND carries. A new kind is one file and one line here, and its types one entry in
// `net/link-kinds.ts`.

import type { AttributeTable, Codec } from '../attributes.js'
import type { NestedLink } from '../link.js'
import { bridgeAttributes } from './bridge.js'
import { bridgePortAttributes } from './bridge-port.js'
import { macvlanAttributes } from './macvlan.js'
import { vethAttributes } from './veth.js'
import { vlanAttributes } from './vlan.js'

type AnyTable = AttributeTable<object>

function byName(tables: Record<string, unknown>): ReadonlyMap<string, AnyTable> {
  return new Map(Object.entries(tables) as [string, AnyTable][])
}

/**
 * Tables of IFLA_INFO_DATA. Kinds without a table (dummy, ifb) have no attributes of their own, or nfkit knows none.
 * @param link the codec of a link within a link, which the registry cannot import from the one who asks
 */
export function linkKinds(link: Codec<NestedLink>): ReadonlyMap<string, AnyTable> {
  return byName({
    bridge: bridgeAttributes,
    macvlan: macvlanAttributes,
    veth: vethAttributes(link),
    vlan: vlanAttributes,
  })
}

/** Tables of IFLA_INFO_SLAVE_DATA: what the master keeps for a link. */
export const slaveKinds = byName({
  bridge: bridgePortAttributes,
})
