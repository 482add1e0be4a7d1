// SPDX-License-Identifier: MIT
// Matches and targets of rules as iptables-save prints them, text to bytes: `-m NAME` with options of its own only, by their whole
// names. Anything else is for parse.ts.

import { Writer } from '../bytes.js'
import { appendExtension, EXTENSION_HEADER } from './entry.js'
import { align8, type Extension, ExtensionParser } from './extension.js'
import { propertyOf } from './option-names.js'
import { Payload, type RuleContext } from './payload.js'
import type { RuleBlock } from './rule-block.js'
import { endOfWord, wordAt } from './words.js'

const SPACE = 32
const BANG = 33
const DASH = 45

/** After so many different texts it is seen whether keeping them is of use. */
const TRIAL = 1024

/** One extension in rules of one protocol. */
export class PartReader {
  readonly #extension: Extension
  readonly #ctx: RuleContext
  /** Header and struct before any option. */
  readonly #template: Int32Array
  /** Texts that were read, and of them those that were found again since. */
  #read = 0
  #foundAgain = 0

  /** @throws RuleError for an extension that cannot begin here */
  constructor(extension: Extension, ctx: RuleContext) {
    this.#extension = extension
    this.#ctx = ctx
    const size = align8(extension.size)
    const w = new Writer(EXTENSION_HEADER + size)
    const at = appendExtension(w, extension.wireName ?? extension.name, extension.revision, size)
    void new ExtensionParser(extension, new Payload(w, at, size), ctx)
    const { bytes } = w
    this.#template = new Int32Array(bytes.buffer, bytes.byteOffset, (EXTENSION_HEADER + size) >> 2)
  }

  /** What follows -m or -j. */
  get name(): string { return this.#extension.name }

  /** Words that the bytes take. */
  get length(): number { return this.#template.length }

  /** Whether texts of this extension come back often enough to be kept. */
  get keeps(): boolean { return this.#read < TRIAL || this.#read <= 2 * this.#foundAgain }

  /** Says that a text that was kept was found again. */
  found(): void { this.#foundAgain++ }

  /**
   * Writes what `text` from `from` (behind the name) to `to` says at the word `at` of a block. False for what parse.ts must read;
   * mistakes are its, too.
   */
  read(text: string, from: number, to: number, { words, bytes, view }: RuleBlock, at: number): boolean {
    this.#read++
    copyWords(this.#template, words, at)
    const payload = new Payload({ bytes, view }, (at << 2) + EXTENSION_HEADER, (this.#template.length << 2) - EXTENSION_HEADER)
    return this.#options(text, from, to, payload)
  }

  #options(text: string, from: number, to: number, payload: Payload): boolean {
    const parser = new ExtensionParser(this.#extension, payload)
    let at = from
    try {
      while (at < to) {
        // At a space.
        let start = at + 1
        const inverted = text.charCodeAt(start) === BANG
        if (inverted) {
          if (text.charCodeAt(start + 1) !== SPACE) return false
          start += 2
        }
        if (text.charCodeAt(start) !== DASH) return false
        at = endOfWord(text, start, to)
        const property = propertyOf(this.#extension, text.slice(start, at))
        if (property === undefined || property.arguments === 'optional') return false
        let argument: string | undefined
        for (let left = property.arguments ?? 1; left > 0; left--) {
          if (at >= to || text.charCodeAt(at) !== SPACE) return false
          const [word, end] = wordAt(text, at + 1, to)
          if (end === at + 1) return false
          argument = argument === undefined ? word : `${argument} ${word}`
          at = end
        }
        if (at < to && text.charCodeAt(at) !== SPACE) return false
        parser.option(property, argument, inverted, this.#ctx)
      }
      parser.finish(this.#ctx)
    } catch {
      return false
    }
    return true
  }
}

/** Copies a part into a block. */
export function copyWords(from: Int32Array, to: Int32Array, at: number): void {
  if (from.length > 48) to.set(from, at)
  else for (let i = 0; i < from.length; i++) to[at + i] = from[i]!
}

