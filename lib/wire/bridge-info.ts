// SPDX-License-Identifier: MIT
// struct __bridge_info (include/uapi/linux/if_bridge.h), the answer of the old ioctl BRCTL_GET_BRIDGE_INFO
// (net/bridge/br_ioctl.c): the one place where the kernel tells a bridge's own times from the root bridge's.

import { inputOf, LITTLE_ENDIAN } from './bytes.js'

export const BRIDGE_INFO = 72
export const BRCTL_GET_BRIDGE_INFO = 6
/** SIOCDEVPRIVATE (include/uapi/linux/sockios.h), which old bridge requests go through. */
export const SIOCDEVPRIVATE = 0x89f0

/** The times as they are in the struct: of these, the kernel converts only the last one from its own ticks to 1/100 s. */
export interface BridgeInfoTimes {
  /** In force, in ticks of the kernel's HZ. */
  forwardDelay: number
  /** The bridge's own, in ticks of the kernel's HZ. */
  bridgeMaxAge: number
  bridgeHelloTime: number
  /** The bridge's own, in 1/100 s. */
  bridgeForwardDelay: number
}

export function decodeBridgeInfo(bytes: Uint8Array): BridgeInfoTimes {
  const { view } = inputOf(bytes)
  const at = (offset: number) => view.getUint32(offset, LITTLE_ENDIAN)
  return { forwardDelay: at(28), bridgeMaxAge: at(32), bridgeHelloTime: at(36), bridgeForwardDelay: at(40) }
}
