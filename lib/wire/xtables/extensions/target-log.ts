// SPDX-License-Identifier: MIT

import { outOfRange } from '../../../errors.js'
import { registerExtension } from '../extension.js'
import { RuleError } from '../payload.js'
import { bit, choice, fixedString, flag, parseUnsigned, property, type PropertyType, writeInteger } from '../property.js'

/** The levels of syslog(3), most urgent first: 0 to 7. */
const LEVELS = { emerg: 0, alert: 1, crit: 2, error: 3, warning: 4, notice: 5, info: 6, debug: 7 } as const
export type LogLevel = keyof typeof LEVELS

/** `-j LOG` (xt_log_info, include/uapi/linux/netfilter/xt_LOG.h): a line in the kernel's log. Not a verdict: the next rule follows. */
export interface LogTarget {
  /** `warning` unless told. */
  level?: LogLevel
  /** 1 to 29 bytes before the line, without line feed. */
  prefix?: string
  tcpSequence?: boolean
  tcpOptions?: boolean
  ipOptions?: boolean
  /** The user of the local socket. */
  uid?: boolean
  /** The MAC header in plain words. */
  macDecode?: boolean
}

declare module '../extension.js' {
  interface Targets { LOG: LogTarget }
}

const LEVEL = { offset: 0, width: 1 } as const
const WARNING = 4

const level: PropertyType<LogLevel> = {
  ...choice<LogLevel>(LEVEL, LEVELS),
  parse(p, text, option) {
    const number = parseUnsigned(text, 0, 7) ?? (text === 'panic' ? 0 : Object.hasOwn(LEVELS, text) ? LEVELS[text as LogLevel] : undefined)
    if (number === undefined) throw new RuleError(`${option}: expected 0 to 7 or one of ${Object.keys(LEVELS).join(', ')}, got "${text}"`)
    writeInteger(p, LEVEL, number)
  },
  print: (p) => (p.u8(0) === WARNING ? undefined : String(p.u8(0))),
}

const text = fixedString(2, 30, { min: 1, truncate: true })
const prefix: PropertyType<string> = {
  ...text,
  decode: (p, ctx) => text.decode(p, ctx) || undefined,
  encode(p, value, name, ctx) {
    if (typeof value === 'string' && value.includes('\n')) throw outOfRange(name, 'a string without line feed', value)
    text.encode(p, value, name, ctx)
  },
  parse(p, value, option, ctx) {
    if (value.includes('\n')) throw new RuleError(`${option}: no line feed can be in it`)
    text.parse(p, value, option, ctx)
  },
  print: (p, ctx) => (p.u8(2) === 0 ? undefined : text.print(p, ctx)),
}

const option = (key: string, name: string, mask: number) => property({ key, options: [name], type: flag(bit(1, mask)), arguments: 0 })

registerExtension({
  kind: 'target', name: 'LOG', revision: 0, size: 32,
  init: (p) => p.setU8(0, WARNING),
  recognises: (p) => p.u8(0) < 8,
  properties: [
    property({ key: 'prefix', options: ['--log-prefix'], type: prefix }),
    property({ key: 'level', options: ['--log-level'], type: level }),
    option('tcpSequence', '--log-tcp-sequence', 0x01),
    option('tcpOptions', '--log-tcp-options', 0x02),
    option('ipOptions', '--log-ip-options', 0x04),
    option('uid', '--log-uid', 0x08),
    option('macDecode', '--log-macdecode', 0x20),
  ],
})
