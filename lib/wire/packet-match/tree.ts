// SPDX-License-Identifier: MIT
// A match as a tree of fields, made of what the user gave and checked.

import { invalidArgument, outOfRange } from '../../errors.js'
import type { IpFamily } from '../ip.js'
import { familiesOf, type Field, fieldNames, fieldOf, isBehindHeaders, type Layer, LAYERS, type LinkType, type PacketMatchFields, protocolsOf } from './field.js'

/** Fields that must all hold, and combinations of further matches. */
export interface PacketMatchSpec extends PacketMatchFields {
  /** All of these must match. */
  and?: readonly PacketMatchSpec[]
  /** At least one of these must match. */
  or?: readonly PacketMatchSpec[]
  /** This must not match. A packet that does not have a field does not match that field, so it matches the negation. */
  not?: PacketMatchSpec
}

export type Tree =
  | { readonly kind: 'field'; readonly field: Field<unknown>; readonly value: unknown }
  | { readonly kind: 'and' | 'or'; readonly children: readonly Tree[] }
  | { readonly kind: 'not'; readonly child: Tree }
  | { readonly kind: 'constant'; readonly value: boolean }

const MOST_DEPTH = 32
const SHAPE = 'an object of fields, and, or, not'

/** Checks a match and makes a tree of it. @throws TypeError, RangeError */
export function readMatch(spec: unknown, name: string, depth = 0): Tree {
  if (typeof spec !== 'object' || spec === null || Array.isArray(spec)) throw invalidArgument(name, SHAPE, spec)
  if (depth > MOST_DEPTH) throw outOfRange(name, `matches nested at most ${MOST_DEPTH} deep`, depth)
  const children: Tree[] = []
  for (const [key, given] of Object.entries(spec)) {
    if (given === undefined) continue
    const path = `${name}.${key}`
    if (key === 'not') children.push({ kind: 'not', child: readMatch(given, path, depth + 1) })
    else if (key === 'and' || key === 'or') {
      if (!Array.isArray(given)) throw invalidArgument(path, 'an array of matches', given)
      if (given.length === 0) throw outOfRange(path, 'at least one match', given)
      children.push({ kind: key, children: given.map((one, i) => readMatch(one, `${path}[${i}]`, depth + 1)) })
    } else {
      const field = fieldOf(key)
      if (field === undefined) throw invalidArgument(name, `one of ${[...fieldNames(), 'and', 'or', 'not'].join(', ')}`, key)
      children.push({ kind: 'field', field, value: field.read(given, path) })
    }
  }
  checkTogether(children, name)
  return children.length === 1 ? children[0]! : { kind: 'and', children }
}

/** Fields of one object that no packet can have together are a mistake. */
function checkTogether(children: readonly Tree[], name: string): void {
  const narrow = <T>(what: string, values: (field: Field<unknown>, value: unknown) => readonly T[] | undefined) => {
    let left: { key: string; values: readonly T[] } | undefined
    for (const one of children) {
      if (one.kind !== 'field') continue
      const { key } = one.field
      const these = values(one.field, one.value)
      if (these === undefined) continue
      const both = left === undefined ? these : left.values.filter((value) => these.includes(value))
      if (both.length === 0) throw new TypeError(`${name}: expected fields that a packet can have together, got ${left!.key} and ${key} of different ${what}`)
      left = { key, values: both }
    }
  }
  narrow<IpFamily>('families', (field, value) => (field.families === undefined ? undefined : familiesOf(field, value)))
  narrow<number>('protocols', protocolsOf)
}

/** Calls `visit` for each field of a tree. */
export function eachField(tree: Tree, visit: (field: Field<unknown>, value: unknown) => void): void {
  if (tree.kind === 'field') visit(tree.field, tree.value)
  else if (tree.kind === 'not') eachField(tree.child, visit)
  else if (tree.kind !== 'constant') for (const child of tree.children) eachField(child, visit)
}

/** How far a tree looks into a packet. */
export function depthOf(tree: Tree): Layer {
  let deepest = 0
  eachField(tree, (field, value) => { deepest = Math.max(deepest, LAYERS.indexOf(field.layer(value))) })
  return LAYERS[deepest]!
}

/** @throws TypeError for a field that packets of the link type never have */
export function checkLinkType(tree: Tree, linkType: unknown, name: string): asserts linkType is LinkType {
  if (linkType !== 'RAW' && linkType !== 'EN10MB') throw invalidArgument(name, 'RAW or EN10MB', linkType)
  if (linkType === 'EN10MB') return
  const key = frameFieldOf(tree)
  if (key !== undefined) throw invalidArgument(name, `EN10MB, since the match looks at ${key}`, linkType)
}

/** The first field that only frames have. */
export function frameFieldOf(tree: Tree): string | undefined {
  let found: string | undefined
  eachField(tree, (field, value) => { if (field.layer(value) === 'link') found ??= field.key })
  return found
}

export const constant = (value: boolean): Tree => ({ kind: 'constant', value })

/**
 * A tree with some of its fields replaced by whether they hold, and simplified; unchanged parts stay the same objects. `decide`
 * answers undefined for a field that stays.
 */
export function simplify(tree: Tree, decide: (field: Field<unknown>, value: unknown, negated: boolean) => boolean | undefined, negated = false): Tree {
  if (tree.kind === 'constant') return tree
  if (tree.kind === 'field') {
    const holds = decide(tree.field, tree.value, negated)
    return holds === undefined ? tree : constant(holds)
  }
  if (tree.kind === 'not') {
    const child = simplify(tree.child, decide, !negated)
    if (child.kind === 'constant') return constant(!child.value)
    return child === tree.child ? tree : { kind: 'not', child }
  }
  const neutral = tree.kind === 'and'
  const children = tree.children.map((child) => simplify(child, decide, negated))
  if (children.some((child) => child.kind === 'constant' && child.value !== neutral)) return constant(!neutral)
  const left = children.filter((child) => child.kind !== 'constant')
  if (left.length === 0) return constant(neutral)
  if (left.length === 1) return left[0]!
  return left.length === tree.children.length && left.every((child, i) => child === tree.children[i]) ? tree : { kind: tree.kind, children: left }
}

/** Of a tree about packets whose extension headers do not end: holds whatever is behind them, or could hold. */
export function whateverFollows(tree: Tree, certain: boolean): Tree {
  return simplify(tree, (field, value, negated) => (isBehindHeaders(field.layer(value)) ? certain === negated : undefined))
}
