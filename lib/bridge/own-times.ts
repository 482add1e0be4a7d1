// SPDX-License-Identifier: MIT
// A bridge's own spanning tree times while another bridge is root. Netlink reports the times in force only.

import { addon, checkDescriptor } from '../native.js'
import { type NetnsLike, resolveNetns } from '../netns.js'
import { BRCTL_GET_BRIDGE_INFO, BRIDGE_INFO, decodeBridgeInfo, SIOCDEVPRIVATE } from '../wire/bridge-info.js'
import { LITTLE_ENDIAN } from '../wire/bytes.js'
import { textBytes } from '../wire/netlink.js'

const AF_UNIX = 1
const SOCK_DGRAM = 2
/** sizeof(struct ifreq) and where ifr_data is in it. */
const IFREQ = 40
const IFR_DATA = 16

/** The times in seconds, as `StpTimes` of settings.ts. */
interface Times {
  maxAge: number
  helloTime: number
  forwardDelay: number
}

/**
 * Asks the kernel; undefined where it does not answer (32-bit programs, kernels without the old requests).
 * @param forwardDelay the one in force, in seconds: with it the kernel's HZ is known
 */
export function readOwnTimes(name: string, forwardDelay: number, netns: NetnsLike | undefined): Times | undefined {
  // Old requests carry pointers: the structs here are those of 64-bit programs.
  if (!/64|s390x/.test(process.arch)) return undefined
  const { fd, release } = resolveNetns(netns)
  try {
    const socket = checkDescriptor(addon.socket(AF_UNIX, SOCK_DGRAM, 0, fd), 'socket')
    try {
      const info = new Uint8Array(BRIDGE_INFO)
      const args = new Uint8Array(32)
      new DataView(args.buffer).setBigUint64(0, BigInt(BRCTL_GET_BRIDGE_INFO), LITTLE_ENDIAN)
      const request = new Uint8Array(IFREQ)
      request.set(textBytes(name))
      if (socket.ioctl(SIOCDEVPRIVATE, request, [args, 8, info, request, IFR_DATA, args]) < 0) return undefined
      const times = decodeBridgeInfo(info)
      if (forwardDelay === 0 || times.forwardDelay === 0) return undefined
      const hz = Math.round(times.forwardDelay / forwardDelay)
      const seconds = (ticks: number) => Math.round((ticks / hz) * 100) / 100
      return { maxAge: seconds(times.bridgeMaxAge), helloTime: seconds(times.bridgeHelloTime), forwardDelay: times.bridgeForwardDelay / 100 }
    } finally {
      socket.close()
    }
  } finally {
    release()
  }
}
