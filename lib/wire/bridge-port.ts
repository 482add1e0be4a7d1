// SPDX-License-Identifier: MIT
// Setting a bridge port: RTM_SETLINK with family AF_BRIDGE and IFLA_PROTINFO (net/bridge/br_netlink.c, br_setlink). The same
// attributes in RTM_NEWLINK would do, but for the state: the kernel looks at the carrier after that and enables the port again.

import { attributeTable, field, table, type WithUnknown } from './attributes.js'
import { inputOf, type Writer } from './bytes.js'
import { type BridgePortAttributes, bridgePortAttributes } from './link-kinds/bridge-port.js'
import { encodeLink, LINK_HEADER, type LinkMessage } from './link.js'
import { nested } from './netlink.js'
import { AF_BRIDGE } from './rtnetlink.js'

const IFLA_PROTINFO = 12

export function encodeBridgePort(w: Writer, index: number, attributes: Partial<BridgePortAttributes>): void {
  encodeLink(w, { family: AF_BRIDGE, index })
  nested(w, IFLA_PROTINFO, () => bridgePortAttributes.encode(w, attributes, 'port'))
}

/** What a notification with family AF_BRIDGE says of its port; undefined when it says nothing. */
export function portAttributes({ attributes }: LinkMessage): (Partial<BridgePortAttributes> & WithUnknown) | undefined {
  const data = attributes.protocolInfo
  return data === undefined ? undefined : bridgePortAttributes.decode(inputOf(data), 0, data.length)
}

/** For naming refused attributes. */
export const bridgePortShape = {
  header: LINK_HEADER,
  table: attributeTable<{ port: Partial<BridgePortAttributes> }>({ port: field(IFLA_PROTINFO, table(bridgePortAttributes)) }),
}
