// SPDX-License-Identifier: MIT
// Rules of a blob as text, many of them: what the same bytes print is remembered, and the addresses, which differ from rule to
// rule, are printed without a detour.

import { LITTLE_ENDIAN } from '../bytes.js'
import { EXTENSION_HEADER, extensionAt, IP6T_F_GOTO, IPT_F_GOTO, VERDICT, XT_INV } from './entry.js'
import { printFixed } from './fixed.js'
import { Payload } from './payload.js'
import { contextOf, printExtensionSpan, type RuleEnvironment } from './rule.js'
import type { TableImage } from './table.js'

/** Texts that are kept; then all are forgotten. */
const KEPT = 20000
/** Longer parts (comments, programs, strings to search for) are seldom the same twice. */
const MAX_KEPT_BYTES = 256

interface Kept {
  readonly words: Int32Array
  readonly scope: number
  readonly text: string
  readonly next: Kept | undefined
}

const verdicts = new Map<number, string>(Object.entries(VERDICT).map(([name, number]) => [number, ` -j ${name}`]))
const OCTETS = Array.from({ length: 256 }, (_, i) => String(i))

export class RulePrinter {
  readonly #image: TableImage
  readonly #environment: RuleEnvironment
  /** The blob by fours, from its beginning. */
  readonly #words: Int32Array
  #kept = new Map<number, Kept>()
  readonly #jumps = new Map<number, string>()
  readonly #masks = new Map<number, string>()

  constructor(image: TableImage, environment: RuleEnvironment) {
    this.#image = image
    // No extension prints one thing in one chain and another elsewhere (see RuleContext).
    this.#environment = { ...environment, table: image.info.name, chain: undefined }
    const { bytes } = image.input
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
    this.#words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2)
    for (let length = 0; length <= 32; length++) {
      const mask = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0
      this.#masks.set(new DataView(Uint32Array.of(mask).buffer).getInt32(0, !LITTLE_ENDIAN) | 0, `/${length}`)
    }
  }

  /** `packets:bytes` of an entry. */
  counters(entry: number): string {
    const at = this.#image.offsets[entry]! + this.#image.layout.counters
    return `${this.#count(at)}:${this.#count(at + 8)}`
  }

  /** 64 bits as text; most need only 32 of them. */
  #count(at: number): string {
    const { view } = this.#image.input
    const high = view.getUint32(at + (LITTLE_ENDIAN ? 4 : 0), LITTLE_ENDIAN)
    return high === 0 ? String(view.getUint32(at + (LITTLE_ENDIAN ? 0 : 4), LITTLE_ENDIAN)) : String(view.getBigUint64(at, LITTLE_ENDIAN))
  }

  /** A rule as iptables-save prints it after `-A CHAIN`, with a leading space. */
  rule(entry: number): string {
    const { offsets, input, layout } = this.#image
    const { view } = input
    const start = offsets[entry]!
    const target = start + view.getUint16(start + layout.targetOffset, LITTLE_ENDIAN)
    let text = layout.family === 'ipv4' ? this.#ipv4(start) : this.#fixed(start)
    const invert = input.bytes[start + layout.invert]!
    const scope = (view.getUint16(start + layout.protocol, LITTLE_ENDIAN) << 1) | ((invert & XT_INV.protocol) !== 0 ? 1 : 0)
    for (let at = start + layout.size; at < target;) {
      const size = at + EXTENSION_HEADER <= target ? view.getUint16(at, LITTLE_ENDIAN) : 0
      text += this.#extension('match', start, at, size, target, scope)
      at += size
    }
    if (input.bytes[target + 2] !== 0) return text + this.#extension('target', start, target, view.getUint16(target, LITTLE_ENDIAN), offsets[entry + 1]!, scope)
    const verdict = view.getInt32(target + EXTENSION_HEADER, LITTLE_ENDIAN)
    if (verdict < 0) return text + (verdicts.get(verdict) ?? '')
    if (verdict === offsets[entry + 1]!) return text
    const letter = (input.bytes[start + layout.flags]! & (layout.family === 'ipv4' ? IPT_F_GOTO : IP6T_F_GOTO)) !== 0 ? ' -g ' : ' -j '
    return text + letter + this.#chainAt(verdict)
  }

  #chainAt(offset: number): string {
    let name = this.#jumps.get(offset)
    if (name === undefined) {
      name = this.#image.chainAt(offset)
      this.#jumps.set(offset, name)
    }
    return name
  }

  /** The fixed part: addresses, then what often is the same. */
  #ipv4(start: number): string {
    const word = start >> 2
    const words = this.#words
    if ((start & 3) !== 0) return this.#fixed(start)
    const sourceMask = words[word + 2]!
    const destinationMask = words[word + 3]!
    const source = this.#masks.get(sourceMask)
    const destination = this.#masks.get(destinationMask)
    if (source === undefined || destination === undefined) return this.#fixed(start)
    const { bytes } = this.#image.input
    const invert = bytes[start + 83]!
    let text = ''
    if (sourceMask !== 0 || words[word]! !== 0 || (invert & XT_INV.source) !== 0) text = `${(invert & XT_INV.source) !== 0 ? ' ! -s ' : ' -s '}${dotted(bytes, start)}${source}`
    if (destinationMask !== 0 || words[word + 1]! !== 0 || (invert & XT_INV.destination) !== 0) text += `${(invert & XT_INV.destination) !== 0 ? ' ! -d ' : ' -d '}${dotted(bytes, start + 4)}${destination}`
    // From the interfaces to the inverted bits.
    const kept = this.#find(word + 4, 17, -1)
    if (typeof kept === 'string') return text + kept
    // Without addresses.
    const entry = bytes.slice(start, start + this.#image.layout.size)
    entry.fill(0, 0, 16)
    entry[83]! &= ~(XT_INV.source | XT_INV.destination)
    const rest = printFixed(new Payload({ bytes: entry, view: new DataView(entry.buffer) }, 0, entry.length), this.#image.layout, this.#environment.resolver)
    return text + this.#keep(kept, word + 4, 17, -1, rest)
  }

  #fixed(start: number): string {
    return printFixed(new Payload(this.#image.input, start, this.#image.layout.size), this.#image.layout, this.#environment.resolver)
  }

  #extension(kind: 'match' | 'target', start: number, at: number, size: number, end: number, scope: number): string {
    const count = size >> 2
    const keep = (at & 3) === 0 && (size & 3) === 0 && size >= EXTENSION_HEADER && at + size <= end && size <= MAX_KEPT_BYTES
    const key = kind === 'match' ? scope : scope | 0x100000
    const kept = keep ? this.#find(at >> 2, count, key) : undefined
    if (typeof kept === 'string') return kept
    const { input, layout } = this.#image
    const span = extensionAt(input, at, end)
    const ctx = contextOf(new Payload(input, start, layout.size), layout, this.#environment)
    const text = printExtensionSpan(kind, span, input, ctx)
    return keep ? this.#keep(kept!, at >> 2, count, key, text) : text
  }

  /** What words printed before, or their hash. */
  #find(at: number, count: number, scope: number): string | number {
    const words = this.#words
    let hash = scope | 0
    for (let i = at, end = at + count; i < end; i++) hash = Math.imul(hash ^ words[i]!, 0x9e3779b1) ^ (hash >>> 15)
    for (let kept = this.#kept.get(hash); kept !== undefined; kept = kept.next) {
      if (kept.scope !== scope || kept.words.length !== count) continue
      let i = 0
      while (i < count && kept.words[i] === words[at + i]) i++
      if (i === count) return kept.text
    }
    return hash
  }

  #keep(hash: number, at: number, count: number, scope: number, text: string): string {
    if (this.#kept.size >= KEPT) this.#kept.clear()
    this.#kept.set(hash, { words: this.#words.slice(at, at + count), scope, text, next: this.#kept.get(hash) })
    return text
  }
}

function dotted(bytes: Uint8Array, at: number): string {
  return `${OCTETS[bytes[at]!]!}.${OCTETS[bytes[at + 1]!]!}.${OCTETS[bytes[at + 2]!]!}.${OCTETS[bytes[at + 3]!]!}`
}
