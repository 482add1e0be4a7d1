// SPDX-License-Identifier: MIT
// A table as it was when it was read. Rules become values when they are looked at.

import { inspect } from 'node:util'
import { NfkitError, outOfRange } from '../errors.js'
import type { IpFamily } from '../wire/ip.js'
import { decodeRule, printRule, type RuleEnvironment, type Verdict } from '../wire/xtables/rule.js'
import { type ChainImage, type HookName, ruleAt, ruleCount, type TableImage } from '../wire/xtables/table.js'
import { type CounterKind, type CountersOf, readCounters } from './counters.js'
import { inspectTable, type TableInspection } from './inspect.js'
import type { NetfilterRule } from './rule.js'

/** A rule of a snapshot: plain data, which can be given back to `append` and the like. */
export type ListedRule<K extends CounterKind = 'number'> = Omit<NetfilterRule, 'counters'> & { counters: CountersOf<K> }

/** One chain as it was read. */
export class ChainSnapshot<K extends CounterKind = 'number'> {
  readonly name: string
  /** The hook of a built-in chain; undefined for one of a user's. */
  readonly hook: HookName | undefined
  /** What becomes of packets that reach the end of a built-in chain. */
  readonly policy: Verdict | undefined
  /** Packets that reached the policy; undefined for a user's chain, where the kernel's count means nothing. */
  readonly counters: CountersOf<K> | undefined
  readonly #image: TableImage
  readonly #chain: ChainImage
  readonly #environment: RuleEnvironment
  readonly #kind: K
  #rules: readonly ListedRule<K>[] | undefined

  /** Not for users: `nf.table(name).chain(name)`. */
  constructor(image: TableImage, chain: ChainImage, environment: RuleEnvironment, kind: K) {
    this.name = chain.name
    this.hook = chain.hook
    this.policy = chain.hook === undefined ? undefined : chain.policy
    this.counters = chain.hook === undefined ? undefined : readCounters(image.countersOf(chain.policyEntry), kind)
    this.#image = image
    this.#chain = chain
    this.#environment = { ...environment, chain: chain.name }
    this.#kind = kind
  }

  /** How many rules it has. */
  get length(): number { return ruleCount(this.#chain) }

  /** All rules in their order, decoded at the first look. */
  get rules(): readonly ListedRule<K>[] {
    return this.#rules ??= Array.from({ length: this.length }, (_, i) => this.rule(i + 1))
  }

  /** One rule by its number, from 1 on, without decoding the others. @throws RangeError */
  rule(number: number): ListedRule<K> {
    const entry = this.#entry(number)
    return { ...decodeRule(this.#image.rule(entry), this.#environment), counters: readCounters(this.#image.countersOf(entry), this.#kind) }
  }

  /** A rule as iptables-save prints it after `-A CHAIN`. @throws RangeError */
  format(number: number): string {
    return printRule(this.#image.rule(this.#entry(number)), this.#environment).trimStart()
  }

  #entry(number: number): number {
    if (!Number.isInteger(number) || number < 1 || number > this.length) throw outOfRange('number', `a rule's number from 1 to ${this.length}`, number)
    return ruleAt(this.#chain, number - 1) as number
  }

  toJSON(): { name: string; hook?: HookName; policy?: Verdict; counters?: CountersOf<K>; rules: readonly ListedRule<K>[] } {
    const { name, hook, policy, counters, rules } = this
    return { name, ...(hook === undefined ? {} : { hook, policy: policy!, counters: counters! }), rules }
  }

  [inspect.custom](): string {
    return `ChainSnapshot { name: '${this.name}', ${this.hook === undefined ? '' : `policy: '${this.policy}', `}rules: ${this.length} }`
  }
}

/** A table as it was read, of a moment; it does not change any more. */
export class TableSnapshot<K extends CounterKind = 'number'> {
  readonly name: string
  readonly family: IpFamily
  /** Built-in chains in the order of their hooks, then the users' as the table has them. */
  readonly chains: readonly ChainSnapshot<K>[]
  readonly #image: TableImage

  /** Not for users: `nf.table(name)`. */
  constructor(image: TableImage, environment: RuleEnvironment, kind: K) {
    this.name = image.info.name
    this.family = image.family
    this.#image = image
    this.chains = image.chains.map((chain) => new ChainSnapshot(image, chain, environment, kind))
  }

  /** @throws NfkitError NFKIT_NO_SUCH_CHAIN */
  chain(name: string): ChainSnapshot<K> {
    const found = this.chains.find((chain) => chain.name === name)
    if (found === undefined) throw new NfkitError('NFKIT_NO_SUCH_CHAIN', `table ${this.name} has no chain ${name}`)
    return found
  }

  hasChain(name: string): boolean {
    return this.chains.some((chain) => chain.name === name)
  }

  /** What the kernel itself says of it: struct ipt_getinfo and every struct ipt_entry. */
  inspect(): TableInspection {
    return inspectTable(this.#image)
  }

  toJSON(): { name: string; family: IpFamily; chains: readonly ChainSnapshot<K>[] } {
    const { name, family, chains } = this
    return { name, family, chains }
  }

  [inspect.custom](): string {
    return `TableSnapshot { name: '${this.name}', family: '${this.family}', chains: [${this.chains.map((chain) => `${chain.name} (${chain.length})`).join(', ')}] }`
  }
}
