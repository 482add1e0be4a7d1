// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { fixedString, property } from '../property.js'

/** `-m comment` (xt_comment_info, include/uapi/linux/netfilter/xt_comment.h): matches everything. */
export interface CommentMatch {
  /** Up to 255 bytes of UTF-8. Text that is longer is cut, as iptables does; a longer value is refused. */
  comment: string
}

declare module '../extension.js' {
  interface Matches { comment: CommentMatch }
}

registerExtension({
  kind: 'match', name: 'comment', revision: 0, size: 256,
  properties: [property({ key: 'comment', options: ['--comment'], type: fixedString(0, 256, { truncate: true }), mandatory: true })],
})
