// SPDX-License-Identifier: MIT
// One chain of a draft.

import { inspect } from 'node:util'
import { invalidArgument, NfkitError, outOfRange } from '../errors.js'
import { decodeRule, printRule, type RuleBytes, type RuleEnvironment, sameRule, sameText, type Verdict } from '../wire/xtables/rule.js'
import { type ChainImage, type HookName, type NewRule, ruleAt, ruleCount, spliceRules, type TableImage } from '../wire/xtables/table.js'
import { checkCounters, type CounterKind, type Counters, type CountersOf, type RawCounters, readCounters } from './counters.js'
import { encodeRules, type RuleLike } from './rule.js'
import type { ListedRule } from './snapshot.js'

/** What the drafts of one table share. */
export interface DraftState {
  readonly image: TableImage
  readonly chains: ChainImage[]
  readonly byName: Map<string, ChainImage>
  readonly environment: RuleEnvironment
  ended: boolean
  /** Whether anything was changed. */
  touched: boolean
}

/** The error of a draft that is kept beyond its update. */
export function draftEnded(table: string): NfkitError {
  return new NfkitError('NFKIT_DRAFT_ENDED', `the update of table ${table} has ended`, { hint: 'its draft is only good within the callback' })
}

/** Rules are numbered from 1 on, as iptables does. Rules given are checked at once, chains that they lead to when the callback has ended. */
export class ChainDraft {
  readonly #state: DraftState
  readonly #chain: ChainImage
  #own: RuleEnvironment | undefined

  /** Not for users: `table.chain(name)`. */
  constructor(state: DraftState, chain: ChainImage) {
    this.#state = state
    this.#chain = chain
  }

  get name(): string { return this.#chain.name }
  /** The hook of a built-in chain; undefined for one of a user's. */
  get hook(): HookName | undefined { return this.#chain.hook }
  /** How many rules it has. */
  get length(): number { return ruleCount(this.#live()) }
  /** What becomes of packets that reach the end of a built-in chain; undefined for a user's. */
  get policy(): Verdict | undefined { return this.#live().hook === undefined ? undefined : this.#chain.policy }

  /**
   * Appends a rule, as `-A`; a text with several addresses is several rules.
   * @throws TypeError, RangeError, RuleError for whatever iptables would refuse
   */
  append(rule: RuleLike): this {
    // Pushed rather than spliced: many thousand in one update shall not look for their place each.
    this.#live().pieces.push(...this.#encode(rule))
    return this.#touch()
  }

  /** Inserts a rule before number `at`, as `-I`; at the beginning unless told. @throws as {@link ChainDraft.append}; RangeError */
  insert(rule: RuleLike, at = 1): this {
    const { length } = this
    if (!Number.isInteger(at) || at < 1 || at > length + 1) throw outOfRange('at', `a rule's number from 1 to ${length + 1}`, at)
    spliceRules(this.#chain, at - 1, 0, this.#encode(rule))
    return this.#touch()
  }

  /** Puts a rule in the place of number `number`, as `-R`; it counts from zero. @throws as {@link ChainDraft.append}; RangeError */
  replace(number: number, rule: RuleLike): this {
    this.#requireNumber(number)
    const rules = this.#encode(rule)
    if (rules.length !== 1) throw outOfRange('rule', 'one rule', rule)
    spliceRules(this.#chain, number - 1, 1, rules)
    return this.#touch()
  }

  /**
   * Deletes a rule, as `-D`: by its number, or the first one that is the same as the one given. A text with several addresses
   * deletes each of its rules.
   * @throws NfkitError NFKIT_NO_SUCH_RULE; RangeError for a number that there is not
   */
  delete(which: number | RuleLike): this {
    if (typeof which === 'number') {
      this.#requireNumber(which)
      spliceRules(this.#chain, which - 1, 1, [])
      return this.#touch()
    }
    const rules = this.#encode(which)
    const places: number[] = []
    for (const rule of rules) {
      const at = this.#indexOf(rule, places)
      if (at < 0) throw new NfkitError('NFKIT_NO_SUCH_RULE', `chain ${this.name} has no rule "${this.#print(rule)}"`)
      places.push(at)
    }
    for (const at of places.sort((a, b) => b - a)) spliceRules(this.#chain, at, 1, [])
    return this.#touch()
  }

  /** Number of the first rule that is the same to the kernel, as `-C` looks for it; undefined when there is none. */
  find(rule: RuleLike): number | undefined {
    const rules = this.#encode(rule)
    if (rules.length !== 1) throw outOfRange('rule', 'one rule', rule)
    const at = this.#indexOf(rules[0]!)
    return at < 0 ? undefined : at + 1
  }

  /** Whether there is such a rule, as `-C`; for a text with several addresses, each of its rules. */
  has(rule: RuleLike): boolean {
    return this.#encode(rule).every((one) => this.#indexOf(one) >= 0)
  }

  /** Takes all rules out, as `-F`. */
  flush(): this {
    const { pieces } = this.#live()
    if (pieces.length === 0) return this
    pieces.length = 0
    return this.#touch()
  }

  /** One rule as a value. @throws RangeError */
  rule(number: number): ListedRule {
    this.#requireNumber(number)
    const one = ruleAt(this.#chain, number - 1)
    return { ...decodeRule(this.#bytes(one), this.#environment()), counters: readCounters(this.#counters(one), 'number') }
  }

  /** All rules as values. */
  get rules(): ListedRule[] {
    return Array.from({ length: this.length }, (_, i) => this.rule(i + 1))
  }

  /** A rule as iptables-save prints it after `-A CHAIN`. @throws RangeError */
  format(number: number): string {
    this.#requireNumber(number)
    return this.#print(this.#bytes(ruleAt(this.#chain, number - 1)))
  }

  /**
   * Sets what becomes of packets that reach the end of a built-in chain, as `-P`. As there, the policy counts from zero, or from
   * the counters that are given, even when it is the one that was there: look at {@link policy} first where that matters.
   * @throws NfkitError NFKIT_BUILTIN_CHAIN_ONLY; TypeError
   */
  setPolicy(policy: 'ACCEPT' | 'DROP', counters?: Counters<number | bigint>): this {
    const chain = this.#live()
    if (chain.hook === undefined) throw new NfkitError('NFKIT_BUILTIN_CHAIN_ONLY', `chain ${chain.name} has no policy: only built-in chains have`)
    if (policy !== 'ACCEPT' && policy !== 'DROP') throw invalidArgument('policy', "'ACCEPT' or 'DROP'", policy)
    chain.policyCounters = counters === undefined ? { packets: 0n, bytes: 0n } : checkCounters(counters, 'counters')
    chain.policy = policy
    return this.#touch()
  }

  /** What a rule counted until the table was read, or the policy. @throws RangeError; NfkitError NFKIT_BUILTIN_CHAIN_ONLY */
  counters(which: number | 'policy'): Counters
  counters<K extends CounterKind>(which: number | 'policy', kind: K): CountersOf<K>
  counters(which: number | 'policy', kind: CounterKind = 'number'): Counters<number | bigint> {
    const chain = this.#live()
    if (which === 'policy') {
      this.#requirePolicy()
      const { policyCounters } = chain
      const old = this.#state.image.countersOf(chain.policyEntry)
      return readCounters(policyCounters === undefined ? old : policyCounters.kept === true ? { packets: 0n, bytes: 0n } : policyCounters, kind)
    }
    this.#requireNumber(which)
    return readCounters(this.#counters(ruleAt(chain, which - 1)), kind)
  }

  /** Sets what a rule or the policy has counted. @throws RangeError, TypeError; NfkitError NFKIT_BUILTIN_CHAIN_ONLY */
  setCounters(which: number | 'policy', counters: Counters<number | bigint>): this {
    const chain = this.#live()
    const { packets, bytes } = checkCounters(counters, 'counters')
    if (which === 'policy') {
      this.#requirePolicy()
      chain.policyCounters = { packets, bytes }
      return this.#touch()
    }
    this.#requireNumber(which)
    const rule = this.#bytes(ruleAt(chain, which - 1))
    spliceRules(chain, which - 1, 1, [{ bytes: rule.bytes, chain: rule.chain, packets, byteCount: bytes }])
    return this.#touch()
  }

  /**
   * Sets counters to zero, as `-Z`: of one rule, or of all and the policy. What is counted between reading the table and replacing it
   * stays.
   * @throws RangeError
   */
  zero(number?: number): this {
    const chain = this.#live()
    if (number !== undefined) {
      this.#requireNumber(number)
      spliceRules(chain, number - 1, 1, [this.#zeroed(ruleAt(chain, number - 1))])
      return this.#touch()
    }
    const zeroed: NewRule[] = []
    for (const piece of chain.pieces) {
      if ('from' in piece) for (let entry = piece.from; entry < piece.to; entry++) zeroed.push(this.#zeroed(entry))
      else zeroed.push(this.#zeroed(piece))
    }
    chain.pieces.splice(0, chain.pieces.length)
    for (const one of zeroed) chain.pieces.push(one)
    if (chain.hook !== undefined) {
      const { packets, bytes } = this.#state.image.countersOf(chain.policyEntry)
      chain.policyCounters = { packets: -packets, bytes: -bytes, kept: true }
    }
    return this.#touch()
  }

  [inspect.custom](): string {
    return `ChainDraft { name: '${this.name}', rules: ${ruleCount(this.#chain)}${this.#state.ended ? ', ended' : ''} }`
  }

  #live(): ChainImage {
    const { ended, byName, image } = this.#state
    if (ended) throw draftEnded(image.info.name)
    if (byName.get(this.#chain.name) !== this.#chain) throw new NfkitError('NFKIT_NO_SUCH_CHAIN', `chain ${this.#chain.name} has been deleted`)
    return this.#chain
  }

  #touch(): this {
    this.#state.touched = true
    return this
  }

  #environment(): RuleEnvironment {
    // The name changes when the chain is renamed.
    if (this.#own?.chain !== this.name) this.#own = { ...this.#state.environment, chain: this.name }
    return this.#own
  }

  #encode(rule: RuleLike): NewRule[] {
    this.#live()
    return encodeRules(rule, this.#environment()).map(({ bytes, chain, counters }) => {
      if (counters === undefined) return { bytes, chain }
      const raw = checkCounters(counters, 'counters')
      return { bytes, chain, packets: raw.packets, byteCount: raw.bytes }
    })
  }

  #bytes(one: number | NewRule): RuleBytes {
    return typeof one === 'number' ? this.#state.image.rule(one) : one
  }

  #counters(one: number | NewRule): RawCounters {
    const { image } = this.#state
    if (typeof one === 'number') return image.countersOf(one)
    const old = one.origin === undefined ? { packets: 0n, bytes: 0n } : image.countersOf(one.origin)
    return { packets: old.packets + (one.packets ?? 0n), bytes: old.bytes + (one.byteCount ?? 0n) }
  }

  #zeroed(one: number | NewRule): NewRule {
    const { bytes, chain } = this.#bytes(one)
    const origin = typeof one === 'number' ? one : one.origin
    if (origin === undefined) return { bytes, chain }
    const old = this.#state.image.countersOf(origin)
    return { bytes, chain, origin, packets: -old.packets, byteCount: -old.bytes }
  }

  #print(rule: RuleBytes): string {
    return printRule(rule, this.#environment()).trimStart()
  }

  /** Index of the first rule that is the same, those in `taken` apart; -1 when there is none. */
  #indexOf(wanted: RuleBytes, taken: readonly number[] = []): number {
    const { image } = this.#state
    const { offsets } = image
    let at = 0
    for (const piece of this.#chain.pieces) {
      if (!('from' in piece)) {
        if (!taken.includes(at) && sameRule(piece, wanted, image.family)) return at
        at++
        continue
      }
      for (let entry = piece.from; entry < piece.to; entry++, at++) {
        // Most are of another size, or differ in the fixed part.
        if (offsets[entry + 1]! - offsets[entry]! === wanted.bytes.length && !taken.includes(at) && sameRule(image.rule(entry), wanted, image.family)) return at
      }
    }
    return this.#indexOfText(wanted, taken)
  }

  /** As {@link #indexOf}, for a rule that another program wrote with other revisions. */
  #indexOfText(wanted: RuleBytes, taken: readonly number[]): number {
    const environment = this.#environment()
    let at = 0
    for (const piece of this.#chain.pieces) {
      const { from, to } = 'from' in piece ? piece : { from: 0, to: 1 }
      for (let entry = from; entry < to; entry++, at++) {
        if (!taken.includes(at) && sameText(this.#bytes('from' in piece ? entry : piece), wanted, environment)) return at
      }
    }
    return -1
  }

  #requireNumber(number: unknown): asserts number is number {
    const { length } = this
    if (typeof number !== 'number' || !Number.isInteger(number) || number < 1 || number > length) throw outOfRange('number', length === 0 ? 'a rule, and the chain has none' : `a rule's number from 1 to ${length}`, number)
  }

  #requirePolicy(): void {
    if (this.#chain.hook === undefined) throw new NfkitError('NFKIT_BUILTIN_CHAIN_ONLY', `chain ${this.name} has no policy: only built-in chains have`)
  }
}
