// SPDX-License-Identifier: MIT
// The options of a rule as iptables takes them, straight to bytes: no rule object in between.

import { Writer } from '../bytes.js'
import { appendExtension, type EntryLayout, entryLayouts, IPT_F_FRAG, VERDICT, XT_INV } from './entry.js'
import { align8, type Extension, ExtensionParser, extensionForWriting } from './extension.js'
import { type AddressMask, formatProtocol, parseAddresses, parseProtocol, setInvert, writeAddress, writeInterface, writeProtocol } from './fixed.js'
import { Payload, RuleError } from './payload.js'
import { parseUnsigned, type Property } from './property.js'
import { appendStandardTarget, checkChainName, closeEntry, contextOf, markGoto, requireExtension, type RuleBytes, type RuleEnvironment } from './rule.js'

/** An option outside the extensions. */
type Basic = 'source' | 'destination' | 'protocol' | 'in' | 'out' | 'fragment' | 'match' | 'jump' | 'goto' | 'counters'

const BASIC: readonly (readonly [long: string, basic: Basic])[] = [
  ['source', 'source'], ['src', 'source'], ['destination', 'destination'], ['dst', 'destination'], ['protocol', 'protocol'], ['proto', 'protocol'],
  ['in-interface', 'in'], ['out-interface', 'out'], ['fragment', 'fragment'], ['fragments', 'fragment'], ['match', 'match'], ['jump', 'jump'],
  ['goto', 'goto'], ['set-counters', 'counters'],
]
const SHORT: Readonly<Record<string, Basic>> = {
  s: 'source', d: 'destination', p: 'protocol', i: 'in', o: 'out', f: 'fragment', m: 'match', j: 'jump', g: 'goto', c: 'counters',
}

/** iptables' other long options: a beginning that they share is ambiguous. */
const COMMANDS = [
  'append', 'delete', 'check', 'insert', 'replace', 'list', 'list-rules', 'flush', 'zero', 'new-chain', 'delete-chain', 'rename-chain', 'policy', 'table',
  'numeric', 'verbose', 'wait', 'wait-interval', 'exact', 'line-numbers', 'modprobe', 'ipv4', 'ipv6', 'version', 'help',
].map((name) => `--${name}`)

/** What a rule's text says beside the rule. */
export interface ParsedRule {
  /** Several when an address has several parts, in the order in which iptables appends them. */
  readonly rules: RuleBytes[]
  readonly counters?: { readonly packets: bigint; readonly bytes: bigint } | undefined
}

interface Part {
  readonly parser: ExtensionParser
  readonly extension: Extension
  readonly payload: () => Payload
}

/**
 * Reads the options of one rule: what follows `-A CHAIN`.
 * @throws RuleError with the option and the reason, for whatever iptables refuses
 */
export function parseRule(words: readonly string[], environment: RuleEnvironment): ParsedRule {
  return new RuleParser(environment).parse(words)
}

class RuleParser {
  readonly #environment: RuleEnvironment
  readonly #layout: EntryLayout
  readonly #w = new Writer(512)
  /** The target is written behind the matches, which may still come. */
  readonly #targetWriter = new Writer(128)
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

  constructor(environment: RuleEnvironment) {
    this.#environment = environment
    this.#layout = entryLayouts[environment.family]
    this.#w.reserve(this.#layout.size)
    this.#fixed = new Payload(this.#w, 0, this.#layout.size)
  }

  parse(words: readonly string[]): ParsedRule {
    this.#words = words
    let inverted = false
    while (this.#at < words.length) {
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
    return this.#finish()
  }

  #option(word: string, inverted: boolean): void {
    if (!word.startsWith('-') || word === '-') throw new RuleError(`"${word}" is no option`)
    if (!word.startsWith('--')) {
      const basic = SHORT[word[1]!]
      if (basic === undefined) throw new RuleError(`unknown option "${word}"`)
      const attached = basic === 'fragment' || word.length === 2 ? undefined : word.slice(2)
      return this.#basic(basic, word.slice(0, 2), attached, inverted)
    }
    const equals = word.indexOf('=')
    const name = equals < 0 ? word : word.slice(0, equals)
    const attached = equals < 0 ? undefined : word.slice(equals + 1)
    let found = this.#find(name)
    if (found === undefined && this.#loadByProtocol()) found = this.#find(name)
    if (found === undefined) throw new RuleError(`unknown option "${name}"`)
    if (typeof found === 'string') return this.#basic(found, name, attached, inverted)
    const { part, property } = found
    const count = property.arguments ?? 1
    let argument = count === 0 ? undefined : attached ?? this.#argument(name)
    if (count === 2) argument += ` ${this.#argument(name)}`
    part.parser.option(property, argument, inverted, this.#context())
  }

  /** An option by its whole name or a beginning that only it has. */
  #find(name: string): Basic | { part: Part; property: Property } | undefined {
    const parts = this.#target === undefined ? this.#parts : [this.#target, ...this.#parts]
    for (const part of parts) {
      const property = part.extension.properties.find((one) => one.options.includes(name))
      if (property !== undefined) return { part, property }
    }
    const basic = BASIC.find(([long]) => `--${long}` === name)
    if (basic !== undefined) return basic[1]
    const begins = [
      ...BASIC.filter(([long]) => `--${long}`.startsWith(name)).map(([, one]) => ({ key: one as unknown, found: one as Basic | { part: Part; property: Property } })),
      ...parts.flatMap((part) => part.extension.properties.flatMap((property) =>
        property.options.some((one) => one.startsWith(name)) ? [{ key: property as unknown, found: { part, property } }] : [])),
    ]
    const distinct = new Set(begins.map((one) => one.key))
    for (const command of COMMANDS) if (command.startsWith(name)) distinct.add(command)
    if (distinct.size > 1) throw new RuleError(`option "${name}" could be several`)
    return begins[0]?.found
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
    if (inverted && ['match', 'jump', 'goto', 'counters'].includes(basic)) throw new RuleError(`${option} cannot be negated`)
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
        const packets = argument()
        const bytes = this.#argument(option)
        if (!/^\d+$/.test(packets) || !/^\d+$/.test(bytes)) throw new RuleError(`${option}: expected two numbers, got "${packets}" and "${bytes}"`)
        this.#counters = { packets: BigInt(packets), bytes: BigInt(bytes) }
      }
    }
  }

  #context() { return contextOf(this.#fixed, this.#layout, this.#environment) }

  #part(w: Writer, kind: 'match' | 'target', name: string): Part {
    const extension = requireExtension(kind, name, this.#environment)
    const size = align8(extension.size)
    const at = appendExtension(w, extension.wireName ?? extension.name, extension.revision, size)
    const payload = new Payload(w, at, size)
    return { extension, payload: () => payload, parser: new ExtensionParser(extension, payload, this.#context()) }
  }

  #match(name: string): void {
    this.#parts = [this.#part(this.#w, 'match', name), ...this.#parts]
    if (name === this.#protocolMatch()) this.#protocolLoaded = true
  }

  /** The match that is named after the rule's protocol. */
  #protocolMatch(): string | undefined {
    const { family, resolver } = this.#environment
    if (this.#protocolName === undefined) return undefined
    const number = parseUnsigned(this.#protocolName, 0, 255)
    const name = number === undefined ? this.#protocolName : formatProtocol(number, resolver)
    if (family === 'ipv6' && (name === 'ipv6-icmp' || name === 'icmpv6')) return 'icmp6'
    return name === 'ipv6-mh' ? 'mh' : name
  }

  /** `--dport` without `-m tcp`: the match of the rule's protocol is loaded when an option is unknown. */
  #loadByProtocol(): boolean {
    const name = this.#protocolMatch()
    if (name === undefined || this.#protocolLoaded || extensionForWriting('match', name, this.#environment.family) === undefined) return false
    this.#protocolLoaded = true
    this.#parts = [this.#part(this.#w, 'match', name), ...this.#parts]
    return true
  }

  #jump(name: string): void {
    const { isChain, family } = this.#environment
    if (name === 'CONTINUE') return
    if (Object.hasOwn(VERDICT, name)) this.#verdict = VERDICT[name as keyof typeof VERDICT]
    else if (isChain?.(name) !== true && extensionForWriting('target', name, family) !== undefined) this.#target = this.#part(this.#targetWriter, 'target', name)
    else {
      checkChain(name)
      this.#chain = name
    }
  }

  #finish(): ParsedRule {
    const ctx = this.#context()
    // In the order in which they were given.
    for (const part of [...this.#parts].reverse()) part.parser.finish(ctx)
    this.#target?.parser.finish(ctx)
    const w = this.#w
    const start = w.length
    if (this.#target === undefined) appendStandardTarget(w, this.#verdict)
    else w.raw(this.#targetWriter.finish())
    closeEntry(w, this.#layout, 0, start)
    this.#checkChainOptions()
    const rules: RuleBytes[] = []
    for (const source of this.#sources ?? [undefined]) {
      for (const destination of this.#destinations ?? [undefined]) {
        if (source !== undefined) writeAddress(this.#fixed, this.#layout, 'source', source)
        if (destination !== undefined) writeAddress(this.#fixed, this.#layout, 'destination', destination)
        rules.push({ bytes: w.finish().slice(), chain: this.#chain })
      }
    }
    if (rules.length > 1 && (this.#fixed.u8(this.#layout.invert) & (XT_INV.source | XT_INV.destination)) !== 0) {
      throw new RuleError('"!" cannot be given together with several addresses')
    }
    return { rules, counters: this.#counters }
  }

  #checkChainOptions(): void {
    const { chain } = this.#environment
    if (this.#seen.has('out') && (chain === 'PREROUTING' || chain === 'INPUT')) throw new RuleError(`-o cannot be given in ${chain}`)
    if (this.#seen.has('in') && (chain === 'POSTROUTING' || chain === 'OUTPUT')) throw new RuleError(`-i cannot be given in ${chain}`)
  }
}

function checkChain(name: string): void {
  try { checkChainName(name) } catch { throw new RuleError(`"${name}" cannot be the name of a chain`) }
}
