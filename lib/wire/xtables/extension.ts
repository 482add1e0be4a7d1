// SPDX-License-Identifier: MIT
// Matches and targets: what one file declares of each, and the registry that users extend with the same function.

import { invalidArgument } from '../../errors.js'
import type { IpFamily } from '../ip.js'
import { Payload, type RuleContext, RuleError } from './payload.js'
import { isNot, type Property } from './property.js'

/** The typed matches by name; each extension's file adds its own by declaration merging, and so can users. */
export interface Matches {}
/** The typed targets by name; see {@link Matches}. */
export interface Targets {}

/** A match or target that nfkit has no description of, or whose struct has another size than expected: kept byte for byte. */
export interface OpaqueExtension {
  name: string
  revision: number
  /** The bytes after the 32-byte header. */
  opaque: Uint8Array
}

export type MatchValue = { [N in keyof Matches]: { name: N } & Matches[N] }[keyof Matches] | OpaqueExtension
export type TargetValue = { [N in keyof Targets]: { name: N } & Targets[N] }[keyof Targets] | OpaqueExtension

/** The built-in chains. */
export type Hook = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'
const HOOKS: readonly string[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']

/** One revision of a match or target. */
export interface Extension {
  readonly kind: 'match' | 'target'
  /** What follows -m or -j. */
  readonly name: string
  /** The name in the table, where it is another one: `state` is a `conntrack`. */
  readonly wireName?: string
  readonly revision: number
  /** Only for this family; both unless told. */
  readonly family?: IpFamily
  /** sizeof the struct, without alignment. */
  readonly size: number
  /** Where the kernel's private tail begins: not compared, zero when written. */
  readonly userSize?: number
  readonly properties: readonly Property[]
  /** The protocols of which the rule must have one, without negation. */
  readonly protocols?: readonly number[]
  /** Only in these tables. */
  readonly tables?: readonly string[]
  /** Of the built-in chains only these; whether a user's chain is reached from others only the kernel can tell. */
  readonly hooks?: readonly Hook[]
  /** Keys of which at least one must be given. */
  readonly oneOf?: readonly string[]
  /** What the struct is before any option. */
  readonly init?: (p: Payload, ctx: RuleContext) => void
  /** What iptables checks at the end; `seen` has the keys that were given. Throws {@link RuleError}. */
  readonly check?: (p: Payload, seen: ReadonlySet<string>, ctx: RuleContext) => void
  /** Instead of printing property by property. With a leading space. */
  readonly print?: (p: Payload, ctx: RuleContext) => string
  /** Whether these bytes are this extension, where several share a wire name and revision. */
  readonly recognises?: (p: Payload) => boolean
}

const byName = new Map<string, Extension[]>()
const byWire = new Map<string, Extension[]>()

const nameKey = (kind: string, name: string) => `${kind} ${name}`
const wireKey = (kind: string, name: string, revision: number) => `${kind} ${name} ${revision}`

/** Registers a match or target, or a further revision of one. The built-in ones use this function, too. */
export function registerExtension(extension: Extension): Extension {
  const { kind, name, wireName = name, revision, size, properties } = extension
  if (typeof name !== 'string' || name.length < 1 || name.length > 28) throw invalidArgument('name', 'a name of 1 to 28 characters', name)
  if (!Number.isInteger(revision) || revision < 0 || revision > 255) throw invalidArgument('revision', 'an integer from 0 to 255', revision)
  if (!Number.isInteger(size) || size < 0 || size > 65000) throw invalidArgument('size', 'bytes from 0 to 65000', size)
  const keys = new Set(properties.map((one) => one.key))
  for (const one of properties) {
    for (const key of [...(one.excludes ?? []), ...(one.requires ?? [])]) {
      if (!keys.has(key)) throw invalidArgument(`${name}.${one.key}`, 'excludes and requires that name its own properties', key)
    }
  }
  const add = (map: Map<string, Extension[]>, key: string) => {
    const list = map.get(key) ?? []
    map.set(key, [extension, ...list.filter((other) => other.revision !== revision || other.family !== extension.family || other.name !== name)]
      .sort((a, b) => b.revision - a.revision))
  }
  add(byName, nameKey(kind, name))
  add(byWire, wireKey(kind, wireName, revision))
  return extension
}

const fits = (extension: Extension, family: IpFamily) => extension.family === undefined || extension.family === family

/** The extension to write a name with: the newest revision that the kernel has, as `kernelHas` says. */
export function extensionForWriting(
  kind: 'match' | 'target', name: string, family: IpFamily, kernelHas: (wireName: string, revision: number) => boolean = () => true,
): Extension | undefined {
  return byName.get(nameKey(kind, name))?.find((extension) => fits(extension, family) && kernelHas(extension.wireName ?? name, extension.revision))
}

/** The extension that describes bytes of a table. */
export function extensionForReading(kind: 'match' | 'target', wireName: string, family: IpFamily, payload: Payload, revision: number): Extension | undefined {
  const candidates = byWire.get(wireKey(kind, wireName, revision))?.filter((extension) => fits(extension, family) && align8(extension.size) === payload.size)
  return candidates?.find((extension) => extension.recognises?.(payload) === true) ?? candidates?.find((extension) => extension.recognises === undefined)
}

/** XT_ALIGN of a 64-bit kernel (include/uapi/linux/netfilter/x_tables.h). */
export function align8(length: number): number {
  return (length + 7) & ~7
}

/** Every registered name. */
export function extensionNames(kind: 'match' | 'target'): string[] {
  return [...byName.keys()].filter((key) => key.startsWith(`${kind} `)).map((key) => key.slice(kind.length + 1)).sort()
}

/** Everything that is registered for a family, each revision on its own. */
export function registeredExtensions(kind: 'match' | 'target', family: IpFamily): Extension[] {
  return [...byName.values()].flat().filter((extension) => extension.kind === kind && fits(extension, family))
}

/** The typed value of bytes. */
export function decodeExtension(extension: Extension, p: Payload, ctx: RuleContext): Record<string, unknown> {
  const value: Record<string, unknown> = { name: extension.name }
  for (const property of extension.properties) {
    if (property.alias === true || property.present?.get(p) === false) continue
    const decoded: unknown = property.type.decode(p, ctx)
    if (decoded !== undefined) value[property.key] = property.invert?.get(p) === true ? { not: decoded } : decoded
  }
  return value
}

/** Writes a typed value into zeroed bytes. @throws TypeError, RangeError, {@link RuleError} */
export function encodeExtension(extension: Extension, value: Readonly<Record<string, unknown>>, p: Payload, ctx: RuleContext): void {
  extension.init?.(p, ctx)
  const seen = new Set<string>()
  const known = new Set(extension.properties.map((property) => property.key))
  for (const key of Object.keys(value)) {
    if (key !== 'name' && !known.has(key) && value[key] !== undefined) throw invalidArgument(extension.name, `one of ${[...known].join(', ') || 'no options'}`, key)
  }
  for (const property of extension.properties) {
    let given = value[property.key]
    if (property.alias === true || given === undefined) continue
    const path = `${extension.name}.${property.key}`
    if (isNot(given)) {
      if (property.invert === undefined) throw invalidArgument(path, 'a value that is not negated', given)
      if (given.not === false) throw invalidArgument(path, 'true or { not: true }', given)
      property.invert.set(p)
      given = given.not
    }
    property.type.encode(p, given as never, path, ctx)
    if (given === false) continue
    property.present?.set(p)
    seen.add(property.key)
  }
  checkExtension(extension, p, seen, ctx)
}

/** What iptables checks once all options were read. */
export function checkExtension(extension: Extension, p: Payload, seen: ReadonlySet<string>, ctx: RuleContext): void {
  const { name, protocols, tables, hooks, oneOf } = extension
  const spelled = (key: string) => extension.properties.find((property) => property.key === key)!.options[0]!
  if (protocols !== undefined && (!protocols.includes(ctx.protocol) || ctx.protocolNegated)) {
    throw new RuleError(`${name}: the rule must have ${protocols.map((number) => `-p ${ctx.resolver.protocolName(number) ?? number}`).join(' or ')}`)
  }
  if (tables !== undefined && ctx.table !== undefined && !tables.includes(ctx.table)) {
    throw new RuleError(`${name}: only in the ${tables.join(' or ')} table, not in ${ctx.table}`)
  }
  if (hooks !== undefined) requireHook(name, hooks, ctx)
  if (oneOf !== undefined && !oneOf.some((key) => seen.has(key))) throw new RuleError(`${name}: one of ${oneOf.map(spelled).join(', ')} is missing`)
  for (const property of extension.properties) {
    if (!seen.has(property.key)) {
      if (property.mandatory === true) throw new RuleError(`${name}: option ${property.options[0]!} is missing`)
      continue
    }
    for (const key of property.excludes ?? []) {
      if (seen.has(key)) throw new RuleError(`${name}: ${property.options[0]!} and ${spelled(key)} cannot be given together`)
    }
    for (const key of property.requires ?? []) {
      if (!seen.has(key)) throw new RuleError(`${name}: ${property.options[0]!} needs ${spelled(key)}, too`)
    }
  }
  extension.check?.(p, seen, ctx)
}

/** Throws when the rule is in a built-in chain that is none of `hooks`. */
export function requireHook(what: string, hooks: readonly Hook[], { chain }: RuleContext): void {
  if (chain === undefined || !HOOKS.includes(chain) || hooks.includes(chain as Hook)) return
  throw new RuleError(`${what}: only in ${hooks.join(', ')}, not in ${chain}`)
}

/** Reads the options of one extension, one at a time, into zeroed bytes. */
export class ExtensionParser {
  readonly extension: Extension
  readonly #payload: Payload
  readonly #seen = new Set<string>()

  /** Without a context the struct is as {@link Extension.init} leaves it already. */
  constructor(extension: Extension, payload: Payload, ctx?: RuleContext) {
    this.extension = extension
    this.#payload = payload
    if (ctx !== undefined) extension.init?.(payload, ctx)
  }

  /** Takes one option. */
  option(property: Property, argument: string | undefined, inverted: boolean, ctx: RuleContext): void {
    const option = property.options[0]!
    if (this.#seen.has(property.key) && property.repeatable !== true) throw new RuleError(`${option} cannot be given twice`)
    if (inverted) {
      if (property.invert === undefined) throw new RuleError(`${option} cannot be negated`)
      property.invert.set(this.#payload)
    }
    property.type.parse(this.#payload, argument ?? '', option, ctx)
    property.present?.set(this.#payload)
    this.#seen.add(property.key)
  }

  /** Checks what only the whole can tell. */
  finish(ctx: RuleContext): void {
    checkExtension(this.extension, this.#payload, this.#seen, ctx)
  }
}

/** The options as iptables-save prints them, each with a leading space. */
export function printExtension(extension: Extension, p: Payload, ctx: RuleContext): string {
  if (extension.print !== undefined) return extension.print(p, ctx)
  let text = ''
  for (const property of extension.properties) {
    if (property.alias === true || property.present?.get(p) === false) continue
    const argument = property.type.print(p, ctx)
    if (argument === undefined) continue
    text += `${property.invert?.get(p) === true ? ' !' : ''} ${property.options[0]!}${argument === '' ? '' : ` ${argument}`}`
  }
  return text
}

/** Whether two structs are the same rule: the kernel's private tail and the padding do not count. */
export function sameExtension(extension: Extension, a: Payload, b: Payload): boolean {
  const end = extension.userSize ?? extension.size
  for (let i = 0; i < end; i++) if (a.u8(i) !== b.u8(i)) return false
  return true
}
