// SPDX-License-Identifier: MIT
// Options made from the settings of a bridge or a port: one line for each, named by its path in the library.

import type { OptionSpec, OptionValues } from './action.js'
import { kebab } from './text.js'
import { decimal, integer } from './values.js'

/** `switch` for what is on or off; else the kind of value, and what stands for it in the help. */
export type Setting =
  | { readonly kind: 'switch'; readonly help: string }
  | { readonly kind: 'integer' | 'decimal' | 'text'; readonly value: string; readonly help: string }

/** By path, such as `stp.maxAge` for the option `--stp-max-age`. A setting named `enabled` is the option of its group. */
export type Settings = Readonly<Record<string, Setting>>

export const on = (help: string): Setting => ({ kind: 'switch', help })
export const seconds = (help: string): Setting => ({ kind: 'decimal', value: 'SECONDS', help })
export const count = (help: string, value = 'N'): Setting => ({ kind: 'integer', value, help })
export const text = (value: string, help: string): Setting => ({ kind: 'text', value, help })

function optionName(path: string): string {
  return kebab(path.replace(/\.enabled$/, ''))
}

export function settingOptions(settings: Settings): Record<string, OptionSpec> {
  return Object.fromEntries(Object.entries(settings).map(([path, setting]): [string, OptionSpec] => [
    optionName(path),
    setting.kind === 'switch' ? { type: 'switch', help: setting.help } : { type: 'value', value: setting.value, help: setting.help },
  ]))
}

/** The settings that were given, as the library takes them. @throws UsageError for a value of the wrong kind */
export function givenSettings(settings: Settings, options: OptionValues): Record<string, unknown> {
  const given: Record<string, unknown> = {}
  for (const [path, setting] of Object.entries(settings)) {
    const name = optionName(path)
    const value = options[name]
    if (value === undefined) continue
    const keys = path.split('.')
    const last = keys.pop()!
    let into = given
    for (const key of keys) into = (into[key] ??= {}) as Record<string, unknown>
    into[last] = setting.kind === 'integer' ? integer(`--${name}`, String(value))
      : setting.kind === 'decimal' ? decimal(`--${name}`, String(value))
        : value
  }
  return given
}
