// SPDX-License-Identifier: MIT
// The typed match of hooks and captures: as a program for the kernel, and asked of bytes directly.

import type { BpfInstruction } from '../bpf/instruction.js'
import { checkBytes, checkInteger } from '../check.js'
import './fields/index.js'
import { compileTree, type ProgramOptions } from './compile.js'
import { evaluate } from './evaluate.js'
import type { LinkType } from './field.js'
import { type PacketContext, viewPacket } from './packet-view.js'
import { checkLinkType, frameFieldOf, type PacketMatchSpec, readMatch, type Tree } from './tree.js'

/** What {@link PacketMatch.evaluate} answers. */
export type PacketMatchResult = 'match' | 'no-match' | 'long-chain'

/**
 * Which packets a hook or capture is about. The fields of one object must all hold; `and`, `or` and `not` combine matches freely:
 *
 *     const match = PacketMatch.create({ protocol: 'tcp', destinationPort: [8000, 8999], not: { source: '10.0.0.0/8' } })
 *     match.test(packet)        // bytes from the IP header on
 *     match.program('EN10MB')   // classic BPF for frames
 *
 * A field that a packet does not have (ports of a later fragment, an IPv6 address of an IPv4 packet, anything behind where the packet
 * was cut) does not match, so its negation does. An IP packet whose header is not sound (version, header length, total length below
 * it) is no IP packet here.
 *
 * Up to 8 IPv6 extension headers are walked. Where the answer depends on what is behind more of them, the packet does not match, negated
 * or not, and a program can tell that apart (`longChain`).
 */
export class PacketMatch {
  /** What it was made of. */
  readonly spec: PacketMatchSpec
  readonly #tree: Tree

  private constructor(spec: PacketMatchSpec) {
    this.#tree = readMatch(spec, 'match')
    this.spec = structuredClone(spec)
  }

  /**
   * Checks a match. One without fields matches every packet.
   * @throws TypeError, RangeError for a wrong field or value, and for fields of one object that no packet can have together: addresses
   * of different families, a protocol and fields of another.
   */
  static create(spec: PacketMatchSpec): PacketMatch {
    return new PacketMatch(spec)
  }

  /**
   * Whether a packet matches.
   * @param packet its bytes: from the IP header on, or the frame when the context says `EN10MB`
   * @throws TypeError, RangeError for a wrong argument, and when the match looks at what packets of the link type do not have
   */
  test(packet: Uint8Array, context: PacketContext = {}): boolean {
    return this.evaluate(packet, context) === 'match'
  }

  /** As {@link test}, and tells a packet whose chain of IPv6 extension headers is too long to say. */
  evaluate(packet: Uint8Array, context: PacketContext = {}): PacketMatchResult {
    const { linkType = 'RAW', mark, vlan } = context
    checkBytes(packet, 'packet')
    checkLinkType(this.#tree, linkType, 'context.linkType')
    if (mark !== undefined) checkInteger(mark, 0, 0xffffffff, 'context.mark')
    if (vlan !== undefined) checkInteger(vlan, 0, 0xfff, 'context.vlan')
    const result = evaluate(this.#tree, viewPacket(packet, context))
    return result === undefined ? 'long-chain' : result ? 'match' : 'no-match'
  }

  /**
   * The match as a program of classic BPF for packets of a link type. Linux 3.8 and later runs it (the VLAN tag beside the bytes).
   * @throws TypeError when the match looks at what packets of the link type do not have (MAC addresses, EtherType and bytes of the
   * frame with RAW), RangeError when the program has more instructions than the kernel takes (4096)
   */
  program(linkType: LinkType, options: ProgramOptions = {}): BpfInstruction[] {
    checkLinkType(this.#tree, linkType, 'linkType')
    return compileTree(this.#tree, linkType, options)
  }

  /**
   * A field that only frames have (MAC addresses, EtherType, bytes of the frame), if there is one.
   * @internal
   */
  get frameField(): string | undefined { return frameFieldOf(this.#tree) }

  /** As JSON has it: what it was made of, with bytes as hexadecimal text, so that {@link create} takes it. */
  toJSON(): PacketMatchSpec { return plain(this.spec) as PacketMatchSpec }
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Array.from(value, (byte) => byte.toString(16).padStart(2, '0')).join('')
  if (Array.isArray(value)) return value.map(plain)
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)])) : value
}
