// SPDX-License-Identifier: MIT
// The format of iptables-save, applied to tables: straight from text to bytes. Nothing leaves here before the whole text was
// read, so that an error in its last line leaves every table as it is.

import { NfkitError } from '../../errors.js'
import type { IpFamily } from '../ip.js'
import { parseCommand, parseCounters, type ParsedCommand } from './parse.js'
import { type Resolver, RuleError } from './payload.js'
import { RestoreTable } from './restore-table.js'
import type { RuleEnvironment } from './rule.js'
import { RuleReader } from './rule-reader.js'
import type { TableImage } from './table.js'
import { splitWords } from './words.js'

/** A text that iptables-restore refuses, too: where, and why. Nothing of it was applied. */
export class RestoreError extends NfkitError {
  /** From 1 on. */
  readonly line: number
  /** From 1 on, in characters (UTF-16 units): where the word begins that is at fault, else the line. */
  readonly column: number
  readonly reason: string

  constructor(line: number, column: number, reason: string, cause?: unknown) {
    super('NFKIT_BAD_RESTORE', `line ${line}, column ${column}: ${reason}`, cause === undefined ? {} : { cause })
    this.name = 'RestoreError'
    this.line = line
    this.column = column
    this.reason = reason
  }

  override toJSON(): Record<string, unknown> {
    const { line, column, reason } = this
    return { ...super.toJSON(), line, column, reason }
  }
}

export interface RestoreOptions {
  readonly family: IpFamily
  readonly resolver: Resolver
  readonly kernelHas?: RuleEnvironment['kernelHas']
  /** Take over the counters of the text (iptables-restore -c). */
  readonly counters?: boolean | undefined
  /** Empty each table first (true unless told; false is iptables-restore -n). */
  readonly flush?: boolean | undefined
  /** Which tables' parts are wanted, all unless told; the others are not even read. */
  readonly only?: ((table: string) => boolean) | undefined
  /** A table as it is now, to be changed. */
  readonly open: (table: string) => TableImage
}

/** Bytes of a line with its end, as iptables-restore has room for. */
const MAX_LINE = 10239
const HASH = 35
const STAR = 42
const COLON = 58
const BRACKET = 91
const DASH = 45
const SPACE = 32
const LETTER_A = 65

/**
 * Applies a text to tables. Answers each table of it, once, in the order of their first lines, with its image changed.
 * @throws RestoreError for whatever iptables-restore refuses
 */
export function restoreText(text: string, options: RestoreOptions): RestoreTable[] {
  return new TextReader(text, options).read()
}

class TextReader {
  readonly #text: string
  readonly #options: RestoreOptions
  readonly #flush: boolean
  readonly #tables = new Map<string, { table: RestoreTable; rules: RuleReader; environment: RuleEnvironment }>()
  #line = 0
  /** Where the line begins and ends. */
  #start = 0
  #end = 0

  constructor(text: string, options: RestoreOptions) {
    this.#text = text
    this.#options = options
    this.#flush = options.flush ?? true
  }

  read(): RestoreTable[] {
    const text = this.#text
    const { only } = this.#options
    let current: { table: RestoreTable; rules: RuleReader; environment: RuleEnvironment } | undefined
    // What is before the first table, or belongs to another one, is passed over.
    let skipping = only !== undefined
    this.#refuseNul()
    for (let at = 0; at < text.length; at = this.#end + 1) {
      const newline = text.indexOf('\n', at)
      this.#start = at
      this.#end = newline < 0 ? text.length : newline
      this.#line++
      const first = text.charCodeAt(at)
      if (at === this.#end || first === HASH) continue
      if (this.#end - at > MAX_LINE / 4) this.#refuseLong()
      if (current === undefined && first === STAR) {
        const name = splitAtBlanks(text.slice(at + 1, this.#end))[0]
        if (name === undefined) this.#fail(0, 'a table needs a name')
        skipping = only?.(name) === false
        if (!skipping) current = this.#open(name)
      } else if (current === undefined) {
        if (!skipping) this.#fail(0, `"${firstWord(text, at, this.#end)}" is outside of a table: expected a line such as *filter`)
      } else if (this.#end - at === 6 && text.startsWith('COMMIT', at)) current = undefined
      else if (first === COLON) this.#chainLine(current.table)
      else this.#rule(current, first)
    }
    if (current !== undefined) {
      this.#line++
      this.#start = this.#end = text.length
      this.#fail(0, `COMMIT is missing: the table ${current.table.name} has no end`)
    }
    return [...this.#tables.values()].map(({ table }) => table)
  }

  #fail(offset: number, reason: string, cause?: unknown): never {
    throw new RestoreError(this.#line, offset + 1, reason, cause)
  }

  /** Runs one step; what it refuses is the line's fault. */
  #try<T>(offset: number, step: () => T): T {
    try { return step() } catch (error) {
      if (error instanceof RuleError || error instanceof TypeError || error instanceof RangeError) this.#fail(offset, error.message, error)
      throw error
    }
  }

  #refuseNul(): void {
    const nul = this.#text.indexOf('\0')
    if (nul < 0) return
    const before = this.#text.slice(0, nul)
    this.#line = before.split('\n').length
    this.#fail(nul - before.lastIndexOf('\n') - 1, 'a NUL character')
  }

  #refuseLong(): void {
    const length = new TextEncoder().encode(this.#text.slice(this.#start, this.#end)).length + 1
    if (length > MAX_LINE) this.#fail(0, `a line of ${length} bytes: iptables-restore has room for ${MAX_LINE}`)
  }

  #open(name: string) {
    const { family, resolver, kernelHas } = this.#options
    let known = this.#tables.get(name)
    if (known === undefined) {
      const table = new RestoreTable(this.#try(1, () => this.#options.open(name)))
      const environment: RuleEnvironment = { family, resolver, kernelHas, table: name, isChain: (chain) => table.chain(chain) !== undefined }
      known = { table, environment, rules: new RuleReader(table, environment) }
      this.#tables.set(name, known)
    }
    if (this.#flush) known.table.reset()
    return known
  }

  /** `:CHAIN POLICY [packets:bytes]` */
  #chainLine(table: RestoreTable): void {
    const [name, policy, counters] = splitAtBlanks(this.#text.slice(this.#start + 1, this.#end))
    const columnOf = (word: string, from: number) => this.#text.indexOf(word, this.#start + from) - this.#start
    if (name === undefined) this.#fail(0, 'a chain needs a name')
    this.#try(1, () => { table.declare(name, this.#flush) })
    if (policy === undefined) this.#fail(this.#end - this.#start, `chain ${name} needs a policy, or - for none`)
    if (policy === '-') return
    const column = columnOf(policy, 1 + name.length)
    let given = { packets: 0n, bytes: 0n }
    if (this.#options.counters === true) {
      const match = /^\[(\d+):(\d+)\]/.exec(counters ?? '')
      if (match === null) this.#fail(counters === undefined ? this.#end - this.#start : columnOf(counters, column + policy.length), `expected the counters of chain ${name} as [packets:bytes]${counters === undefined ? '' : `, got "${counters}"`}`)
      given = this.#try(columnOf(counters!, column + policy.length), () => parseCounters(match[1]!, match[2]!, 'counters'))
    }
    this.#try(column, () => { table.setPolicy(name, policy, given) })
  }

  #rule({ table, rules, environment }: { table: RestoreTable; rules: RuleReader; environment: RuleEnvironment }, first: number): void {
    const text = this.#text
    let at = this.#start
    let counters: { packets: bigint; bytes: bigint } | undefined
    if (first === BRACKET) [at, counters] = this.#counters(at)
    // By far most lines are `-A CHAIN` and what iptables-save prints behind it.
    if (text.charCodeAt(at) === DASH && text.charCodeAt(at + 1) === LETTER_A && text.charCodeAt(at + 2) === SPACE && rules.append(text, at + 3, this.#end, counters)) return
    try {
      const { words, starts } = splitWords(text, at, this.#end)
      try {
        const command = parseCommand(words, environment)
        if (command !== undefined) {
          if (counters !== undefined) this.#refuseCounters(command)
          this.#apply(table, { ...command, counters: command.counters ?? counters })
        }
      } catch (error) {
        if (error instanceof RuleError) this.#fail((starts[error.word ?? 0] ?? this.#start) - this.#start, error.message, error)
        throw error
      }
    } catch (error) {
      if (error instanceof TypeError || error instanceof RangeError || (error instanceof RuleError)) this.#fail(0, error.message, error)
      throw error
    }
  }

  /** `[packets:bytes]` before a rule: answers where the rule begins, and the counters if they are wanted. */
  #counters(at: number): [at: number, counters: { packets: bigint; bytes: bigint } | undefined] {
    const text = this.#text
    const end = text.indexOf(']', at)
    const colon = text.indexOf(':', at)
    if (end < 0 || end >= this.#end) this.#fail(0, 'expected ] behind the counters')
    if (colon < 0 || colon > end || colon === at + 1 || colon + 1 === end) this.#fail(0, `expected [packets:bytes], got "${text.slice(at, end + 1)}"`)
    const counters = this.#options.counters === true
      ? this.#try(0, () => parseCounters(text.slice(at + 1, colon), text.slice(colon + 1, end), 'counters'))
      : undefined
    let next = end + 1
    while (text.charCodeAt(next) === SPACE) next++
    return [next, counters]
  }

  /** Counters before a command count as its option -c. */
  #refuseCounters({ name, counters }: ParsedCommand): void {
    if (counters !== undefined) throw new RuleError('counters before the command and -c cannot be given together')
    if (name !== 'append' && name !== 'insert' && name !== 'replace' && name !== 'policy') throw new RuleError('the command takes no counters')
  }

  #apply(table: RestoreTable, { name, chain, number, argument, rules, counters }: ParsedCommand): void {
    switch (name) {
      case 'append': return table.append(chain!, rules, counters)
      case 'insert': return table.insert(chain!, number!, rules, counters)
      case 'replace': return table.replace(chain!, number!, rules[0]!, counters)
      case 'delete': return number === undefined ? table.delete(chain!, rules) : table.deleteNumber(chain!, number)
      case 'check': return table.check(chain!, rules)
      case 'flush': return table.flush(chain)
      case 'zero': return number === undefined ? table.zero(chain) : table.zeroNumber(chain!, number)
      case 'new-chain': return table.create(chain!)
      case 'delete-chain': return table.deleteChain(chain)
      case 'rename-chain': return table.rename(chain!, argument!)
      case 'policy': return table.setPolicy(chain!, argument!, counters)
    }
  }
}

/** As strtok(3) with blanks. */
function splitAtBlanks(text: string): string[] {
  return text.split(/[ \t]+/).filter((word) => word !== '')
}

function firstWord(text: string, from: number, to: number): string {
  return splitAtBlanks(text.slice(from, Math.min(to, from + 60)))[0] ?? ''
}
