// SPDX-License-Identifier: MIT
// The kernel's time stamps against this program's clock. JavaScript has the former's clock in whole milliseconds only.

import type { RawDescriptor } from '../native.js'
import type { Netns } from '../netns.js'
import { openSocket, SO_TIMESTAMPNS_NEW, SOCK_DGRAM, SOL_SOCKET } from './socket.js'

/**
 * The kernel stamps packets as they come only while a socket wants it, and takes some milliseconds to begin (net_enable_timestamp,
 * net/core/dev.c): until then the stamp is the time of reading. The answer is to be closed in the end.
 */
export function keepStamping(netns: Netns): RawDescriptor {
  const socket = openSocket(netns, 'ipv4', SOCK_DGRAM, 0, 'asking for time stamps')
  socket.setOption(SOL_SOCKET, SO_TIMESTAMPNS_NEW, new Uint8Array(new Int32Array([1]).buffer))
  return socket
}

/** Milliseconds for which the two clocks are taken to run alike: a clock that is being set right gains 0.5 ms in each second at most. */
const VALID = 1000
/** A calibration that the scheduler interrupts is off; of several, the best is known. */
const TRIES = 3

let offset = 0
let calibratedAt = -Infinity

/** CLOCK_REALTIME in milliseconds is `performance.now()` plus this, to some microseconds. Takes up to 3 ms once in a second. */
export function realtimeOffset(): number {
  if (performance.now() - calibratedAt < VALID) return offset
  let best = -Infinity
  for (let i = 0; i < TRIES; i++) {
    const before = Date.now()
    let now = before
    let at = 0
    // At the moment when the millisecond changes, its fraction is known to be zero.
    while (now === before) {
      now = Date.now()
      at = performance.now()
    }
    // The clocks are read one after the other, so every error makes it smaller.
    best = Math.max(best, now - at)
  }
  offset = best
  calibratedAt = performance.now()
  return offset
}
