// SPDX-License-Identifier: MIT
// Rules one behind the other in one buffer, as text makes them by the thousand: no object for each. The offset behind a jump
// is not known before the whole table is, so the verdict of a jump is the number of the chain's name plus one, and 0 is
// "go on with the next rule".

import { LITTLE_ENDIAN } from '../bytes.js'
import { type EntryLayout, EXTENSION_HEADER } from './entry.js'
import type { RuleBytes } from './rule.js'

/** Bytes of a block; a rule is never larger than 65535. */
const BLOCK_SIZE = 1 << 19

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
  readonly bytes: Uint8Array
  readonly view: DataView
  /** The same bytes by fours: every part of a rule is a multiple of eight long. */
  readonly words: Int32Array
  /** Offset of each rule, and behind the last one the end. */
  readonly offsets: Int32Array
  count = 0
  /** Packets and bytes by twos, where a rule came with counters. */
  #counters: BigUint64Array | undefined

  constructor(layout: EntryLayout, names: ChainNames, size = BLOCK_SIZE) {
    this.layout = layout
    this.names = names
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
    this.words = new Int32Array(this.bytes.buffer)
    this.offsets = new Int32Array(Math.floor(size / (layout.size + EXTENSION_HEADER)) + 1)
  }

  /** Where the next rule begins. */
  get length(): number { return this.offsets[this.count]! }

  /** Whether `size` more bytes fit. */
  hasRoom(size: number): boolean { return this.length + size <= this.bytes.length }

  /** Ends the rule that was written up to `end`; answers its number. */
  close(end: number): number {
    this.offsets[this.count + 1] = end
    return this.count++
  }

  /** Adds a rule as it is. Answers its number. */
  add({ bytes, chain }: RuleBytes): number {
    const at = this.length
    this.bytes.set(bytes, at)
    if (chain !== undefined) this.view.setInt32(at + this.view.getUint16(at + this.layout.targetOffset, LITTLE_ENDIAN) + EXTENSION_HEADER, this.names.numberOf(chain) + 1, LITTLE_ENDIAN)
    return this.close(at + bytes.length)
  }

  /** Where the verdict of a rule's standard target is; undefined for other targets and for verdicts like ACCEPT. */
  jumpAt(rule: number): number | undefined {
    const at = this.offsets[rule]!
    const target = at + this.view.getUint16(at + this.layout.targetOffset, LITTLE_ENDIAN)
    return this.bytes[target + 2] === 0 && this.view.getInt32(target + EXTENSION_HEADER, LITTLE_ENDIAN) >= 0 ? target + EXTENSION_HEADER : undefined
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
