// SPDX-License-Identifier: MIT
// VETH_INFO_*: a pair of Ethernet devices, what one sends the other receives (include/uapi/linux/veth.h, drivers/net/veth.c).

import { attributeTable, type Codec, field } from '../attributes.js'
import type { NestedLink } from '../link.js'

/** What a veth device is made with; the kernel reports nothing of it. */
export interface VethAttributes {
  /** The other end, as a link message of its own within the request. */
  peer: NestedLink
}

export const vethAttributes = (link: Codec<NestedLink>) => attributeTable<VethAttributes>({
  peer: field(1, link),
})
