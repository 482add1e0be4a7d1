// SPDX-License-Identifier: MIT
// A whole table: the blob of GET_ENTRIES as chains, and chains as the blob of SET_REPLACE. Rules that nobody changes stay
// where they are in the old blob until they are copied, in runs, into the new one: an append to 100,000 rules decodes none.

import { type Input, inputOf, LITTLE_ENDIAN } from '../bytes.js'
import type { IpFamily } from '../ip.js'
import { malformed } from '../netlink.js'
import { entryAt, type EntryLayout, entryLayouts, EXTENSION_HEADER, extensionAt, VERDICT } from './entry.js'
import type { RuleBytes, Verdict } from './rule.js'
import type { RuleBlock } from './rule-block.js'

/** The hooks in the order of their numbers (enum nf_inet_hooks), by the names of their chains. */
export const HOOKS = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'] as const
export type HookName = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING'

/** struct ipt_getinfo: what the kernel says of a table. */
export interface TableInfo {
  readonly name: string
  /** Bit n is set for hook n. */
  readonly validHooks: number
  /** Where each hook's chain begins, in bytes; of valid hooks only. */
  readonly hookEntries: readonly number[]
  /** Where each hook's policy is. */
  readonly underflows: readonly number[]
  readonly entries: number
  readonly size: number
}

/** sizeof struct ipt_getinfo, ip6t_getinfo. */
export const TABLE_INFO_SIZE = 84

export function decodeTableInfo({ bytes, view }: Input): TableInfo {
  if (bytes.length < TABLE_INFO_SIZE) throw malformed('a table description that is too short')
  const nul = bytes.indexOf(0)
  const words = (at: number) => Array.from({ length: 5 }, (_, i) => view.getUint32(at + i * 4, LITTLE_ENDIAN))
  return {
    name: new TextDecoder().decode(bytes.subarray(0, nul < 0 || nul > 32 ? 32 : nul)),
    validHooks: view.getUint32(32, LITTLE_ENDIAN),
    hookEntries: words(36),
    underflows: words(56),
    entries: view.getUint32(76, LITTLE_ENDIAN),
    size: view.getUint32(80, LITTLE_ENDIAN),
  }
}

/** A run of rules of the old blob, or of a block of new ones, by their numbers: `from` included, `to` not. */
export interface Run {
  readonly from: number
  readonly to: number
  /** Where they are, if not in the old blob. */
  readonly block?: RuleBlock
}
/** A rule that was not in the old blob, or one that was and has other counters now. */
export interface NewRule extends RuleBytes {
  /** What its counters begin with; on top of what `origin` counted. */
  readonly packets?: bigint | undefined
  readonly byteCount?: bigint | undefined
  /** Number of the entry in the old blob whose counters it takes over. */
  readonly origin?: number | undefined
}
export type Piece = Run | NewRule

export const isRun = (piece: Piece): piece is Run => 'from' in piece
/** How many rules a piece is. */
export const lengthOf = (piece: Piece) => (isRun(piece) ? piece.to - piece.from : 1)

/** One chain of a table that is being changed. */
export interface ChainImage {
  name: string
  /** For built-in chains. */
  readonly hook: HookName | undefined
  policy: Verdict
  /** Number of the policy's (or the closing RETURN's) entry in the old blob, -1 for a new chain. */
  readonly policyEntry: number
  /** Set where the policy's counters were set by hand; with `kept` they come on top of what it counted. */
  policyCounters?: { readonly packets: bigint; readonly bytes: bigint; readonly kept?: boolean } | undefined
  readonly pieces: Piece[]
}

/** A blob taken apart as far as its chains. */
export class TableImage {
  readonly family: IpFamily
  readonly info: TableInfo
  readonly input: Input
  readonly layout: EntryLayout
  /** Offset of each entry, and behind the last one the end. */
  readonly offsets: Int32Array
  readonly chains: ChainImage[] = []
  /** First offset of each chain's rules, for finding where a jump leads. */
  readonly #chainAt = new Map<number, ChainImage>()

  /** @throws NfkitError EBADMSG for a blob that is not a table's */
  constructor(family: IpFamily, info: TableInfo, blob: Uint8Array) {
    this.family = family
    this.info = info
    this.input = inputOf(blob)
    this.layout = entryLayouts[family]
    this.offsets = new Int32Array(info.entries + 1)
    const { input, layout, offsets } = this
    let count = 0
    for (let at = 0; at < blob.length; count++) {
      if (count >= info.entries) throw malformed(`more than the ${info.entries} entries of table ${info.name}`)
      offsets[count] = at
      const end = at + (at + layout.size <= blob.length ? input.view.getUint16(at + layout.nextOffset, LITTLE_ENDIAN) : 0)
      const target = end > at ? at + input.view.getUint16(at + layout.targetOffset, LITTLE_ENDIAN) : 0
      // A damaged one is told about by entryAt.
      if (target < at + layout.size || end < target + EXTENSION_HEADER || end > blob.length) entryAt(layout, input, at, blob.length)
      at = end
      offsets[count + 1] = at
    }
    if (count !== info.entries) throw malformed(`${count} entries where table ${info.name} has ${info.entries}`)
    this.#findChains()
  }

  #findChains(): void {
    const { info, offsets, input, layout } = this
    // The last entry is an ERROR of its own.
    const last = info.entries - 1
    let i = 0
    for (const [number, hook] of HOOKS.entries()) {
      if ((info.validHooks & (1 << number)) === 0) continue
      const first = this.#entryNumber(info.hookEntries[number]!)
      const policy = this.#entryNumber(info.underflows[number]!)
      if (first !== i || policy < first || policy >= last) throw malformed(`the ${hook} chain of table ${info.name} is not where it should be`)
      this.#add(hook, hook, first, policy)
      i = policy + 1
    }
    while (i < last) {
      const name = this.errorName(i)
      if (name === undefined) throw malformed(`a chain without a name in table ${info.name}`)
      let end = i + 1
      while (end <= last && this.errorName(end) === undefined) end++
      // Before the next chain's name comes the RETURN that closes this one.
      const target = extensionAt(input, offsets[end - 1]! + input.view.getUint16(offsets[end - 1]! + layout.targetOffset, LITTLE_ENDIAN), offsets[end]!)
      if (end - 1 === i || target.name !== '') throw malformed(`the chain ${name} of table ${info.name} has no end`)
      this.#add(name, undefined, i + 1, end - 1)
      i = end
    }
  }

  #add(name: string, hook: HookName | undefined, first: number, policyEntry: number): void {
    const { offsets, input, layout } = this
    const at = offsets[policyEntry]!
    const verdict = input.view.getInt32(at + layout.size + EXTENSION_HEADER, LITTLE_ENDIAN)
    const policy = (Object.keys(VERDICT) as Verdict[]).find((one) => VERDICT[one] === verdict)
    if (policy === undefined) throw malformed(`the chain ${name} ends with the verdict ${verdict}`)
    const chain: ChainImage = { name, hook, policy, policyEntry, pieces: policyEntry > first ? [{ from: first, to: policyEntry }] : [] }
    this.chains.push(chain)
    this.#chainAt.set(offsets[first]!, chain)
  }

  #entryNumber(offset: number): number {
    // Entries are in order: a binary search.
    let low = 0
    let high = this.info.entries
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.offsets[middle]! < offset) low = middle + 1
      else high = middle
    }
    if (this.offsets[low] !== offset || low >= this.info.entries) throw malformed(`no entry at ${offset} of table ${this.info.name}`)
    return low
  }

  /** The text of an ERROR target, which names a chain; undefined for any other entry. */
  errorName(entry: number): string | undefined {
    const { offsets, input, layout } = this
    const start = offsets[entry]!
    const target = start + input.view.getUint16(start + layout.targetOffset, LITTLE_ENDIAN)
    // 'ER' first: the name is read for these few only.
    if (input.bytes[target + 2] !== 0x45 || input.bytes[target + 3] !== 0x52) return undefined
    const span = extensionAt(input, target, offsets[entry + 1]!)
    if (span.name !== 'ERROR') return undefined
    const text = input.bytes.subarray(span.start, span.start + Math.min(span.size, 30))
    const nul = text.indexOf(0)
    return new TextDecoder().decode(nul < 0 ? text : text.subarray(0, nul))
  }

  /** One rule of the old blob; its bytes are a view. */
  rule(entry: number): RuleBytes {
    const start = this.offsets[entry]!
    const end = this.offsets[entry + 1]!
    const jump = this.jumpOf(entry)
    return { bytes: this.input.bytes.subarray(start, end), chain: jump === undefined ? undefined : this.chainAt(jump) }
  }

  /** The offset that an entry's standard target goes to; undefined for verdicts, other targets and the next entry. */
  jumpOf(entry: number): number | undefined {
    const { offsets, input, layout } = this
    const start = offsets[entry]!
    const target = start + input.view.getUint16(start + layout.targetOffset, LITTLE_ENDIAN)
    if (input.bytes[target + 2] !== 0) return undefined
    const verdict = input.view.getInt32(target + EXTENSION_HEADER, LITTLE_ENDIAN)
    return verdict < 0 || verdict === offsets[entry + 1]! ? undefined : verdict
  }

  /** The name, as it is now, of the chain that begins at an offset. @throws NfkitError EBADMSG */
  chainAt(offset: number): string {
    const name = this.#chainAt.get(offset)?.name
    if (name === undefined) throw malformed(`a jump to ${offset} in table ${this.info.name}, where no chain begins`)
    return name
  }

  /** Packets and bytes of an entry of the old blob. */
  countersOf(entry: number): { packets: bigint; bytes: bigint } {
    const at = this.offsets[entry]! + this.layout.counters
    return { packets: this.input.view.getBigUint64(at, LITTLE_ENDIAN), bytes: this.input.view.getBigUint64(at + 8, LITTLE_ENDIAN) }
  }
}

/** How many rules a chain has. */
export function ruleCount(chain: ChainImage): number {
  let count = 0
  for (const piece of chain.pieces) count += lengthOf(piece)
  return count
}

/** The rule at a place: its number in the old blob, or the new rule itself. */
export function ruleAt(chain: ChainImage, index: number): number | NewRule {
  let at = index
  for (const piece of chain.pieces) {
    const length = lengthOf(piece)
    if (at < length) return !isRun(piece) ? piece : piece.block === undefined ? piece.from + at : piece.block.rule(piece.from + at)
    at -= length
  }
  throw new RangeError(`chain ${chain.name} has no rule ${index + 1}`)
}

/** Takes `remove` rules out from `index` on and puts others in their place. */
export function spliceRules(chain: ChainImage, index: number, remove: number, insert: readonly (Piece | number)[]): void {
  const { pieces } = chain
  const first = splitAt(pieces, index)
  const last = splitAt(pieces, index + remove)
  pieces.splice(first, last - first, ...insert.map((one): Piece => (typeof one === 'number' ? { from: one, to: one + 1 } : one)))
}

/** Makes a piece begin at a rule's place; answers its number. */
function splitAt(pieces: Piece[], index: number): number {
  let at = 0
  for (let i = 0; i < pieces.length; i++) {
    if (at === index) return i
    const piece = pieces[i]!
    const length = lengthOf(piece)
    if (index < at + length && isRun(piece)) {
      const middle = piece.from + (index - at)
      pieces.splice(i, 1, { ...piece, to: middle }, { ...piece, from: middle })
      return i + 1
    }
    at += length
  }
  return pieces.length
}
