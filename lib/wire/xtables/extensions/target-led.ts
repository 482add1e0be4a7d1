// SPDX-License-Identifier: MIT

import { invalidArgument, outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { type Payload, RuleError } from '../payload.js'
import { bit, fixedString, flag, parseUnsigned, property, type PropertyType, requireInteger } from '../property.js'

/** `-j LED` (xt_led_info, include/uapi/linux/netfilter/xt_LED.h): a trigger for light-emitting diodes. Not a verdict. */
export interface LedTarget {
  /** At most 16 bytes: the trigger is called `netfilter-` and this. */
  trigger: string
  /** Milliseconds of light after a packet, or for ever; 0 unless told. */
  delay?: number | 'inf'
  /** Blink once more when a packet comes while it shines. */
  alwaysBlink?: boolean
}

declare module '../extension.js' {
  interface Targets { LED: LedTarget }
}

const PREFIX = new TextEncoder().encode('netfilter-')
const DELAY = 28
const FOR_EVER = 0xffffffff

const name = fixedString(PREFIX.length, 27 - PREFIX.length)
const trigger: PropertyType<string> = {
  decode: name.decode,
  encode(p, value, path, ctx) {
    p.set(0, PREFIX)
    name.encode(p, value, path, ctx)
  },
  parse(p, text, option, ctx) {
    p.set(0, PREFIX)
    name.parse(p, text, option, ctx)
  },
  // Always in quotes, and the apostrophe needs no backslash.
  print: (p, ctx) => `"${name.decode(p, ctx)!.replace(/["\\]/g, '\\$&')}"`,
}

const text = (p: Payload) => (p.u32(DELAY) === 0 ? undefined : p.u32(DELAY) === FOR_EVER ? 'inf' as const : p.u32(DELAY) | 0)
const delay: PropertyType<number | 'inf'> = {
  decode(p) {
    const value = text(p)
    return value === undefined || value === 'inf' ? value : p.u32(DELAY)
  },
  encode(p, value, path) {
    if (value !== 'inf' && typeof value !== 'number') throw invalidArgument(path, 'milliseconds or "inf"', value)
    if (value !== 'inf') requireInteger(value, path, 0, FOR_EVER)
    if (value === FOR_EVER) throw outOfRange(path, '"inf" for no end', value)
    p.setU32(DELAY, value === 'inf' ? FOR_EVER : value)
  },
  parse(p, given, option) {
    const value = given.toLowerCase().startsWith('inf') ? FOR_EVER : parseUnsigned(given)
    if (value === undefined) throw new RuleError(`${option}: expected milliseconds or inf, got "${given}"`)
    p.setU32(DELAY, value)
  },
  print: (p) => {
    const value = text(p)
    return value === undefined ? undefined : String(value)
  },
}

registerExtension({
  kind: 'target', name: 'LED', revision: 0, size: 40, userSize: 32,
  recognises: (p) => PREFIX.every((byte, i) => p.u8(i) === byte),
  properties: [
    property({ key: 'trigger', options: ['--led-trigger-id'], type: trigger, mandatory: true }),
    property({ key: 'delay', options: ['--led-delay'], type: delay }),
    property({ key: 'alwaysBlink', options: ['--led-always-blink'], type: flag(bit(27, 1)), arguments: 0 }),
  ],
})
