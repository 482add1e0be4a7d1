// SPDX-License-Identifier: MIT
// Chains as the blob of SET_REPLACE: rules are copied into it, from the old blob and from blocks of new ones; but where a whole table
// was written into one block, in its order, the block becomes the blob.

import { NfkitError } from '../../errors.js'
import { LITTLE_ENDIAN, Writer } from '../bytes.js'
import { appendExtension, type EntryLayout, EXTENSION_HEADER, VERDICT } from './entry.js'
import { appendStandardTarget, closeEntry, STANDARD_TARGET } from './rule.js'
import { BLOCK_HEADROOM, type RuleBlock } from './rule-block.js'
import { type ChainImage, HOOKS, isRun, lengthOf, type NewRule, type Run, type TableImage } from './table.js'

/** What SET_REPLACE needs. */
export interface AssembledTable {
  readonly blob: Uint8Array
  readonly validHooks: number
  readonly hookEntries: readonly number[]
  readonly underflows: readonly number[]
  readonly entries: number
  /** For each entry the number of the one in the old blob whose counters it gets back, -1 for none. */
  readonly origins: Int32Array
  /** Counters of new rules and policies, by entry: on top of what the origin counted, where there is one. */
  readonly counters: ReadonlyMap<number, { readonly packets: bigint; readonly bytes: bigint }>
}

/** Free bytes before the blob of {@link assembleTable}, for the header of the request that carries it. */
export const BLOB_HEADROOM = BLOCK_HEADROOM

/**
 * Makes one blob of all chains: the built-in ones in the order of their hooks, the others after them in the order of `chains`.
 * Blocks of new rules are used up by it.
 * @throws NfkitError NFKIT_NO_SUCH_CHAIN for a jump to a chain that is not there
 */
export function assembleTable(image: TableImage, chains: readonly ChainImage[]): AssembledTable {
  const { layout } = image
  const { starts, entries: total, size } = measure(image, chains)
  const origins = new Int32Array(total).fill(-1)
  const counters = new Map<number, { packets: bigint; bytes: bigint }>()
  const hookEntries = [0, 0, 0, 0, 0]
  const underflows = [0, 0, 0, 0, 0]
  const whole = wholeBlock(image, chains)
  const w = new Writer(whole === undefined ? BLOB_HEADROOM + size : whole.finish(size))
  w.reserve(BLOB_HEADROOM)
  /** Between the rules of a block anything can be. */
  const blank = (count: number) => { if (whole !== undefined) w.bytes.fill(0, w.length, w.length + count) }
  const startOf = (chain: string): number => {
    const start = starts.get(chain)
    if (start === undefined) throw new NfkitError('NFKIT_NO_SUCH_CHAIN', `a rule of table ${image.info.name} goes to chain ${chain}, which does not exist`)
    return start
  }
  let entry = 0

  for (const chain of chains) {
    blank(sizeBeforeRules(layout, chain.hook))
    if (chain.hook === undefined) {
      appendError(w, layout, chain.name)
      entry++
    } else hookEntries[HOOKS.indexOf(chain.hook)] = w.length - BLOB_HEADROOM
    for (const piece of chain.pieces) {
      if (!isRun(piece)) {
        const at = w.length
        w.raw(piece.bytes)
        clearKernelFields(w, layout, at)
        const target = at + w.view.getUint16(at + layout.targetOffset, LITTLE_ENDIAN)
        if (piece.chain !== undefined) w.view.setInt32(target + EXTENSION_HEADER, startOf(piece.chain), LITTLE_ENDIAN)
        // A standard target of 0: on to the next rule.
        else if (w.bytes[target + 2] === 0 && w.view.getInt32(target + EXTENSION_HEADER, LITTLE_ENDIAN) >= 0) w.view.setInt32(target + EXTENSION_HEADER, w.length - BLOB_HEADROOM, LITTLE_ENDIAN)
        if (piece.packets !== undefined || piece.byteCount !== undefined) counters.set(entry, { packets: piece.packets ?? 0n, bytes: piece.byteCount ?? 0n })
        origins[entry++] = piece.origin ?? -1
      } else if (piece.block === undefined) {
        appendRun(image, piece, w, startOf)
        for (let old = piece.from; old < piece.to; old++) origins[entry++] = old
      } else {
        appendBlock(piece.block, piece, w, startOf, piece.block === whole)
        for (let rule = piece.from; rule < piece.to; rule++, entry++) {
          const given = piece.block.countersOf(rule)
          if (given !== undefined) counters.set(entry, given)
        }
      }
    }
    if (chain.hook !== undefined) underflows[HOOKS.indexOf(chain.hook)] = w.length - BLOB_HEADROOM
    blank(sizeBehindRules(layout))
    const start = w.reserve(layout.size)
    appendStandardTarget(w, VERDICT[chain.hook === undefined ? 'RETURN' : chain.policy])
    closeEntry(w, layout, start, start + layout.size)
    if (chain.policyCounters !== undefined) counters.set(entry, chain.policyCounters)
    if (chain.policyCounters === undefined || chain.policyCounters.kept === true) origins[entry] = chain.policyEntry
    entry++
  }
  blank(errorSize(layout))
  appendError(w, layout, 'ERROR')
  whole?.release()
  return { blob: w.finish().subarray(BLOB_HEADROOM), validHooks: image.info.validHooks, hookEntries, underflows, entries: total, origins, counters }
}

/** How many entries and bytes chains make, and where the rules of each begin. */
function measure({ layout, offsets }: TableImage, chains: readonly ChainImage[]): { starts: Map<string, number>; entries: number; size: number } {
  const starts = new Map<string, number>()
  let entries = 1
  let size = 0
  for (const chain of chains) {
    size += sizeBeforeRules(layout, chain.hook)
    if (chain.hook === undefined) entries++
    starts.set(chain.name, size)
    for (const piece of chain.pieces) {
      const from = !isRun(piece) ? undefined : piece.block === undefined ? offsets : piece.block.offsets
      size += from === undefined ? (piece as NewRule).bytes.length : from[(piece as Run).to]! - from[(piece as Run).from]!
      entries += lengthOf(piece)
    }
    size += sizeBehindRules(layout)
    entries++
  }
  return { starts, entries, size: size + errorSize(layout) }
}

/** The block that all rules are in, where each is in its place already. */
function wholeBlock({ layout }: TableImage, chains: readonly ChainImage[]): RuleBlock | undefined {
  let whole: RuleBlock | undefined
  let at = 0
  for (const { hook, pieces } of chains) {
    at += sizeBeforeRules(layout, hook)
    for (const piece of pieces) {
      if (!isRun(piece) || piece.block === undefined || piece.block !== (whole ?? piece.block) || piece.block.offsets[piece.from] !== at) return undefined
      whole = piece.block
      at = whole.offsets[piece.to]!
    }
    at += sizeBehindRules(layout)
  }
  return whole
}

/** Copies rules of the old blob and sets what is an offset of the table in them. */
function appendRun(image: TableImage, { from, to }: Run, w: Writer, startOf: (chain: string) => number): void {
  const { offsets, layout, input } = image
  const shift = w.length - offsets[from]!
  w.raw(input.bytes.subarray(offsets[from]!, offsets[to]!))
  for (let entry = from; entry < to; entry++) {
    const at = offsets[entry]! + shift
    clearKernelFields(w, layout, at)
    const target = at + w.view.getUint16(at + layout.targetOffset, LITTLE_ENDIAN)
    if (w.bytes[target + 2] !== 0) continue
    const verdict = w.view.getInt32(target + EXTENSION_HEADER, LITTLE_ENDIAN)
    if (verdict < 0) continue
    w.view.setInt32(target + EXTENSION_HEADER, verdict === offsets[entry + 1]! ? verdict + shift - BLOB_HEADROOM : startOf(image.chainAt(verdict)), LITTLE_ENDIAN)
  }
}

/** Copies rules of a block, unless they are there already, and sets the offsets of jumps, which are numbers of chains in it. */
function appendBlock(block: RuleBlock, { from, to }: Run, w: Writer, startOf: (chain: string) => number, inPlace: boolean): void {
  const { offsets } = block
  const shift = w.length - offsets[from]!
  if (inPlace) w.reserve(offsets[to]! - offsets[from]!)
  else w.raw(block.bytes.subarray(offsets[from]!, offsets[to]!))
  for (const rule of block.jumpsOf(from, to)) {
    const at = block.jumpAt(rule)!
    const number = block.view.getInt32(at, LITTLE_ENDIAN)
    w.view.setInt32(at + shift, number === 0 ? offsets[rule + 1]! + shift - BLOB_HEADROOM : startOf(block.names.list[number - 1]!), LITTLE_ENDIAN)
  }
}

/** Comefrom is the kernel's own; counters are given back by ADD_COUNTERS. */
function clearKernelFields({ view }: Writer, layout: EntryLayout, at: number): void {
  view.setInt32(at + layout.comefrom, 0)
  for (let i = 0; i < 16; i += 4) view.setInt32(at + layout.counters + i, 0)
}

/** Bytes of what stands before the rules of a chain: of a user's chain its name. */
export function sizeBeforeRules(layout: EntryLayout, hook: string | undefined): number {
  return hook === undefined ? errorSize(layout) : 0
}

/** Bytes of the policy, or the closing RETURN. */
export function sizeBehindRules(layout: EntryLayout): number {
  return layout.size + STANDARD_TARGET
}

const ERROR_SIZE = 32
const errorSize = (layout: EntryLayout) => layout.size + EXTENSION_HEADER + ERROR_SIZE

/** An ERROR entry: before a chain it says the name, at the end it is the end. */
export function appendError(w: Writer, layout: EntryLayout, name: string): void {
  const start = w.reserve(layout.size)
  const target = w.length
  const at = appendExtension(w, 'ERROR', 0, ERROR_SIZE)
  w.bytes.set(new TextEncoder().encode(name), at)
  closeEntry(w, layout, start, target)
}
