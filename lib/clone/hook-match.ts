// SPDX-License-Identifier: MIT
// Which packets a hook is about, as a program for the point where it is.

import { invalidArgument } from '../errors.js'
import { checkBoolean, checkKeys } from '../net/check.js'
import { checkProgram } from '../wire/bpf/check.js'
import type { BpfInstruction } from '../wire/bpf/instruction.js'
import { parseProgram } from '../wire/bpf/text.js'
import type { IpFamily } from '../wire/ip.js'
import { BPF_UNDECIDED } from '../wire/module/constants.js'
import type { HookProgram } from '../wire/module/hook.js'
import { HOOK_POINTS, type HookPoint } from '../wire/module/hook-points.js'
import type { LinkType } from '../wire/packet-match/field.js'
import { PacketMatch } from '../wire/packet-match/packet-match.js'
import type { PacketMatchSpec } from '../wire/packet-match/tree.js'

/** A program of classic BPF: a packet matches when it answers anything but 0. */
export interface HookBpf {
  /** Instructions, or the text of `tcpdump -y RAW -ddd`, `tcpdump -y EN10MB -ddd`, up to 4096 instructions. */
  program: readonly BpfInstruction[] | string
  /** What its data begins with: the IP header (RAW), or the destination address of a frame (EN10MB). */
  link: LinkType
  /** Its answer 0xfffffffe means that it cannot decide: the packet does not match and is counted as `undecided`. */
  undecided?: boolean | undefined
}

/**
 * Which packets a hook is about: fields, or a program of one's own. Fields are compiled for frames at the points of the bridge, at `ingress` and
 * at `egress`, so that `length` is that of the frame, without padding; and for packets at the points of IPv4 and IPv6, but for frames
 * when a field needs them (MAC addresses, EtherType). To match by the IP packet's length at a point of frames, make the program oneself:
 * `{ program: PacketMatch.create({ length: 100 }).program('RAW'), link: 'RAW' }`.
 */
export type HookMatch = PacketMatchSpec | PacketMatch | HookBpf

/** @throws TypeError, RangeError for what is no match, and for one that looks at what packets at the point do not have. */
export function hookProgramOf(match: HookMatch | undefined, at: HookPoint, family: IpFamily | null): HookProgram | null {
  if (match === undefined) return null
  if (typeof match !== 'object' || match === null) throw invalidArgument('match', 'an object of fields, a PacketMatch or { program, link }', match)
  if (match instanceof PacketMatch) return compiled(match, at, family)
  if ('program' in match) return given(match, at)
  return compiled(PacketMatch.create(match), at, family)
}

function compiled(match: PacketMatch, at: HookPoint, family: IpFamily | null): HookProgram | null {
  if (Object.values(match.spec).every((value) => value === undefined)) return null
  const { links, families } = HOOK_POINTS[at]
  const { frameField } = match
  const link = families && frameField === undefined ? 'RAW' : 'EN10MB'
  if (!links.includes(link)) throw invalidArgument('match', `fields that packets at ${at} have, which are not frames`, frameField)
  return { link, instructions: match.program(link, { longChain: BPF_UNDECIDED, family: family ?? undefined }), undecided: true }
}

function given(match: HookBpf, at: HookPoint): HookProgram {
  checkKeys(match, ['program', 'link', 'undecided'], 'match')
  const { program, link, undecided = false } = match
  const { links } = HOOK_POINTS[at]
  if (link !== 'RAW' && link !== 'EN10MB') throw invalidArgument('match.link', 'RAW or EN10MB', link)
  if (!links.includes(link)) throw invalidArgument('match.link', `${links.join(' or ')} at ${at}`, link)
  checkBoolean(undecided, 'match.undecided')
  const instructions = typeof program === 'string' ? parsed(program) : program
  checkProgram(instructions, 'match.program')
  return { link, instructions: [...instructions], undecided }
}

function parsed(text: string): BpfInstruction[] {
  try {
    return parseProgram(text)
  } catch (error) {
    throw new TypeError(`match.program: ${(error as Error).message}`)
  }
}
