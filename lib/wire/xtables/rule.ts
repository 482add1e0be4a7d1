// SPDX-License-Identifier: MIT
// A whole rule: fixed part, matches in their order, target. Bytes are the form that tables keep; values and text are made of
// them and into them. The offset behind a jump belongs to the table, so a rule carries the chain's name beside its bytes.

import { invalidArgument } from '../../errors.js'
import { type Input, inputOf, kept, LITTLE_ENDIAN, Writer } from '../bytes.js'
import type { IpFamily } from '../ip.js'
import {
  appendExtension, entryAt, type EntryLayout, entryLayouts, EXTENSION_HEADER, extensionAt, type ExtensionSpan, IP6T_F_GOTO, IPT_F_GOTO, matchesOf, VERDICT, XT_INV,
} from './entry.js'
import {
  align8, decodeExtension, encodeExtension, extensionForReading, extensionForWriting, type MatchValue, printExtension, sameExtension, type TargetValue,
} from './extension.js'
import { decodeFixed, encodeFixed, type FixedRule, printFixed } from './fixed.js'
import { Payload, type Resolver, type RuleContext, RuleError } from './payload.js'

export type Verdict = 'ACCEPT' | 'DROP' | 'QUEUE' | 'RETURN'

/** Where a packet goes that the rule matches: a verdict, another chain, or an extension. */
export type RuleTarget = { name: Verdict } | { jump: string } | { goto: string } | TargetValue

/** A rule as users write and read it. */
export interface Rule extends FixedRule {
  /** In their order; a match can be there several times. */
  matches?: readonly MatchValue[]
  /** Without one the rule only counts. */
  target?: RuleTarget
}

/** A rule as tables keep it. */
export interface RuleBytes {
  /** The entry with its matches and target; counters and verdict offsets are whoever's table it is in. */
  readonly bytes: Uint8Array
  /** The chain that a jump or goto leads to. */
  readonly chain?: string | undefined
}

/** What making and reading rules needs to know. */
export interface RuleEnvironment {
  readonly family: IpFamily
  readonly resolver: Resolver
  readonly table?: string | undefined
  readonly chain?: string | undefined
  /** Whether the kernel has a revision of a match or target; all unless told. */
  readonly kernelHas?: ((kind: 'match' | 'target', wireName: string, revision: number) => boolean) | undefined
  /** Whether a name is a chain of the table; a chain wins over an extension of its name. */
  readonly isChain?: ((name: string) => boolean) | undefined
}

/** sizeof struct xt_standard_target. */
export const STANDARD_TARGET = 40

/** The context of an entry for its extensions. */
export function contextOf(p: Payload, layout: EntryLayout, environment: RuleEnvironment): RuleContext {
  const { family, resolver, table, chain } = environment
  return { family, resolver, table, chain, protocol: p.u16(layout.protocol), protocolNegated: (p.u8(layout.invert) & XT_INV.protocol) !== 0 }
}

/** The newest revision that nfkit and the kernel know. @throws RuleError */
export function requireExtension(kind: 'match' | 'target', name: string, environment: RuleEnvironment) {
  const { family, kernelHas } = environment
  const extension = extensionForWriting(kind, name, family, (wireName, revision) => kernelHas?.(kind, wireName, revision) ?? true)
  if (extension !== undefined) return extension
  const known = extensionForWriting(kind, name, family) !== undefined
  throw new RuleError(known ? `the kernel has no ${kind} ${name} for ${family}` : `there is no ${kind} ${name} for ${family}`)
}

/** Appends the standard target; `verdict` 0 is a rule without target, or a chain that the table fills in. */
export function appendStandardTarget(w: Writer, verdict: number): void {
  const at = appendExtension(w, '', 0, STANDARD_TARGET - EXTENSION_HEADER)
  w.view.setInt32(at, verdict, LITTLE_ENDIAN)
}

/** Sets where the target is and where the entry ends. */
export function closeEntry(w: Writer, layout: EntryLayout, start: number, target: number): void {
  w.view.setUint16(start + layout.targetOffset, target - start, LITTLE_ENDIAN)
  w.view.setUint16(start + layout.nextOffset, w.length - start, LITTLE_ENDIAN)
}

export function markGoto(p: Payload, layout: EntryLayout): void {
  p.setU8(layout.flags, p.u8(layout.flags) | (layout.family === 'ipv4' ? IPT_F_GOTO : IP6T_F_GOTO))
}

/** Throws unless a name can be a chain's (XT_EXTENSION_MAXNAMELEN, XT_TABLE_MAXNAMELEN). */
export function checkChainName(name: unknown, argument = 'chain'): asserts name is string {
  if (typeof name !== 'string' || !/^[^-!\s\0][^\s\0]{0,27}$/.test(name)) {
    throw invalidArgument(argument, 'a chain name of 1 to 28 characters that does not begin with - or !', name)
  }
}

/** One rule at a time is written here; undefined while one is. */
let spare: Writer | undefined = new Writer(1024)

/** Makes bytes of a typed rule. @throws TypeError, RangeError, RuleError: whatever iptables would refuse */
export function encodeRule(rule: Rule, environment: RuleEnvironment): RuleBytes {
  // A resolver of a user's could encode a rule of its own.
  const w = spare ?? new Writer(1024)
  spare = undefined
  w.reset()
  try { return encodeInto(w, rule, environment) } finally { spare = w }
}

function encodeInto(w: Writer, rule: Rule, environment: RuleEnvironment): RuleBytes {
  const layout = entryLayouts[environment.family]
  w.reserve(layout.size)
  const fixed = () => new Payload(w, 0, layout.size)
  const known = ['source', 'destination', 'inInterface', 'outInterface', 'protocol', 'fragment', 'matches', 'target']
  for (const key of Object.keys(rule)) if (!known.includes(key)) throw invalidArgument('rule', `one of ${known.join(', ')}`, key)
  encodeFixed(fixed(), layout, rule, environment.resolver)
  const ctx = contextOf(fixed(), layout, environment)
  for (const match of rule.matches ?? []) encodeOne(w, 'match', match, environment, ctx)
  const start = w.length
  const { target } = rule
  let chain: string | undefined
  if (target === undefined) appendStandardTarget(w, 0)
  else if ('jump' in target || 'goto' in target) {
    const name: unknown = 'jump' in target ? target.jump : target.goto
    checkChainName(name, 'target')
    chain = name
    if ('goto' in target) markGoto(fixed(), layout)
    appendStandardTarget(w, 0)
  } else if (typeof target.name === 'string' && Object.hasOwn(VERDICT, target.name)) {
    appendStandardTarget(w, VERDICT[target.name as Verdict])
  } else encodeOne(w, 'target', target as TargetValue, environment, ctx)
  closeEntry(w, layout, 0, start)
  return { bytes: kept(w.finish()), chain }
}

function encodeOne(w: Writer, kind: 'match' | 'target', value: MatchValue | TargetValue, environment: RuleEnvironment, ctx: RuleContext): void {
  if (typeof value !== 'object' || value === null || typeof value.name !== 'string') throw invalidArgument(kind, 'an object with a name', value)
  if ('opaque' in value) {
    const { name, revision, opaque } = value
    const at = appendExtension(w, name, revision, align8(opaque.length))
    w.bytes.set(opaque, at)
    return
  }
  const { name } = value as { name: string }
  const extension = requireExtension(kind, name, environment)
  const at = appendExtension(w, extension.wireName ?? extension.name, extension.revision, align8(extension.size))
  encodeExtension(extension, value as unknown as Record<string, unknown>, new Payload(w, at, align8(extension.size)), ctx)
}

/** The typed rule of bytes. `chain` is where a jump leads. @throws NfkitError EBADMSG */
export function decodeRule({ bytes, chain }: RuleBytes, environment: RuleEnvironment): Rule {
  const layout = entryLayouts[environment.family]
  const input = inputOf(bytes)
  const entry = entryAt(layout, input, 0, bytes.length)
  const fixed = new Payload(input, 0, layout.size)
  const ctx = contextOf(fixed, layout, environment)
  const one = (kind: 'match' | 'target', span: ExtensionSpan): MatchValue => {
    const p = new Payload(input, span.start, span.size)
    const extension = extensionForReading(kind, span.name, environment.family, p, span.revision)
    return extension === undefined
      ? { name: span.name, revision: span.revision, opaque: p.slice(0, span.size) }
      : decodeExtension(extension, p, ctx) as unknown as MatchValue
  }
  const rule: Rule = decodeFixed(fixed, layout, environment.resolver)
  const matches = matchesOf(layout, input, entry).map((span) => one('match', span))
  if (matches.length > 0) rule.matches = matches
  const span = extensionAt(input, entry.target, entry.end)
  if (span.name !== '') rule.target = one('target', span) as TargetValue
  else {
    const target = standardTarget(fixed, layout, input.view.getInt32(span.start, LITTLE_ENDIAN), chain)
    if (target !== undefined) rule.target = target
  }
  return rule
}

function standardTarget(fixed: Payload, layout: EntryLayout, verdict: number, chain: string | undefined): RuleTarget | undefined {
  if (chain !== undefined) return (fixed.u8(layout.flags) & gotoBit(layout)) !== 0 ? { goto: chain } : { jump: chain }
  const name = (Object.keys(VERDICT) as Verdict[]).find((one) => VERDICT[one] === verdict)
  return name === undefined ? undefined : { name }
}

const gotoBit = (layout: EntryLayout) => (layout.family === 'ipv4' ? IPT_F_GOTO : IP6T_F_GOTO)

/** A rule as iptables-save prints it after `-A CHAIN`, with a leading space. */
export function printRule({ bytes, chain }: RuleBytes, environment: RuleEnvironment): string {
  const layout = entryLayouts[environment.family]
  const input = inputOf(bytes)
  const entry = entryAt(layout, input, 0, bytes.length)
  const fixed = new Payload(input, 0, layout.size)
  const ctx = contextOf(fixed, layout, environment)
  let text = printFixed(fixed, layout, environment.resolver)
  for (const span of matchesOf(layout, input, entry)) text += printExtensionSpan('match', span, input, ctx)
  const span = extensionAt(input, entry.target, entry.end)
  if (span.name !== '') return text + printExtensionSpan('target', span, input, ctx)
  const target = standardTarget(fixed, layout, input.view.getInt32(span.start, LITTLE_ENDIAN), chain)
  if (target === undefined) return text
  return 'goto' in target ? `${text} -g ${target.goto}` : `${text} -j ${'jump' in target ? target.jump : target.name as string}`
}

/** A match or target with its -m or -j, with a leading space. */
export function printExtensionSpan(kind: 'match' | 'target', span: ExtensionSpan, input: Input, ctx: RuleContext): string {
  const p = new Payload(input, span.start, span.size)
  const extension = extensionForReading(kind, span.name, ctx.family, p, span.revision)
  return ` ${kind === 'match' ? '-m' : '-j'} ${extension?.name ?? span.name}${extension === undefined ? opaqueText(span) : printExtension(extension, p, ctx)}`
}

/** Says that the text is not the whole rule, as iptables-save does for what it cannot print. */
function opaqueText(span: ExtensionSpan): string {
  return ` [${span.size} bytes of unknown ${span.name === '' ? 'extension' : span.name} revision ${span.revision}]`
}

/**
 * Whether two rules say the same by other revisions of the same matches and targets, as when another program wrote one of them: they
 * are printed alike.
 */
export function sameText(a: RuleBytes, b: RuleBytes, environment: RuleEnvironment): boolean {
  const { family } = environment
  const layout = entryLayouts[family]
  if (a.chain !== b.chain) return false
  for (let i = 0; i < layout.identity; i++) if (a.bytes[i] !== b.bytes[i]) return false
  const parts = ({ bytes }: RuleBytes) => {
    const input = inputOf(bytes)
    const entry = entryAt(layout, input, 0, bytes.length)
    return [...matchesOf(layout, input, entry), extensionAt(input, entry.target, entry.end)]
  }
  const [x, y] = [parts(a), parts(b)]
  const known = (span: ExtensionSpan, i: number, all: readonly ExtensionSpan[], { bytes }: RuleBytes) =>
    span.name === '' || extensionForReading(i === all.length - 1 ? 'target' : 'match', span.name, family, new Payload(inputOf(bytes), span.start, span.size), span.revision) !== undefined
  return x.length === y.length && x.every((span, i) => span.name === y[i]!.name) && x.some((span, i) => span.revision !== y[i]!.revision)
    && x.every((span, i) => known(span, i, x, a)) && y.every((span, i) => known(span, i, y, b))
    && printRule(a, environment) === printRule(b, environment)
}

/** Whether two rules are the same to the kernel: counters, comefrom, padding and kernel-private tails do not count. */
export function sameRule(a: RuleBytes, b: RuleBytes, family: IpFamily): boolean {
  if (a.bytes.length !== b.bytes.length || a.chain !== b.chain) return false
  const layout = entryLayouts[family]
  for (let i = 0; i < layout.identity; i++) if (a.bytes[i] !== b.bytes[i]) return false
  const [x, y] = [inputOf(a.bytes), inputOf(b.bytes)]
  const [p, q] = [entryAt(layout, x, 0, a.bytes.length), entryAt(layout, y, 0, b.bytes.length)]
  if (p.target !== q.target) return false
  const spans = (input: typeof x, entry: typeof p) => [...matchesOf(layout, input, entry), extensionAt(input, entry.target, entry.end)]
  const others = spans(y, q)
  return spans(x, p).every((span, i, all) => {
    const other = others[i]
    if (other === undefined || span.name !== other.name || span.revision !== other.revision || span.size !== other.size) return false
    // The verdict of a jump is an offset of its table.
    if (span.name === '' && a.chain !== undefined) return true
    const [pa, pb] = [new Payload(x, span.start, span.size), new Payload(y, other.start, other.size)]
    const extension = extensionForReading(i === all.length - 1 ? 'target' : 'match', span.name, family, pa, span.revision)
    if (extension !== undefined) return sameExtension(extension, pa, pb)
    return pa.slice(0, span.size).every((byte, at) => byte === pb.u8(at))
  }) && others.length === spans(x, p).length
}
