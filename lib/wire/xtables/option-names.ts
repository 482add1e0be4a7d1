// SPDX-License-Identifier: MIT
// The names of options: iptables' own, its commands, and those of matches and targets, whole or by a beginning that only one has.

import type { Extension } from './extension.js'
import { RuleError } from './payload.js'
import type { Property } from './property.js'

/** An option outside the extensions. */
export type Basic = 'source' | 'destination' | 'protocol' | 'in' | 'out' | 'fragment' | 'match' | 'jump' | 'goto' | 'counters'

/** What a line does with its table. */
export type CommandOption = 'append' | 'delete' | 'check' | 'insert' | 'replace' | 'flush' | 'zero' | 'new-chain' | 'delete-chain' | 'rename-chain' | 'policy'

/** iptables' options that are neither part of a rule nor change a table. */
export type OtherOption =
  'list' | 'list-rules' | 'table' | 'numeric' | 'verbose' | 'wait' | 'wait-interval' | 'exact' | 'line-numbers' | 'modprobe' | 'ipv4' | 'ipv6' | 'version' | 'help'

/** An option of iptables itself, and whether it is part of a rule. */
export type OwnOption = { readonly basic: Basic } | { readonly command: CommandOption } | { readonly other: OtherOption }

const basic = (name: Basic): OwnOption => ({ basic: name })
const command = (name: CommandOption): OwnOption => ({ command: name })
const other = (name: OtherOption): OwnOption => ({ other: name })

const SHORT = new Map<string, OwnOption>([
  ['s', basic('source')], ['d', basic('destination')], ['p', basic('protocol')], ['i', basic('in')], ['o', basic('out')], ['f', basic('fragment')],
  ['m', basic('match')], ['j', basic('jump')], ['g', basic('goto')], ['c', basic('counters')],
  ['A', command('append')], ['D', command('delete')], ['C', command('check')], ['I', command('insert')], ['R', command('replace')], ['F', command('flush')],
  ['Z', command('zero')], ['N', command('new-chain')], ['X', command('delete-chain')], ['E', command('rename-chain')], ['P', command('policy')],
  ['L', other('list')], ['S', other('list-rules')], ['t', other('table')], ['n', other('numeric')], ['v', other('verbose')], ['w', other('wait')],
  ['W', other('wait-interval')], ['x', other('exact')], ['M', other('modprobe')], ['4', other('ipv4')], ['6', other('ipv6')], ['V', other('version')],
  ['h', other('help')],
])

const LONG = new Map<string, OwnOption>([
  ['--source', SHORT.get('s')!], ['--src', SHORT.get('s')!], ['--destination', SHORT.get('d')!], ['--dst', SHORT.get('d')!], ['--protocol', SHORT.get('p')!],
  ['--proto', SHORT.get('p')!], ['--in-interface', SHORT.get('i')!], ['--out-interface', SHORT.get('o')!], ['--fragment', SHORT.get('f')!],
  ['--fragments', SHORT.get('f')!], ['--match', SHORT.get('m')!], ['--jump', SHORT.get('j')!], ['--goto', SHORT.get('g')!], ['--set-counters', SHORT.get('c')!],
  ...[...SHORT.values()].flatMap((one): [string, OwnOption][] => ('command' in one ? [[`--${one.command}`, one]] : 'other' in one ? [[`--${one.other}`, one]] : [])),
  ['--line-numbers', other('line-numbers')],
])

/** A one-letter option. */
export const shortOption = (letter: string): OwnOption | undefined => SHORT.get(letter)

const optionMaps = new WeakMap<Extension, Map<string, Property>>()

/** The property that has an option of just this name. */
export function propertyOf(extension: Extension, name: string): Property | undefined {
  let map = optionMaps.get(extension)
  if (map === undefined) {
    map = new Map()
    for (const property of extension.properties) for (const option of property.options) if (!map.has(option)) map.set(option, property)
    optionMaps.set(extension, map)
  }
  return map.get(name)
}

export interface FoundProperty<P> {
  readonly part: P
  readonly property: Property
}

/**
 * The option of a long name among the parts of a rule, the first of which wins, and iptables' own.
 * @throws RuleError for a beginning that several have
 */
export function findOption<P extends { readonly extension: Extension }>(name: string, parts: readonly P[]): OwnOption | FoundProperty<P> | undefined {
  for (const part of parts) {
    const property = propertyOf(part.extension, name)
    if (property !== undefined) return { part, property }
  }
  const own = LONG.get(name)
  if (own !== undefined) return own
  let found: OwnOption | FoundProperty<P> | undefined
  const distinct = new Set<unknown>()
  const add = (key: unknown, one: OwnOption | FoundProperty<P>) => {
    if (!distinct.has(key)) found ??= one
    distinct.add(key)
  }
  for (const [long, one] of LONG) if (long.startsWith(name)) add(one, one)
  for (const part of parts) {
    for (const property of part.extension.properties) {
      if (property.options.some((option) => option.startsWith(name))) add(property, { part, property })
    }
  }
  if (distinct.size > 1) throw new RuleError(`option "${name}" could be several`)
  return found
}
