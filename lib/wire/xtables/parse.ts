// SPDX-License-Identifier: MIT
// The options of a rule, and the command before them, as iptables takes them: straight to bytes, no rule object in between.

import { Writer } from '../bytes.js'
import { appendExtension, type EntryLayout, entryLayouts, IPT_F_FRAG, VERDICT, XT_INV } from './entry.js'
import { align8, type Extension, ExtensionParser, extensionForWriting } from './extension.js'
import { type AddressMask, formatProtocol, parseAddresses, parseProtocol, setInvert, writeAddress, writeInterface, writeProtocol } from './fixed.js'
import { type Basic, type CommandOption, findOption, type OtherOption, type OwnOption, shortOption } from './option-names.js'
import { Payload, RuleError } from './payload.js'
import { parseUnsigned, type Property } from './property.js'
import { appendStandardTarget, checkChainName, closeEntry, contextOf, markGoto, requireExtension, type RuleBytes, type RuleEnvironment } from './rule.js'

/** What a rule's text says beside the rule. */
export interface ParsedRule {
  /** Several when an address has several parts, in the order in which iptables appends them. */
  readonly rules: RuleBytes[]
  readonly counters?: { readonly packets: bigint; readonly bytes: bigint } | undefined
}

/** A command with what follows it. */
export interface ParsedCommand extends ParsedRule {
  readonly name: CommandOption
  /** Of all chains where the command can do without. */
  readonly chain: string | undefined
  /** Number of a rule, from 1 on. */
  readonly number?: number | undefined
  /** The new name of a chain, or its policy. */
  readonly argument?: string | undefined
}

interface Part {
  readonly parser: ExtensionParser
  readonly extension: Extension
}

/**
 * Reads the options of one rule: what follows `-A CHAIN`.
 * @throws RuleError with the option and the reason, for whatever iptables refuses
 */
export function parseRule(words: readonly string[], environment: RuleEnvironment): ParsedRule {
  return new RuleParser(environment, false).parse(words).finish()
}

/**
 * Reads a command with its rule, as a line of iptables-restore has it: `-A CHAIN ...`, `-F`. Undefined for a line of the other
 * family (`-4`, `-6`), which is passed over.
 * @throws RuleError for whatever iptables-restore refuses
 */
export function parseCommand(words: readonly string[], environment: RuleEnvironment): ParsedCommand | undefined {
  return new RuleParser(environment, true).parse(words).command()
}

/** The match that is named after a protocol, as `-p` gave it; undefined without a protocol. */
export function protocolMatch(protocol: string | undefined, { family, resolver }: RuleEnvironment): string | undefined {
  if (protocol === undefined) return undefined
  const number = parseUnsigned(protocol, 0, 255)
  const name = number === undefined ? protocol.toLowerCase() : formatProtocol(number, resolver)
  if (family === 'ipv6' && (name === 'ipv6-icmp' || name === 'icmpv6')) return 'icmp6'
  return name
}

const COMMAND_LETTERS: Readonly<Record<CommandOption, string>> = {
  append: '-A', delete: '-D', check: '-C', insert: '-I', replace: '-R', flush: '-F', zero: '-Z', 'new-chain': '-N', 'delete-chain': '-X', 'rename-chain': '-E', policy: '-P',
}
/** Commands that take a rule. */
const WITH_RULE: readonly CommandOption[] = ['append', 'delete', 'check', 'insert', 'replace']

class RuleParser {
  readonly #environment: RuleEnvironment
  readonly #layout: EntryLayout
  readonly #commands: boolean
  readonly #w = new Writer(512)
  /** The target is written behind the matches, which may still come. */
  #targetWriter: Writer | undefined
  readonly #fixed: Payload
  readonly #seen = new Set<Basic>()
  /** Newest first: its options win, as with getopt_long and merged options. */
  #parts: Part[] = []
  #target: Part | undefined
  #verdict = 0
  #chain: string | undefined
  #sources: AddressMask[] | undefined
  #destinations: AddressMask[] | undefined
  #protocolName: string | undefined
  #protocolLoaded = false
  #counters: ParsedRule['counters']
  #words: readonly string[] = []
  #at = 0
  #command: CommandOption | undefined
  #commandChain: string | undefined
  #number: number | undefined
  #commandArgument: string | undefined
  #otherFamily = false

  constructor(environment: RuleEnvironment, commands: boolean) {
    this.#environment = environment
    this.#commands = commands
    this.#layout = entryLayouts[environment.family]
    this.#w.reserve(this.#layout.size)
    this.#fixed = new Payload(this.#w, 0, this.#layout.size)
  }

  parse(words: readonly string[]): this {
    this.#words = words
    let inverted = false
    try {
      while (this.#at < words.length && !this.#otherFamily) {
        const word = words[this.#at++]!
        if (word === '!') {
          if (inverted) throw new RuleError('two "!" in a row')
          inverted = true
          continue
        }
        this.#option(word, inverted)
        inverted = false
      }
      if (inverted) throw new RuleError('nothing follows the "!"')
    } catch (error) {
      if (error instanceof RuleError) error.word = Math.min(this.#at, words.length) - 1
      throw error
    }
    return this
  }

  #option(word: string, inverted: boolean): void {
    if (!word.startsWith('-') || word === '-') throw new RuleError(`"${word}" is no option`)
    if (!word.startsWith('--')) return this.#short(word, inverted)
    const equals = word.indexOf('=')
    const name = equals < 0 ? word : word.slice(0, equals)
    const attached = equals < 0 ? undefined : word.slice(equals + 1)
    let found = this.#find(name)
    if (found === undefined && this.#loadByProtocol()) found = this.#find(name)
    if (found === undefined) throw new RuleError(`unknown option "${name}"`)
    if (!('part' in found)) return this.#own(found, name, attached, inverted)
    const { part, property } = found
    part.parser.option(property, this.#argumentsOf(property, name, attached), inverted, this.#context())
  }

  #find(name: string) {
    return findOption(name, this.#target === undefined ? this.#parts : [this.#target, ...this.#parts])
  }

  /** One letter and its argument, or several letters without arguments. */
  #short(word: string, inverted: boolean): void {
    for (let i = 1; i < word.length; i++) {
      const letter = word[i]!
      const found = shortOption(letter)
      if (found === undefined) throw new RuleError(`unknown option "-${letter}"`)
      const alone = 'other' in found ? found.other !== 'table' : 'basic' in found && found.basic === 'fragment'
      if (!alone) return this.#own(found, `-${letter}`, i + 1 < word.length ? word.slice(i + 1) : undefined, inverted)
      this.#own(found, `-${letter}`, undefined, inverted)
    }
  }

  #own(found: OwnOption, option: string, attached: string | undefined, inverted: boolean): void {
    if ('basic' in found) return this.#basic(found.basic, option, attached, inverted)
    if (!this.#commands) throw new RuleError(`unknown option "${option}"`)
    if ('other' in found) return this.#other(found.other, option, inverted)
    if (inverted) throw new RuleError(`${option} cannot be negated`)
    if (this.#command !== undefined) throw new RuleError(`${option} cannot be given together with ${COMMAND_LETTERS[this.#command]}`)
    const name = found.command
    this.#command = name
    const optional = name === 'flush' || name === 'zero' || name === 'delete-chain'
    this.#commandChain = attached ?? (optional ? this.#optional() : this.#argument(option))
    switch (name) {
      case 'delete': case 'zero': this.#number = this.#ruleNumber(option); break
      case 'insert': this.#number = this.#ruleNumber(option) ?? 1; break
      case 'replace':
        this.#number = this.#ruleNumber(option)
        if (this.#number === undefined) throw new RuleError(`${option} needs the number of a rule`)
        break
      case 'rename-chain': case 'policy':
        this.#commandArgument = this.#optional()
        if (this.#commandArgument === undefined) throw new RuleError(`${option} needs a chain and ${name === 'policy' ? 'a policy' : 'its new name'}`)
    }
  }

  /** The next word, unless it is an option. */
  #optional(): string | undefined {
    const next = this.#words[this.#at]
    if (next === undefined || next.startsWith('-') || next.startsWith('!')) return undefined
    this.#at++
    return next
  }

  #ruleNumber(option: string): number | undefined {
    const text = this.#optional()
    if (text === undefined) return undefined
    const number = parseUnsigned(text, 1, 0x7fffffff)
    if (number === undefined) throw new RuleError(`${option}: expected the number of a rule, got "${text}"`)
    return number
  }

  #other(other: OtherOption, option: string, inverted: boolean): void {
    if (inverted) throw new RuleError(`${option} cannot be negated`)
    switch (other) {
      case 'verbose': return
      case 'ipv4': case 'ipv6':
        this.#otherFamily = other !== this.#environment.family
        return
      case 'table': throw new RuleError(`${option} cannot be given here: the line with the * names the table`)
      default: throw new RuleError(`${option} cannot be given here`)
    }
  }

  #argumentsOf(property: Property, option: string, attached: string | undefined): string | undefined {
    const count = property.arguments ?? 1
    if (count === 0 || count === 'optional') {
      if (attached !== undefined) throw new RuleError(`${option} takes no argument behind a "="`)
      return count === 0 || this.#words[this.#at] === '' ? undefined : this.#optional()
    }
    const argument = attached ?? this.#argument(option)
    return count === 2 ? `${argument} ${this.#argument(option)}` : argument
  }

  #argument(option: string): string {
    if (this.#at >= this.#words.length) throw new RuleError(`option "${option}" needs an argument`)
    return this.#words[this.#at++]!
  }

  #basic(basic: Basic, option: string, attached: string | undefined, inverted: boolean): void {
    if (basic !== 'match') {
      const key = basic === 'goto' ? 'jump' : basic
      if (this.#seen.has(key)) throw new RuleError(`${option} cannot be given twice`)
      this.#seen.add(key)
    }
    if (inverted && (basic === 'match' || basic === 'jump' || basic === 'goto' || basic === 'counters')) throw new RuleError(`${option} cannot be negated`)
    const { family, resolver } = this.#environment
    const fixed = this.#fixed
    const layout = this.#layout
    const invert = (bit: number) => { if (inverted) setInvert(fixed, layout, bit) }
    const argument = () => attached ?? this.#argument(option)
    switch (basic) {
      case 'source': {
        this.#sources = parseAddresses(argument(), option, family, resolver)
        invert(XT_INV.source)
        break
      }
      case 'destination': {
        this.#destinations = parseAddresses(argument(), option, family, resolver)
        invert(XT_INV.destination)
        break
      }
      case 'in': case 'out': {
        const name = argument()
        writeInterface(fixed, layout, basic, name, (expected) => new RuleError(`${option}: expected ${expected}, got "${name}"`))
        invert(basic === 'in' ? XT_INV.inInterface : XT_INV.outInterface)
        break
      }
      case 'protocol': {
        const text = argument().toLowerCase()
        const number = parseProtocol(text, resolver)
        if (number === undefined) throw new RuleError(`${option}: unknown protocol "${text}"`)
        if (number === 0 && inverted) throw new RuleError(`${option}: the rule would never match`)
        writeProtocol(fixed, layout, number)
        invert(XT_INV.protocol)
        this.#protocolName = text
        break
      }
      case 'fragment': {
        if (family === 'ipv6') throw new RuleError('-f is for IPv4, -m frag for IPv6')
        fixed.setU8(layout.flags, fixed.u8(layout.flags) | IPT_F_FRAG)
        invert(XT_INV.fragment)
        break
      }
      case 'match': this.#match(argument()); break
      case 'jump': this.#jump(argument()); break
      case 'goto': {
        const name = argument()
        checkChain(name)
        this.#chain = name
        markGoto(fixed, layout)
        break
      }
      case 'counters': {
        const given = argument()
        const comma = given.indexOf(',', 1)
        const packets = comma < 0 ? given : given.slice(0, comma)
        const bytes = comma < 0 ? this.#argument(option) : given.slice(comma + 1)
        this.#counters = parseCounters(packets, bytes, option)
      }
    }
  }

  #context() {
    const context = contextOf(this.#fixed, this.#layout, this.#environment)
    return this.#commandChain === undefined ? context : { ...context, chain: this.#commandChain }
  }

  #part(w: Writer, kind: 'match' | 'target', name: string): Part {
    const extension = requireExtension(kind, name, this.#environment)
    const size = align8(extension.size)
    const at = appendExtension(w, extension.wireName ?? extension.name, extension.revision, size)
    const payload = new Payload(w, at, size)
    return { extension, parser: new ExtensionParser(extension, payload, this.#context()) }
  }

  #match(name: string): void {
    this.#parts = [this.#part(this.#w, 'match', name), ...this.#parts]
    if (name === protocolMatch(this.#protocolName, this.#environment)) this.#protocolLoaded = true
  }

  /** `--dport` without `-m tcp`: the match of the rule's protocol is loaded when an option is unknown. */
  #loadByProtocol(): boolean {
    const name = protocolMatch(this.#protocolName, this.#environment)
    if (name === undefined || this.#protocolLoaded || extensionForWriting('match', name, this.#environment.family) === undefined) return false
    this.#protocolLoaded = true
    this.#parts = [this.#part(this.#w, 'match', name), ...this.#parts]
    return true
  }

  #jump(name: string): void {
    const { isChain, family } = this.#environment
    if (name === 'CONTINUE') return
    // iptables, not the kernel, keeps packets from being dropped there.
    if (name === 'DROP' && this.#environment.table === 'nat') throw new RuleError('the nat table is not for filtering: -j DROP cannot be given in it')
    if (Object.hasOwn(VERDICT, name)) this.#verdict = VERDICT[name as keyof typeof VERDICT]
    else if (isChain?.(name) !== true && extensionForWriting('target', name, family) !== undefined) this.#target = this.#part(this.#targetWriter = new Writer(128), 'target', name)
    else {
      checkChain(name)
      this.#chain = name
    }
  }

  /** The rule of all that was read. */
  finish(): ParsedRule {
    this.#close()
    const rules: RuleBytes[] = []
    for (const source of this.#sources ?? [undefined]) {
      for (const destination of this.#destinations ?? [undefined]) {
        if (source !== undefined) writeAddress(this.#fixed, this.#layout, 'source', source)
        if (destination !== undefined) writeAddress(this.#fixed, this.#layout, 'destination', destination)
        rules.push({ bytes: this.#w.finish().slice(), chain: this.#chain })
      }
    }
    if (rules.length > 1 && (this.#fixed.u8(this.#layout.invert) & (XT_INV.source | XT_INV.destination)) !== 0) {
      throw new RuleError('"!" cannot be given together with several addresses')
    }
    return { rules, counters: this.#counters }
  }

  /** Checks what only the whole can tell, and puts the target behind the matches. */
  #close(): void {
    const ctx = this.#context()
    // In the order in which they were given.
    for (let i = this.#parts.length - 1; i >= 0; i--) this.#parts[i]!.parser.finish(ctx)
    this.#target?.parser.finish(ctx)
    const w = this.#w
    const start = w.length
    if (this.#targetWriter === undefined) appendStandardTarget(w, this.#verdict)
    else w.raw(this.#targetWriter.finish())
    if (w.length > 0xffff) throw new RuleError(`the rule has ${w.length} bytes; at most 65535 are possible`)
    closeEntry(w, this.#layout, 0, start)
    this.#checkChainOptions()
  }

  /** The command of all that was read. */
  command(): ParsedCommand | undefined {
    if (this.#otherFamily) return undefined
    const name = this.#command
    if (name === undefined) throw new RuleError('no command such as -A')
    const letter = COMMAND_LETTERS[name]
    const chain = this.#commandChain
    if (chain !== undefined && name !== 'new-chain' && new TextEncoder().encode(chain).length > 28) throw new RuleError(`${letter}: the name of a chain has at most 28 bytes, got "${chain}"`)
    const rule = WITH_RULE.includes(name) && !(name === 'delete' && this.#number !== undefined)
    if (!rule || name === 'delete' || name === 'check') {
      for (const basic of this.#seen) {
        if (basic === 'counters' ? name !== 'policy' : !rule) throw new RuleError(`${letter} does not take ${basic === 'counters' ? 'counters' : `-${basic === 'in' ? 'i' : basic === 'out' ? 'o' : basic[0]!}`}`)
      }
    }
    const parsed = rule ? this.finish() : { rules: [], counters: this.#counters }
    if (name === 'replace' && parsed.rules.length !== 1) throw new RuleError('-R takes a rule with one address only')
    return { ...parsed, name, chain, number: this.#number, argument: this.#commandArgument }
  }

  #checkChainOptions(): void {
    const chain = this.#commandChain ?? this.#environment.chain
    if (this.#seen.has('out') && (chain === 'PREROUTING' || chain === 'INPUT')) throw new RuleError(`-o cannot be given in ${chain}`)
    if (this.#seen.has('in') && (chain === 'POSTROUTING' || chain === 'OUTPUT')) throw new RuleError(`-i cannot be given in ${chain}`)
  }
}

function checkChain(name: string): void {
  try { checkChainName(name) } catch { throw new RuleError(`"${name}" cannot be the name of a chain`) }
}

const MAX64 = 0xffffffffffffffffn

/** Counters as text; they never pass through a number. @throws RuleError */
export function parseCounters(packets: string, bytes: string, option: string): { packets: bigint; bytes: bigint } {
  if (!/^\s*\d{1,20}$/.test(packets) || !/^\s*\d{1,20}$/.test(bytes)) throw new RuleError(`${option}: expected two numbers, got "${packets}" and "${bytes}"`)
  const counters = { packets: BigInt(packets), bytes: BigInt(bytes) }
  if (counters.packets > MAX64 || counters.bytes > MAX64) throw new RuleError(`${option}: expected numbers of at most 64 bits, got "${packets}" and "${bytes}"`)
  return counters
}
