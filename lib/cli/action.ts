// SPDX-License-Identifier: MIT
// How a command is declared: its actions with their arguments and options, from which parsing, usage and help are made.

import type { Output } from './output.js'

/** One option. `flag`: given or not. `switch`: also `--no-NAME`. `value`: takes one. */
export type OptionSpec =
  | { readonly type: 'flag' | 'switch'; readonly help: string; readonly short?: string }
  | { readonly type: 'value'; readonly value: string; readonly help: string; readonly short?: string }

export type OptionSpecs = Readonly<Record<string, OptionSpec>>

/** What was given: absent options are absent. */
export type OptionValues<O extends OptionSpecs = OptionSpecs> = { readonly [K in keyof O]?: Given<O[K]['type']> }
type Given<T> = T extends 'value' ? string : boolean

/** What an action gets. */
export interface Invocation<O extends OptionSpecs = OptionSpecs> {
  readonly args: readonly string[]
  readonly options: OptionValues<O>
  /** JSON is wanted. */
  readonly json: boolean
  /** As every entry point of the library takes it. */
  readonly netns: { readonly netns?: string | undefined }
  readonly out: Output
}

export interface Action<O extends OptionSpecs = OptionSpecs> {
  /** What follows the command's name: `show`, `port add`; empty for the command alone. */
  readonly words: string
  /** As in the usage: `BRIDGE [PORT]`; `-- COMMAND...` takes the rest of the line as it is. */
  readonly args: string
  readonly summary: string
  /** More for the help, in lines. */
  readonly details?: readonly string[]
  readonly options: O
  /** Without `--netns` and `--json`. */
  readonly bare?: boolean
  run(invocation: Invocation<O>): void | Promise<void>
}

export interface Command {
  readonly name: string
  readonly actions: readonly Action<any>[]
}

/** Declares an action; the types of its options come from what it declares. */
export function action<const O extends OptionSpecs>(declared: Action<O>): Action<O> { return declared }

/** What every action takes. */
export const COMMON: OptionSpecs = {
  netns: { type: 'value', value: 'NAME|PATH', short: 'n', help: 'network namespace: a name in /run/netns or a path' },
  json: { type: 'flag', short: 'j', help: 'print JSON' },
}

export const HELP: OptionSpecs = { help: { type: 'flag', short: 'h', help: 'print this' } }

export function optionsOf({ options, bare }: Action): OptionSpecs {
  return { ...options, ...(bare === true ? {} : COMMON), ...HELP }
}

/** How many arguments an action takes. */
export function arity({ args }: Action): { least: number; most: number; rest: boolean } {
  const rest = args.startsWith('-- ')
  const names = (rest ? args.slice(3) : args).split(' ').filter((name) => name !== '')
  const least = names.filter((name) => !name.startsWith('[')).length
  return { least, most: rest || args.includes('...') ? Infinity : names.length, rest }
}
