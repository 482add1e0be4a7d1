// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { fixedString, property, type PropertyType } from '../property.js'

/** `-m nfacct` (xt_nfacct_match_info, include/uapi/linux/netfilter/xt_nfacct.h): counts the packet in an accounting object. Always matches. */
export interface NfacctMatch {
  /** Name of the object, 1 to 31 bytes; it must be there (`nfacct add`). */
  object: string
}

declare module '../extension.js' {
  interface Matches { nfacct: NfacctMatch }
}

const name = fixedString(0, 32, { min: 1, truncate: true })
const object: PropertyType<string> = {
  ...name,
  encode(p, value, path, ctx) {
    if (typeof value === 'string' && value.includes('\n')) throw outOfRange(path, 'a name without line feeds', value)
    name.encode(p, value, path, ctx)
  },
  parse(p, text, option, ctx) {
    if (text.includes('\n')) throw new RuleError(`${option}: a name has no line feed`)
    name.parse(p, text, option, ctx)
  },
  // iptables-save has two spaces before this name.
  print: (p, ctx) => ` ${name.print(p, ctx)}`,
}

// The revisions differ in the alignment of the kernel's pointer on 32-bit machines only.
for (const revision of [1, 0]) {
  registerExtension({
    kind: 'match', name: 'nfacct', revision, size: 40, userSize: 32,
    properties: [property({ key: 'object', options: ['--nfacct-name'], type: object, mandatory: true })],
  })
}
