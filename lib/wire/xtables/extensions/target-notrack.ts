// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'

/** `-j NOTRACK`: the connection is not tracked. Only in the raw table. */
export interface NotrackTarget {}

declare module '../extension.js' {
  interface Targets { NOTRACK: NotrackTarget }
}

/** XT_CT_NOTRACK and XT_CT_NOTRACK_ALIAS (include/uapi/linux/netfilter/xt_CT.h). */
const FLAGS = 3

// Written as CT, kernel 3.6 and newer; xt_ct_target_info_v1.
registerExtension({
  kind: 'target', name: 'NOTRACK', wireName: 'CT', revision: 2, size: 72, userSize: 64, tables: ['raw'],
  init: (p) => p.setU16(0, FLAGS),
  recognises: (p) => (p.u16(0) & 2) !== 0,
  properties: [],
})
// The target of its own that older kernels have: no struct.
registerExtension({ kind: 'target', name: 'NOTRACK', revision: 0, size: 0, tables: ['raw'], properties: [] })
