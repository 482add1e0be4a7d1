// SPDX-License-Identifier: MIT
// A match as a program of classic BPF. The tree is compiled once for each kind of packet, simplified by what such packets cannot have: code
// for one family asks nothing about the other, and headers are read only where something looks at them.

import { invalidArgument, outOfRange } from '../../errors.js'
import { Assembler, Label } from '../bpf/assembler.js'
import { programFault } from '../bpf/check.js'
import { type BpfInstruction, BpfOp as Op, MOST_INSTRUCTIONS } from '../bpf/instruction.js'
import { checkInteger } from '../check.js'
import type { IpFamily } from '../ip.js'
import { applies, isBehindHeaders, type Layer, LAYERS, type LinkType, type PacketKind, protocolsOf } from './field.js'
import { FieldCode } from './field-code.js'
import { familyCode, ipv4Code, ipv4TransportCode, ipv6Code, ipv6TransportCode, linkCode } from './headers-code.js'
import { depthOf, simplify, type Tree, whateverFollows } from './tree.js'

/** What a compiled program returns: for a socket filter the bytes to keep, elsewhere 0 for no. */
export interface ProgramOptions {
  /** For a packet that matches; 4294967295 (all bytes) unless told. */
  match?: number
  /** For one that does not; 0 unless told. */
  noMatch?: number
  /** For one of which that depends on what is behind more than 8 IPv6 extension headers; as `noMatch` unless told. */
  longChain?: number
  /** Packets of the other family never come, so there is no code about their headers. Both come unless told. */
  family?: IpFamily | undefined
}

/** Compiles a tree whose fields fit the link type. @throws RangeError when the program is too long for the kernel */
export function compileTree(tree: Tree, linkType: LinkType, options: ProgramOptions = {}): BpfInstruction[] {
  const { match = 0xffffffff, noMatch = 0, longChain = noMatch, family } = options
  if (family !== undefined && family !== 'ipv4' && family !== 'ipv6') throw invalidArgument('options.family', 'ipv4 or ipv6', family)
  for (const [name, value] of Object.entries({ match, noMatch, longChain })) checkInteger(value, 0, 0xffffffff, `options.${name}`)
  const program = new Compiler(linkType, family, match, noMatch, longChain).compile(tree)
  if (program.length > MOST_INSTRUCTIONS) throw outOfRange('match', `a match of at most ${MOST_INSTRUCTIONS} instructions`, program.length)
  const fault = programFault(program)
  if (fault !== undefined) throw outOfRange('match', `a match that is short enough for the kernel (${fault})`, program.length)
  return program
}

const ranked = (tree: Tree) => LAYERS.indexOf(depthOf(tree))
const looksPast = (tree: Tree, layer: Layer) => ranked(tree) > LAYERS.indexOf(layer)
const same = (a: Tree, b: Tree) => a === b || (a.kind === 'constant' && b.kind === 'constant' && a.value === b.value)
/** The conjunction's parts, what costs least first. */
const parts = (tree: Tree): Tree[] => (tree.kind === 'and' ? [...tree.children] : [tree]).sort((a, b) => ranked(a) - ranked(b))

/** The transport protocols that a packet can be of; undefined: any. */
type Known = readonly number[] | undefined

class Compiler {
  readonly #asm = new Assembler()
  readonly #linkType: LinkType
  readonly #only: IpFamily | undefined
  readonly #returns: readonly [Label, number][]
  readonly #match = new Label()
  readonly #noMatch = new Label()
  readonly #longChain: Label

  constructor(linkType: LinkType, only: IpFamily | undefined, match: number, noMatch: number, longChain: number) {
    this.#linkType = linkType
    this.#only = only
    this.#longChain = longChain === noMatch ? this.#noMatch : new Label()
    this.#returns = [[this.#match, match], [this.#noMatch, noMatch], ...(longChain === noMatch ? [] : [[this.#longChain, longChain] as [Label, number]])]
  }

  compile(tree: Tree): BpfInstruction[] {
    const asm = this.#asm
    const short: PacketKind = { linkType: this.#linkType, ethernet: false, family: undefined }
    const other: PacketKind = { ...short, ethernet: this.#linkType === 'EN10MB' }
    if (!looksPast(tree, 'metadata')) this.#plain(tree, other)
    else {
      const tooShort = new Label()
      if (other.ethernet) linkCode(this.#code(other), tooShort)
      if (looksPast(tree, 'link')) this.#families(tree, other)
      else this.#plain(tree, other)
      if (other.ethernet) {
        asm.place(tooShort)
        this.#plain(tree, short)
      }
    }
    // At the end, since the kernel takes what is behind a return to be reached from it.
    for (const [label, value] of this.#returns) {
      if (!label.used) continue
      asm.place(label)
      asm.op(Op.returnImmediate, value)
    }
    return asm.finish()
  }

  #code(kind: PacketKind): FieldCode { return new FieldCode(this.#asm, kind) }

  #for(tree: Tree, kind: PacketKind): Tree {
    return simplify(tree, (field, value) => (applies(field, value, kind) ? undefined : false))
  }

  /** Packets without an IP header. */
  #plain(tree: Tree, kind: PacketKind): void {
    this.#emit(this.#for(tree, kind), this.#code(kind), this.#match, this.#noMatch)
  }

  #families(tree: Tree, kind: PacketKind): void {
    const asm = this.#asm
    const others = new Label()
    const rest = this.#for(tree, kind)
    const families = (['ipv4', 'ipv6'] as const).map((family) => {
      const its = { ...kind, family }
      const part = this.#for(tree, its)
      // What is asked of these as of all others needs no code of its own; a field that counts for both differs by its kind.
      const asOthers = (same(part, rest) && part.kind === 'constant') || (this.#only !== undefined && family !== this.#only)
      return { code: this.#code(its), part, label: asOthers ? others : new Label() }
    })
    const [ipv4, ipv6] = families as [typeof families[0], typeof families[0]]
    familyCode(this.#code(kind), ipv4.label, ipv6.label, others)
    if (ipv4.label !== others) {
      asm.place(ipv4.label)
      ipv4Code(ipv4.code, others)
      this.#conjunction(ipv4.part, ipv4.code, (one) => depthOf(one) === 'transport', () => { ipv4TransportCode(ipv4.code) })
    }
    if (ipv6.label !== others) {
      asm.place(ipv6.label)
      ipv6Code(ipv6.code, others)
      const long = new Label()
      const late = this.#conjunction(ipv6.part, ipv6.code, (one) => isBehindHeaders(depthOf(one)), () => { ipv6TransportCode(ipv6.code, long) })
      if (long.used) {
        asm.place(long)
        this.#unknown({ kind: 'and', children: late }, ipv6.code)
      }
    }
    asm.place(others)
    this.#emit(rest, this.#code(kind), this.#match, this.#noMatch)
  }

  /** Asks the parts of a conjunction, and before the first that `isLate` reads the headers it needs. Answers the late ones. */
  #conjunction(tree: Tree, code: FieldCode, isLate: (part: Tree) => boolean, readHeaders: () => void): Tree[] {
    const all = parts(tree)
    const late = all.filter(isLate)
    const early = all.filter((one) => !isLate(one))
    const known = this.#each(early, code, this.#noMatch, undefined)
    if (late.length > 0) readHeaders()
    this.#each(late, code, this.#noMatch, known)
    this.#asm.jump(this.#match)
    return late
  }

  /** Where the extension headers do not end. */
  #unknown(tree: Tree, code: FieldCode): void {
    const perhaps = new Label()
    this.#emit(whateverFollows(tree, true), code, this.#match, perhaps)
    this.#asm.place(perhaps)
    if (perhaps.used && this.#longChain !== this.#noMatch) this.#emit(whateverFollows(tree, false), code, this.#longChain, this.#noMatch)
    else this.#asm.jump(this.#noMatch)
  }

  #emit(tree: Tree, code: FieldCode, yes: Label, no: Label, known?: Known): void {
    const asm = this.#asm
    switch (tree.kind) {
      case 'constant': return asm.jump(tree.value ? yes : no)
      case 'not': return this.#emit(tree.child, code, no, yes, known)
      case 'and':
        this.#each(parts(tree), code, no, known)
        return asm.jump(yes)
      case 'or':
        for (const child of tree.children) {
          const next = new Label()
          this.#emit(child, code, yes, next, known)
          asm.place(next)
        }
        return asm.jump(no)
      case 'field': {
        const { field, value } = tree
        const protocols = field.protocols?.(value)
        if (protocols !== undefined && !(known !== undefined && known.every((one) => protocols.includes(one)))) {
          const right = new Label()
          code.fromProtocol()
          code.oneOf(protocols, right, no)
          asm.place(right)
        }
        field.compile(value, code, yes, no)
      }
    }
  }

  /** Goes on when all hold, else to `no`. Answers what is then known of the protocol. */
  #each(trees: readonly Tree[], code: FieldCode, no: Label, known: Known): Known {
    for (const tree of trees) {
      const next = new Label()
      this.#emit(tree, code, next, no, known)
      this.#asm.place(next)
      const these = tree.kind === 'field' ? protocolsOf(tree.field, tree.value) : undefined
      if (these !== undefined) known = known?.filter((one) => these.includes(one)) ?? these
    }
    return known
  }
}
