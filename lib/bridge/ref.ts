// SPDX-License-Identifier: MIT

import { NfkitError } from '../errors.js'
import { getMessage } from '../net/link.js'
import { withRoute } from '../netlink/route.js'
import type { NetnsLike } from '../netns.js'

/** Which bridge a table belongs to. */
export interface BridgeRef {
  /** As it was when the bridge was opened. */
  readonly name: string
  /** What requests use: it survives a change of name. */
  readonly index: number
  readonly netns?: NetnsLike | undefined
}

/** Whether the bridge is still there: its deletion may be among what a watch has lost. */
export function exists({ index, netns }: BridgeRef): boolean {
  try {
    return withRoute(netns, (socket) => getMessage(socket, index).attributes.kindInfo?.kind === 'bridge')
  } catch (error) {
    if (error instanceof NfkitError && error.code === 'ENODEV') return false
    throw error
  }
}
