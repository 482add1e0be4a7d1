// SPDX-License-Identifier: MIT

import { invalidArgument } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { property, type PropertyType } from '../property.js'

/**
 * `-j CLASSIFY` (xt_classify_target_info, include/uapi/linux/netfilter/xt_CLASSIFY.h): the packet's class of traffic control. Only in
 * FORWARD, OUTPUT and POSTROUTING.
 */
export interface ClassifyTarget {
  /** `major:minor`, each hexadecimal, 0 to ffff. */
  class: string
}

declare module '../extension.js' {
  interface Targets { CLASSIFY: ClassifyTarget }
}

function put(p: Payload, text: unknown, fail: (expected: string) => Error): void {
  const match = typeof text === 'string' ? /^(?:0x)?([0-9a-f]{1,8}):(?:0x)?([0-9a-f]{1,8})$/i.exec(text) : null
  const [major, minor] = [Number.parseInt(match?.[1] ?? '', 16), Number.parseInt(match?.[2] ?? '', 16)]
  if (!(major <= 0xffff && minor <= 0xffff)) throw fail('major:minor, two hexadecimal numbers from 0 to ffff')
  p.setU32(0, major * 0x10000 + minor)
}

const type: PropertyType<string> = {
  decode: (p) => `${(p.u32(0) >>> 16).toString(16)}:${(p.u32(0) & 0xffff).toString(16)}`,
  encode: (p, value, name) => put(p, value, (expected) => invalidArgument(name, expected, value)),
  parse: (p, text, option) => put(p, text, (expected) => new RuleError(`${option}: expected ${expected}, got "${text}"`)),
  print: (p) => [p.u32(0) >>> 16, p.u32(0) & 0xffff].map((half) => half.toString(16).padStart(4, '0')).join(':'),
}

registerExtension({
  kind: 'target', name: 'CLASSIFY', revision: 0, size: 4, hooks: ['FORWARD', 'OUTPUT', 'POSTROUTING'],
  properties: [property({ key: 'class', options: ['--set-class'], type, mandatory: true })],
})
