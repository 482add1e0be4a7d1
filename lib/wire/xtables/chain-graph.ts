// SPDX-License-Identifier: MIT
// Which chain leads to which: references to chains that are missing, loops, and who refers to a chain.

import { NfkitError } from '../../errors.js'
import { LITTLE_ENDIAN } from '../bytes.js'
import { placeOf } from './chain-order.js'
import { EXTENSION_HEADER } from './entry.js'
import { type ChainImage, isRun, type TableImage } from './table.js'

/** A rule that jumps or goes to a chain. */
export interface ChainReference {
  /** Number of the rule in its chain, from 1 on. */
  readonly rule: number
  readonly chain: string
}

/** The references that a chain holds, in order. With `reachable` only up to a rule that ends the chain for every packet. */
export function referencesOf(image: TableImage, chain: ChainImage, reachable = false): ChainReference[] {
  const found: ChainReference[] = []
  let rule = 0
  for (const piece of chain.pieces) {
    if (!isRun(piece)) {
      rule++
      if (piece.chain !== undefined) found.push({ rule, chain: piece.chain })
      else if (reachable && endsChain(image, piece.bytes, new DataView(piece.bytes.buffer, piece.bytes.byteOffset), 0)) return found
      continue
    }
    const { block } = piece
    if (block !== undefined && !reachable) {
      for (const entry of block.jumpsOf(piece.from, piece.to)) {
        const to = block.chainOf(entry)
        if (to !== undefined) found.push({ rule: rule + entry - piece.from + 1, chain: to })
      }
      rule += piece.to - piece.from
      continue
    }
    const { bytes, view } = block ?? image.input
    const offsets = block?.offsets ?? image.offsets
    for (let entry = piece.from; entry < piece.to; entry++) {
      rule++
      const to = block === undefined ? chainOf(image, entry) : block.chainOf(entry)
      if (to !== undefined) found.push({ rule, chain: to })
      else if (reachable && endsChain(image, bytes, view, offsets[entry]!)) return found
    }
  }
  return found
}

function chainOf(image: TableImage, entry: number): string | undefined {
  const jump = image.jumpOf(entry)
  return jump === undefined ? undefined : image.chainAt(jump)
}

/** A verdict without a condition: the kernel does not look behind it (mark_source_chains, net/ipv4/netfilter/ip_tables.c). */
function endsChain({ layout }: TableImage, bytes: Uint8Array, view: DataView, at: number): boolean {
  const target = view.getUint16(at + layout.targetOffset, LITTLE_ENDIAN)
  if (target !== layout.size || bytes[at + target + 2] !== 0 || view.getInt32(at + target + EXTENSION_HEADER, LITTLE_ENDIAN) >= 0) return false
  for (let i = at; i < at + layout.identity; i++) if (bytes[i] !== 0) return false
  return true
}

/** For each of the names that a rule leads to: the name, and the first such rule. */
export function referencesTo(image: TableImage, chains: readonly ChainImage[], names: ReadonlySet<string>): Map<string, { chain: string; rule: number }> {
  const found = new Map<string, { chain: string; rule: number }>()
  for (const chain of chains) {
    for (const { rule, chain: to } of referencesOf(image, chain)) if (names.has(to) && !found.has(to)) found.set(to, { chain: chain.name, rule })
  }
  return found
}

/**
 * Throws for a rule that leads to a chain that is not there, and for a loop that a packet could come into. Nothing is looked at
 * as long as no reference is new and no chain is gone: the kernel let the rest pass before.
 * @throws NfkitError NFKIT_NO_SUCH_CHAIN, NFKIT_CHAIN_LOOP
 */
export function checkChains(image: TableImage, chains: readonly ChainImage[]): void {
  const byName = new Map(chains.map((chain) => [chain.name, chain]))
  const news = chains.some((chain) => chain.pieces.some((piece) => (isRun(piece) ? piece.block !== undefined : piece.chain !== undefined)))
  if (!news && image.chains.every((chain) => byName.get(chain.name) === chain)) return
  const table = image.info.name
  for (const chain of chains) {
    for (const { rule, chain: to } of referencesOf(image, chain)) {
      const target = byName.get(to)
      if (target === undefined) throw new NfkitError('NFKIT_NO_SUCH_CHAIN', `rule ${rule} of chain ${chain.name} in table ${table} leads to chain ${to}, which does not exist`)
      if (target.hook !== undefined) throw new NfkitError('NFKIT_BUILTIN_CHAIN', `rule ${rule} of chain ${chain.name} in table ${table} leads to ${to}, which is a built-in chain`)
    }
  }
  // Most tables have none even if every rule could be reached.
  const path = findLoop(image, chains, byName, false) && findLoop(image, chains, byName, true)
  if (path !== undefined) throw new NfkitError('NFKIT_CHAIN_LOOP', `the chains of table ${table} form a loop: ${path}`)
}

/** The first loop that a built-in chain leads into, as "FORWARD rule 3 -> a rule 1 -> a". */
function findLoop(image: TableImage, chains: readonly ChainImage[], byName: ReadonlyMap<string, ChainImage>, reachable: boolean): string | undefined {
  const done = new Set<string>()
  for (const start of chains) {
    if (start.hook === undefined) continue
    // A stack of its own: chains can be many thousands deep.
    const stack: { chain: ChainImage; references: ChainReference[]; next: number }[] = []
    const onPath = new Set<string>()
    const enter = (chain: ChainImage) => {
      stack.push({ chain, references: referencesOf(image, chain, reachable), next: 0 })
      onPath.add(chain.name)
    }
    enter(start)
    while (stack.length > 0) {
      const top = stack.at(-1)!
      const reference = top.references[top.next++]
      if (reference === undefined) {
        stack.pop()
        onPath.delete(top.chain.name)
        done.add(top.chain.name)
        continue
      }
      if (onPath.has(reference.chain)) {
        const from = stack.findIndex((one) => one.chain.name === reference.chain)
        return `${stack.slice(from).map((one) => `${one.chain.name} rule ${one.references[one.next - 1]!.rule}`).join(' -> ')} -> ${reference.chain}`
      }
      if (!done.has(reference.chain)) enter(byName.get(reference.chain)!)
    }
  }
  return undefined
}

/** Puts a user's chain where iptables keeps it: behind the built-in ones, in the order of strcmp(3). */
export function insertChain(chains: ChainImage[], chain: ChainImage): void {
  chains.splice(placeOf(chains, chain.name), 0, chain)
}

/** A chain that was not in the old blob. */
export function newChain(name: string): ChainImage {
  return { name, hook: undefined, policy: 'RETURN', policyEntry: -1, pieces: [] }
}

/** Gives a chain another name, also in the rules that lead to it. */
export function renameChain(chains: ChainImage[], chain: ChainImage, name: string): void {
  for (const one of chains) {
    for (const [i, piece] of one.pieces.entries()) {
      if (!isRun(piece) && piece.chain === chain.name) one.pieces[i] = { ...piece, chain: name }
    }
  }
  chains.splice(chains.indexOf(chain), 1)
  chain.name = name
  insertChain(chains, chain)
}
