// SPDX-License-Identifier: MIT

import { registerExtension } from '../extension.js'
import { choice, property, type PropertyType } from '../property.js'

/** XT_AUDIT_TYPE_* */
const TYPES = { accept: 0, drop: 1, reject: 2 } as const

/** `-j AUDIT` (xt_audit_info, include/uapi/linux/netfilter/xt_AUDIT.h): a record for the audit daemon. Not a verdict. */
export interface AuditTarget {
  /** The verdict to write down. */
  type: keyof typeof TYPES
}

declare module '../extension.js' {
  interface Targets { AUDIT: AuditTarget }
}

const names = choice<keyof typeof TYPES>({ offset: 0, width: 1 }, TYPES)
const type: PropertyType<keyof typeof TYPES> = { ...names, parse: (p, text, option, ctx) => names.parse(p, text.toLowerCase(), option, ctx) }

registerExtension({
  kind: 'target', name: 'AUDIT', revision: 0, size: 1,
  recognises: (p) => p.u8(0) <= 2,
  properties: [property({ key: 'type', options: ['--type'], type, mandatory: true })],
})
