// SPDX-License-Identifier: MIT
// The short way from `-A CHAIN ...` to bytes, for rules as iptables-save prints them: options of the rule itself, then matches,
// then the target, with one space between words, each part with options of its own only. Then no part depends on what follows it.
// Any other rule, and any mistake, is left to parse.ts: nothing is refused here.

import { inputOf, LITTLE_ENDIAN } from '../bytes.js'
import { type EntryLayout, EXTENSION_HEADER, IP6T_F_GOTO, IPT_F_GOTO, VERDICT, XT_INV } from './entry.js'
import { parseRule, protocolMatch } from './parse.js'
import { copyWords, PartReader } from './part-reader.js'
import { Payload, type RuleContext } from './payload.js'
import { RULE_ROOM, type RestoreTable } from './restore-table.js'
import { contextOf, requireExtension, type RuleEnvironment, STANDARD_TARGET } from './rule.js'
import type { RuleBlock } from './rule-block.js'
import type { ChainImage } from './table.js'
import { hashOn, TextMemo } from './text-memo.js'
import { endOfWord, splitWords } from './words.js'

const SPACE = 32
const BANG = 33
const QUOTE = 34
const DASH = 45
const DOT = 46
const SLASH = 47
const ZERO = 48
const BACKSLASH = 92
const [C_D, C_F, C_G, C_I, C_J, C_M, C_O, C_P, C_S] = [100, 102, 103, 105, 106, 109, 111, 112, 115]

/** What a group of the rule's own options sets: words of the entry by twos, number and value. */
type Setting = Int32Array

/** More bytes than that are not taken on suspicion. */
const MAX_EXPECTED = 1 << 27

const verdicts = new Map<string, number>(Object.entries(VERDICT))

/** What reads matches and targets; it depends on the protocol, and on the chain as far as that is a built-in one. */
interface Scope {
  readonly environment: RuleEnvironment
  readonly protocols: Map<string, Protocol>
}

interface Protocol {
  readonly ctx: RuleContext
  readonly matches: Map<string, PartReader | null>
  readonly targets: Map<string, PartReader | null>
  /** The match of the protocol, for its options without -m. */
  implicit: PartReader | null | undefined
  /** Parts that were read before, by their whole text; of verdicts without a reader. */
  readonly kept: TextMemo<KeptPart>
}

interface KeptPart {
  readonly words: Int32Array
  readonly reader: PartReader | undefined
}

export class RuleReader {
  readonly #table: RestoreTable
  readonly #environment: RuleEnvironment
  readonly #layout: EntryLayout
  readonly #settings = new TextMemo<Setting | null>()
  readonly #scopes = new Map<string, Scope>()
  readonly #entryWords: number
  readonly #ipv4: boolean
  /** The chain of the rule before, and what goes with it. */
  #chainName = ''
  #chain: ChainImage | undefined
  #version = 0
  #scope: Scope | undefined
  /** Characters of the rules that were appended, and the bytes that they took. */
  #characters = 0
  #bytes = 0

  constructor(table: RestoreTable, environment: RuleEnvironment) {
    this.#table = table
    this.#environment = environment
    this.#layout = table.image.layout
    this.#entryWords = this.#layout.size >> 2
    this.#ipv4 = this.#layout.family === 'ipv4'
  }

  /** Appends the rule of `text` from behind `-A ` up to `end`. False when it has to go the long way; nothing has been done then. */
  append(text: string, from: number, end: number, counters: { packets: bigint; bytes: bigint } | undefined): boolean {
    let at = from
    while (at < end && text.charCodeAt(at) !== SPACE) at++
    const chain = this.#chainOf(text, from, at)
    if (chain === undefined) return false
    const block = this.#table.blockFor(chain)
    if (!block.hasRoom(RULE_ROOM)) block.makeRoom(RULE_ROOM, this.#expected(text, end))
    const start = block.length >> 2
    const room = (block.length + RULE_ROOM) >> 2
    const { words } = block
    for (let i = start, stop = start + this.#entryWords; i < stop; i++) words[i] = 0
    let next = start + this.#entryWords
    let protocol = ''

    // The rule's own options.
    let seen = 0
    while (at < end) {
      const option = text.charCodeAt(at + 1) === BANG ? at + 3 : at + 1
      if (text.charCodeAt(option) !== DASH || (option !== at + 1 && text.charCodeAt(at + 2) !== SPACE)) return false
      const letter = text.charCodeAt(option + 1)
      if (letter === C_M || letter === C_J || letter === C_G || letter === DASH) break
      const bit = letter === C_S ? 1 : letter === C_D ? 2 : letter === C_I ? 4 : letter === C_O ? 8 : letter === C_P ? 16 : letter === C_F ? 32 : 0
      if (bit === 0 || (seen & bit) !== 0) return false
      seen |= bit
      let stop = option + 2
      let hash = option - at + letter
      if (bit !== 32) {
        if (text.charCodeAt(stop) !== SPACE) return false
        stop++
        if (stop < end && this.#ipv4 && bit <= 2) {
          const past = putIpv4(text, stop, end, words, start + (bit - 1), start + 2 + (bit - 1))
          if (past > 0) {
            if (option !== at + 1) words[start + (this.#layout.invert >> 2)]! |= INVERT_WORD[bit === 1 ? 'source' : 'destination']
            at = past
            continue
          }
        }
        while (stop < end) {
          const code = text.charCodeAt(stop)
          if (code === SPACE) break
          if (code === QUOTE || code < SPACE) return false
          hash = hashOn(hash, code)
          stop++
        }
      }
      if (stop < end && text.charCodeAt(stop) !== SPACE) return false
      const group = this.#settings.find(text, at, stop, hash) ?? this.#readSetting(text.slice(at, stop), hash)
      const setting = group.value
      if (setting === null) return false
      for (let i = 0; i < setting.length; i += 2) words[start + setting[i]!]! |= setting[i + 1]!
      if (bit === 16) protocol = group.text
      at = stop
    }
    // Refused by iptables, which says it better.
    const hook = chain.hook
    if ((seen & 8) !== 0 && (hook === 'PREROUTING' || hook === 'INPUT')) return false
    if ((seen & 4) !== 0 && (hook === 'POSTROUTING' || hook === 'OUTPUT')) return false

    // Matches, then the target.
    let target = 0
    let jumps = false
    let known: Protocol | undefined
    while (at < end) {
      const letter = text.charCodeAt(at + 1) === DASH ? text.charCodeAt(at + 2) : 0
      if (target !== 0 || (letter === DASH && next !== start + this.#entryWords)) return false
      const stop = endOfPart(text, at, end)
      if (stop < 0) return false
      known ??= this.#protocolOf(protocol, block, start)
      if (letter === C_J || letter === C_G) target = next
      else if (letter !== C_M && letter !== DASH && text.charCodeAt(at + 1) !== BANG) return false
      const hash = partHash
      const kept = known.kept.find(text, at, stop, hash)?.value
      if (kept !== undefined) {
        if (next + kept.words.length + (STANDARD_TARGET >> 2) > room || (kept.reader !== undefined && letter === C_J && this.#shadowed(kept.reader))) return false
        copyWords(kept.words, words, next)
        kept.reader?.found()
        next += kept.words.length
        at = stop
        continue
      }
      let reader: PartReader | null | undefined
      let options = at
      if (letter === C_J || letter === C_G || letter === C_M) {
        if (text.charCodeAt(at + 3) !== SPACE) return false
        options = endOfWord(text, at + 4, stop)
        const name = text.slice(at + 4, options)
        const verdict = letter === C_J ? verdicts.get(name) : undefined
        const to = letter === C_M || verdict !== undefined ? undefined : this.#table.chain(name)
        if (verdict !== undefined || to !== undefined) {
          if (options !== stop || to?.hook !== undefined || (verdict === VERDICT.DROP && this.#environment.table === 'nat')) return false
          if (letter === C_G) words[start + (this.#layout.flags >> 2)]! |= this.#ipv4 ? GOTO_WORD.ipv4 : GOTO_WORD.ipv6
          jumps = verdict === undefined
          next = putStandardTarget(words, next, verdict ?? block.names.numberOf(name) + 1)
        } else if (letter === C_G) return false
        else reader = this.#reader(letter === C_M ? 'match' : 'target', name, known)
      } else reader = known.implicit === undefined ? known.implicit = this.#implicit(protocol, known) : known.implicit
      if (reader !== undefined) {
        if (reader === null || next + reader.length + (STANDARD_TARGET >> 2) > room || !reader.read(text, options, stop, block, next)) return false
        if (reader.keeps) known.kept.keep(text.slice(at, stop), hash, { words: words.slice(next, next + reader.length), reader })
        next += reader.length
      } else if (words[next - 2]! < 0) known.kept.keep(text.slice(at, stop), hash, { words: words.slice(target, next), reader: undefined })
      at = stop
    }
    if (target === 0) {
      target = next
      jumps = true
      next = putStandardTarget(words, next, 0)
    }
    const bytes = (next - start) << 2
    if (bytes > 0xffff) return false
    const offset = start << 2
    block.view.setUint16(offset + this.#layout.targetOffset, (target - start) << 2, LITTLE_ENDIAN)
    block.view.setUint16(offset + this.#layout.nextOffset, bytes, LITTLE_ENDIAN)
    this.#characters += end - from
    this.#bytes += bytes
    const rule = block.close(next << 2, jumps)
    if (counters !== undefined) block.setCounters(rule, counters.packets, counters.bytes)
    this.#table.appendNewest(chain, block)
    return true
  }

  /** Bytes of the rules to come, if all of the text is as they were until here; a sixteenth more, so that it is seldom too little. */
  #expected(text: string, from: number): number {
    return Math.min(MAX_EXPECTED, Math.ceil((this.#bytes / Math.max(1, this.#characters)) * (text.length - from) * 1.0625))
  }

  #chainOf(text: string, from: number, to: number): ChainImage | undefined {
    const name = this.#chainName
    if (this.#chain === undefined || to - from !== name.length || !text.startsWith(name, from) || this.#version !== this.#table.version) {
      this.#version = this.#table.version
      this.#chainName = text.slice(from, to)
      this.#chain = this.#table.chain(this.#chainName)
      this.#scope = this.#chain === undefined ? undefined : this.#scopeOf(this.#chain)
    }
    return this.#chain
  }

  /** Users' chains share one: no extension can ask for their names (see RuleContext). */
  #scopeOf({ hook }: ChainImage): Scope {
    const key = hook ?? ''
    let scope = this.#scopes.get(key)
    if (scope === undefined) {
      scope = { environment: { ...this.#environment, chain: hook }, protocols: new Map() }
      this.#scopes.set(key, scope)
    }
    return scope
  }

  #readSetting(group: string, hash: number) {
    let setting: Setting | null = null
    try {
      const { rules } = parseRule(splitWords(group).words, this.#environment)
      if (rules.length === 1) {
        const { bytes } = rules[0]!
        const words = new Int32Array(bytes.buffer, bytes.byteOffset, this.#entryWords)
        const pairs: number[] = []
        // The words of target and next offset are the rule's, not the group's.
        for (let i = 0; i < this.#entryWords; i++) {
          const value = words[i]!
          if (value !== 0 && i !== this.#layout.targetOffset >> 2) pairs.push(i, value)
        }
        setting = Int32Array.from(pairs)
      }
    } catch { /* the long way says what is wrong */ }
    return this.#settings.keep(group, hash, setting)
  }

  /** The readers for the protocol of an entry, by the text that gave it. */
  #protocolOf(text: string, block: RuleBlock, start: number): Protocol {
    const scope = this.#scope!
    let known = scope.protocols.get(text)
    if (known === undefined) {
      const entry = new Payload(inputOf(block.bytes.subarray(start << 2)), 0, this.#layout.size)
      known = { ctx: contextOf(entry, this.#layout, scope.environment), matches: new Map(), targets: new Map(), implicit: undefined, kept: new TextMemo() }
      scope.protocols.set(text, known)
    }
    return known
  }

  #reader(kind: 'match' | 'target', name: string, { ctx, matches, targets }: Protocol): PartReader | null {
    const readers = kind === 'match' ? matches : targets
    let reader = readers.get(name)
    if (reader === undefined) {
      try { reader = new PartReader(requireExtension(kind, name, this.#environment), ctx) } catch { reader = null }
      readers.set(name, reader)
    }
    return reader
  }

  /** Whether a chain has taken the name of a target since: chains win. */
  #shadowed({ name }: PartReader): boolean {
    return this.#table.chain(name) !== undefined
  }

  #implicit(protocol: string, known: Protocol): PartReader | null {
    const name = protocolMatch(splitWords(protocol).words.at(-1), this.#environment)
    return name === undefined ? null : this.#reader('match', name, known)
  }
}

/** A byte of a word that is otherwise 0. */
function wordOf(offset: number, byte: number): number {
  const bytes = new Uint8Array(4)
  bytes[offset & 3] = byte
  return new Int32Array(bytes.buffer)[0]!
}

// The invert byte of an IPv4 entry is at 83, the flags of both at 82 and 131.
const INVERT_WORD = { source: wordOf(83, XT_INV.source), destination: wordOf(83, XT_INV.destination) } as const
const GOTO_WORD = { ipv4: wordOf(82, IPT_F_GOTO), ipv6: wordOf(131, IP6T_F_GOTO) } as const
const TARGET_SIZE_WORD = new Int32Array(new Uint16Array([STANDARD_TARGET, 0]).buffer)[0]!
const MASKS = Int32Array.from({ length: 33 }, (_, length) => networkWord(length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0))

/** A number in network order as the machine reads the word. */
function networkWord(value: number): number {
  return LITTLE_ENDIAN ? ((value >>> 24) | ((value >>> 8) & 0xff00) | ((value << 8) & 0xff0000) | (value << 24)) | 0 : value | 0
}

function putStandardTarget(words: Int32Array, at: number, verdict: number): number {
  words[at] = TARGET_SIZE_WORD
  for (let i = 1; i < EXTENSION_HEADER >> 2; i++) words[at + i] = 0
  words[at + (EXTENSION_HEADER >> 2)] = verdict
  words[at + (EXTENSION_HEADER >> 2) + 1] = 0
  return at + (STANDARD_TARGET >> 2)
}

/** `a.b.c.d/length` at `at`: where it ends, or 0 for anything else. */
function putIpv4(text: string, from: number, end: number, words: Int32Array, address: number, mask: number): number {
  let at = from
  let value = 0
  for (let part = 0; part < 4; part++) {
    const first = text.charCodeAt(at) - ZERO
    if (!(first >= 0 && first <= 9)) return 0
    at++
    let number = first
    for (let digits = 1; at < end; at++, digits++) {
      const digit = text.charCodeAt(at) - ZERO
      if (!(digit >= 0 && digit <= 9)) break
      // A leading zero would make it octal.
      if (first === 0 || digits > 2) return 0
      number = number * 10 + digit
    }
    if (number > 255) return 0
    value = ((value << 8) | number) >>> 0
    if (part < 3 && text.charCodeAt(at++) !== DOT) return 0
  }
  let length = 32
  if (at < end && text.charCodeAt(at) === SLASH) {
    at++
    const first = text.charCodeAt(at) - ZERO
    if (!(at < end && first >= 0 && first <= 9)) return 0
    length = first
    at++
    if (at < end && text.charCodeAt(at) !== SPACE) {
      const second = text.charCodeAt(at) - ZERO
      if (!(second >= 0 && second <= 9) || first === 0) return 0
      length = first * 10 + second
      at++
    }
    if (length > 32) return 0
  }
  if (at < end && text.charCodeAt(at) !== SPACE) return 0
  words[address] = networkWord(value) & MASKS[length]!
  words[mask] = MASKS[length]!
  return at
}

/** The hash of the part that {@link endOfPart} went through. */
let partHash = 0

/** Where the next ` -m `, ` -j ` or ` -g ` begins behind the space at `at`, or the end; -1 for a quote that is left open and for blanks that are no space. */
function endOfPart(text: string, at: number, end: number): number {
  let hash = 0
  let i = at + 1
  for (; i < end; i++) {
    const code = text.charCodeAt(i)
    if (code === QUOTE) {
      for (i++; i < end; i++) {
        const quoted = text.charCodeAt(i)
        if (quoted === QUOTE) break
        hash = hashOn(hash, quoted)
        if (quoted === BACKSLASH) i++
      }
      if (i >= end) return -1
    } else if (code === SPACE) {
      if (text.charCodeAt(i + 1) === DASH && text.charCodeAt(i + 3) === SPACE && i + 3 < end) {
        const letter = text.charCodeAt(i + 2)
        if (letter === C_M || letter === C_J || letter === C_G) break
      }
    } else if (code < SPACE) return -1
    hash = hashOn(hash, code)
  }
  partHash = hash
  return i
}
