// SPDX-License-Identifier: MIT
// The chains of one table while a text is applied to them: every command of iptables-restore, refused where libiptc refuses it.

import { LITTLE_ENDIAN } from '../bytes.js'
import { sizeBeforeRules, sizeBehindRules } from './assemble.js'
import { placeOf } from './chain-order.js'
import { VERDICT } from './entry.js'
import { extensionForWriting } from './extension.js'
import { RuleError } from './payload.js'
import type { RuleBytes } from './rule.js'
import { sameRule } from './rule.js'
import { ChainNames, RuleBlock } from './rule-block.js'
import { type ChainImage, isRun, type NewRule, type Piece, ruleAt, ruleCount, type Run, spliceRules, type TableImage } from './table.js'

export interface Counters { readonly packets: bigint; readonly bytes: bigint }

const NONE: Counters = { packets: 0n, bytes: 0n }
const encoder = new TextEncoder()
/** XT_EXTENSION_MAXNAMELEN without the NUL. */
const MAX_NAME = 28
/** A rule is never larger than 65535 bytes. */
export const RULE_ROOM = 1 << 16

type Tail = { -readonly [K in keyof Run]: Run[K] }

export class RestoreTable {
  readonly name: string
  readonly image: TableImage
  readonly #byName = new Map<string, ChainImage>()
  readonly #names = new ChainNames()
  readonly #block: RuleBlock
  /** The chain that rules were appended to last, by its number; undefined once one came that is not behind it. */
  #turn: number | undefined = -1
  /** The run that a chain ends with, as long as it can grow. */
  readonly #tails = new Map<ChainImage, Tail>()
  #references: Map<string, number> | undefined
  /** Another number whenever a chain has come, gone or changed its name. */
  version = 0
  /** Built-in chains whose policy the text has set. */
  readonly policiesSet = new Set<string>()

  /** Changes the image itself. */
  constructor(image: TableImage) {
    this.name = image.info.name
    this.image = image
    this.#block = new RuleBlock(image.layout, this.#names)
    for (const chain of image.chains) this.#byName.set(chain.name, chain)
  }

  get chains(): readonly ChainImage[] { return this.image.chains }

  chain(name: string): ChainImage | undefined { return this.#byName.get(name) }

  /** @throws RuleError */
  #require(name: string): ChainImage {
    const chain = this.#byName.get(name)
    if (chain === undefined) throw new RuleError(`there is no chain ${name} in table ${this.name}`)
    return chain
  }

  /** What a restore does before the first line: rules and users' chains are gone, policies stay. */
  reset(): void {
    for (const chain of this.image.chains) {
      this.#empty(chain)
      if (chain.hook === undefined) this.#byName.delete(chain.name)
    }
    this.version++
    const kept = this.image.chains.filter((chain) => chain.hook !== undefined)
    this.image.chains.splice(0, this.image.chains.length, ...kept)
  }

  /** `:CHAIN`: a new chain, or an emptied one where `flush` is off. */
  declare(name: string, flush: boolean): void {
    if (encoder.encode(name).length > MAX_NAME) throw new RuleError(`the name of a chain has at most ${MAX_NAME} bytes, got "${name}"`)
    const chain = this.#byName.get(name)
    if (chain?.hook !== undefined) return
    if (chain !== undefined && !flush) this.#empty(chain)
    else this.#create(name)
  }

  #create(name: string): void {
    if (this.#byName.has(name) || Object.hasOwn(VERDICT, name)) throw new RuleError(`there is a chain ${name} already`)
    const chain: ChainImage = { name, hook: undefined, policy: 'RETURN', policyEntry: -1, pieces: [] }
    this.image.chains.splice(placeOf(this.image.chains, name), 0, chain)
    this.#byName.set(name, chain)
    this.version++
  }

  /** The policy counts from zero where no counters are given, as with libiptc. */
  setPolicy(name: string, policy: string, counters: Counters = NONE): void {
    const chain = this.#require(name)
    if (chain.hook === undefined) throw new RuleError(`${name} is not a built-in chain: it has no policy`)
    if (policy !== 'ACCEPT' && policy !== 'DROP') throw new RuleError(`expected the policy ACCEPT or DROP, got "${policy}"`)
    chain.policy = policy
    chain.policyCounters = counters
    this.policiesSet.add(name)
  }

  // ---- rules

  /** Where a rule at the end of a chain is to be written: as long as chains come in their order, where the table will have it. */
  blockFor(chain: ChainImage): RuleBlock {
    const turn = this.#turn
    if (turn !== undefined && chain !== this.chains[turn]) this.#turnTo(chain, turn)
    return this.#block
  }

  #turnTo(chain: ChainImage, from: number): void {
    const { layout, chains } = this.image
    const to = chains.indexOf(chain, from + 1)
    this.#turn = to < 0 ? undefined : to
    if (to < 0) return
    let size = from < 0 ? 0 : sizeBehindRules(layout)
    for (let i = from + 1; i < to; i++) size += sizeBeforeRules(layout, chains[i]!.hook) + sizeBehindRules(layout)
    size += sizeBeforeRules(layout, chain.hook)
    if (size > 0) this.#block.skip(size)
  }

  #store(rule: RuleBytes, counters: Counters | undefined, block = this.#block): Run {
    this.#checkTarget(rule)
    block.makeRoom(RULE_ROOM)
    const number = block.add(rule)
    if (counters !== undefined) block.setCounters(number, counters.packets, counters.bytes)
    return { from: number, to: number + 1, block }
  }

  #checkTarget({ chain }: RuleBytes): void {
    if (chain === undefined) return
    if (this.#require(chain).hook !== undefined) throw new RuleError(`${chain} is a built-in chain: no rule can lead there`)
  }

  /** Makes the newest rule of a block the last one of a chain. */
  appendNewest(chain: ChainImage, block: RuleBlock): void {
    const tail = this.#tails.get(chain)
    const number = block.count - 1
    this.#references = undefined
    if (tail !== undefined && tail.block === block && tail.to === number) {
      tail.to++
      return
    }
    const run: Tail = { from: number, to: number + 1, block }
    chain.pieces.push(run)
    this.#tails.set(chain, run)
  }

  append(name: string, rules: readonly RuleBytes[], counters: Counters | undefined): void {
    const chain = this.#require(name)
    for (const rule of rules) this.appendNewest(chain, this.#store(rule, counters, this.blockFor(chain)).block!)
  }

  #splice(chain: ChainImage, index: number, remove: number, insert: readonly Piece[]): void {
    this.#tails.delete(chain)
    this.#references = undefined
    spliceRules(chain, index, remove, insert)
  }

  insert(name: string, number: number, rules: readonly RuleBytes[], counters: Counters | undefined): void {
    const chain = this.#require(name)
    // Counting is for when it matters: most are inserted at the head.
    if (number > 1 && number - 1 > ruleCount(chain)) throw new RuleError(`chain ${name} has ${ruleCount(chain)} rules: none can be inserted as number ${number}`)
    // Each of several takes the same place.
    for (const rule of rules) this.#splice(chain, number - 1, 0, [this.#store(rule, counters)])
  }

  replace(name: string, number: number, rule: RuleBytes, counters: Counters | undefined): void {
    const chain = this.#numbered(name, number)
    this.#splice(chain, number - 1, 1, [this.#store(rule, counters)])
  }

  deleteNumber(name: string, number: number): void {
    this.#splice(this.#numbered(name, number), number - 1, 1, [])
  }

  delete(name: string, rules: readonly RuleBytes[]): void {
    const chain = this.#require(name)
    for (const rule of rules) this.#splice(chain, this.#find(chain, rule), 1, [])
  }

  check(name: string, rules: readonly RuleBytes[]): void {
    const chain = this.#require(name)
    for (const rule of rules) this.#find(chain, rule)
  }

  #numbered(name: string, number: number): ChainImage {
    const chain = this.#require(name)
    const count = ruleCount(chain)
    if (number > count) throw new RuleError(`chain ${name} has ${count} rules: there is no number ${number}`)
    return chain
  }

  /** The first rule that is the same. @throws RuleError */
  #find(chain: ChainImage, wanted: RuleBytes): number {
    this.#checkTarget(wanted)
    const { layout, family, offsets, input } = this.image
    const want = new DataView(wanted.bytes.buffer, wanted.bytes.byteOffset)
    const size = want.getUint16(layout.nextOffset, LITTLE_ENDIAN)
    // Most differ in their size or in the first part.
    const similar = (bytes: Uint8Array, at: number, end: number) => {
      if (end - at !== size) return false
      for (let i = 0; i < layout.identity; i++) if (bytes[at + i] !== wanted.bytes[i]) return false
      return true
    }
    let index = 0
    for (const piece of chain.pieces) {
      if (!isRun(piece)) {
        if (sameRule(piece, wanted, family)) return index
        index++
        continue
      }
      const from = piece.block?.offsets ?? offsets
      const bytes = piece.block?.bytes ?? input.bytes
      for (let i = piece.from; i < piece.to; i++, index++) {
        if (!similar(bytes, from[i]!, from[i + 1]!)) continue
        if (sameRule(piece.block?.rule(i) ?? this.image.rule(i), wanted, family)) return index
      }
    }
    throw new RuleError(`chain ${chain.name} has no such rule`)
  }

  // ---- chains

  #empty(chain: ChainImage): void {
    chain.pieces.length = 0
    this.#tails.delete(chain)
    this.#references = undefined
  }

  flush(name: string | undefined): void {
    for (const chain of name === undefined ? this.chains : [this.#require(name)]) this.#empty(chain)
  }

  /** Rules and policies count from zero; counters that the text itself has set stay, as with libiptc. */
  zero(name: string | undefined): void {
    for (const chain of name === undefined ? this.chains : [this.#require(name)]) {
      this.#tails.delete(chain)
      if (chain.hook !== undefined) chain.policyCounters ??= this.#zeroedPolicy(chain)
      const pieces = chain.pieces.flatMap((piece) => this.#zeroed(piece))
      chain.pieces.length = 0
      for (const piece of pieces) chain.pieces.push(piece)
    }
  }

  zeroNumber(name: string, number: number): void {
    const chain = this.#numbered(name, number)
    const rule = ruleAt(chain, number - 1)
    if (typeof rule === 'number') this.#splice(chain, number - 1, 1, this.#zeroed({ from: rule, to: rule + 1 }))
  }

  /** What is counted until the table is replaced stays. */
  #zeroed(piece: Piece): Piece[] {
    if (!isRun(piece) || piece.block !== undefined) return [piece]
    const rules: NewRule[] = []
    for (let entry = piece.from; entry < piece.to; entry++) {
      const { bytes, chain } = this.image.rule(entry)
      const counters = this.image.countersOf(entry)
      rules.push({ bytes, chain, origin: entry, packets: -counters.packets, byteCount: -counters.bytes })
    }
    return rules
  }

  #zeroedPolicy({ policyEntry }: ChainImage): ChainImage['policyCounters'] {
    if (policyEntry < 0) return NONE
    const { packets, bytes } = this.image.countersOf(policyEntry)
    return { packets: -packets, bytes: -bytes, kept: true }
  }

  create(name: string): void {
    if (encoder.encode(name).length > MAX_NAME) throw new RuleError(`the name of a chain has at most ${MAX_NAME} bytes, got "${name}"`)
    if (/^[-!]/.test(name)) throw new RuleError(`the name of a chain cannot begin with "${name[0]}"`)
    if (/\s/.test(name)) throw new RuleError(`the name of a chain cannot have blanks in it, got "${name}"`)
    if (extensionForWriting('target', name, this.image.family) !== undefined) throw new RuleError(`${name} is the name of a target: it cannot be a chain's`)
    this.#create(name)
  }

  deleteChain(name: string | undefined): void {
    if (name === undefined) {
      for (const chain of [...this.chains]) if (chain.hook === undefined) this.#remove(chain)
      return
    }
    const chain = this.#require(name)
    if (chain.hook !== undefined) throw new RuleError(`${name} is a built-in chain: it cannot be deleted`)
    this.#remove(chain)
  }

  #remove(chain: ChainImage): void {
    if (chain.pieces.length > 0 && ruleCount(chain) > 0) throw new RuleError(`chain ${chain.name} has rules: it cannot be deleted`)
    const references = this.#referencesTo(chain.name)
    if (references > 0) throw new RuleError(`${references} rules lead to chain ${chain.name}: it cannot be deleted`)
    this.image.chains.splice(this.image.chains.indexOf(chain), 1)
    this.#byName.delete(chain.name)
    this.version++
  }

  #referencesTo(name: string): number {
    if (this.#references === undefined) {
      const counts = new Map<string, number>()
      const add = (chain: string | undefined) => { if (chain !== undefined) counts.set(chain, (counts.get(chain) ?? 0) + 1) }
      for (const { pieces } of this.chains) {
        for (const piece of pieces) {
          if (!isRun(piece)) {
            add(piece.chain)
            continue
          }
          if (piece.block !== undefined) {
            for (const rule of piece.block.jumpsOf(piece.from, piece.to)) add(piece.block.chainOf(rule))
            continue
          }
          for (let i = piece.from; i < piece.to; i++) {
            const jump = this.image.jumpOf(i)
            if (jump !== undefined) add(this.image.chainAt(jump))
          }
        }
      }
      this.#references = counts
    }
    return this.#references.get(name) ?? 0
  }

  rename(name: string, to: string): void {
    const chain = this.#byName.get(name)
    if (this.#byName.has(to) || Object.hasOwn(VERDICT, to)) throw new RuleError(`there is a chain ${to} already`)
    if (chain === undefined || chain.hook !== undefined) throw new RuleError(`there is no user's chain ${name} in table ${this.name}`)
    if (encoder.encode(to).length > MAX_NAME) throw new RuleError(`the name of a chain has at most ${MAX_NAME} bytes, got "${to}"`)
    for (const { pieces } of this.chains) {
      for (const [i, piece] of pieces.entries()) if (!isRun(piece) && piece.chain === name) pieces[i] = { ...piece, chain: to }
    }
    this.#names.rename(name, to)
    this.#references = undefined
    this.#byName.delete(name)
    this.image.chains.splice(this.image.chains.indexOf(chain), 1)
    chain.name = to
    this.image.chains.splice(placeOf(this.image.chains, to), 0, chain)
    this.#byName.set(to, chain)
    this.version++
  }
}
