// SPDX-License-Identifier: MIT

import { NfkitError } from '../errors.js'
import type { NetlinkSocket, Request } from '../netlink/socket.js'

/**
 * Sends requests, many in one system call. When one fails, the others are taken back and its error is thrown.
 * @param restore the requests that bring back what was there before, made by comparing it with what is there now
 */
export function applyAll(socket: NetlinkSocket, requests: readonly Request[], restore: () => readonly Request[]): void {
  const failed = socket.batch(requests).find((error) => error !== undefined)
  if (failed === undefined) return
  const undo = restore()
  const left = socket.batch(undo).filter((error) => error !== undefined)
  if (left.length > 0) {
    const lost = `${left.length} of ${undo.length} changes could not be taken back: ${left[0]!.message}`
    throw new NfkitError('NFKIT_PARTIAL', `${failed.message}; ${lost}`, { cause: failed })
  }
  throw failed
}
