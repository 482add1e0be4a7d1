// SPDX-License-Identifier: MIT
// Rules one behind the other in one buffer, as text makes them by the thousand: no object for each. The offset behind a jump
// is not known before the whole table is, so the verdict of a jump is the number of the chain's name plus one, and 0 is
// "go on with the next rule". With room left between chains, the buffer can become the table (assemble.ts).

import { LITTLE_ENDIAN } from '../bytes.js'
import { type EntryLayout, EXTENSION_HEADER } from './entry.js'
import type { RuleBytes } from './rule.js'

/** Bytes of a block at first. */
const FIRST_SIZE = 1 << 19
/** Free bytes before the rules: what the table is sent with. */
export const BLOCK_HEADROOM = 96

/** The names of chains that rules lead to, by number. */
export class ChainNames {
  readonly list: string[] = []
  readonly #numbers = new Map<string, number>()

  numberOf(name: string): number {
    let number = this.#numbers.get(name)
    if (number === undefined) {
      number = this.list.push(name) - 1
      this.#numbers.set(name, number)
    }
    return number
  }

  /** Every rule that led to `from` leads to `to`. */
  rename(from: string, to: string): void {
    for (let i = 0; i < this.list.length; i++) if (this.list[i] === from) this.list[i] = to
    const number = this.#numbers.get(from)
    this.#numbers.delete(from)
    if (number !== undefined) this.#numbers.set(to, number)
  }
}

export class RuleBlock {
  readonly layout: EntryLayout
  readonly names: ChainNames
  bytes!: Uint8Array
  view!: DataView
  /** The same bytes by fours: every part of a rule is a multiple of eight long. */
  words!: Int32Array
  /** Offset of each rule, and behind the last one the end. */
  offsets = new Int32Array(1)
  /** Of rules, with what is left free between chains as a rule. */
  count = 0
  /** Rules that have no verdict of their own: they lead to a chain, or on to the next rule. */
  readonly #jumps: number[] = []
  /** Packets and bytes by twos, where a rule came with counters. */
  #counters: BigUint64Array | undefined

  constructor(layout: EntryLayout, names: ChainNames) {
    this.layout = layout
    this.names = names
    this.#resize(FIRST_SIZE)
  }

  #resize(size: number): void {
    // Not zeroed, which takes 6 ms for 100,000 rules: each rule writes all of its bytes.
    const { buffer } = Buffer.allocUnsafeSlow(BLOCK_HEADROOM + size)
    const bytes = new Uint8Array(buffer, BLOCK_HEADROOM)
    const offsets = new Int32Array(Math.floor(size / (this.layout.size + EXTENSION_HEADER)) + 1)
    if (this.count > 0) {
      bytes.set(this.bytes.subarray(0, this.length))
      offsets.set(this.offsets.subarray(0, this.count + 1))
    }
    this.bytes = bytes
    this.view = new DataView(buffer, BLOCK_HEADROOM)
    this.words = new Int32Array(buffer, BLOCK_HEADROOM)
    this.offsets = offsets
    if (this.#counters === undefined) return
    const counters = new BigUint64Array(2 * offsets.length)
    counters.set(this.#counters.subarray(0, 2 * this.count))
    this.#counters = counters
  }

  /** Where the next rule begins. */
  get length(): number { return this.offsets[this.count]! }

  /** Whether `size` more bytes fit. */
  hasRoom(size: number): boolean { return this.length + size <= this.bytes.length }

  /** Makes `size` more bytes fit; where they do not, also what is `expected` behind them. */
  makeRoom(size: number, expected = 0): void {
    if (!this.hasRoom(size)) this.#resize(Math.max(2 * this.bytes.length, this.length + size + expected + 7 & ~7))
  }

  /** Leaves bytes free. */
  skip(size: number): void {
    this.makeRoom(size)
    this.close(this.length + size, false)
  }

  /** Ends the rule that was written up to `end`; answers its number. `jumps` says that it has no verdict of its own. */
  close(end: number, jumps: boolean): number {
    this.offsets[this.count + 1] = end
    if (jumps) this.#jumps.push(this.count)
    return this.count++
  }

  /** The buffer with its headroom, for a table of so many bytes. What is between and behind the rules can be anything. */
  finish(size: number): Uint8Array {
    this.makeRoom(size - this.length)
    return new Uint8Array(this.bytes.buffer)
  }

  /** Adds a rule as it is. Answers its number. */
  add({ bytes, chain }: RuleBytes): number {
    const at = this.length
    this.bytes.set(bytes, at)
    if (chain !== undefined) this.view.setInt32(at + this.view.getUint16(at + this.layout.targetOffset, LITTLE_ENDIAN) + EXTENSION_HEADER, this.names.numberOf(chain) + 1, LITTLE_ENDIAN)
    return this.close(at + bytes.length, this.#hasJump(at))
  }

  /** Where the verdict of a rule's standard target is; undefined for other targets and for verdicts like ACCEPT. */
  jumpAt(rule: number): number | undefined {
    const at = this.offsets[rule]!
    return this.#hasJump(at) ? at + this.view.getUint16(at + this.layout.targetOffset, LITTLE_ENDIAN) + EXTENSION_HEADER : undefined
  }

  #hasJump(at: number): boolean {
    const target = at + this.view.getUint16(at + this.layout.targetOffset, LITTLE_ENDIAN)
    return this.bytes[target + 2] === 0 && this.view.getInt32(target + EXTENSION_HEADER, LITTLE_ENDIAN) >= 0
  }

  /** Once the buffer is a table's, its rules are no longer this block's. */
  release(): void {
    this.bytes = new Uint8Array(0)
    this.view = new DataView(this.bytes.buffer)
    this.words = new Int32Array(0)
  }

  /** Those of the rules `from` to `to` (not included) that {@link jumpAt} is there for, in order. */
  jumpsOf(from: number, to: number): readonly number[] {
    const jumps = this.#jumps
    return jumps.slice(placeIn(jumps, from), placeIn(jumps, to))
  }

  /** The chain that a rule leads to. */
  chainOf(rule: number): string | undefined {
    const at = this.jumpAt(rule)
    const number = at === undefined ? 0 : this.view.getInt32(at, LITTLE_ENDIAN)
    return number === 0 ? undefined : this.names.list[number - 1]
  }

  /** One rule with its counters; its bytes are a copy. */
  rule(rule: number): RuleBytes & { packets?: bigint; byteCount?: bigint } {
    const at = this.offsets[rule]!
    const bytes = this.bytes.slice(at, this.offsets[rule + 1]!)
    const jump = this.jumpAt(rule)
    if (jump !== undefined) new DataView(bytes.buffer).setInt32(jump - at, 0, LITTLE_ENDIAN)
    const counters = this.countersOf(rule)
    return { bytes, chain: this.chainOf(rule), ...(counters === undefined ? {} : { packets: counters.packets, byteCount: counters.bytes }) }
  }

  setCounters(rule: number, packets: bigint, bytes: bigint): void {
    this.#counters ??= new BigUint64Array(2 * this.offsets.length)
    this.#counters[2 * rule] = packets
    this.#counters[2 * rule + 1] = bytes
  }

  /** Undefined where both are 0. */
  countersOf(rule: number): { packets: bigint; bytes: bigint } | undefined {
    const packets = this.#counters?.[2 * rule] ?? 0n
    const bytes = this.#counters?.[2 * rule + 1] ?? 0n
    return packets === 0n && bytes === 0n ? undefined : { packets, bytes }
  }
}

/** How many numbers of an ascending list are below one. */
function placeIn(list: readonly number[], number: number): number {
  let low = 0
  let high = list.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (list[middle]! < number) low = middle + 1
    else high = middle
  }
  return low
}
