// SPDX-License-Identifier: MIT

import { type Extension, registerExtension } from '../extension.js'
import { bit, fixedString, integer, type Not, property } from '../property.js'

/** `-m cgroup` (xt_cgroup, include/uapi/linux/netfilter/xt_cgroup.h): the sender of the packet. INPUT, OUTPUT and POSTROUTING only. */
export interface CgroupMatch {
  /** Class of the net_cls controller (cgroup v1), 0 to 4294967295. Either this or the path must be there. */
  classid?: number | Not<number>
  /** Path of a cgroup v2 from its root, 1 to 511 bytes; the cgroups below it count. It must be there. Linux 4.5. */
  path?: string | Not<string>
}

declare module '../extension.js' {
  interface Matches { cgroup: CgroupMatch }
}

const common = { kind: 'match', name: 'cgroup', hooks: ['INPUT', 'OUTPUT', 'POSTROUTING'] } satisfies Partial<Extension>

/** has_path, has_classid, invert_path, invert_classid, then both values. */
function paths(pathLength: number, classid: number) {
  return [
    property({
      key: 'path', options: ['--path'], type: fixedString(4, pathLength, { min: 1, truncate: true }),
      present: bit(0, 1), invert: bit(2, 1), excludes: ['classid'],
    }),
    property({ key: 'classid', options: ['--cgroup'], type: integer({ offset: classid, width: 4 }), present: bit(1, 1), invert: bit(3, 1) }),
  ]
}

// The path and the class share their place in revision 2.
registerExtension({ ...common, revision: 2, size: 528, userSize: 520, oneOf: ['path', 'classid'], properties: paths(512, 4) })
registerExtension({ ...common, revision: 1, size: 4112, userSize: 4104, oneOf: ['path', 'classid'], properties: paths(4096, 4100) })
registerExtension({
  ...common, revision: 0, size: 8,
  properties: [property({ key: 'classid', options: ['--cgroup'], type: integer({ offset: 0, width: 4 }), invert: bit(4, 1, 4), mandatory: true })],
})
