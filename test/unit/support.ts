// SPDX-License-Identifier: MIT

import fc from '../support/fast-check.js'

export const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/**
 * A captured message with some of its bytes changed, cut short, or both; the length in the message's header is set to fit, so
 * that what is behind it gets read.
 */
export function mutations(captured: Uint8Array): fc.Arbitrary<Uint8Array> {
  const change = fc.tuple(fc.nat(captured.length - 1), fc.integer({ min: 0, max: 255 }))
  return fc.tuple(fc.array(change, { maxLength: 6 }), fc.integer({ min: 16, max: captured.length })).map(([changes, length]) => {
    const bytes = captured.slice()
    for (const [at, value] of changes) bytes[at] = value
    new DataView(bytes.buffer).setUint32(0, length, true)
    return bytes.slice(0, length)
  })
}
