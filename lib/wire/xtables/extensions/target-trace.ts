// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'

/** `-j TRACE`: the kernel logs every rule that the packet meets. No struct. Only in the raw table. */
export interface TraceTarget {}

declare module '../extension.js' {
  interface Targets { TRACE: TraceTarget }
}

registerExtension({ kind: 'target', name: 'TRACE', revision: 0, size: 0, tables: ['raw'], properties: [] })
