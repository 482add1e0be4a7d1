// SPDX-License-Identifier: MIT

import { NfkitError } from '../errors.js'

/** The error of bytes that are not the packet they should be. */
export function malformedPacket(what: string): NfkitError {
  return new NfkitError('EBADMSG', `malformed packet: ${what}`)
}

/** Throws unless `bytes` hold at least `need`. */
export function needBytes(bytes: Uint8Array, need: number, what: string): void {
  if (bytes.length < need) throw malformedPacket(`${bytes.length} bytes where ${what} needs ${need}`)
}
