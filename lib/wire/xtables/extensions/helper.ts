// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { fixedString, nonZero, type Not, property } from '../property.js'

/** `-m helper` (xt_helper_info, include/uapi/linux/netfilter/xt_helper.h): the packet belongs to a connection that a conntrack helper expected. */
export interface HelperMatch {
  /** Name of the helper, at most 29 bytes; with a port behind a hyphen where it is not the usual one (`ftp-2121`); '' is any. */
  helper: string | Not<string>
}

declare module '../extension.js' {
  interface Matches { helper: HelperMatch }
}

registerExtension({
  kind: 'match', name: 'helper', revision: 0, size: 36,
  properties: [property({ key: 'helper', options: ['--helper'], type: fixedString(4, 30, { truncate: true }), invert: nonZero(0, 4), mandatory: true })],
})
