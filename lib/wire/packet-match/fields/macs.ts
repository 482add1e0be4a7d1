// SPDX-License-Identifier: MIT

import { type MacAddress, parseMac } from '../../mac.js'
import { type Field, registerField } from '../field.js'
import { bytesMatch, checkMasked, type MaskedBytes, readObject } from '../values.js'

/** A MAC address of which only the bits of the mask count. */
export interface MaskedMac {
  /** What the bits are to be; none outside of the mask. */
  address: MacAddress
  /** Which bits count. */
  mask: MacAddress
}

declare module '../field.js' {
  interface PacketMatchFields {
    /** Source MAC address of the frame, or some of its bits. Link type EN10MB only. */
    sourceMac?: MacAddress | MaskedMac
    /** Destination MAC address of the frame; `{ address: '01:00:00:00:00:00', mask: '01:00:00:00:00:00' }` is every group address. */
    destinationMac?: MacAddress | MaskedMac
  }
}

const mac = (key: string, offset: number): Field<MaskedBytes> => ({
  key,
  read(given, name) {
    if (typeof given === 'string') return { value: parseMac(given, name), mask: new Uint8Array(6).fill(0xff) }
    const { address, mask } = readObject(given, name, ['address', 'mask'], 'a MAC address or { address, mask }')
    const masked = { value: parseMac(address as string, `${name}.address`), mask: parseMac(mask as string, `${name}.mask`) }
    checkMasked(masked, `${name}.address`, address)
    return masked
  },
  layer: () => 'link',
  test: (wanted, { bytes }) => bytesMatch(bytes, offset, wanted),
  compile(wanted, code, yes, no) {
    code.bytes((width, at) => { code.fromFrame(width, offset + at) }, wanted, yes, no)
  },
})

registerField(mac('destinationMac', 0))
registerField(mac('sourceMac', 6))
