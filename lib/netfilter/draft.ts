// SPDX-License-Identifier: MIT
// The working copy of a table within an update. Rules that nobody looks at or changes stay bytes.

import { inspect } from 'node:util'
import { invalidArgument, NfkitError } from '../errors.js'
import type { IpFamily } from '../wire/ip.js'
import { insertChain, newChain, referencesTo, renameChain } from '../wire/xtables/chain-graph.js'
import { VERDICT } from '../wire/xtables/entry.js'
import { extensionForWriting } from '../wire/xtables/extension.js'
import { checkChainName, type RuleEnvironment } from '../wire/xtables/rule.js'
import { type ChainImage, ruleCount, type TableImage } from '../wire/xtables/table.js'
import { ChainDraft, draftEnded, type DraftState } from './chain-draft.js'

/**
 * A table that is being changed, as `nf.update` gives it to its callback. Every method throws NfkitError NFKIT_DRAFT_ENDED once
 * the callback has ended. What a method throws leaves the draft as it was before that call.
 */
export class TableDraft {
  readonly name: string
  readonly family: IpFamily
  readonly #state: DraftState
  readonly #drafts = new Map<ChainImage, ChainDraft>()

  /** Not for users: `nf.update`. */
  constructor(image: TableImage, environment: RuleEnvironment) {
    this.name = image.info.name
    this.family = image.family
    const chains = [...image.chains]
    const byName = new Map(chains.map((chain) => [chain.name, chain]))
    this.#state = { image, chains, byName, environment: { ...environment, isChain: (name) => byName.has(name) }, ended: false, touched: false }
  }

  /** Names of the chains: built-in ones in the order of their hooks, then the users' sorted. */
  get chains(): string[] {
    return this.#live().chains.map((chain) => chain.name)
  }

  hasChain(name: string): boolean {
    return this.#live().byName.has(name)
  }

  /** @throws NfkitError NFKIT_NO_SUCH_CHAIN */
  chain(name: string): ChainDraft {
    return this.#draft(this.#find(name))
  }

  /**
   * Makes a chain, as `-N`.
   * @throws TypeError for a name that no chain can have, that of a target included; NfkitError NFKIT_CHAIN_EXISTS
   */
  newChain(name: string): ChainDraft {
    const { chains, byName } = this.#live()
    this.#checkNew(name)
    const chain = newChain(name)
    insertChain(chains, chain)
    byName.set(name, chain)
    this.#touch()
    return this.#draft(chain)
  }

  /**
   * Deletes a chain of a user's, as `-X`.
   * @throws NfkitError NFKIT_NO_SUCH_CHAIN, NFKIT_BUILTIN_CHAIN, NFKIT_CHAIN_NOT_EMPTY, NFKIT_CHAIN_IN_USE with the rule that leads there
   */
  deleteChain(name: string): void {
    const chain = this.#find(name)
    this.#requireUnused([chain])
    this.#remove(chain)
  }

  /** Deletes all chains of users, as `-X` without a name: all or none. @throws as {@link TableDraft.deleteChain} */
  deleteChains(): void {
    const chains = this.#live().chains.filter((chain) => chain.hook === undefined)
    this.#requireUnused(chains)
    for (const chain of chains) this.#remove(chain)
  }

  /** Gives a chain of a user's another name, also in the rules that lead to it, as `-E`. @throws NfkitError as {@link TableDraft.deleteChain}, NFKIT_CHAIN_EXISTS */
  renameChain(name: string, to: string): void {
    const chain = this.#find(name)
    this.#requireOwn(chain)
    if (name === to) return
    this.#checkNew(to)
    const { chains, byName } = this.#state
    renameChain(chains, chain, to)
    byName.delete(name)
    byName.set(to, chain)
    this.#touch()
  }

  /** Takes all rules out of all chains, as `-F`; the chains and policies stay. */
  flush(): void {
    for (const chain of this.#live().chains) this.#draft(chain).flush()
  }

  /** Sets the counters of all rules and policies to zero, as `-Z`. */
  zero(): void {
    for (const chain of this.#live().chains) this.#draft(chain).zero()
  }

  [inspect.custom](): string {
    return `TableDraft { name: '${this.name}', family: '${this.family}'${this.#state.ended ? ', ended' : ''} }`
  }

  /** Not for users: ends the draft. Answers the chains that the table is to have, undefined when nothing was changed. */
  static end(draft: TableDraft): readonly ChainImage[] | undefined {
    const state = draft.#state
    state.ended = true
    return state.touched ? state.chains : undefined
  }

  #live(): DraftState {
    if (this.#state.ended) throw draftEnded(this.name)
    return this.#state
  }

  #touch(): void { this.#state.touched = true }

  #find(name: string): ChainImage {
    if (typeof name !== 'string') throw invalidArgument('chain', 'the name of a chain', name)
    const chain = this.#live().byName.get(name)
    if (chain === undefined) throw new NfkitError('NFKIT_NO_SUCH_CHAIN', `table ${this.name} has no chain ${name}`)
    return chain
  }

  #draft(chain: ChainImage): ChainDraft {
    let draft = this.#drafts.get(chain)
    if (draft === undefined) this.#drafts.set(chain, draft = new ChainDraft(this.#state, chain))
    return draft
  }

  #checkNew(name: unknown): asserts name is string {
    checkChainName(name)
    if (Object.hasOwn(VERDICT, name) || extensionForWriting('target', name, this.family) !== undefined) {
      throw invalidArgument('chain', 'a name that no target has', name)
    }
    if (this.#state.byName.has(name)) throw new NfkitError('NFKIT_CHAIN_EXISTS', `table ${this.name} has a chain ${name} already`)
  }

  #requireOwn(chain: ChainImage): void {
    if (chain.hook !== undefined) throw new NfkitError('NFKIT_BUILTIN_CHAIN', `${chain.name} is a built-in chain of table ${this.name}`)
  }

  #requireUnused(chains: readonly ChainImage[]): void {
    const { image, chains: all } = this.#state
    for (const chain of chains) {
      this.#requireOwn(chain)
      const rules = ruleCount(chain)
      if (rules > 0) throw new NfkitError('NFKIT_CHAIN_NOT_EMPTY', `chain ${chain.name} of table ${this.name} has ${rules} rules`, { hint: 'flush it first' })
    }
    for (const [name, by] of referencesTo(image, all, new Set(chains.map((chain) => chain.name)))) {
      throw new NfkitError('NFKIT_CHAIN_IN_USE', `rule ${by.rule} of chain ${by.chain} in table ${this.name} leads to chain ${name}`, { hint: 'delete that rule first' })
    }
  }

  #remove(chain: ChainImage): void {
    const { chains, byName } = this.#state
    chains.splice(chains.indexOf(chain), 1)
    byName.delete(chain.name)
    this.#touch()
  }
}
