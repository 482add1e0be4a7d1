// SPDX-License-Identifier: MIT

import { Writer } from '../wire/bytes.js'

/** Throws the TypeError or RangeError of a value that its attribute cannot hold, by the name that the user gave it. */
export function checkValue(field: { readonly codec: { encode(w: Writer, value: never, name: string): void } }, value: unknown, name: string): void {
  field.codec.encode(new Writer(16), value as never, name)
}
